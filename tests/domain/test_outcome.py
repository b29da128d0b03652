"""Is the answer about the question? For naru/domain/outcome.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from naru.domain.errors import AnswerMismatch
from naru.domain.money import Money
from naru.domain.outcome import Approved, Ticket, check_answer

ASKED = Ticket("n1", Money(1004), "token")
ANSWERED = Approved("n1", Money(1004), "tid", datetime(2026, 1, 1, tzinfo=UTC))


def test_an_answer_about_the_question_passes() -> None:
    check_answer(ASKED, ANSWERED)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"order_no": "N1"}, "order_no"),
        ({"amount": Money(1003)}, "amount"),
        ({"amount": Money(1004, "USD")}, "currency"),
    ],
)
def test_anything_else_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(AnswerMismatch, match=named):
        check_answer(ASKED, replace(ANSWERED, **change))

"""Names that merchants choose: what may name a customer."""

from __future__ import annotations

import pytest

from naru.domain.ids import is_customer_uid


@pytest.mark.parametrize(
    "name", ["a", "customer-1", "홍길동 1", "user@shop.example", "x" * 80, "é", "👩‍💻"[0]]
)
def test_what_can_be_seen_is_a_customers_name(name: str) -> None:
    assert is_customer_uid(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "   ", "\t", "\u3000", "\u00a0", "x" * 81, " a", "a ", "a\u3000"),
        *("\u200b", "a\u200b", "\u2060", "\ufeffa", "a\u202eb", "\u00ad", "a\u2028"),
        *("\u3164", "\u115f", "\uffa0", "\u2800", "a\u3164", "\u034f", "\ufe0f", "\u0301"),
        *("\x00", "a\x7f", "\ud800", "\U000e0041", "\ue000"),
    ],
)
def test_what_nobody_sees_is_none(name: str) -> None:
    assert not is_customer_uid(name)

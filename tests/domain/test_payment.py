"""The life of a payment, for naru/domain/payment.py."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from naru.domain.errors import ForbiddenStep
from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.money import Money
from naru.domain.payment import NEXT, Payment, Status, Step, Surface, advance, public_status
from naru.store.migrate import files


def a_payment(**changes: Any) -> Payment:
    given: dict[str, Any] = {
        "imp_uid": ImpUid("imp_000000000001"),
        "merchant_id": 1,
        "merchant_uid": MerchantUid("o1"),
        "channel_id": 1,
        "pg_code": "kcp",
        "mid": "T0000",
        "sandbox": True,
        "surface": Surface.PC,
        "pay_method": "card",
        "step": Step.OPENED,
        "version": 1,
        "amount": Money(1004),
        "cancelled": Money(0),
        "tax_free": Money(0),
        "vat": None,
        "pg_order_no": "n1",
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        **changes,
    }
    return Payment(**given)


def test_the_table_of_steps_is_the_databases_table_of_steps() -> None:
    """The last migration that defines the rule holds it; the two are written in two languages."""
    rules = [sql for _, sql in files() if "FUNCTION keep_payment_rules" in sql]
    body = rules[-1].split("FUNCTION keep_payment_rules")[1].split("NOT IN (")[1].split(") THEN")[0]
    rows = set(re.findall(r"\('(\w+)', '(\w+)', '(\w+)'\)", body))
    assert rows == {(str(step), str(after), event) for (step, event), after in NEXT.items()}


def test_whatever_is_not_in_the_table_cannot_happen() -> None:
    events = {event for _, event in NEXT} | {"", "paid"}
    for step, event in itertools.product(Step, events):
        if (step, event) in NEXT:
            assert advance(step, event) is NEXT[step, event]
        else:
            with pytest.raises(ForbiddenStep):
                advance(step, event)


def test_nothing_follows_a_cancelled_payment_and_every_step_can_be_reached() -> None:
    assert all(step is not Step.CANCELLED for step, _ in NEXT)
    assert {Step.OPENED, *NEXT.values()} == set(Step)


def test_every_step_has_one_of_the_four_public_states() -> None:
    shown = {step: public_status(a_payment(step=step)) for step in Step}
    assert shown == {
        Step.OPENED: Status.READY,
        Step.APPROVING: Status.READY,
        Step.WAITING_DEPOSIT: Status.READY,
        Step.PAID: Status.PAID,
        Step.FAILED: Status.FAILED,
        Step.CANCELLED: Status.CANCELLED,
    }


def test_a_partial_cancel_shows_as_the_switch_says() -> None:
    partly = a_payment(step=Step.PAID, cancelled=Money(4))
    assert public_status(partly) is Status.CANCELLED
    assert public_status(partly, partial_cancel=Status.PAID) is Status.PAID


def test_only_money_that_was_taken_can_be_given_back() -> None:
    for step in Step:
        balance = a_payment(step=step, cancelled=Money(4)).balance
        assert balance == Money(1000 if step in (Step.PAID, Step.CANCELLED) else 0)
        assert a_payment(step=step).final is (step not in (Step.OPENED, Step.APPROVING))

"""Each test here is one way to be robbed; each fails when its check is taken out."""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from naru.kit import (
    Cancelled,
    Failed,
    Forged,
    Order,
    Paid,
    Payment,
    Unknown,
    WaitingForDeposit,
    verify_payment,
)

PAID = Payment(
    imp_uid="imp_1",
    merchant_uid="ORD-1",
    status="paid",
    amount=Decimal(64900),
    cancel_amount=Decimal(0),
    currency="KRW",
    sandbox=False,
    pay_method="card",
    paid_at=datetime(2026, 1, 1, tzinfo=UTC),
)
ORDER = Order(merchant_uid="ORD-1", amount=64900)


def but(**changes: Any) -> Payment:
    return dataclasses.replace(PAID, **changes)


def order(**changes: Any) -> Order:
    return dataclasses.replace(ORDER, **changes)


def test_a_payment_that_fits_in_everything_is_paid() -> None:
    assert verify_payment(PAID, ORDER) == Paid(PAID)
    assert verify_payment(PAID, order(imp_uid="imp_1")) == Paid(PAID)


@pytest.mark.fault("E2_WD")
@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("payment", "against", "reason"),
    [
        (but(merchant_uid="ORD-2"), ORDER, "merchant_uid"),
        (but(merchant_uid="ord-1"), ORDER, "merchant_uid"),
        (but(merchant_uid="ORD-1 "), ORDER, "merchant_uid"),
        (but(merchant_uid="ORD-1\x00"), ORDER, "merchant_uid"),
        (but(merchant_uid="caf\u00e9"), order(merchant_uid="cafe\u0301"), "merchant_uid"),
        (but(merchant_uid=None), ORDER, "merchant_uid"),
        (but(amount=Decimal(1)), ORDER, "amount"),
        (but(amount=Decimal("64899.99")), ORDER, "amount"),
        (but(amount=Decimal(64901)), ORDER, "amount"),
        (but(amount=Decimal("NaN")), ORDER, "amount"),
        (but(amount=None), ORDER, "amount"),
        (but(currency="VND"), ORDER, "currency"),
        (but(currency="krw"), ORDER, "currency"),
        (but(currency=None), ORDER, "currency"),
        (PAID, order(imp_uid="imp_2"), "imp_uid"),
        (PAID, order(used_imp_uids={"imp_1"}), "replayed"),
        (PAID, order(used_imp_uids=lambda imp_uid: imp_uid == "imp_1"), "replayed"),
        (but(sandbox=True), ORDER, "sandbox"),
        (but(sandbox=None), ORDER, "sandbox"),
        (but(cancel_amount=None), ORDER, "cancel_amount"),
        (but(status="PAID"), ORDER, "status"),
        (but(status="captured"), ORDER, "status"),
    ],
)
def test_one_fact_that_differs_is_a_forgery_and_is_named(
    payment: Payment, against: Order, reason: str
) -> None:
    verdict = verify_payment(payment, against)

    assert isinstance(verdict, Forged)
    assert verdict.reasons == (reason,)


def test_all_differences_are_named_at_once() -> None:
    verdict = verify_payment(but(amount=Decimal(1), currency="VND", sandbox=True), ORDER)

    assert isinstance(verdict, Forged)
    assert verdict.reasons == ("amount", "currency", "sandbox")


def test_a_failed_payment_of_the_right_amount_is_a_failure_in_the_pgs_words() -> None:
    failed = but(status="failed", fail_reason="한도초과(3011)")

    assert verify_payment(failed, ORDER) == Failed(failed, "한도초과(3011)")


def test_a_failed_payment_of_another_amount_is_still_a_forgery() -> None:
    assert isinstance(verify_payment(but(status="failed", amount=Decimal(1)), ORDER), Forged)


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "payment",
    [
        but(status="cancelled", cancel_amount=Decimal(64900)),
        but(status="cancelled", cancel_amount=Decimal(0)),
        but(status="cancelled", cancel_amount=None),
        but(cancel_amount=Decimal(1)),
    ],
)
def test_money_that_went_back_all_or_in_part_is_not_paid(payment: Payment) -> None:
    assert verify_payment(payment, ORDER) == Cancelled(payment)


@pytest.mark.promise("P5")
def test_an_account_that_waits_is_not_paid() -> None:
    waiting = but(status="ready", pay_method="vbank", vbank_num="56211105948400")

    assert verify_payment(waiting, ORDER) == WaitingForDeposit(waiting)


@pytest.mark.parametrize("payment", [but(status="ready"), but(status="ready", pay_method="vbank")])
def test_an_open_window_is_unfinished_and_waits_for_no_deposit(payment: Payment) -> None:
    assert verify_payment(payment, ORDER) == Unknown(payment)


@pytest.mark.promise("P5")
def test_a_sandbox_payment_counts_only_where_the_shop_says_so() -> None:
    play = but(sandbox=True)

    assert isinstance(verify_payment(play, ORDER), Forged)
    assert verify_payment(play, order(allow_sandbox=True)) == Paid(play)


@pytest.mark.promise("P5", "P9")
def test_dollars_and_cents_are_compared_exactly() -> None:
    dollars = but(currency="USD", amount=Decimal("12.5"))

    assert isinstance(verify_payment(dollars, order(currency="USD", amount=Decimal("12.50"))), Paid)
    assert isinstance(
        verify_payment(dollars, order(currency="USD", amount=Decimal("12.51"))), Forged
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 64900.0},
        {"amount": True},
        {"amount": 0},
        {"amount": -1},
        {"amount": Decimal("Infinity")},
        {"merchant_uid": ""},
        {"used_imp_uids": "imp_1"},
    ],
)
def test_an_order_that_could_never_be_checked_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        order(**changes)

"""How much may be given back, for naru/domain/cancellation.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naru.domain.cancellation import CancelRequest, plan_cancellation
from naru.domain.errors import AlreadyCancelled, BalanceChanged, NotCancellable, Refused
from naru.domain.money import Money
from naru.domain.payment import Step
from tests.domain.test_payment import a_payment

AMOUNTS = st.integers(-5, 2000)
MAYBE = st.none() | AMOUNTS.map(Money)


# A busy machine may take its time.
@settings(deadline=None)
@given(
    amount=st.integers(1, 1000),
    data=st.data(),
    wanted=MAYBE,
    tax_free=MAYBE,
    vat=MAYBE,
    checksum=MAYBE,
)
def test_a_plan_never_gives_back_more_than_is_left(
    amount: int,
    data: st.DataObject,
    wanted: Money | None,
    tax_free: Money | None,
    vat: Money | None,
    checksum: Money | None,
) -> None:
    cancelled = data.draw(st.integers(0, amount - 1))
    payment = a_payment(
        step=Step.PAID, amount=Money(amount), cancelled=Money(cancelled), pg_tid="t"
    )
    request = CancelRequest(amount=wanted, tax_free=tax_free, vat=vat, checksum=checksum)
    try:
        order = plan_cancellation(payment, request, "c1")
    except Refused:
        return
    assert 0 < order.amount.minor <= amount - cancelled
    assert order.balance_before == payment.balance
    assert order.balance_after.minor >= 0
    assert order.tax_free.minor + (order.vat.minor if order.vat else 0) <= order.amount.minor
    assert order.amount == (wanted or payment.balance)
    assert checksum in (None, payment.balance)


@pytest.mark.parametrize("amount", [None, Money(0)])
def test_no_amount_and_zero_mean_all_that_is_left(amount: Money | None) -> None:
    payment = a_payment(step=Step.PAID, cancelled=Money(4), pg_tid="t")
    assert plan_cancellation(payment, CancelRequest(amount), "c1").amount == Money(1000)


def test_the_guards_speak_in_imports_order() -> None:
    wrong = CancelRequest(amount=Money(5000), checksum=Money(1))
    with pytest.raises(AlreadyCancelled):
        plan_cancellation(a_payment(step=Step.CANCELLED, pg_tid="t"), wrong, "c")
    with pytest.raises(BalanceChanged):
        plan_cancellation(a_payment(step=Step.PAID, pg_tid="t"), wrong, "c")
    for step in (Step.OPENED, Step.APPROVING, Step.WAITING_DEPOSIT, Step.FAILED):
        with pytest.raises(NotCancellable):
            plan_cancellation(a_payment(step=step, pg_tid="t"), wrong, "c")


@pytest.mark.parametrize("field", ["amount", "tax_free", "vat", "checksum"])
def test_another_currency_is_refused_and_not_a_crash(field: str) -> None:
    payment = a_payment(step=Step.PAID, pg_tid="t")
    with pytest.raises(Refused):
        plan_cancellation(payment, CancelRequest(**{field: Money(10, "USD")}), "c")

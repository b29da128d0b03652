"""Giving money back, for naru/payments/cancel.py."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from naru.domain.cancellation import CancelRequest
from naru.domain.errors import (
    AlreadyCancelled,
    BadAmount,
    BalanceChanged,
    ExceedsBalance,
    NoSuchPayment,
    NotCancellable,
    OutcomeUnknown,
    PgRefused,
    Refused,
)
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.payments.approve import approve
from naru.payments.cancel import cancel, find_to_cancel
from naru.payments.turns import Turns
from tests.payments.test_approve import back, intents, webhooks
from tests.support.gateway import House
from tests.support.stand_in_pg import Asked, StandInPg


async def paid_payment(house: House, pg: StandInPg, amount: int = 1004) -> Payment:
    payment = await house.open(amount)
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    return paid


async def give_back(house: House, payment: Payment, amount: int = 0, **asked: Any) -> Payment:
    request = CancelRequest(amount=Money(amount), **asked)
    return await cancel(house.gateway, house.merchant.id, payment.imp_uid, request)


async def test_no_amount_means_all_that_is_left(house: House, pg: StandInPg) -> None:
    payment = await paid_payment(house, pg)
    part = await give_back(house, payment, 400, reason="하나만")
    assert (part.step, part.balance) == (Step.PAID, Money(604))
    rest = await give_back(house, payment)
    assert (rest.step, rest.balance) == (Step.CANCELLED, Money(0))
    assert [one.amount.minor for one in rest.cancellations] == [400, 604]
    assert rest.cancellations[0].reason == "하나만"
    assert await house.history(payment.imp_uid) == [
        "opened",
        "authenticated",
        "approved",
        "partly_cancelled",
        "fully_cancelled",
    ]
    assert pg.taken() == 0
    with pytest.raises(AlreadyCancelled):
        await give_back(house, payment)


@pytest.mark.fault("F1_WD")
@pytest.mark.promise("P1", "P9")
async def test_what_cannot_be_given_back_is_refused_before_the_pg_is_asked(
    house: House, pg: StandInPg
) -> None:
    payment = await paid_payment(house, pg)
    refusals: list[tuple[type[Refused], dict[str, Any]]] = [
        (ExceedsBalance, {"amount": 1005}),
        (BalanceChanged, {"amount": 1, "checksum": Money(1003)}),
        (BalanceChanged, {"amount": 1, "checksum": Money(1004, "USD")}),
        (BadAmount, {"amount": -1}),
        (BadAmount, {"amount": 10, "tax_free": Money(11)}),
        (BadAmount, {"amount": 10, "tax_free": Money(5), "vat": Money(6)}),
        (BadAmount, {"amount": 10, "tax_free": Money(5, "USD")}),
    ]
    for refusal, asked in refusals:
        with pytest.raises(refusal):
            await give_back(house, payment, **asked)
    with pytest.raises(BadAmount):
        await cancel(
            house.gateway,
            house.merchant.id,
            payment.imp_uid,
            CancelRequest(amount=Money(10, "USD")),
        )
    assert pg.count("cancels") == 0
    assert await intents(house, payment.imp_uid) == ["done"]


@pytest.mark.fault("F1_WD")
@pytest.mark.promise("P10")
async def test_only_the_owner_cancels_and_only_what_was_paid(house: House, pg: StandInPg) -> None:
    payment = await paid_payment(house, pg)
    opened = await house.open()
    with pytest.raises(NoSuchPayment):
        await cancel(house.gateway, house.merchant.id + 1, payment.imp_uid, CancelRequest())
    with pytest.raises(NoSuchPayment):
        await cancel(house.gateway, house.merchant.id, "imp_nobody", CancelRequest())
    with pytest.raises(NotCancellable):
        await give_back(house, opened)
    assert pg.count("cancels") == 0


@pytest.mark.fault("F1_DU")
@pytest.mark.promise("P7")
async def test_one_checksum_is_spent_once(house: House, pg: StandInPg) -> None:
    """P7: eight cancels that all saw 1,004 won; the balance fits one of them."""
    payment = await paid_payment(house, pg)
    ends = await asyncio.gather(
        *(give_back(house, payment, 100, checksum=Money(1004)) for _ in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Payment) for each in ends) == 1
    assert sum(isinstance(each, BalanceChanged) for each in ends) == 7
    assert (await house.payment(payment.imp_uid)).cancelled == Money(100)


@pytest.mark.promise("P14")
@pytest.mark.parametrize("where", ["here", "in another process"])
async def test_a_cancel_waits_for_the_one_that_is_under_way(
    house: House, pg: StandInPg, where: str
) -> None:
    """It is not refused: nobody told its sender of the other one."""
    payment = await paid_payment(house, pg)
    at_pg, go_on = pg.hold("cancels", done_first=False)
    first = asyncio.create_task(give_back(house, payment, 100))
    await at_pg.wait()
    there = house.gateway if where == "here" else replace(house.gateway, turns=Turns())
    request = CancelRequest(amount=Money(200))
    second = asyncio.create_task(cancel(there, house.merchant.id, payment.imp_uid, request))
    done, _ = await asyncio.wait({second}, timeout=0.5)
    assert not done
    go_on.set()
    await first
    assert (await second).balance == Money(704)


@pytest.mark.fault("F1_DU", "F2_DU")
@pytest.mark.promise("P1", "P14")
async def test_sixty_four_cancels_at_once_never_give_back_more_than_was_taken(
    house: House, pg: StandInPg
) -> None:
    payment = await paid_payment(house, pg, 1000)
    # As sixty-four processes, of which none knows whose turn it is.
    request = CancelRequest(amount=Money(30))
    ends = await asyncio.gather(
        *(
            cancel(
                replace(house.gateway, turns=Turns()), house.merchant.id, payment.imp_uid, request
            )
            for _ in range(64)
        ),
        return_exceptions=True,
    )
    given = sum(isinstance(each, Payment) for each in ends)
    assert all(isinstance(each, Payment | Refused) for each in ends), ends
    standing = await house.payment(payment.imp_uid)
    assert standing.cancelled == Money(30 * given)
    assert 0 < given <= 33
    assert pg.taken() == 1000 - 30 * given
    assert sum(one.amount.minor for one in standing.cancellations) == 30 * given


async def test_a_refusal_of_the_pg_comes_in_its_own_words_and_frees_the_balance(
    house: House, pg: StandInPg
) -> None:
    payment = await paid_payment(house, pg)
    pg.answer("cancels", {"result": "refused", "code": "2013", "message": "취소 불가"})
    with pytest.raises(PgRefused, match="취소 불가") as refused:
        await give_back(house, payment, 400)
    assert refused.value.pg_code == "2013"
    assert (await give_back(house, payment, 400)).balance == Money(604)


@pytest.mark.fault("F3_WD")
async def test_the_books_follow_the_pg_when_it_gave_back_another_amount(
    house: House, pg: StandInPg
) -> None:
    payment = await paid_payment(house, pg)
    pg.change("cancels", amount=300)
    changed = await give_back(house, payment, 400)
    assert changed.cancelled == Money(300)
    assert [one.amount for one in changed.cancellations] == [Money(300)]


@pytest.mark.fault("F2_WD")
@pytest.mark.promise("P14")
@pytest.mark.parametrize("how", ["hang up", "another cancel", "more than there is", "garbage"])
async def test_an_answer_that_cannot_be_booked_keeps_the_balance_reserved(
    house: House, pg: StandInPg, how: str
) -> None:
    payment = await paid_payment(house, pg)
    if how == "hang up":
        pg.hang_up("cancels", done=True)
    elif how == "another cancel":
        pg.change("cancels", cancel_no="c-somebody-elses")
    elif how == "more than there is":
        pg.change("cancels", amount=5000)
    else:
        pg.answer("cancels", b"OK")
    with pytest.raises(OutcomeUnknown):
        await give_back(house, payment, 400)
    assert await intents(house, payment.imp_uid) == ["done", "unknown"]
    assert (await house.payment(payment.imp_uid)).cancelled == Money(0)
    with pytest.raises(Refused):
        await give_back(house, payment, 400)
    assert pg.count("cancels") == 1


@pytest.mark.promise("P13")
async def test_the_reservation_is_committed_before_the_pg_hears_of_it(
    house: House, pg: StandInPg
) -> None:
    payment = await paid_payment(house, pg)
    seen: list[list[str]] = []

    async def peek(asked: Asked) -> None:
        seen.append(await intents(house, payment.imp_uid))

    pg.peek = peek
    await give_back(house, payment, 400)
    assert seen == [["done", "open"]]


async def test_a_cancel_is_announced_only_when_the_merchant_asks(
    house: House, pg: StandInPg
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    payment = await paid_payment(house, pg)
    await give_back(house, payment, 100)
    await give_back(house, payment, 100, enable_webhook=True)
    assert await webhooks(house) == ["paid", "cancelled"]


async def test_an_order_number_means_its_paid_payment(house: House, pg: StandInPg) -> None:
    payment = await paid_payment(house, pg)
    me = house.merchant.id
    assert await find_to_cancel(house.gateway, me, None, payment.merchant_uid) == payment.imp_uid
    assert await find_to_cancel(house.gateway, me, "imp_x", payment.merchant_uid) == "imp_x"
    for merchant, order in ((me, "nobody"), (me + 1, payment.merchant_uid), (me, None)):
        with pytest.raises(NoSuchPayment):
            await find_to_cancel(house.gateway, merchant, None, order)

"""Deaths at every named point of receipts and errands: nothing is promised twice, nothing is forgotten.

The tables of the tax office and of the PG are the sandbox's own; it allows one living receipt per
charge, and answers a number that it knows as it did the first time.
"""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from naru.domain.cash_receipt import CashReceipt, Identifier, ReceiptIssued
from naru.domain.money import Money
from naru.domain.outcome import Declined, Unknown
from naru.domain.payment import Payment
from naru.payments.cancel_cash_receipt import cancel_cash_receipt
from naru.payments.issue_cash_receipt import ReceiptRequest, issue_cash_receipt, settle_receipt
from naru.payments.reconcile_receipt import reconcile_receipt
from naru.payments.run_errand import due_errands, run_again
from naru.payments.ship_escrow import ship_escrow
from tests.rest.cash import page, transfer
from tests.rest.conftest import Desk
from tests.rest.test_receipts import look_again
from tests.support.dying import dying

REQUEST = ReceiptRequest(Identifier.read("010-1234-5678"))
RECEIPT_POINTS = (
    "receipt.before_ask",
    "receipt.after_ask",
    "receipt.after_pg",
    "receipt.before_commit",
    "receipt.after_commit",
)
SHIPMENT = {
    "company": "CJGLS",
    "invoice": "1",
    "sent_at": 1_644_850_800,
    "sender": {},
    "receiver": {},
}


async def receipt_of(desk: Desk, payment: Payment) -> CashReceipt | None:
    async with desk.gateway.store.direct() as session:
        return await session.cash_receipts.of_payment(desk.shop.merchant.id, payment.imp_uid)


@pytest.mark.parametrize("point", RECEIPT_POINTS)
async def test_who_dies_while_a_receipt_is_issued_leaves_one_or_none(
    desk_with_pg: Desk, point: str
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)

    with dying(point):
        await issue_cash_receipt(desk.gateway, desk.shop.merchant, payment.imp_uid, REQUEST)
    await look_again(desk)

    left = await receipt_of(desk, payment)
    if point == "receipt.before_ask":
        assert left is None
        left = await issue_cash_receipt(desk.gateway, desk.shop.merchant, payment.imp_uid, REQUEST)
    assert left is not None
    assert left.state == "issued"
    assert left.receipt_url is not None
    assert "발급" in await page(desk, left.receipt_url)
    # The PG has one of this charge: had it another, this one would have been refused.
    assert left.order is None


@pytest.mark.parametrize("point", RECEIPT_POINTS)
async def test_who_dies_while_it_is_taken_back_leaves_it_taken_back_or_standing(
    desk_with_pg: Desk, point: str
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    issued = await issue_cash_receipt(desk.gateway, desk.shop.merchant, payment.imp_uid, REQUEST)

    with dying(point):
        await cancel_cash_receipt(desk.gateway, issued)
    await look_again(desk)

    left = await receipt_of(desk, payment)
    assert left is not None
    assert left.state == ("issued" if point == "receipt.before_ask" else "cancelled")
    assert issued.receipt_url is not None
    shown = await page(desk, issued.receipt_url)
    assert ("취소됨" in shown) == (left.state == "cancelled")


@pytest.mark.parametrize(
    "point",
    [
        "errand.before_ask",
        "errand.after_ask",
        "errand.after_pg",
        "errand.before_commit",
        "errand.after_commit",
    ],
)
async def test_who_dies_while_a_shipment_is_told_leaves_it_told(
    desk_with_pg: Desk, point: str
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, escrow=True)

    async def ship() -> None:
        await ship_escrow(
            desk.gateway, desk.shop.merchant.id, payment.imp_uid, SHIPMENT, change=False
        )

    with dying(point):
        await ship()
    desk.clock.advance(60)
    for number in await due_errands(desk.gateway):
        await run_again(desk.gateway, number)

    if point == "errand.before_ask":
        await ship()
    async with desk.gateway.store.direct() as session:
        told = await session.errands.shipment(desk.shop.merchant.id, payment.imp_uid)
    assert told is not None
    assert told.became["invoice"] == "1"


async def test_a_receipt_that_is_being_issued_while_the_money_goes_back_is_taken_back(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    whole = {"imp_uid": payment.imp_uid}

    with dying("receipt.after_pg"):
        await issue_cash_receipt(desk.gateway, desk.shop.merchant, payment.imp_uid, REQUEST)
    assert (await desk.ask("POST", "/payments/cancel", json=whole)).verdict == (200, 0, None)
    await look_again(desk)
    await look_again(desk)

    left = await receipt_of(desk, payment)
    assert left is not None
    assert left.state == "cancelled"
    assert left.receipt_url is not None
    assert "취소됨" in await page(desk, left.receipt_url)


async def test_many_workers_end_one_doubt_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    with dying("receipt.after_ask"):
        await issue_cash_receipt(desk.gateway, desk.shop.merchant, payment.imp_uid, REQUEST)
    asked = await receipt_of(desk, payment)
    assert asked is not None
    assert asked.state == "asking"
    desk.clock.advance(60)

    ended = await asyncio.gather(
        *(reconcile_receipt(desk.gateway, asked.number) for _ in range(8)), return_exceptions=True
    )

    assert not [each for each in ended if isinstance(each, BaseException)]
    assert sum(each is not None for each in ended) == 1
    left = await receipt_of(desk, payment)
    assert left is not None
    assert (left.state, left.tries, left.fence) == ("issued", 0, 1)


async def test_a_no_of_who_slept_ends_nothing(desk_with_pg: Desk) -> None:
    """Its control is the same word from who holds the question: that one is believed."""
    desk = desk_with_pg
    payment = await transfer(desk)
    with dying("receipt.after_ask"):
        await issue_cash_receipt(desk.gateway, desk.shop.merchant, payment.imp_uid, REQUEST)
    slept = await receipt_of(desk, payment)
    assert slept is not None
    now = desk.clock()
    async with desk.gateway.store.begin() as tx:
        leased = await tx.cash_receipts.lease(slept.number, now, slept.asked_at.replace(year=2100))
    assert leased is not None

    no = Declined("NOT_SENT", "never left")
    assert (await settle_receipt(desk.gateway, slept, no)).state == "asking"
    other = ReceiptIssued("another", "tid", "1", Money(1004), now)
    assert (await settle_receipt(desk.gateway, leased, other)).state == "asking"
    assert (await settle_receipt(desk.gateway, leased, Unknown("silence"))).state == "asking"
    assert (await settle_receipt(desk.gateway, leased, no)).state == "refused"


async def test_a_doubt_of_an_hour_is_laid_before_a_person_and_closed_by_the_answer(
    desk: Desk,
) -> None:
    payment = await desk.pay(pay_method="trans")
    with dying("receipt.after_ask"):
        await issue_cash_receipt(desk.gateway, desk.shop.merchant, payment.imp_uid, REQUEST)
    asked = await receipt_of(desk, payment)
    assert asked is not None

    async def kinds() -> list[tuple[str, bool]]:
        async with desk.gateway.store.direct() as session:
            tasks = await session.tasks.of_payment(payment.imp_uid)
        return [(task.kind, task.closed_at is None) for task in tasks]

    desk.clock.advance(60)
    assert await reconcile_receipt(desk.gateway, asked.number) is not None
    assert await kinds() == []
    desk.clock.advance(3_600)
    assert await reconcile_receipt(desk.gateway, asked.number) is not None
    assert await kinds() == [("receipt_unknown", True)]
    leased = await receipt_of(desk, payment)
    assert leased is not None
    issued = ReceiptIssued(leased.number, "tid", "1", leased.tax.amount, desk.clock())
    assert (await settle_receipt(desk.gateway, leased, issued)).state == "issued"
    assert await kinds() == [("receipt_unknown", False)]


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ("UPDATE cash_receipts SET amount = amount + 1 WHERE number = $1", "never changes"),
        ("UPDATE cash_receipts SET receipt_tid = 'other' WHERE number = $1", "never changes"),
        (
            "UPDATE cash_receipts SET state = 'cancelled', cancelled_at = now() WHERE number = $1",
            "is issued, and will not be cancelled",
        ),
        ("UPDATE cash_receipts SET cancels = cancels + 1 WHERE number = $1", "a number for each"),
        ("DELETE FROM cash_receipts WHERE number = $1", "rows stay"),
        (
            "INSERT INTO cash_receipts (merchant_id, channel_id, imp_uid, merchant_uid, number, state, type, amount,"
            " tax_free, vat, asked_at, next_try_at, sealed) SELECT merchant_id, channel_id, imp_uid,"
            " merchant_uid, number || 'x', 'asking', type, amount, 0, 0, now(), now(), decode(rpad('0100000001', 80, '0'), 'hex')"
            " FROM cash_receipts WHERE number = $1",
            "one_receipt",
        ),
    ],
)
async def test_a_hand_written_change_is_refused(
    desk_with_pg: Desk, rest_database: str, attack: str, words: str
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    issued = await issue_cash_receipt(desk.gateway, desk.shop.merchant, payment.imp_uid, REQUEST)
    line = await asyncpg.connect(rest_database)
    try:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=words):
            await line.execute(attack, issued.number)
        again = "UPDATE cash_receipts SET fail_reason = 'x' WHERE number = $1"
        assert await line.execute(again, issued.number) == "UPDATE 1"
    finally:
        await line.close()

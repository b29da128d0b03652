"""The PG's own book against ours, in both directions, for naru/payments/compare_books.py (P3, K2)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from naru.connectors import Can
from naru.connectors.sandbox import Sandbox
from naru.domain.book import DifferenceKind as Kind
from naru.domain.book import Ending
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import OutcomeUnknown, PgRefused
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.domain.task import TaskKind
from naru.payments.abandon import abandon
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.compare_books import (
    Comparison,
    compare_books,
    compare_contract,
    contracts,
    due_contracts,
)
from naru.payments.confirm_deposit import confirm_deposit
from naru.payments.reconcile import reconcile
from naru.payments.settle import undo
from naru.store import StoreUnavailable
from tests.payments.test_approve import back
from tests.payments.test_confirm_deposit import arrived, issue
from tests.support.database_away import database_away
from tests.support.dying import dying
from tests.support.gateway import House, open_house
from tests.support.sandbox_pg import authenticate, join, sandbox_pg
from tests.support.scale import often
from tests.support.stand_in_pg import StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

pytestmark = pytest.mark.promise("P3")


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


async def webhooks(house: House) -> list[str]:
    """What this house's merchant was told, oldest first."""
    async with house.gateway.store.direct() as session:
        return [
            each.status for each in await session.outbox.of_merchant(house.merchant.id, most=1000)
        ][::-1]


async def pay(house: House, pg: StandInPg, amount: int = 1004, **given: Any) -> Payment:
    payment = await house.open(amount, **given)
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    return paid


async def compare(house: House, *, minutes: int = 11) -> Comparison:
    """A comparison when what happened is no longer fresh."""
    house.clock.advance(minutes=minutes)
    return await compare_books(house.gateway, [house.channel])


def found(comparison: Comparison) -> list[tuple[Kind, Ending]]:
    assert comparison.broken is None
    return sorted((each.kind, each.ending) for each in comparison.differences)


async def tasks(house: House) -> list[TaskKind]:
    """The open tasks of this house: each names its channel, or its payment."""
    async with house.gateway.store.direct() as session:
        open_tasks = await session.tasks.list_open()
        mine = set()
        for task in open_tasks:
            payment = await session.payments.get(task.imp_uid) if task.imp_uid else None
            if payment is not None and payment.merchant_id == house.merchant.id:
                mine.add(task.id)
            if task.subject.split("/")[0] == str(house.channel.id):
                mine.add(task.id)
    return [TaskKind(task.kind) for task in open_tasks if task.id in mine]


async def due(house: House) -> bool:
    """Do this house's books wait to be compared?"""
    return house.channel.id in await due_contracts(house.gateway)


async def failed(house: House, pg: StandInPg, amount: int = 1004) -> Payment:
    """A payment that the PG declined."""
    payment = await house.open(amount)
    pg.answer("approvals", {"result": "declined", "code": "3011", "message": "한도초과"})
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    return await house.payment(payment.imp_uid)


def approve_there(pg: StandInPg, payment: Payment, amount: int | None = None) -> None:
    """The PG approves after all, and nobody hears of it."""
    body = {"order_no": payment.pg_order_no, "amount": amount or payment.amount.minor}
    answer = {
        "result": "approved",
        "order_no": payment.pg_order_no,
        "tid": f"late-{payment.pg_order_no}",
        "amount": body["amount"],
        "currency": "KRW",
        "approved_at": int(time.time()),
    }
    pg._write("approved", {**body, "currency": "KRW"}, answer)
    pg.move("charge", payment.pg_order_no, str(answer["tid"]), "1", int(body["amount"]))


async def test_books_that_agree_are_silent(house: House, pg: StandInPg) -> None:
    paid = await pay(house, pg)
    part = CancelRequest(amount=Money(400))
    await cancel(house.gateway, house.merchant.id, paid.imp_uid, part)
    waiting = await issue(house)
    key = pg.pay_in(waiting.pg_order_no, 1004)
    await confirm_deposit(house.gateway, house.channel, arrived(house, waiting, 1004, key))
    undone = await house.open()
    pg.hang_up("approvals", done=False)
    await approve(house.gateway, undone.imp_uid, back(pg, undone))
    result = await compare(house)
    assert result.agrees
    assert result.movements == 3
    assert await tasks(house) == []


@pytest.mark.fault("K2_DU", "K2_LQ")
async def test_a_deposit_whose_notice_was_lost_is_found_and_pays(
    house: House, pg: StandInPg
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    waiting = await issue(house)
    key = pg.pay_in(waiting.pg_order_no, 1004)
    results = await asyncio.gather(*(compare(house) for _ in range(often(8, 64))))
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    # Each saw the difference or came after it; the effect exists once.
    for result in results:
        assert found(result) in ([], [(Kind.DEPOSIT_LOST, Ending.BOOKED)])
    assert await webhooks(house) == ["ready", "paid"]
    # And when the notice comes at last it says nothing new.
    late = arrived(house, waiting, 1004, key)
    assert await confirm_deposit(house.gateway, house.channel, late) == "repeated"
    assert (await compare(house)).agrees
    assert await tasks(house) == []


async def test_a_lost_deposit_that_does_not_fit_is_booked_and_told(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house)
    pg.pay_in(waiting.pg_order_no, 1000)
    pg.move("deposit", "n-nobody", "tid-x", "ntc-x", 5)
    assert found(await compare(house)) == [(Kind.DEPOSIT_LOST, Ending.BOOKED)] * 2
    assert sorted(await tasks(house)) == [
        TaskKind.DEPOSIT_SHORT,
        TaskKind.DEPOSIT_UNKNOWN_ORDER,
    ]
    assert (await compare(house)).agrees


async def test_a_declined_payment_that_the_pg_approved_after_all_is_booked_as_paid(
    house: House, pg: StandInPg
) -> None:
    """failed -> paid, a second webhook, and somebody is told: the buyer's money is never nobody's."""
    await house.set_merchant(webhook_url="https://shop.example/hook")
    payment = await failed(house, pg)
    approve_there(pg, payment)
    assert found(await compare(house)) == [(Kind.CHARGE_LATE, Ending.BOOKED)]
    paid = await house.payment(payment.imp_uid)
    assert (paid.step, paid.flagged, paid.balance) == (Step.PAID, False, Money(1004))
    assert await webhooks(house) == ["paid"]
    assert await tasks(house) == [TaskKind.APPROVED_LATE]
    assert (await compare(house)).agrees
    assert await tasks(house) == [TaskKind.APPROVED_LATE]


@pytest.mark.promise("P2")
async def test_a_late_approval_of_an_order_that_is_paid_already_is_booked_and_flagged(
    house: House, pg: StandInPg
) -> None:
    first = await house.open(merchant_uid=MerchantUid("o1"))
    pg.answer("approvals", {"result": "declined", "code": "3011", "message": "한도초과"})
    await approve(house.gateway, first.imp_uid, back(pg, first))
    await pay(house, pg, merchant_uid=MerchantUid("o1"))
    approve_there(pg, first)
    assert found(await compare(house)) == [(Kind.CHARGE_LATE, Ending.BOOKED)]
    assert (await house.payment(first.imp_uid)).flagged
    assert (await compare(house)).agrees


@pytest.mark.fault("K2_RO")
async def test_an_approval_after_our_undoing_is_undone_again_two_days_later(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    pg.hang_up("approvals", done=False)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    house.clock.advance(seconds=30)
    assert (await reconcile(house.gateway, payment.imp_uid)) is not None
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "undone"]
    # This PG forgot what it had promised.
    approve_there(pg, payment)
    result = await compare(house, minutes=2 * 24 * 60 - 5)
    assert found(result) == [(Kind.CHARGE_LATE, Ending.UNDONE)]
    assert pg.taken() == 0
    assert (await house.payment(payment.imp_uid)).step is Step.FAILED
    assert (await compare(house)).agrees


async def test_an_approval_that_cannot_be_undone_any_more_is_booked(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    pg.hang_up("approvals", done=False)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    house.clock.advance(seconds=30)
    await reconcile(house.gateway, payment.imp_uid)
    approve_there(pg, payment)
    pg.answer("net_cancel", {"result": "refused", "code": "TOO_LATE", "message": "망취소 불가"})
    assert found(await compare(house)) == [(Kind.CHARGE_LATE, Ending.BOOKED)]
    assert (await house.payment(payment.imp_uid)).step is Step.PAID
    assert pg.taken() == 1004
    assert TaskKind.APPROVED_LATE in await tasks(house)


async def test_a_charge_that_nobody_here_asked_for_is_undone_or_told(
    house: House, pg: StandInPg
) -> None:
    given_up, stuck = await house.open(), await house.open()
    for payment in (given_up, stuck):
        await abandon(house.gateway, payment.imp_uid, "USER", "그만")
        approve_there(pg, payment)
    pg.answer("net_cancel", {"result": "refused", "code": "TOO_LATE", "message": "망취소 불가"})
    pg.move("charge", "n-nobody", "tid-nobody", "1", 700)
    result = await compare(house)
    assert Counter(found(result)) == {
        (Kind.CHARGE_LATE, Ending.UNDONE): 1,
        (Kind.CHARGE_UNKNOWN, Ending.TOLD): 2,
    }
    told = [TaskKind.ANSWERS_CONTRADICT] * 2 + [TaskKind.BOOK_CHARGE_UNKNOWN] * 2
    assert sorted(await tasks(house)) == told
    for payment in (given_up, stuck):
        assert (await house.payment(payment.imp_uid)).step is Step.FAILED
    # What nobody has mended is found again, and is not told again.
    assert (Kind.CHARGE_UNKNOWN, Ending.TOLD) in found(await compare(house))
    assert sorted(await tasks(house)) == told


@pytest.mark.fault("K2_WD")
async def test_a_pg_that_lies_about_amounts_changes_nothing_and_is_told(
    house: House, pg: StandInPg
) -> None:
    paid = await pay(house, pg)
    await cancel(house.gateway, house.merchant.id, paid.imp_uid, CancelRequest(amount=Money(4)))
    waiting = await issue(house)
    key = pg.pay_in(waiting.pg_order_no, 1004)
    await confirm_deposit(house.gateway, house.channel, arrived(house, waiting, 1004, key))
    before = [await house.payment(each.imp_uid) for each in (paid, waiting)]
    for row in pg.book:
        row["amount"] += 1
    assert found(await compare(house)) == [
        (Kind.CANCEL_AMOUNT, Ending.TOLD),
        (Kind.CHARGE_AMOUNT, Ending.TOLD),
        (Kind.DEPOSIT_AMOUNT, Ending.TOLD),
    ]
    assert [await house.payment(each.imp_uid) for each in (paid, waiting)] == before
    assert await tasks(house) == [TaskKind.BOOK_AMOUNT] * 3


async def test_a_late_approval_of_another_amount_is_never_booked_as_ours(
    house: House, pg: StandInPg
) -> None:
    payment = await failed(house, pg)
    approve_there(pg, payment, amount=999)
    pg.answer("net_cancel", b"busy", 503)
    assert found(await compare(house)) == [(Kind.CHARGE_AMOUNT, Ending.TOLD)]
    assert (await house.payment(payment.imp_uid)).step is Step.FAILED
    assert found(await compare(house)) == [(Kind.CHARGE_LATE, Ending.UNDONE)]
    assert pg.taken() == 0


async def test_a_cancel_of_the_pgs_console_is_booked_announced_and_told(
    house: House, pg: StandInPg
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    part, whole = await pay(house, pg), await pay(house, pg)
    pg.cancel_at_console(part.pg_order_no, 400)
    pg.cancel_at_console(whole.pg_order_no, 1004)
    assert found(await compare(house)) == [(Kind.CANCEL_AT_PG, Ending.BOOKED)] * 2
    assert (await house.payment(part.imp_uid)).balance == Money(604)
    assert (await house.payment(whole.imp_uid)).step is Step.CANCELLED
    assert Counter(await webhooks(house)) == {"paid": 2, "cancelled": 2}
    assert await tasks(house) == [TaskKind.CANCELLED_AT_PG] * 2
    assert (await compare(house)).agrees
    # Our own cancel of the rest goes on from the balance that the PG has.
    rest = await cancel(house.gateway, house.merchant.id, part.imp_uid, CancelRequest())
    assert rest.step is Step.CANCELLED


async def test_a_cancel_that_does_not_fit_is_told_and_changes_nothing(
    house: House, pg: StandInPg
) -> None:
    paid, waiting = await pay(house, pg), await issue(house)
    pg.move("cancel", paid.pg_order_no, paid.pg_tid or "", "console-1", 1005)
    pg.move("cancel", paid.pg_order_no, "another-tid", "console-2", 4)
    pg.move("cancel", waiting.pg_order_no, waiting.pg_tid or "", "console-3", 4)
    pg.move("cancel", "n-nobody", "tid", "console-4", 4)
    assert found(await compare(house)) == [(Kind.CANCEL_UNKNOWN, Ending.TOLD)] * 4
    assert (await house.payment(paid.imp_uid)).balance == Money(1004)


async def test_a_cancel_that_we_gave_up_and_the_pg_did_is_booked_as_ours(
    house: House, pg: StandInPg
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    paid = await pay(house, pg)
    pg.answer("cancels", {"result": "refused", "code": "X", "message": "거절"})
    request = CancelRequest(amount=Money(400), reason="변심")
    with pytest.raises(PgRefused):
        await cancel(house.gateway, house.merchant.id, paid.imp_uid, request)
    number = pg.asked[-1].body["cancel_no"]
    pg.move("cancel", paid.pg_order_no, paid.pg_tid or "", number, 400)
    assert found(await compare(house)) == [(Kind.CANCEL_LATE, Ending.BOOKED)]
    [booked] = (await house.payment(paid.imp_uid)).cancellations
    assert (booked.cancellation_id, booked.reason) == (number, "변심")
    assert await webhooks(house) == ["paid"], "this cancel had not asked for a webhook"
    assert await tasks(house) == [TaskKind.CANCELLED_LATE]


async def test_what_our_worker_is_about_to_end_is_left_to_it(house: House, pg: StandInPg) -> None:
    paid, doubtful = await pay(house, pg), await house.open()
    pg.hang_up("approvals", done=True)
    await approve(house.gateway, doubtful.imp_uid, back(pg, doubtful))
    pg.hang_up("cancels", done=True)
    with pytest.raises(OutcomeUnknown):
        await cancel(house.gateway, house.merchant.id, paid.imp_uid, CancelRequest())
    result = await compare(house)
    assert (found(result), result.pending) == ([], 2)
    for payment in (paid, doubtful):
        await reconcile(house.gateway, payment.imp_uid)
    assert (await compare(house)).pending == 0


async def test_what_only_we_have_is_told_and_stays(house: House, pg: StandInPg) -> None:
    paid = await pay(house, pg)
    await cancel(house.gateway, house.merchant.id, paid.imp_uid, CancelRequest(amount=Money(4)))
    waiting = await issue(house)
    await confirm_deposit(house.gateway, house.channel, arrived(house, waiting, 1004, "n1"))
    pg.book.clear()
    assert found(await compare(house)) == [
        (Kind.CANCEL_MISSING, Ending.TOLD),
        (Kind.CHARGE_MISSING, Ending.TOLD),
        (Kind.DEPOSIT_MISSING, Ending.TOLD),
    ]
    assert sorted(await tasks(house)) == [
        TaskKind.BOOK_CANCEL_MISSING,
        TaskKind.BOOK_CHARGE_MISSING,
        TaskKind.BOOK_DEPOSIT_MISSING,
    ]
    assert (await house.payment(paid.imp_uid)).step is Step.PAID


HAND_MADE = """
    UPDATE payments SET step = 'approving', event = 'authenticated', version = version + 1, approving_at = $2
     WHERE imp_uid = $1;
    INSERT INTO intents (imp_uid, kind, number, amount, opened_at, next_try_at)
    SELECT imp_uid, 'approve', pg_order_no, amount, $2, $2 FROM payments WHERE imp_uid = $1;
    UPDATE payments SET step = 'paid', event = 'approved', version = version + 1, paid_at = $2,
           pg_tid = 'hand' || pg_order_no, vbank_code = $3 WHERE imp_uid = $1;
    UPDATE intents SET state = 'done', closed_at = $2 WHERE imp_uid = $1;
"""


@pytest.mark.parametrize(
    ("ago", "bank"),
    [
        (timedelta(), None),
        (timedelta(days=5), None),
        (timedelta(days=400), None),
        (timedelta(), "004"),
        (timedelta(days=-400), None),
    ],
    ids=["as of now", "of last week", "of last year", "with an account", "of next year"],
)
async def test_a_payment_that_another_hand_wrote_is_told_whatever_time_it_names(
    house: House, pg: StandInPg, ago: timedelta, bank: str | None
) -> None:
    """The database's own role writes every row that a paid payment has, and an old time into it.

    Its events are dated by the database, so the next comparison asks the PG about that time.
    """
    real = await pay(house, pg)
    forged = await house.open()
    connection = await asyncpg.connect(house.dsn)
    async with connection.transaction():
        for statement in HAND_MADE.split(";")[:-1]:
            values = (forged.imp_uid, house.gateway.now() - ago, bank)
            most = max(n for n in (1, 2, 3) if f"${n}" in statement)
            await connection.execute(statement, *values[:most])
    await connection.close()
    result = await compare(house)
    assert found(result) == [(Kind.CHARGE_MISSING, Ending.TOLD)]
    assert result.differences[0].imp_uid == forged.imp_uid != real.imp_uid
    assert await tasks(house) == [TaskKind.BOOK_CHARGE_MISSING]


async def test_what_was_booked_long_after_it_was_paid_is_looked_for_where_it_stands(
    house: House, pg: StandInPg
) -> None:
    """A person's decision, or a restored copy: paid a month ago, booked today. The PG has it."""
    payment = await pay(house, pg)
    month = 30 * 86_400
    pg.now = lambda: time.time() - month
    old = await pay(house, pg)
    assert house.gateway.now() - (old.paid_at or house.gateway.now()) > timedelta(days=29)
    cancelled = await cancel(house.gateway, house.merchant.id, old.imp_uid, CancelRequest(Money(4)))
    assert cancelled.cancelled == Money(4)
    assert found(await compare(house)) == []
    assert (await house.payment(payment.imp_uid)).step is Step.PAID


async def test_an_approval_that_is_undone_there_and_paid_here_is_told(
    house: House, pg: StandInPg
) -> None:
    paid = await pay(house, pg)
    pg.move("net_cancel", paid.pg_order_no, paid.pg_tid or "", paid.pg_order_no, 1004)
    assert found(await compare(house)) == [(Kind.CHARGE_UNDONE, Ending.TOLD)]
    assert await tasks(house) == [TaskKind.BOOK_UNDONE]


async def test_the_book_of_one_merchants_pg_says_nothing_about_anothers_payments(
    house: House, pg: StandInPg
) -> None:
    """Whoever has a PG of their own can write what they like into its book (P10)."""
    paid = await pay(house, pg)
    async with open_house(house.dsn, pg.url, clock=house.clock) as thief:
        pg.cancel_at_console(paid.pg_order_no, 1004)
        house.clock.advance(minutes=11)
        result = await compare_books(thief.gateway, [thief.channel])
    assert (Kind.CANCEL_UNKNOWN, Ending.TOLD) in found(result)
    assert (await house.payment(paid.imp_uid)).balance == Money(1004)


GARBAGE: list[dict[str, Any] | bytes] = [
    b"",
    b"[]",
    {"result": "book"},
    {"result": "book", "rows": {}, "more": False},
    {"result": "book", "rows": [], "more": True},
    {"result": "book", "rows": [{}], "more": False},
    {"result": "error", "code": "UNAUTHENTICATED", "message": "?"},
]
ROW = {
    "seq": 1,
    "at": 1_800_000_000,
    "kind": "charge",
    "order_no": "n1",
    "tid": "t1",
    "reference": "r1",
    "amount": 5,
    "currency": "KRW",
}
BAD_ROWS: list[dict[str, Any]] = [
    {"seq": 0},
    {"seq": "1"},
    {"kind": "gift"},
    {"amount": 0},
    {"amount": -5},
    {"amount": True},
    {"amount": 1.5},
    {"amount": 10**30},
    {"currency": "XXX"},
    {"at": -1},
    {"at": 10**30},
    {"order_no": ""},
    {"order_no": None},
    {"tid": "a\x00"},
    {"reference": "\ud800"},
    {"reference": "r" * 9000},
]
GARBAGE += [{"result": "book", "rows": [{**ROW, **bad}], "more": False} for bad in BAD_ROWS]
GARBAGE.append({"result": "book", "rows": [ROW, ROW], "more": False})


@pytest.mark.fault("K2_WD")
async def test_a_book_that_cannot_be_read_is_never_taken_for_one_that_agrees(
    house: House, pg: StandInPg
) -> None:
    paid = await pay(house, pg)
    house.clock.advance(minutes=11)
    for said in GARBAGE:
        for _ in range(3):
            pg.answer("book", said)
        result = await compare(house, minutes=0)
        assert result.broken is not None, said
        assert not result.agrees
        assert result.differences == []
    assert (await house.payment(paid.imp_uid)).step is Step.PAID
    assert (await compare(house)).agrees


@pytest.mark.fault("K2_LR", "K2_NP", "K2_SL")
async def test_a_pg_that_is_away_is_asked_again_until_it_answers_and_silence_is_told(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house)
    pg.pay_in(waiting.pg_order_no, 1004)
    me = house.channel.id
    for _ in range(3):
        pg.answer("book", b"busy", 503)
    assert (await compare(house)).broken is not None
    assert await tasks(house) == []
    house.clock.advance(days=1)
    assert await due(house)
    # Two answers of three are lost on the way: the page is asked for until it is there.
    pg.hang_up("book", done=True)
    pg.hang_up("book", done=True)
    result = await compare_contract(house.gateway, me)
    assert result is not None
    assert found(result) == [(Kind.DEPOSIT_LOST, Ending.BOOKED)]
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    assert not await due(house)
    house.clock.advance(days=2, minutes=5)
    for _ in range(3):
        pg.answer("book", b"busy", 503)
    result = await compare_contract(house.gateway, me)
    assert result is not None
    assert result.broken is not None
    assert await tasks(house) == [TaskKind.BOOK_UNREADABLE]
    assert await due(house)


DEATHS = (
    "compare.after_page",
    "compare.after_pg",
    "compare.before_commit",
    "compare.after_commit",
    "notice.before_book",
    "deposit.before_commit",
    "deposit.after_commit",
)


@pytest.mark.fault("K2_CB", "K2_CA")
async def test_a_comparison_that_dies_anywhere_is_done_again_and_does_everything_once(
    house: House, pg: StandInPg
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    # By day at the first pass; by night at the second too, but for the page, of which there is one.
    deaths = [(point, 1) for point in DEATHS]
    deaths += [(point, 2) for point in DEATHS[1:]] * often(0, 1)
    everyone: list[Payment] = []
    for number, (point, times) in enumerate(deaths, start=1):
        late = [await failed(house, pg) for _ in range(2)]
        part = [await pay(house, pg) for _ in range(2)]
        waiting = [await issue(house) for _ in range(2)]
        given_up = await house.open()
        await abandon(house.gateway, given_up.imp_uid, "USER", "그만")
        for payment in (*late, given_up):
            approve_there(pg, payment)
        for payment in part:
            pg.cancel_at_console(payment.pg_order_no, 4)
        for payment in waiting:
            pg.pay_in(payment.pg_order_no, 1004)
        house.clock.advance(minutes=11)
        with dying(point, times):
            await compare_books(house.gateway, [house.channel])
        assert (await compare(house, minutes=0)).broken is None
        assert (await compare(house, minutes=0)).agrees
        house.clock.advance(minutes=-11)  # an authentication of the next round is not old yet
        ends = [await house.payment(each.imp_uid) for each in (*late, *part, *waiting, given_up)]
        assert [each.step for each in ends] == [Step.PAID] * 6 + [Step.FAILED], (point, times)
        assert [each.balance.minor for each in ends] == [1004, 1004, 1000, 1000, 1004, 1004, 0]
        everyone += ends
        sent = Counter(await webhooks(house))
        assert sent == {"ready": 2 * number, "paid": 6 * number, "cancelled": 2 * number}
    assert pg.taken() == sum(each.balance.minor for each in everyone)
    assert Counter(await tasks(house)) == {
        TaskKind.APPROVED_LATE: 2 * len(deaths),
        TaskKind.CANCELLED_AT_PG: 2 * len(deaths),
        TaskKind.ANSWERS_CONTRADICT: len(deaths),
    }
    async with house.gateway.store.direct() as session:
        written = await session.pg_books.differences(1000)
    ours = {each.imp_uid for each in everyone}
    kinds = Counter(each.kind for _, each in written if each.imp_uid in ours)
    assert kinds[Kind.CHARGE_LATE] == 3 * len(deaths)
    assert kinds[Kind.CANCEL_AT_PG] == 2 * len(deaths)


@pytest.mark.fault("K2_CA")
async def test_who_dies_as_the_pg_undoes_a_late_approval_has_told_and_the_next_one_writes_it_down(
    house: House, pg: StandInPg
) -> None:
    """After the net-cancel the PG's book shows nothing but an approval that was undone, as many are."""
    given_up, ordinary = await house.open(), await house.open()
    await abandon(house.gateway, given_up.imp_uid, "USER", "그만")
    approve_there(pg, given_up)
    # The control: an approval that nobody answered, undone by our worker. Nobody is told of it.
    pg.hang_up("approvals", done=True)
    await approve(house.gateway, ordinary.imp_uid, back(pg, ordinary))
    pg.hang_up("orders", done=True)
    async with house.gateway.store.direct() as session:
        channel = await session.channels.get(house.channel.id)
    assert channel is not None
    await undo(house.gateway, await house.payment(ordinary.imp_uid), channel, "a test")
    house.clock.advance(minutes=11)
    with dying("compare.after_pg"):
        await compare_books(house.gateway, [house.channel])
    assert pg.orders[given_up.pg_order_no]["state"] == "undone"
    assert await tasks(house) == [TaskKind.ANSWERS_CONTRADICT]
    again = await compare(house, minutes=0)
    assert found(again) == [(Kind.CHARGE_LATE, Ending.UNDONE)]
    assert again.differences[0].imp_uid == given_up.imp_uid
    assert (await compare(house, minutes=0)).agrees
    assert await tasks(house) == [TaskKind.ANSWERS_CONTRADICT]


@pytest.mark.fault("K2_DB", "K2_DF")
async def test_a_comparison_while_the_database_goes_away_is_done_again(
    house: House, pg: StandInPg
) -> None:
    """A full disk looks the same from here: PostgreSQL stops as a whole (RELIABILITY §0)."""
    payment = await failed(house, pg)
    approve_there(pg, payment)
    house.clock.advance(minutes=11)
    at_pg, go_on = pg.hold("book", done_first=True)
    comparing = asyncio.ensure_future(compare_books(house.gateway, [house.channel]))
    await at_pg.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await comparing
    assert (await house.payment(payment.imp_uid)).step is Step.FAILED
    assert found(await compare(house)) == [(Kind.CHARGE_LATE, Ending.BOOKED)]


async def test_a_row_that_our_rules_refuse_hides_no_other(house: House, pg: StandInPg) -> None:
    """One difference cannot be written; the comparison is not called finished, and says why."""
    payment = await failed(house, pg)
    approve_there(pg, payment)
    connection = await asyncpg.connect(house.dsn)
    await connection.execute("ALTER TABLE book_differences RENAME TO elsewhere")
    result = await compare(house)
    assert result.broken is not None
    assert (await house.payment(payment.imp_uid)).step is Step.FAILED
    await connection.execute("ALTER TABLE elsewhere RENAME TO book_differences")
    await connection.close()
    assert found(await compare(house)) == [(Kind.CHARGE_LATE, Ending.BOOKED)]


@pytest.mark.fault("K2_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_by_an_hour_loses_no_row(
    house: House, pg: StandInPg, hours: int
) -> None:
    waiting = await issue(house)
    pg.pay_in(waiting.pg_order_no, 1004)
    paid = await pay(house, pg)
    house.clock.advance(hours=hours)
    ahead = await compare(house)
    assert all(each.kind is Kind.DEPOSIT_LOST for each in ahead.differences)
    house.clock.advance(hours=-hours)
    behind = await compare(house)
    # Once in one of the two, never in both, and never a difference that is none.
    assert len(ahead.differences) + len(behind.differences) == 1
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    assert (await house.payment(paid.imp_uid)).step is Step.PAID
    assert await tasks(house) == []


async def test_a_comparison_of_tomorrow_puts_none_off(house: House, pg: StandInPg) -> None:
    """Written by a process whose clock was wrong, or by another hand."""
    await compare(house)
    assert not await due(house)
    now = house.gateway.now()
    async with house.gateway.store.begin() as tx:
        await tx.pg_books.add_comparison(
            house.channel.id, now + timedelta(days=900), now, (now, now), 0, 0
        )
    assert await due(house)


async def test_what_moved_a_moment_ago_is_not_yet_compared(house: House, pg: StandInPg) -> None:
    waiting = await issue(house)
    pg.pay_in(waiting.pg_order_no, 1004)
    assert (await compare_books(house.gateway, [house.channel])).agrees
    assert (await house.payment(waiting.imp_uid)).step is Step.WAITING_DEPOSIT


async def test_a_pg_that_shows_no_book_is_not_asked_for_it(
    house: House, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert contracts(house.gateway, [house.channel]) == [[house.channel]]
    monkeypatch.setattr(Sandbox, "can", frozenset(Can) - {Can.LIST_BOOK})
    assert contracts(house.gateway, [house.channel]) == []
    assert await compare_contract(house.gateway, house.channel.id) is None


async def test_channels_of_one_mid_share_one_book(house: House, pg: StandInPg) -> None:
    """Two pg codes over one MID are one contract: neither finds the other's payments strange."""
    async with house.gateway.store.begin() as tx:
        await tx.channels.add(
            house.merchant.id,
            "channel-key-second",
            "html5_inicis",
            house.channel.mid,
            "sandbox",
            test=True,
            settings=house.channel.settings,
        )
        channels = await tx.channels.of_merchant(house.merchant.id)
    [contract] = contracts(house.gateway, channels)
    assert len(contract) == 2
    await pay(house, pg)
    house.clock.advance(minutes=11)
    assert (await compare_books(house.gateway, contract)).agrees


async def test_more_differences_than_a_person_can_read_are_one_mistake(
    house: House, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naru.payments.compare_books.DIFFERENCES_MAX", 3)
    for number in range(5):
        pg.move("charge", f"n-nobody{number}", f"tid{number}", "1", 5)
    result = await compare(house)
    assert result.broken is not None
    assert len(result.differences) == len(await tasks(house)) == 3


async def test_a_long_book_is_read_to_its_end(house: House, pg: StandInPg) -> None:
    """10^5 rows by night, and the one difference is in the last of them."""
    count = often(2_000, 100_000)
    orders = [f"nbook{number:020d}" for number in range(count)]
    connection = await asyncpg.connect(house.dsn)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        """INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox,
               surface, pay_method, step, version, event, amount, currency, pg_order_no, pg_tid,
               started_at, paid_at)
           SELECT 'imp_' || lpad(n::text, 12, '0'), $1, 'o' || n, $2, 'kcp', 'T0000', true,
                  'pc', 'card', 'paid', 3, 'approved', 1004, 'KRW', 'nbook' || lpad(n::text, 20, '0'),
                  'tid' || n, now(), now()
             FROM generate_series(0, $3::int - 1) n""",
        house.merchant.id,
        house.channel.id,
        count,
    )
    await connection.close()
    for number, order in enumerate(orders):
        pg.move("charge", order, f"tid{number}", "1", 1004)
    waiting = await issue(house)
    pg.pay_in(waiting.pg_order_no, 1004)
    began = time.monotonic()
    result = await compare(house)
    seconds = time.monotonic() - began
    print(f"{count} rows compared in {seconds:.1f} s, {count / seconds:,.0f}/s")
    assert found(result) == [(Kind.DEPOSIT_LOST, Ending.BOOKED)]
    assert result.movements == count + 1
    assert pg.count("book") == count // 200 + 1
    # The control: a row of ours that the long book lacks is found among all of them.
    pg.book.pop(count // 2)
    assert found(await compare(house)) == [(Kind.CHARGE_MISSING, Ending.TOLD)]


@pytest.fixture
async def beside_the_sandbox(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with sandbox_pg(tmp_path) as address, open_house(database_url, address) as opened:
        await join(opened)
        yield opened


async def test_the_sandbox_pgs_own_book_agrees_with_ours(beside_the_sandbox: House) -> None:
    house = beside_the_sandbox
    payment = await house.open(pay_method="kakaopay")
    paid = await approve(house.gateway, payment.imp_uid, await authenticate(house, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    part = CancelRequest(amount=Money(400))
    await cancel(house.gateway, house.merchant.id, paid.imp_uid, part)
    now, day = house.clock(), timedelta(days=1)
    page = await house.gateway.connector_of(house.channel).book(
        house.channel, now - day, now + day, None
    )
    assert [(row.movement, row.amount.minor) for row in page.rows] == [  # type: ignore[union-attr]
        ("charge", 1004),
        ("cancel", 400),
    ]

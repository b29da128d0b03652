"""Virtual accounts under every fault of the matrix: rows I1 (issued), I2 (deposited), I3 (expired), I4 (refunded).

A database that is away stands for a full disk too: PostgreSQL stops as a whole when its log cannot be
written (RELIABILITY §0), and that is what our processes see.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from naru.domain.cancellation import CancelRequest
from naru.domain.errors import AlreadyPaid, NaruError, OutcomeUnknown, PgRefused
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.outcome import RefundAccount
from naru.domain.payment import Payment, Step
from naru.domain.points import listen
from naru.domain.task import TaskKind
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.close_virtual_account import CLOSED, EXPIRED, close_virtual_account
from naru.payments.compare_books import compare_books
from naru.payments.confirm_deposit import confirm_deposit
from naru.payments.expire_virtual_account import due_accounts, expire_virtual_account
from naru.payments.issue_barcode import PAY_METHOD, issue_barcode
from naru.payments.issue_virtual_account import issue_virtual_account
from naru.payments.reconcile import reconcile
from naru.store import StoreUnavailable
from tests.payments.test_approve import back
from tests.payments.test_confirm_deposit import arrived, issue
from tests.support.database_away import database_away
from tests.support.dying import dying
from tests.support.gateway import House, open_house
from tests.support.scale import often
from tests.support.stand_in_pg import SECRET, Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

AT_ONCE = often(8, 64)
GARBAGE: tuple[dict[str, Any] | bytes, ...] = (b"<html>", b"", b"[]", {"result": "yes"}, b"\xff")


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
async def house(database_url: str, pg: StandInPg) -> AsyncIterator[House]:
    async with open_house(database_url, pg.url, secret=SECRET) as opened:
        await opened.set_merchant(webhook_url="https://shop.example/hook")
        yield opened


async def tasks_of(house: House, payment: Payment) -> list[TaskKind]:
    async with house.gateway.store.direct() as session:
        tasks = await session.tasks.of_payment(payment.imp_uid)
    return [TaskKind(task.kind) for task in tasks if task.closed_at is None]


async def told(house: House) -> list[str]:
    """The webhooks of this house's merchant, oldest first."""
    async with house.gateway.store.direct() as session:
        return [each.status for each in await session.outbox.of_merchant(house.merchant.id)][::-1]


async def ended(house: House, imp_uid: str) -> Payment:
    """The payment once the worker has ended its open question."""
    for _ in range(40):
        async with house.gateway.store.direct() as session:
            if await session.intents.of_payment(imp_uid) is None:
                return await house.payment(imp_uid)
        house.clock.advance(minutes=6)
        await reconcile(house.gateway, imp_uid)
    raise AssertionError("the question never ended")


async def only_payment(house: House, order: str) -> Payment:
    async with house.gateway.store.direct() as session:
        [found] = await session.payments.many_of_merchant(house.merchant.id, [], [order])
    return found


# --- I1: issued ----------------------------------------------------------------------------------


def issue_in_windows(pg: StandInPg) -> None:
    """An approval at this PG issues an account, as in a window whose buyer chose one."""

    def do_approvals(asked: Asked) -> dict[str, Any]:
        body = {
            **asked.body,
            "bank_code": "004",
            "holder": "나루",
            "due": int(time.time()) + 86_400,
        }
        return pg.do_virtual_accounts(replace(asked, method="POST", body=body))

    pg.do_approvals = do_approvals  # type: ignore[method-assign]


@pytest.fixture(params=["api", "window", "barcode"])
def issuing(
    request: pytest.FixtureRequest, house: House, pg: StandInPg
) -> tuple[str, Callable[[str], Awaitable[Payment | None]]]:
    """(the PG's operation, how an account for an order is asked for): by our API, in a window, or as a
    barcode of a convenience store."""
    if request.param == "api":
        return "virtual_accounts", lambda order: issue(house, order)
    if request.param == "barcode":
        return "barcodes", lambda order: issue_a_barcode(house, order)

    async def in_window(order: str) -> Payment | None:
        payment = await house.open(merchant_uid=MerchantUid(order), pay_method="vbank")
        return await approve(house.gateway, payment.imp_uid, back(pg, payment))

    issue_in_windows(pg)
    return "approvals", in_window


async def issue_a_barcode(house: House, order: str) -> Payment:
    opening = house.opening(merchant_uid=MerchantUid(order), pay_method=PAY_METHOD)
    due = house.clock() + timedelta(days=1)
    return await issue_barcode(house.gateway, opening, barcode=None, due=due)


Issuing = tuple[str, Callable[[str], Awaitable[Payment | None]]]


async def held(house: House, order: str) -> Payment:
    """The payment is being checked: neither failed nor waiting, and the order takes no other."""
    payment = await only_payment(house, order)
    assert payment.step is Step.APPROVING
    with pytest.raises(AlreadyPaid):
        await house.open(merchant_uid=MerchantUid(order))
    return payment


@pytest.mark.fault("I1_CB")
async def test_an_account_that_was_never_asked_for_ends_as_failed(
    house: House, pg: StandInPg, issuing: Issuing
) -> None:
    with dying("claim.after_commit"):
        await issuing[1]("cb")
    payment = await held(house, "cb")
    assert pg.count(issuing[0]) == 0
    failed = await ended(house, payment.imp_uid)
    assert failed.step is Step.FAILED
    assert pg.orders[payment.pg_order_no]["state"] == "undone"
    assert await told(house) == []


@pytest.mark.fault("I1_CA")
@pytest.mark.parametrize("point", ["after_pg", "settle.before_commit", "settle.after_commit"])
async def test_an_account_that_was_issued_when_we_died_is_found(
    house: House, pg: StandInPg, issuing: Issuing, point: str
) -> None:
    before = "approve." if issuing[0] == "approvals" else "account."
    with dying(before + point if point == "after_pg" else point):
        await issuing[1](point)
    payment = await only_payment(house, point)
    if point != "settle.after_commit":
        await held(house, point)
    waiting = await ended(house, payment.imp_uid)
    assert waiting.step is Step.WAITING_DEPOSIT
    assert waiting.virtual_account is not None
    assert waiting.pg_tid == pg.orders[payment.pg_order_no]["approval"]["tid"]
    assert await told(house) == ["ready"]


@pytest.mark.fault("I1_LQ", "I1_LR")
@pytest.mark.parametrize("done", [False, True])
async def test_an_account_whose_question_or_answer_was_lost(
    house: House, pg: StandInPg, issuing: Issuing, done: bool
) -> None:
    pg.hang_up(issuing[0], done=done)
    with suppress(OutcomeUnknown):
        await issuing[1](f"lost-{done}")
    payment = await held(house, f"lost-{done}")
    end = await ended(house, payment.imp_uid)
    assert end.step is (Step.WAITING_DEPOSIT if done else Step.FAILED)
    assert await told(house) == (["ready"] if done else [])


@pytest.mark.fault("I1_DU")
async def test_a_window_that_is_returned_from_many_times_issues_one_account(
    house: House, pg: StandInPg
) -> None:
    issue_in_windows(pg)
    payment = await house.open(pay_method="vbank")
    fields = back(pg, payment)
    ends = await asyncio.gather(
        *(approve(house.gateway, payment.imp_uid, fields) for _ in range(AT_ONCE))
    )
    assert {each.step for each in ends if each} <= {Step.APPROVING, Step.WAITING_DEPOSIT}
    assert (await house.payment(payment.imp_uid)).step is Step.WAITING_DEPOSIT
    assert pg.count("approvals") == 1
    assert await told(house) == ["ready"]


@pytest.mark.fault("I1_DU")
@pytest.mark.promise("P2")
async def test_two_open_accounts_of_one_order_are_legal_and_the_second_deposit_is_flagged(
    house: House, pg: StandInPg
) -> None:
    first, second = await issue(house, "two"), await issue(house, "two")
    assert first.virtual_account != second.virtual_account
    for number, payment in enumerate((first, second)):
        told_of = arrived(house, payment, 1004, f"two-{number}")
        assert await confirm_deposit(house.gateway, house.channel, told_of) == "exact"
    ends = [await house.payment(each.imp_uid) for each in (first, second)]
    assert [(each.step, each.flagged) for each in ends] == [
        (Step.PAID, False),
        (Step.PAID, True),
    ]
    assert await tasks_of(house, second) == [TaskKind.ORDER_PAID_TWICE]


@pytest.mark.fault("I1_RO", "I1_SL")
@pytest.mark.parametrize("done_first", [False, True])
async def test_an_account_that_is_issued_after_the_worker_has_looked(
    house: House, pg: StandInPg, issuing: Issuing, done_first: bool
) -> None:
    """Late at the PG: its tombstone refuses. Late on the way back: the answer finds the work done."""
    at_pg, go_on = pg.hold(issuing[0], done_first=done_first)
    asking = asyncio.ensure_future(issuing[1](f"late-{done_first}"))
    await at_pg.wait()
    payment = await only_payment(house, f"late-{done_first}")
    house.clock.advance(seconds=400)
    await reconcile(house.gateway, payment.imp_uid)
    go_on.set()
    with suppress(PgRefused, OutcomeUnknown):
        await asking
    end = await ended(house, payment.imp_uid)
    assert end.step is (Step.WAITING_DEPOSIT if done_first else Step.FAILED)
    state = pg.orders[payment.pg_order_no]["state"]
    assert state == ("waiting_deposit" if done_first else "undone")
    assert await told(house) == (["ready"] if done_first else [])


@pytest.mark.fault("I1_WD")
async def test_an_account_for_another_amount_is_undone(
    house: House, pg: StandInPg, issuing: Issuing
) -> None:
    pg.change(issuing[0], amount=1)
    with suppress(PgRefused, OutcomeUnknown):
        await issuing[1]("wrong")
    failed = await ended(house, (await only_payment(house, "wrong")).imp_uid)
    assert failed.step is Step.FAILED
    assert pg.orders[failed.pg_order_no]["state"] == "undone"
    assert await told(house) == []


@pytest.mark.fault("I1_WD")
async def test_garbage_in_answer_to_an_account_is_doubt_and_ends_as_the_pg_says(
    house: House, pg: StandInPg, issuing: Issuing
) -> None:
    for number, said in enumerate(GARBAGE):
        pg.answer(issuing[0], said)
        with suppress(OutcomeUnknown):
            await issuing[1](f"garbage-{number}")
        payment = await only_payment(house, f"garbage-{number}")
        assert payment.step is Step.APPROVING, said
        house.clock.advance(seconds=30)
        await reconcile(house.gateway, payment.imp_uid)
        assert (await house.payment(payment.imp_uid)).step is Step.FAILED
        house.clock.advance(seconds=-30)


@pytest.mark.fault("I1_DB", "I1_DF")
async def test_an_account_that_is_issued_while_the_database_goes_away(
    house: House, pg: StandInPg, issuing: Issuing
) -> None:
    at_pg, go_on = pg.hold(issuing[0], done_first=True)
    asking = asyncio.ensure_future(issuing[1]("db"))
    await at_pg.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await asking
    payment = await held(house, "db")
    assert (await ended(house, payment.imp_uid)).step is Step.WAITING_DEPOSIT
    assert await told(house) == ["ready"]


@pytest.mark.fault("I1_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_while_an_account_is_issued_changes_nothing(
    house: House, pg: StandInPg, issuing: Issuing, hours: int
) -> None:
    at_pg, go_on = pg.hold(issuing[0], done_first=True)
    asking = asyncio.ensure_future(issuing[1](f"jump{hours}"))
    await at_pg.wait()
    house.clock.advance(hours=hours)
    go_on.set()
    waiting = await asking
    assert waiting is not None
    assert waiting.step is Step.WAITING_DEPOSIT
    assert waiting.virtual_account is not None
    due = pg.orders[waiting.pg_order_no]["approval"]["virtual_account"]["due"]
    assert int(waiting.virtual_account.due.timestamp()) == due


@pytest.mark.fault("I1_NP")
async def test_a_pg_that_is_away_for_minutes_leaves_the_account_in_doubt_until_it_answers(
    house: House, pg: StandInPg, issuing: Issuing
) -> None:
    pg.hang_up(issuing[0], done=True)
    with suppress(OutcomeUnknown):
        await issuing[1]("away")
    payment = await held(house, "away")
    for _ in range(3):
        pg.answer("orders", b"", 503)
        house.clock.advance(minutes=6)
        await reconcile(house.gateway, payment.imp_uid)
        await held(house, "away")
    assert (await ended(house, payment.imp_uid)).step is Step.WAITING_DEPOSIT


# --- I2: deposited -------------------------------------------------------------------------------


@pytest.mark.fault("I2_CB", "I2_CA")
@pytest.mark.promise("P16")
@pytest.mark.parametrize(
    ("point", "again"),
    [
        ("notice.before_book", "exact"),
        ("deposit.before_commit", "exact"),
        ("deposit.after_commit", "repeated"),
    ],
)
async def test_a_notice_during_which_we_died_comes_again_and_is_booked_once(
    house: House, pg: StandInPg, point: str, again: str
) -> None:
    waiting = await issue(house)
    notice = arrived(house, waiting, 1004, point)
    with dying(point):
        await confirm_deposit(house.gateway, house.channel, notice)
    assert await confirm_deposit(house.gateway, house.channel, notice) == again
    assert await confirm_deposit(house.gateway, house.channel, notice) == "repeated"
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    assert await told(house) == ["ready", "paid"]


@pytest.mark.fault("I2_SL")
async def test_a_notice_that_sleeps_while_its_repetition_is_booked_says_nothing_new(
    house: House, pg: StandInPg
) -> None:
    """This process was paused for minutes with the notice in its hands; another one booked it."""
    waiting = await issue(house)
    notice = arrived(house, waiting, 1004, "slept")
    # A row that is held elsewhere is how long a process sleeps between its look and its booking.
    async with house.gateway.store.begin() as tx:
        await tx.payments.lock(waiting.imp_uid, house.merchant.id)
        sleeping = asyncio.ensure_future(
            confirm_deposit(house.gateway, house.channel, replace(notice, depositor="늦음"))
        )
        while True:
            async with house.gateway.store.direct() as session:
                waits = await session.deposits._connection.raw.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted"
                )
            if waits:
                break
        house.clock.advance(seconds=400)
    answers = [await confirm_deposit(house.gateway, house.channel, notice), await sleeping]
    assert sorted(answers) == ["exact", "repeated"]
    assert await told(house) == ["ready", "paid"]


@pytest.mark.fault("I2_RO")
@pytest.mark.promise("P16")
@pytest.mark.parametrize("late_commit", ["answer", "worker"])
async def test_a_deposit_before_our_own_commit_of_its_account_pays_when_that_is_there(
    house: House, pg: StandInPg, issuing: Issuing, late_commit: str
) -> None:
    """The PG's notice overtakes the PG's answer: booked, told, and found by its order number."""
    order = f"early-{late_commit}"
    if late_commit == "worker":
        pg.hang_up(issuing[0], done=True)
        with suppress(OutcomeUnknown):
            await issuing[1](order)
    at_pg, go_on = pg.hold(issuing[0], done_first=True)
    asking = None
    if late_commit == "answer":
        asking = asyncio.ensure_future(issuing[1](order))
        await at_pg.wait()
    payment = await only_payment(house, order)
    tid = pg.orders[payment.pg_order_no]["approval"]["tid"]
    early = replace(arrived(house, payment, 1004, order + issuing[0]), pg_tid=tid)
    assert await confirm_deposit(house.gateway, house.channel, early) == "early"
    assert (await house.payment(payment.imp_uid)).step is Step.APPROVING
    assert await tasks_of(house, payment) == [TaskKind.DEPOSIT_EARLY]
    if asking is not None:
        go_on.set()
        with suppress(OutcomeUnknown):
            await asking
    paid = await ended(house, payment.imp_uid)
    assert paid.step is Step.PAID
    assert await house.history(paid.imp_uid) == [
        "opened",
        "authenticated",
        "account_issued",
        "deposited",
    ]
    assert await told(house) == ["ready", "paid"]
    assert await tasks_of(house, payment) == []
    assert await confirm_deposit(house.gateway, house.channel, early) == "repeated"


@pytest.mark.fault("I2_RO")
async def test_an_early_deposit_that_is_short_waits_for_its_rest_and_one_of_a_failure_stays_told(
    house: House, pg: StandInPg
) -> None:
    ends = []
    for number, rest in enumerate((4, None)):
        pg.hang_up("virtual_accounts", done=rest is not None)
        with pytest.raises(OutcomeUnknown):
            await issue(house, f"short{number}")
        payment = await only_payment(house, f"short{number}")
        order = pg.orders.get(payment.pg_order_no)
        tid = order["approval"]["tid"] if order else "tid-nobody"
        early = replace(arrived(house, payment, 1000, f"short{number}"), pg_tid=tid)
        assert await confirm_deposit(house.gateway, house.channel, early) == "early"
        end = await ended(house, payment.imp_uid)
        assert await tasks_of(house, payment) == [TaskKind.DEPOSIT_EARLY]
        if rest is not None:
            assert end.step is Step.WAITING_DEPOSIT
            more = replace(arrived(house, end, rest, "rest"), deposited_at=early.deposited_at)
            assert await confirm_deposit(house.gateway, house.channel, more) == "exact"
        ends.append((await house.payment(payment.imp_uid)).step)
    assert ends == [Step.PAID, Step.FAILED]


@pytest.mark.fault("I2_RO", "I4_RO")
async def test_a_deposit_after_expiry_cancel_or_closing_is_booked_and_told(
    house: House, pg: StandInPg
) -> None:
    late, cancelled, closed = await issue(house), await issue(house), await issue(house)
    notice = arrived(house, cancelled, 1004, "first")
    pg.pay_in(cancelled.pg_order_no, 1004)
    assert await confirm_deposit(house.gateway, house.channel, notice) == "exact"
    await cancel(house.gateway, house.merchant.id, cancelled.imp_uid, REFUND)
    await close_virtual_account(house.gateway, house.merchant.id, closed.imp_uid)
    house.clock.advance(days=2)
    meanings = {late.imp_uid: "late", cancelled.imp_uid: "after_end", closed.imp_uid: "after_end"}
    for payment in (late, cancelled, closed):
        before = await house.payment(payment.imp_uid)
        notice = arrived(house, payment, 1004, f"ro-{payment.imp_uid}")
        meaning = await confirm_deposit(house.gateway, house.channel, notice)
        assert meaning == meanings[payment.imp_uid]
        assert await house.payment(payment.imp_uid) == before
        assert await tasks_of(house, payment) == [TaskKind(f"deposit_{meaning}")]
        async with house.gateway.store.direct() as session:
            rows = await session.deposits.of_payment(payment.imp_uid)
        assert [row["amount"] for row in rows][-1] == 1004


@pytest.mark.fault("I2_WD")
@pytest.mark.promise("P16")
@pytest.mark.parametrize(
    ("changes", "meaning"),
    [
        ({"amount": Money(1003)}, "short"),
        ({"amount": Money(1005)}, "over"),
        ({"amount": Money(1004, "USD")}, "other_currency"),
        ({"pg_tid": "another"}, "other_account"),
        ({"account_number": "0000"}, "other_account"),
        ({"order_no": "n-nobody"}, "unknown_order"),
    ],
)
async def test_a_deposit_that_does_not_fit_is_booked_told_and_pays_nothing(
    house: House, pg: StandInPg, changes: dict[str, Any], meaning: str
) -> None:
    waiting = await issue(house)
    notice = replace(arrived(house, waiting, 1004, f"wd-{changes}"), **changes)
    assert await confirm_deposit(house.gateway, house.channel, notice) == meaning
    assert (await house.payment(waiting.imp_uid)).step is Step.WAITING_DEPOSIT
    async with house.gateway.store.direct() as session:
        [task] = [t for t in await session.tasks.list_open() if notice.notice_key in t.subject]
    assert task.kind == f"deposit_{meaning}"
    # What is not in this account, in this currency and in time counts for nothing after it either.
    exact = arrived(house, waiting, 1004, f"wd-exact-{changes}")
    left = {"short": "over", "over": "over"}.get(meaning, "exact")
    assert await confirm_deposit(house.gateway, house.channel, exact) == left


@pytest.mark.fault("I2_WD")
async def test_one_notice_told_twice_with_different_words_is_booked_once_and_told(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house)
    notice = arrived(house, waiting, 1004, "twice")
    assert await confirm_deposit(house.gateway, house.channel, notice) == "exact"
    other = replace(notice, amount=Money(5))
    assert await confirm_deposit(house.gateway, house.channel, other) == "repeated"
    assert await tasks_of(house, waiting) == [TaskKind.ANSWERS_CONTRADICT]


@pytest.mark.fault("I2_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_an_hour_off_pays_as_the_pgs_clock_says(
    house: House, pg: StandInPg, hours: int
) -> None:
    due = house.clock() + timedelta(minutes=30)
    opening = house.opening(pay_method="vbank")
    waiting = await issue_virtual_account(
        house.gateway, opening, bank_code="004", holder="나루", due=due
    )
    notice = arrived(house, waiting, 1004, f"cj{hours}")
    house.clock.advance(hours=hours)
    assert await confirm_deposit(house.gateway, house.channel, notice) == "exact"


@pytest.mark.fault("I2_LQ")
async def test_a_notice_that_never_comes_is_found_in_the_pgs_book(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house)
    pg.pay_in(waiting.pg_order_no, 1004)
    house.clock.advance(minutes=11)
    await compare_books(house.gateway, [house.channel])
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID


@pytest.mark.fault("I2_DB", "I2_DF", "I2_NP")
async def test_without_a_database_nothing_is_said_to_be_booked(house: House, pg: StandInPg) -> None:
    """Ten tries of the PG fail; the eleventh is booked, once."""
    waiting = await issue(house)
    notice = arrived(house, waiting, 1004, "db")
    async with database_away(house.dsn):
        for _ in range(10):
            with pytest.raises(StoreUnavailable):
                await confirm_deposit(house.gateway, house.channel, notice)
    assert await confirm_deposit(house.gateway, house.channel, notice) == "exact"
    assert await told(house) == ["ready", "paid"]


# --- I3: expired ---------------------------------------------------------------------------------


@pytest.fixture
async def overdue(house: House, pg: StandInPg) -> Payment:
    """An account past its due date, in a house that closes such accounts."""
    house.gateway.close_expired_accounts = True
    waiting = await issue(house)
    house.clock.advance(days=1, hours=1, minutes=5)
    return waiting


async def walk(house: House) -> None:
    """The timetable's round, over what is due in this house."""
    for merchant_id, imp_uid in await due_accounts(house.gateway):
        if merchant_id == house.merchant.id:
            await expire_virtual_account(house.gateway, merchant_id, imp_uid)


async def test_an_account_past_its_due_date_stays_ready_unless_the_operator_wants_it_closed(
    house: House, overdue: Payment, pg: StandInPg
) -> None:
    house.gateway.close_expired_accounts = False
    await walk(house)
    assert (await house.payment(overdue.imp_uid)).step is Step.WAITING_DEPOSIT
    house.gateway.close_expired_accounts = True
    await walk(house)
    failed = await house.payment(overdue.imp_uid)
    assert (failed.step, failed.fail_reason) == (Step.FAILED, EXPIRED)
    assert EXPIRED != CLOSED
    assert pg.orders[overdue.pg_order_no]["state"] == "closed"
    assert await told(house) == ["ready"], "i'mport announces no expiry"


@pytest.mark.fault("I3_CB", "I3_CA")
@pytest.mark.parametrize(
    "point",
    [
        "close.before_reserve",
        "close.after_reserve",
        "close.after_pg",
        "close.before_commit",
        "close.after_commit",
    ],
)
async def test_an_expiry_during_which_we_died_is_ended_later(
    house: House, overdue: Payment, point: str
) -> None:
    with dying(point):
        await walk(house)
    await walk(house)
    failed = await ended(house, overdue.imp_uid)
    assert failed.step is Step.FAILED
    assert (await house.history(overdue.imp_uid))[-1] == "account_closed"


@pytest.mark.fault("I3_LQ", "I3_LR", "I3_NP")
@pytest.mark.parametrize("done", [False, True])
async def test_an_expiry_that_the_pg_did_not_answer_is_asked_again(
    house: House, pg: StandInPg, overdue: Payment, done: bool
) -> None:
    for _ in range(3):
        pg.hang_up("virtual_accounts", done=done)
        pg.hang_up("virtual_accounts", done=done)
    await walk(house)
    assert (await house.payment(overdue.imp_uid)).step is Step.WAITING_DEPOSIT
    assert (await ended(house, overdue.imp_uid)).step is Step.FAILED


@pytest.mark.fault("I3_DU")
async def test_an_expiry_that_many_walk_at_once_happens_once(
    house: House, pg: StandInPg, overdue: Payment
) -> None:
    await asyncio.gather(*(walk(house) for _ in range(AT_ONCE)))
    assert (await ended(house, overdue.imp_uid)).step is Step.FAILED
    assert (await house.history(overdue.imp_uid)).count("account_closed") == 1


@pytest.mark.fault("I3_RO", "I3_SL")
@pytest.mark.promise("P16")
async def test_a_deposit_and_the_expiry_at_one_moment_end_as_a_deposit(
    house: House, pg: StandInPg, overdue: Payment
) -> None:
    """Deposited in time, told late: while we ask, while the PG answers, and before we asked."""
    assert overdue.virtual_account is not None
    at_pg, go_on = pg.hold("virtual_accounts", done_first=True)
    walking = asyncio.ensure_future(walk(house))
    await at_pg.wait()
    in_time = replace(
        arrived(house, overdue, 1004, "moment"), deposited_at=overdue.virtual_account.due
    )
    house.clock.advance(seconds=400)
    assert await confirm_deposit(house.gateway, house.channel, in_time) == "exact"
    go_on.set()
    await walking
    assert (await ended(house, overdue.imp_uid)).step is Step.PAID
    assert await told(house) == ["ready", "paid"]


@pytest.mark.fault("I3_RO")
async def test_a_pg_that_knows_of_a_deposit_refuses_the_expiry_and_is_asked_once_a_day(
    house: House, pg: StandInPg, overdue: Payment
) -> None:
    pg.pay_in(overdue.pg_order_no, 1004)
    await walk(house)
    assert (await house.payment(overdue.imp_uid)).step is Step.WAITING_DEPOSIT
    asked = pg.count("virtual_accounts")
    await walk(house)
    assert pg.count("virtual_accounts") == asked
    # The lost notice is in the PG's book.
    await compare_books(house.gateway, [house.channel], timedelta(days=2))
    assert (await house.payment(overdue.imp_uid)).step is Step.PAID


@pytest.mark.fault("I3_RO")
async def test_a_deposit_in_time_that_is_told_after_the_closing_is_booked_and_told(
    house: House, pg: StandInPg, overdue: Payment
) -> None:
    assert overdue.virtual_account is not None
    await walk(house)
    in_time = replace(
        arrived(house, overdue, 1004, "after"), deposited_at=overdue.virtual_account.due
    )
    assert await confirm_deposit(house.gateway, house.channel, in_time) == "after_end"
    assert await tasks_of(house, overdue) == [TaskKind.DEPOSIT_AFTER_END]


@pytest.mark.fault("I3_WD")
async def test_garbage_in_answer_to_an_expiry_changes_nothing(
    house: House, pg: StandInPg, overdue: Payment
) -> None:
    for said in GARBAGE:
        pg.answer("virtual_accounts", said)
        await walk(house)
        house.clock.advance(minutes=6)
        await reconcile(house.gateway, overdue.imp_uid)
        if (await house.payment(overdue.imp_uid)).step is Step.FAILED:
            break
        assert (await house.payment(overdue.imp_uid)).step is Step.WAITING_DEPOSIT
    pg.next["virtual_accounts"].clear()
    assert (await ended(house, overdue.imp_uid)).step is Step.FAILED


@pytest.mark.fault("I3_DB", "I3_DF")
async def test_an_expiry_while_the_database_goes_away_is_ended_later(
    house: House, pg: StandInPg, overdue: Payment
) -> None:
    at_pg, go_on = pg.hold("virtual_accounts", done_first=True)
    walking = asyncio.ensure_future(walk(house))
    await at_pg.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await walking
    assert (await house.payment(overdue.imp_uid)).step is Step.WAITING_DEPOSIT
    assert (await ended(house, overdue.imp_uid)).step is Step.FAILED


@pytest.mark.fault("I3_CJ")
async def test_a_clock_that_is_an_hour_ahead_closes_nothing_before_its_time(
    house: House, pg: StandInPg
) -> None:
    house.gateway.close_expired_accounts = True
    waiting = await issue(house)
    house.clock.advance(days=1, minutes=-1)
    house.clock.advance(hours=1)  # the jump
    await walk(house)
    assert (await house.payment(waiting.imp_uid)).step is Step.WAITING_DEPOSIT
    assert pg.count("virtual_accounts") == 1


# --- I4: refunded --------------------------------------------------------------------------------

REFUND = CancelRequest(reason="변심", refund_account=RefundAccount("004", "110-1", "홍길동"))


@pytest.fixture
async def deposited(house: House, pg: StandInPg) -> Payment:
    """A virtual account that was paid."""
    waiting = await issue(house)
    key = pg.pay_in(waiting.pg_order_no, 1004)
    notice = arrived(house, waiting, 1004, key + waiting.imp_uid)
    assert await confirm_deposit(house.gateway, house.channel, notice) == "exact"
    return await house.payment(waiting.imp_uid)


async def refund(house: House, payment: Payment, **changes: Any) -> Payment:
    request = replace(REFUND, **changes)
    return await cancel(house.gateway, house.merchant.id, payment.imp_uid, request)


async def test_a_refund_goes_to_the_account_that_was_named(
    house: House, pg: StandInPg, deposited: Payment
) -> None:
    assert (await refund(house, deposited)).step is Step.CANCELLED
    [asked] = [each for each in pg.asked if each.operation == "cancels"]
    assert asked.body["refund_account"] == {
        "bank_code": "004",
        "number": "110-1",
        "holder": "홍길동",
    }


@pytest.mark.fault("I4_CB", "I4_CA", "I4_CJ")
@pytest.mark.parametrize("jump", [0, -1, 1])
@pytest.mark.parametrize(
    ("point", "done"),
    [
        ("cancel.before_reserve", False),
        ("cancel.after_reserve", False),
        ("cancel.after_pg", True),
        ("cancel.before_commit", True),
        ("cancel.after_commit", True),
    ],
)
async def test_a_refund_during_which_we_died_is_found_out(
    house: House, pg: StandInPg, deposited: Payment, point: str, done: bool, jump: int
) -> None:
    with dying(point):
        await refund(house, deposited)
    house.clock.advance(hours=jump)
    end = await ended(house, deposited.imp_uid)
    assert end.step is (Step.CANCELLED if done else Step.PAID)
    assert pg.orders[deposited.pg_order_no]["cancelled"] == end.cancelled.minor
    if not done:
        assert (await refund(house, deposited)).step is Step.CANCELLED
    assert pg.orders[deposited.pg_order_no]["cancelled"] == 1004


@pytest.mark.fault("I4_LQ", "I4_LR", "I4_NP")
@pytest.mark.parametrize("done", [False, True])
async def test_a_refund_whose_question_or_answer_was_lost_stays_reserved_until_it_is_known(
    house: House, pg: StandInPg, deposited: Payment, done: bool
) -> None:
    pg.hang_up("cancels", done=done)
    with pytest.raises(OutcomeUnknown):
        await refund(house, deposited, amount=Money(1000))
    for _ in range(2):
        pg.answer("GET cancels", b"", 503)
        house.clock.advance(minutes=6)
        await reconcile(house.gateway, deposited.imp_uid)
        with pytest.raises(NaruError):
            await refund(house, deposited, amount=Money(1000))
    end = await ended(house, deposited.imp_uid)
    assert end.cancelled == Money(1000 if done else 0)
    assert pg.orders[deposited.pg_order_no]["cancelled"] == end.cancelled.minor


@pytest.mark.fault("I4_DU")
async def test_a_refund_that_is_asked_for_many_times_at_once_is_done_once(
    house: House, pg: StandInPg, deposited: Payment
) -> None:
    ends = await asyncio.gather(
        *(refund(house, deposited, checksum=Money(1004)) for _ in range(AT_ONCE)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Payment) for each in ends) == 1
    assert all(isinstance(each, Payment | NaruError) for each in ends)
    assert pg.orders[deposited.pg_order_no]["cancelled"] == 1004


@pytest.mark.fault("I4_RO", "I4_SL")
@pytest.mark.parametrize("done_first", [False, True])
async def test_a_refund_that_the_pg_does_late_is_booked_once(
    house: House, pg: StandInPg, deposited: Payment, done_first: bool
) -> None:
    at_pg, go_on = pg.hold("cancels", done_first=done_first)
    asking = asyncio.ensure_future(refund(house, deposited))
    await at_pg.wait()
    house.clock.advance(seconds=400)
    await reconcile(house.gateway, deposited.imp_uid)
    go_on.set()
    with suppress(NaruError):
        await asking
    end = await ended(house, deposited.imp_uid)
    assert (end.step, len(end.cancellations)) == (Step.CANCELLED, 1)
    assert pg.orders[deposited.pg_order_no]["cancelled"] == 1004


@pytest.mark.fault("I4_WD")
async def test_a_refund_that_the_pg_refuses_or_garbles_changes_nothing(
    house: House, pg: StandInPg, deposited: Payment
) -> None:
    pg.answer("cancels", {"result": "refused", "code": "BAD_ACCOUNT", "message": "예금주 불일치"})
    with pytest.raises(PgRefused, match="예금주 불일치"):
        await refund(house, deposited)
    for amount in (Money(1005), Money(-1), Money(5, "USD")):
        with pytest.raises(NaruError):
            await refund(house, deposited, amount=amount)
    assert await house.payment(deposited.imp_uid) == deposited
    for said in (*GARBAGE, {"result": "cancelled", "cancel_no": "another", "amount": 1004}):
        pg.answer("cancels", said)
        with pytest.raises(OutcomeUnknown):
            await refund(house, deposited)
        assert await ended(house, deposited.imp_uid) == deposited
    assert pg.orders[deposited.pg_order_no]["cancelled"] == 0


@pytest.mark.fault("I4_DB", "I4_DF")
async def test_a_refund_while_the_database_goes_away_is_found_out(
    house: House, pg: StandInPg, deposited: Payment
) -> None:
    at_pg, go_on = pg.hold("cancels", done_first=True)
    asking = asyncio.ensure_future(refund(house, deposited))
    await at_pg.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await asking
    assert (await ended(house, deposited.imp_uid)).step is Step.CANCELLED
    assert pg.orders[deposited.pg_order_no]["cancelled"] == 1004


async def test_the_control_without_a_death_the_points_are_passed(
    house: House, pg: StandInPg
) -> None:
    """A test that dies at a point where nobody comes by would prove nothing."""
    passed: list[str] = []
    listen(passed.append)
    try:
        waiting = await issue(house)
        key = pg.pay_in(waiting.pg_order_no, 1004)
        notice = arrived(house, waiting, 1004, "control" + key)
        await confirm_deposit(house.gateway, house.channel, notice)
        await refund(house, waiting)
    finally:
        listen(None)
    assert {"claim.after_commit", "account.after_pg", "settle.after_commit"} <= set(passed)
    assert {"notice.before_book", "deposit.before_commit", "deposit.after_commit"} <= set(passed)
    assert {"cancel.after_reserve", "cancel.after_pg", "cancel.after_commit"} <= set(passed)

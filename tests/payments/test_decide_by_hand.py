"""A person ends a doubt, for naru/payments/decide_by_hand.py: only what is unknown, only once, kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg
import pytest

from naru.connectors import Can
from naru.domain.acting import Acting, acting
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import CancelInProgress, OutcomeUnknown
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.domain.task import TaskKind
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.compare_books import compare_books
from naru.payments.decide_by_hand import Decision, NotForAPerson, Seen, decide_by_hand
from naru.payments.reconcile import LEASE, reconcile
from tests.payments.test_approve import back, intents, webhooks
from tests.payments.test_compare_books import approve_there
from tests.payments.test_recovery import give_powers, let_time_pass, open_tasks
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg

NO = Decision(Seen.NOT_APPROVED, "kim", "no such order in the console")
NOT_CANCELLED = replace(NO, seen=Seen.NOT_CANCELLED)
LONG_ENOUGH = 40


def yes(at: datetime, seen: Seen = Seen.APPROVED, tid: str = "tid-console") -> Decision:
    return Decision(seen, "kim", "row 7 of the console", tid, at)


async def ask(house: House, pg: StandInPg, payment: Payment) -> Payment | None:
    """The buyer comes back with a proof that is fresh by the house's clock."""
    later = str(int(house.clock().timestamp()) + 600)
    return await approve(house.gateway, payment.imp_uid, back(pg, payment, expires_at=later))


async def doubtful(
    house: House, pg: StandInPg, *, done: bool, minutes: int = LONG_ENOUGH
) -> Payment:
    """An approval whose answer was lost, of a PG that cannot be asked (or whatever it has now)."""
    payment = await house.open()
    pg.hang_up("approvals", done=done)
    await ask(house, pg, payment)
    if minutes:
        house.clock.advance(minutes=minutes)
    return await house.payment(payment.imp_uid)


async def doubtful_cancel(house: House, pg: StandInPg, *, done: bool) -> Payment:
    """A cancel of 400 whose answer was lost, ten minutes ago."""
    payment = await house.open()
    await ask(house, pg, payment)
    pg.hang_up("POST cancels", done=done)
    with pytest.raises(OutcomeUnknown):
        await cancel(
            house.gateway, house.merchant.id, payment.imp_uid, CancelRequest(amount=Money(400))
        )
    house.clock.advance(minutes=10)
    return await house.payment(payment.imp_uid)


async def asked_at(house: House, payment: Payment) -> datetime:
    async with house.gateway.store.direct() as session:
        intent = await session.intents.of_payment(payment.imp_uid)
    assert intent is not None
    return intent.opened_at


async def refused(house: House, imp_uid: str, decision: Decision) -> str:
    """The sentence of a refusal; nothing at all has changed."""
    connection = await asyncpg.connect(house.dsn)
    tables = (
        "payments",
        "intents",
        "intent_tries",
        "operator_tasks",
        "audit_log",
        "undone_watches",
    )
    try:
        before = [await connection.fetch(f"SELECT * FROM {each} ORDER BY 1, 2") for each in tables]
        with pytest.raises(NotForAPerson) as refusal:
            await decide_by_hand(house.gateway, imp_uid, decision)
        after = [await connection.fetch(f"SELECT * FROM {each} ORDER BY 1, 2") for each in tables]
    finally:
        await connection.close()
    assert before == after
    return str(refusal.value)


async def test_what_the_console_shows_as_approved_is_paid_and_told(
    house: House, pg: StandInPg
) -> None:
    give_powers(house)
    await house.set_merchant(webhook_url="https://shop.example/hook")
    payment = await doubtful(house, pg, done=True)
    assert payment.step is Step.APPROVING
    assert TaskKind.APPROVAL_UNKNOWN in await open_tasks(house, payment.imp_uid)
    at = await asked_at(house, payment)

    paid = await decide_by_hand(house.gateway, payment.imp_uid, yes(at))
    assert (paid.step, paid.pg_tid, paid.paid_at) == (Step.PAID, "tid-console", at)
    assert paid.balance == Money(1004)
    assert await intents(house, paid.imp_uid) == ["done"]
    assert await webhooks(house) == ["paid"]
    async with house.gateway.store.direct() as session:
        [task] = await session.tasks.of_payment(paid.imp_uid)
        [asked] = await session.intents.all_of_payment(paid.imp_uid)
        tries = await session.intents.tries_of(asked.id)
    assert (task.closed_by, task.note) == ("kim", "approved: row 7 of the console")
    assert "approved, says kim" in [each.sentence for each in tries]


async def test_what_the_console_does_not_show_frees_the_order(house: House, pg: StandInPg) -> None:
    give_powers(house)
    payment = await doubtful(house, pg, done=False)
    failed = await decide_by_hand(house.gateway, payment.imp_uid, NO)
    assert failed.step is Step.FAILED
    assert await open_tasks(house, payment.imp_uid) == set()
    again = await house.open(merchant_uid=payment.merchant_uid)
    paid = await ask(house, pg, again)
    assert paid is not None
    assert paid.step is Step.PAID


async def test_the_control_without_a_decision_the_order_stays_locked(
    house: House, pg: StandInPg
) -> None:
    give_powers(house)
    payment = await doubtful(house, pg, done=False)
    await let_time_pass(house, minutes=3 * 24 * 60, step=3600)
    assert (await house.payment(payment.imp_uid)).step is Step.APPROVING


@pytest.mark.parametrize("done", [True, False])
async def test_a_cancel_ends_as_the_console_shows_it(
    house: House, pg: StandInPg, done: bool
) -> None:
    give_powers(house, Can.INQUIRE_ORDER)
    payment = await doubtful_cancel(house, pg, done=done)
    with pytest.raises(CancelInProgress):
        await cancel(house.gateway, house.merchant.id, payment.imp_uid, CancelRequest())
    decision = NOT_CANCELLED
    if done:
        decision = yes(await asked_at(house, payment), Seen.CANCELLED)
    settled = await decide_by_hand(house.gateway, payment.imp_uid, decision)
    assert settled.balance == Money(604 if done else 1004)
    assert settled.balance.minor == pg.taken()
    assert await intents(house, payment.imp_uid) == ["done", "done" if done else "refused"]
    assert await open_tasks(house, payment.imp_uid) == set()
    whole = await cancel(house.gateway, house.merchant.id, payment.imp_uid, CancelRequest())
    assert whole.step is Step.CANCELLED
    assert pg.taken() == 0


async def test_a_decision_is_in_the_audit_log(house: House, pg: StandInPg) -> None:
    give_powers(house)
    payment = await doubtful(house, pg, done=False)
    token = acting.set(Acting("naru decide not-approved", who="operator kim@desk"))
    try:
        await decide_by_hand(house.gateway, payment.imp_uid, NO)
    finally:
        acting.reset(token)
    connection = await asyncpg.connect(house.dsn)
    rows = await connection.fetch(
        "SELECT who, after::text FROM audit_log WHERE what = 'naru decide not-approved'"
        " AND subject LIKE 'operator_tasks %'"
    )
    await connection.close()
    [row] = rows
    assert row["who"] == "operator kim@desk"
    assert "no such order in the console" in row["after"]


async def test_a_pg_that_contradicts_a_decision_is_heard_and_told(
    house: House, pg: StandInPg
) -> None:
    give_powers(house)
    payment = await doubtful(house, pg, done=False)
    await decide_by_hand(house.gateway, payment.imp_uid, NO)
    approve_there(pg, payment)
    house.clock.advance(minutes=11)
    await compare_books(house.gateway, [house.channel])
    assert (await house.payment(payment.imp_uid)).step is Step.PAID
    assert TaskKind.APPROVED_LATE in await open_tasks(house, payment.imp_uid)


async def test_a_decision_that_the_pgs_book_does_not_have_is_told(
    house: House, pg: StandInPg
) -> None:
    give_powers(house)
    payment = await doubtful(house, pg, done=False, minutes=LONG_ENOUGH)
    await decide_by_hand(house.gateway, payment.imp_uid, yes(await asked_at(house, payment)))
    house.clock.advance(minutes=11)
    await compare_books(house.gateway, [house.channel])
    assert TaskKind.BOOK_CHARGE_MISSING in await open_tasks(house, payment.imp_uid)


async def test_a_pg_that_was_silent_is_asked_again_after_a_decision(
    house: House, pg: StandInPg
) -> None:
    """It can be asked, and was away: what it says when it is back is booked, and told."""
    give_powers(house, Can.INQUIRE_ORDER)
    payment = await doubtful(house, pg, done=True)
    await decide_by_hand(house.gateway, payment.imp_uid, NO)
    await let_time_pass(house, minutes=10)
    assert (await house.payment(payment.imp_uid)).step is Step.PAID
    assert TaskKind.APPROVED_LATE in await open_tasks(house, payment.imp_uid)


async def test_what_may_be_under_way_is_not_a_persons_to_end(house: House, pg: StandInPg) -> None:
    give_powers(house)
    payment = await doubtful(house, pg, done=True, minutes=0)
    # The last is past the limit by one clock, and not by the clock of a machine that is behind.
    for minutes in (0, 2, 2, 12):
        house.clock.advance(minutes=minutes)
        assert "under way" in await refused(house, payment.imp_uid, NO)
    house.clock.advance(minutes=LONG_ENOUGH)
    assert (await decide_by_hand(house.gateway, payment.imp_uid, NO)).step is Step.FAILED


async def test_while_the_worker_asks_nobody_decides(house: House, pg: StandInPg) -> None:
    give_powers(house, Can.INQUIRE_ORDER)
    payment = await doubtful(house, pg, done=True)
    arrived, go_on = pg.hold("orders", done_first=True)
    asking = asyncio.create_task(reconcile(house.gateway, payment.imp_uid))
    await asyncio.wait_for(arrived.wait(), 10)
    assert "right now" in await refused(house, payment.imp_uid, NO)
    go_on.set()
    await asking
    assert (await house.payment(payment.imp_uid)).step is Step.PAID
    assert "unknown" in await refused(house, payment.imp_uid, NO)


async def test_a_worker_that_slept_cannot_unmake_a_decision(house: House, pg: StandInPg) -> None:
    """Its answer is older than the decision, and says the same order was approved: a fact, told."""
    give_powers(house, Can.INQUIRE_ORDER)
    payment = await doubtful(house, pg, done=True)
    arrived, go_on = pg.hold("orders", done_first=True)
    asking = asyncio.create_task(reconcile(house.gateway, payment.imp_uid))
    await asyncio.wait_for(arrived.wait(), 10)
    house.clock.advance(seconds=LEASE.total_seconds() + 1)
    await decide_by_hand(house.gateway, payment.imp_uid, NO)
    go_on.set()
    await asking
    assert (await house.payment(payment.imp_uid)).step is Step.PAID
    assert TaskKind.APPROVED_LATE in await open_tasks(house, payment.imp_uid)


async def test_two_people_decide_one_doubt_once(house: House, pg: StandInPg) -> None:
    give_powers(house)
    payment = await doubtful(house, pg, done=True)
    at = await asked_at(house, payment)
    ended = await asyncio.gather(
        decide_by_hand(house.gateway, payment.imp_uid, yes(at)),
        decide_by_hand(house.gateway, payment.imp_uid, NO),
        return_exceptions=True,
    )
    [settled] = [each for each in ended if isinstance(each, Payment)]
    assert [type(each) for each in ended if each is not settled] == [NotForAPerson]
    assert (await house.payment(payment.imp_uid)).step is settled.step
    for decision in (yes(at), NO, NOT_CANCELLED):
        assert "unknown" in await refused(house, payment.imp_uid, decision)


async def test_what_is_known_is_nobodys_to_decide(house: House, pg: StandInPg) -> None:
    opened, paid = await house.open(), await house.open()
    await ask(house, pg, paid)
    house.clock.advance(minutes=LONG_ENOUGH)
    at = house.clock() - timedelta(minutes=1)
    for payment in (opened, paid):
        for decision in (NO, yes(at), NOT_CANCELLED, yes(at, Seen.CANCELLED)):
            assert "unknown" in await refused(house, payment.imp_uid, decision)
    for stranger in ("imp_000000000000", "", "' OR 1=1 --"):
        assert "no payment" in await refused(house, stranger, NO)


async def test_words_that_do_not_fit_the_question_are_refused(house: House, pg: StandInPg) -> None:
    give_powers(house)
    other = await house.open()
    paid = await ask(house, pg, other)
    assert paid is not None
    assert paid.pg_tid is not None
    payment = await doubtful(house, pg, done=True)
    at = await asked_at(house, payment)
    good = yes(at)
    hour = timedelta(hours=1)
    for wrong in (
        NOT_CANCELLED,
        yes(at, Seen.CANCELLED),
        yes(at - hour),
        yes(house.clock() + hour),
        yes(at.replace(tzinfo=None)),
        yes(at, tid=paid.pg_tid),
        *(yes(at, tid=tid) for tid in ("", " ", "x" * 101, "a\nb", "a\x00b", "거래", " a")),
        replace(good, pg_tid=None),
        replace(good, at=None),
        replace(good, seen=Seen.NOT_APPROVED),
        *(replace(good, who=who) for who in ("", " ", "\x00", "\ud800", "x" * 201)),
        *(replace(good, note=note) for note in ("", " ", "\x00", "x" * 201)),
    ):
        assert await refused(house, payment.imp_uid, wrong), wrong
    assert (await decide_by_hand(house.gateway, payment.imp_uid, good)).step is Step.PAID


async def test_a_cancel_is_not_answered_about_the_approval(house: House, pg: StandInPg) -> None:
    give_powers(house)
    payment = await doubtful_cancel(house, pg, done=True)
    at = await asked_at(house, payment)
    for wrong in (NO, yes(at)):
        assert "cancelled or not-cancelled" in await refused(house, payment.imp_uid, wrong)


async def test_what_is_being_undone_can_only_end_as_not_approved(
    house: House, pg: StandInPg
) -> None:
    give_powers(house, Can.NET_CANCEL)
    payment = await doubtful(house, pg, done=False, minutes=0)
    for _ in range(8):
        pg.hang_up("net_cancel", done=False)
    await let_time_pass(house, minutes=1, step=30)
    house.clock.advance(minutes=LONG_ENOUGH)
    assert await intents(house, payment.imp_uid) == ["undoing"]
    at = await asked_at(house, payment)
    assert "being undone" in await refused(house, payment.imp_uid, yes(at))
    failed = await decide_by_hand(house.gateway, payment.imp_uid, NO)
    assert failed.step is Step.FAILED
    assert await intents(house, payment.imp_uid) == ["undone"]


async def test_a_task_that_was_closed_too_early_does_not_lock_the_order(
    house: House, pg: StandInPg
) -> None:
    give_powers(house)
    payment = await doubtful(house, pg, done=False)
    async with house.gateway.store.begin() as tx:
        [task] = await tx.tasks.of_payment(payment.imp_uid)
        await tx.tasks.close(task.id, "lee", "looked at it", house.clock())
    await decide_by_hand(house.gateway, payment.imp_uid, NO)
    async with house.gateway.store.direct() as session:
        tasks = await session.tasks.of_payment(payment.imp_uid)
    assert [each.closed_by for each in tasks] == ["lee", "kim"]

"""Finding out what became of a question, for naru/payments/reconcile.py and settle.py."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from naru.connectors import Can
from naru.connectors.sandbox import Sandbox
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import CancelInProgress, OutcomeUnknown
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.reconcile import due, reconcile
from naru.payments.watch import due_watches, watch
from tests.payments.test_approve import back, intents, webhooks
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg

_SOMEBODY_WAITS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def doubtful(house: House, pg: StandInPg, *, done: bool) -> Payment:
    """A payment whose approval got no answer, long enough ago to be looked at."""
    payment = await house.open()
    pg.hang_up("approvals", done=done)
    standing = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert standing is not None
    assert standing.step is Step.APPROVING
    house.clock.advance(seconds=30)
    assert await due(house.gateway) == [payment.imp_uid]
    return payment


async def test_nothing_is_due_while_the_answer_may_still_come(house: House, pg: StandInPg) -> None:
    payment = await house.open()
    pg.hang_up("approvals", done=True)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert await due(house.gateway) == []
    assert await reconcile(house.gateway, payment.imp_uid) is None
    assert pg.count("orders") == 0


@pytest.mark.promise("L1")
async def test_a_question_whose_asker_says_nothing_more_is_due(house: House, pg: StandInPg) -> None:
    """It was asked and nobody wrote anything since: the asker is dead, or sleeps."""
    payment = await house.open()
    arrived, go_on = pg.hold("approvals", done_first=True)
    asker = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await arrived.wait()
    assert await intents(house, payment.imp_uid) == ["open"]
    assert await due(house.gateway) == []
    house.clock.advance(seconds=30)
    assert await due(house.gateway) == [payment.imp_uid]
    go_on.set()
    await asker
    assert await due(house.gateway) == []


@pytest.mark.fault("C2_LR")
@pytest.mark.promise("P3")
async def test_an_approval_whose_answer_was_lost_is_found_and_paid(
    house: House, pg: StandInPg
) -> None:
    payment = await doubtful(house, pg, done=True)
    paid = await reconcile(house.gateway, payment.imp_uid)
    assert paid is not None
    assert paid.step is Step.PAID
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]
    assert await intents(house, payment.imp_uid) == ["done"]
    assert await due(house.gateway) == []
    assert pg.count("net_cancel") == 0


@pytest.mark.fault("C2_LQ")
@pytest.mark.promise("P3")
async def test_an_approval_that_never_arrived_is_stopped_for_good(
    house: House, pg: StandInPg
) -> None:
    payment = await doubtful(house, pg, done=False)
    failed = await reconcile(house.gateway, payment.imp_uid)
    assert failed is not None
    assert failed.step is Step.FAILED
    assert await intents(house, payment.imp_uid) == ["undone"]
    assert pg.orders[payment.pg_order_no]["state"] == "undone"


@pytest.mark.fault("C3_WD")
async def test_a_pg_that_found_its_own_money_different_is_undone(
    house: House, pg: StandInPg
) -> None:
    payment = await doubtful(house, pg, done=True)
    pg.orders[payment.pg_order_no]["approval"]["amount"] = 1
    failed = await reconcile(house.gateway, payment.imp_uid)
    assert failed is not None
    assert failed.step is Step.FAILED
    assert pg.taken() == 0


@pytest.mark.fault("K1_LR")
@pytest.mark.promise("L1")
async def test_the_undoing_is_decided_first_and_repeated_until_the_pg_agrees(
    house: House, pg: StandInPg
) -> None:
    payment = await doubtful(house, pg, done=False)
    for _ in range(3):
        pg.hang_up("net_cancel", done=True)
        standing = await reconcile(house.gateway, payment.imp_uid)
        assert standing is not None
        assert standing.step is Step.APPROVING
        assert await intents(house, payment.imp_uid) == ["undoing"]
        house.clock.advance(days=1, seconds=1)
    failed = await reconcile(house.gateway, payment.imp_uid)
    assert failed is not None
    assert failed.step is Step.FAILED
    assert pg.count("net_cancel") == 4
    # Once undoing was decided nobody asked what had become of it, until the PG called it undone:
    # that is proven by one more question.
    assert pg.count("orders") == 2


async def test_a_pg_that_stays_silent_is_asked_ever_more_rarely(
    house: House, pg: StandInPg
) -> None:
    payment = await doubtful(house, pg, done=True)
    async with house.gateway.store.direct() as session:
        waits = []
        for _ in range(4):
            pg.answer("orders", b"busy", 503)
            await reconcile(house.gateway, payment.imp_uid)
            intent = await session.intents.of_payment(payment.imp_uid)
            assert intent is not None
            assert intent.next_try_at is not None
            waits.append(round((intent.next_try_at - house.clock()).total_seconds()))
            house.clock.advance(seconds=waits[-1] + 1)
    # The last one is not the rung of 900 s: at the limit, when the buyer's proof is dead and nothing
    # can be under way any more, somebody looks.
    assert waits[:3] == [15, 60, 300]
    assert 480 < waits[3] < 500
    paid = await reconcile(house.gateway, payment.imp_uid)
    assert paid is not None
    assert paid.step is Step.PAID


@pytest.mark.fault("K1_DU")
async def test_many_workers_end_one_question_once(house: House, pg: StandInPg) -> None:
    payment = await doubtful(house, pg, done=True)
    ends = await asyncio.gather(*(reconcile(house.gateway, payment.imp_uid) for _ in range(16)))
    assert len([each for each in ends if each is not None]) == 1
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]


@pytest.mark.fault("C2_SL", "C3_RO")
@pytest.mark.promise("P8")
async def test_a_late_answer_finds_the_payment_settled_and_changes_nothing(
    house: House, pg: StandInPg
) -> None:
    """The process slept past its lease while the worker found out (C2xSL)."""
    payment = await house.open()
    arrived, go_on = pg.hold("approvals", done_first=True)
    sleeper = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await arrived.wait()
    house.clock.advance(seconds=30)
    paid = await reconcile(house.gateway, payment.imp_uid)
    go_on.set()
    assert await sleeper == paid
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]


@pytest.mark.fault("C2_RO")
@pytest.mark.promise("P3")
async def test_a_late_approval_of_what_was_undone_is_not_money(house: House, pg: StandInPg) -> None:
    """The PG had not seen the order, so it was undone; then the sleeping request arrives."""
    payment = await house.open()
    arrived, go_on = pg.hold("approvals", done_first=False)
    sleeper = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await arrived.wait()
    house.clock.advance(seconds=30)
    failed = await reconcile(house.gateway, payment.imp_uid)
    assert failed is not None
    assert failed.step is Step.FAILED
    go_on.set()
    assert await sleeper == failed
    assert pg.taken() == 0


@pytest.mark.fault("C2_RO")
@pytest.mark.promise("P3", "P12")
async def test_an_approval_that_is_told_while_it_is_being_undone_is_not_money(
    house: House, pg: StandInPg
) -> None:
    """Between the decision to undo and the PG's word that it is undone, the late answer comes."""
    payment = await house.open()
    approved, let_answer = pg.hold("approvals", done_first=True)
    sleeper = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await approved.wait()
    house.clock.advance(seconds=30)
    pg.answer("orders", {"result": "error", "code": "NOT_FOUND", "message": "not yet"}, 404)
    undoing, let_undo = pg.hold("net_cancel", done_first=True)
    worker = asyncio.create_task(reconcile(house.gateway, payment.imp_uid))
    await undoing.wait()

    let_answer.set()
    told = await sleeper
    assert told is not None
    assert told.step is Step.APPROVING
    let_undo.set()
    failed = await worker
    assert failed is not None
    assert failed.step is Step.FAILED
    assert pg.taken() == 0
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "undone"]


@pytest.mark.fault("C2_RO")
@pytest.mark.promise("P3", "P8")
async def test_an_answer_that_meets_the_decision_to_undo_waits_for_it(
    house: House, pg: StandInPg, database_url: str
) -> None:
    """The decision is written and not committed when the answer comes: the row is held, so it waits."""
    payment = await house.open()
    arrived, go_on = pg.hold("approvals", done_first=True)
    sleeper = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await arrived.wait()
    watcher = await asyncpg.connect(database_url)
    async with house.gateway.store.begin() as tx:
        assert await tx.payments.lock(payment.imp_uid, payment.merchant_id)
        intent = await tx.intents.of_payment(payment.imp_uid)
        assert intent is not None
        await tx.intents.undo(intent.id, house.clock(), "no answer yet")
        go_on.set()
        async with asyncio.timeout(30):
            while not await watcher.fetchval(_SOMEBODY_WAITS):
                await asyncio.sleep(0.01)
    await watcher.close()
    told = await sleeper
    assert told is not None
    assert told.step is Step.APPROVING
    house.clock.advance(seconds=30)
    failed = await reconcile(house.gateway, payment.imp_uid)
    assert failed is not None
    assert failed.step is Step.FAILED
    assert pg.taken() == 0
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "undone"]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.fault("C2_RO", "C2_WD")
@pytest.mark.promise("P3", "P12")
async def test_a_pg_that_approves_what_it_called_undone_undoes_it_again(
    house: House, pg: StandInPg, told: bool
) -> None:
    """Its "undone" was a lie. Whether its "approved" reaches us or not: no money, and looked at again."""
    payment = await house.open()
    arrived, go_on = pg.hold("approvals", done_first=True)
    sleeper = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await arrived.wait()
    house.clock.advance(seconds=30)
    never_seen = {"result": "error", "code": "NOT_FOUND", "message": "?"}
    undone = {"result": "undone", "order_no": payment.pg_order_no, "had_approved": False}
    pg.answer("orders", never_seen, 404)
    pg.answer("net_cancel", undone)
    pg.answer("orders", never_seen, 404)
    failed = await reconcile(house.gateway, payment.imp_uid)
    assert failed is not None
    assert failed.step is Step.FAILED
    assert pg.taken() == payment.amount.minor
    assert await due_watches(house.gateway) == []

    if told:
        go_on.set()
        assert await sleeper == failed
    else:
        house.clock.advance(minutes=5)
    assert await due_watches(house.gateway) == [payment.imp_uid]
    await watch(house.gateway, payment.imp_uid)
    assert pg.taken() == 0
    assert (await house.payment(payment.imp_uid)).step is Step.FAILED
    go_on.set()
    await sleeper


class Forgetful(Sandbox):
    """A PG that cannot undo: what it approved late is money."""

    can = frozenset(Can) - {Can.NET_CANCEL}


@pytest.mark.parametrize("paid_meanwhile", [False, True])
async def test_a_late_approval_that_nobody_can_undo_is_booked_as_the_fact_it_is(
    house: House, pg: StandInPg, paid_meanwhile: bool
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    house.gateway._connectors["sandbox"] = Forgetful(house.gateway.pg_wire, house.clock)
    order = MerchantUid("o1")
    payment = await house.open(merchant_uid=order)
    arrived, go_on = pg.hold("approvals", done_first=False)
    sleeper = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await arrived.wait()
    # Not found is final only when the authentication is dead and nothing can be on its way.
    house.clock.advance(minutes=10)
    standing = await reconcile(house.gateway, payment.imp_uid)
    assert standing is not None
    assert standing.step is Step.APPROVING
    house.clock.advance(minutes=9)
    failed = await reconcile(house.gateway, payment.imp_uid)
    assert failed is not None
    assert failed.step is Step.FAILED
    if paid_meanwhile:
        other = await house.open(merchant_uid=order)
        later = str(int(house.clock().timestamp()) + 60)
        await approve(house.gateway, other.imp_uid, back(pg, other, expires_at=later))

    go_on.set()
    late = await sleeper
    assert late is not None
    assert (late.step, late.flagged) == (Step.PAID, paid_meanwhile)
    assert (await house.history(payment.imp_uid))[-1] == "approved_late"
    assert await webhooks(house) == ["paid"] * (2 if paid_meanwhile else 1)


# --- cancels -------------------------------------------------------------------------------------


async def doubtful_cancel(house: House, pg: StandInPg, *, done: bool) -> Payment:
    """A paid payment of 1,004 won whose cancel of 400 got no answer."""
    payment = await house.open(1004)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    pg.hang_up("cancels", done=done)
    try:
        await cancel(
            house.gateway, house.merchant.id, payment.imp_uid, CancelRequest(amount=Money(400))
        )
    except OutcomeUnknown:
        return payment
    raise AssertionError("the PG hung up")


@pytest.mark.fault("F2_LR")
async def test_a_cancel_that_the_pg_did_is_found_and_booked(house: House, pg: StandInPg) -> None:
    payment = await doubtful_cancel(house, pg, done=True)
    assert (await house.payment(payment.imp_uid)).cancelled == Money(0)
    house.clock.advance(seconds=30)
    found = await reconcile(house.gateway, payment.imp_uid)
    assert found is not None
    assert (found.step, found.cancelled) == (Step.PAID, Money(400))
    assert await intents(house, payment.imp_uid) == ["done", "done"]
    assert pg.taken() == 604


@pytest.mark.fault("F2_LQ")
async def test_a_cancel_that_never_arrived_is_asked_for_again_with_its_number(
    house: House, pg: StandInPg
) -> None:
    payment = await doubtful_cancel(house, pg, done=False)
    house.clock.advance(seconds=30)
    done = await reconcile(house.gateway, payment.imp_uid)
    assert done is not None
    assert done.cancelled == Money(400)
    assert await intents(house, payment.imp_uid) == ["done", "done"]
    first, _, second = [asked for asked in pg.asked if asked.operation == "cancels"]
    assert first.body == second.body


class Unrepeatable(Sandbox):
    """A PG without a guard: the same cancel twice would be two cancels."""

    can = frozenset(Can) - {Can.REPEAT_CANCEL}


@pytest.mark.fault("F2_LQ")
async def test_a_cancel_that_never_arrived_is_given_up_only_when_it_cannot_arrive_any_more(
    house: House, pg: StandInPg
) -> None:
    house.gateway._connectors["sandbox"] = Unrepeatable(house.gateway.pg_wire, house.clock)
    payment = await doubtful_cancel(house, pg, done=False)
    house.clock.advance(seconds=30)
    await reconcile(house.gateway, payment.imp_uid)
    assert await intents(house, payment.imp_uid) == ["done", "unknown"]
    house.clock.advance(minutes=9)
    given_up = await reconcile(house.gateway, payment.imp_uid)
    assert given_up is not None
    assert given_up.balance == Money(1004)
    assert await intents(house, payment.imp_uid) == ["done", "refused"]


async def test_the_balance_stays_reserved_while_a_cancel_is_in_doubt(
    house: House, pg: StandInPg
) -> None:
    payment = await doubtful_cancel(house, pg, done=True)
    for _ in range(2):
        try:
            await cancel(house.gateway, house.merchant.id, payment.imp_uid, CancelRequest())
        except CancelInProgress:
            continue
        raise AssertionError("the doubt was forgotten")
    assert pg.taken() == 604


async def test_an_inquiry_that_fails_says_nothing_about_the_cancel(
    house: House, pg: StandInPg
) -> None:
    """The PG did it; our question about it cannot leave, or is refused. It stays in doubt."""
    payment = await doubtful_cancel(house, pg, done=True)
    settings = house.channel.settings
    for trouble in ("unreachable", "refused"):
        house.clock.advance(hours=1)
        async with house.gateway.store.begin() as tx:
            url = "http://127.0.0.1:1" if trouble == "unreachable" else settings["url"]
            await tx.channels.change_settings(house.channel.id, {**settings, "url": url})
        if trouble == "refused":
            pg.answer("cancels", {"result": "error", "code": "BAD_REQUEST", "message": "?"}, 400)
        await reconcile(house.gateway, payment.imp_uid)
        assert await intents(house, payment.imp_uid) == ["done", "unknown"]
    house.clock.advance(hours=7)
    found = await reconcile(house.gateway, payment.imp_uid)
    assert found is not None
    assert found.cancelled == Money(400)

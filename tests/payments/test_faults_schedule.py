"""Schedules under every fault of the matrix: rows H1 (claimed), H2 (charged), H3 (revoked or moved meanwhile)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from naru.connectors import Can
from naru.domain.billing_key import BillingKey, CardNumber
from naru.domain.errors import NaruError, NothingScheduled, NotRetryable, ScheduleEnded
from naru.domain.payment import Payment, Step, Surface
from naru.domain.schedule import Schedule, ScheduleState
from naru.payments.charge import charge_order
from naru.payments.gateway import Gateway
from naru.payments.issue_billing_key import issue_billing_key
from naru.payments.pay_by_billing_key import pay_by_billing_key
from naru.payments.reconcile import reconcile
from naru.payments.run_schedule import due_schedules, retry_schedule, run_schedule
from naru.payments.schedule import Planned, change_time, reschedule, schedule, unschedule
from naru.payments.start import new_payment
from naru.store import StoreUnavailable
from tests.payments.test_faults_approve import jumping
from tests.payments.test_recovery import give_powers
from tests.payments.test_sleepers import sleep_through
from tests.payments.test_virtual_account_faults import GARBAGE, ended
from tests.support.agreement import agree
from tests.support.database_away import database_away
from tests.support.database_line import over_a_line
from tests.support.dying import dying
from tests.support.gateway import House, open_house
from tests.support.scale import often
from tests.support.stand_in_pg import SECRET, Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

AT_ONCE = often(16, 64)
CARD = CardNumber.read("5365-1012-3456-1234", "2049-12", "880101", "00")
WAIT = timedelta(minutes=5)


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@dataclass
class Planning:
    """A house with a customer whose card is kept."""

    house: House
    pg: StandInPg
    key: BillingKey

    @property
    def gateway(self) -> Gateway:
        return self.house.gateway

    async def plan(self, amount: int = 9_900, **given: Any) -> Schedule:
        """A new schedule, due in five minutes."""
        opening = self.house.opening(amount, surface=Surface.API, **given)
        due = self.house.clock() + WAIT
        [made] = await schedule(self.gateway, self.key, [Planned(opening, due)])
        return made

    async def due(self, amount: int = 9_900) -> Schedule:
        """A schedule whose time has come."""
        made = await self.plan(amount)
        self.house.clock.advance(seconds=WAIT.total_seconds() + 1)
        return made

    async def now(self, made: Schedule) -> Schedule:
        async with self.gateway.store.direct() as session:
            found = await session.schedules.of_number(made.number)
        assert found is not None
        return found

    async def walk(self) -> list[Payment]:
        """One round of a worker, over this merchant's schedules."""
        ran = []
        for number in await due_schedules(self.gateway, 10_000):
            async with self.gateway.store.direct() as session:
                found = await session.schedules.of_number(number)
            assert found is not None
            if found.merchant_id == self.house.merchant.id:
                ran.append(await run_schedule(self.gateway, number))
        return [each for each in ran if each is not None]

    async def end(self, made: Schedule, told: list[str]) -> Payment:
        """What became of it, once workers have gone on: one payment, and all books agree."""
        for _ in range(3):
            await self.walk()
            self.house.clock.advance(seconds=30)
        after = await self.now(made)
        assert after.state is ScheduleState.EXECUTED
        assert after.imp_uid is not None
        await ended(self.house, after.imp_uid)
        await self.walk()
        assert (await self.now(made)).imp_uid == after.imp_uid
        payment = await agree(self.house, self.pg, after.imp_uid, told)
        assert self.charges(made) == (1 if payment.step is Step.PAID else 0)
        return payment

    def charges(self, made: Schedule) -> int:
        """How often the PG took this schedule's money, and did not give it back."""
        rows = [each for each in self.pg.book if each["order_no"].startswith(made.number)]
        return sum(1 if each["kind"] == "charge" else -1 for each in rows)


@pytest.fixture
async def planning(database_url: str, pg: StandInPg) -> AsyncIterator[Planning]:
    async with open_house(database_url, pg.url, secret=SECRET) as house:
        await house.set_merchant(webhook_url="https://shop.example/hook")
        key = await issue_billing_key(house.gateway, house.merchant, house.channel, "gildong", CARD)
        yield Planning(house, pg, key)


# --- H1 and H2: claimed, and charged --------------------------------------------------------------


@pytest.mark.fault("H1_CB", "H1_CA", "H2_CB", "H2_CA")
@pytest.mark.promise("P15", "L5")
@pytest.mark.parametrize(
    "point",
    [
        "schedule.before_commit",
        "schedule.after_commit",
        "approve.after_pg",
        "settle.before_commit",
        "settle.after_commit",
    ],
)
async def test_a_worker_that_died_is_followed_by_another(planning: Planning, point: str) -> None:
    """It is charged all the same, and once: no customer goes without because a process of ours died."""
    made = await planning.due()
    with dying(point):
        await planning.walk()
    left = (await planning.now(made)).state
    assert left == ("scheduled" if point == "schedule.before_commit" else "executed")
    assert (await planning.end(made, ["paid"])).step is Step.PAID


async def test_without_the_power_to_repeat_it_fails_and_is_said_to(planning: Planning) -> None:
    """The control of the test above: the question that nobody asked is undone, and announced."""
    give_powers(planning.house, Can.INQUIRE_ORDER, Can.NET_CANCEL, Can.BILLING)
    made = await planning.due()
    with dying("schedule.after_commit"):
        await planning.walk()
    assert (await planning.end(made, ["failed"])).step is Step.FAILED


@pytest.mark.parametrize("point", ["schedule.before_fail", "schedule.after_fail"])
async def test_a_worker_that_died_over_what_cannot_be_charged_is_followed(
    planning: Planning, point: str
) -> None:
    made = await planning.due()
    async with planning.gateway.store.begin() as tx:
        now = planning.house.clock()
        await tx.billing_keys.delete(planning.house.merchant.id, "gildong", now, "", now)
    with dying(point):
        await planning.walk()
    assert (await planning.end(made, ["failed"])).step is Step.FAILED


@pytest.mark.fault("H1_LR", "H1_DB")
@pytest.mark.parametrize("done", [False, True])
async def test_a_claim_whose_commit_nobody_heard_of_is_charged_once(
    planning: Planning, done: bool
) -> None:
    made = await planning.due()
    async with over_a_line(planning.house) as line:
        line.next_commit(done=done)
        with pytest.raises(StoreUnavailable):
            await planning.walk()
        assert line.cuts == 1
    assert (await planning.now(made)).state == ("executed" if done else "scheduled")
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H2_DB")
@pytest.mark.parametrize("done", [False, True])
async def test_a_result_whose_commit_nobody_heard_of_is_true_in_the_end(
    planning: Planning, done: bool
) -> None:
    made = await planning.due()
    async with over_a_line(planning.house) as line:

        async def cut(asked: Asked) -> None:
            line.next_commit(done=done)

        planning.pg.peek = cut
        with pytest.raises(StoreUnavailable):
            await planning.walk()
        planning.pg.peek = None
        assert line.cuts == 1
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H1_DB", "H1_DF", "H1_NP")
async def test_what_is_due_while_the_database_is_away_is_charged_when_it_is_back(
    planning: Planning,
) -> None:
    made = await planning.due()
    async with database_away(planning.house.dsn):
        with pytest.raises(StoreUnavailable):
            await planning.walk()
        planning.house.clock.advance(minutes=5)
    assert (await planning.now(made)).state is ScheduleState.SCHEDULED
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H2_DB", "H2_DF")
async def test_a_charge_while_the_database_goes_away_is_held(planning: Planning) -> None:
    made = await planning.due()
    at_pg, go_on = planning.pg.hold("charges", done_first=True)
    walking = asyncio.ensure_future(planning.walk())
    await at_pg.wait()
    async with database_away(planning.house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await walking
    assert await planning.walk() == []
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H1_DU", "H2_DU")
@pytest.mark.promise("P15")
async def test_many_workers_at_once_charge_once(planning: Planning) -> None:
    made = await planning.due()
    ran = await asyncio.gather(
        *(run_schedule(planning.gateway, made.number) for _ in range(AT_ONCE))
    )
    assert len([each for each in ran if each is not None]) == 1
    assert planning.pg.count("charges") == 1
    assert (await planning.end(made, ["paid"])).step is Step.PAID
    async with planning.gateway.store.direct() as session:
        tried = await session.payments.many_of_merchant(
            planning.house.merchant.id, [], [made.merchant_uid]
        )
    assert len(tried) == 1, "whoever came second left nothing behind"


@pytest.mark.fault("H1_RO")
@pytest.mark.promise("L5")
async def test_after_an_outage_all_run_once_oldest_first(planning: Planning) -> None:
    made = []
    for amount in (1_001, 1_002, 1_003):
        made.append(await planning.plan(amount))
        planning.house.clock.advance(seconds=10)
    planning.house.clock.advance(hours=7)
    ran = await planning.walk()
    assert [each.amount.minor for each in ran] == [1_001, 1_002, 1_003]
    for each in made:
        assert (await planning.end(each, ["paid"])).step is Step.PAID


@pytest.mark.fault("H1_SL", "H2_SL")
@pytest.mark.parametrize("point", ["schedule.after_commit", "approve.after_pg"])
async def test_a_process_that_slept_does_not_charge_what_others_have_ended(
    planning: Planning, point: str
) -> None:
    made = await planning.due()

    async def deed(gateway: Gateway) -> object:
        return await run_schedule(gateway, made.number)

    assert await sleep_through(planning.house, point, deed)
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H1_CJ", "H2_CJ")
@pytest.mark.promise("P15")
@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("point", ["schedule.before_commit", "schedule.after_commit"])
async def test_a_clock_that_jumps_during_the_run_charges_once(
    planning: Planning, point: str, hours: int
) -> None:
    made = await planning.due()
    async with jumping(planning.house, point, hours):
        assert len(await planning.walk()) == 1
    # Back, and over its time a second time.
    planning.house.clock.advance(hours=-hours)
    assert await planning.walk() == []
    planning.house.clock.advance(hours=2)
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.promise("P15")
async def test_nothing_runs_before_its_time(planning: Planning) -> None:
    made = await planning.plan()
    planning.house.clock.advance(seconds=WAIT.total_seconds() - 5)
    assert await planning.walk() == []
    assert await run_schedule(planning.gateway, made.number) is None
    planning.house.clock.advance(seconds=6)
    assert len(await planning.walk()) == 1


@pytest.mark.fault("H2_LQ", "H2_LR")
@pytest.mark.parametrize("done", [False, True])
async def test_a_charge_whose_question_or_answer_was_lost_is_held_and_then_known(
    planning: Planning, done: bool
) -> None:
    made = await planning.due()
    planning.pg.hang_up("charges", done=done)
    [doubt] = await planning.walk()
    assert doubt.step is Step.APPROVING
    assert await planning.walk() == []
    with pytest.raises(NotRetryable):
        await retry_schedule(planning.gateway, made.merchant_id, made.merchant_uid)
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H2_RO")
@pytest.mark.parametrize("done_first", [False, True])
async def test_a_charge_that_is_late_has_one_effect(planning: Planning, done_first: bool) -> None:
    """The worker asks the same again meanwhile; by its number the PG knows it for the same."""
    made = await planning.due()
    at_pg, go_on = planning.pg.hold("charges", done_first=done_first)
    walking = asyncio.ensure_future(planning.walk())
    await at_pg.wait()
    imp_uid = (await planning.now(made)).imp_uid
    assert imp_uid is not None
    planning.house.clock.advance(seconds=60)
    await reconcile(planning.gateway, imp_uid)
    assert (await planning.house.payment(imp_uid)).step is Step.PAID
    go_on.set()
    await walking
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H2_WD")
@pytest.mark.parametrize("wrong", [{"amount": 1}, {"currency": "USD"}, {"order_no": "n_another"}])
async def test_a_charge_of_something_else_is_undone(
    planning: Planning, wrong: dict[str, Any]
) -> None:
    made = await planning.due()
    planning.pg.change("charges", **wrong)
    await planning.walk()
    assert (await planning.end(made, ["failed"])).step is Step.FAILED


@pytest.mark.fault("H2_WD")
async def test_garbage_says_nothing(planning: Planning) -> None:
    for said in GARBAGE:
        made = await planning.due()
        planning.pg.answer("charges", said)
        [doubt] = await planning.walk()
        assert doubt.step is Step.APPROVING, said
        assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H2_NP")
@pytest.mark.promise("L5")
async def test_a_pg_that_cannot_be_reached_fails_no_schedule(planning: Planning) -> None:
    """Nobody listens there for minutes: it is asked when somebody does, and no customer is told that it failed."""
    made = await planning.due()
    settings = planning.house.channel.settings
    away = {**settings, "url": "http://127.0.0.1:9"}
    async with planning.gateway.store.begin() as tx:
        await tx.channels.change_settings(planning.house.channel.id, away)
    [doubt] = await planning.walk()
    assert doubt.step is Step.APPROVING
    for _ in range(3):
        planning.house.clock.advance(minutes=6)
        await reconcile(planning.gateway, doubt.imp_uid)
        assert (await planning.house.payment(doubt.imp_uid)).step is Step.APPROVING
    async with planning.gateway.store.begin() as tx:
        await tx.channels.change_settings(planning.house.channel.id, settings)
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H2_NP")
async def test_a_pg_that_is_away_for_minutes_leaves_the_charge_in_doubt(planning: Planning) -> None:
    made = await planning.due()
    planning.pg.hang_up("charges", done=True)
    [doubt] = await planning.walk()
    for _ in range(3):
        planning.pg.answer("orders", b"", 503)
        planning.house.clock.advance(minutes=6)
        await reconcile(planning.gateway, doubt.imp_uid)
        assert (await planning.house.payment(doubt.imp_uid)).step is Step.APPROVING
    assert (await planning.end(made, ["paid"])).step is Step.PAID


async def test_two_orders_of_one_customer_run_side_by_side(planning: Planning) -> None:
    """One of them hangs at the PG; the other does not wait for it."""
    slow = await planning.plan(1_001)
    quick = await planning.due(1_002)
    at_pg, go_on = planning.pg.hold("charges", done_first=True)
    hanging = asyncio.ensure_future(run_schedule(planning.gateway, slow.number))
    await at_pg.wait()
    ran = await run_schedule(planning.gateway, quick.number)
    go_on.set()
    await hanging
    assert ran is not None
    assert ran.step is Step.PAID
    for each in (slow, quick):
        assert (await planning.end(each, ["paid"])).step is Step.PAID


async def test_a_doubt_about_the_order_is_waited_for(planning: Planning) -> None:
    """Another payment of the order is being found out: only then is it known whether to charge."""
    made = await planning.due()
    planning.pg.hang_up("charges", done=True)
    opening = planning.house.opening(9_900, merchant_uid=made.merchant_uid, surface=Surface.API)
    with suppress(NaruError):
        await pay_by_billing_key(planning.gateway, opening, planning.key)
    assert await planning.walk() == []
    waiting = await planning.now(made)
    assert waiting.state is ScheduleState.SCHEDULED
    async with planning.gateway.store.direct() as session:
        [other] = await session.payments.many_of_merchant(made.merchant_id, [], [made.merchant_uid])
    assert (await ended(planning.house, other.imp_uid)).step is Step.PAID
    failed = await planning.walk()
    assert [each.fail_code for each in failed] == ["F1002"]


@pytest.mark.promise("P15")
async def test_a_restored_copy_asks_the_pg_the_same_question(planning: Planning) -> None:
    """What ran after the copy was made runs again from the copy: one charge, under the number it had."""
    made = await planning.due()
    with dying("schedule.before_commit"):
        await planning.walk()
    order_no = (await planning.now(made)).order_no()
    # The house that was lost had charged it; the copy knows nothing of that.
    opening = planning.house.opening(9_900, merchant_uid=made.merchant_uid, surface=Surface.API)
    lost = new_payment(planning.gateway, opening, planning.house.clock(), order_no)
    connector = planning.gateway.connector_of(planning.house.channel)
    await connector.approve_by_key(
        planning.house.channel,
        charge_order(opening, replace(lost, buyer=made.buyer)),
        planning.key.key,
    )
    assert planning.charges(made) == 1
    assert (await planning.end(made, ["paid"])).step is Step.PAID


# --- H3: revoked or moved while it runs -----------------------------------------------------------


@pytest.mark.fault("H3_DU", "H3_RO")
@pytest.mark.promise("P15")
async def test_of_a_revocation_and_the_run_one_wins_whole(planning: Planning) -> None:
    won = set()
    for round_number in range(often(6, 60)):
        made = await planning.due()

        async def revoke(made: Schedule = made) -> bool:
            try:
                await unschedule(planning.gateway, made.merchant_id, None, [made.merchant_uid])
            except NothingScheduled:
                return False
            return True

        async def run(made: Schedule = made) -> bool:
            return await run_schedule(planning.gateway, made.number) is not None

        did = await asyncio.gather(
            *(revoke() if (number + round_number) % 2 else run() for number in range(AT_ONCE))
        )
        assert sum(did) == 1, "one of them did it, once"
        after = await planning.now(made)
        won.add(after.state)
        if after.state is ScheduleState.REVOKED:
            assert planning.charges(made) == 0
            assert await planning.walk() == []
        else:
            assert (await planning.end(made, ["paid"])).step is Step.PAID
    assert won <= {ScheduleState.REVOKED, ScheduleState.EXECUTED}


@pytest.mark.fault("H3_CB")
async def test_who_died_before_the_revocation_revoked_nothing(planning: Planning) -> None:
    made = await planning.due()
    with dying("schedule.before_change"):
        await unschedule(planning.gateway, made.merchant_id, "gildong", None)
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H3_CA", "H3_LR")
@pytest.mark.promise("P15")
async def test_who_died_after_the_revocation_revoked_it(planning: Planning) -> None:
    """Asked again, it is told as it is: revoked, and moved there again is the same."""
    made = await planning.due()
    with dying("schedule.after_change"):
        await unschedule(planning.gateway, made.merchant_id, "gildong", None)
    assert (await planning.now(made)).state is ScheduleState.REVOKED
    assert await planning.walk() == []
    with pytest.raises(NothingScheduled):
        await unschedule(planning.gateway, made.merchant_id, "gildong", None)
    assert planning.charges(made) == 0
    later = planning.house.clock() + WAIT
    async with over_a_line(planning.house) as line:
        line.next_commit(done=True)
        with pytest.raises(StoreUnavailable):
            await reschedule(planning.gateway, made.merchant_id, made.merchant_uid, later)
        assert line.cuts == 1
    moved = await change_time(planning.gateway, made.merchant_id, made.merchant_uid, later)
    assert moved is not None
    assert (moved.state, moved.schedule_at) == (ScheduleState.SCHEDULED, later)
    planning.house.clock.advance(minutes=6)
    assert (await planning.end(made, ["paid"])).step is Step.PAID


@pytest.mark.fault("H3_DB", "H3_DF", "H3_NP", "H3_LQ")
async def test_a_revocation_that_the_database_did_not_get_changed_nothing(
    planning: Planning,
) -> None:
    made = await planning.due()
    async with database_away(planning.house.dsn):
        with pytest.raises(StoreUnavailable):
            await unschedule(planning.gateway, made.merchant_id, "gildong", None)
    async with over_a_line(planning.house) as line:
        line.next_commit(done=False)
        with pytest.raises(StoreUnavailable):
            await unschedule(planning.gateway, made.merchant_id, "gildong", None)
    assert (await planning.now(made)).state is ScheduleState.SCHEDULED
    [revoked] = await unschedule(planning.gateway, made.merchant_id, "gildong", None)
    assert revoked.state is ScheduleState.REVOKED


@pytest.mark.fault("H3_WD")
async def test_what_others_name_is_nobodys(planning: Planning) -> None:
    made = await planning.plan()
    later = planning.house.clock() + WAIT
    stranger = made.merchant_id + 1_000
    with pytest.raises(NothingScheduled):
        await unschedule(planning.gateway, stranger, "gildong", [made.merchant_uid])
    assert await change_time(planning.gateway, stranger, made.merchant_uid, later) is None
    assert await reschedule(planning.gateway, stranger, made.merchant_uid, later) is None
    assert await retry_schedule(planning.gateway, stranger, made.merchant_uid) is None
    assert await planning.now(made) == made
    await unschedule(planning.gateway, made.merchant_id, "gildong", None)


@pytest.mark.fault("H3_SL", "H3_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_who_slept_over_the_run_moves_nothing(planning: Planning, hours: int) -> None:
    """What it would do is decided by the row as it is then, not by what was seen before."""
    made = await planning.due()

    async def late(gateway: Gateway) -> object:
        with suppress(ScheduleEnded, NothingScheduled):
            return await unschedule(gateway, made.merchant_id, "gildong", None)
        return None

    await planning.walk()
    planning.house.clock.advance(hours=hours)
    assert await late(planning.gateway) is None
    with pytest.raises(ScheduleEnded):
        await change_time(
            planning.gateway,
            made.merchant_id,
            made.merchant_uid,
            planning.house.clock() + timedelta(hours=3),
        )
    planning.house.clock.advance(hours=-hours)
    assert (await planning.end(made, ["paid"])).step is Step.PAID
    assert await planning.walk() == []


@pytest.mark.promise("P15")
async def test_retries_at_once_charge_once(planning: Planning) -> None:
    made = await planning.due()
    planning.pg.answer(
        "charges", {"result": "declined", "order_no": made.order_no(), "code": "X", "message": "no"}
    )
    [failed] = await planning.walk()
    assert failed.step is Step.FAILED

    async def again() -> Payment | None:
        with suppress(NaruError):
            return await retry_schedule(planning.gateway, made.merchant_id, made.merchant_uid)
        return None

    tried = [each for each in await asyncio.gather(*(again() for _ in range(AT_ONCE))) if each]
    assert [each.step for each in tried] == [Step.PAID]
    assert tried[0].pg_order_no.endswith("r2")
    assert planning.charges(made) == 1

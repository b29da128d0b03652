"""Every power of a PG x what the PG did x how its answer was lost, for naru/payments/recovery.py.

After each history: the PG's book and ours agree, or the payment is held and a person was told.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from aiohttp import web

from naru.connectors import KST, Can, Lasting
from naru.connectors.sandbox import Sandbox
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import OutcomeUnknown
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.domain.task import TaskKind
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.reconcile import due, reconcile
from naru.payments.recovery import (
    LADDER_SECONDS,
    TELL_AFTER,
    Way,
    again_at,
    needs_ticket,
    way,
    way_when_not_found,
)
from naru.payments.watch import due_watches, watch
from naru.store.intents import Intent
from tests.payments.test_approve import back
from tests.support.gateway import House
from tests.support.scale import often
from tests.support.stand_in_pg import Asked, StandInPg

ASK, UNDO, REPEAT = Can.INQUIRE_ORDER, Can.NET_CANCEL, Can.REPEAT_APPROVAL
POWERS = [
    frozenset(chosen)
    for size in range(4)
    for chosen in itertools.combinations((ASK, UNDO, REPEAT), size)
]
DEEDS = ("never", "approved", "late", "declined", "other_amount")
ANSWERS = ("lost", "garbage", "slow")
OURS = frozenset({ASK, UNDO, REPEAT, Can.INQUIRE_CANCEL, Can.REPEAT_CANCEL, Can.REPEAT_CHARGE})


def give_powers(house: House, *powers: Can, lasts: Mapping[Can, Lasting] | None = None) -> Sandbox:
    """From here on the house's PG can recover by these powers only."""

    class Limited(Sandbox):
        can = (frozenset(Can) - OURS) | frozenset(powers)

    Limited.lasts = lasts or {}
    connector = Limited(house.gateway.pg_wire, house.clock)
    house.gateway._connectors["sandbox"] = connector
    return connector


def name(powers: frozenset[Can]) -> str:
    return "+".join(sorted(each.name.lower() for each in powers)) or "nothing"


def order_a_deed(pg: StandInPg, deed: str, answer: str) -> tuple[list[Asked], asyncio.Event]:
    """The next approval: what becomes of it at the PG, and of its answer. `late` is done by the test."""
    late: list[Asked] = []
    go_on = asyncio.Event()

    async def act(asked: Asked, _: dict[str, Any]) -> web.StreamResponse | dict[str, Any]:
        said: dict[str, Any] = {"result": "error", "code": "BUSY", "message": "?"}
        if deed == "late":
            late.append(asked)
        elif deed == "declined":
            said = {"result": "declined", "code": "LIMIT", "message": "한도초과"}
            said["order_no"] = asked.body["order_no"]
            pg.orders[asked.body["order_no"]] = {
                "state": "declined",
                "amount": 0,
                "cancelled": 0,
                "code": "LIMIT",
                "message": "한도초과",
                "approval": said,
            }
        elif deed != "never":
            said = pg.do(asked)
            if deed == "other_amount":
                pg.orders[asked.body["order_no"]]["amount"] = said["amount"] = 1
        if answer == "garbage":
            return pg.say(b"<html>busy</html>")
        if answer == "slow":
            await go_on.wait()
            if deed in ("approved", "declined", "other_amount"):
                return said
        assert asked.request.transport is not None
        asked.request.transport.abort()
        return web.Response()

    pg.next["approvals"].append(act)
    return late, go_on


async def let_time_pass(house: House, *, minutes: int, step: int = 60) -> None:
    """The worker's rounds, as often as its ladder may ask for them."""
    for _ in range(minutes * 60 // step):
        house.clock.advance(seconds=step)
        for imp_uid in await due(house.gateway):
            await reconcile(house.gateway, imp_uid)
        for imp_uid in await due_watches(house.gateway):
            await watch(house.gateway, imp_uid)


async def open_tasks(house: House, imp_uid: str) -> set[str]:
    async with house.gateway.store.direct() as session:
        tasks = await session.tasks.of_payment(imp_uid)
    return {task.kind for task in tasks if task.closed_at is None}


async def check(house: House, pg: StandInPg, payment: Payment, case: str) -> Step:
    """Both books agree, or the doubt lies before a person and the order is held."""
    now = await house.payment(payment.imp_uid)
    at_pg = pg.orders.get(payment.pg_order_no)
    taken = at_pg["amount"] if at_pg and at_pg["state"] == "approved" else 0
    async with house.gateway.store.direct() as session:
        intent = await session.intents.of_payment(payment.imp_uid)
    tasks = await open_tasks(house, payment.imp_uid)
    if now.step is Step.APPROVING:
        assert intent is not None, case
        assert intent.next_try_at is not None, case
        assert intent.next_try_at <= house.clock() + timedelta(days=1), f"{case}: still tried"
        assert TaskKind.APPROVAL_UNKNOWN in tasks, f"{case}: nobody was told"
    else:
        assert intent is None, case
        ours = now.amount.minor if now.step is Step.PAID else 0
        assert ours == taken, f"{case}: ours {ours}, the PG's {taken}"
        assert TaskKind.APPROVAL_UNKNOWN not in tasks, f"{case}: the task is stale"
    return now.step


@pytest.mark.fault("C2_LR", "C2_WD", "C2_RO", "C2_LQ", "K1_RO")
@pytest.mark.promise("P3", "P12", "L1")
@pytest.mark.parametrize("powers", POWERS, ids=name)
async def test_whatever_the_pg_can_and_did_the_books_agree_or_a_person_knows(
    house: House, pg: StandInPg, powers: frozenset[Can]
) -> None:
    give_powers(house, *powers)
    answers = ANSWERS[: often(1, 3)]
    ends: dict[tuple[str, str], Step] = {}
    for deed, answer in itertools.product(DEEDS, answers):
        case = f"{name(powers)}, {deed}, {answer}"
        payment = await house.open()
        late, go_on = order_a_deed(pg, deed, answer)
        later = str(int(house.clock().timestamp()) + 600)
        # The clock goes on in minutes; this much of it the process is inside its call to the PG.
        asking = asyncio.create_task(
            approve(house.gateway, payment.imp_uid, back(pg, payment, expires_at=later))
        )
        if answer == "slow":
            while not pg.asked or pg.asked[-1].body.get("order_no") != payment.pg_order_no:
                await asyncio.sleep(0.01)
        else:
            await asking
        await let_time_pass(house, minutes=2)
        if late:
            pg.do(late[0])
        go_on.set()
        await asking
        await let_time_pass(house, minutes=20, step=300)
        await let_time_pass(house, minutes=24 * 60, step=12 * 3600)
        ends[deed, answer] = await check(house, pg, payment, case)
        pg.next.clear()
    if powers & {ASK, UNDO}:
        # Who can be asked, or can undo, leaves nothing to people but what cannot be undone.
        for (deed, _), step in ends.items():
            assert step is not Step.APPROVING or (deed == "other_amount" and UNDO not in powers)


@pytest.mark.promise("L1")
async def test_a_pg_that_can_do_nothing_is_a_persons_from_the_start(
    house: House, pg: StandInPg
) -> None:
    """KCP, Danal, KSNET: no inquiry, no net-cancel, no repetition. Held, and said at once."""
    give_powers(house)
    payment = await house.open()
    pg.hang_up("approvals", done=True)
    standing = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert standing is not None
    assert standing.step is Step.APPROVING
    assert await open_tasks(house, payment.imp_uid) == {"approval_unknown"}


@pytest.mark.promise("L1")
async def test_who_is_told_at_the_limit_and_not_before(house: House, pg: StandInPg) -> None:
    """A PG that stays silent: asked on its ladder, laid before people when the proof is dead."""
    payment = await house.open()
    pg.hang_up("approvals", done=True)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))

    async def silent(asked: Asked) -> None:
        assert asked.request.transport is not None
        asked.request.transport.abort()

    pg.peek = silent
    await let_time_pass(house, minutes=14)
    assert await open_tasks(house, payment.imp_uid) == set()
    await let_time_pass(house, minutes=2)
    assert await open_tasks(house, payment.imp_uid) == {"approval_unknown"}
    pg.peek = None
    await let_time_pass(house, minutes=24 * 60, step=3600)
    assert (await house.payment(payment.imp_uid)).step is Step.PAID
    # It ended by itself, and nobody is left with a task about nothing.
    assert await open_tasks(house, payment.imp_uid) == set()


async def test_not_found_is_not_final_while_the_request_may_be_under_way(
    house: House, pg: StandInPg
) -> None:
    """Rule 1, at a PG that can be asked and cannot undo; the request arrives after 14 minutes."""
    give_powers(house, ASK)
    payment = await house.open()
    late, _ = order_a_deed(pg, "late", "lost")
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    await let_time_pass(house, minutes=14)
    assert (await house.payment(payment.imp_uid)).step is Step.APPROVING
    pg.do(late[0])
    await let_time_pass(house, minutes=2)
    assert (await house.payment(payment.imp_uid)).step is Step.PAID


async def test_an_old_not_found_is_not_final_because_its_reader_slept(
    house: House, pg: StandInPg
) -> None:
    """Asked while the request was under way; the answer is read after the limit. It decides nothing."""
    give_powers(house, ASK)
    payment = await house.open()
    late, _ = order_a_deed(pg, "late", "lost")
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    house.clock.advance(seconds=30)
    arrived, go_on = pg.hold("GET orders", done_first=True)
    sleeper = asyncio.create_task(reconcile(house.gateway, payment.imp_uid))
    await arrived.wait()
    pg.do(late[0])
    house.clock.advance(minutes=20)
    go_on.set()
    standing = await sleeper
    assert standing is not None
    assert standing.step is Step.APPROVING
    house.clock.advance(minutes=20)
    paid = await reconcile(house.gateway, payment.imp_uid)
    assert paid is not None
    assert paid.step is Step.PAID


async def test_a_net_cancel_that_is_too_late_asks_what_stands_and_books_it(
    house: House, pg: StandInPg
) -> None:
    """NICE after an hour. The money is there and cannot be undone: booked, and a person is told."""
    await house.set_merchant(webhook_url="https://shop.example/hook")
    payment = await house.open()
    pg.change("approvals", amount=1)
    pg.answer("net_cancel", {"result": "refused", "code": "TOO_LATE", "message": "?"})
    booked = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert booked is not None
    assert (booked.step, booked.flagged) == (Step.PAID, False)
    assert await house.history(payment.imp_uid) == [
        "opened",
        "authenticated",
        "undone",
        "approved_late",
    ]
    assert await open_tasks(house, payment.imp_uid) == {"answer_mismatch", "approved_late"}
    assert pg.taken() == 1004


async def test_a_window_of_time_that_is_over_leaves_it_to_a_person(
    house: House, pg: StandInPg
) -> None:
    hour = {UNDO: Lasting(time=timedelta(hours=1))}
    connector = give_powers(house, UNDO, lasts=hour)
    payment = await house.open()
    pg.hang_up("approvals", done=True)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    async with house.gateway.store.direct() as session:
        intent = await session.intents.of_payment(payment.imp_uid)
    assert intent is not None
    assert way(connector, intent, house.clock()) is Way.NET_CANCEL
    house.clock.advance(minutes=61)
    assert way(connector, intent, house.clock()) is Way.OPERATOR
    await reconcile(house.gateway, payment.imp_uid)
    assert await open_tasks(house, payment.imp_uid) == {"approval_unknown"}
    assert pg.count("net_cancel") == 0


def test_today_and_yesterday_are_days_of_korea() -> None:
    late_evening = datetime(2026, 1, 2, 23, 59, tzinfo=KST)
    until = Lasting(days=2).until(late_evening.astimezone(UTC))
    assert until == datetime(2026, 1, 4, tzinfo=KST)
    assert Lasting(time=timedelta(hours=1), days=2).until(late_evening) == datetime(
        2026, 1, 3, 0, 59, tzinfo=KST
    )


@pytest.mark.promise("P19")
async def test_a_ticket_is_kept_sealed_only_where_it_is_needed_and_not_a_moment_longer(
    house: House, pg: StandInPg
) -> None:
    async def kept() -> list[bytes]:
        async with house.gateway.store.direct() as session:
            rows = await session._connection.raw.fetch("SELECT sealed FROM kept_tickets")
        return [row["sealed"] for row in rows]

    for powers in POWERS:
        needed = REPEAT in powers and not {ASK, UNDO} <= powers
        assert needs_ticket(give_powers(house, *powers)) is needed
    for powers, count in (({ASK, UNDO, REPEAT}, 0), ({REPEAT}, 1)):
        give_powers(house, *powers)
        payment = await house.open()
        later = str(int(house.clock().timestamp()) + 600)
        pg.hang_up("approvals", done=False)
        fields = back(pg, payment, expires_at=later)
        await approve(house.gateway, payment.imp_uid, fields)
        blobs = await kept()
        assert len(blobs) == count
        assert not any(fields["auth_token"].encode() in blob for blob in blobs)
        house.clock.advance(seconds=30)
        await reconcile(house.gateway, payment.imp_uid)
        assert await kept() == []
        assert (await house.payment(payment.imp_uid)).final


@pytest.mark.fault("F2_LR", "F2_LQ")
@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(
    "powers",
    [(), (Can.INQUIRE_CANCEL,), (Can.REPEAT_CANCEL,), (Can.INQUIRE_CANCEL, Can.REPEAT_CANCEL)],
)
async def test_a_cancel_in_doubt_is_done_once_given_up_for_good_or_a_persons(
    house: House, pg: StandInPg, powers: tuple[Can, ...], done: bool
) -> None:
    give_powers(house, ASK, UNDO, *powers)
    payment = await house.open(1004)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    pg.hang_up("cancels", done=done)
    with pytest.raises(OutcomeUnknown):
        await cancel(
            house.gateway, house.merchant.id, payment.imp_uid, CancelRequest(amount=Money(400))
        )
    tasks = await open_tasks(house, payment.imp_uid)
    assert tasks == (set() if powers else {"cancel_unknown"})
    await let_time_pass(house, minutes=20)
    now = await house.payment(payment.imp_uid)
    async with house.gateway.store.direct() as session:
        intent = await session.intents.of_payment(payment.imp_uid)
    if not powers:
        assert intent is not None, "the amount stays reserved"
        assert pg.count("cancels") == 1, "nobody guesses"
        return
    assert intent is None
    assert await open_tasks(house, payment.imp_uid) == set()
    assert now.balance.minor == pg.taken()
    assert pg.taken() == (604 if done or Can.REPEAT_CANCEL in powers else 1004)


def test_the_table_of_recovery_has_a_row_for_every_doubt() -> None:
    """The picture on top of recovery.py, row by row; a PG is what it can do."""
    opened = datetime(2026, 1, 2, tzinfo=UTC)

    def doubt(kind: str, state: str = "unknown", **request: Any) -> Intent:
        asked = {"token_dies_at": (opened + timedelta(minutes=10)).timestamp(), **request}
        return Intent(1, "imp_1", kind, "n1", 1004, 0, asked, state, 0, opened, None)

    class Pg(Sandbox):
        lasts: ClassVar[Mapping[Can, Lasting]] = {}

        def __init__(self, *powers: Can) -> None:
            self.can = frozenset(powers)  # type: ignore[misc]

    soon, beyond = opened + timedelta(minutes=1), opened + timedelta(minutes=19)
    c_i, c_r = Can.INQUIRE_CANCEL, Can.REPEAT_CANCEL
    first: list[tuple[tuple[Can, ...], Intent, Way]] = [
        ((ASK, UNDO, REPEAT), doubt("approve"), Way.INQUIRE),
        ((UNDO, REPEAT), doubt("approve"), Way.REPEAT),
        ((UNDO, REPEAT), doubt("issue_account"), Way.NET_CANCEL),
        ((UNDO,), doubt("approve"), Way.NET_CANCEL),
        ((), doubt("approve"), Way.OPERATOR),
        ((ASK, UNDO), doubt("approve", "undoing"), Way.NET_CANCEL),
        ((ASK,), doubt("approve", "undoing"), Way.INQUIRE),
        ((), doubt("approve", "undoing"), Way.OPERATOR),
        ((c_i, c_r), doubt("cancel"), Way.INQUIRE),
        ((c_r,), doubt("cancel"), Way.REPEAT),
        ((c_r,), doubt("cancel", to_account=True), Way.OPERATOR),
        ((), doubt("cancel"), Way.OPERATOR),
        ((), doubt("close_account"), Way.REPEAT),
    ]
    for powers, intent, wanted in first:
        assert way(Pg(*powers), intent, soon) is wanted, (powers, intent)
    missing: list[tuple[tuple[Can, ...], Intent, datetime, Way]] = [
        ((ASK, UNDO, REPEAT), doubt("approve"), soon, Way.NET_CANCEL),
        ((ASK, REPEAT), doubt("approve"), soon, Way.REPEAT),
        ((ASK, REPEAT), doubt("approve"), beyond, Way.NEVER_WAS),
        ((ASK,), doubt("approve"), soon, Way.WAIT),
        ((ASK,), doubt("approve"), beyond, Way.NEVER_WAS),
        ((c_i, c_r), doubt("cancel"), soon, Way.REPEAT),
        ((c_i,), doubt("cancel"), soon, Way.WAIT),
        # Five minutes by one machine's clock and another's may be two (a simulation's seed 1500015).
        ((c_i,), doubt("cancel"), opened + timedelta(minutes=7), Way.WAIT),
        ((c_i,), doubt("cancel"), beyond, Way.NEVER_WAS),
    ]
    for powers, intent, asked_at, wanted in missing:
        assert way_when_not_found(Pg(*powers), intent, asked_at) is wanted, (powers, intent)


@pytest.mark.promise("L1")
@pytest.mark.parametrize("tries", range(1, 12))
def test_no_rung_goes_beyond_the_moment_at_which_a_person_is_told(tries: int) -> None:
    """Seven tries within ten minutes, as when who leased each of them died, put off the next by six hours
    (simulated seed 8)."""
    asked_at = datetime(2026, 3, 2, tzinfo=UTC)
    again = again_at(tries, asked_at, asked_at + timedelta(minutes=10))
    assert again <= asked_at + TELL_AFTER + timedelta(seconds=1)
    # The try at that moment finds itself behind it, and tells; from then on the ladder goes on.
    late = asked_at + TELL_AFTER + timedelta(seconds=2)
    rung = LADDER_SECONDS[min(tries, len(LADDER_SECONDS)) - 1]
    assert again_at(tries, asked_at, late) == late + timedelta(seconds=rung)

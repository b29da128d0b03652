"""Schedules and billing keys at once: one row, one charge, one winner of a run and its revocation.

Each race is run again with its guard taken away; then it must show what the guard forbids.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import count
from typing import Any

import pytest

from naru.domain.errors import AlreadyPaid, OutcomeUnknown
from naru.domain.schedule import Schedule
from naru.payments.run_schedule import run_schedule
from naru.store.billing_keys import BillingKeys
from naru.store.schedules import Schedules
from tests.races.arena import CROWD, Arena, Said, crowd, together
from tests.support.scale import often

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/subscribe/payments/schedule"
CARD = {"card_number": "4518421234567811", "expiry": "2049-12"}
NO_CUSTOMER = (200, 1, "등록되지 않은 구매자입니다.")
TWICE = (200, 1, "이미 예약된 merchant_uid 입니다.")
NOTHING = (200, 1, "취소할 예약결제 기록이 존재하지 않습니다.")
NOT_FAILED = (400, -1, "결제에 실패한 예약만 다시 시도할 수 있습니다.")
# Who looked before the winner wrote hears of the winner's payment.
UNDER_WAY = (200, 1, OutcomeUnknown.sentence)
PAID = (200, 1, AlreadyPaid.sentence)
_NUMBERS = count(1)


async def a_customer(arena: Arena) -> str:
    """A customer whose card is kept."""
    uid = f"raced-customer-{next(_NUMBERS)}"
    kept = await arena.ask("POST", f"/subscribe/customers/{uid}", CARD)
    assert kept.done, kept.body
    return uid


async def plan(arena: Arena, customer: str, order: str, seconds: int = 60) -> Said:
    item = {
        "merchant_uid": order,
        "schedule_at": int(time.time()) + seconds,
        "amount": 1_000,
        "name": "구독",
    }
    return await arena.ask("POST", PATH, {"customer_uid": customer, "schedules": [item]})


async def planned(arena: Arena, seconds: int = 60) -> tuple[str, str]:
    """An order that is due in a minute, and our number of its schedule."""
    order = f"raced-plan-{next(_NUMBERS)}"
    assert (await plan(arena, await a_customer(arena), order, seconds)).done
    return order, (await row_of(arena, order))["number"]


async def row_of(arena: Arena, order: str) -> Any:
    [row] = await arena.rows("SELECT * FROM schedules WHERE merchant_uid = $1", order)
    return row


async def a_moment(number: int) -> None:
    """The callers are about as fast as each other, give or take."""
    for _ in range(number % 40):
        await asyncio.sleep(0)


# --- planning ----------------------------------------------------------------------------------


async def _plans(arena: Arena) -> list[Said]:
    """Sixty-four plan one order."""
    customer, order = await a_customer(arena), f"raced-plan-{next(_NUMBERS)}"
    return await crowd(lambda _: plan(arena, customer, order))


@pytest.mark.promise("P15")
async def test_sixty_four_plans_of_one_order_are_one(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        said = await _plans(arena)
        assert [each.done for each in said].count(True) == 1
        assert {each.words for each in said if not each.done} == {TWICE}


async def test_control_without_the_constraint_one_order_is_planned_again(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(self: Schedules, *which: object) -> list[Schedule]:
        return []

    await broken.rows("ALTER TABLE schedules DROP CONSTRAINT one_schedule_per_order")
    monkeypatch.setattr(Schedules, "many", nobody)
    planned = [each.done for each in await _plans(broken)].count(True)
    print(f"\none order: 1 schedule with the constraint, {planned} without")
    assert planned > 1


# --- a run and its revocation ------------------------------------------------------------------


async def _run_and_revoke(arena: Arena, workers: int = CROWD // 4) -> tuple[int, list[Said], str]:
    """Sixteen workers run what forty-eight revoke; charges, what was heard, and the state."""
    order, number = await planned(arena)
    before, late = len(arena.pg.book), next(_NUMBERS)

    async def revoke(_: int) -> Said:
        await a_moment(late * 7)
        return await arena.ask("POST", "/subscribe/payments/unschedule", {"merchant_uid": order})

    async def work() -> None:
        arena.house.clock.advance(minutes=2)
        await a_moment(late * 3)
        await crowd(lambda _: run_schedule(arena.house.gateway, number), workers)
        arena.house.clock.advance(minutes=-2)

    _, said = await together(work(), crowd(revoke, CROWD * 3 // 4))
    return len(arena.pg.book) - before, said, (await row_of(arena, order))["state"]


@pytest.mark.promise("P15")
async def test_a_plan_is_run_or_revoked_and_never_both(arena: Arena, rounds: int) -> None:
    for _ in range(rounds * 2):
        charges, said, state = await _run_and_revoke(arena)
        revoked = [each.done for each in said].count(True)
        assert (state, charges, revoked) in (("executed", 1, 0), ("revoked", 0, 1))
        assert {each.words for each in said if not each.done} <= {NOTHING}
        assert await arena.differences() == []


async def test_control_a_run_that_does_not_hold_its_row_charges_what_was_revoked(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unheld(self: Schedules, number: str, now: object) -> Schedule | None:
        return await self.of_number(number)

    async def unwritten(self: Schedules, schedule: Schedule, *how: object) -> Schedule:
        return schedule

    monkeypatch.setattr(Schedules, "hold_due", unheld)
    monkeypatch.setattr(Schedules, "execute", unwritten)
    charges, _, state = await _run_and_revoke(broken, workers=1)
    print(f"\nwithout holding its row: {charges} charge, and the schedule is {state}")
    assert (charges, state) == (1, "revoked")


# --- what failed, again ------------------------------------------------------------------------


async def _again(arena: Arena, retries: int = CROWD // 2) -> tuple[int, list[Said], str]:
    """What failed is attempted again by some and planned anew by the others: charges, what was heard, and the state."""
    order, number = await planned(arena, seconds=1)
    refused = {"result": "declined", "code": "LIMIT", "message": "한도초과"}
    arena.pg.answer("charges", refused | {"order_no": f"{number}r1"})
    # By every clock of the house: what is attempted again is never attempted before its time.
    due = (await row_of(arena, order))["schedule_at"]
    await asyncio.sleep(max(0.0, due.timestamp() - time.time()))
    await run_schedule(arena.house.gateway, number)
    assert (await row_of(arena, order))["state"] == "executed"
    before, at, late = len(arena.pg.book), int(time.time()) + 600, next(_NUMBERS)

    async def once_more(which: int) -> Said:
        if which < retries:
            return await arena.ask("POST", f"{PATH}/{order}/retry")
        # An attempt reads more than a plan before it writes: now and then it is given a start.
        await asyncio.sleep(0.05 * (late % 4))
        return await arena.ask("POST", f"{PATH}/{order}/reschedule", {"schedule_at": at})

    said = await crowd(once_more)
    return len(arena.pg.book) - before, said, (await row_of(arena, order))["state"]


@pytest.mark.promise("P2", "P15")
async def test_what_failed_is_attempted_again_or_planned_anew_once(
    arena: Arena, rounds: int
) -> None:
    ends = Counter[str]()
    for _ in range(rounds * 2):
        charges, said, state = await _again(arena)
        assert [each.done for each in said].count(True) == 1
        assert (state, charges) in (("executed", 1), ("scheduled", 0))
        assert {each.words for each in said if not each.done} <= {NOT_FAILED, UNDER_WAY, PAID}
        assert await arena.differences() == []
        ends[state] += 1
    print(f"\nwhat failed: {dict(ends)}")
    assert len(ends) >= often(1, 2), "one of the two never won, and was not tried"


async def test_control_who_does_not_ask_whether_it_failed_plans_it_again_and_again(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unasked(tx: object, held: Schedule) -> None:
        return None

    await broken.rows("ALTER TABLE schedules DISABLE TRIGGER schedule_rules")
    monkeypatch.setattr("naru.payments.schedule.must_have_failed", unasked)
    monkeypatch.setattr("naru.payments.run_schedule.must_have_failed", unasked)
    _, said, _ = await _again(broken, retries=0)
    done = [each.done for each in said].count(True)
    print(f"\nwhat failed: 1 of 64 is told yes, {done} without asking whether it failed")
    assert done > 1


# --- a key and its deletion --------------------------------------------------------------------


async def _charge_and_delete(arena: Arena) -> tuple[list[Said], list[Said], int]:
    """Thirty-two charge a key that thirty-two delete, and sixteen more after that. The last is how
    often the PG was asked to charge after somebody had been told that the key is deleted.
    """
    customer = await a_customer(arena)
    deleted = asyncio.Event()

    async def charge(_: int = 0) -> Said:
        order = {"merchant_uid": f"raced-key-{next(_NUMBERS)}", "amount": 1_000, "name": "x"}
        return await arena.ask(
            "POST", "/subscribe/payments/again", {"customer_uid": customer, **order}
        )

    async def delete(_: int) -> Said:
        await a_moment(next(_NUMBERS))
        said = await arena.ask("DELETE", f"/subscribe/customers/{customer}")
        if said.done:
            deleted.set()
        return said

    charges, deletions = await together(crowd(charge, CROWD // 2), crowd(delete, CROWD // 2))
    assert deleted.is_set()
    asked_when_deleted = arena.pg.count("charges")
    charges += await crowd(charge, CROWD // 4)
    return charges, deletions, arena.pg.count("charges") - asked_when_deleted


@pytest.mark.promise("P2", "P10")
async def test_a_key_that_is_deleted_is_charged_no_more(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        before = len(arena.pg.book)
        charges, deletions, asked_after = await _charge_and_delete(arena)
        assert [each.done for each in deletions].count(True) == 1
        told = min(each.answered_at for each in deletions if each.done)
        paid = [each for each in charges if each.done and each.body["response"]["status"] == "paid"]
        assert len(arena.pg.book) - before == len(paid)
        assert [each for each in paid if each.asked_at > told] == []
        assert asked_after == 0
        assert {each.words for each in charges[-CROWD // 4 :]} == {NO_CUSTOMER}
        assert await arena.differences() == []


async def test_control_a_gateway_that_remembers_keys_charges_one_that_is_deleted(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, known = BillingKeys.get, {}

    async def remembered(self: BillingKeys, *which: Any) -> Any:
        if which not in known and (found := await get(self, *which)) is not None:
            known[which] = found
        return known.get(which)

    monkeypatch.setattr(BillingKeys, "get", remembered)
    _, _, asked = await _charge_and_delete(broken)
    print(f"\na deleted key: the PG is asked 0 times with the database, {asked} with a memory")
    assert asked > 0

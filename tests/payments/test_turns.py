"""Many calls about one order or one card: they wait in this process and cost the others nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from naru.domain.errors import AlreadyPaid, CancelInProgress, OutcomeUnknown, TooManyAtOnce
from naru.domain.money import Money
from naru.domain.payment import Payment
from naru.payments import turns
from naru.payments.turns import Turns
from tests.payments.test_cancel import give_back, paid_payment
from tests.payments.test_faults_charge import Charging, issue
from tests.support.gateway import House
from tests.support.stand_in_pg import Asked, StandInPg

FLOOD = 300


async def statements(house: House) -> int:
    """How often the order's state was looked at, by PostgreSQL's own count of scans."""
    async with house.gateway.store.direct() as session:
        raw: Any = session.payments._connection.raw
        await raw.execute("SELECT pg_stat_force_next_flush()")
        return int(
            await raw.fetchval(
                "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database"
                " WHERE datname = current_database()"
            )
        )


async def test_a_flood_about_one_order_waits_without_asking_the_database(
    house: House, pg: StandInPg
) -> None:
    """A hundred wait for the first, the others are told so at once; nobody polls."""
    await issue(house)
    charging, go_on, asked = Charging(house, "key"), asyncio.Event(), asyncio.Event()

    async def slow(each: Asked) -> None:
        if each.operation == "charges" and each.body["merchant_order_no"] == "flood":
            asked.set()
            await go_on.wait()

    pg.peek = slow
    first = asyncio.create_task(charging("flood"))
    await asked.wait()
    flood = [asyncio.create_task(charging("flood")) for _ in range(FLOOD)]
    refused = await asyncio.wait_for(_ended(flood, FLOOD - turns.AT_ONCE + 1), 20)
    assert {type(each.exception()) for each in refused} == {TooManyAtOnce}
    before = await statements(house)
    assert isinstance(await charging("a neighbour"), Payment)
    await asyncio.sleep(1)
    cost = await statements(house) - before
    go_on.set()
    heard = await asyncio.gather(first, *flood, return_exceptions=True)
    pg.peek = None
    assert sum(isinstance(each, Payment) for each in heard) == 1
    assert sum(isinstance(each, AlreadyPaid) for each in heard) == turns.AT_ONCE - 1
    print(
        f"\n{turns.AT_ONCE} wait for a second: {cost} transactions, a neighbour's charge among them"
    )
    # With a look every 50 ms there were thousands.
    assert cost < 60
    assert pg.count("charges") == 2


async def test_a_flood_of_cancels_of_one_payment_waits_without_asking_the_database(
    house: House, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits in vain asked for nothing: they hear that another cancel is under way."""
    payment = await paid_payment(house, pg, 1_000)
    at_pg, go_on = pg.hold("cancels", done_first=False)
    first = asyncio.create_task(give_back(house, payment, 1))
    await at_pg.wait()
    monkeypatch.setattr(turns, "WAIT_SECONDS", 1.0)
    before = await statements(house)
    flood = await asyncio.gather(
        *(give_back(house, payment, 1) for _ in range(FLOOD)), return_exceptions=True
    )
    cost = await statements(house) - before
    go_on.set()
    assert Counter(map(type, flood)) == {
        TooManyAtOnce: FLOOD - turns.AT_ONCE + 1,
        CancelInProgress: turns.AT_ONCE - 1,
    }
    print(f"\n{turns.AT_ONCE - 1} cancels wait for a second: {cost} transactions")
    # With a look every 50 ms there were thousands.
    assert cost < 20
    assert (await first).cancelled == Money(1)
    assert pg.count("cancels") == 1


async def _ended(tasks: list[asyncio.Task[Payment]], many: int) -> set[asyncio.Task[Payment]]:
    done: set[asyncio.Task[Payment]] = set()
    while len(done) < many:
        new, _ = await asyncio.wait(set(tasks) - done, return_when=asyncio.FIRST_COMPLETED)
        done |= new
    return done


async def test_turns_come_one_after_the_other_and_nothing_is_left_of_them() -> None:
    having = Turns()
    inside, order = 0, []

    async def call(number: int) -> None:
        nonlocal inside
        async with having.take("order", 1):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            order.append(number)
            inside -= 1

    calls = [asyncio.create_task(call(number)) for number in range(20)]
    await asyncio.sleep(0)
    calls[7].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert order == [number for number in range(20) if number != 7]
    assert not having._lines
    async with having.take("order", 1), having.take("order", 2):
        pass


async def test_who_waits_too_long_hears_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    having = Turns(at_once=2)
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)
    async with having.take("order"):
        with pytest.raises(OutcomeUnknown):
            async with having.take("order"):
                raise AssertionError("two have the word")
        waiting = asyncio.create_task(_take(having))
        await asyncio.sleep(0)
        with pytest.raises(TooManyAtOnce):
            await _take(having)
        with pytest.raises(OutcomeUnknown):
            await waiting
    await _take(having)
    assert not having._lines


async def _take(having: Turns) -> None:
    async with having.take("order"):
        pass

"""Tier 2: the simulated payments over the real SQL, statement by statement."""

from __future__ import annotations

import asyncio
import functools
from datetime import timedelta

import asyncpg
import pytest

from naru.store.audit import audit
from tests.simulation.run import Simulation, simulate
from tests.simulation.sql_lockstep import LockstepDatabase, Server, empty, prepare
from tests.simulation.world import EPOCH, Plan
from tests.support.scale import often

PAYMENTS = often(20, 200_000)
BUYERS = often(20, 200)


def both(dsn: str, plan: Plan) -> tuple[LockstepDatabase, int, list[str], int]:
    """One world over both servers: the simulated one, its trace, what broke, payments."""
    asyncio.run(empty(dsn))
    server = Server(dsn)
    try:
        simulation = Simulation(plan, functools.partial(LockstepDatabase, server=server))
        result = simulation.run()
        database = simulation.world.database
        assert isinstance(database, LockstepDatabase)
        if not database.differences:
            database.compare_tables()
        broken = [str(each) for each in result.broken]
        now = EPOCH + timedelta(seconds=result.seconds)
        for check in asyncio.run(audit(dsn, now=now)).checks:
            broken += [f"{check.name}: {each.id} {each.why}" for each in check.examples]
        return database, result.hash, broken, result.payments
    finally:
        server.close()


@pytest.mark.promise("P1", "P2", "P3", "P4", "P14", "P16")
def test_no_promise_breaks_over_the_real_sql(empty_database_url: str) -> None:
    asyncio.run(prepare(empty_database_url))
    done = statements = refused = commits = 0
    seed = 0
    while done < PAYMENTS:
        seed += 1
        plan = Plan(seed, tuple(range(BUYERS)))
        database, trace, broken, payments = both(empty_database_url, plan)
        assert not database.differences, f"seed {seed}:\n" + "\n".join(database.differences)
        assert broken == [], f"seed {seed}"
        # PostgreSQL beside it changes nothing in the world.
        assert seed > 2 or simulate(plan).hash == trace
        done, statements = done + payments, statements + database.statements
        refused, commits = refused + database.refused, commits + database.commits
    print(
        f"{done} payments, {statements} statements ({refused} refused) and {commits} commits were"
        " the same on both servers"
    )
    assert refused > 0


def test_sql_that_lost_a_trigger_is_told(empty_database_url: str) -> None:
    """The control: the tables without the trigger that writes a payment's history."""
    asyncio.run(prepare(empty_database_url))
    asyncio.run(forget_trigger(empty_database_url))
    database, *_ = both(empty_database_url, Plan(1, (0, 1, 2), ()))
    print("control:", len(database.differences), "differences")
    assert database.differences


async def forget_trigger(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP TRIGGER payment_history ON payments")
    await connection.close()

"""A worker that has nothing to do asks little: no poll storms (for naru/jobs/worker.py, timetable.py)."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import asyncpg

from naru.jobs.worker import POLL, work
from naru.payments.gateway import Gateway
from tests.support.postgres import Databases
from tests.support.scale import often

MEASURED_SECONDS = often(6, 60)
# A worker's rounds, its poll and its share of the library's own looks; PostgreSQL answers thousands.
STATEMENTS_A_SECOND_MAX = 6.0


async def statements_a_second(
    databases: Databases, dsn: str, gateway: Gateway, poll: timedelta, seconds: float
) -> float:
    """What a worker says to the server, by the server's own log, once it has begun."""
    name = dsn.partition("@/")[2].partition("?")[0]
    admin = await asyncpg.connect(dsn)
    await admin.execute(f'ALTER DATABASE "{name}" SET log_statement = "all"')
    # Only new connections hear of it; whoever is there already must come again.
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await admin.close()
    stop = asyncio.Event()
    working = asyncio.create_task(work(gateway, dsn, stop, drain_seconds=1, poll=poll))
    try:
        await asyncio.sleep(2)
        before = databases.server.log.stat().st_size
        await asyncio.sleep(seconds)
        said = databases.server.log.read_bytes()[before:]
    finally:
        stop.set()
        await asyncio.wait_for(working, 15)
    return len(re.findall(rb"LOG:  (?:statement|execute [^:]+): ", said)) / seconds


async def test_an_idle_worker_asks_a_few_questions_a_second(
    databases: Databases, database_url: str, gateway: Gateway
) -> None:
    idle = await statements_a_second(databases, database_url, gateway, POLL, MEASURED_SECONDS)
    # The control: a worker that asks for jobs ten times a second is seen.
    hasty = timedelta(seconds=0.1)
    storm = await statements_a_second(databases, database_url, gateway, hasty, 2)
    print(
        f"an idle worker: {idle:.1f} statements/s (bound {STATEMENTS_A_SECOND_MAX:.0f});"
        f" control, a poll every 0.1 s: {storm:.1f}"
    )
    assert 0 < idle < STATEMENTS_A_SECOND_MAX < storm

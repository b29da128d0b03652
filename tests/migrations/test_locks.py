"""Whoever migrates waits for long, and makes nobody else wait."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from tests.killing.house import BYTECODE
from tests.migrations.release import next_release
from tests.support.scale import often

HELD_SECONDS = often(3, 20)
COLUMN = "ALTER TABLE payments ADD COLUMN planted text"

MIGRATE = ("-P", "-m", "naru.cli.main", "migrate")


def environ_of(tree: Path, database_url: str) -> dict[str, str]:
    return {
        "PYTHONPATH": str(tree),
        "PYTHONPYCACHEPREFIX": str(BYTECODE),
        "NARU_DATABASE_URL": database_url,
    }


async def longest_read(database_url: str, stop: asyncio.Event) -> float:
    """Seconds of the slowest of many readings."""
    connection = await asyncpg.connect(database_url)
    slowest = 0.0
    while not stop.is_set():
        began = time.monotonic()
        await connection.fetch("SELECT imp_uid FROM payments LIMIT 1")
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.01)
    await connection.close()
    return slowest


async def beside_a_long_transaction(database_url: str, *command: str, **environ: str) -> float:
    """Run a program while somebody reads `payments` in a transaction that does not end for long."""
    holder = await asyncpg.connect(database_url)
    stop = asyncio.Event()
    async with holder.transaction():
        await holder.fetch("SELECT imp_uid FROM payments LIMIT 1")
        reading = asyncio.create_task(longest_read(database_url, stop))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            env={**os.environ, **environ},
            stdin=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(HELD_SECONDS)
        assert process.returncode is None, "it did not wait"
    await holder.close()
    assert await asyncio.wait_for(process.wait(), 60) == 0
    stop.set()
    connection = await asyncpg.connect(database_url)
    await connection.fetch("SELECT planted FROM payments LIMIT 1")
    await connection.close()
    return await reading


def test_a_long_transaction_delays_the_migration_and_nobody_else(
    database_url: str, tmp_path: Path
) -> None:
    tree = next_release(tmp_path, {"9000_column.sql": COLUMN})
    ours = asyncio.run(
        beside_a_long_transaction(
            database_url,
            *MIGRATE,
            **environ_of(tree, database_url),
        )
    )
    print(f"the slowest reading beside a migration that cannot have its lock: {ours:.2f} s")
    assert ours < 1


def test_a_migration_that_waits_for_its_lock_stops_everybody(database_url: str) -> None:
    """The control: the same change, by hand."""
    program = (
        "import asyncio, asyncpg\n"
        "async def main():\n"
        f"    connection = await asyncpg.connect({database_url!r})\n"
        f"    await connection.execute({COLUMN!r})\n"
        "asyncio.run(main())"
    )
    theirs = asyncio.run(beside_a_long_transaction(database_url, "-c", program))
    print(f"control: {theirs:.2f} s")
    assert theirs > 1


@pytest.mark.fault("L2_SL")
def test_a_migrator_that_is_paused_lets_go(database_url: str, tmp_path: Path) -> None:
    """Its change is undone, nobody waits for it to wake up, and the next one applies it."""
    tree = next_release(tmp_path, {"9000_column.sql": COLUMN + "; SELECT pg_sleep(1)"})
    asyncio.run(_paused(database_url, environ_of(tree, database_url)))


async def _paused(database_url: str, environ: dict[str, str]) -> None:
    connection = await asyncpg.connect(database_url)
    migrator = await asyncio.create_subprocess_exec(
        sys.executable, *MIGRATE, env={**os.environ, **environ}
    )
    try:
        async with asyncio.timeout(30):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'naru migrate'"
                " AND query LIKE '%pg_sleep%' AND wait_event = 'PgSleep'"
            ):
                await asyncio.sleep(0.02)
        migrator.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        # It holds the table; this reading comes through although it never wakes up.
        await connection.fetch("SELECT imp_uid FROM payments LIMIT 1", timeout=20)
        print(f"paused with a lock: let go after {time.monotonic() - began:.1f} s")
        assert migrator.returncode is None
        migrator.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(migrator.wait(), 60) == 1
        names = await connection.fetch("SELECT name FROM schema_migrations")
        assert "9000_column.sql" not in {row["name"] for row in names}
        again = await asyncio.create_subprocess_exec(
            sys.executable, *MIGRATE, env={**os.environ, **environ}
        )
        assert await asyncio.wait_for(again.wait(), 60) == 0
        await connection.fetch("SELECT planted FROM payments LIMIT 1")
    finally:
        if migrator.returncode is None:
            migrator.kill()
        await connection.close()

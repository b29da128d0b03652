"""A migration during which something breaks: row L2 of the matrix. It happened wholly or not at all, and is
repeated until all of it did."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from naru.cli import database
from naru.store import Store
from naru.store.migrate import applied, files, migrate
from tests.migrations.release import next_release
from tests.migrations.test_locks import MIGRATE, environ_of
from tests.support.database_away import database_away
from tests.support.database_line import line_to
from tests.support.scale import often

TROUBLE = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
TWO_FILES = {
    "9000_first.sql": "ALTER TABLE payments ADD COLUMN planted_first text",
    "9001_second.sql": "ALTER TABLE payments ADD COLUMN planted_second text; SELECT pg_sleep(1)",
}


async def names(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return set(await applied(connection))
    finally:
        await connection.close()


async def works(dsn: str) -> None:
    """Every migration is there, once, and the house opens."""
    assert await names(dsn) == {name for name, _ in files()}
    await database.check_ready(dsn)
    store = await Store.open(dsn)
    async with store.direct() as session:
        await session.merchants.all()
    await store.close()


@pytest.mark.fault("L2_LR")
async def test_a_migration_whose_commit_nobody_heard_of_is_applied_once(
    empty_database_url: str,
) -> None:
    """Of every file the COMMIT's answer is lost, and of some its question, too."""
    count = len(files())
    questions = 0
    async with line_to(empty_database_url) as (line, near):
        for number in range(count):
            asked = number % often(5, 1) == 0
            questions += asked
            for done in (False, True) if asked else (True,):
                line.next_that_says(b"COMMIT;", done=done)
                with pytest.raises(TROUBLE):
                    await migrate(near)
                assert len(await names(empty_database_url)) == number + done
        assert line.cuts == count + questions
        line.words = line.cut = None
        assert await migrate(near) == []
    await works(empty_database_url)


@contextlib.asynccontextmanager
async def migrating(dsn: str, tree: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`naru migrate` as a process that has just done the first file and is within the second one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *MIGRATE,
        env={**os.environ, **environ_of(tree, dsn)},
        stderr=asyncio.subprocess.PIPE,
    )
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(40):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'naru migrate'"
                " AND datname = current_database() AND wait_event = 'PgSleep'"
            ):
                await asyncio.sleep(0.01)
        await connection.close()
        yield process
    finally:
        connection.terminate()
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.fault("L2_CB", "L2_CA", "L2_DB", "L2_DF", "L2_NP")
@pytest.mark.skipif(not often(0, 1), reason="four migrators in four processes: by night")
def test_a_migrator_that_loses_its_database_its_network_or_its_life_has_done_whole_files(
    database_url: str, tmp_path: Path
) -> None:
    """The first file stays and is not applied again; of the second one nothing is seen."""
    tree = next_release(tmp_path, TWO_FILES)
    asyncio.run(_broken_off(database_url, tree))


async def _broken_off(dsn: str, tree: Path) -> None:
    async def half() -> None:
        assert await names(dsn) >= {"9000_first.sql"}
        assert "9001_second.sql" not in await names(dsn)
        connection = await asyncpg.connect(dsn)
        await connection.fetch("SELECT planted_first FROM payments", timeout=20)
        with pytest.raises(asyncpg.UndefinedColumnError):
            await connection.fetch("SELECT planted_second FROM payments")
        await connection.close()

    async with migrating(dsn, tree) as process:
        async with database_away(dsn):
            _, said = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 1
        assert said.decode().startswith("naru: The database could not be migrated: ")
        assert said.count(b"\n") == 1
    await half()
    async with line_to(dsn) as (line, near), migrating(near, tree) as process:
        line.open.clear()
        await let_go(dsn)
        assert process.returncode is None, "it cannot know"
        line.open.set()
        _, said = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, said.count(b"\n")) == (1, 1)
    await half()
    async with migrating(dsn, tree) as process:
        process.kill()
        await process.wait()
    await half()
    async with migrating(dsn, tree) as process:
        assert await asyncio.wait_for(process.wait(), 30) == 0
    assert await names(dsn) >= set(TWO_FILES)
    connection = await asyncpg.connect(dsn)
    await connection.fetch("SELECT planted_first, planted_second FROM payments")
    await connection.close()


async def let_go(dsn: str) -> None:
    """Wait until the server has undone what a silent migrator was at: nobody must wait for it."""
    connection = await asyncpg.connect(dsn)
    async with asyncio.timeout(5):
        while await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'naru migrate'"
            " AND datname = current_database()"
        ):
            await asyncio.sleep(0.05)
    await connection.close()


@pytest.mark.fault("L2_RO")
async def test_an_older_version_that_migrates_after_a_newer_one_changes_nothing(
    database_url: str,
) -> None:
    """Two machines are upgraded in the wrong order: the older one finds its work done and goes on."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE payments ADD COLUMN of_the_future text")
    await connection.execute(
        "INSERT INTO schema_migrations (name, digest) VALUES ('9000_future.sql', 'of the future')"
    )
    before = await applied(connection)
    assert await migrate(database_url) == []
    assert await database.pending(database_url) == []
    assert await applied(connection) == before
    await connection.fetch("SELECT of_the_future FROM payments")
    await connection.close()
    await database.check_ready(database_url)

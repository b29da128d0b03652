"""Migrations: each once, never changed, safe from many places. For naru/store/migrate.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from naru.store import Store
from naru.store.migrate import MigrationChanged, applied, files, migrate
from tools.dump_schema import SCHEMA, dump_schema

if TYPE_CHECKING:
    from tests.support.postgres import Databases


async def test_a_database_is_migrated_once(empty_database_url: str) -> None:
    names = [name for name, _ in files()]
    assert await migrate(empty_database_url) == names
    assert await migrate(empty_database_url) == []
    store = await Store.open(empty_database_url)
    async with store.direct() as session:
        assert await session.merchants.all() == []
    await store.close()


@pytest.mark.fault("L2_DU")
async def test_many_that_migrate_at_once_do_it_once_together(empty_database_url: str) -> None:
    ends = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(map(len, ends)) == [0, 0, 0, len(files())]


async def test_a_migration_that_was_changed_afterwards_is_refused(
    empty_database_url: str,
) -> None:
    await migrate(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(
        "UPDATE schema_migrations SET digest = 'another' WHERE name = $1", files()[0][0]
    )
    with pytest.raises(MigrationChanged, match=files()[0][0]):
        await migrate(empty_database_url)
    await connection.close()


async def test_a_migration_that_fails_leaves_nothing_behind(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("CREATE TABLE payment_events (stranger int)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty_database_url)
    assert await applied(connection) == {}
    assert await connection.fetchval("SELECT to_regclass('payments')") is None
    await connection.execute("DROP TABLE payment_events")
    await connection.close()
    assert await migrate(empty_database_url) == [name for name, _ in files()]


def test_the_numbers_of_migrations_rise_by_one() -> None:
    assert [int(name[:4]) for name, _ in files()] == list(range(1, len(files()) + 1))


def test_schema_sql_is_what_all_migrations_add_up_to(databases: Databases) -> None:
    """When this fails: `.venv/bin/python -m tools.dump_schema`, and read what changed."""
    assert dump_schema(databases.server, "naru_schema") == SCHEMA.read_text("utf-8")

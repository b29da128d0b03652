"""Jobs that are asked for inside a transaction, for naru/store/queue.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from naru.store import Store
from naru.store.queue import install
from tests.support.gateway import ROOT_KEY


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, root_key=ROOT_KEY)
    yield opened
    await opened.close()


async def jobs(url: str) -> list[tuple[str, str]]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT entrypoint, payload FROM jobs ORDER BY id")
        return [(row["entrypoint"], row["payload"].decode()) for row in rows]
    finally:
        await connection.close()


async def test_a_job_exists_once_its_transaction_commits(store: Store, database_url: str) -> None:
    async with store.begin() as session:
        assert await session.queue.ask("greet", "imp_1")
        assert await jobs(database_url) == []
    assert await jobs(database_url) == [("greet", "imp_1")]


async def test_a_job_is_gone_with_its_transaction(store: Store, database_url: str) -> None:
    async def ask_and_stumble() -> None:
        async with store.begin() as session:
            await session.queue.ask("greet", "imp_1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ask_and_stumble()
    assert await jobs(database_url) == []


async def test_a_named_job_is_asked_for_once(store: Store, database_url: str) -> None:
    async with store.begin() as session:
        assert await session.queue.ask("greet", "imp_1", once="greet imp_1")
        assert not await session.queue.ask("greet", "imp_1", once="greet imp_1")
        assert await session.queue.ask("greet", "imp_2", after=timedelta(hours=1))
    assert await jobs(database_url) == [("greet", "imp_1"), ("greet", "imp_2")]


async def test_installing_again_changes_nothing(store: Store, database_url: str) -> None:
    async with store.begin() as session:
        await session.queue.ask("greet", "imp_1")
    connection = await asyncpg.connect(database_url)
    try:
        await install(connection)
    finally:
        await connection.close()
    assert await jobs(database_url) == [("greet", "imp_1")]


async def test_names_come_from_the_house_and_not_from_the_environment(
    store: Store, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relname LIKE 'job%' AND relkind = 'r'"
        )
        stranger = await connection.fetchval("SELECT count(*) FROM pg_class WHERE relname ~ 'pgq'")
    finally:
        await connection.close()
    assert {row["relname"] for row in tables} >= {"jobs", "jobs_log", "jobs_statistics"}
    assert stranger == 0

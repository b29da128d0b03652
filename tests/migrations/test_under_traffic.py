"""Migrations while the version before them takes money: nobody waits, nothing fails, all adds up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from naru.store.migrate import SEALING, STOPS, files
from tests.killing.house import ROOT, Program
from tests.migrations.release import House, NoHistory, next_release, open_house, previous_release
from tests.migrations.traffic import Locks, Traffic, wrong_in_the_books
from tests.support.scale import often

ROWS = often(2_000, 1_000_000)
RATE = often(6, 20)
SECONDS = often(1, 20)

GOOD = {
    "9000_column.sql": "ALTER TABLE payments ADD COLUMN planted text;\n",
    "9001_index.sql": "-- Built beside the traffic.\n"
    "CREATE INDEX CONCURRENTLY payments_planted ON payments (planted) WHERE planted IS NOT NULL;\n",
    "9002_check.sql": "ALTER TABLE payments ADD CONSTRAINT planted CHECK (planted <> '') NOT VALID;\n",
    "9003_validate.sql": "ALTER TABLE payments VALIDATE CONSTRAINT planted;\n",
}
# What a rewrite of 10^6 rows is, in time: the lock is held for as long.
SLOW = {
    "9010_rewrite.sql": "ALTER TABLE payments ADD COLUMN rewritten uuid NOT NULL DEFAULT gen_random_uuid();\n"
    "SELECT pg_sleep(2.5);\n"
}
BREAKING = {"9020_contract.sql": "ALTER TABLE payments RENAME COLUMN approving_at TO gone;\n"}


@contextlib.asynccontextmanager
async def running(house: House, tree: str) -> AsyncIterator[list[Program]]:
    """A gateway and a worker of this version."""
    programs = [house.program(tree, "serve"), house.program(tree, "worker")]
    try:
        for program in programs:
            program.start()
        await programs[0].ready()
        yield programs
    finally:
        await asyncio.gather(*(program.stop() for program in programs))


async def applied(house: House) -> set[str]:
    connection = await asyncpg.connect(house.database.url)
    try:
        return {row[0] for row in await connection.fetch("SELECT name FROM schema_migrations")}
    finally:
        await connection.close()


async def told(house: House, traffic: Traffic, locks: Locks, what: str) -> None:
    """All is well, and the line of numbers says so."""
    status, audit = await house.naru("today", "audit", seconds=600)
    books = await wrong_in_the_books(house, traffic)
    print(
        f"{what}: {ROWS} old payments, {traffic.asked} requests, {len(traffic.failed)} failed,"
        f" longest wait for a lock {locks.longest * 1000:.0f} ms,"
        f" {len(locks.over_a_second)} over 1 s, audit {'clean' if status == 0 else 'broken'}"
    )
    assert (traffic.failed, locks.over_a_second, books) == ([], [], []), house.logs()
    assert status == 0, audit
    paid = sum(traffic.book.journeys[each] for each in ("pay", "pay_and_cancel"))
    assert paid > 0


def test_the_house_is_migrated_while_it_takes_money(tmp_path: Path) -> None:
    """From the previous release with one stop, to a coming one without; then two controls."""
    trees, why_not = {"today": ROOT}, ""
    planted: dict[str, str] = {}
    for name, more in (("good", GOOD), ("slow", SLOW), ("breaking", BREAKING)):
        planted |= more
        trees[name] = next_release(tmp_path / name, planted)
    try:
        trees["previous"] = previous_release(tmp_path)
    except NoHistory as error:
        why_not = str(error)
    asyncio.run(_life(trees, "today" if why_not else "previous"))
    if why_not:
        pytest.skip(f"NOT PROVEN: the previous release is not in this clone: {why_not}")


async def _life(trees: dict[str, Path], first: str) -> None:
    traffic = Traffic(1)
    async with traffic.receive(), open_house(trees) as house:
        assert (await house.naru(first, "migrate"))[0] == 0
        await house.seed(first, traffic.origin)
        await house.age(ROWS)
        locks = Locks(house)
        async with locks.watched():
            if first == "previous":
                await _stop_once(house, traffic)
            async with running(house, "today"):
                async with traffic.flowing(house, RATE):
                    await _migrate(house, "good")
                await told(house, traffic, locks, "migrated")
                await _see_what_is_wrong(house, traffic, locks)


async def _stop_once(house: House, traffic: Traffic) -> None:
    """Until the previous release is stopped nothing changes under it, and it goes on."""
    before = await applied(house)
    async with running(house, "previous"), traffic.flowing(house, RATE):
        await asyncio.sleep(SECONDS)
        status, said = await house.naru("today", "migrate", seconds=600)
        assert (status, "stop every" in said) == (1, True), said
        assert await applied(house) == before
    began = time.monotonic()
    status, said = await house.naru("today", "migrate", seconds=600)
    print(f"everybody stopped, naru migrate took {time.monotonic() - began:.1f} s")
    assert status == 0, said
    assert await applied(house) == {name for name, _ in files()}


async def _migrate(house: House, tree: str) -> None:
    await asyncio.sleep(SECONDS)
    status, said = await house.naru(tree, "migrate", seconds=600)
    assert status == 0, said
    await asyncio.sleep(SECONDS)


async def _see_what_is_wrong(house: House, traffic: Traffic, locks: Locks) -> None:
    """The controls: a lock that is held for long, then a column that has gone."""
    async with traffic.flowing(house, RATE):
        await _migrate(house, "slow")
    print(f"control: longest wait {locks.longest:.1f} s, {len(locks.over_a_second)} over 1 s")
    assert locks.longest > 1
    assert locks.over_a_second
    assert traffic.failed == []
    async with traffic.flowing(house, RATE):
        await _migrate(house, "breaking")
    print(f"control: {len(traffic.failed)} requests failed")
    assert traffic.failed


def test_nothing_stops_the_house_any_more() -> None:
    """Nothing was released before the books and the seals; no migration after them asks for a stop."""
    assert max(STOPS) == SEALING

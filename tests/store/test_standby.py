"""A commit that waits for its standby, and a server that takes no writes. For naru/store/connection.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from naru.store import Store, StoreUnavailable

PATIENCE_SECONDS = 20.0
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = $1"


class Lonely:
    """A database whose commits wait for a standby that never comes, and a hand beside it."""

    def __init__(self, dsn: str, admin: asyncpg.Connection) -> None:
        self.dsn, self.admin = dsn, admin
        self._name = dsn.partition("@/")[2].partition("?")[0]

    async def waiting(self) -> list[int]:
        """The server processes whose COMMIT waits for the standby."""
        return [row["pid"] for row in await self.admin.fetch(WAITING, self._name)]

    async def one_waits(self) -> int:
        """The process of the one COMMIT that is under way."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (pids := await self.waiting()):
            assert time.monotonic() < deadline, "no COMMIT waits"
            await asyncio.sleep(0.01)
        [pid] = pids
        return pid

    async def seen(self) -> int:
        """How many rows everybody can read."""
        return int(await self.admin.fetchval("SELECT count(*) FROM notes"))

    async def alone(self, on: bool) -> None:
        """Whether commits wait for the standby that never comes."""
        await self.admin.execute(
            f"ALTER SYSTEM SET synchronous_standby_names = '{'nobody' if on else ''}'"
        )
        await self.admin.execute("SELECT pg_reload_conf()")


@pytest.fixture
async def lonely(database_url: str) -> AsyncIterator[Lonely]:
    admin = await asyncpg.connect(database_url)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute("CREATE TABLE notes (n int)")
    # The server's other databases commit without waiting for anything, and go on so.
    await admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on')
    await admin.execute("SET synchronous_commit = off")
    found = Lonely(database_url, admin)
    await found.alone(True)
    try:
        yield found
    finally:
        await found.alone(False)
        await admin.close()


async def write(store: Store) -> None:
    async with store.begin() as tx:
        await tx._connection.execute("INSERT INTO notes VALUES (1)")


@pytest.mark.fault("L3_LR")
@pytest.mark.promise("P11")
async def test_a_commit_that_its_standby_did_not_confirm_is_unknown(lonely: Lonely) -> None:
    store = await Store.open(lonely.dsn, 1)
    writing = asyncio.create_task(write(store))
    pid = await lonely.one_waits()
    assert await lonely.admin.fetchval("SELECT pg_cancel_backend($1)", pid)
    with pytest.raises(StoreUnavailable, match="standby"):
        await writing
    # It is not lost either: whoever reads again finds it, over another line.
    async with store.direct() as session:
        assert session._connection.raw.get_server_pid() != pid
    assert await lonely.seen() == 1
    await store.close()

    # Control: without the store's own ear the same is called a success.
    raw = await asyncpg.connect(lonely.dsn)
    writing = asyncio.create_task(raw.execute("INSERT INTO notes VALUES (2)"))
    await lonely.admin.execute("SELECT pg_cancel_backend($1)", await lonely.one_waits())
    assert await writing == "INSERT 0 1"
    await raw.close()


@pytest.mark.promise("P11")
async def test_a_statement_by_itself_that_its_standby_did_not_confirm_is_unknown(
    lonely: Lonely,
) -> None:
    store = await Store.open(lonely.dsn, 1)

    async def count() -> None:
        async with store.direct() as session:
            await session.queue.ask("job", "subject")

    asking = asyncio.create_task(count())
    await lonely.admin.execute("SELECT pg_cancel_backend($1)", await lonely.one_waits())
    with pytest.raises(StoreUnavailable, match="standby"):
        await asking
    await store.close()


@pytest.mark.fault("L3_DB")
@pytest.mark.promise("P11")
@pytest.mark.parametrize("end", ["time-out", "cancelled"])
async def test_we_never_cancel_a_commit_ourselves(lonely: Lonely, end: str) -> None:
    """Cancelled it would stand on one machine, for everybody to read; so it goes on waiting."""
    store = await Store.open(lonely.dsn, 1)

    async def give_up() -> None:
        async with store.begin() as tx:
            await tx._connection.execute("INSERT INTO notes VALUES (1)")
            if end == "time-out":
                with pytest.raises(TimeoutError):
                    await tx._connection.raw.execute("COMMIT", timeout=0.3)
            else:
                committing = asyncio.create_task(tx._connection.execute("COMMIT"))
                await lonely.one_waits()
                committing.cancel()
                await asyncio.wait([committing])
            await asyncio.sleep(0.3)  # a cancel request that was sent would have arrived by now
            assert len(await lonely.waiting()) == 1
            assert await lonely.seen() == 0
            assert tx._connection.raw.is_closed()

    with pytest.raises(StoreUnavailable):
        await give_up()
    await store.close()
    await lonely.admin.execute("SELECT pg_terminate_backend($1, 5000)", await lonely.one_waits())

    # Control: the library as it is cancels, and what nobody replicated is there to read.
    before = await lonely.seen()
    raw = await asyncpg.connect(lonely.dsn)
    if end == "time-out":
        with pytest.raises(TimeoutError):
            await raw.execute("INSERT INTO notes VALUES (2)", timeout=0.3)
    else:
        careless = asyncio.create_task(raw.execute("INSERT INTO notes VALUES (2)"))
        await lonely.one_waits()
        careless.cancel()
        await asyncio.wait([careless])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while await lonely.seen() == before:
        assert time.monotonic() < deadline, "the control did not cancel"
        await asyncio.sleep(0.01)
    await raw.close()


@pytest.mark.fault("L3_DB")
async def test_a_server_that_takes_no_writes_is_unavailable_and_left(database_url: str) -> None:
    store = await Store.open(database_url, 1)
    async with store.direct() as session:
        raw = session._connection.raw
        await raw.execute("SET default_transaction_read_only = on")  # as on a demoted primary
        with pytest.raises(StoreUnavailable):
            await session.queue.ask("job", "subject")
        assert raw.is_closed()
    async with store.direct() as session:
        assert await session.queue.ask("job", "subject")
    await store.close()


@pytest.mark.promise("P23")
async def test_nobody_reads_from_a_server_that_takes_no_writes(database_url: str) -> None:
    admin = await asyncpg.connect(database_url)
    name = await admin.fetchval("SELECT current_database()")
    store = await Store.open(database_url, 1)
    await admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    async with store.direct() as session:
        await session.ping()
        session._connection.raw.terminate()
    with pytest.raises(StoreUnavailable):
        async with store.direct() as session:
            await session.ping()
    await admin.close()
    await store.close()

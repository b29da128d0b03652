"""Connections: last in first out, replaced when broken, never reused half-way. For naru/store/connection.py."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from naru.store import Store, StoreUnavailable
from naru.store.named import Query
from tests.support.house import make_merchant, make_payment

NOW = datetime(2026, 11, 22, tzinfo=UTC)


PID = Query("test.pid", "SELECT pg_backend_pid()")


async def backend(store: Store) -> int:
    """Which server process serves us now."""
    async with store.direct() as session:
        return int(await session._connection.fetchval(PID))


async def test_the_last_connection_used_is_the_next_one(store: Store) -> None:
    pids = {await backend(store) for _ in range(20)}
    assert len(pids) == 1
    async with store.direct() as first:
        async with store.direct() as second:
            later = await second._connection.raw.fetchval("SELECT pg_backend_pid()")
        assert later not in pids
        assert await backend(store) == later
        await first.ping()


async def test_a_broken_connection_is_replaced(store: Store, sql: asyncpg.Connection) -> None:
    pid = await backend(store)
    await sql.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    for _ in range(3):
        # The loop hears of the broken line by itself; whoever comes before that is told truthfully.
        try:
            fresh = await backend(store)
        except StoreUnavailable:
            continue
        break
    assert fresh != pid


async def test_a_server_that_says_goodbye_is_unavailable_before_the_line_is_closed(
    store: Store,
) -> None:
    async with store.direct() as session:
        raw = session._connection.raw
    # What PostgreSQL says to an idle client when another of its processes was killed.
    fields = b"SFATAL\x00VFATAL\x00C57P02\x00Mterminating connection because of a crash\x00\x00"
    raw._protocol.data_received(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
    assert not raw.is_closed()
    with pytest.raises(StoreUnavailable):
        await ask(store)
    await ask(store)


async def ask(store: Store) -> None:
    """One of the house's own statements."""
    async with store.direct() as session:
        await session.payments.get("imp_000000000000")


async def test_a_server_that_goes_away_in_a_transaction_is_told_as_unavailable(
    store: Store, sql: asyncpg.Connection
) -> None:
    payment = await make_payment(store, await make_merchant(store))

    async def lose_the_server() -> None:
        async with store.begin() as tx:
            await tx.payments.abandon(payment.imp_uid, NOW, "U", "x")
            pid = tx._connection.raw.get_server_pid()
            await sql.execute("SELECT pg_terminate_backend($1, 5000)", pid)
            await tx.payments.get(payment.imp_uid)

    with pytest.raises(StoreUnavailable):
        await lose_the_server()
    async with store.begin() as tx:
        found = await tx.payments.get(payment.imp_uid)
    assert found is not None
    assert found.version == 1


async def test_a_refusal_inside_a_transaction_leaves_a_clean_connection(store: Store) -> None:
    pid = await backend(store)
    with pytest.raises(asyncpg.PostgresError):
        async with store.begin() as tx:
            await tx._connection.raw.execute("SELECT 1 / 0")
    async with store.begin() as tx:
        await tx.ping()
    assert await backend(store) == pid


async def test_a_cancelled_transaction_is_rolled_back_and_harms_nobody(store: Store) -> None:
    payment = await make_payment(store, await make_merchant(store))
    reached = asyncio.Event()

    async def dawdle() -> None:
        async with store.begin() as tx:
            await tx.payments.abandon(payment.imp_uid, NOW, "U", "x")
            reached.set()
            await tx._connection.raw.execute("SELECT pg_sleep(30)")

    task = asyncio.create_task(dawdle())
    await reached.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with store.direct() as session:
        assert not session._connection.raw.is_in_transaction()
        found = await session.payments.get(payment.imp_uid)
    assert found is not None
    assert found.version == 1


async def test_a_commit_that_was_asked_for_happens_even_when_its_task_is_cancelled(
    store: Store, sql: asyncpg.Connection
) -> None:
    """The deferred rule is checked inside COMMIT; a lock makes that take a while."""
    merchant = await make_merchant(store)
    payment = await make_payment(store, merchant)
    await sql.execute(
        "CREATE FUNCTION wait_a_while() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER slow_commit AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION wait_a_while()"
    )
    await sql.execute("SELECT pg_advisory_lock(42)")

    async def abandon() -> None:
        async with store.begin() as tx:
            await tx.payments.abandon(payment.imp_uid, NOW, "U", "x")

    task = asyncio.create_task(abandon())
    async with asyncio.timeout(10):
        while not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    await sql.execute("SELECT pg_advisory_unlock(42)")
    with pytest.raises(asyncio.CancelledError):
        await task
    step = await sql.fetchval("SELECT step FROM payments WHERE imp_uid = $1", payment.imp_uid)
    assert step == "failed"
    async with store.begin() as tx:
        await tx.ping()


async def test_who_finds_all_connections_busy_is_told_after_a_while(database_url: str) -> None:
    store = await Store.open(database_url, size=1, wait_seconds=0.1)
    async with store.begin():
        with pytest.raises(StoreUnavailable, match="busy"):
            async with store.begin():
                pytest.fail("there is no second connection")
    async with store.begin() as tx:
        await tx.ping()
    await store.close()


async def test_waiters_that_are_cancelled_do_not_take_a_place_with_them(database_url: str) -> None:
    store = await Store.open(database_url, size=1)

    async def wait() -> None:
        async with store.begin() as tx:
            await tx.ping()

    async with store.begin():
        waiting = [asyncio.create_task(wait()) for _ in range(8)]
        await asyncio.sleep(0.01)
        for task in waiting[::2]:
            task.cancel()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [each is None for each in ends] == [False, True] * 4
    await asyncio.wait_for(wait(), 5)
    await store.close()


@pytest.mark.promise("P25")
async def test_who_is_cancelled_in_the_moment_of_its_turn_hands_the_place_on(
    database_url: str,
) -> None:
    """The place is given to it already, and it does not run any more: the next one must get it."""
    store = await Store.open(database_url, size=1)
    connection = await store.take()
    late = asyncio.create_task(store.take())
    while not store._waiting:
        await asyncio.sleep(0)
    store.give_back(connection)
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    store.give_back(await asyncio.wait_for(store.take(), 5))
    await store.close()


async def test_an_address_without_a_database_is_told_at_once(tmp_path: object) -> None:
    with pytest.raises(StoreUnavailable):
        await Store.open(f"postgresql://nobody@/nothing?host={tmp_path}")


async def test_a_table_that_changes_meanwhile_does_not_break_prepared_statements(
    store: Store, sql: asyncpg.Connection
) -> None:
    """A migration beside the running house (L2): the next question is prepared anew."""
    payment = await make_payment(store, await make_merchant(store))
    pid = await backend(store)
    async with store.direct() as session:
        assert await session.payments.get(payment.imp_uid) is not None
    await sql.execute("ALTER TABLE payments ADD COLUMN novelty text")
    async with store.direct() as session:
        assert await session.payments.get(payment.imp_uid) is not None
    await sql.execute("ALTER TABLE payments ADD COLUMN second_novelty text")
    async with store.begin() as tx:
        assert await tx.payments.get(payment.imp_uid) is not None
    # A column of another type is another answer: a transaction that meets it is over.
    await sql.execute("ALTER TABLE payments ALTER COLUMN name TYPE varchar(400)")
    with pytest.raises(StoreUnavailable):
        async with store.begin() as tx:
            await tx.payments.get(payment.imp_uid)
    async with store.begin() as tx:
        assert await tx.payments.get(payment.imp_uid) is not None
    assert await backend(store) == pid

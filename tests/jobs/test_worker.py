"""Jobs run, outlive their database connection and their worker, for naru/jobs/worker.py."""

from __future__ import annotations

import asyncio
import sys
import time

import asyncpg
import pytest
from aiohttp import web

from naru.domain.payment import Step
from naru.jobs.worker import work
from naru.payments.gateway import Gateway
from naru.store import Store
from naru.webhooks.announce import announce
from naru.wire import Wire
from tests.jobs.conftest import Working
from tests.support.house import at, make_merchant, make_payment
from tests.support.postgres import Databases, postgres_server
from tests.support.receiver import Receiver, Told, receiving

WORKER = """
import asyncio, sys
from naru.jobs.worker import work
from naru.payments.gateway import Gateway
from naru.store import Store
from naru.wire import Wire

async def main() -> None:
    async with Wire(allow_private=True, ports=None) as wire:
        store = await Store.open(sys.argv[1], root_key=b"k" * 32)
        await work(Gateway(store, wire, wire, "http://127.0.0.1:1", b"k" * 32), sys.argv[1], asyncio.Event())

asyncio.run(main())
"""


async def announce_paid(gateway: Gateway, receiver: Receiver, count: int = 1) -> None:
    merchant = await make_merchant(gateway.store, webhook_url=f"{receiver.url}/hook")
    for _ in range(count):
        payment = await make_payment(gateway.store, merchant)
        async with gateway.store.begin() as session:
            await announce(session, merchant, at(payment, Step.PAID, 3))


async def states(database_url: str) -> dict[str, int]:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT state, count(*) AS n FROM webhook_deliveries GROUP BY state"
    )
    await connection.close()
    return {row["state"]: row["n"] for row in rows}


async def test_an_announced_webhook_leaves_soon(
    gateway: Gateway, receiver: Receiver, working: Working, database_url: str
) -> None:
    async with working():
        await announce_paid(gateway, receiver, 50)
        began = time.monotonic()
        await receiver.wait_for(50)
        assert time.monotonic() - began < 10
    assert len(receiver.told) == 50
    assert await states(database_url) == {"delivered": 50}


async def test_a_webhook_without_a_job_is_found_by_the_timetable(
    gateway: Gateway, receiver: Receiver, working: Working, database_url: str
) -> None:
    await announce_paid(gateway, receiver)
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM jobs")
    await connection.execute("UPDATE webhook_deliveries SET next_at = now() - interval '1 min'")
    await connection.close()
    async with working():
        await receiver.wait_for(1)


async def test_a_worker_whose_connections_are_cut_goes_on(
    gateway: Gateway, receiver: Receiver, working: Working, database_url: str
) -> None:
    async with working():
        await announce_paid(gateway, receiver)
        await receiver.wait_for(1)
        connection = await asyncpg.connect(database_url)
        cut = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'naru worker'"
        )
        await connection.close()
        assert cut == 1
        await announce_paid(gateway, receiver)
        await receiver.wait_for(2)


@pytest.mark.fault("D2_SL")
@pytest.mark.promise("L7")
async def test_an_address_that_never_answers_holds_up_nobody_else(
    gateway: Gateway, receiver: Receiver, working: Working
) -> None:
    """More webhooks for it than one address may hold, all due before the healthy merchant's."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    black_hole = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = black_hole.sockets[0].getsockname()[1]
    merchant = await make_merchant(gateway.store, webhook_url=f"http://127.0.0.1:{port}/")
    for _ in range(250):
        payment = await make_payment(gateway.store, merchant)
        async with gateway.store.begin() as session:
            await announce(session, merchant, at(payment, Step.PAID, 3))
    await announce_paid(gateway, receiver, 20)
    async with working():
        await receiver.wait_for(20, seconds=20)
    black_hole.close()


async def test_a_worker_that_is_told_to_stop_finishes_what_it_sends(
    gateway: Gateway, receiver: Receiver, working: Working, database_url: str
) -> None:
    async def slow(told: Told) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return web.Response(text="OK")

    receiver.reply = slow
    async with working() as stop:
        await announce_paid(gateway, receiver)
        await receiver.wait_for(1)
        stop.set()
    assert await states(database_url) == {"delivered": 1}


@pytest.mark.fault("D1_CA", "D2_CA")
@pytest.mark.promise("L4")
async def test_the_work_of_a_killed_worker_is_taken_over_within_30_seconds(
    gateway: Gateway, receiver: Receiver, working: Working, database_url: str
) -> None:
    """SIGKILL in the middle of an attempt: no goodbye, a lease still held, a job still picked."""
    hang = asyncio.Event()

    async def first_hangs(told: Told) -> web.StreamResponse:
        if len(receiver.told) == 1:
            await hang.wait()
        return web.Response(text="OK")

    receiver.reply = first_hangs
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, database_url)
    try:
        await announce_paid(gateway, receiver)
        await receiver.wait_for(1)
    finally:
        process.kill()
        await process.wait()
    began = time.monotonic()
    async with working():
        await receiver.wait_for(2, seconds=30)
    assert time.monotonic() - began < 30
    hang.set()
    first, second = receiver.told
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert await states(database_url) == {"delivered": 1}


@pytest.mark.fault("D1_DB", "D3_DB")
@pytest.mark.promise("P4", "L4")
async def test_no_webhook_is_lost_when_the_database_is_killed_under_the_worker() -> None:
    """kill -9 of PostgreSQL while webhooks leave; crash recovery; everything announced arrives."""
    with postgres_server(durable=True) as server:
        databases = Databases(server)
        url = await asyncio.to_thread(databases.new)
        store = await Store.open(url, root_key=b"k" * 32)
        stop = asyncio.Event()
        async with receiving() as receiver, Wire(allow_private=True, ports=None) as wire:
            gateway = Gateway(store, wire, wire, "http://127.0.0.1:1", b"k" * 32)
            await announce_paid(gateway, receiver, 30)
            working = asyncio.create_task(work(gateway, url, stop, drain_seconds=2))
            await receiver.wait_for(10)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(60):
                while await states(url) != {"delivered": 30}:
                    await asyncio.sleep(0.2)
            stop.set()
            await asyncio.wait_for(working, 15)
            assert len({told.headers["webhook-id"] for told in receiver.told}) == 30
        await store.close()
        databases.close()

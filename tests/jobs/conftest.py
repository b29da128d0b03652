"""A gateway over a real database, a merchant's server, and a worker between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from naru.jobs.worker import work
from naru.payments.gateway import Gateway
from naru.store import Store
from naru.wire import Wire
from tests.support.receiver import Receiver, receiving

Working = Callable[[], AbstractAsyncContextManager[asyncio.Event]]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as server:
        yield server


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[Gateway]:
    store = await Store.open(database_url, root_key=b"k" * 32)
    async with (
        Wire(allow_private=True, ports=None) as wire,
        Wire(allow_private=True, ports=None) as pg_wire,
    ):
        yield Gateway(store, wire, pg_wire, "http://127.0.0.1:1", b"k" * 32)
    await store.close()


@pytest.fixture
def working(gateway: Gateway, database_url: str) -> Working:
    """A worker for as long as the block runs; it is told to stop and waited for at its end."""

    @asynccontextmanager
    async def worker() -> AsyncIterator[asyncio.Event]:
        stop = asyncio.Event()
        task = asyncio.create_task(work(gateway, database_url, stop, drain_seconds=2))
        try:
            yield stop
        finally:
            stop.set()
            await asyncio.wait_for(task, 15)

    return worker

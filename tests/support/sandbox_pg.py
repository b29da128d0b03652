"""The real sandbox PG on a free port, and a buyer who pays by wallet in its window."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import uvicorn
import yarl

from naru.domain.payment import Payment
from naru.domain.window import Redirect
from naru.payments.start import enter_window
from naru.sandbox.app import create_app
from naru.sandbox.server import server
from tests.support.gateway import House


@asynccontextmanager
async def sandbox_pg(folder: Path, *, pace: float = 1.0) -> AsyncIterator[str]:
    """The address of a sandbox PG whose ledger lies in `folder`."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    company: uvicorn.Server = server(
        create_app(folder / "ledger.db", address, pace=pace), "127.0.0.1", 0
    )
    company.install_signal_handlers = lambda: None  # type: ignore[attr-defined,method-assign]
    serving = asyncio.create_task(company.serve(sockets=[listener]))
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        while not company.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        async with session.get(f"{address}/v1/magic") as answer:
            assert answer.status == 200
    try:
        yield address
    finally:
        company.should_exit = True
        await serving
        listener.close()


async def join(house: House) -> None:
    """Make the house's channel a member of the sandbox PG."""
    settings = house.channel.settings
    member = {"secret": settings["secret"], "name": "당근상점", "profile": house.channel.pg_code}
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{settings['url']}/v1/members/{house.channel.mid}", json=member) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def authenticate(house: House, payment: Payment) -> dict[str, str]:
    """The buyer says yes in the wallet's window; what their browser brings back to us."""
    window = await enter_window(house.gateway, payment, house.merchant)
    assert isinstance(window, Redirect)
    origin = str(yarl.URL(window.url).origin())
    async with (
        aiohttp.ClientSession(headers={"Origin": origin}) as session,
        session.post(f"{window.url}/wallet", json={}) as answer,
    ):
        said = await answer.json()
    fields: dict[str, str] = said["return_form"]["fields"]
    return fields

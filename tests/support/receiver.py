"""A merchant's server for webhook tests: a true HTTP server that keeps what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Told:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[[Told], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """What was told, in order; `answers` are the next statuses, afterwards `then`."""

    url: str
    told: list[Told] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    then: int = 200
    text: str = "OK"
    reply: Reply | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_for(self, count: int, seconds: float = 20.0) -> list[Told]:
        """The requests, once there are `count` of them. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while len(self.told) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.told

    async def handle(self, request: web.Request) -> web.StreamResponse:
        told = Told(request.path_qs, dict(request.headers), await request.read())
        self.told.append(told)
        self.arrived.set()
        if self.reply is not None:
            return await self.reply(told)
        status = self.answers.pop(0) if self.answers else self.then
        return web.Response(status=status, text=self.text, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver("")
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    receiver.url = f"http://127.0.0.1:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()

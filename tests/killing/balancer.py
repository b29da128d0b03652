"""One public address before several gateways, as HAProxy would stand there: new connections go on
to whoever takes them, and a connection is cut when its gateway dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

PIECE = 65_536


class Balancer:
    """Hands connections to the ports in turn; `url` is where everybody comes."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = list(ports)
        self._next = 0
        self._streams: set[asyncio.Task[None]] = set()
        self.url = ""

    @contextlib.asynccontextmanager
    async def listen(self, port: int = 0) -> AsyncIterator[Balancer]:
        """Stand there until the block ends."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for stream in list(self._streams):
                stream.cancel()
            await asyncio.gather(*self._streams, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            async with contextlib.AsyncExitStack() as closing:
                closing.callback(writer.close)
                behind = await self._connect()
                if behind is None:
                    return
                closing.callback(behind[1].close)
                pumps = [
                    asyncio.create_task(_pump(reader, behind[1])),
                    asyncio.create_task(_pump(behind[0], writer)),
                ]
                # Whoever hangs up first ends it for both: HTTP needs no half-open connection.
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
        except asyncio.CancelledError:
            # Nobody awaits a connection's task; the server that made it would log the end.
            return
        finally:
            self._streams.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self._ports:
            port = self._ports[self._next % len(self._ports)]
            self._next += 1
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()

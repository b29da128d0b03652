"""A line to the database that may be cut around a COMMIT, where nobody can know what became of it.

A true TCP proxy: what a process hears is what it hears when a switch dies, or a server whose answer is lost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from naru.store import Store
from tests.support.gateway import ROOT_KEY, House

COMMIT = b"COMMIT\x00"
# The one statement of money that is a whole transaction by itself: a claim. PostgreSQL's protocol
# names it when it is prepared (Parse), and says only that name when it is run (Bind).
_PREPARED = re.compile(rb"P.{4}(\w+)\x00-- opened -> approving", re.DOTALL)


class _Talk:
    """What one connection has said so far: does this commit anything?"""

    def __init__(self) -> None:
        self._claim: re.Pattern[bytes] | None = None
        self._inside = False

    def commits(self, said: bytes) -> bool:
        """Would PostgreSQL commit money when it hears this?"""
        if prepared := _PREPARED.search(said):
            name = re.escape(prepared[1])
            self._claim = re.compile(rb"B.{4}\x00" + name + rb"\x00", re.DOTALL)
        if b"BEGIN" in said:
            self._inside = True
        if COMMIT in said or b"ROLLBACK\x00" in said:
            self._inside = False
            return COMMIT in said
        return not self._inside and self._claim is not None and bool(self._claim.search(said))


@dataclass
class Line:
    """`cut` says what the next COMMIT meets: nothing (None), or a cut, having arrived or not.

    While `open` is cleared nothing is carried and nobody is told, as when a network is parted.
    """

    cut: str | None = None
    cuts: int = 0
    words: bytes | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    def next_commit(self, *, done: bool) -> None:
        """The next COMMIT never arrives, or is `done` and its answer lost."""
        self.cut = "answer" if done else "question"

    def next_that_says(self, words: bytes, *, done: bool) -> None:
        """The next message with these bytes never arrives, or is `done` and its answer lost."""
        self.words = words
        self.next_commit(done=done)

    async def carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        socket: str,
    ) -> None:
        """One connection, both ways, until either side hangs up or the line is cut."""
        there, back = await asyncio.open_unix_connection(socket)
        answering = asyncio.ensure_future(self._copy(there, writer))
        talk = _Talk()
        try:
            while said := await reader.read(65_536):
                await self.open.wait()
                commits = talk.commits(said)
                if self.words is not None:
                    commits = self.words in said
                if self.cut is None or not commits:
                    back.write(said)
                    await back.drain()
                    continue
                done, self.cut, self.words = self.cut == "answer", None, None
                self.cuts += 1
                answering.cancel()
                with suppress(asyncio.CancelledError):
                    await answering
                if done:
                    back.write(said)
                    await there.read(65_536)  # it is durable; nobody will hear of it
                return
        except ConnectionError:
            pass
        finally:
            answering.cancel()
            back.transport.abort()
            writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while heard := await reader.read(65_536):
                await self.open.wait()
                writer.write(heard)
                await writer.drain()
            writer.close()  # the server said goodbye


@asynccontextmanager
async def line_to(dsn: str) -> AsyncIterator[tuple[Line, str]]:
    """A line to the database `dsn`, and the address of its near end."""
    address = urlsplit(dsn)
    asked = parse_qs(address.query)
    socket = f"{asked['host'][0]}/.s.PGSQL.{asked.get('port', ['5432'])[0]}"
    line = Line()
    server = await asyncio.start_server(
        lambda reader, writer: line.carry(reader, writer, socket), "127.0.0.1", 0
    )
    near = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    user = address.username or asked["user"][0]
    try:
        yield line, f"postgresql://{user}@{near}{address.path}?sslmode=disable"
    finally:
        server.close()


@asynccontextmanager
async def over_a_line(house: House) -> AsyncIterator[Line]:
    """Inside this block the house's gateway reaches its database through the line."""
    direct = house.gateway.store
    async with line_to(house.dsn) as (line, near):
        house.gateway.store = store = await Store.open(near, 4, root_key=ROOT_KEY)
        try:
            yield line
        finally:
            house.gateway.store = direct
            await store.close()

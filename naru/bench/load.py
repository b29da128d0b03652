"""A client and a receiver that cost as little as they can: the stopwatch should not be the runner.

HTTP/1.1 with Content-Length over kept connections, which is what the measured servers speak.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit


class BadAnswer(Exception):
    """The other side did not answer as the scenario needs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """One kept connection to one origin."""

    def __init__(self, origin: str) -> None:
        parts = urlsplit(origin)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """One request and its answer, within 30 s. Raises BadAnswer, OSError, TimeoutError."""
        async with asyncio.timeout(30):
            if self._reader is None or self._writer is None or self._reader.at_eof():
                self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
            more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
                f"Content-Length: {len(body)}\r\n{more}\r\n"
            )
            self._writer.write(head.encode() + body)
            try:
                return await self._read(self._reader)
            except (asyncio.IncompleteReadError, OSError) as error:
                self.close()
                raise BadAnswer(f"{method} {path.partition('?')[0]}: cut off") from error

    def close(self) -> None:
        """Let the connection go."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if "content-length" not in headers:
            raise BadAnswer("an answer without Content-Length")
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(first.split(" ", 2)[1]), headers, body)


class _Hammer(asyncio.Protocol):
    """Sends the same request again as soon as it is answered."""

    def __init__(self, request: bytes, marks: list[float], until: float) -> None:
        self._request, self._marks, self._until = request, marks, until
        self._buffer = b""
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        if not head.startswith(b"http/1.1 200"):
            self._end(BadAnswer(head.split(b"\r\n", 1)[0].decode("latin-1")))
            return
        now = time.perf_counter()
        self._marks.append(now - self._began)
        self._buffer = b""
        if now < self._until:
            self._send()
        else:
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or BadAnswer("cut off"))

    def _send(self) -> None:
        assert self._transport is not None
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


@dataclass(slots=True)
class Timed:
    """What a stopwatch saw: seconds of each deed, and the whole."""

    seconds: float
    marks: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Deeds per second."""
        return len(self.marks) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the deeds was done."""
        ordered = sorted(self.marks)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


async def hammer(
    origin: str, path: str, *, connections: int, seconds: float, headers: dict[str, str]
) -> Timed:
    """GET the same thing over and over on that many connections."""
    parts = urlsplit(origin)
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{more}\r\n".encode()
    marks: list[float] = []
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    hammers: list[_Hammer] = []
    for _ in range(connections):
        _, protocol = await loop.create_connection(
            lambda: _Hammer(request, marks, began + seconds), parts.hostname or "", parts.port or 80
        )
        hammers.append(protocol)
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(one.done for one in hammers))
    return Timed(time.perf_counter() - began, marks)


class Receiver:
    """Stands where a merchant's webhook address would: answers 200 and notes who was told of."""

    def __init__(self) -> None:
        self._told: dict[str, asyncio.Future[float]] = {}
        self.url = ""
        self.count = 0

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[Receiver]:
        """Receive on a free port of this machine."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/webhook"
        try:
            yield self
        finally:
            server.close()

    def told(self, imp_uid: str) -> asyncio.Future[float]:
        """Done when the webhook of this payment has come; the moment it came."""
        return self._told.setdefault(imp_uid, asyncio.get_running_loop().create_future())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                at = head.find(b"content-length:")
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
                fact: dict[str, Any] = json.loads(await reader.readexactly(length))
                self.count += 1
                future = self.told(str(fact["imp_uid"]))
                if not future.done():
                    future.set_result(time.perf_counter())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, OSError, ValueError, KeyError):
            writer.close()

"""HTTP as a rude caller writes it: bytes on a socket, and whatever comes back within a few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_SECONDS_MAX = 15.0
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Heard:
    """One answer. `status` is 0 when the server hung up without a word; `headers` are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


def request(
    method: str, target: str, body: bytes = b"", headers: Headers | None = None, *, host: str = "x"
) -> bytes:
    """The bytes of one request, as given: nothing is quoted, normalised or checked."""
    lines = {"Host": host, "Connection": "close", "Content-Length": str(len(body))}
    lines |= dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    first = f"{method} {target} HTTP/1.1\r\n"
    return (first + head + "\r\n").encode("utf-8", "surrogateescape") + body


async def send(
    origin: str, pieces: bytes | Iterable[bytes], seconds: float = ANSWER_SECONDS_MAX
) -> Heard:
    """Send the bytes to this origin. AssertionError when no answer ended within `seconds`."""
    parts = urlsplit(origin)
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        async with asyncio.timeout(seconds):
            # A server may refuse before it has read everything; its answer is what counts.
            with contextlib.suppress(ConnectionError):
                for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                    writer.write(piece)
                    await writer.drain()
            raw = b""
            with contextlib.suppress(ConnectionError):
                while more := await reader.read(65_536):
                    raw += more
    except TimeoutError:
        raise AssertionError(f"no answer in {seconds} s: {_shown(pieces)}") from None
    finally:
        writer.close()
    return read(raw, time.monotonic() - began)


def read(raw: bytes, seconds: float = 0.0) -> Heard:
    """Split the bytes of one answer."""
    if not raw:
        return Heard(0, {}, b"", seconds)
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Heard(int(first.split(" ")[1]), headers, body, seconds)


def _shown(pieces: bytes | Iterable[bytes]) -> str:
    return repr(pieces[:200]) if isinstance(pieces, bytes) else "pieces"

"""Bad weather between a merchant's server and the gateway: slow, broken, busy, gone, or answers lost.

It stands before the REST door alone. Buyers' browsers and PGs reach the gateway as always: what goes
wrong with them the sandbox PG acts out by itself (docs/reference/sandbox.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["slow", "error", "busy", "down", "lost", "silent", "garbage"]
KINDS: tuple[str, ...] = get_args(Kind)

SILENCE_SECONDS = 120.0  # longer than anybody waits
_NOT_REST = ("/checkout", "/js/", "/v1/iamport.js", "/users/pg/", "/notices/", "/docs", "/health")
_PAGE = b"<html><head><title>%d</title></head><body><center>%d</center></body></html>\r\n"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class Spell:
    """One spell of bad weather, over paths that begin with `path`, for `times` requests (None: all).

    `slow` answers after `seconds`; `error` and `busy` are 500 and 429 of a balancer; `down` hangs up
    without having done anything, `lost` after having done it; `silent` does it and never answers;
    `garbage` does it and answers what no JSON is.
    """

    kind: Kind
    path: str = "/"
    times: int | None = None
    seconds: float = 0.0

    def takes(self, path: str) -> bool:
        """Does it fall on this request? One of its times is used up then."""
        if self.times == 0 or not path.startswith(self.path):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Weather:
    """ASGI: the gateway behind its weather. The first spell that takes a request decides."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.spells: dict[int, Spell] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        spell = None
        if scope["type"] == "http" and not scope["path"].startswith(_NOT_REST):
            spell = next((each for each in self.spells.values() if each.takes(scope["path"])), None)
        if spell is None:
            await self._application(scope, receive, send)
            return
        match spell.kind:
            case "slow":
                await asyncio.sleep(spell.seconds)
                await self._application(scope, receive, send)
            case "error":
                await _say(send, 500)
            case "busy":
                await _say(send, 429, (b"retry-after", b"1"))
            case "down":
                _hang_up(scope)
            case "lost" | "silent" | "garbage":
                await self._application(scope, receive, _nowhere)
                if spell.kind == "garbage":
                    await _answer(send, 200, b"\x00 <ok>", b"application/json")
                    return
                if spell.kind == "silent":
                    await asyncio.sleep(SILENCE_SECONDS)
                _hang_up(scope)


async def _nowhere(message: Message) -> None:
    """Where an answer goes that nobody gets."""


async def _say(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await _answer(send, status, _PAGE % (status, status), b"text/html", *headers)


async def _answer(
    send: Send, status: int, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]
) -> None:
    given = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})


def _hang_up(scope: Scope) -> None:
    # The server of the sandbox PG hands its transport on, for the same purpose.
    scope["extensions"]["sandbox.transport"]["transport"].abort()

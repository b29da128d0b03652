"""For tests of what happens around this PG: who asked for what and when, and a death at a chosen moment.

Both stand before the application and are switched on by arguments of `python -m naru.sandbox` only.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What moves money, or promises something: each question of these has a number of its member.
_NUMBERED = (
    "/v1/approvals",
    "/v1/barcodes",
    "/v1/billing-keys",
    "/v1/cancels",
    "/v1/cash-receipts",
    "/v1/certification-codes",
    "/v1/certifications/",
    "/v1/charges",
    "/v1/escrow/",
    "/v1/mall/acts",
    "/v1/partner-slips",
    "/v1/points/payments",
    "/v1/quick/",
    "/v1/virtual-accounts",
)


class _Numbers(msgspec.Struct):
    """The names under which a question is known."""

    order_no: str | None = None
    cancel_no: str | None = None
    key_no: str | None = None
    number: str | None = None


class RequestLog:
    """Writes a line of JSON for every question that moves money or promises, before it is looked at.

    `at` (UNIX seconds with a fraction), `mid`, `method`, `path`, `order_no`, `cancel_no`, and
    `number`, that of any other question. A line is handed to the kernel whole, so it survives this
    process; signatures are not checked yet.
    """

    def __init__(self, app: ASGIApp, path: Path) -> None:
        self._app = app
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] == "GET"
            or not scope["path"].startswith(_NUMBERED)
        ):
            await self._app(scope, receive, send)
            return
        at = time.time()
        body = bytearray()

        async def receive_and_note() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._note(at, scope, bytes(body))
            return message

        await self._app(scope, receive_and_note, send)

    def _note(self, at: float, scope: Scope, body: bytes) -> None:
        try:
            numbers = msgspec.json.decode(body or b"{}", type=_Numbers)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            numbers = _Numbers()
        headers = dict(scope["headers"])
        line = {
            "at": at,
            "mid": headers.get(b"x-sandbox-mid", b"").decode("latin-1"),
            "method": scope["method"],
            "path": scope["path"],
            "order_no": numbers.order_no,
            "cancel_no": numbers.cancel_no,
            "number": numbers.number or numbers.key_no,
        }
        os.write(self._file, msgspec.json.encode(line) + b"\n")


def read_moment(text: str) -> tuple[str, int]:
    """`path:n`, such as `/v1/approvals:3`. Raises ValueError."""
    path, _, times = text.rpartition(":")
    if not path.startswith("/") or int(times) < 1:
        raise ValueError(text)
    return path, int(times)


class DieBeforeAnswer:
    """Kills this process when the n-th answer of a path is ready: the deed is on the disk, nobody hears.

    `path` is the beginning of an address; questions that change nothing are not counted.
    """

    def __init__(self, app: ASGIApp, path: str, times: int) -> None:
        self._app = app
        self._path, self._left = path, times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] == "GET"
            or not scope["path"].startswith(self._path)
        ):
            await self._app(scope, receive, send)
            return

        async def send_or_die(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._left -= 1
                if self._left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            await send(message)

        await self._app(scope, receive, send_or_die)

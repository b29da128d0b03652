"""`naru serve`: the gateway, in one process or several."""

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType
from typing import Any, TypedDict

from naru.cli import crash, database, logs, ports
from naru.cli.get_ready import end_at_sigterm, get_ready
from naru.config import Settings

log = logging.getLogger("naru.cli")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

GRACE_SECONDS = 15  # What is under way may end: longer than a PG's answer takes (wire: 10 s).


class WhomToBelieve(TypedDict):
    """Two options of uvicorn."""

    proxy_headers: bool
    forwarded_allow_ips: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Serving takes no arguments: all is in the environment."""
    parser.epilog = (
        "Needs NARU_DATABASE_URL and NARU_SECRET; run `naru migrate` first and `naru worker` beside.\n"
        "NARU_PROCESSES processes share the port; one per CPU is right. SIGTERM lets what is under\n"
        f"way end, for {GRACE_SECONDS} s at the most, after NARU_LEAVE_WAIT seconds in which "
        "/health is 503.\n"
        "Waits NARU_START_WAIT seconds for a database that is not there yet.\n"
        "Put TLS in front and name it in NARU_TRUSTED_PROXIES."
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Serve until a signal comes. Raises CliError, ConfigError before it begins."""
    settings.need_secret()
    url = database.address(settings)
    ports.check(settings.host, settings.port, "NARU_PORT")
    logs.set_up(settings)
    end_at_sigterm()
    asyncio.run(get_ready(settings, url))
    # The processes read the environment themselves; the embedded server's address is not in it.
    os.environ["NARU_DATABASE_URL"] = url

    import uvicorn

    uvicorn.run(
        "naru.cli.serve:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        # A line per request would hold tokens: V1 lets them be in the query.
        access_log=False,
        server_header=False,
        **whom_to_believe(settings),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


def whom_to_believe(settings: Settings) -> WhomToBelieve:
    """Whose X-Forwarded-For and X-Forwarded-Proto uvicorn believes: the named proxies', else nobody's.

    Left to itself it would believe whoever calls from this machine.
    """
    proxies = [str(network) for network in settings.trusted_proxies]
    return {"proxy_headers": bool(proxies), "forwarded_allow_ips": proxies}


def create_app() -> Application:
    """The ASGI application of one process."""
    from naru import app

    settings = Settings.read()
    logs.set_up(settings)
    if settings.processes > 1:
        # Several processes are started by uvicorn, not by `naru`, which would have armed them.
        crash.arm(os.environ)
    application = app.create_app(settings)
    return Leaving(application, settings.leave_wait) if settings.leave_wait else application


class Leaving:
    """Between SIGTERM and the end: serves on, but says at `/health` that nobody new should come.

    A socket that is closed at once resets whoever has just knocked. A balancer that asks `/health`
    has looked away by the time it is closed (docs/how-to/upgrade.md).
    """

    def __init__(self, application: Application, seconds: int) -> None:
        self._application = application
        self._seconds = seconds
        self._leaving = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._listen()
        elif self._leaving:
            if scope["path"] == "/health":
                await _say_leaving(send)
                return
            # Who asks again is to open a new line, which leads elsewhere.
            send = _last_on_its_line(send)
        await self._application(scope, receive, send)

    def _listen(self) -> None:
        """Put ourselves before the server's own handler, which stands when the lifespan begins."""
        end = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def leave(kind: int, frame: FrameType | None) -> None:
            assert callable(end)
            if self._leaving:
                end(kind, frame)  # Told twice: now.
                return
            self._leaving = True
            log.info("leaving in %d s", self._seconds)
            loop.call_soon_threadsafe(loop.call_later, self._seconds, end, kind, None)

        signal.signal(signal.SIGTERM, leave)


async def _say_leaving(send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"status":"leaving"}'})


def _last_on_its_line(send: Send) -> Send:
    async def send_and_close(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_and_close

"""The rooms wired into one ASGI application: the gateway as `naru serve` runs it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from naru import checkout, notices, rest
from naru.config import ConfigError, Settings
from naru.domain.hands import utc_now
from naru.domain.payment import Status
from naru.payments.gateway import Gateway
from naru.payments.pg_load import PgLoad
from naru.rest import reference
from naru.rest.door import Door, Headers
from naru.store import Fenced, Guard, Store, StoreUnavailable, WrongRootKey
from naru.wire import Wire

log = logging.getLogger("naru.app")

# Lines to PGs, of all channels together: more than the shares of the few that can be ill at once.
PG_CALLS_MAX = 2_000

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Now = Callable[[], datetime]


@asynccontextmanager
async def open_gateway(
    settings: Settings, *, at_once: bool = True, fenced: bool = False, now: Now = utc_now
) -> AsyncIterator[Gateway]:
    """The hands of every verb, opened from the settings: database and lines out.

    A restored copy is kept shut (decision 0016), unless `fenced` says that this is for whoever
    compares it with the PGs.

    Without `at_once` a database that is away just now is no reason to end: each use of it says so,
    as when it goes away later. `now` is the machine's clock except in a private gateway of tests
    (decision 0019): no setting moves it. Raises ConfigError (no database named, no root key), WrongRootKey,
    and at once StoreUnavailable.
    """
    if settings.database_url is None:
        raise ConfigError(
            "NARU_DATABASE_URL is not set: name a PostgreSQL, or run `make demo`, which brings its own."
        )
    open_to_all = settings.allow_private_addresses
    guard = None if fenced else Guard(settings.home, str(uuid.uuid4()), aloud=not at_once)
    store = Store(
        settings.database_url,
        root_key=settings.need_secret(),
        old_root_key=settings.secret_old,
        guard=guard,
    )
    async with (
        Wire(allow_private=open_to_all, ports=None if open_to_all else (80, 443)) as wire,
        # A PG's address comes from the operator, not from a stranger. Many channels share one host, so
        # its share is counted by channel (naru/payments/pg_load.py) and not by host.
        Wire(
            allow_private=True, ports=None, at_once=PG_CALLS_MAX, at_once_per_host=PG_CALLS_MAX
        ) as pg_wire,
    ):
        keeping: asyncio.Task[None] | None = None
        try:
            await _look_at(store, at_once)
            if guard is not None and not at_once:
                keeping = asyncio.create_task(guard.keep(store))
            yield Gateway(
                store=store,
                wire=wire,
                pg_wire=pg_wire,
                public_url=settings.public_url,
                root_key=settings.need_secret(),
                now=now,
                partial_cancel_status=Status(settings.partial_cancel_status),
                close_expired_accounts=settings.close_expired_accounts,
                api_account_webhook=settings.api_account_webhook,
                answer_declined=settings.answer_declined,
                prepared_currency=settings.prepared_currency,
                alert_url=settings.alert_url,
                pg_load=PgLoad(settings.open_per_channel),
            )
        finally:
            if keeping is not None:
                keeping.cancel()
            await store.close()


async def _look_at(store: Store, at_once: bool) -> None:
    """Connect once, so that a wrong address or root key is told now."""
    try:
        async with store.direct():
            pass
    except StoreUnavailable as error:
        if at_once:
            raise
        if not isinstance(error, Fenced):  # Which has been logged.
            log.warning("the database is away: %s", error)


# What every answer says that does not say otherwise itself: it is kept nowhere, is read by no other
# site, and tells nobody where its reader came from.
DEFAULTS: Headers = (
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
# What is no page of ours is no page in any frame. A redirect is left out: it may stand on the way of
# a window in a frame, and some browsers ask it too.
NO_PAGE = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
HSTS = (b"strict-transport-security", b"max-age=31536000")


class App:
    """One ASGI application for three doors.

    The merchant's door is asked first, by one dictionary look-up: it is the busiest.
    """

    def __init__(self, settings: Settings, now: Now = utc_now) -> None:
        self._settings = settings
        self._now = now
        # Said only by an installation whose address is https: else it would lock people out.
        self._headers: Headers = (
            (*DEFAULTS, HSTS) if settings.public_url.startswith("https://") else DEFAULTS
        )
        self._headers_of_no_redirect: Headers = (*self._headers, NO_PAGE)
        self._rest: Door | None = None
        self._pages: Starlette | None = None
        self._opened: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._rest is not None
        assert self._pages is not None
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        if self._rest.owns(raw_path):
            await self._rest(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                redirects = 300 <= message["status"] < 400
                wanted = self._headers if redirects else self._headers_of_no_redirect
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}
                message["headers"] = given + [each for each in wanted if each[0] not in names]
            await send(message)

        await self._pages(scope, receive, send_safely)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        opened = open_gateway(self._settings, at_once=False, now=self._now)
        try:
            gateway = await opened.__aenter__()
        except (ConfigError, WrongRootKey) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        # It knows the headers of its answers itself: they are always the same.
        headers = tuple(
            each for each in self._headers_of_no_redirect if each[0] != b"cache-control"
        )
        self._rest = Door(gateway, rest.operations(), headers)
        self._pages = _pages(gateway, self._rest)
        try:
            async with self._pages.router.lifespan_context(self._pages):
                await send({"type": "lifespan.startup.complete"})
                await receive()
        finally:
            await opened.__aexit__(None, None, None)
        await send({"type": "lifespan.shutdown.complete"})


def create_app(settings: Settings | None = None, now: Now = utc_now) -> App:
    """The gateway. Settings come from the environment unless they are given."""
    return App(settings or Settings.read(), now)


def _pages(gateway: Gateway, rest_door: Door) -> Starlette:
    async def health(request: Request) -> JSONResponse:
        try:
            async with gateway.store.direct() as session:
                await session.ping()
        except Fenced:
            return JSONResponse({"status": "fenced"}, status_code=503)
        except StoreUnavailable:
            return JSONResponse({"status": "no database"}, status_code=503)
        return JSONResponse({"status": "ok"})

    pages = Starlette(
        routes=[
            Route("/health", health),
            *reference.routes(rest.operations(), gateway.public_url),
            *notices.routes(gateway),
            *checkout.routes(gateway),
        ]
    )
    # Programs that ask for what we do not have get their refusal in i'mport's envelope.
    pages.router.default = rest_door
    # The redirect would be built from the request's Host, which is the caller's word.
    pages.router.redirect_slashes = False
    return pages

"""The process behind a private gateway: PostgreSQL, and gateway, worker and sandbox PG in one loop.

`python -m naru.testing.house FOLDER PORT`: one JSON object a line on standard input is a wish, one on
standard output its answer; the first line says where everybody listens. It ends when standard input
ends, which is when whoever started it is gone, however that came; FOLDER goes with it. PORT is the
gateway's, 0 for a free one.

The companies share a process here because a test wants them in two seconds; they still share
nothing but HTTP. Nothing of this is reached by `naru serve` or `naru worker`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naru.cli import fresh, logs, seed
from naru.cli.get_ready import end_at_sigterm
from naru.cli.postgres import Postgres
from naru.cli.trouble import CliError
from naru.config import ConfigError, Settings

if TYPE_CHECKING:
    import asyncpg
    from starlette.applications import Starlette

    from naru.payments.gateway import Gateway
    from naru.testing.clock import MovedClock
    from naru.testing.weather import Weather

Json = dict[str, Any]

POLL = timedelta(milliseconds=250)
LOOK_SECONDS = 0.01
SETTLE_SECONDS_MAX = 60.0
PARENT_LOOK_SECONDS = 1.0
# Work that is due now: calls to run, and webhooks to send, whose call may not have come yet.
_BUSY = """
SELECT EXISTS (SELECT FROM jobs WHERE execute_after <= now())
    OR EXISTS (SELECT FROM webhook_deliveries WHERE state = 'waiting' AND next_at <= now())
"""
_TEMPLATE = "naru_template"
# What a shop may be configured with, by the name of the wish's field.
_FIXED_NAMES = {
    "imp_key": (re.compile(r"[!-~]{1,100}"), "1 to 100 visible ASCII characters"),
    "imp_secret": (re.compile(r"[!-~]{1,200}"), "1 to 200 visible ASCII characters"),
    "user_code": (
        re.compile(r"[A-Za-z0-9_-]{3,40}"),
        "3 to 40 letters, digits, - or _, such as imp12345678",
    ),
    "webhook_secret": (
        re.compile(r"whsec_(?:[A-Za-z0-9+/]{4}){4,32}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
        "whsec_ and the base64 of 12 to 98 bytes",
    ),
}


class Wrong(Exception):
    """A wish that cannot be granted; the text is one sentence for whoever wrote the test."""


@dataclass
class Life:
    """One running set of companies over one database, from its beginning to its end."""

    gateway: Gateway
    weather: Weather
    clock: MovedClock
    database: asyncpg.Connection
    sandbox: Starlette
    sandbox_url: str
    root_key: bytes
    joined: bool = False

    async def open_shop(self, wish: Json) -> Json:
        """A merchant of its own, with a channel for every pg code; its names and secrets.

        Those that the wish fixes, for a shop that was configured by hand, or fresh ones. Raises Wrong.
        """
        import asyncpg

        from naru.domain.ids import hash_secret

        imp_key, imp_secret = fresh.api_key()
        names = {
            "user_code": fresh.user_code(),
            "imp_key": imp_key,
            "imp_secret": imp_secret,
            "webhook_secret": fresh.webhook_secret(),
        } | _fixed_names(wish)
        anywhere_here = ("loopback",)
        async with self.gateway.store.begin() as session:
            try:
                merchant_id = await session.merchants.add(
                    wish["name"],
                    [names["user_code"]],
                    live=False,
                    webhook_secret=names["webhook_secret"],
                )
                await session.merchants.add_key(
                    merchant_id, names["imp_key"], hash_secret(names["imp_secret"])
                )
            except asyncpg.UniqueViolationError:
                raise Wrong(
                    f"Another shop of this gateway has the user_code {names['user_code']} or the "
                    f"imp_key {names['imp_key']}."
                ) from None
            merchant = await session.merchants.get(merchant_id)
            assert merchant is not None
            await session.merchants.change(
                replace(
                    merchant,
                    allowed_origins=anywhere_here,
                    allowed_return_origins=anywhere_here,
                    allowed_webhook_origins=anywhere_here,
                    webhook_url=wish["webhook_url"],
                    webhook_format=wish["webhook_format"],
                )
            )
            await seed.sandbox_channels(session, merchant_id, self.sandbox_url, self.root_key)
            channels = await session.channels.of_merchant(merchant_id)
        if not self.joined:
            # Every merchant's channels name the same MIDs with the same secrets.
            await seed.join_sandbox(channels)
            self.joined = True
        return names

    async def settle(self) -> Json:
        """Return when everything that is due has happened: notices heard, jobs run, webhooks sent."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while self._pg_is_telling() or await self.database.fetchval(_BUSY):
            if time.monotonic() > deadline:
                raise Wrong(f"After {SETTLE_SECONDS_MAX:.0f} s the gateway is still at work.")
            await asyncio.sleep(LOOK_SECONDS)
        return {"now": self.clock.now().isoformat()}

    def _pg_is_telling(self) -> bool:
        from naru.sandbox.ledger import Book

        company = self.sandbox.state.company
        return bool(company.ledger.read(Book.due_notices, company.now(), 1))

    async def advance(self, seconds: float) -> Json:
        """Later by so much; then whatever fell due meanwhile happens, as the worker's rounds find it."""
        from naru.jobs.timetable import timetable

        if not 0 < seconds <= 10 * 366 * 86_400:
            raise Wrong("Time goes on by more than nothing and at most ten years at once.")
        # What is under way ends in its own time: a lease that ran out under it would do it twice.
        await self.settle()
        await self.clock.advance(timedelta(seconds=seconds), self.database)
        self.sandbox.state.company.notices_waiting.set()
        for each in timetable(self.gateway):
            await each.walk()
        return await self.settle()


class House:
    """Answers wishes; keeps one life going at a time, always at the same addresses."""

    def __init__(self, postgres: Postgres, folder: Path, port: int) -> None:
        self._postgres = postgres
        self._folder = folder
        self._ledger = folder / "sandbox.sqlite"
        self._numbers = itertools.count(1)
        self._gateway_socket, self._sandbox_socket = _listening(port), _listening()
        self.url, self.sandbox_url = _url(self._gateway_socket), _url(self._sandbox_socket)
        self._closing = contextlib.AsyncExitStack()
        self._life: Life | None = None

    async def open(self) -> None:
        """Make the templates of all databases and ledgers, and begin."""
        import asyncpg

        from naru.sandbox.app import create_app as create_sandbox
        from naru.store.migrate import migrate
        from naru.testing import clock

        self._root_key = secrets.token_hex(32).encode()
        server = await asyncpg.connect(self._postgres.url("postgres"))
        try:
            await clock.let_databases_follow(server)
            await server.execute(f"CREATE DATABASE {_TEMPLATE}")
        finally:
            await server.close()
        database = await asyncpg.connect(self._postgres.url(_TEMPLATE))
        try:
            await clock.install(database)
        finally:
            await database.close()
        await migrate(self._postgres.url(_TEMPLATE), self._root_key)
        # Its first start makes keys and hashes PINs, which is most of what a life costs.
        first = create_sandbox(self._ledger, self.sandbox_url)
        async with first.router.lifespan_context(first):
            pass
        await self._begin()

    async def close(self) -> None:
        """End what runs."""
        await self._closing.aclose()

    async def grant(self, wish: Json) -> Json:
        """Do what one line asks for. Raises Wrong."""
        what = wish.get("do")
        assert self._life is not None
        match what:
            case "open_shop":
                return await self._life.open_shop(wish)
            case "settle":
                return await self._life.settle()
            case "advance":
                return await self._life.advance(wish["seconds"])
            case "weather":
                return self._change_weather(wish)
            case "begin_anew":
                await self._closing.aclose()
                await self._begin()
                return {}
        raise Wrong(f"Nobody knows the wish {what!r}.")

    def _change_weather(self, wish: Json) -> Json:
        from naru.testing.weather import Spell

        assert self._life is not None
        spells = self._life.weather.spells
        if (number := wish.get("ends")) is not None:
            spells.pop(number, None)
            return {}
        number = next(self._numbers)
        spells[number] = Spell(wish["kind"], wish["path"], wish["times"], wish["seconds"])
        return {"number": number}

    async def _begin(self) -> None:
        self._closing = contextlib.AsyncExitStack()
        self._life = await self._closing.enter_async_context(self._living())

    @contextlib.asynccontextmanager
    async def _living(self) -> AsyncIterator[Life]:
        import asyncpg

        from naru.app import create_app, open_gateway
        from naru.jobs.worker import work
        from naru.sandbox.app import create_app as create_sandbox
        from naru.testing.clock import MovedClock
        from naru.testing.weather import Weather

        number = next(self._numbers)
        home = self._folder / f"life-{number}"
        home.mkdir(mode=0o711)
        name = f"naru_{number}"
        server = await asyncpg.connect(self._postgres.url("postgres"))
        try:
            await server.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
        finally:
            await server.close()
        url = self._postgres.url(name)
        settings = Settings.read(
            os.environ
            | {
                "NARU_DATABASE_URL": url,
                "NARU_HOME": str(home),
                "NARU_SECRET": self._root_key.decode(),
                "NARU_PUBLIC_URL": self.url,
                "NARU_ALLOW_PRIVATE_ADDRESSES": "on",
            }
        )
        clock, stop = MovedClock(), asyncio.Event()
        weather = Weather(create_app(settings, clock.now))
        ledger = shutil.copy(self._ledger, home)
        sandbox = create_sandbox(Path(ledger), self.sandbox_url, clock.unix)
        async with contextlib.AsyncExitStack() as stack:
            database = await asyncpg.connect(url)
            stack.push_async_callback(database.close)
            await stack.enter_async_context(_serving(sandbox, self._sandbox_socket))
            await stack.enter_async_context(_serving(weather, self._gateway_socket))
            gateway = await stack.enter_async_context(open_gateway(settings, now=clock.now))
            working = asyncio.create_task(work(gateway, url, stop, drain_seconds=1.0, poll=POLL))
            try:
                yield Life(
                    gateway, weather, clock, database, sandbox, self.sandbox_url, self._root_key
                )
            finally:
                stop.set()
                await asyncio.gather(working, return_exceptions=True)
        shutil.rmtree(home, ignore_errors=True)


@contextlib.asynccontextmanager
async def _serving(application: Any, listening: socket.socket) -> AsyncIterator[None]:
    """Serve on a copy of this socket, so that the address stays ours from one life to the next."""
    import uvicorn

    from naru.sandbox.server import CuttableProtocol

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # Signals are for the process, which stops everything in order.

    server = Server(
        uvicorn.Config(
            application,
            http=CuttableProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listening.dup()]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.002)
    if task.done():
        raise Wrong("A part of the private gateway does not start; its log says why.")
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _fixed_names(wish: Json) -> dict[str, str]:
    """The names that the wish fixes. Raises Wrong; a secret is not told again."""
    fixed = {}
    for field, (shape, words) in _FIXED_NAMES.items():
        if (text := wish.get(field)) is not None:
            if not isinstance(text, str) or not shape.fullmatch(text):
                raise Wrong(f"The {field} of a shop is {words}.")
            fixed[field] = text
    return fixed


def _listening(port: int = 0) -> socket.socket:
    # asyncio turns Nagle's delay (40 ms an answer) off only where the protocol is named.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A port that was ours a moment ago still has closed connections, which harm nobody; whoever
    # listens on it now keeps it.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
        made.listen(512)
    except OSError as error:
        made.close()
        raise Wrong(f"Port {port} of 127.0.0.1 cannot be had: {error.strerror}.") from None
    return made


def _read_port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise Wrong(f"A port is a number from 1 to 65535, or 0 for a free one, not {text!r}.")
    return int(text)


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


async def _answer_wishes(house: House, say: Callable[[Json], None], parent: int) -> None:
    """Until standard input ends, a signal comes, or our parent is another one."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    under_way: set[asyncio.Task[None]] = set()

    async def answer(wish: Json, grant: Callable[[Json], Awaitable[Json]]) -> None:
        try:
            say({"id": wish["id"], "ok": await grant(wish)})
        except Exception as error:
            text = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
            say({"id": wish["id"], "error": text})

    async def listen() -> None:
        while line := await reader.readline():
            task = asyncio.create_task(answer(json.loads(line), house.grant))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    async def miss_parent() -> None:
        # A child that our parent forked may hold the pipe open longer than our parent lives.
        while os.getppid() == parent:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(PARENT_LOOK_SECONDS)

    tasks = {asyncio.create_task(listen()), asyncio.create_task(miss_parent())}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks | under_way:
        task.cancel()
    await asyncio.gather(*tasks, *under_way, return_exceptions=True)


async def _live(house: House, say: Callable[[Json], None], parent: int) -> None:
    import signal

    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    loop.add_signal_handler(signal.SIGTERM, me.cancel)
    try:
        await house.open()
        say({"url": house.url, "sandbox_url": house.sandbox_url})
        await _answer_wishes(house, say, parent)
    except asyncio.CancelledError:
        pass
    finally:
        await house.close()


def _import_all() -> None:
    """What takes a second to import, while PostgreSQL takes a second to be made."""
    import naru.app
    import naru.jobs.worker
    import naru.sandbox.app
    import naru.store.migrate
    import naru.testing.clock
    import naru.testing.weather  # noqa: F401


def main(folder: Path, port: str) -> int:
    """Live until standard input ends; the exit status. The folder is removed."""
    parent = os.getppid()
    end_at_sigterm()
    # What anybody prints goes where errors go: standard output speaks JSON.
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(what: Json) -> None:
        with contextlib.suppress(BrokenPipeError):
            wire.write(json.dumps(what) + "\n")
            wire.flush()

    postgres = Postgres(folder, durable=False)
    try:
        logs.set_up(replace(Settings.read(), log_level="warning"))
        house = House(postgres, folder, _read_port(port))
        importing = threading.Thread(target=_import_all)
        importing.start()
        # In this thread: the kernel ties the server's life to the thread that starts it.
        postgres.start()
        importing.join()
        import uvloop

        uvloop.run(_live(house, say, parent))
    except Exception as error:
        told = isinstance(error, ConfigError | CliError | Wrong)
        say({"trouble": str(error) if told else f"{type(error).__name__}: {error}"})
        return 1
    finally:
        postgres.stop()
        shutil.rmtree(postgres.folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))

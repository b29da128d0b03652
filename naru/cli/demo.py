"""`naru demo`: PostgreSQL, the gateway, its worker, the sandbox PG and the shop, until Ctrl-C.

Four companies on one machine: they share HTTP and nothing else, so each gets only its own settings.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from naru.cli import database, ports
from naru.cli.children import Child
from naru.cli.postgres import Postgres
from naru.cli.trouble import CliError
from naru.config import RISKS, Settings, make_secret

if TYPE_CHECKING:
    from naru.domain.merchant import Merchant

STOP_SECONDS = 3.0  # For each of two waves; PostgreSQL comes last.
LOOK_SECONDS = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo takes no arguments: all is in the environment."""
    parser.epilog = (
        "With NARU_DATABASE_URL set it uses that server, else a PostgreSQL of its own in NARU_HOME.\n"
        "Everything stays in NARU_HOME: remove that folder to begin anew."
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run the demo until Ctrl-C or SIGTERM. Raises CliError; nothing is left running."""
    settings = dataclasses.replace(settings, home=settings.home.absolute())
    demo = Demo(settings)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(demo.run())
    return 0


class Demo:
    """What runs, and in which order it starts and stops."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began = time.monotonic()
        self._postgres: Postgres | None = None
        self._children: list[Child] = []
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
        self._local = f"[{host}]" if ":" in host else host
        self._contact = host
        self._sandbox_url = f"http://{self._local}:{settings.sandbox_port}"
        self._shop_url = f"http://{self._local}:{settings.shop_port}"

    async def run(self) -> None:
        """Start, wait for a signal, stop. Raises CliError."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(kind, stop.set)
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                try:
                    await starting
                except* CliError as errors:
                    # One sentence is enough; the others are its consequences.
                    raise _first(errors) from None
                await self._look_after_postgres(stop)
            else:
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await starting
        finally:
            stopping.cancel()
            await self._stop()

    async def _start(self) -> None:
        settings = self._settings
        for variable in ("NARU_PORT", "NARU_SHOP_PORT", "NARU_SANDBOX_PORT"):
            ports.check(settings.host, getattr(settings, variable[5:].lower()), variable)
        self._make_home()
        root_key = settings.secret or make_secret(settings.home)
        # The strangers need no database of ours, so they wake up while it does.
        sandbox = await self._sandbox()
        url = self._start_postgres()
        for name in await database.migrate(url, root_key):
            self._say(f"database: {name}")
        await database.check_root_key(dataclasses.replace(settings, secret=root_key), url)
        merchant = await self._seed(url, root_key)
        gateway = await self._gateway(url)
        worker = await self._worker(url)
        shop = await self._shop(merchant)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sandbox_ready(sandbox, url, merchant, root_key))
            for child in (gateway, shop):
                group.create_task(child.wait_until_ready())
        await worker.wait_until_ready()
        await self._welcome(merchant)

    def _make_home(self) -> None:
        home = self._settings.home
        try:
            # Passable for the database's user, listable for nobody but us.
            home.mkdir(parents=True, exist_ok=True, mode=0o711)
            (home / "logs").mkdir(exist_ok=True, mode=0o700)
            if not os.access(home, os.W_OK):
                raise PermissionError(13, "it is not ours to write in")
        except OSError as error:
            raise CliError(
                f"The folder {home} cannot be used ({error.strerror}): choose another NARU_HOME."
            ) from error

    def _start_postgres(self) -> str:
        if self._settings.database_url is not None:
            return self._settings.database_url
        self._postgres = Postgres(self._settings.home)
        if not self._postgres.data.exists():
            self._say("making a database")
        self._postgres.start()
        self._postgres.create_database("naru")
        if self._postgres.folder.parent != self._settings.home:
            self._say(
                f"PostgreSQL does not run as root; its data are in {self._postgres.folder}, "
                "where its own user can reach them"
            )
        return self._postgres.url()

    async def _seed(self, url: str, root_key: bytes) -> "Merchant":
        from naru.cli import seed
        from naru.store import Store

        store = Store(url, 2, root_key=root_key)
        try:
            return await seed.demo_merchant(
                store,
                sandbox_url=self._sandbox_url,
                shop_url=self._shop_url,
                root_key=root_key,
            )
        finally:
            await store.close()

    async def _sandbox_ready(
        self, sandbox: Child, url: str, merchant: "Merchant", root_key: bytes
    ) -> None:
        await sandbox.wait_until_ready()
        from naru.cli import seed
        from naru.store import Store

        store = Store(url, 2, root_key=root_key)
        try:
            async with store.direct() as session:
                channels = await session.channels.of_merchant(merchant.id)
        finally:
            await store.close()
        await seed.join_sandbox(channels)

    # The four companies.

    async def _gateway(self, url: str) -> Child:
        return await self._child(
            "gateway", ["naru.cli.main", "serve"], self._house(url), self._settings.port, "/health"
        )

    async def _worker(self, url: str) -> Child:
        return await self._child("worker", ["naru.cli.main", "worker"], self._house(url))

    async def _sandbox(self) -> Child:
        arguments = ["naru.sandbox", "--host", self._settings.host]
        arguments += ["--port", str(self._settings.sandbox_port)]
        arguments += ["--database", str(self._settings.home / "sandbox.sqlite")]
        arguments += ["--public-url", self._sandbox_url]
        return await self._child("sandbox PG", arguments, {}, self._settings.sandbox_port, "/cards")

    async def _shop(self, merchant: "Merchant") -> Child:
        from naru.cli import seed

        arguments = ["naru.shop", "--host", self._settings.host]
        arguments += ["--port", str(self._settings.shop_port)]
        arguments += ["--database", str(self._settings.home / "shop.sqlite")]
        arguments += ["--gateway-url", self._settings.public_url]
        arguments += ["--imp-key", seed.IMP_KEY]
        arguments += ["--user-code", seed.USER_CODES[0]]
        # Arguments can be read by everybody on the machine, the environment cannot.
        secrets = {"NARU_SHOP_IMP_SECRET": seed.IMP_SECRET}
        if merchant.webhook_secret:
            secrets["NARU_SHOP_WEBHOOK_SECRET"] = merchant.webhook_secret.split()[0]
        return await self._child("shop", arguments, secrets, self._settings.shop_port, "/")

    def _house(self, url: str) -> dict[str, str]:
        settings = self._settings
        ours = {name: value for name, value in os.environ.items() if name.startswith("NARU_")}
        return ours | {
            "NARU_DATABASE_URL": url,
            "NARU_HOME": str(settings.home),
            "NARU_ALLOW_PRIVATE_ADDRESSES": "on",
            # A demo takes no money: it may lose some, and be looked at from the next room.
            "NARU_ACCEPT_RISKS": " ".join(RISKS),
        }

    async def _child(
        self,
        name: str,
        arguments: list[str],
        environ: Mapping[str, str],
        port: int | None = None,
        path: str = "/",
    ) -> Child:
        plain = {key: text for key, text in os.environ.items() if not key.startswith("NARU_")}
        child = Child(
            name,
            [sys.executable, "-m", *arguments],
            plain | {"PYTHONUNBUFFERED": "1"} | dict(environ),
            self._settings.home / "logs" / f"{name.split()[0]}.log",
            self._say,
            health_url=None if port is None else (self._contact, port, path),
        )
        self._children.append(child)
        await child.start()
        return child

    async def _look_after_postgres(self, stop: asyncio.Event) -> None:
        """Wait for the end; start the embedded server again if it falls."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
            if self._postgres is not None and self._postgres.pid is None and not stop.is_set():
                self._say("PostgreSQL ended; starting it again")
                # In this thread, for the kernel ties the child's life to the thread that made it.
                self._postgres.start()
                self._say("PostgreSQL is back")

    async def _stop(self) -> None:
        if self._children:
            self._say("stopping")
        by_name = {child.name: child for child in self._children}
        for wave in (("shop", "gateway"), ("worker", "sandbox PG")):
            await asyncio.gather(
                *(by_name[name].stop(STOP_SECONDS) for name in wave if name in by_name)
            )
        if self._postgres is not None:
            self._postgres.stop()
        if self._children:
            self._say("stopped; your data stay in " + _shown(self._settings.home))

    # What the person at the terminal sees.

    def _say(self, sentence: str) -> None:
        print(f"naru: {sentence}", flush=True)

    async def _welcome(self, merchant: "Merchant") -> None:
        from naru.cli import seed

        seconds = time.monotonic() - self._began
        home = _shown(self._settings.home)
        print(f"\nNaru is ready ({seconds:.1f} s). Buy something:\n")
        for name, address, words in (
            ("shop", self._shop_url, "start here"),
            ("gateway", self._settings.public_url, "REST as i'mport V1, SDK, payment window"),
            ("sandbox PG", self._sandbox_url, "its cards, deposit desk, SMS inbox, magic amounts"),
        ):
            print(f"  {name:<11} {address:<24} {words}")
        print("\nTest cards (all invented):\n")
        for line in _card_lines(await _get_json(self._contact, self._settings.sandbox_port)):
            print(f"  {line}")
        print(f"\nREST        imp_key {seed.IMP_KEY}   imp_secret {seed.IMP_SECRET}")
        print(f"SDK         IMP.init('{seed.USER_CODES[0]}')")
        if merchant.webhook_secret:
            print(f"Webhooks    signed with {merchant.webhook_secret.split()[0]}")
        print(f"Commands    {_shown(os.path.join(os.path.dirname(sys.executable), 'naru'))} --help")
        print(f"Data, logs  {home}")
        print("\nPress Ctrl-C to stop.", flush=True)


def _first(errors: BaseExceptionGroup[CliError]) -> CliError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _get_json(host: str, port: int) -> Any:
    """The sandbox's own list of its cards; None when it does not say."""
    import aiohttp

    local = f"[{host}]" if ":" in host else host
    timeout = aiohttp.ClientTimeout(total=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"http://{local}:{port}/cards") as answer,
        ):
            return json.loads(await answer.text())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


def _card_lines(answer: Any) -> Iterator[str]:
    """One line for the first good card of each kind, read from the sandbox's own table."""
    cards = answer.get("cards", []) if isinstance(answer, dict) else []
    seen: set[str] = set()
    for card in cards:
        if not isinstance(card, dict):
            continue
        kind = str(card.get("auth", ""))
        if kind in seen or card.get("scenario"):
            continue
        seen.add(kind)
        words = [f"{kind:<7}", str(card.get("issuer_name", "")), str(card.get("number", ""))]
        for name in ("expiry", "cvc", "password", "pin"):
            if card.get(name):
                words.append(f"{name} {card[name]}")
        if kind == "isp":
            words.append("(install the demo certificate in the window)")
        yield "  ".join(words)
    if not seen:
        yield "see the sandbox PG's first page"


def _shown(path: "str | os.PathLike[str]") -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative

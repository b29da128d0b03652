"""The processes that are killed, each started as an operator would, and started again at once.

PostgreSQL is our own child and reaped by us: a killed postmaster that nobody reaped keeps its lock.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg

from naru.cli import seed
from naru.cli.orphans import die_with_parent
from naru.cli.postgres import Postgres, PostgresError
from naru.config import Settings
from naru.domain.merchant import Merchant
from naru.store import Store
from tests.killing.balancer import Balancer
from tests.killing.disk import PowerDisk

ROOT = Path(__file__).parents[2]
# Programs start three times as fast when their bytecode is kept, and the environment may forbid it.
BYTECODE = ROOT / ".pytest_cache" / "bytecode"
LOOK_SECONDS = 0.02
AGAIN_SECONDS = 0.2
START_SECONDS = 90.0
SETTLE_SECONDS = 2.0

# The tables whose rows are questions to a company, each with the number that the company is asked by.
JOURNALS = (
    "intents",
    "billing_keys",
    "cash_receipts",
    "errands",
    "quick_questions",
    "order_acts",
    "certifications",
)
# What the audit of P13 needs and a house does not: in which transaction each question was written.
# The cancel of a receipt is a question of its own, with a number made of the receipt's.
WATCH_INTENTS = """
CREATE SCHEMA killing;
CREATE TABLE killing.intents (kind text, number text);
CREATE FUNCTION killing.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO killing.intents VALUES (
        CASE TG_TABLE_NAME WHEN 'intents' THEN to_jsonb(NEW) ->> 'kind' ELSE TG_TABLE_NAME END,
        NEW.number || CASE TG_OP WHEN 'UPDATE' THEN '-' || (to_jsonb(NEW) ->> 'cancels') ELSE '' END);
    RETURN NULL;
END $$;
CREATE TRIGGER killing_revoked AFTER UPDATE ON cash_receipts FOR EACH ROW
    WHEN (NEW.cancels > OLD.cancels) EXECUTE FUNCTION killing.note();
""" + "".join(
    f"CREATE TRIGGER killing_note AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION killing.note();\n"
    for table in JOURNALS
)


@dataclass(frozen=True, slots=True)
class Death:
    """A process ended: who, why (`killed`, `point <name>`, `ended <status>`), when (monotonic)."""

    name: str
    why: str
    at: float


class Program:
    """One process, started again whenever it ends, until it is stopped.

    `arm` is asked before each start what to add: (point or None, environment, arguments).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        *,
        health: str | None = None,
    ) -> None:
        self.name = name
        self.deaths: list[Death] = []
        self.back_after: list[float] = []  # seconds from a death until it answered
        self.back_late: list[float] = []  # the same, when it could not start at first
        self.ready_at = 0.0
        self.arm: Callable[[Program], tuple[str | None, dict[str, str], list[str]]] = _unarmed
        self.on_death: Callable[[Program, Death], None] = lambda program, death: None
        self._command, self._environ, self._log, self._health = command, environ, log, health
        self._process: asyncio.subprocess.Process | None = None
        self._point: str | None = None
        self._killed = False
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Start it and keep it running."""
        self._keeper = asyncio.create_task(self._keep())

    async def ready(self) -> None:
        """Return when it answers (a program without an address: when it was started)."""
        async with asyncio.timeout(START_SECONDS):
            await self._ready.wait()

    @property
    def armed(self) -> str:
        """The point at which this process dies by itself; empty when it is not armed."""
        return self._point or ""

    @property
    def is_ready(self) -> bool:
        """Does it answer, as far as we know? A program without an address is given a moment."""
        settled = self._health is not None or time.monotonic() - self.ready_at > SETTLE_SECONDS
        return self._ready.is_set() and settled

    def kill(self) -> bool:
        """SIGKILL; False when there is nothing to kill just now."""
        if not self._alive:
            return False
        self._killed = True
        return self._signal(signal.SIGKILL)

    async def pause(self, seconds: float) -> None:
        """SIGSTOP, wait, SIGCONT."""
        if self._signal(signal.SIGSTOP):
            process = self._process
            try:
                await asyncio.sleep(seconds)
            finally:
                if process is self._process:
                    self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None and self._process.returncode is None:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    @property
    def _alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def _signal(self, kind: signal.Signals) -> bool:
        if self._process is None or self._process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(kind)
            return True
        return False

    async def _keep(self) -> None:
        died: float | None = None
        refused = False
        with self._log.open("ab") as log:
            while True:
                self._point, environ, arguments = self.arm(self)
                self._killed = False
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # The working directory holds a naru, too; PYTHONPATH says which one.
                    "-m",
                    *self._command,
                    *arguments,
                    env={**self._environ, **environ},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=die_with_parent(signal.SIGKILL),
                )
                looking = asyncio.create_task(self._look(died, refused))
                try:
                    status = await self._process.wait()
                finally:
                    looking.cancel()
                    await asyncio.gather(looking, return_exceptions=True)
                # The time to be back counts from the first death, also through failed starts.
                if self._ready.is_set() or died is None:
                    died, refused = time.monotonic(), False
                else:
                    refused = True
                self._ready.clear()
                why = f"ended {status}"
                if self._killed:
                    why = "killed"
                elif status == -signal.SIGKILL and self._point is not None:
                    why = f"point {self._point}"
                death = Death(self.name, why, time.monotonic())
                self.deaths.append(death)
                self.on_death(self, death)
                if status >= 0:
                    await asyncio.sleep(AGAIN_SECONDS)

    async def _look(self, died: float | None, refused: bool) -> None:
        if self._health is not None:
            timeout = aiohttp.ClientTimeout(total=5)
            async with aiohttp.ClientSession(timeout=timeout) as http:
                while not await _answers(http, self._health):
                    await asyncio.sleep(LOOK_SECONDS)
            if died is not None:
                late = self.back_late if refused else self.back_after
                late.append(time.monotonic() - died)
        self.ready_at = time.monotonic()
        self._ready.set()


def _unarmed(program: Program) -> tuple[str | None, dict[str, str], list[str]]:
    return None, {}, []


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def _answers_now(url: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=2)
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        return await _answers(http, url)


class Database:
    """PostgreSQL, killed and started again from one thread of its own, so that the load goes on."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.server = Postgres(home, durable=durable)
        self.back_after: list[float] = []
        self.kills = 0
        # The kernel ties the server's life to the thread that started it.
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._busy = asyncio.Lock()

    @property
    def url(self) -> str:
        """The address of the house's database."""
        return self.server.url()

    async def start(self) -> None:
        """Start it; make the house's database the first time."""
        await self._do(self.server.start)
        await self._do(lambda: self.server.create_database("naru"))
        connection = await asyncpg.connect(self.server.url("postgres"))
        await connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        await connection.close()
        await self._do(self.server.stop)
        await self._do(self.server.start)

    async def stop(self) -> None:
        """Stop it for good."""
        await self._do(self.server.stop)
        self._thread.shutdown()

    async def kill(self) -> float:
        """SIGKILL the postmaster, start it again; when that was (monotonic), once it takes connections."""
        async with self._busy:
            began = time.monotonic()
            await self._do(self.server.kill)
            self.kills += 1
            await self._do(self.server.start)
            await self._until_it_answers(began)
            return began

    async def kill_backend(self, chance: random.Random) -> None:
        """SIGKILL one session's process: the server throws all out and recovers."""
        async with self._busy:
            began = time.monotonic()
            try:
                connection = await asyncpg.connect(self.url, timeout=10)
                found = await connection.fetch(
                    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
                    " AND pid <> pg_backend_pid() ORDER BY pid"
                )
                connection.terminate()
            except (OSError, asyncpg.PostgresError, TimeoutError):
                return
            if found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(found)["pid"], signal.SIGKILL)
                self.kills += 1
                await self._until_it_answers(began)

    async def pause(self, seconds: float) -> None:
        """SIGSTOP the postmaster and every session, wait, SIGCONT."""
        async with self._busy:
            pids = _family(self.server.pid)
            _send_all(pids, signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                _send_all(pids, signal.SIGCONT)

    async def lose_power(self, disk: PowerDisk) -> None:
        """The plug is pulled, the machine comes back, the server recovers from what was on the disk."""
        async with self._busy:
            family = _family(self.server.pid)
            disk.cut()
            began = time.monotonic()
            # All of them at once: a session that outlives its server holds the disk for minutes.
            _send_all(family, signal.SIGKILL)
            await self._do(self.server.kill)
            self.kills += 1
            await self._do(disk.unmount)
            await self._do(disk.mount)
            await self._do(self.server.start)
            await self._until_it_answers(began)

    async def keep_log_in(self, place: Path) -> None:
        """Move PostgreSQL's write-ahead log to another disk, as an operator would."""
        async with self._busy:
            await self._do(self.server.stop)
            log = self.server.data / "pg_wal"
            owner = log.stat()
            shutil.move(log, place)
            for each in (place, *place.rglob("*")):
                os.chown(each, owner.st_uid, owner.st_gid)
            log.symlink_to(place)
            await self._do(self.server.start)

    async def start_again(self) -> None:
        """Start it if it has fallen, once. Raises PostgresError."""
        async with self._busy:
            await self._do(self.server.start)

    async def bring_back(self) -> None:
        """Start it until it stays up."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(PostgresError):
                await self.start_again()
                break
            await asyncio.sleep(AGAIN_SECONDS)
        await self._until_it_answers(began)

    async def write_log(self) -> None:
        """Let the server take a new file for its log, if it can."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
            connection = await asyncpg.connect(self.url, timeout=5)
            try:
                await connection.execute(
                    "SELECT pg_logical_emit_message(true, 'fill', repeat('x', 1000000))"
                )
                await connection.execute("SELECT pg_switch_wal()")
            finally:
                connection.terminate()

    async def _until_it_answers(self, began: float) -> None:
        while True:
            try:
                connection = await asyncpg.connect(self.url, timeout=10)
                await connection.fetchval("SELECT 1")
                connection.terminate()
                break
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await asyncio.sleep(LOOK_SECONDS)
        self.back_after.append(time.monotonic() - began)

    async def _do(self, deed: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, deed)


def _family(pid: int | None) -> list[int]:
    found = [] if pid is None else [pid]
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found.append(int(entry.name))
    return found


def _send_all(pids: Sequence[int], kind: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, kind)


@dataclass
class House:
    """Everybody, running. `public` is the balancer's address, `requests` the PG's own log."""

    home: Path
    database: Database
    sandbox: Program
    gateways: list[Program]
    workers: list[Program]
    public: str
    sandbox_url: str
    merchant: Merchant
    ledger: Path
    requests: Path
    environ: dict[str, str] = field(repr=False)

    @property
    def programs(self) -> list[Program]:
        """All but the database."""
        return [self.sandbox, *self.gateways, *self.workers]

    async def naru(self, *words: str, crash: str = "") -> tuple[int, str]:
        """Run one command of this house; its exit status and all it said. `crash` arms a point."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "naru.cli.main", *words),
            env=self.environ | ({"NARU_CRASH": crash} if crash else {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), START_SECONDS)
        return process.returncode or 0, said.decode("utf-8", "replace")

    async def accepts(self) -> bool:
        """Would somebody take a payment now? A gateway says so only when it reaches the database."""
        return await _answers_now(f"{self.public}/health")

    async def pg_answers(self) -> bool:
        """Does the sandbox PG answer now? One that was killed just now may still be called ready."""
        return await _answers_now(f"{self.sandbox_url}/cards")

    async def look(self, sql: str, *values: object) -> list[asyncpg.Record] | None:
        """Rows of this house's database; None while it is away."""
        # A server that falls in the middle of an answer confuses the library, too.
        trouble = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
        with contextlib.suppress(OSError, *trouble):
            connection = await asyncpg.connect(self.database.url, timeout=10)
            try:
                return list(await connection.fetch(sql, *values, timeout=10))
            finally:
                connection.terminate()
        return None

    def logs(self, lines: int = 15) -> str:
        """The end of every log, for a failing test."""
        told = []
        for path in sorted((self.home / "logs").glob("*.log")):
            text = path.read_text("utf-8", "replace").splitlines()[-lines:]
            told.append(f"--- {path.name}\n" + "\n".join(text))
        return "\n".join(told)


@contextlib.asynccontextmanager
async def open_house(
    webhook_origin: str,
    *,
    home: Path | None = None,
    tree: Path | None = None,
    gateways: int = 2,
    workers: int = 2,
    durable: bool = True,
    database: Database | None = None,
) -> AsyncIterator[House]:
    """Start everybody; stop them all at the end. `tree` holds another naru than this one.

    The demo's merchant gets its webhooks at `webhook_origin`; without a `database` it is one
    server of the house's own.
    """
    given = home
    home = home or Path(tempfile.mkdtemp(prefix=f"naru-killing-{os.getpid()}-"))
    home.chmod(0o711)  # Root lends PostgreSQL to another user, who must be able to pass.
    (home / "logs").mkdir(exist_ok=True, mode=0o711)
    ports = _free_ports(gateways + 1)
    database = database or Database(home, durable=durable)
    running: list[Program] = []
    try:
        await database.start()
        async with Balancer(ports[1:]).listen() as balancer:
            secret = secrets.token_hex(32)
            plain = {k: v for k, v in os.environ.items() if not k.startswith(("NARU_", "PYTHON"))}
            plain |= {
                "PYTHONUNBUFFERED": "1",
                "PYTHONPYCACHEPREFIX": str(BYTECODE),
                "PYTHONPATH": str(tree or ROOT),
            }
            ours = plain | {
                "NARU_DATABASE_URL": database.url,
                "NARU_SECRET": secret,
                "NARU_HOME": str(home),
                "NARU_PUBLIC_URL": balancer.url,
                "NARU_ALLOW_PRIVATE_ADDRESSES": "on",
                "NARU_LOG_LEVEL": "warning",
                "NARU_ACCEPT_RISKS": "durability",
            }
            sandbox_url = f"http://127.0.0.1:{ports[0]}"
            ledger, requests = home / "sandbox.sqlite", home / "requests.jsonl"
            sandbox = Program(
                "sandbox",
                [
                    *("naru.sandbox", "--port", str(ports[0]), "--database", str(ledger)),
                    *("--request-log", str(requests)),
                ],
                plain,
                home / "logs" / "sandbox.log",
                health=f"{sandbox_url}/cards",
            )
            house = House(
                home=home,
                database=database,
                sandbox=sandbox,
                gateways=[
                    Program(
                        f"gateway {number}",
                        ["naru.cli.main", "serve"],
                        ours | {"NARU_PORT": str(port)},
                        home / "logs" / f"gateway{number}.log",
                        health=f"http://127.0.0.1:{port}/health",
                    )
                    for number, port in enumerate(ports[1:], 1)
                ],
                workers=[
                    Program(
                        f"worker {number}",
                        ["naru.cli.main", "worker"],
                        ours,
                        home / "logs" / f"worker{number}.log",
                    )
                    for number in range(1, workers + 1)
                ],
                public=balancer.url,
                sandbox_url=sandbox_url,
                merchant=None,  # type: ignore[arg-type]  # known when the database is ready
                ledger=ledger,
                requests=requests,
                environ=ours,
            )
            running = house.programs
            sandbox.start()
            status, said = await house.naru("migrate")
            assert status == 0, said
            connection = await asyncpg.connect(database.url)
            await connection.execute(WATCH_INTENTS)
            await connection.close()
            house.merchant = await _seed(house, webhook_origin, secret)
            for program in running[1:]:
                program.start()
            await asyncio.gather(*(program.ready() for program in running))
            yield house
    finally:
        await asyncio.gather(*(program.stop() for program in running))
        await database.stop()
        if given is None:
            shutil.rmtree(database.server.folder, ignore_errors=True)
            shutil.rmtree(home, ignore_errors=True)


async def _seed(house: House, webhook_origin: str, secret: str) -> Merchant:
    root_key = Settings.read({"NARU_SECRET": secret}).need_secret()
    store = await Store.open(house.database.url, 2, root_key=root_key)
    try:
        merchant = await seed.demo_merchant(
            store,
            sandbox_url=house.sandbox_url,
            shop_url=webhook_origin,
            root_key=root_key,
        )
        async with store.direct() as session:
            channels = await session.channels.of_merchant(merchant.id)
    finally:
        await store.close()
    await house.sandbox.ready()
    await seed.join_sandbox(channels)
    return merchant


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports

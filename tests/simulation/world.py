"""The simulated world: one clock, one source of chance, processes that die, sleep and misread the time.

Everything that goes wrong is decided here, by the seed of the plan and by nothing else.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from naru.domain.errors import NoAnswer, NotSent
from naru.domain.ids import ImpUid
from naru.store import StoreUnavailable
from tests.simulation import loop as loops
from tests.simulation.database import Database, MemoryConnection
from tests.simulation.loop import PROCESS, Killed, VirtualLoop

T = TypeVar("T")

EPOCH = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
FAULTS = (
    *("kill", "pause", "database", "partition", "network", "duplicate", "delay", "clock"),
    *("merchant", "pg_outage", "garbage", "attack"),
)


@dataclass(frozen=True)
class Plan:
    """One run: `buyers` are the numbers of those who take part, `faults` what may go wrong.

    `sleeps` names points of the money path, each with how likely who passes there falls asleep.
    """

    seed: int
    buyers: tuple[int, ...]
    faults: tuple[str, ...] = FAULTS
    chaos_seconds: float = 600.0
    noting: bool = False
    sleeps: tuple[tuple[str, float], ...] = ()


@dataclass
class Broken(Exception):
    """A promise that does not hold."""

    promise: str
    sentence: str
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.promise}: {self.sentence} ({self.subject})"


class Process(loops.Process):
    """One generation of a gateway or a worker. A restart makes another one."""

    def __init__(self, world: World, kind: str, place: int, generation: int) -> None:
        super().__init__(f"{kind}{place}.{generation}")
        self.world = world
        self.kind = kind
        self.place = place
        self.generation = generation
        self.skew = timedelta()
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, self)
        self.cut_from_database = 0.0
        self.cut_from_pg = 0.0

    @property
    def works(self) -> bool:
        return not self.dead and not self.paused

    def now(self) -> datetime:
        """What this process believes the time to be."""
        return self.world.now() + self.skew

    def must_live(self) -> None:
        if self.dead:
            raise Killed

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run this inside the process."""
        return self.world.loop.create_task(work, context=self.context)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run this inside the process, and wait for it outside. Raises Gone when the process dies."""
        task = self.spawn(work)
        gone = self.world.loop.create_future()
        self.world.mourners.setdefault(self, []).append(gone)
        task.add_done_callback(
            lambda _: gone.done() or gone.set_result(None), context=self.world.context
        )
        await gone
        if not task.done():
            raise Gone
        return task.result()


class Gone(Exception):
    """The process died before it answered."""


class SeededIds:
    """Ids that the seed decides."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def imp_uid(self) -> ImpUid:
        return ImpUid(f"imp_{self._rng.randrange(10**12):012d}")

    def api_imp_uid(self) -> ImpUid:
        return ImpUid(f"imps_{self._rng.randrange(10**12):012d}")

    def pg_order_no(self) -> str:
        return f"n{self._rng.getrandbits(96):024x}"

    def cancel_no(self) -> str:
        return f"c{self._rng.getrandbits(96):024x}"

    def secret(self) -> str:
        return f"{self._rng.getrandbits(160):040x}"


@dataclass
class World:
    """Clock, chance, database, processes; `after_start` makes what a process does when it begins."""

    plan: Plan
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    make_database: Callable[[World], Database] = Database

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.plan.seed}:world")
        self.ids = SeededIds(random.Random(f"{self.plan.seed}:ids"))
        self.context = copy_context()
        self.database = self.make_database(self)
        self.processes: dict[tuple[str, int], Process] = {}
        self.mourners: dict[Process, list[asyncio.Future[None]]] = {}
        self.start_process: Callable[[Process], None] = lambda _: None
        self.broken: list[Broken] = []
        self.notes: list[tuple[float, str, str, str]] = []
        self.hash = 0
        self.calm = False
        self.counts: dict[str, int] = {}
        faults, rng = set(self.plan.faults), random.Random(f"{self.plan.seed}:faults")
        self.faults = faults
        # 25 % of the sites at 25 %, as FoundationDB does: most runs are mostly well.
        self.statement_lost = rng.choice((0, 0, 0.0005, 0.003)) if "database" in faults else 0
        self.network_lost = rng.choice((0, 0.01, 0.05, 0.2)) if "network" in faults else 0
        self.duplicated = rng.choice((0, 0, 0.02, 0.1)) if "duplicate" in faults else 0
        self.delayed = rng.choice((0, 0, 0.02, 0.08)) if "delay" in faults else 0
        self.garbled = rng.choice((0, 0, 0.02, 0.1)) if "garbage" in faults else 0
        self.point_kill = rng.choice((0, 0, 0.001, 0.01)) if "kill" in faults else 0
        self.point_pause = rng.choice((0, 0, 0.001, 0.01)) if "pause" in faults else 0
        self.slow_database = rng.random() < 0.2
        self._fault_rng = rng

    # --- time and chance ---

    def now(self) -> datetime:
        """The true time, which is the database's."""
        return EPOCH + timedelta(seconds=self.loop._now)

    def toss(self, probability: float) -> bool:
        return self.rng.random() < probability

    def bytes(self, size: int) -> bytes:
        """Nonces and data keys."""
        return self.rng.randbytes(size)

    def latency(self) -> float:
        seconds = 0.0004 + self.rng.random() * 0.003
        if self.slow_database and self.rng.random() < 0.01:
            seconds += self.rng.random() * 2
        return seconds

    def later(self, seconds: float, do: Callable[..., None], *given: Any) -> None:
        """In the world itself: no process can stop it."""
        self.loop.call_later(seconds, do, *given, context=self.context)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self.loop.create_task(work, context=self.context)

    # --- what is written down ---

    def trace(self, who: str, what: str) -> None:
        self.hash = zlib.crc32(f"{self.loop._now:.6f} {who} {what}".encode(), self.hash)

    def note(self, subject: str, who: str, what: str) -> None:
        """A line of the history that is printed when a promise breaks."""
        self.trace(who, what)
        if self.plan.noting:
            self.notes.append((self.loop._now, subject, who, what))

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def breaks(self, promise: str, sentence: str, subject: str = "") -> None:
        if len(self.broken) < 20:
            self.broken.append(Broken(promise, sentence, subject))
            self.note(subject, "audit", f"BROKEN {promise}: {sentence}")

    # --- processes ---

    def boot(self, kind: str, place: int, generation: int = 1) -> Process:
        process = Process(self, kind, place, generation)
        self.processes[kind, place] = process
        self.start_process(process)
        return process

    def kill(self, process: Process) -> None:
        """SIGKILL; another generation comes up soon."""
        if process.dead:
            return
        self.count("kills")
        process.dead = True
        self.note("", process.name, "killed")
        self.database.disconnect(process)
        self.loop.thaw(process)  # dead: none of it runs
        for waiting in self.mourners.pop(process, []):
            if not waiting.done():
                waiting.set_result(None)
        if self.processes[process.kind, process.place] is process:
            self.later(
                0.2 + self.rng.random() * 5,
                lambda: self.boot(process.kind, process.place, process.generation + 1),
            )

    def pause(self, process: Process, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        if process.dead or process.paused:
            return
        self.count("pauses")
        self.note("", process.name, f"paused for {seconds:.0f} s")
        process.paused = True

        def go_on() -> None:
            if not process.dead:
                self.note("", process.name, "goes on")
                self.loop.thaw(process)

        self.later(seconds, go_on)

    def gateway(self) -> Process | None:
        """A gateway that answers, if there is one."""
        up = [p for p in self.processes.values() if p.kind == "gateway" and p.works]
        return self.rng.choice(up) if up else None

    def reached(self, point: str) -> None:
        """A process is at a named point of the money path: a place to die or to sleep."""
        process = PROCESS.get()
        if not isinstance(process, Process) or self.calm:
            return
        if self.point_kill and self.toss(self.point_kill):
            self.note("", process.name, f"dies at {point}")
            self.kill(process)
            raise Killed
        pause = dict(self.plan.sleeps).get(point, self.point_pause)
        if pause and self.toss(pause):
            self.note("", process.name, f"sleeps at {point}")
            self.pause(process, self.rng.uniform(20, 400))

    # --- what goes wrong, by the clock ---

    def schedule_chaos(self) -> None:
        rng, most = self._fault_rng, self.plan.chaos_seconds

        def plan(kind: str, times: int, do: Callable[[], None]) -> None:
            if kind in self.faults:
                for _ in range(rng.randrange(times + 1)):
                    self.later(rng.uniform(0, most), do)

        plan("kill", 6, lambda: self.kill(self._anybody()))
        plan("pause", 4, lambda: self.pause(self._anybody(), self.rng.uniform(20, 400)))
        plan("database", 2, self._restart_database)
        plan("partition", 2, self._cut_database)
        plan("partition", 2, self._cut_pg)
        plan("clock", 3, self._step_clock)

    def _anybody(self) -> Process:
        return self.rng.choice(list(self.processes.values()))

    def _restart_database(self) -> None:
        self.count("database restarts")
        self.note("", "database", "restarts")
        self.database.restart()
        self.database.down = True

        def up() -> None:
            self.database.down = False

        self.later(self.rng.uniform(0.3, 20), up)

    def _cut_database(self) -> None:
        process = self._anybody()
        process.cut_from_database = self.loop._now + self.rng.uniform(5, 180)
        self.note("", process.name, "cut off from the database")

    def _cut_pg(self) -> None:
        process = self._anybody()
        process.cut_from_pg = self.loop._now + self.rng.uniform(5, 180)
        self.note("", process.name, "cut off from the PG")

    def _step_clock(self) -> None:
        process = self._anybody()
        process.skew += timedelta(seconds=self.rng.choice((-1, 1)) * self.rng.uniform(1, 120))
        self.note("", process.name, f"clock is off by {process.skew.total_seconds():.0f} s")

    def make_calm(self) -> None:
        """From now on nothing new goes wrong; what was lost stays lost."""
        self.calm = True
        self.statement_lost = self.network_lost = self.duplicated = 0
        self.delayed = self.garbled = 0
        for process in self.processes.values():
            process.cut_from_database = process.cut_from_pg = 0.0
            process.skew = timedelta()

    # --- the database's line ---

    def trouble_at_database(self, connection: MemoryConnection, name: str) -> str | None:
        process = connection.process
        if self.database.down:
            return "lost"
        if isinstance(process, Process) and process.cut_from_database > self.loop._now:
            return "lost"
        if process is not None and self.statement_lost and self.toss(self.statement_lost):
            # Lost on the way there, or on the way back: nobody can tell.
            self.count("statements lost")
            return self.rng.choice(("lost", "unknown"))
        return None

    async def dial_database(self, process: Process) -> None:
        """Connect. Raises StoreUnavailable."""
        await asyncio.sleep(self.latency())
        if self.database.down or process.cut_from_database > self.loop._now:
            await asyncio.sleep(self.rng.uniform(0.05, 3))
            raise StoreUnavailable("the database cannot be reached")

    # --- other servers' lines ---

    async def ask(
        self,
        serve: Callable[[], Any],
        *,
        seconds: float,
        subject: str,
        what: str,
        cut: bool = False,
        think: float = 0.05,
    ) -> Any:
        """Ask another server, `serve` being what it does when the request arrives, at any time later.

        Raises NotSent (nothing left us) and NoAnswer (nobody knows).
        """
        process = PROCESS.get()
        if isinstance(process, Process):
            process.must_live()
        who = "?" if process is None else process.name
        if cut or (self.network_lost and self.toss(self.network_lost / 4)):
            await asyncio.sleep(self.rng.uniform(0.001, 1))
            raise NotSent("no connection")
        answered: asyncio.Future[Any] = self.loop.create_future()

        def arrive(*, first: bool) -> None:
            self.note(subject, who, what if first else f"{what} (arrives again)")
            answer = serve()
            if not first or (self.network_lost and self.toss(self.network_lost)):
                return
            self.later(self.rng.random() * think, reply, answer)

        def reply(answer: Any) -> None:
            if not answered.done():
                answered.set_result(answer)

        delay = 0.001 + self.rng.random() * 0.05
        if self.delayed and self.toss(self.delayed):
            delay = self.rng.uniform(1, 200)
            self.count("late requests")
        if self.network_lost and self.toss(self.network_lost):
            self.count("lost requests")
        else:
            self.later(delay, lambda: arrive(first=True))
        if self.duplicated and self.toss(self.duplicated):
            self.count("duplicate requests")
            self.later(delay + self.rng.uniform(0.1, 200), lambda: arrive(first=False))
        try:
            async with asyncio.timeout(seconds):
                return await answered
        except TimeoutError:
            raise NoAnswer("silence") from None

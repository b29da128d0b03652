"""The storm: a seed decides who is killed, paused or armed, and when; then faults stop and all must end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.killing.audit import Finding, audit, cancels_seen, waiting_notices
from tests.killing.house import LOOK_SECONDS, START_SECONDS, Death, House, Program, open_house
from tests.killing.load import GaveUp, Load
from tests.killing.services import PG_PATHS, FullLoad

# Where the worker passes; the gateway passes everywhere else.
OF_WORKER = (
    "reconcile.",
    "schedule.before_commit",
    "schedule.after_commit",
    "schedule.before_fail",
    "schedule.after_fail",
    "webhook.",
)
# The worker compares books once a day. `naru books compare` is the same deed, asked for now.
OF_BOOKS = "compare."
BOOKS_AGAIN_SECONDS = 1.0
# The sandbox PG's own points: its deed is on the disk, its answer is not sent.
PG = "pg "
PG_POINTS = (
    "pg /v1/approvals",
    "pg /v1/cancels",
    "pg /v1/virtual-accounts",
    *(f"pg {path}" for path in PG_PATHS),
)
# A webhook is sent in less; so long after its sender's death it is in nobody's hands.
SENDING_SECONDS = 1.0
# Nothing is measured for longer. L4 promises 30 s.
MEASURE_SECONDS = 60.0
# After the last fault. L1 promises 60 s after the PG answers again, L2 five minutes.
QUIET_SECONDS = 900.0
BREATH_SECONDS = 15.0
# So long an armed process is left to reach its point before it may be killed elsewhere.
POINT_SECONDS = 12.0


def _role(point: str) -> str:
    if point.startswith(PG):
        return "sandbox"
    if point.startswith(OF_BOOKS):
        return "books"
    return "worker" if point.startswith(OF_WORKER) else "gateway"


@dataclass
class Report:
    """What a storm did, and what the audit found afterwards."""

    seed: int
    kills: int = 0
    by: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    journeys: Counter[str] = field(default_factory=Counter)
    back: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    storm_seconds: float = 0.0
    quiet_seconds: float = 0.0
    held: int = 0  # cancels that the PG never saw, not final yet
    logs: str = ""

    @property
    def clean(self) -> bool:
        """Did every book agree?"""
        return not self.findings

    def line(self) -> str:
        """One line of numbers."""
        counted = " ".join(f"{name}={count}" for name, count in self.counts.items())
        by = " ".join(f"{name}:{count}" for name, count in sorted(self.by.items()))
        back = ", ".join(f"{name} {spread(times)}" for name, times in self.back.items() if times)
        return (
            f"seed {self.seed}: {self.kills} kills ({by}), {len(self.points)} named points, "
            f"{sum(self.journeys.values())} journeys; {counted}; seconds p50/p99/max (n): {back}; "
            f"storm {self.storm_seconds:.0f} s, all ended {self.quiet_seconds:.0f} s later, "
            f"{self.held} cancels held; "
            f"findings {dict(Counter(each.rule for each in self.findings))}"
        )

    def story(self) -> str:
        """The line and every finding, for whoever must mend it."""
        return "\n".join([self.line(), *(str(each) for each in self.findings[:40]), self.logs])


def spread(times: Iterable[float]) -> str:
    """Half are below the first number, 99 of 100 below the second, all below the third."""
    ordered = sorted(times)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99)]
    return f"{at[0]:.2f}/{at[1]:.2f}/{ordered[-1]:.2f} ({len(ordered)})"


class Storm:
    """Kills and pauses in one house. `points` are names to die at, each as often as it is named.

    `leads` are points that the load leads to though nobody dies there.
    """

    def __init__(
        self,
        house: House,
        load: FullLoad,
        seed: int,
        *,
        kills: int,
        points: Sequence[str] = (),
        leads: Sequence[str] = (),
    ) -> None:
        self.report = Report(seed)
        self._house, self._load = house, load
        self._chance = random.Random(seed)
        self._kills_wanted = kills
        self._pending = list(points)
        self._chance.shuffle(self._pending)
        self._leads = list(leads)
        self._over = False
        self._measures: set[asyncio.Task[None]] = set()

    async def rage(self, *, seconds: float, gap: float, pause: float) -> None:
        """Kill until enough are dead and every point was reached, for `seconds` at the most.

        `gap` is the mean time between two faults, `pause` the longest SIGSTOP.
        """
        house, chance = self._house, self._chance
        for program in house.programs:
            program.arm, program.on_death = self._arm, self._mourn
        self._load.wanted = lambda: self.armed + self._books_wanted + self._leads
        began = time.monotonic()
        pauses: set[asyncio.Task[None]] = set()
        clerk = asyncio.create_task(self._compare())
        if not self._kills_wanted and not self._pending:
            # A run without faults, for the controls that need none.
            await asyncio.sleep(seconds)
        # Programs that run already are not armed; their first deaths arm them.
        if self._pending:
            for program in [house.sandbox, *house.gateways[1:], *house.workers]:
                program.kill()
            await house.gateways[1].ready()
            house.gateways[0].kill()
        while time.monotonic() - began < seconds and (
            self.report.kills < self._kills_wanted or self._points_left
        ):
            await asyncio.sleep(chance.uniform(0.3, 1.7) * gap)
            await self._breathe()
            if self._points_left:
                # Whoever is to die at a point should come there; who never comes is killed here.
                for program in house.programs:
                    if program.armed:
                        self._kill(program)
                continue
            fault = chance.choices(
                ("gateway", "worker", "sandbox", "postgres", "backend", "both", "pause"),
                (3, 3, 3, 1, 1, 1, 2),
            )[0]
            match fault:
                case "gateway":
                    self._kill(chance.choice(house.gateways))
                case "worker":
                    self._kill(chance.choice(house.workers))
                case "sandbox":
                    self._kill(house.sandbox)
                case "postgres" | "both":
                    if fault == "both":
                        self._kill(chance.choice(house.gateways))
                    self._count("postgres")
                    self._aside(self._time_accepting(await house.database.kill()))
                case "backend":
                    self._count("backend")
                    await house.database.kill_backend(chance)
                case "pause":
                    paused = chance.choice([*house.programs, house.database])
                    task = asyncio.create_task(paused.pause(chance.uniform(0.2, pause)))
                    pauses.add(task)
                    self.report.by["pause"] += 1
        self._over = True
        clerk.cancel()
        await asyncio.gather(clerk, return_exceptions=True)
        await asyncio.gather(*pauses, *self._measures)
        # Whoever is still armed gives way to one that is not.
        for program in house.programs if self.report.kills else ():
            self._kill(program)
        await asyncio.sleep(0)
        self.report.storm_seconds = time.monotonic() - began

    async def _compare(self) -> None:
        """Compare the books where somebody is to die in it, again and again until it died there."""
        while True:
            for point in self._books_wanted:
                status, _ = await self._house.naru("books", "compare", crash=point)
                if status == -signal.SIGKILL:
                    self._pending.remove(point)
                    self._count("books@")
                    self.report.points[point] += 1
            await asyncio.sleep(BOOKS_AGAIN_SECONDS)

    def _aside(self, measure: Coroutine[None, None, None]) -> None:
        self._measures.add(asyncio.create_task(measure))

    async def _time_accepting(self, killed: float) -> None:
        """From the kill of PostgreSQL until a payment would be taken again."""
        while time.monotonic() - killed < MEASURE_SECONDS:
            if await self._house.accepts():
                break
            await asyncio.sleep(LOOK_SECONDS)
        self.report.back["accepting after postgres"].append(time.monotonic() - killed)

    async def _time_takeover(self, died: float) -> None:
        """From a worker's death until others took up the webhooks that it was sending."""
        held = await self._held()
        await asyncio.sleep(SENDING_SECONDS)
        held &= await self._held()
        while held and time.monotonic() - died < MEASURE_SECONDS:
            await asyncio.sleep(LOOK_SECONDS * 10)
            left = await self._house.look(STILL_HELD, [each for each, _ in held])
            if left is None:
                continue
            gone = held - {(row["id"], row["fence"]) for row in left}
            self.report.back["take-over"] += [time.monotonic() - died] * len(gone)
            held -= gone

    async def _held(self) -> set[tuple[int, int]]:
        """Webhooks that somebody is sending: number and fence, which rises with every lease."""
        return {(row["id"], row["fence"]) for row in await self._house.look(HELD) or []}

    @property
    def _books_wanted(self) -> list[str]:
        """The points of the comparison that are left, each once."""
        return sorted({point for point in self._pending if point.startswith(OF_BOOKS)})

    @property
    def _points_left(self) -> bool:
        return bool(self._pending or self.armed)

    @property
    def armed(self) -> list[str]:
        """The points that somebody is to die at now."""
        return [each.armed for each in self._house.programs if each.armed]

    async def _breathe(self) -> None:
        """Let the house come back far enough for the next fault to hit something that lives."""
        house = self._house
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BREATH_SECONDS):
                while not (
                    house.sandbox.is_ready
                    and any(each.is_ready for each in house.gateways)
                    and any(each.is_ready for each in house.workers)
                ):
                    await asyncio.sleep(0.05)

    def _kill(self, program: Program) -> None:
        """Kill it, unless it has only just come back or is about to die where it was told."""
        waits = bool(program.armed) and time.monotonic() - program.ready_at < POINT_SECONDS
        if self._over or (program.is_ready and not waits):
            program.kill()

    def _arm(self, program: Program) -> tuple[str | None, dict[str, str], list[str]]:
        if self._over:
            return None, {}, []
        for point in self._pending:
            if _role(point) != program.name.partition(" ")[0]:
                continue
            self._pending.remove(point)
            order = f"{point.removeprefix(PG)}:{self._chance.randint(1, 2)}"
            if point.startswith(PG):
                return point, {}, ["--die-before-answer", order]
            return point, {"NARU_CRASH": order}, []
        return None, {}, []

    def _mourn(self, program: Program, death: Death) -> None:
        kind, _, point = death.why.partition(" ")
        if kind == "ended":
            # Without a database a program refuses to start, and says so. That is no kill.
            self.report.by["refused to start" if point == "1" else death.why] += 1
            if program.armed and not self._over:
                self._pending.append(program.armed)
            return
        self._count(f"{program.name.partition(' ')[0]}{'@' if kind == 'point' else ''}")
        if program in self._house.workers:
            self._aside(self._time_takeover(death.at))
        if kind == "point":
            self.report.points[point] += 1
        elif program.armed and not self._over:
            self._pending.append(program.armed)

    def _count(self, who: str) -> None:
        self.report.kills += 1
        self.report.by[who] += 1


async def ride(
    seed: int,
    *,
    kills: int,
    points: Sequence[str] = (),
    seconds: float,
    rate: float = 4.0,
    gap: float = 1.5,
    pause: float = 3.0,
    tree: Path | None = None,
    home: Path | None = None,
    quiet_seconds: float = QUIET_SECONDS,
    hold: bool = False,
    each: int = 2,
    leads: Sequence[str] = (),
) -> Report:
    """One storm from the first process to the audit. `tree` holds a naru with a planted defect.

    `each` is the number of gateways and of workers.
    """
    load = FullLoad(random.Random(seed + 1))
    async with (
        load.receive(),
        open_house(load.origin, tree=tree, home=home, gateways=each, workers=each) as house,
    ):
        load.ledger = house.ledger
        load.channels = {
            row["pg_code"]: row["channel_key"] for row in await house.look(CHANNELS) or ()
        }
        storm = Storm(house, load, seed, kills=kills, points=points, leads=leads)
        stop = asyncio.Event()
        buying = asyncio.create_task(load.run(house.public, house.sandbox_url, rate, stop))
        try:
            await storm.rage(seconds=seconds, gap=gap, pause=pause)
            began = time.monotonic()
            stop.set()
            await buying
        finally:
            buying.cancel()
            await asyncio.gather(buying, return_exceptions=True)
        return await finish(house, load, storm.report, began, quiet_seconds, hold=hold)


async def finish(
    house: House,
    load: Load,
    report: Report,
    began: float,
    quiet_seconds: float,
    *,
    hold: bool = False,
) -> Report:
    """Wait until all has ended (bounded), then compare the books."""
    open_still, report.held = await quiet(house, load, quiet_seconds, hold=hold)
    differ: list[Finding] = []
    if not open_still:
        # A storm ends with kills, and a book that nobody shows is not compared.
        async with asyncio.timeout(START_SECONDS):
            while not await house.pg_answers():
                await asyncio.sleep(LOOK_SECONDS)
        # What only the PG knows is found by comparing the books, and ended like all the rest. What a
        # second comparison finds was ended by nobody.
        _, first = await house.naru("books", "compare")
        open_still, report.held = await quiet(house, load, quiet_seconds, hold=hold)
        status, said = await house.naru("books", "compare")
        differ = [Finding("the books differ", f"{said}\nbefore that: {first}")] if status else []
    report.quiet_seconds = time.monotonic() - began
    report.journeys = load.book.journeys
    report.findings, report.counts = await audit(house, load.book)
    report.findings += [Finding("L1", each) for each in open_still] + differ
    programs = {"gateway": house.gateways, "sandbox": [house.sandbox]}
    for name, group in programs.items():
        report.back[name] = [after for program in group for after in program.back_after]
    report.back["gateway, database down"] = [
        after for program in house.gateways for after in program.back_late
    ]
    report.back["postgres"] = house.database.back_after
    report.back["webhook lag"] = load.book.webhook_lag
    if report.findings:
        report.logs = house.logs()
    return report


CHANNELS = "SELECT pg_code, channel_key FROM channels"
HELD = """
SELECT id, fence FROM webhook_deliveries WHERE state = 'waiting' AND leased_until > now()
"""
STILL_HELD = """
SELECT id, fence FROM webhook_deliveries WHERE state = 'waiting' AND id = ANY ($1)
"""
OPEN = """
SELECT kind, number, state, 'intent ' || kind || ' of ' || imp_uid || ' is ' || state || ' after ' || tries || ' tries'
    AS words FROM intents WHERE state IN ('open', 'unknown', 'undoing')
UNION ALL SELECT 'payment', '', step, 'payment ' || imp_uid || ' is approving'
    FROM payments WHERE step = 'approving'
UNION ALL SELECT 'webhook', '', state,
    'webhook of ' || imp_uid || ' (' || status || ') waits after ' || attempts || ' attempts'
    FROM webhook_deliveries WHERE state = 'waiting'
UNION ALL SELECT 'key', number, state, 'key ' || number || ' is ' || state
    FROM billing_keys WHERE state = 'asking' OR (state IN ('replaced', 'deleted') AND forgotten_at IS NULL)
UNION ALL SELECT 'receipt', number, state, 'receipt ' || number || ' is ' || state
    FROM cash_receipts WHERE state IN ('asking', 'cancelling')
UNION ALL SELECT 'errand', number, state, kind || ' ' || number || ' is ' || state
    FROM errands WHERE state = 'asking'
UNION ALL SELECT 'schedule', number, state, 'schedule of ' || merchant_uid || ' is ' || state
    FROM schedules WHERE state = 'scheduled'
UNION ALL SELECT 'certification', number, stage, 'certification ' || imp_uid || ' is ' || stage
    FROM certifications WHERE stage IN ('asking', 'waiting') AND promised_at IS NOT NULL
UNION ALL SELECT 'act', number, state, act || ' of ' || subject || ' is ' || state
    FROM order_acts WHERE state IN ('planned', 'asking')
UNION ALL SELECT 'member', number, state, kind || ' ' || member_id || ' is ' || state
    FROM quick_questions WHERE state = 'asking'
"""


async def quiet(house: House, load: Load, seconds: float, *, hold: bool) -> tuple[list[str], int]:
    """Wait until nothing is open any more; what still is after `seconds`, and how much is held.

    "Not found" is final only minutes after a cancel was asked for (RELIABILITY §2.3, rule 1). With
    `hold` a cancel that the PG has never seen, and that the worker has looked at, need not end.
    """
    deadline = time.monotonic() + seconds
    found, held = ["nobody could look"], 0
    while found and time.monotonic() < deadline:
        with contextlib.suppress(OSError, asyncpg.PostgresError, GaveUp, TimeoutError):
            connection = await asyncpg.connect(house.database.url, timeout=10)
            try:
                rows = await connection.fetch(OPEN)
            finally:
                connection.terminate()
            seen = cancels_seen(house.ledger)
            unseen = [
                row
                for row in rows
                if hold and (row[0], row[2]) == ("cancel", "unknown") and row[1] not in seen
            ]
            held = len(unseen)
            found = [row["words"] for row in rows if row not in unseen]
            # The PG would try again after minutes; its staff need not wait.
            for notice_id in waiting_notices(house.ledger):
                found.append(f"the PG has to deliver notice {notice_id}")
                await load.resend(house.sandbox_url, notice_id)
        if found:
            await asyncio.sleep(0.5)
    return found, held

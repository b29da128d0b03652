"""One run: build the world of a plan, let it live, let it heal, look at everything.

Also what to do with a failure: run it again with notes, make it smaller, print it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from naru.domain import points
from naru.jobs.handlers import handlers
from naru.jobs.timetable import Round, timetable, walk_rounds
from naru.payments.gateway import Gateway
from naru.store import StoreUnavailable
from tests.simulation.audit import OPEN, TOLD_BY, Audit
from tests.simulation.database import Database, MemoryStore
from tests.simulation.loop import PROCESS, Killed, sweep
from tests.simulation.people import People, Shop, SimulatedWire
from tests.simulation.pg import KINDS, Pg, SimulatedConnector
from tests.simulation.world import FAULTS, Broken, Plan, Process, World

SECONDS_TO_HEAL = 4 * 3600.0
DEATH_IS_NOTICED_AFTER = 8.0
NOTES_PRINTED = 30


@dataclass
class Result:
    """What one run found."""

    plan: Plan
    broken: list[Broken]
    payments: int
    hash: int
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[tuple[float, str, str, str]] = field(default_factory=list)

    @property
    def first(self) -> Broken | None:
        return self.broken[0] if self.broken else None


class Simulation:
    """The world of one plan, from its first second to its audit."""

    def __init__(self, plan: Plan, make_database: Callable[[World], Database] = Database) -> None:
        self.world = World(plan, make_database=make_database)
        self.pg = Pg(self.world)
        self.audit = Audit(self.world, self.pg)
        self.people = People(self.world, self.pg, [])
        self._rng = random.Random(f"{plan.seed}:house")
        self._jobs: dict[Process, Any] = {}
        self._every = self._rng.choice((1.0, 1.0, 0.5, 3.0))

    def run(self) -> Result:
        world = self.world
        try:
            with quiet(world), listening(world):
                world.loop.run(self._live())
            self.audit.at_the_end()
            return Result(
                plan=world.plan,
                broken=list(world.broken),
                payments=len(world.database.tables["payments"].rows),
                hash=world.hash,
                seconds=world.loop._now,
                counts=dict(world.counts),
                notes=list(world.notes),
            )
        finally:
            # What tasks say and do while they are ended is no part of the run.
            with quiet(world):
                world.loop.bury()

    async def _live(self) -> None:
        world = self.world
        await self._found()
        world.start_process = self._start
        world.database.watchers.append(self._hear_of_jobs)
        for kind in ("gateway", "worker"):
            for place in (1, 2):
                world.boot(kind, place)
        world.schedule_chaos()
        if "merchant" in world.faults:
            self._ill_merchants()
        if "pg_outage" in world.faults and self._rng.random() < 0.2:
            world.later(self._rng.uniform(0, 400), self._pg_goes_out)
        buyers = [world.spawn(self.people.buy(number)) for number in world.plan.buyers]
        await asyncio.sleep(world.plan.chaos_seconds)
        world.make_calm()
        await asyncio.gather(*buyers)
        await self._heal()
        for shop in self.people.shops:
            for payment in world.database.rows("payments"):
                if payment["merchant_id"] == shop.merchant.id and payment["step"] == "paid":
                    await self.people.look(shop, payment["imp_uid"])
        await self._heal()
        self._sweep_is_enough()

    async def _heal(self) -> None:
        """Wait until nothing is left to do; a house that never ends its work is found by the audit."""
        world = self.world
        calm_at, began = world.loop._now, world.loop._now
        while world.loop._now - began < SECONDS_TO_HEAL:
            await asyncio.sleep(20)
            if self._is_busy():
                calm_at = world.loop._now
            elif world.loop._now - calm_at > 15:
                return

    def _is_busy(self) -> bool:
        db, now = self.world.database, self.world.now()
        if self.people.telling:
            return True
        waiting = db.tables["webhook_deliveries"].live_rows.values()
        if any(row.now is not None for row in waiting):
            return True
        if any(key["state"] == "asking" for key in db.rows("billing_keys")):
            return True
        tasks = db.rows("operator_tasks")
        told = {each["imp_uid"] for each in tasks}
        asked = told | {each["subject"] for each in tasks}
        for table in ("cash_receipts", "errands", "order_acts", "card_checks", "quick_questions"):
            # A question is known by its number, the check of a card by its payment.
            name = "imp_uid" if table == "card_checks" else "number"
            if any(each[name] not in asked for each in db.living(table)):
                return True
        for row in db.tables["intents"].live_rows.values():
            intent = row.now
            if intent is None or intent["state"] not in OPEN:
                continue
            # Whoever was told, and is past every hope of an answer, may wait for ever.
            age = now - intent["opened_at"]
            patience = TOLD_BY + timedelta(minutes=0 if intent["imp_uid"] in told else 30)
            if age < patience:
                return True
        return False

    def _sweep_is_enough(self) -> None:
        """L3: the shop's orders follow the payments."""
        for shop in self.people.shops:
            for payment in self.world.database.rows("payments"):
                if payment["merchant_id"] != shop.merchant.id or payment["flagged"]:
                    continue
                priced = payment["amount"] in shop.prices[payment["merchant_uid"]]
                paid = payment["step"] == "paid" and not payment["cancelled"] and priced
                if paid and payment["merchant_uid"] not in shop.paid:
                    self.world.breaks("L3", "paid, and the shop never knew", payment["imp_uid"])

    # --- the house ---

    async def _found(self) -> None:
        """Merchants and their channels."""
        store = MemoryStore(self.world.database)
        kinds = self._rng.sample(sorted(KINDS), 3)
        for number, kind in enumerate(kinds, 1):
            async with store.begin() as tx:
                secret = "whsec_" + "c2VjcmV0" * 4 if self._rng.random() < 0.2 else None
                merchant_id = await tx.merchants.add(
                    f"상점{number}", [f"imp{number:08d}"], live=False, webhook_secret=secret
                )
                await tx.channels.add(
                    merchant_id,
                    f"channel-key-{number}",
                    # One of them changes accounts, as the PG of that name does.
                    "settle" if number == 2 else "kcp",
                    f"T{number}",
                    kind,
                    test=True,
                    settings={},
                    is_default=True,
                )
                merchant = await tx.merchants.get(merchant_id)
                [channel] = await tx.channels.of_merchant(merchant_id)
                assert merchant is not None
                url = f"http://shop{number}.example/webhook"
                merchant = replace(merchant, webhook_url=url)
                await tx.merchants.change(merchant)
            self.people.shops.append(Shop(merchant, channel, url, kind))

    def _start(self, process: Process) -> None:
        """Bring a gateway or a worker up."""
        world = self.world
        store = MemoryStore(world.database, process)
        wire: Any = SimulatedWire(world, self.people)
        gateway = Gateway(
            store=store,
            wire=wire,
            pg_wire=wire,
            public_url="http://gateway.example",
            root_key=bytes(32),
            now=process.now,
            ids=world.ids,
            chance=random.Random(f"{world.plan.seed}:{process.name}"),
        )
        for kind in KINDS:
            gateway._connectors[kind] = SimulatedConnector(self.pg, kind)
        self.people.gateways[process] = gateway
        if process.kind == "worker":
            self._jobs[process] = handlers(gateway)
            rounds: Any = [
                Rhythm(each, self._every)
                for each in timetable(gateway)
                # What others prove: the audits, and notices that are kept sealed.
                if "audit" not in each.name and "notices" not in each.name
            ]
            stop = asyncio.Event()
            process.spawn(walk_rounds(rounds, stop, gateway.chance))

    # --- the library's queue ---

    def _hear_of_jobs(self, tx: Any, changes: list[Any]) -> None:
        for table, old, new in changes:
            if table.name == "jobs" and old is None:
                wait = max(0.0, (new["due_at"] - self.world.now()).total_seconds())
                self.world.later(wait + self.world.rng.random() * 0.2, self._wake, new["id"])

    def _wake(self, job_id: int) -> None:
        """Give the job to a worker that lives."""
        world = self.world
        table = world.database.tables["jobs"]
        row = table.rows.get(job_id)
        if row is None or row.now is None or row.now["status"] != "queued":
            return
        able = [
            process
            for process in world.processes.values()
            if process.kind == "worker"
            and process.works
            and process.cut_from_database <= world.loop._now
        ]
        if not able or world.database.down:
            world.later(1.0, self._wake, job_id)
            return
        process = world.rng.choice(able)
        row.now = {**row.now, "status": "picked", "worker": process.name}
        task = process.spawn(self._do_job(process, row.now["job"], row.now["subject"]))
        task.add_done_callback(lambda _: self._end_job(job_id, process), context=world.context)
        world.later(DEATH_IS_NOTICED_AFTER, self._watch, job_id, process)

    async def _do_job(self, process: Process, job: str, subject: str) -> None:
        try:
            await self._jobs[process][job](subject)
        except (StoreUnavailable, Killed):
            pass  # the row is found again by the timetable
        except Exception as error:
            self.world.breaks("P0", f"the job {job} failed: {error!r}", subject)

    def _end_job(self, job_id: int, process: Process) -> None:
        table = self.world.database.tables["jobs"]
        row = table.rows.get(job_id)
        if row is not None and row.now is not None and row.now["worker"] == process.name:
            table.drop(row, row.now)
            row.now = None

    def _watch(self, job_id: int, process: Process) -> None:
        """A worker that gives no sign loses its job to another one."""
        row = self.world.database.tables["jobs"].rows.get(job_id)
        if row is None or row.now is None or row.now["worker"] != process.name:
            return
        if process.works:
            self.world.later(DEATH_IS_NOTICED_AFTER / 2, self._watch, job_id, process)
            return
        row.now = {**row.now, "status": "queued", "worker": None}
        self._wake(job_id)

    # --- other people's trouble ---

    def _ill_merchants(self) -> None:
        for shop in self.people.shops:
            if self._rng.random() < 0.3:
                begins = self._rng.uniform(0, 400)
                shop_ill = self._rng.choice((10, 60, 300, 900))

                def fall_ill(shop: Shop = shop, seconds: float = shop_ill) -> None:
                    shop.ill_until = self.world.loop._now + seconds

                self.world.later(begins, fall_ill)

    def _pg_goes_out(self) -> None:
        self.pg.out_until = self.world.loop._now + self._rng.uniform(10, 600)
        self.world.note("", "PG", "is away")


class Rhythm:
    """A round at the world's pace."""

    def __init__(self, each: Round, factor: float) -> None:
        self.name = each.name
        self.walk = each.walk
        self.every = each.every * factor


@contextmanager
def listening(world: World) -> Iterator[None]:
    """Hear of every named point that is reached."""
    points.listen(world.reached)
    try:
        yield
    finally:
        points.listen(None)


class _Surprises(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._world.breaks("P0", f"{record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def quiet(world: World) -> Iterator[None]:
    """Nothing is logged; an error with a traceback is a surprise, and breaks P0."""
    log = logging.getLogger("naru")
    level, spreads, handler = log.level, log.propagate, _Surprises(world)
    log.setLevel(logging.ERROR)
    log.propagate = False
    log.addHandler(handler)
    # Verbs ask the loop for the time only; the process of the moment is in the context.
    token = PROCESS.set(None)
    try:
        yield
    finally:
        PROCESS.reset(token)
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = spreads


def simulate(plan: Plan, make_database: Callable[[World], Database] = Database) -> Result:
    """One run. The same plan always gives the same result."""
    collects = gc.isenabled()
    gc.disable()  # a run is short, and what it leaves goes away at once
    try:
        return Simulation(plan, make_database).run()
    finally:
        sweep()
        if collects:
            gc.enable()


def shrink(result: Result, again: Callable[[Plan], Result] = simulate, runs: int = 120) -> Result:
    """The smallest run found, in so many tries, that breaks the same promise: fewer buyers and faults.

    What one buyer less changes, changes everything after it: so small crowds are also tried with
    other seeds, before the crowd that failed is made smaller.
    """
    assert result.first is not None
    promise, best = result.first.promise, result
    left = runs

    def fails(plan: Plan) -> Result | None:
        nonlocal left
        if left <= 0:
            return None
        left -= 1
        found = again(plan)
        return found if any(each.promise == promise for each in found.broken) else None

    for crowd in (6, 25):
        if len(best.plan.buyers) > crowd and best is result:
            for number in range(runs // 4):
                seed = result.plan.seed + number * 1_000_003
                small = replace(result.plan, seed=seed, buyers=result.plan.buyers[:crowd])
                if (found := fails(small)) is not None:
                    best = found
                    break
    for fault in FAULTS:
        if fault in best.plan.faults:
            without = tuple(each for each in best.plan.faults if each != fault)
            best = fails(replace(best.plan, faults=without)) or best
    size = len(best.plan.buyers) // 2
    while size:
        buyers = best.plan.buyers
        for at in range(0, len(buyers), size):
            fewer = buyers[:at] + buyers[at + size :]
            if fewer and (smaller := fails(replace(best.plan, buyers=fewer))):
                best = smaller
                break
        else:
            size //= 2
            continue
        size = min(size, len(best.plan.buyers) // 2)
    return best


def explain(result: Result) -> str:
    """What a person needs: the broken promise, its history, and the command that repeats it."""
    small = simulate(replace(shrink(result).plan, noting=True))
    broken = next(
        (each for each in small.broken if result.first and each.promise == result.first.promise),
        small.first,
    )
    assert broken is not None, "the same plan gives the same result"
    notes = [
        f"  {at:10.3f}  {who:12} {what}"
        for at, subject, who, what in small.notes
        if subject in ("", broken.subject)
    ]
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return "\n".join(
        (
            f"{broken}",
            f"commit {head.stdout.strip()}, seed {small.plan.seed}, {small.payments} payments, "
            f"faults: {', '.join(small.plan.faults) or 'none'}",
            *notes[-NOTES_PRINTED:],
            "repeat: " + command(small.plan),
        )
    )


def command(plan: Plan) -> str:
    """The command line that runs this plan."""
    buyers = ",".join(str(each) for each in plan.buyers)
    faults = ",".join(plan.faults)
    return f"python -m tests.simulation --one {plan.seed} --buyers {buyers} --faults '{faults}'"

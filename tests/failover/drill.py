"""Drills: the cluster under the load of complete payments, and what is taken away from it.

Before a primary is lost its standbys' receivers are stopped for a moment: a plain kill proves
nothing, for what was acknowledged has been replicated by then even when nobody waited for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.failover.clerk import Clerks, make_table
from tests.failover.cluster import Cluster, Machine, go_on, stall
from tests.failover.crowd import Crowd
from tests.failover.network import OTHER_SWITCH, join_switch
from tests.failover.timeline import Timeline
from tests.killing.house import Database, House, open_house
from tests.killing.storm import Report, finish

STALL_SECONDS = 1.5
BACK_SECONDS_MAX = 120.0
# What is promised of a machine that is lost (L6).
GAP_SECONDS_MAX = 30.0
HEARD_SECONDS_MAX = 60.0
WARM_SECONDS = 4.0
LONGER_SECONDS = 15.0
APART_SECONDS = 3600
ETCD_GONE_SECONDS = 60.0
STANDBYS_GONE_SECONDS = 15.0
AGAIN_SECONDS = 0.2
# Answers that were on their way when PostgreSQL died still arrive; they are no recovery.
SAME_SECONDS = 1.0
FILL = "SELECT pg_logical_emit_message(true, 'fill', repeat('x', 4000000))"
ROOM_MEGABYTES = 16  # one more file of the database's log, and no second


class Behind(Database):
    """The cluster's place in tests/killing's house: its address is HAProxy's."""

    def __init__(self, cluster: Cluster) -> None:
        self.back_after: list[float] = []
        self._cluster = cluster

    @property
    def url(self) -> str:
        return self._cluster.url

    async def start(self) -> None:
        await self._cluster.start()

    async def stop(self) -> None:
        self._cluster.stop()


@dataclass
class Drill:
    """One cluster, one house on it, everybody writing. `lines` is what happened, for people."""

    cluster: Cluster
    house: House
    load: Crowd
    clerks: Clerks
    stall_seconds: float = STALL_SECONDS
    # Seconds without writes: when one machine was lost, and in all other drills.
    gaps: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    # Commits acknowledged while nobody could have confirmed them: in strict mode there are none.
    alone: int = 0
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Print it now, and keep it."""
        self.lines.append(line)
        print(f"  {line}", flush=True)

    async def machine_lost(self) -> None:
        """Receivers stalled, the primary's machine gone at once; it comes back as a standby."""
        primary = await self._ready()
        async with Timeline(self.cluster, primary).watch() as steps:
            began = await self._stalled(primary, primary.lose)
            gap = await self._back("machine lost", primary, began)
            self.say(f"  {await steps.parts(began, began + gap)}")
            self.say(f"  a merchant hears of a payment again {await self._heard(began + gap)}")
        self.gaps.append(gap)
        primary.start()

    async def successor_lost(self, step: str = "promoted") -> None:
        """The next machine is lost, too, as soon as it is primary; then both come back."""
        primary = await self._ready()
        async with Timeline(self.cluster, primary).watch() as steps:
            began = await self._stalled(primary, primary.lose)
            await steps.until(step, BACK_SECONDS_MAX)
            [second] = [each for each in self.cluster.machines if each.name == steps.holder]
            second.lose()
        both = time.monotonic()
        await asyncio.sleep(SAME_SECONDS)
        only_one = time.monotonic()
        await asyncio.sleep(LONGER_SECONDS)
        told = self._count_alone(only_one)
        again = time.monotonic()
        second.start()
        primary.start()
        after = await self.clerks.after(again, BACK_SECONDS_MAX)
        assert after is not None, "nothing is written although all are back"
        self.say(
            f"{primary.name} lost, then {second.name} when it was {step}, {both - began:.1f} s later:"
            f" {told} commits acknowledged on the third alone; {after:.1f} s after both were back"
        )
        self.others.append(self.clerks.silence(began))

    async def candidate_lost(self) -> None:
        """The same, but it dies with the lock in its hand, before it is primary."""
        await self.successor_lost("taken")

    async def late_buyers(self) -> None:
        """Buyers are at the PG while the machine is lost, and come back when another is primary."""
        await self._ready()
        before = self.load.late
        self.load.hold()
        try:
            await asyncio.sleep(WARM_SECONDS)
            await self.machine_lost()
        finally:
            self.load.release()
        late = self.load.late - before
        assert late, "nobody was late"
        self.say(f"{late} buyers came back from the PG after it, all at once")

    async def house_paused(self) -> None:
        """One gateway and one worker stand still over the whole fail-over, and know nothing of it."""
        await self._ready()
        began = time.monotonic()
        seconds = GAP_SECONDS_MAX + LONGER_SECONDS
        sleepers = [self.house.gateways[0], self.house.workers[0]]
        sleeping = [asyncio.create_task(each.pause(seconds)) for each in sleepers]
        try:
            await self.machine_lost()
        finally:
            await asyncio.gather(*sleeping)
        slept = time.monotonic() - began
        self.say(f"one gateway and one worker slept through it for {slept:.0f} s, and went on")

    async def primary_parted(self) -> None:
        """The primary's cable is pulled; it lives, and hears nobody. Naru is on the others' side."""
        primary = await self._ready()
        async with Timeline(self.cluster, primary).watch() as steps:
            began = time.monotonic()
            primary.plug.pull_out()
            gap = await self._back("primary parted from all", primary, began)
            self.say(f"  {await steps.parts(began, began + gap)}")
        self.gaps.append(gap)
        await asyncio.sleep(LONGER_SECONDS)
        primary.plug.put_in()

    async def others_parted(self) -> None:
        """Both standbys are parted from the primary, whom Naru goes on asking; they choose another."""
        primary = await self._ready()
        others = [each for each in self.cluster.machines if each is not primary]

        def part() -> None:
            for each in others:
                each.plug.put_in(OTHER_SWITCH)

        began = await self._stalled(primary, part)
        await asyncio.sleep(SAME_SECONDS)
        parted = time.monotonic()
        await asyncio.sleep(GAP_SECONDS_MAX)
        told = self._count_alone(parted)
        again = time.monotonic()
        for each in others:
            each.plug.put_in()
        after = await self.clerks.after(again, BACK_SECONDS_MAX)
        now = await self.cluster.settled()
        lost = await self.clerks.lost(self.cluster.url)
        self.say(
            f"standbys parted from {primary.name} and Naru: {told} commits acknowledged meanwhile,"
            f" {lost} lost until now; {_seconds(after)} after they met again, under {now.name}"
        )
        self.others.append(self.clerks.silence(began))

    async def naru_parted(self) -> None:
        """Naru's machine hears none of the three for a while; they hear each other."""
        await self._ready()
        began = time.monotonic()
        join_switch(False)
        await asyncio.sleep(SAME_SECONDS)
        parted = time.monotonic()
        await asyncio.sleep(GAP_SECONDS_MAX)
        told = self._count_alone(parted)
        again = time.monotonic()
        join_switch(True)
        after = await self.clerks.after(again, BACK_SECONDS_MAX)
        self.say(
            f"Naru parted from the database: {told} commits acknowledged meanwhile;"
            f" {_seconds(after)} after the cable was back"
        )
        self.others.append(self.clerks.silence(began))

    async def primary_full(self) -> None:
        """The primary's disk is full: its server falls, another takes over; somebody makes room."""
        primary = await self._ready()
        assert primary.disk is not None, "this drill needs small disks"
        async with Timeline(self.cluster, primary).watch() as steps:
            primary.disk.fill(ROOM_MEGABYTES)
            try:
                fell = await self._fall(primary)
                gap = await self._back("disk full", primary, fell)
                self.say(f"  {await steps.parts(fell, fell + gap)}")
                await asyncio.sleep(LONGER_SECONDS)
            finally:
                primary.disk.empty()
        self.others.append(gap)

    async def clocks_apart(self) -> None:
        """One standby's clock is an hour ahead, the other's an hour behind, and both become primary.

        Then the clock of whoever is primary jumps an hour ahead while it works.
        """
        primary = await self._ready()
        others = [each for each in self.cluster.machines if each is not primary]
        for machine, seconds in zip(others, (APART_SECONDS, -APART_SECONDS), strict=True):
            machine.set_clock(seconds)
        await self.machine_lost()
        await self.machine_lost()
        primary = await self._ready()
        began = time.monotonic()
        primary.set_clock(2 * APART_SECONDS)
        await asyncio.sleep(GAP_SECONDS_MAX)
        gap = self.clerks.silence(began)
        self.say(f"{primary.name}'s clock jumped ahead while it was primary: {gap:.1f} s no writes")
        await self.machine_lost()

    async def clock_back(self) -> None:
        """The primary's clock is set an hour back: its Patroni sleeps for so long, until it is restarted."""
        primary = await self._ready()
        began = time.monotonic()
        primary.set_clock(-APART_SECONDS)
        await asyncio.sleep(2 * GAP_SECONDS_MAX)
        stopped = self.clerks.silence(began)
        again = time.monotonic()
        await primary.restart_patroni()
        after = await self.clerks.after(again + SAME_SECONDS, BACK_SECONDS_MAX)
        assert after is not None, "nothing is written although Patroni was restarted"
        self.say(
            f"{primary.name}'s clock set back while it was primary: {stopped:.1f} s of"
            f" {2 * GAP_SECONDS_MAX:.0f} s without writes; {after + SAME_SECONDS:.1f} s after its"
            " Patroni was restarted"
        )
        self.others.append(self.clerks.silence(began))

    async def postgres_killed(self) -> None:
        """The same for PostgreSQL alone, while its Patroni looks on."""
        primary = await self._ready()
        began = await self._stalled(primary, primary.kill_postgres)
        gap = await self._back("postgres killed", primary, began, moves=False)
        self.others.append(gap)

    async def switchover(self) -> None:
        """An operator hands the primary's work over."""
        primary = await self._ready()
        began = time.monotonic()
        await self.cluster.switch_over(primary)
        self.others.append(await self._back("switchover", primary, began))

    async def standbys_gone(self) -> None:
        """Both standbys lost: in strict mode nothing is acknowledged any more.

        Then the primary is lost as well, and the standbys come back without it: whatever was
        acknowledged until then, they must hold.
        """
        primary = await self._ready()
        others = [each for each in self.cluster.machines if each is not primary]
        for each in others:
            each.lose()
        gone, gone_by_clock = time.monotonic(), time.time()
        await asyncio.sleep(STANDBYS_GONE_SECONDS)
        told = {number: at - gone for number, at in self.clerks.acknowledged if at > gone}
        primary.lose()
        began = time.monotonic()
        for each in others:
            each.start()
        after = await self.clerks.after(began, BACK_SECONDS_MAX)
        assert after is not None, "the standbys do not go on alone"
        lost = await self.clerks.lost(self.cluster.url)
        written = await self.clerks.written_after(self.cluster.url, list(told), gone_by_clock)
        self.alone += written
        last = f", the last {max(told.values()):.2f} s after the second was dead" if told else ""
        self.say(
            f"both standbys gone {STANDBYS_GONE_SECONDS:.0f} s: {len(told)} commits acknowledged"
            f" meanwhile, {written} of them written meanwhile{last}; the primary lost, too:"
            f" {lost} lost of all that was acknowledged, writes {after:.1f} s after the standbys"
            " were switched on"
        )
        self.others.append(self.clerks.silence(gone))
        primary.start()

    async def etcd_gone(self) -> None:
        """All of etcd away for a minute; PostgreSQL and Patroni live."""
        primary = await self._ready()
        for each in self.cluster.machines:
            each.lose_etcd()
        gone = time.monotonic()
        await asyncio.sleep(ETCD_GONE_SECONDS)
        told = self.clerks.since(gone)
        began = time.monotonic()
        for each in self.cluster.machines:
            each.start_etcd()
        after = await self.clerks.after(began, BACK_SECONDS_MAX)
        self.say(
            f"etcd gone {ETCD_GONE_SECONDS:.0f} s under {primary.name}: {told} commits acknowledged"
            f" meanwhile; {_seconds(after)} after it came back"
        )

    async def primary_paused(self) -> None:
        """The primary's machine stands still until another is primary, then goes on and knows nothing.

        Somebody holds a line to it, past HAProxy: whatever it acknowledges there must not be lost.
        """
        primary = await self._ready()
        stuck = Clerks(self.cluster.url_of(primary), 1_000_000 * (len(self.lines) + 1))
        await stuck.start()
        await stuck.after(time.monotonic(), BACK_SECONDS_MAX)
        primary.pause()
        began = time.monotonic()
        self.gaps.append(await self._back("primary paused", primary, began))
        resumed = time.monotonic()
        primary.resume()
        await asyncio.sleep(WARM_SECONDS)
        told = stuck.since(resumed)
        await stuck.stop()
        await self.cluster.settled()
        lost = await stuck.lost(self.cluster.url)
        self.say(f"resumed: the old primary acknowledged {told} more by itself; lost {lost}")
        self.clerks.acknowledged[:0] = stuck.acknowledged

    async def _ready(self) -> Machine:
        primary = await self.cluster.settled()
        if await self.clerks.after(time.monotonic(), BACK_SECONDS_MAX) is None:
            raise AssertionError("nothing can be written although the cluster is well")
        await asyncio.sleep(WARM_SECONDS)
        return primary

    async def _fall(self, primary: Machine) -> float:
        """Write until nothing can be written any more; since when."""
        writing = asyncpg.connect(self.cluster.url_of(primary), timeout=10)
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await writing
            for _ in range(ROOM_MEGABYTES):
                await connection.execute(FILL, timeout=10)
        return time.monotonic()

    async def _stalled(self, primary: Machine, blow: Callable[[], None]) -> float:
        """The others' receivers stopped for a moment, then the blow; when it fell."""
        stopped = stall([each for each in self.cluster.machines if each is not primary])
        try:
            await asyncio.sleep(self.stall_seconds)
            began = time.monotonic()
            blow()
        finally:
            go_on(stopped)
        return began

    async def _heard(self, again: float) -> str:
        """How long after the clerks' first commit the whole house acknowledges something, too."""
        told = self.load.book.told
        while time.monotonic() < again + HEARD_SECONDS_MAX:
            if told and told[-1].at > again:
                return f"{min(each.at for each in told if each.at > again) - again:.1f} s later"
            await asyncio.sleep(AGAIN_SECONDS)
        return "not at all"

    def _count_alone(self, since: float) -> int:
        told = self.clerks.since(since)
        self.alone += told
        return told

    async def _back(
        self, what: str, primary: Machine, began: float, *, moves: bool = True
    ) -> float:
        """Wait until writes are acknowledged again: by another machine, when it `moves`.

        The seconds between the last acknowledgement and the first one.
        """
        again = began + SAME_SECONDS
        while moves:
            now = await self.cluster.primary()
            again = time.monotonic()
            if now not in (None, primary):
                break
            assert again < began + BACK_SECONDS_MAX, f"{what}: nobody took over"
            await asyncio.sleep(AGAIN_SECONDS)
        after = await self.clerks.after(again, BACK_SECONDS_MAX)
        now = await self.cluster.primary()
        gap = BACK_SECONDS_MAX if after is None else self.clerks.silence(began)
        self.say(
            f"{what}: {primary.name} -> {now.name if now else 'nobody'}, without writes {gap:.1f} s"
        )
        return gap


def _seconds(after: float | None) -> str:
    return "for ever" if after is None else f"{after:.1f} s"


@dataclass
class Result:
    """What a drill ended with."""

    report: Report
    gaps: list[float]
    others: list[float]
    alone: int
    acknowledged: int
    unknown: int
    lost: int

    def line(self) -> str:
        """One line of numbers."""
        gaps, others = (
            " ".join(f"{gap:.1f}" for gap in each) or "-" for each in (self.gaps, self.others)
        )
        return (
            f"{self.acknowledged} commits acknowledged, {self.lost} of them lost,"
            f" {self.alone} by a machine that was alone,"
            f" {self.unknown} refused or unknown; s without writes, machine lost: {gaps};"
            f" other drills: {others}\n  {self.report.line()}"
        )


async def drill(
    act: Callable[[Drill], Awaitable[None]],
    *,
    synchronous: bool = True,
    rate: float = 3.0,
    seed: int = 1,
    quiet_seconds: float = 420.0,
    keep_logs: bool = False,
    small_disks: bool = False,
    own_clocks: bool = False,
) -> Result:
    """Build everything, `act`, stop the load, wait until all has ended, compare the books."""
    async with _home(keep_logs) as home:
        cluster = Cluster(
            home / "cluster",
            synchronous=synchronous,
            small_disks=small_disks,
            own_clocks=own_clocks,
        )
        load = Crowd(random.Random(seed))
        async with (
            load.receive(),
            open_house(load.origin, home=home, database=Behind(cluster)) as house,
        ):
            await make_table(cluster.url)
            clerks = Clerks(cluster.url)
            stop = asyncio.Event()
            buying = asyncio.create_task(load.run(house.public, house.sandbox_url, rate, stop))
            await clerks.start()
            done = Drill(cluster, house, load, clerks)
            try:
                await act(done)
                await cluster.settled()
                stop.set()
                await buying
            finally:
                load.release()
                buying.cancel()
                await asyncio.gather(buying, return_exceptions=True)
                await clerks.stop()
            lost = await clerks.lost(cluster.url)
            report = Report(seed, kills=len(done.gaps) + len(done.others))
            report = await finish(house, load, report, time.monotonic(), quiet_seconds, hold=True)
            return Result(
                report=report,
                gaps=done.gaps,
                others=done.others,
                alone=done.alone,
                acknowledged=len(clerks.acknowledged),
                unknown=clerks.unknown,
                lost=lost,
            )


@contextlib.asynccontextmanager
async def _home(keep_logs: bool) -> AsyncIterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="naru-failover-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        if keep_logs:
            print(f"  logs: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)

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

from tests.failover.clerk import Clerks, make_table
from tests.failover.cluster import Cluster, Machine, go_on, stall
from tests.killing.house import Database, House, open_house
from tests.killing.load import Load
from tests.killing.storm import Report, finish

STALL_SECONDS = 1.5
BACK_SECONDS_MAX = 120.0
WARM_SECONDS = 4.0
ETCD_GONE_SECONDS = 60.0
STANDBYS_GONE_SECONDS = 15.0
AGAIN_SECONDS = 0.2
# Answers that were on their way when PostgreSQL died still arrive; they are no recovery.
SAME_SECONDS = 1.0


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
    load: Load
    clerks: Clerks
    stall_seconds: float = STALL_SECONDS
    gaps: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Print it now, and keep it."""
        self.lines.append(line)
        print(f"  {line}", flush=True)

    async def machine_lost(self) -> None:
        """Receivers stalled, the primary's machine gone at once; it comes back as a standby."""
        primary = await self._ready()
        others = [each for each in self.cluster.machines if each is not primary]
        stopped = stall(others)
        try:
            await asyncio.sleep(self.stall_seconds)
            began = time.monotonic()
            primary.lose()
        finally:
            go_on(stopped)
        await self._back("machine lost", primary, began)
        primary.start()

    async def postgres_killed(self) -> None:
        """The same for PostgreSQL alone, while its Patroni looks on."""
        primary = await self._ready()
        stopped = stall([each for each in self.cluster.machines if each is not primary])
        try:
            await asyncio.sleep(self.stall_seconds)
            began = time.monotonic()
            primary.kill_postgres()
        finally:
            go_on(stopped)
        await self._back("postgres killed", primary, began, moves=False)

    async def switchover(self) -> None:
        """An operator hands the primary's work over."""
        primary = await self._ready()
        began = time.monotonic()
        await self.cluster.switch_over(primary)
        await self._back("switchover", primary, began)

    async def standbys_gone(self) -> None:
        """Both standbys lost: in strict mode nothing is acknowledged until one is back."""
        primary = await self._ready()
        others = [each for each in self.cluster.machines if each is not primary]
        for each in others:
            each.lose()
        await asyncio.sleep(SAME_SECONDS)
        gone = time.monotonic()
        await asyncio.sleep(STANDBYS_GONE_SECONDS)
        told = self.clerks.since(gone)
        began = time.monotonic()
        for each in others:
            each.start()
        after = await self.clerks.after(began, BACK_SECONDS_MAX)
        self.say(
            f"both standbys gone {STANDBYS_GONE_SECONDS:.0f} s: {told} commits acknowledged meanwhile;"
            f" {_seconds(after)} after they were switched on"
        )

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
        await self._back("primary paused", primary, began)
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

    async def _back(self, what: str, primary: Machine, began: float, *, moves: bool = True) -> None:
        """Wait until writes are acknowledged again: by another machine, when it `moves`."""
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
        self.gaps.append(gap)


def _seconds(after: float | None) -> str:
    return "for ever" if after is None else f"{after:.1f} s"


@dataclass
class Result:
    """What a drill ended with."""

    report: Report
    gaps: list[float]
    acknowledged: int
    unknown: int
    lost: int

    def line(self) -> str:
        """One line of numbers."""
        gaps = " ".join(f"{gap:.1f}" for gap in self.gaps)
        return (
            f"{self.acknowledged} commits acknowledged, {self.lost} of them lost,"
            f" {self.unknown} refused or unknown; s without writes: {gaps}\n  {self.report.line()}"
        )


async def drill(
    act: Callable[[Drill], Awaitable[None]],
    *,
    synchronous: bool = True,
    rate: float = 3.0,
    seed: int = 1,
    quiet_seconds: float = 420.0,
    keep_logs: bool = False,
) -> Result:
    """Build everything, `act`, stop the load, wait until all has ended, compare the books."""
    async with _home(keep_logs) as home:
        cluster = Cluster(home / "cluster", synchronous=synchronous)
        cluster.home.mkdir()
        load = Load(random.Random(seed))
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
                buying.cancel()
                await asyncio.gather(buying, return_exceptions=True)
                await clerks.stop()
            lost = await clerks.lost(cluster.url)
            report = Report(seed, kills=len(done.gaps))
            report = await finish(house, load, report, time.monotonic(), quiet_seconds, hold=True)
            return Result(report, done.gaps, len(clerks.acknowledged), clerks.unknown, lost)


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

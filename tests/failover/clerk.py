"""Clerks who write numbers down through HAProxy, and know which of them were acknowledged, and when.

They write with the house's own store, so that what the store calls committed is what is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import time

import asyncpg

from naru.store import Store, StoreUnavailable

CLERKS = 4
REST_SECONDS = 0.01
AGAIN_SECONDS = 0.05
WRITTEN_AFTER = """
SELECT count(*) FROM failover.notes
 WHERE number = ANY($1::bigint[]) AND pg_xact_commit_timestamp(xmin) > to_timestamp($2)
"""
TABLE = "CREATE SCHEMA failover; CREATE TABLE failover.notes (number bigint PRIMARY KEY)"


class Clerks:
    """`acknowledged` holds each number and when (monotonic) its commit was confirmed."""

    def __init__(self, url: str, first: int = 1) -> None:
        self.acknowledged: list[tuple[int, float]] = []
        self.unknown = 0
        self._url = url
        self._numbers = itertools.count(first)
        self._store: Store | None = None
        self._working: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to write."""
        self._store = await Store.open(self._url, CLERKS)
        self._working = [asyncio.create_task(self._write()) for _ in range(CLERKS)]

    async def stop(self) -> None:
        """Put the pens down."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        if self._store is not None:
            await self._store.close()

    async def after(self, moment: float, seconds: float) -> float | None:
        """Seconds from `moment` to an acknowledgement after it; None when none comes in time."""
        while time.monotonic() < moment + seconds:
            if self.acknowledged and self.acknowledged[-1][1] > moment:
                return min(at for _, at in self.acknowledged if at > moment) - moment
            await asyncio.sleep(AGAIN_SECONDS)
        return None

    def silence(self, moment: float) -> float:
        """The longest time without an acknowledgement since `moment`, in seconds."""
        times = [moment, *sorted(at for _, at in self.acknowledged if at > moment)]
        return max((later - at for at, later in itertools.pairwise(times)), default=0.0)

    def since(self, moment: float) -> int:
        """How many were acknowledged after this moment."""
        return sum(at > moment for _, at in self.acknowledged)

    async def lost(self, url: str) -> int:
        """How many of the numbers acknowledged until now are not to be found at `url`."""
        acknowledged = {number for number, _ in self.acknowledged}
        connection = await asyncpg.connect(url, timeout=10)
        try:
            rows = await connection.fetch("SELECT number FROM failover.notes")
        finally:
            await connection.close()
        return len(acknowledged - {row["number"] for row in rows})

    async def written_after(self, url: str, numbers: list[int], moment: float) -> int:
        """How many of these were committed after a moment (UNIX seconds), by the server's own record."""
        connection = await asyncpg.connect(url, timeout=10)
        try:
            found = await connection.fetchval(WRITTEN_AFTER, numbers, moment)
        finally:
            await connection.close()
        return int(found)

    async def _write(self) -> None:
        assert self._store is not None
        while True:
            number = next(self._numbers)
            try:
                async with self._store.begin() as tx:
                    await tx._connection.execute(f"INSERT INTO failover.notes VALUES ({number})")
                self.acknowledged.append((number, time.monotonic()))
                await asyncio.sleep(REST_SECONDS)
            except StoreUnavailable:
                self.unknown += 1
                await asyncio.sleep(AGAIN_SECONDS)


async def make_table(url: str) -> None:
    """Where the clerks write."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(TABLE)
    finally:
        await connection.close()

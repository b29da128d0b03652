"""What the seconds without writes are made of: each step of a fail-over, and when it came true."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg

from tests.failover.cluster import ETCD_PORT, Cluster, Machine

LOOK_SECONDS = 0.1
ANSWER_SECONDS = 1.0
# We may look a moment later than a clerk.
LATE_SECONDS = 3.0
LOCK = "v2/keys/service/naru/leader"
STANDING = """
SELECT pg_is_in_recovery() AS standby, EXISTS (
    SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync') AS followed
"""
# In the order in which they must come; what comes before its turn took no time of its own.
STEPS = {
    "expired": "until the lock expired",
    "taken": "until it was taken",
    "promoted": "to be promoted",
    "reachable": "behind HAProxy",
    "followed": "until a standby followed",
}


class Timeline:
    """Looks ten times a second at everybody but the machine that was lost.

    `at` holds when (monotonic) each step of STEPS was first seen.
    """

    def __init__(self, cluster: Cluster, lost: Machine) -> None:
        self.at: dict[str, float] = {}
        self.holder: str | None = lost.name
        self._cluster, self._lost = cluster, lost
        self._others = [each for each in cluster.machines if each is not lost]

    @contextlib.asynccontextmanager
    async def watch(self) -> AsyncIterator[Timeline]:
        """Look until the block ends."""
        looking = [
            asyncio.create_task(self._lock()),
            asyncio.create_task(self._balancer()),
            *(asyncio.create_task(self._server(each)) for each in self._others),
        ]
        try:
            yield self
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)

    async def until(self, step: str, seconds: float) -> None:
        """Return when this step was seen. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while step not in self.at:
                await asyncio.sleep(LOOK_SECONDS / 5)

    async def parts(self, began: float, ended: float) -> str:
        """The seconds between these moments, divided among the steps; the rest is the clerks'."""
        told, before = [], began
        for step, words in STEPS.items():
            if step == "followed" and not self._cluster.synchronous:
                continue
            try:
                await self.until(step, LATE_SECONDS)
            except TimeoutError:
                told.append(f"? {words}")
                continue
            at = min(self.at[step], ended)
            told.append(f"{max(0.0, at - before):.1f} {words}")
            before = max(before, at)
        return " + ".join([*told, f"{ended - before:.1f} until a clerk's commit"])

    def _see(self, step: str) -> None:
        self.at.setdefault(step, time.monotonic())

    async def _lock(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while True:
                for machine in self._others:
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                        url = f"http://{machine.address}:{ETCD_PORT}/{LOCK}"
                        async with http.get(url) as answer:
                            told: dict[str, Any] = await answer.json(content_type=None)
                        self.holder = told.get("node", {}).get("value")
                        if self.holder != self._lost.name:
                            self._see("expired")
                        if self.holder not in (None, self._lost.name):
                            self._see("taken")
                        break
                await asyncio.sleep(LOOK_SECONDS)

    async def _server(self, machine: Machine) -> None:
        while True:
            with contextlib.suppress(
                OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError
            ):
                url = self._cluster.url_of(machine, "postgres")
                connection = await asyncpg.connect(url, timeout=ANSWER_SECONDS)
                try:
                    while True:
                        row = await connection.fetchrow(STANDING, timeout=ANSWER_SECONDS)
                        if not row["standby"]:
                            self._see("promoted")
                        if row["followed"]:
                            self._see("followed")
                        await asyncio.sleep(LOOK_SECONDS)
                finally:
                    connection.terminate()
            await asyncio.sleep(LOOK_SECONDS)

    async def _balancer(self) -> None:
        while True:
            with contextlib.suppress(
                OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError
            ):
                connection = await asyncpg.connect(self._cluster.url, timeout=ANSWER_SECONDS)
                try:
                    where = await connection.fetchval(
                        "SELECT host(inet_server_addr())", timeout=ANSWER_SECONDS
                    )
                    if where != self._lost.address:
                        self._see("reachable")
                finally:
                    connection.terminate()
            await asyncio.sleep(LOOK_SECONDS)

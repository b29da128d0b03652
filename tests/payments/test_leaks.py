"""After a storm of faults nothing stays behind: lines, tasks, files, sessions, memory (P25)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from urllib.parse import urlencode, urlsplit

import asyncpg
import pytest
from aiohttp import web
from starlette.applications import Starlette

from naru import checkout
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import NaruError
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from tests.payments.test_approve import back
from tests.payments.test_recovery import let_time_pass
from tests.rest.conftest import serving
from tests.support.gateway import House
from tests.support.scale import often
from tests.support.stand_in_pg import StandInPg

PAYMENTS = often(24, 700)
ROUNDS = 3
AT_ONCE = 16
LOT = 60
SHARE_MAX = 0.05
# What a line to the database or a cache holds comes and goes by some hundred objects; a payment that
# is kept is dozens, and so is a task.
OBJECTS_OF_CHANCE = 1000
OBJECTS_A_PAYMENT_MAX = 1.0


@dataclass(frozen=True)
class Gauges:
    """What this process and the server hold. `objects` are all that the garbage collector knows."""

    tasks: int
    handles: int
    sessions: int
    in_transaction: int
    objects: int

    def __str__(self) -> str:
        return ", ".join(f"{each.name} {getattr(self, each.name)}" for each in fields(self))


async def measure(house: House, settled: Gauges | None = None) -> Gauges:
    """The gauges, once what is ending has ended: at the latest after some seconds."""
    admin = await asyncpg.connect(house.dsn)
    loop = asyncio.get_running_loop()
    try:
        until = loop.time() + 12
        while True:
            await asyncio.sleep(0.2)
            gc.collect()
            row = await admin.fetchrow(
                "SELECT count(*) AS sessions,"
                " count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS inside"
                " FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            found = Gauges(
                tasks=len(asyncio.all_tasks()),
                handles=len(os.listdir("/proc/self/fd")),
                sessions=row["sessions"],
                in_transaction=row["inside"],
                objects=len(gc.get_objects()),
            )
            if settled is None or not leaks(settled, found, 1) - {"objects"} or loop.time() > until:
                return found
    finally:
        await admin.close()


def leaks(before: Gauges, after: Gauges, payments: int) -> set[str]:
    """The gauges that did not come back."""
    grown = {
        name
        for name in ("tasks", "handles", "sessions", "in_transaction")
        if getattr(after, name) > getattr(before, name) * (1 + SHARE_MAX)
    }
    if after.objects - before.objects > OBJECTS_OF_CHANCE + payments * OBJECTS_A_PAYMENT_MAX:
        grown.add("objects")
    return grown


@dataclass
class Storm:
    """Payments, and what happens to them."""

    house: House
    pg: StandInPg
    url: str
    chance: random.Random

    async def rage(self, payments: int) -> None:
        """So many payments, some at once, each with a fault of its own; then the worker's rounds."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            # Whoever is at work when a session is thrown out may be told so, whatever it was.
            async with free:
                with contextlib.suppress(NaruError):
                    await self.chance.choice(self.deeds)()

        # Never so many doubts at once that new windows are refused.
        for first in range(0, payments, LOT):
            await asyncio.gather(*(one() for _ in range(min(LOT, payments - first))))
            await let_time_pass(self.house, minutes=20, step=300)
        # What the PG and the test know of it is not the gateway's memory.
        for kept in (self.pg.orders, self.pg.asked, self.pg.next):
            kept.clear()

    @property
    def deeds(self) -> list[Callable[[], Awaitable[None]]]:
        return [self.heard, self.given_back, self.given_up, self.hung_up, self.thrown_out]

    async def pay(self) -> str:
        """An approval at a PG of some mood; the imp_uid, however it ended."""
        payment = await self.house.open()
        self.mood("approvals")
        await approve(self.house.gateway, payment.imp_uid, back(self.pg, payment))
        return payment.imp_uid

    def mood(self, operation: str) -> None:
        """How the PG will take it: as it should, silent, broken, or talking nonsense."""
        match self.chance.randrange(6):
            case 0:
                self.pg.hang_up(operation, done=False)
            case 1:
                self.pg.hang_up(operation, done=True)
            case 2:
                self.pg.answer(operation, b"no JSON", self.chance.choice([200, 500, 503]))
            case 3:
                self.pg.next[operation].append(self.slow)

    async def slow(self, asked: object, _: object) -> web.StreamResponse:
        await asyncio.sleep(self.chance.uniform(0, 0.05))
        return self.pg.say(b"late and empty", 502)

    async def heard(self) -> None:
        await self.pay()

    async def given_back(self) -> None:
        imp_uid = await self.pay()
        self.mood("cancels")
        with contextlib.suppress(NaruError):
            await cancel(self.house.gateway, self.house.merchant.id, imp_uid, CancelRequest())

    async def given_up(self) -> None:
        """The task is cancelled at any moment."""
        task = asyncio.create_task(self.given_back())
        await asyncio.wait((task,), timeout=self.chance.uniform(0, 0.05))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def hung_up(self) -> None:
        """The browser closes its line at any moment of its return."""
        payment = await self.house.open()
        self.mood("approvals")
        body = urlencode(back(self.pg, payment)).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(self.url).port)
        writer.write(
            f"POST /checkout/return/{payment.imp_uid} HTTP/1.1\r\nHost: gateway\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body[: self.chance.choice([len(body), len(body), 10])]
        )
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            await asyncio.sleep(self.chance.uniform(0, 0.05))
        writer.transport.abort()

    async def thrown_out(self) -> None:
        """One of our sessions is ended at the database, at any moment."""
        admin = await asyncpg.connect(self.house.dsn)
        task = asyncio.create_task(self.given_back())
        await asyncio.sleep(self.chance.uniform(0, 0.03))
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'naru'"
            " ORDER BY random() LIMIT 1) one"
        )
        await asyncio.gather(task, return_exceptions=True)
        await admin.close()


@pytest.mark.promise("P25")
async def test_nothing_stays_behind_after_three_storms_and_a_planted_leak_is_seen(
    house: House, pg: StandInPg
) -> None:
    application = Starlette(routes=checkout.routes(house.gateway))
    async with serving(lambda _: application) as url:
        storm = Storm(house, pg, url, random.Random(25))
        await storm.rage(PAYMENTS)  # every cache is full, every line open that will be
        calm = [await measure(house)]
        for _ in range(ROUNDS):
            await storm.rage(PAYMENTS)
            calm.append(await measure(house, calm[0]))
        for each in calm:
            print(each)
        grown = [leaks(calm[0], each, PAYMENTS * (n + 1)) for n, each in enumerate(calm[1:])]
        a_payment = (calm[-1].objects - calm[0].objects) / (ROUNDS * PAYMENTS)
        print(
            f"{ROUNDS} x {PAYMENTS} payments: grown {grown[-1] or 'nothing'}; objects a payment {a_payment:.2f}"
        )
        assert grown[-1] == set()

        # The control: what a forgotten `finally` would leave of some payments.
        never = asyncio.Event()
        kept: list[object] = []
        lines: list[asyncpg.Connection[asyncpg.Record]] = []
        for _ in range(max(10, PAYMENTS // 10)):
            kept.append(asyncio.create_task(never.wait()))
            kept.append(os.pipe())
            kept.extend([n] for n in range(1000))
            if len(lines) < 10:
                lines.append(await asyncpg.connect(house.dsn))
                await lines[-1].execute("BEGIN")
        try:
            assert leaks(calm[0], await measure(house), PAYMENTS) == {
                "tasks", "handles", "sessions", "in_transaction", "objects"
            }  # fmt: skip
        finally:
            never.set()
            for line in lines:
                line.terminate()
            for each in kept:
                if isinstance(each, tuple):
                    os.close(each[0])
                    os.close(each[1])

"""Complete payments and cancels that never stop, and who waited for a lock meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg

from tests.killing.audit import waiting_notices
from tests.killing.load import PAID, GaveUp, Json, Load
from tests.migrations.release import House

LOOK_SECONDS = 0.02
TELL_SECONDS = 60.0
# Who waits for whom is no matter of the migration itself: what counts is whom it makes wait.
WAITING = """
SELECT max(extract(epoch FROM clock_timestamp() - l.waitstart))::float8
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE NOT l.granted AND a.application_name IN ('naru', 'naru worker')
"""


class Traffic(Load):
    """The load of the storms without its planned doubts. Every request that fails is written down."""

    def __init__(self, seed: int) -> None:
        super().__init__(random.Random(seed))
        self.failed: list[str] = []
        self.asked = 0

    def _journeys(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        return [
            (self.pay, 4),
            (self.pay_and_cancel, 3),
            (self.pay_and_cancel_in_parts, 3),
            (self.pay_prepared_and_confirmed, 2),
            (self.be_refused, 1),
            (self.give_up, 1),
            (self.order_account, 2),
        ]

    async def _ask(self, method: str, url: str, *, tries: int = 3, **more: Any) -> Json:
        """A request that is not answered, or with 5xx, has failed, whatever the next one brings."""
        for attempt in range(min(tries, 3)):
            self.asked += 1
            try:
                return await super()._ask(method, url, tries=1, **more)
            except GaveUp as error:
                self.failed.append(str(error))
                if attempt + 1 < min(tries, 3):
                    await asyncio.sleep(0.2)
        raise GaveUp(f"{method} {url}")

    @contextlib.asynccontextmanager
    async def flowing(self, house: House, rate: float) -> AsyncIterator[Traffic]:
        """So many journeys a second for as long as the block; those under way end, and are told of."""
        stop = asyncio.Event()
        buying = asyncio.create_task(self.run(house.public, house.sandbox_url, rate, stop))
        try:
            yield self
        finally:
            stop.set()
            await buying
            await self._hear_of_deposits(house)

    async def _hear_of_deposits(self, house: House) -> None:
        """What the PG could not tell a gateway that was stopped it would tell again after minutes."""
        async with asyncio.timeout(TELL_SECONDS):
            while waiting := waiting_notices(house.ledger):
                for notice_id in waiting:
                    await self.resend(house.sandbox_url, notice_id)
                await asyncio.sleep(LOOK_SECONDS)


class Locks:
    """The longest wait of a statement of the house, in seconds, and waits of over a second."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.longest = 0.0

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[Locks]:
        """Look all the time; the server itself writes down what lasts a second."""
        looking = asyncio.create_task(self._look())
        try:
            yield self
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    @property
    def over_a_second(self) -> list[str]:
        """The server's own lines about statements of the house."""
        lines = self._house.database.server.log.read_text("utf-8", "replace").splitlines()
        return [
            line
            for line in lines
            if line.startswith(("naru|", "naru worker|")) and "still waiting for" in line
        ]

    async def _look(self) -> None:
        connection = await asyncpg.connect(self._house.database.url)
        try:
            while True:
                self.longest = max(self.longest, await connection.fetchval(WAITING) or 0.0)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            connection.terminate()


async def wrong_in_the_books(house: House, traffic: Traffic) -> list[str]:
    """Our book and the PG's, order by order, and whatever somebody was told."""
    file = sqlite3.connect(f"file:{house.ledger}?mode=ro", uri=True, timeout=20)
    theirs: dict[str, int] = defaultdict(int)
    for order_no, kind, amount in file.execute("SELECT order_no, kind, amount FROM book"):
        theirs[order_no] += amount if kind in ("charge", "deposit") else -amount
    file.close()
    connection = await asyncpg.connect(house.database.url)
    try:
        rows = await connection.fetch(
            "SELECT imp_uid, pg_order_no, step, amount, cancelled FROM payments WHERE merchant_id <> $1",
            house.old_merchant,
        )
    finally:
        await connection.close()
    ours = {r["pg_order_no"]: r["amount"] - r["cancelled"] for r in rows if r["step"] in PAID}
    steps = {row["pg_order_no"]: row["step"] for row in rows}
    found = [
        f"{number} ({steps.get(number)}): {ours.get(number, 0)} here, {theirs.get(number, 0)} there"
        for number in ours.keys() | theirs.keys()
        if ours.get(number, 0) != theirs.get(number, 0)
    ]
    by_uid = {row["imp_uid"]: row for row in rows}
    for told in traffic.book.told:
        row = by_uid.get(told.imp_uid)
        if row is None or row["cancelled"] < told.cancelled:
            found.append(f"{told}: it is {row}")
        elif told.said in PAID and row["step"] not in PAID:
            found.append(f"{told}: it is {row['step']}")
    return found + traffic.book.wrong

"""What we know of the movements in a PG's book, and the differences that were found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from naru.domain.book import Difference, DifferenceKind, Ending
from naru.domain.money import Money
from naru.store.named import Query, load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("pg_books")

ROWS_AT_ONCE = 1000


class PgBooks:
    """Our side of a comparison with a PG's book. `channels` are ids of one contract."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def payments(
        self, channels: Sequence[int], order_nos: Sequence[str]
    ) -> dict[str, asyncpg.Record]:
        """PG order number -> imp_uid, pg_tid, amount, currency, paid_at."""
        rows = await self._connection.fetch(Q["payments"], list(channels), list(order_nos))
        return {row["pg_order_no"]: row for row in rows}

    async def cancellations(self, imp_uids: Sequence[str]) -> dict[tuple[str, str], int]:
        """(imp_uid, cancellation id) -> minor units."""
        rows = await self._connection.fetch(Q["cancellations"], list(imp_uids))
        return {(row["imp_uid"], row["cancellation_id"]): row["amount"] for row in rows}

    async def deposits(
        self, channels: Sequence[int], notice_keys: Sequence[str]
    ) -> dict[str, asyncpg.Record]:
        """Notice key -> order_no, amount, currency."""
        rows = await self._connection.fetch(Q["deposits"], list(channels), list(notice_keys))
        return {row["notice_key"]: row for row in rows}

    async def cancel_asked(self, number: str) -> asyncpg.Record | None:
        """imp_uid, state and request of the cancel that we asked for under this number."""
        return await self._connection.fetchrow(Q["cancel_asked"], number)

    def taken(
        self, channels: Sequence[int], since: datetime, until: datetime
    ) -> AsyncIterator[asyncpg.Record]:
        """Payments without an account that were paid in this time: subject, order_no, imp_uid, amount, currency, at."""
        return self._pages(Q["taken"], channels, since, until)

    def given_back(
        self, channels: Sequence[int], since: datetime, until: datetime
    ) -> AsyncIterator[asyncpg.Record]:
        """Cancellations of this time, as `taken`."""
        return self._pages(Q["given_back"], channels, since, until)

    def deposited(
        self, channels: Sequence[int], since: datetime, until: datetime
    ) -> AsyncIterator[asyncpg.Record]:
        """Deposits that were booked in this time, as `taken`."""
        return self._pages(Q["deposited"], channels, since, until)

    async def _pages(
        self, query: Query, channels: Sequence[int], since: datetime, until: datetime
    ) -> AsyncIterator[asyncpg.Record]:
        after = ""
        while True:
            rows = await self._connection.fetch(
                query, list(channels), since, until, after, ROWS_AT_ONCE
            )
            for row in rows:
                yield row
            if len(rows) < ROWS_AT_ONCE:
                return
            after = rows[-1]["place"]

    async def add_difference(self, channel_id: int, found: Difference, now: datetime) -> bool:
        """Write it down. False: it is known already."""
        money = found.theirs or found.ours
        assert money is not None, "one of the two books has something"
        new = await self._connection.fetchval(
            Q["add_difference"],
            channel_id,
            found.kind,
            found.subject,
            found.order_no,
            found.imp_uid,
            None if found.ours is None else found.ours.minor,
            None if found.theirs is None else found.theirs.minor,
            money.currency,
            found.at,
            found.ending,
            now,
        )
        return new is not None

    async def differences(self, most: int) -> list[tuple[datetime, Difference]]:
        """What was found last, each with when, newest first."""
        rows = await self._connection.fetch(Q["differences"], most)
        return [(row["found_at"], _read(row)) for row in rows]

    async def differences_of(self, imp_uid: str) -> list[tuple[datetime, Difference]]:
        """What was found about one payment, each with when, oldest first."""
        rows = await self._connection.fetch(Q["differences_of"], imp_uid)
        return [(row["found_at"], _read(row)) for row in rows]

    async def known(self, channel_id: int, kind: DifferenceKind, subject: str) -> bool:
        """Is this difference written down?"""
        return await self._connection.fetchval(Q["known"], channel_id, kind, subject) is not None

    async def add_comparison(
        self,
        channel_id: int,
        began_at: datetime,
        ended_at: datetime,
        span: tuple[datetime, datetime],
        movements: int,
        differences: int,
    ) -> None:
        """A comparison went through to the end."""
        await self._connection.fetchval(
            Q["add_comparison"], channel_id, began_at, ended_at, *span, movements, differences
        )

    async def compared_at(self, channel_id: int) -> datetime:
        """Since when this channel waits for a comparison: the last one's beginning, or its own."""
        waiting: datetime = await self._connection.fetchval(Q["compared"], channel_id)
        return waiting


def _read(row: asyncpg.Record) -> Difference:
    def money(side: Any) -> Money | None:
        return None if side is None else Money(side, row["currency"])

    return Difference(
        kind=DifferenceKind(row["kind"]),
        subject=row["subject"],
        order_no=row["order_no"],
        imp_uid=row["imp_uid"],
        ours=money(row["ours"]),
        theirs=money(row["theirs"]),
        at=row["at"],
        ending=Ending(row["ending"]),
    )

"""Payments a page at a time, for the merchant's lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from naru.domain.payment import Payment, Status
from naru.store.named import load
from naru.store.payments import Payments

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("pages")

SORTINGS = frozenset(["-started", "started", "-paid", "paid", "-updated", "updated"])


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a list is wanted. `sorting` is one of SORTINGS, minus means newest first."""

    page: int
    limit: int
    sorting: str = "-started"

    @property
    def offset(self) -> int:
        """Rows before this page."""
        return (self.page - 1) * self.limit


@dataclass(frozen=True, slots=True)
class Page:
    """Some payments of a list of `total`. A page past the end has neither payments nor a total."""

    payments: Sequence[Payment]
    total: int


class Pages:
    """Payments a page at a time. `status` None means every status."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def of_order(
        self,
        merchant_id: int,
        merchant_uid: str,
        status: Status | None,
        partial_cancel: Status,
        cut: Cut,
    ) -> Page:
        """The tries at paying one order."""
        rows = await self._connection.fetch(
            Q["of_order"],
            merchant_id,
            merchant_uid,
            status or "all",
            partial_cancel,
            cut.sorting,
            cut.limit,
            cut.offset,
        )
        return await self._page(rows)

    async def of_status(
        self,
        merchant_id: int,
        status: Status | None,
        since: datetime,
        until: datetime,
        partial_cancel: Status,
        cut: Cut,
    ) -> Page:
        """Payments that reached their status between two moments, both included."""
        rows = await self._connection.fetch(
            Q["of_status"],
            merchant_id,
            status or "all",
            since,
            until,
            partial_cancel,
            cut.sorting,
            cut.limit,
            cut.offset,
        )
        return await self._page(rows)

    async def _page(self, rows: Sequence[asyncpg.Record]) -> Page:
        payments = await Payments(self._connection).with_cancellations(rows)
        return Page(payments, rows[0]["total"] if rows else 0)

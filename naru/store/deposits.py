"""Deposits: facts from PGs. Booked once by the PG's own key, whatever they mean to us."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from naru.domain.outcome import Deposited
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("deposits")


class Deposits:
    """What arrived in virtual accounts."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def book(
        self,
        channel_id: int,
        deposited: Deposited,
        imp_uid: str | None,
        meaning: str,
        now: datetime,
    ) -> bool:
        """Write it down. False: this notice is booked already."""
        row = await self._connection.fetchrow(
            Q["book"],
            channel_id,
            deposited.notice_key,
            deposited.order_no,
            imp_uid,
            deposited.pg_tid,
            deposited.amount.minor,
            deposited.amount.currency,
            deposited.depositor,
            deposited.deposited_at,
            now,
            meaning,
        )
        return row is not None

    async def booked(self, channel_id: int, notice_key: str) -> bool:
        """Is this notice booked?"""
        found = await self._connection.fetchval(Q["booked"], channel_id, notice_key)
        return found is not None

    async def total(self, imp_uid: str) -> int:
        """All deposits of one payment together, in minor units."""
        return int(await self._connection.fetchval(Q["total"], imp_uid))

    async def of_payment(self, imp_uid: str) -> list[dict[str, Any]]:
        """The deposits of one payment, oldest first."""
        return [dict(row) for row in await self._connection.fetch(Q["of_payment"], imp_uid)]

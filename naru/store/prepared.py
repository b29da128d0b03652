"""Amounts announced beforehand (사전등록)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.prepared import Prepared
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("prepared")


class PreparedAmounts:
    """Amounts announced beforehand."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, merchant_id: int, prepared: Prepared, now: datetime) -> bool:
        """Announce an amount. False: announced already, nothing changed."""
        row = await self._connection.fetchrow(Q["add"], *_values(merchant_id, prepared), now)
        return row is not None

    async def hold_to_change(self, merchant_id: int, merchant_uid: str) -> Prepared | None:
        """What was announced; nobody else reads or changes it until this transaction ends."""
        return _read(
            await self._connection.fetchrow(Q["hold_to_change"], merchant_id, merchant_uid)
        )

    async def change(self, merchant_id: int, prepared: Prepared, now: datetime) -> bool:
        """Announce another amount, held before, so that no claim slips in between.

        False: never announced, or the order is being paid.
        """
        row = await self._connection.fetchrow(Q["change"], *_values(merchant_id, prepared), now)
        return row is not None

    async def get(self, merchant_id: int, merchant_uid: str) -> Prepared | None:
        """What was announced for this order."""
        return _read(await self._connection.fetchrow(Q["get"], merchant_id, merchant_uid))

    async def hold(self, merchant_id: int, merchant_uid: str) -> Prepared | None:
        """What was announced for this order; it cannot change until this transaction ends."""
        return _read(await self._connection.fetchrow(Q["hold"], merchant_id, merchant_uid))


def _read(row: asyncpg.Record | None) -> Prepared | None:
    if row is None:
        return None
    return Prepared(
        merchant_uid=MerchantUid(row["merchant_uid"]),
        amount=Money(row["amount"], row["currency"]),
        currency_fixed=row["currency_fixed"],
    )


def _values(merchant_id: int, prepared: Prepared) -> tuple[int, str, int, str, bool]:
    return (
        merchant_id,
        prepared.merchant_uid,
        prepared.amount.minor,
        prepared.amount.currency,
        prepared.currency_fixed,
    )

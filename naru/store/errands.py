"""Errands in the database: what PGs are told without moving money. What was said is sealed until it was heard."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from naru.domain.outcome import Declined
from naru.domain.shipping import AlreadyShipped, Errand, ErrandDone, ErrandInProgress
from naru.store.named import load
from naru.store.seal import ERRANDS, Keyring

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("errands")


class Errands:
    """What PGs are told of payments."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(
        self,
        merchant_id: int,
        imp_uid: str,
        kind: str,
        number: str,
        said: dict[str, Any],
        now: datetime,
        next_try_at: datetime,
    ) -> Errand:
        """A PG is about to be told. Raises ErrandInProgress, AlreadyShipped, which end the transaction."""
        blob = self._connection.keyring.seal(msgspec.json.encode(said), ERRANDS, number)
        try:
            errand = await self._one(
                Q["ask"], merchant_id, imp_uid, kind, number, now, next_try_at, blob
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "one_open_errand":
                raise ErrandInProgress from None
            if error.constraint_name == "one_shipment":
                raise AlreadyShipped from None
            raise
        assert errand is not None
        return errand

    async def of_number(self, number: str) -> Errand | None:
        """The errand of this number."""
        return await self._one(Q["of_number"], number)

    async def shipment(self, merchant_id: int, imp_uid: str) -> Errand | None:
        """What the PG was told last of this payment's shipment, and heard."""
        return await self._one(Q["shipment"], merchant_id, imp_uid)

    async def open_of(self, merchant_id: int, imp_uid: str) -> Errand | None:
        """What it was told and has not answered."""
        return await self._one(Q["open"], merchant_id, imp_uid)

    async def done(self, number: str, done: ErrandDone, now: datetime) -> Errand | None:
        """asking -> done. None: it had ended before."""
        return await self._one(Q["done"], number, done.became, now)

    async def refuse(self, errand: Errand, declined: Declined, now: datetime) -> Errand | None:
        """asking -> refused. None when somebody else asks by now: theirs is the truth."""
        return await self._one(
            Q["refuse"], errand.number, declined.code, declined.message, errand.fence, now
        )

    async def due(self, now: datetime, most: int) -> list[str]:
        """Numbers of errands whose answer is missing and should be looked for now, oldest first."""
        return [row["number"] for row in await self._connection.fetch(Q["due"], now, most)]

    async def lease(self, number: str, until: datetime, now: datetime) -> Errand | None:
        """Take a due errand for one try; None when it is not due."""
        return await self._one(Q["lease"], number, until, now)

    async def later(self, errand: Errand, at: datetime) -> None:
        """Look again then, unless another one holds the lease by now."""
        await self._connection.fetchval(Q["later"], errand.number, errand.fence, at)

    async def _one(self, query: Any, *values: Any) -> Errand | None:
        row = await self._connection.fetchrow(query, *values)
        if row is None:
            return None
        return await self._connection.opened(lambda: read_errand(row, self._connection.keyring))


def read_errand(row: asyncpg.Record, keyring: Keyring) -> Errand:
    """An errand from its row. Raises BrokenSeal, UnknownDataKey."""
    said: dict[str, Any] = {}
    if row["sealed"] is not None:
        said = msgspec.json.decode(keyring.open(row["sealed"], ERRANDS, row["number"]))
    return Errand(
        id=row["id"],
        merchant_id=row["merchant_id"],
        imp_uid=row["imp_uid"],
        kind=row["kind"],
        number=row["number"],
        state=row["state"],
        asked_at=row["asked_at"],
        said=said,
        became=row["became"] or {},
        ended_at=row["ended_at"],
        fail_code=row["fail_code"],
        fail_reason=row["fail_reason"],
        tries=row["tries"],
        fence=row["fence"],
    )

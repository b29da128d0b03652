"""The journal: what PGs were asked, committed before they were asked (RELIABILITY 6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from naru.domain.errors import CancelInProgress
from naru.domain.outcome import CancelOrder
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("intents")


@dataclass(frozen=True, slots=True)
class Intent:
    """One question to a PG. `number` is the order or cancel number that the PG knows."""

    id: int
    imp_uid: str
    kind: str
    number: str
    amount: int
    balance_before: int
    request: dict[str, Any]
    state: str
    tries: int
    opened_at: datetime
    next_try_at: datetime | None


class Intents:
    """The journal of what PGs were asked."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open_cancel(
        self,
        imp_uid: str,
        order: CancelOrder,
        request: dict[str, Any],
        now: datetime,
        next_try_at: datetime,
    ) -> int:
        """We are about to cancel. Raises CancelInProgress while another question is open."""
        try:
            return int(
                await self._connection.fetchval(
                    Q["open_cancel"],
                    imp_uid,
                    order.cancel_no,
                    order.amount.minor,
                    order.balance_before.minor,
                    request,
                    now,
                    next_try_at,
                )
            )
        except asyncpg.UniqueViolationError:
            raise CancelInProgress from None

    async def open_close_account(
        self, imp_uid: str, number: str, amount: int, now: datetime, next_try_at: datetime
    ) -> int:
        """We are about to close a virtual account. Raises CancelInProgress while another question is open."""
        try:
            return int(
                await self._connection.fetchval(
                    Q["open_close_account"], imp_uid, number, amount, now, next_try_at
                )
            )
        except asyncpg.UniqueViolationError:
            raise CancelInProgress from None

    async def end(self, intent_id: int, state: str, now: datetime, outcome: str | None) -> bool:
        """The question is answered (`done`, `refused`, `undone`). False: somebody else ended it."""
        return (
            await self._connection.fetchval(Q["end"], intent_id, state, now, outcome)
        ) is not None

    async def doubt(self, intent_id: int, state: str, next_try_at: datetime, why: str) -> bool:
        """The answer is not known (`unknown`), or will be undone (`undoing`)."""
        return (
            await self._connection.fetchval(Q["doubt"], intent_id, state, next_try_at, why)
        ) is not None

    async def of_payment(self, imp_uid: str) -> Intent | None:
        """The one open question about this payment."""
        return _read(await self._connection.fetchrow(Q["of_payment"], imp_uid))

    async def due(self, now: datetime, most: int) -> list[str]:
        """imp_uids whose open question should be tried again, oldest first."""
        return [row["imp_uid"] for row in await self._connection.fetch(Q["due"], now, most)]

    async def lease(self, imp_uid: str, until: datetime, now: datetime) -> Intent | None:
        """Take a due question for one try; None when nothing is due."""
        return _read(await self._connection.fetchrow(Q["lease"], imp_uid, until, now))


def _read(row: asyncpg.Record | None) -> Intent | None:
    if row is None:
        return None
    return Intent(
        id=row["id"],
        imp_uid=row["imp_uid"],
        kind=row["kind"],
        number=row["number"],
        amount=row["amount"],
        balance_before=row["balance_before"],
        request=row["request"],
        state=row["state"],
        tries=row["tries"],
        opened_at=row["opened_at"],
        next_try_at=row["next_try_at"],
    )

"""Watches: approvals that were undone or never found, looked at again for two days (RELIABILITY 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("watches")


@dataclass(frozen=True, slots=True)
class Watch:
    """One payment that is looked at again. `looks` counts the looks; the late approval, if one was told."""

    imp_uid: str
    looks: int
    late_pg_tid: str | None
    late_approved_at: datetime | None


class Watches:
    """Undone approvals that may yet turn up."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open(
        self,
        imp_uid: str,
        look_at: datetime,
        now: datetime,
        *,
        late_pg_tid: str | None = None,
        late_approved_at: datetime | None = None,
    ) -> None:
        """Look from `look_at` on, sooner if it was to be later."""
        await self._connection.fetchval(
            Q["open"], imp_uid, look_at, late_pg_tid, late_approved_at, now
        )

    async def due(self, now: datetime, most: int) -> list[str]:
        """imp_uids to look at now, oldest first."""
        return [row["imp_uid"] for row in await self._connection.fetch(Q["due"], now, most)]

    async def lease(self, imp_uid: str, until: datetime, now: datetime) -> Watch | None:
        """Take a due look; None when nothing is due."""
        row = await self._connection.fetchrow(Q["lease"], imp_uid, until, now)
        if row is None:
            return None
        return Watch(row["imp_uid"], row["looks"], row["late_pg_tid"], row["late_approved_at"])

    async def looked(self, watch: Watch, next_look_at: datetime | None, now: datetime) -> None:
        """Nothing was there, or is there any more. None: that was the last look."""
        await self._connection.fetchval(Q["looked"], watch.imp_uid, watch.looks, next_look_at, now)

    async def postpone(self, watch: Watch, next_look_at: datetime, now: datetime) -> None:
        """The PG did not answer: this look is still to be done."""
        await self._connection.fetchval(
            Q["postpone"], watch.imp_uid, watch.looks, next_look_at, now
        )

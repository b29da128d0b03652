"""Tasks for people: what the house cannot end by itself. Opened in the transaction of the fact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from naru.domain.task import Task, TaskKind
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("tasks")


class Tasks:
    """What waits for a person, and what became of it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open(
        self,
        kind: TaskKind,
        subject: str,
        sentence: str,
        now: datetime,
        *,
        imp_uid: str | None = None,
    ) -> bool:
        """Lay it before a person. False: the same kind about the same subject is open already."""
        made = await self._connection.fetchval(Q["open"], kind, subject, sentence, now, imp_uid)
        return made is not None

    async def list_open(self, most: int = 1000) -> list[Task]:
        """What waits for a person, oldest first."""
        return [_read(row) for row in await self._connection.fetch(Q["list_open"], most)]

    async def list_all(self, most: int = 100) -> list[Task]:
        """The newest tasks, closed ones too."""
        return [_read(row) for row in await self._connection.fetch(Q["list_all"], most)]

    async def of_payment(self, imp_uid: str) -> list[Task]:
        """Every task about one payment, oldest first."""
        return [_read(row) for row in await self._connection.fetch(Q["of_payment"], imp_uid)]

    async def get(self, task_id: int) -> Task | None:
        """One task."""
        row = await self._connection.fetchrow(Q["get"], task_id)
        return None if row is None else _read(row)

    async def count_open(self) -> int:
        """How many wait for a person."""
        return int(await self._connection.fetchval(Q["count_open"]))

    async def close(self, task_id: int, who: str, note: str, now: datetime) -> bool:
        """Somebody looked at it. False: there is no such open task.

        Raises ValueError without a name or without a note.
        """
        if not who.strip() or not note.strip():
            raise ValueError("a task is closed with a name and a note")
        return await self._connection.fetchval(Q["close"], task_id, who, note, now) is not None

    async def end_by_itself(
        self, kinds: Sequence[TaskKind], subject: str, note: str, now: datetime
    ) -> None:
        """The doubt that people were asked about ended without them: close it in the house's name."""
        await self._connection.fetch(Q["end_by_itself"], list(kinds), subject, now, note)

    async def take_to_tell(
        self, now: datetime, again_at: datetime, most: int
    ) -> list[tuple[Task, int]]:
        """Tasks that nobody was told of, with the number of this try; nobody else has them until `again_at`."""
        rows = await self._connection.fetch(Q["take_to_tell"], now, again_at, most)
        return [(_read(row), row["alert_tries"]) for row in rows]

    async def tell_again(self, task_id: int, at: datetime) -> None:
        """Telling failed; once more at this time."""
        await self._connection.fetchval(Q["tell_again"], task_id, at)

    async def told(self, task_id: int, now: datetime) -> None:
        """Somebody was told."""
        await self._connection.fetchval(Q["told"], task_id, now)


def _read(row: asyncpg.Record) -> Task:
    return Task(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        imp_uid=row["imp_uid"],
        sentence=row["sentence"],
        opened_at=row["opened_at"],
        alerted_at=row["alerted_at"],
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
        note=row["note"],
    )

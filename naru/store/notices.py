"""Notices that could not be read or booked, sealed as they arrived."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from naru.domain.task import TaskKind
from naru.store.named import load
from naru.store.seal import NOTICES

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("notices")


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice as it arrived. `tries` counts those that were made since."""

    channel_id: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime
    tries: int = 0

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body."""
        return hashlib.sha256(self.body).digest()

    @property
    def subject(self) -> str:
        """What the task about it is called: one for all that its channel's PG sends."""
        return str(self.channel_id)


class Notices:
    """What waits to be understood."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def known(self, notice: Notice) -> bool:
        """Is it kept already?"""
        row = await self._connection.fetchrow(Q["known"], notice.channel_id, notice.digest)
        return row is not None

    async def task(self, notice: Notice) -> int | None:
        """The open task about this channel's notices, held open by this transaction; None: there is none."""
        found: int | None = await self._connection.fetchval(
            Q["task"], TaskKind.NOTICE_UNREADABLE, notice.subject
        )
        return found

    async def keep(self, notice: Notice, task_id: int, next_try_at: datetime) -> None:
        """Keep it under this task; nothing more when it is kept already."""
        plain = {
            "headers": dict(notice.headers),
            "body": base64.b64encode(notice.body).decode(),
        }
        sealed = self._connection.keyring.seal(
            json.dumps(plain).encode(), NOTICES, _row(notice.channel_id, notice.digest)
        )
        await self._connection.fetchval(
            Q["keep"],
            notice.channel_id,
            notice.digest,
            sealed,
            notice.received_at,
            next_try_at,
            task_id,
        )

    async def take(self, now: datetime, until: datetime) -> Notice | None:
        """One whose next try is due; nobody else has it `until` then. Raises BrokenSeal."""
        row = await self._connection.fetchrow(Q["take"], now, until)
        if row is None:
            return None
        plain = await self._connection.opened(
            lambda: self._connection.keyring.open(
                row["sealed"], NOTICES, _row(row["channel_id"], row["digest"])
            )
        )
        kept = json.loads(plain)
        return Notice(
            row["channel_id"],
            kept["headers"],
            base64.b64decode(kept["body"]),
            row["received_at"],
            row["tries"],
        )

    async def later(self, notice: Notice, next_try_at: datetime) -> None:
        """It could not be booked now, either."""
        await self._connection.fetchval(Q["later"], notice.channel_id, notice.digest, next_try_at)

    async def done(self, notice: Notice, now: datetime) -> int | None:
        """It is booked. Answers the task whose last notice this was, for it may be closed now.

        Nobody keeps one more under that task before this transaction ends.
        """
        task_id = await self._connection.fetchval(Q["done"], notice.channel_id, notice.digest, now)
        if task_id is None or await self._connection.fetchval(Q["hold_task"], task_id) is None:
            return None
        kept, done = await self.of_task(task_id)
        return task_id if kept == done else None

    async def of_task(self, task_id: int) -> tuple[int, int]:
        """How many notices are kept under this task, and how many of them are booked."""
        row = await self._connection.fetchrow(Q["of_task"], task_id)
        assert row is not None, "it counts"
        return row["kept"], row["done"]

    async def forget(self) -> int:
        """Let go of those whose task is closed. Answers how many."""
        return len(await self._connection.fetch(Q["forget"]))


def _row(channel_id: int, digest: bytes) -> str:
    return f"{channel_id}/{digest.hex()}"

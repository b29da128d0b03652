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
        """What the task about it is called."""
        return f"{self.channel_id}/{self.digest.hex()[:16]}"


class Notices:
    """What waits to be understood."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def keep(self, notice: Notice, next_try_at: datetime) -> bool:
        """Keep it. False: it is kept already."""
        plain = {
            "headers": dict(notice.headers),
            "body": base64.b64encode(notice.body).decode(),
        }
        sealed = self._connection.keyring.seal(
            json.dumps(plain).encode(), NOTICES, _row(notice.channel_id, notice.digest)
        )
        kept = await self._connection.fetchval(
            Q["keep"], notice.channel_id, notice.digest, sealed, notice.received_at, next_try_at
        )
        return kept is not None

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

    async def done(self, notice: Notice) -> None:
        """It is booked, and nothing more is to be kept of it."""
        await self._connection.fetchval(Q["done"], notice.channel_id, notice.digest)

    async def forget(self) -> int:
        """Let go of those whose task a person has closed. Answers how many."""
        return len(await self._connection.fetch(Q["forget"], TaskKind.NOTICE_UNREADABLE))


def _row(channel_id: int, digest: bytes) -> str:
    return f"{channel_id}/{digest.hex()}"

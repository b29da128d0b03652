"""The audit log: who changed what, in chains of hashes that the database computes by trigger.

One chain per merchant, and chain 0 for the installation. Nothing here writes rows but `anchor`:
the triggers do (migration 0011), in the transaction of the change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("audit_log")
_ANCHOR = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. `before` and `after` hold the columns that changed; of secrets only their names."""

    chain: int
    place: int
    at: datetime
    who: str
    what: str
    address: str | None
    subject: str
    change: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Broken:
    """A place of a chain at which something is wrong, and what."""

    chain: int
    place: int | None
    why: str


class AuditLog:
    """Reading and checking the audit log."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def broken(self, anchor: str | None = None) -> list[Broken]:
        """Everything that is wrong, at most 1000 places. `anchor` is a `place:hash` from a worker's log.

        Raises ValueError for an anchor that is none.
        """
        place, digest = None, None
        if anchor is not None:
            if (match := _ANCHOR.fullmatch(anchor)) is None:
                raise ValueError("an anchor is a number, a colon and 64 hex digits")
            place, digest = int(match[1]), bytes.fromhex(match[2])
        rows = await self._connection.fetch(Q["broken"], place, digest)
        return [Broken(row["chain"], row["place"], row["why"]) for row in rows]

    async def size(self) -> tuple[int, int]:
        """How many rows, in how many chains."""
        row = await self._connection.fetchrow(Q["size"])
        assert row is not None
        return row["rows"], row["chains"]

    async def newest(self, chain: int, most: int = 50) -> list[Entry]:
        """The newest rows of a chain (a merchant's id, 0 for the installation), newest first."""
        rows = await self._connection.fetch(Q["newest"], chain, most)
        return [
            Entry(**{name: value for name, value in row.items() if name != "hash"}) for row in rows
        ]

    async def anchor(self) -> bool:
        """Note where all chains end, once a day (UTC). False: somebody did so today. In a transaction."""
        return (await self._connection.fetchrow(Q["anchor"])) is not None

    async def anchored(self) -> str:
        """`place:hash` of the installation's chain as it ends now, for another place to keep."""
        row = await self._connection.fetchrow(Q["anchored"])
        return "0:" + "0" * 64 if row is None else f"{row['place']}:{row['hash'].hex()}"

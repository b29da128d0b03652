"""Requests that carry an Idempotency-Key: claimed once, bound to what they began, answered once.

An answer holds personal data, and a fingerprint could be guessed from: both are sealed.
docs/decisions/0011-idempotency.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from naru.domain.errors import Superseded
from naru.domain.once import Once
from naru.store.named import load
from naru.store.seal import IDEMPOTENCY

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("idempotency")

FINGERPRINT_BYTES = 32


class Name(NamedTuple):
    """What a key belongs to: the same key elsewhere is another one."""

    merchant_id: int
    method: str
    path: str
    key: str

    @property
    def row(self) -> str:
        """What the sealed blob of this record is bound to."""
        return " ".join(map(str, self))


@dataclass(frozen=True, slots=True)
class Record:
    """A request that was claimed. `effect` names what it began; with `status` there is an answer."""

    id: int
    fingerprint: bytes
    attempt: int
    lease_until: datetime
    expires_at: datetime
    effect: str | None
    status: int | None
    headers: list[list[str]]
    body: bytes

    @property
    def once(self) -> Once:
        """The try that has the word."""
        return Once(self.id, self.attempt)


class Idempotency:
    """Requests that carry an Idempotency-Key."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def claim(
        self, name: Name, fingerprint: bytes, lease_until: datetime, expires_at: datetime
    ) -> Once | None:
        """First come. None: somebody was before us."""
        sealed = self._connection.keyring.seal(fingerprint, IDEMPOTENCY, name.row)
        row = await self._connection.fetchrow(Q["claim"], *name, sealed, lease_until, expires_at)
        return None if row is None else Once(row["id"], row["attempt"])

    async def get(self, name: Name) -> Record | None:
        """What became of the request with this key. Raises BrokenSeal."""
        row = await self._connection.fetchrow(Q["get"], *name)
        if row is None:
            return None
        keyring = self._connection.keyring
        plain = await self._connection.opened(
            lambda: keyring.open(row["sealed"], IDEMPOTENCY, name.row)
        )
        return Record(
            id=row["id"],
            fingerprint=plain[:FINGERPRINT_BYTES],
            attempt=row["attempt"],
            lease_until=row["lease_until"],
            expires_at=row["expires_at"],
            effect=row["effect"],
            status=row["status"],
            headers=row["headers"] or [],
            body=plain[FINGERPRINT_BYTES:],
        )

    async def take_over(self, once: Once, lease_until: datetime, now: datetime) -> Once | None:
        """The word of a try that went silent before it began anything. None: it is not to be had."""
        row = await self._connection.fetchrow(
            Q["take_over"], once.record_id, once.attempt, lease_until, now
        )
        return None if row is None else Once(row["id"], row["attempt"])

    async def bind(self, once: Once | None, effect: str) -> None:
        """Name what this try is about to do, in the transaction that begins it.

        Raises Superseded when another try has the word: the transaction must not be committed then.
        Does nothing for a request without a key (None).
        """
        if once is None:
            return
        row = await self._connection.fetchrow(Q["bind"], once.record_id, once.attempt, effect)
        if row is None:
            raise Superseded

    async def release(self, once: Once) -> bool:
        """Nothing was begun: the key is free again. False: something was, or we lost the word."""
        row = await self._connection.fetchrow(Q["release"], once.record_id, once.attempt)
        return row is not None

    async def end_lease(self, once: Once, now: datetime) -> None:
        """This try ends without an answer; whoever asks reads it from what was begun."""
        await self._connection.fetch(Q["end_lease"], once.record_id, once.attempt, now)

    async def finish(
        self,
        once: Once,
        name: Name,
        fingerprint: bytes,
        status: int,
        headers: list[list[str]],
        body: bytes,
    ) -> bool:
        """The answer, for good. False: another try has the word, or has answered."""
        sealed = self._connection.keyring.seal(fingerprint + body, IDEMPOTENCY, name.row)
        row = await self._connection.fetchrow(
            Q["finish"], once.record_id, once.attempt, status, headers, sealed
        )
        return row is not None

    async def forget(self, now: datetime, most: int) -> int:
        """Let go of up to `most` records that are older than their time; how many they were."""
        return len(await self._connection.fetch(Q["forget"], now, most))

    async def forget_one(self, once: Once, now: datetime) -> None:
        """Let go of this record, if its time is over."""
        await self._connection.fetch(Q["forget_one"], once.record_id, now)

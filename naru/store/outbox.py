"""Webhooks waiting to leave, and what became of every attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg

from naru.store.merchants import open_webhook_secret
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("outbox")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook to one address. `state` is waiting, delivered or parked.

    `fence` is the number of the claim; `secrets` is the merchant's setting, filled by `claim` only;
    `merchant_uid` is filled by `of_merchant` only;
    `rung_at` is when the ladder would have tried, if this try was brought forward.
    """

    id: int
    webhook_id: str
    merchant_id: int
    imp_uid: str
    version: int
    status: str
    cancellation_id: str | None
    url: str
    content_type: str
    body: bytes
    mode: str
    state: str
    attempts: int
    next_at: datetime
    announced_at: datetime
    ended_at: datetime | None
    fence: int
    secrets: str | None = None
    rung_at: datetime | None = None
    merchant_uid: str | None = None

    def __repr__(self) -> str:
        return f"Delivery({self.id}, {self.imp_uid}, {self.status}, {self.state})"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: what was sent, and what came back or why nothing did. Exactly one of the two is there."""

    began_at: datetime
    duration_ms: int
    request_headers: Mapping[str, str]
    answer_status: int | None
    answer_body: str | None
    error: str | None


class Outbox:
    """Webhooks waiting to leave."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lay(
        self,
        *,
        webhook_id: str,
        merchant_id: int,
        imp_uid: str,
        version: int,
        status: str,
        cancellation_id: str | None,
        url: str,
        content_type: str,
        body: bytes,
        mode: str,
    ) -> int | None:
        """A webhook to one address; None when this change was announced there already."""
        laid: int | None = await self._connection.fetchval(
            Q["lay"],
            webhook_id,
            merchant_id,
            imp_uid,
            version,
            status,
            cancellation_id,
            url,
            content_type,
            body,
            mode,
        )
        return laid

    async def claim(self, delivery_id: int, lease: timedelta) -> Delivery | None:
        """Take a due delivery for one attempt; None when it is not its turn."""
        row = await self._connection.fetchrow(Q["claim"], delivery_id, lease)
        if row is None:
            return None
        secrets = await self._connection.opened(
            lambda: open_webhook_secret(
                row["webhook_secret"], self._connection.keyring, row["merchant_id"]
            )
        )
        return _read(row, secrets)

    async def renew(self, delivery: Delivery, lease: timedelta) -> bool:
        """Keep it a while longer. False: somebody else has it now."""
        row = await self._connection.fetchval(Q["renew"], delivery.id, delivery.fence, lease)
        return row is not None

    async def release(self, delivery: Delivery, wait: timedelta) -> None:
        """Give it back unsent, for later."""
        await self._connection.fetchval(Q["release"], delivery.id, delivery.fence, wait)

    async def delivered(self, delivery: Delivery, attempt: Attempt) -> int | None:
        """The merchant has it. Answers the webhook that waited for this one to end, if any."""
        following: int | None = await self._connection.fetchval(
            Q["delivered"],
            delivery.id,
            attempt.began_at,
            attempt.duration_ms,
            dict(attempt.request_headers),
            attempt.answer_status,
            attempt.answer_body,
        )
        return following

    async def failed(
        self, delivery: Delivery, attempt: Attempt, wait: timedelta | None, *, early: bool = False
    ) -> int | None:
        """It failed: again after `wait`, or parked (None), if the claim still holds.

        `early`: this try was brought forward, and counts for no rung of the ladder.
        Answers the webhook that waits behind this one, if any.
        """
        following: int | None = await self._connection.fetchval(
            Q["failed"],
            delivery.id,
            attempt.began_at,
            attempt.duration_ms,
            dict(attempt.request_headers),
            attempt.answer_status,
            attempt.answer_body,
            attempt.error,
            delivery.fence,
            wait,
            early,
        )
        return following

    async def hasten(self, delivery: Delivery) -> list[int]:
        """This address answers again: make what waits for it due now, a hundred at the most."""
        rows = await self._connection.fetch(Q["hasten"], delivery.merchant_id, delivery.url)
        return [row["id"] for row in rows]

    async def probe(self, every: timedelta) -> list[int]:
        """Make one delivery per silent address due now, if none was tried for so long."""
        return [row["id"] for row in await self._connection.fetch(Q["probe"], every)]

    async def put_right(self) -> list[int]:
        """The database's clock may have gone back: make due what waits or is leased for impossible times."""
        return [row["id"] for row in await self._connection.fetch(Q["put_right"])]

    async def due(self, since: timedelta, most: int) -> list[int]:
        """Deliveries that are overdue by `since` and that nobody sends, oldest first."""
        return [row["id"] for row in await self._connection.fetch(Q["due"], since, most)]

    async def resend(self, delivery_id: int, merchant_id: int | None = None) -> bool:
        """Make it wait for one more attempt. False: there is no such delivery (of this merchant)."""
        row = await self._connection.fetchval(Q["resend"], delivery_id, merchant_id)
        return row is not None

    async def get(self, delivery_id: int) -> Delivery | None:
        """One delivery."""
        row = await self._connection.fetchrow(Q["get"], delivery_id)
        return None if row is None else _read(row)

    async def of_merchant(
        self,
        merchant_id: int | None,
        *,
        imp_uid: str | None = None,
        state: str | None = None,
        most: int = 100,
    ) -> list[Delivery]:
        """The deliveries of a merchant (None: of all), newest first."""
        rows = await self._connection.fetch(Q["of_merchant"], merchant_id, imp_uid, state, most)
        return [replace(_read(row), merchant_uid=row["merchant_uid"]) for row in rows]

    async def attempts_of(self, delivery_id: int) -> list[Attempt]:
        """Every attempt of one delivery, oldest first."""
        rows = await self._connection.fetch(Q["attempts_of"], delivery_id)
        return [
            Attempt(
                began_at=row["began_at"],
                duration_ms=row["duration_ms"],
                request_headers=row["request_headers"],
                answer_status=row["answer_status"],
                answer_body=row["answer_body"],
                error=row["error"],
            )
            for row in rows
        ]


def _read(row: asyncpg.Record, secrets: str | None = None) -> Delivery:
    return Delivery(
        id=row["id"],
        webhook_id=row["webhook_id"],
        merchant_id=row["merchant_id"],
        imp_uid=row["imp_uid"],
        version=row["version"],
        status=row["status"],
        cancellation_id=row["cancellation_id"],
        url=row["url"],
        content_type=row["content_type"],
        body=row["body"],
        mode=row["mode"],
        state=row["state"],
        attempts=row["attempts"],
        next_at=row["next_at"],
        announced_at=row["announced_at"],
        ended_at=row["ended_at"],
        fence=row["fence"],
        secrets=secrets,
        rung_at=row["rung_at"],
    )

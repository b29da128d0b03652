"""Merchants, the codes they answer to, their API keys and tokens."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from naru.domain.merchant import Merchant
from naru.store.named import Query, load
from naru.store.seal import WEBHOOK_SECRET, BrokenSeal, Keyring

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("merchants")

log = logging.getLogger("naru.store")

# What stands for a webhook secret that does not open: no signature can be made with it.
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A live API key. `token_nonce` and the root key say its token again, `token_hash` proves it."""

    imp_key: str
    merchant_id: int
    secret_hash: bytes
    token_nonce: str | None
    token_hash: bytes | None
    token_expires_at: datetime | None


class Merchants:
    """Merchants, their API keys and tokens."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def by_user_code(self, user_code: str) -> Merchant | None:
        """Who answers to this 가맹점식별코드."""
        return await self._one(Q["by_user_code"], user_code)

    async def get(self, merchant_id: int) -> Merchant | None:
        """One merchant."""
        return await self._one(Q["get"], merchant_id)

    async def all(self) -> list[Merchant]:
        """Every merchant."""
        rows = await self._connection.fetch(Q["all"])
        keyring = self._connection.keyring
        return await self._connection.opened(lambda: [read_merchant(row, keyring) for row in rows])

    async def add(
        self, name: str, user_codes: list[str], *, live: bool, webhook_secret: str | None
    ) -> int:
        """A new merchant; returns its id. Raises asyncpg.UniqueViolationError for a code in use.

        A live merchant refuses test channels until its staff allows them (RELIABILITY §2.4).
        """
        merchant_id = int(await self._connection.fetchval(Q["add"], name, live, not live))
        if webhook_secret is not None:
            await self._connection.fetch(
                Q["set_webhook_secret"], merchant_id, self._sealed(merchant_id, webhook_secret)
            )
        for user_code in user_codes:
            await self._connection.fetch(Q["add_user_code"], user_code, merchant_id)
        return merchant_id

    async def add_user_code(self, merchant_id: int, user_code: str) -> None:
        """One more code that this merchant answers to."""
        await self._connection.fetch(Q["add_user_code"], user_code, merchant_id)

    async def user_codes(self, merchant_id: int) -> list[str]:
        """The codes this merchant answers to, first one first."""
        rows = await self._connection.fetch(Q["user_codes"], merchant_id)
        return [row["user_code"] for row in rows]

    async def change(self, merchant: Merchant) -> None:
        """Write every setting of this merchant. A webhook secret that did not open stays as it is."""
        await self._connection.fetch(
            Q["change"],
            merchant.id,
            merchant.name,
            merchant.live,
            merchant.allow_test_channels,
            list(merchant.allowed_origins),
            list(merchant.allowed_return_origins),
            list(merchant.allowed_webhook_origins),
            list(merchant.allowed_app_schemes),
            merchant.webhook_url,
            merchant.webhook_format,
            merchant.webhook_mode,
            merchant.confirm_url,
        )
        if merchant.webhook_secret != UNREADABLE:
            await self._connection.fetch(
                Q["set_webhook_secret"],
                merchant.id,
                self._sealed(merchant.id, merchant.webhook_secret),
            )

    async def add_key(self, merchant_id: int, imp_key: str, secret_hash: bytes) -> None:
        """A new API key."""
        await self._connection.fetch(Q["add_key"], imp_key, merchant_id, secret_hash)

    async def revoke_key(self, imp_key: str, now: datetime) -> bool:
        """The key and its token die at once. False when there was no live key."""
        return (await self._connection.fetchval(Q["revoke_key"], imp_key, now)) is not None

    async def keys(self, merchant_id: int) -> list[dict[str, Any]]:
        """imp_key, created_at and revoked_at of every key."""
        return [dict(row) for row in await self._connection.fetch(Q["keys"], merchant_id)]

    async def key(self, imp_key: str) -> ApiKey | None:
        """A live key."""
        row = await self._connection.fetchrow(Q["key"], imp_key)
        return None if row is None else ApiKey(**dict(row))

    async def renew_token(
        self,
        imp_key: str,
        nonce: str,
        token_hash: bytes,
        expires_at: datetime,
        seen_expiry: datetime | None,
    ) -> bool:
        """Give the key a token, unless another caller did meanwhile (then False: read again)."""
        row = await self._connection.fetchrow(
            Q["renew_token"], imp_key, nonce, token_hash, expires_at, seen_expiry
        )
        return row is not None

    def _sealed(self, merchant_id: int, webhook_secret: str | None) -> bytes | None:
        if webhook_secret is None:
            return None
        return self._connection.keyring.seal(webhook_secret.encode(), WEBHOOK_SECRET, merchant_id)

    async def _one(self, query: Query, value: object) -> Merchant | None:
        row = await self._connection.fetchrow(query, value)
        if row is None:
            return None
        return await self._connection.opened(lambda: read_merchant(row, self._connection.keyring))


def open_webhook_secret(blob: bytes | None, keyring: Keyring, merchant_id: int) -> str | None:
    """A merchant's webhook secret, UNREADABLE for a broken one: webhooks wait, payments go on.

    Raises UnknownDataKey.
    """
    if blob is None:
        return None
    try:
        return keyring.open(blob, WEBHOOK_SECRET, merchant_id).decode()
    except BrokenSeal as error:
        log.error("%s", error)
        return UNREADABLE


def read_merchant(row: asyncpg.Record, keyring: Keyring, prefix: str = "") -> Merchant:
    """A merchant from its row, whose columns may have a prefix. Raises UnknownDataKey."""
    return Merchant(
        id=row[prefix + "id"],
        user_code=row[prefix + "user_code"] or "",
        name=row[prefix + "name"],
        live=row[prefix + "live"],
        allow_test_channels=row[prefix + "allow_test_channels"],
        allowed_origins=tuple(row[prefix + "allowed_origins"]),
        allowed_return_origins=tuple(row[prefix + "allowed_return_origins"]),
        allowed_webhook_origins=tuple(row[prefix + "allowed_webhook_origins"]),
        allowed_app_schemes=tuple(row[prefix + "allowed_app_schemes"]),
        webhook_url=row[prefix + "webhook_url"],
        webhook_format=row[prefix + "webhook_format"],
        webhook_mode=row[prefix + "webhook_mode"],
        webhook_secret=open_webhook_secret(
            row[prefix + "webhook_secret"], keyring, row[prefix + "id"]
        ),
        confirm_url=row[prefix + "confirm_url"],
    )

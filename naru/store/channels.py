"""Channels: contracts of merchants with PGs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from naru.domain.channel import Channel
from naru.domain.ids import ChannelKey
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("channels")


class Channels:
    """Contracts with PGs."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def of_merchant(self, merchant_id: int) -> list[Channel]:
        """Every channel of a merchant, default first."""
        return [
            read_channel(row) for row in await self._connection.fetch(Q["of_merchant"], merchant_id)
        ]

    async def named_of_merchant(self, merchant_id: int) -> list[tuple[str, Channel]]:
        """The same, each with the name its staff gave it."""
        rows = await self._connection.fetch(Q["of_merchant"], merchant_id)
        return [(row["name"], read_channel(row)) for row in rows]

    async def get(self, channel_id: int) -> Channel | None:
        """One channel."""
        row = await self._connection.fetchrow(Q["get"], channel_id)
        return None if row is None else read_channel(row)

    async def by_key(self, channel_key: str) -> Channel | None:
        """One channel by its key."""
        row = await self._connection.fetchrow(Q["by_key"], channel_key)
        return None if row is None else read_channel(row)

    async def add(
        self,
        merchant_id: int,
        channel_key: str,
        pg_code: str,
        mid: str,
        connector: str,
        *,
        test: bool,
        settings: dict[str, Any],
        kind: str = "payment",
        is_default: bool = False,
        name: str = "",
    ) -> bool:
        """A new channel. False: the merchant has this PG code and MID already, nothing changed."""
        added = await self._connection.fetchval(
            Q["add"],
            merchant_id,
            channel_key,
            pg_code,
            mid,
            connector,
            test,
            kind,
            is_default,
            settings,
            name,
        )
        return added is not None

    async def make_default(self, merchant_id: int, channel: Channel) -> None:
        """From now on an omitted or unknown `pg` means this channel. Inside one transaction."""
        await self._connection.fetch(Q["undefault"], merchant_id, channel.kind)
        await self._connection.fetch(Q["make_default"], channel.id, merchant_id)

    async def change_settings(self, channel_id: int, settings: dict[str, Any]) -> None:
        """Other addresses or keys."""
        await self._connection.fetch(Q["change_settings"], channel_id, settings)


def read_channel(row: asyncpg.Record, prefix: str = "") -> Channel:
    """A channel from its row, whose columns may have a prefix."""
    return Channel(
        id=row[prefix + "id"],
        merchant_id=row[prefix + "merchant_id"],
        channel_key=ChannelKey(row[prefix + "channel_key"]),
        pg_code=row[prefix + "pg_code"],
        mid=row[prefix + "mid"],
        connector=row[prefix + "connector"],
        test=row[prefix + "test"],
        kind=row[prefix + "kind"],
        is_default=row[prefix + "is_default"],
        settings=row[prefix + "settings"],
    )

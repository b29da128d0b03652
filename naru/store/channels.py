"""Channels: contracts of merchants with PGs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import asyncpg

from naru.domain.channel import Channel
from naru.domain.ids import ChannelKey
from naru.store.named import Query, load
from naru.store.seal import CHANNEL_SETTINGS, BrokenSeal, Keyring

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
        return [channel for _, channel in await self.named_of_merchant(merchant_id)]

    async def named_of_merchant(self, merchant_id: int) -> list[tuple[str, Channel]]:
        """The same, each with the name its staff gave it."""
        rows = await self._connection.fetch(Q["of_merchant"], merchant_id)
        return await self._connection.opened(
            lambda: [
                (row["name"], read_channel(row, self._connection.keyring, among_others=True))
                for row in rows
            ]
        )

    async def every(self) -> list[Channel]:
        """The channels of all merchants, oldest first."""
        rows = await self._connection.fetch(Q["every"])
        keyring = self._connection.keyring
        return await self._connection.opened(
            lambda: [read_channel(row, keyring, among_others=True) for row in rows]
        )

    async def sharing(self, channel: Channel) -> list[Channel]:
        """The channels of this one's contract, whoever's: same MID, same address and keys. Oldest first."""
        rows = await self._connection.fetch(
            Q["sharing"], channel.connector, channel.pg_code, channel.mid
        )
        keyring = self._connection.keyring
        found = await self._connection.opened(
            lambda: [read_channel(row, keyring, among_others=True) for row in rows]
        )
        return [each for each in found if each.settings == channel.settings]

    async def get(self, channel_id: int) -> Channel | None:
        """One channel."""
        return await self._one(Q["get"], channel_id)

    async def by_key(self, channel_key: str) -> Channel | None:
        """One channel by its key."""
        return await self._one(Q["by_key"], channel_key)

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
            self._sealed(channel_key, settings),
            name,
        )
        return added is not None

    async def make_default(self, merchant_id: int, channel: Channel) -> None:
        """From now on an omitted or unknown `pg` means this channel. Inside one transaction."""
        await self._connection.fetch(Q["undefault"], merchant_id, channel.kind)
        await self._connection.fetch(Q["make_default"], channel.id, merchant_id)

    async def change_settings(self, channel_id: int, settings: dict[str, Any]) -> None:
        """Other addresses or keys."""
        channel_key = await self._connection.fetchval(Q["key_of"], channel_id)
        sealed = self._sealed(channel_key, settings)
        await self._connection.fetch(Q["change_settings"], channel_id, sealed)

    def _sealed(self, channel_key: str, settings: dict[str, Any]) -> bytes:
        text = json.dumps(settings, ensure_ascii=False).encode()
        return self._connection.keyring.seal(text, CHANNEL_SETTINGS, channel_key)

    async def _one(self, query: Query, value: object) -> Channel | None:
        row = await self._connection.fetchrow(query, value)
        if row is None:
            return None
        return await self._connection.opened(lambda: read_channel(row, self._connection.keyring))


class _Unreadable(dict[str, Any]):
    """Settings that do not open: whoever needs one is refused, whoever does not goes on."""

    def __init__(self, error: BrokenSeal) -> None:
        super().__init__()
        self._error = error

    def __missing__(self, name: str) -> NoReturn:
        raise self._error


def read_channel(
    row: asyncpg.Record, keyring: Keyring, prefix: str = "", *, among_others: bool = False
) -> Channel:
    """A channel from its row, whose columns may have a prefix. Raises BrokenSeal, UnknownDataKey.

    `among_others`: a broken seal is told to whoever uses the settings; the other channels of the
    list are not its matter.
    """
    blob, channel_key = row[prefix + "settings"], row[prefix + "channel_key"]
    settings: dict[str, Any] = {}
    if blob is not None:
        try:
            settings = json.loads(keyring.open(blob, CHANNEL_SETTINGS, channel_key))
        except BrokenSeal as error:
            if not among_others:
                raise
            settings = _Unreadable(error)
    return Channel(
        id=row[prefix + "id"],
        merchant_id=row[prefix + "merchant_id"],
        channel_key=ChannelKey(channel_key),
        pg_code=row[prefix + "pg_code"],
        mid=row[prefix + "mid"],
        connector=row[prefix + "connector"],
        test=row[prefix + "test"],
        kind=row[prefix + "kind"],
        is_default=row[prefix + "is_default"],
        settings=settings,
    )

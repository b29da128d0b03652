"""Tiers (하위 상점): merchants that an agency's token may act for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naru.domain.merchant import Tier
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("tiers")


class Tiers:
    """Which merchants are whose tiers. A row never changes."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, merchant_id: int, agency_id: int, tier_code: str) -> None:
        """This merchant becomes a tier. Raises asyncpg.UniqueViolationError: the code is taken, or
        the merchant is somebody's tier already; asyncpg.CheckViolationError: no code at all."""
        await self._connection.fetch(Q["add"], merchant_id, agency_id, tier_code)

    async def find(self, agency_id: int, tier_code: str) -> Tier | None:
        """The agency's tier of this code; a tier that asks for its own code finds itself."""
        row = await self._connection.fetchrow(Q["find"], agency_id, tier_code)
        return None if row is None else Tier(*row.values())

    async def of_agency(self, agency_id: int) -> list[Tier]:
        """Every tier of this agency, by code."""
        return [
            Tier(*row.values()) for row in await self._connection.fetch(Q["of_agency"], agency_id)
        ]

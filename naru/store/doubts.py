"""Doubts that move no money: keys, cash receipts, members, errands and acts that a PG was asked about in vain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("doubts")


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question that moves no money and was not answered. `about` is whom or what it is about."""

    question: str
    number: str
    about: str
    since: datetime
    next_try_at: datetime
    tries: int


class Doubts:
    """What nobody here knows beside payments, whose doubts are intents."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def elsewhere(self, now: datetime, most: int) -> list[Doubt]:
        """Questions that move no money and were not answered in time, oldest first."""
        return [Doubt(**row) for row in await self._connection.fetch(Q["elsewhere"], now, most)]

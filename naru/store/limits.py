"""How often something was done in a window of time, over all processes.

A window begins with its first permit and lasts as long as its limit says. The row's lock puts all
processes in a line, so never more permits are given than the limit has, however many ask at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from naru.domain.limit import Limit
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection, Store

Q = load("limits")

NAMES_MAX = 10_000


class Taken(NamedTuple):
    """Permits that were given, none when the window is used up; and when it is over."""

    permits: int
    ends_at: datetime

    def wait_seconds(self, now: datetime) -> int:
        """Whole seconds until the window is over, one at least."""
        return max(1, ceil((self.ends_at - now).total_seconds()))


class Limits:
    """Windows of time and what was done in them."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def take(self, limit: Limit, who: str, now: datetime, wanted: int = 1) -> Taken:
        """Up to `wanted` permits for this name."""
        name, ends_at = f"{limit.name} {who}", now + timedelta(seconds=limit.seconds)
        wanted = min(wanted, limit.most)
        row = await self._connection.fetchrow(Q["take"], name, wanted, limit.most, now, ends_at)
        if row is not None:
            # What goes beyond the limit was written down, but is not given.
            return Taken(wanted - max(0, row["spent"] - limit.most), row["ends_at"])
        return Taken(0, await self._connection.fetchval(Q["ends_at"], name) or ends_at)

    async def forget(self, now: datetime, most: int) -> int:
        """Let go of up to `most` windows that are over; how many they were."""
        return len(await self._connection.fetch(Q["forget"], now, most))


@dataclass(slots=True)
class _Kept:
    """What this process has in hand of one window. `used_up`: nothing is left for anybody."""

    ends_at: datetime
    permits: int = 0
    used_up: bool = False
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class Limiter:
    """Permits for a busy path: a process takes a handful at once and asks again when it is empty.

    Never more than the limit pass over all processes. Up to a hundredth per process may stay unused.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, _Kept] = {}

    async def take(self, limit: Limit, who: str, now: datetime) -> int | None:
        """None: go on. Else how many seconds to wait. Raises StoreUnavailable."""
        kept = self._find(f"{limit.name} {who}", now)
        # One of a crowd fetches a handful, the others use it.
        async with kept.fetching:
            if kept.ends_at <= now or not (kept.permits or kept.used_up):
                async with self._store.direct() as session:
                    taken = await session.limits.take(limit, who, now, limit.handful)
                kept.permits, kept.ends_at = taken
                kept.used_up = not taken.permits
            if kept.permits:
                kept.permits -= 1
                return None
            return Taken(0, kept.ends_at).wait_seconds(now)

    def _find(self, name: str, now: datetime) -> _Kept:
        kept = self._kept.get(name)
        if kept is None:
            if len(self._kept) >= NAMES_MAX:
                self._kept = {one: each for one, each in self._kept.items() if each.ends_at > now}
            if len(self._kept) >= NAMES_MAX:
                # So many at once are strangers who come in crowds; their handfuls are fetched anew.
                self._kept.clear()
            kept = self._kept[name] = _Kept(now)
        return kept

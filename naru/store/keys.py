"""Data keys: make one, seal everything with it, retire the old ones. For `naru keys`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg

from naru.domain.errors import NaruError
from naru.store.named import Query, load
from naru.store.seal import (
    BILLING_KEYS,
    CASH_RECEIPTS,
    CERTIFICATIONS,
    CHANNEL_SETTINGS,
    DEPOSIT_SECRETS,
    ERRANDS,
    IDEMPOTENCY,
    LOOK_AGAIN_SECONDS,
    NOTICES,
    PAYMENT_SECRETS,
    QUICK_PREPARED,
    SCHEDULES,
    WEBHOOK_SECRET,
    BrokenSeal,
    sealed_keys,
)

if TYPE_CHECKING:
    from naru.store.connection import Connection, Store

Q = load("keys")


@dataclass(frozen=True, slots=True)
class Place:
    """Where sealed things lie: what the blobs are bound to, and how they are read and put back."""

    bound_to: str
    old: Query
    swap: Query


PLACES = {
    "channels": Place(CHANNEL_SETTINGS, Q["old_channels"], Q["swap_channels"]),
    "merchants": Place(WEBHOOK_SECRET, Q["old_merchants"], Q["swap_merchants"]),
    "payments": Place(PAYMENT_SECRETS, Q["old_payments"], Q["swap_payments"]),
    "deposits": Place(DEPOSIT_SECRETS, Q["old_deposits"], Q["swap_deposits"]),
    "answers": Place(IDEMPOTENCY, Q["old_answers"], Q["swap_answers"]),
    "notices": Place(NOTICES, Q["old_notices"], Q["swap_notices"]),
    "certifications": Place(CERTIFICATIONS, Q["old_certifications"], Q["swap_certifications"]),
    "schedules": Place(SCHEDULES, Q["old_schedules"], Q["swap_schedules"]),
    "cash_receipts": Place(CASH_RECEIPTS, Q["old_cash_receipts"], Q["swap_cash_receipts"]),
    "errands": Place(ERRANDS, Q["old_errands"], Q["swap_errands"]),
    "quick_prepared": Place(QUICK_PREPARED, Q["old_quick_prepared"], Q["swap_quick_prepared"]),
    "billing_keys": Place(BILLING_KEYS, Q["old_billing_keys"], Q["swap_billing_keys"]),
}
# Every process has read the table of keys twice by then.
KNOWN_EVERYWHERE = timedelta(seconds=2 * LOOK_AGAIN_SECONDS)


class KeyInUse(NaruError):
    """This data key still seals something, is the newest, or is not known everywhere as replaced."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A data key and how many blobs of each place it seals."""

    id: int
    made_at: datetime
    sealed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Resealed:
    """What one batch did. `last` is where the next one begins; None: this place is done."""

    last: str | None
    moved: int
    broken: tuple[str, ...] = ()


class Keys:
    """The table of data keys."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def learn(self) -> int:
        """Look which data keys there are; the id of the newest."""
        await self._connection.learn_keys()
        return self._connection.keyring.newest

    async def used(self) -> list[KeyUse]:
        """Every data key, oldest first."""
        return [
            KeyUse(row["id"], row["made_at"], {name: row[name] for name in PLACES})
            for row in await self._connection.fetch(Q["used"])
        ]

    async def rotate(self) -> int:
        """A new data key, which seals from now on; its id."""
        keyring = self._connection.keyring
        while True:
            await self._connection.learn_keys()
            made = keyring.make_key(keyring.newest + 1)
            if await self._connection.fetchval(Q["add"], *made) is not None:
                await self._connection.learn_keys()
                return made.id

    async def rewrap(self) -> int:
        """Seal every data key with the (new) root key; how many changed. Raises WrongRootKey."""
        keyring = self._connection.keyring
        changed = 0
        for row in sealed_keys(await self._connection.fetch(Q["all"])):
            fresh = keyring.wrap(row.id, keyring.unwrap(row))
            found = await self._connection.fetchval(Q["rewrap"], row.id, fresh.sealed, row.sealed)
            changed += found is not None
        return changed

    async def retire(self, key_id: int, known_for: timedelta = KNOWN_EVERYWHERE) -> None:
        """Remove a data key for ever. Raises KeyInUse."""
        try:
            gone = await self._connection.fetchval(Q["retire"], key_id, known_for)
        except asyncpg.ForeignKeyViolationError:
            raise KeyInUse(
                f"data key {key_id} still seals something: run `naru keys reseal`"
            ) from None
        if gone is None:
            raise KeyInUse(
                f"data key {key_id} is not there, is the newest, or was replaced less than "
                f"{known_for.total_seconds():.0f} s ago"
            )

    async def reseal_some(self, place: str, after: str, most: int) -> Resealed:
        """Seal a batch of one of PLACES with the newest data key, in the order of its rows.

        A row that changed meanwhile stays as it is; one whose seal is broken is told in `broken`.
        """
        keyring, lies = self._connection.keyring, PLACES[place]
        rows = await self._connection.fetch(lies.old, keyring.newest, after, most)
        broken: list[str] = []

        def seal_anew() -> list[tuple[str, bytes, bytes]]:
            broken.clear()
            fresh = []
            for row in rows:
                try:
                    plain = keyring.open(row["sealed"], lies.bound_to, row["place"])
                except BrokenSeal as error:
                    broken.append(str(error))
                    continue
                fresh.append(
                    (row["row"], row["sealed"], keyring.seal(plain, lies.bound_to, row["place"]))
                )
            return fresh

        fresh = await self._connection.opened(seal_anew)
        moved = await self._connection.fetch(
            lies.swap, *([list(each) for each in zip(*fresh, strict=True)] or [[], [], []])
        )
        last = rows[-1]["row"] if len(rows) == most else None
        return Resealed(last, len(moved), tuple(broken))


async def reseal(store: Store, batch: int = 500) -> tuple[int, list[str]]:
    """Seal everything with the newest data key, under traffic, in batches of which each commits.

    Killed and started again it goes on where it was: what is done carries the new key. Returns how
    many blobs moved and what was said of broken ones, which stay as they are.
    """
    moved, broken = 0, list[str]()
    async with store.direct() as session:
        await session.keys.learn()
    for place in PLACES:
        while True:
            # A row that was changed under us is met again in the next walk over its place.
            walked, after = 0, ""
            while True:
                async with store.direct() as session:
                    done = await session.keys.reseal_some(place, after, batch)
                walked += done.moved
                broken += [each for each in done.broken if each not in broken]
                if done.last is None:
                    break
                after = done.last
            moved += walked
            if walked == 0:
                break
    return moved, broken

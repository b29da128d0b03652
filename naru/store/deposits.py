"""Deposits: facts from PGs. Booked once by the PG's own key, whatever they mean to us."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from naru.domain.money import Money
from naru.domain.outcome import Deposited
from naru.domain.payment import Payment
from naru.store.named import load
from naru.store.seal import DEPOSIT_SECRETS, BrokenSeal, Keyring

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("deposits")

log = logging.getLogger("naru.store")


class Deposits:
    """What arrived in virtual accounts."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def book(
        self,
        channel_id: int,
        deposited: Deposited,
        imp_uid: str | None,
        meaning: str,
        now: datetime,
    ) -> bool:
        """Write it down. False: this notice is booked already."""
        row = await self._connection.fetchrow(
            Q["book"],
            channel_id,
            deposited.notice_key,
            deposited.order_no,
            imp_uid,
            deposited.pg_tid,
            deposited.amount.minor,
            deposited.amount.currency,
            None
            if deposited.depositor is None
            else self._connection.keyring.seal(
                deposited.depositor.encode(),
                DEPOSIT_SECRETS,
                f"{channel_id}/{deposited.notice_key}",
            ),
            deposited.deposited_at,
            now,
            meaning,
        )
        return row is not None

    async def find(self, channel_ids: Sequence[int], notice_key: str) -> dict[str, Any] | None:
        """The deposit that was booked for this notice, at any of these channels."""
        row = await self._connection.fetchrow(Q["find"], list(channel_ids), notice_key)
        return None if row is None else dict(row)

    async def arrived(self, payment: Payment) -> tuple[int, datetime | None]:
        """What arrived in this payment's account in time, in minor units, and when the last of it came.

        Money of another account, of another currency or after the due date does not count.
        """
        account = payment.virtual_account
        assert account is not None, "only an account has deposits"
        which = (payment.imp_uid, payment.pg_tid, payment.amount.currency, account.due)
        total = await self._connection.fetchval(Q["total"], *which)
        return int(total), await self._connection.fetchval(Q["newest"], *which)

    async def surplus(self, payment: Payment, *, ever: bool = False) -> Money:
        """What lies in this payment's account at the PG beyond its amount: deposited too much, late or
        again, and not given back. `ever`: or was given back since."""
        currency = payment.amount.currency
        if payment.virtual_account is None:
            return Money(0, currency)
        total = await self._connection.fetchval(
            Q["in_account"], payment.imp_uid, payment.pg_tid, currency, ever
        )
        return Money(max(0, int(total) - payment.amount.minor), currency)

    async def give_back(
        self, channel_id: int, notice_key: str, who: str, note: str, now: datetime
    ) -> str:
        """A person saw that the PG gave this deposit back: `returned`, `again`, or `paid`.

        `paid`: a payment was paid with it. Then this transaction is lost.
        """
        try:
            made = await self._connection.fetchval(
                Q["give_back"], channel_id, notice_key, who, note, now
            )
        except asyncpg.IntegrityConstraintViolationError:
            return "paid"
        return "again" if made is None else "returned"

    async def early(self, imp_uid: str) -> list[str]:
        """The notices of deposits that came before their account was written here."""
        return [row["notice_key"] for row in await self._connection.fetch(Q["early"], imp_uid)]

    async def of_payment(self, imp_uid: str) -> list[dict[str, Any]]:
        """The deposits of one payment, oldest first."""
        rows = await self._connection.fetch(Q["of_payment"], imp_uid)
        keyring = self._connection.keyring
        return await self._connection.opened(lambda: [_read(row, keyring) for row in rows])


def _read(row: asyncpg.Record, keyring: Keyring) -> dict[str, Any]:
    """Every column, with the depositor's name; None for one that does not open, which is told."""
    found = dict(row)
    blob = found.pop("sealed")
    found["depositor"] = None
    if blob is not None:
        try:
            place = f"{row['channel_id']}/{row['notice_key']}"
            found["depositor"] = keyring.open(blob, DEPOSIT_SECRETS, place).decode()
        except BrokenSeal as error:
            log.error("%s", error)
    return found

"""Billing keys in the database. One row is one key that a PG was asked for; what opens it is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from naru.domain.billing_key import BillingKey, IssuedKey
from naru.domain.channel import Channel
from naru.domain.errors import KeyInProgress
from naru.domain.payment import Buyer, Card, Payment
from naru.store.named import load
from naru.store.pages import Page
from naru.store.payments import Payments
from naru.store.seal import BILLING_KEYS, Keyring

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("billing_keys")

REASON_CHARACTERS_MAX = 300
# Two keys of one customer that are made at the same moment: the later one replaces the earlier.
TRIES_AT_ONCE = 8


class Sealed(msgspec.Struct, omit_defaults=True):
    """What is sealed of a key: the PG's name for it, whose card it is, and a hash of what was asked."""

    key: str = ""
    name: str | None = None
    tel: str | None = None
    email: str | None = None
    addr: str | None = None
    postcode: str | None = None
    customer_id: str | None = None
    fingerprint: str = ""


_read_sealed = msgspec.json.Decoder(Sealed).decode


class BillingKeys:
    """What customers' cards are charged by."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, merchant_id: int, customer_uid: str) -> BillingKey | None:
        """The living key of this merchant's customer."""
        return await self._one(Q["live"], merchant_id, customer_uid)

    async def many(self, merchant_id: int, customer_uids: Sequence[str]) -> list[BillingKey]:
        """The living keys of these customers."""
        rows = await self._connection.fetch(Q["many_live"], merchant_id, list(customer_uids))
        keyring = self._connection.keyring
        return await self._connection.opened(lambda: [read_key(row, keyring) for row in rows])

    async def asking(self, merchant_id: int, customer_uid: str) -> BillingKey | None:
        """The open question for this customer's key."""
        return await self._one(Q["asking"], merchant_id, customer_uid)

    async def of_number(self, number: str, *, hold: bool = False) -> BillingKey | None:
        """The key that was asked for by our number; with `hold`, held until this transaction ends."""
        return await self._one(Q["hold"] if hold else Q["of_number"], number)

    async def ask(
        self,
        channel: Channel,
        customer_uid: str,
        number: str,
        customer: Buyer,
        customer_id: str | None,
        fingerprint: str,
        now: datetime,
        next_try_at: datetime,
    ) -> BillingKey:
        """A PG is about to be asked. Raises KeyInProgress while another question is open."""
        private = Sealed(
            name=customer.name,
            tel=customer.tel,
            email=customer.email,
            addr=customer.addr,
            postcode=customer.postcode,
            customer_id=customer_id,
            fingerprint=fingerprint,
        )
        try:
            asked = await self._one(
                Q["ask"],
                channel.merchant_id,
                customer_uid,
                channel.id,
                channel.pg_code,
                channel.mid,
                channel.test,
                number,
                now,
                next_try_at,
                self._seal(number, private),
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "one_asked_key":
                raise KeyInProgress from None
            raise
        assert asked is not None
        return asked

    async def make_live(
        self, key: BillingKey, issued: IssuedKey, now: datetime, tell_at: datetime
    ) -> BillingKey | None:
        """asking -> live; the key before it is replaced, and its PG told from `tell_at` on.

        None when somebody ended the question before. Inside one transaction.
        """
        card, customer = (
            issued.card or Card(),
            Sealed(
                key=issued.key,
                name=key.name,
                tel=key.tel,
                email=key.email,
                addr=key.addr,
                postcode=key.postcode,
                customer_id=key.customer_id,
                fingerprint=key.fingerprint,
            ),
        )
        sealed = self._seal(key.number, customer)

        async def put(inserted_at: datetime) -> BillingKey | None:
            return await self._one(
                Q["make_live"],
                key.number,
                inserted_at,
                now,
                card.issuer_code,
                card.issuer_name,
                card.number,
                card.type,
                sealed,
            )

        return await self._in_place(key.merchant_id, key.customer_uid, now, tell_at, put)

    async def changed_since(self, merchant_id: int, customer_uid: str, moment: datetime) -> bool:
        """Was a key of this customer made, replaced or deleted after that?"""
        found = await self._connection.fetchval(
            Q["changed_since"], merchant_id, customer_uid, moment
        )
        return bool(found)

    async def add_live(
        self,
        payment: Payment,
        issued: IssuedKey,
        now: datetime,
        tell_at: datetime,
        *,
        too_late: bool = False,
    ) -> BillingKey | None:
        """A key that came with this payment; as `make_live`. None: it is there already.

        `too_late`: it is not for use, and the PG is told to forget it.
        """
        assert payment.customer_uid is not None, "it is this customer's key"
        if await self.of_number(payment.pg_order_no) is not None:
            return None
        card = issued.card or payment.card or Card()
        sealed = self._seal(payment.pg_order_no, _whose(payment, issued.key))

        async def put(inserted_at: datetime) -> BillingKey | None:
            return await self._one(
                Q["add_replaced"] if too_late else Q["add_live"],
                payment.merchant_id,
                payment.customer_uid,
                payment.channel_id,
                payment.pg_code,
                payment.mid,
                payment.sandbox,
                payment.pg_order_no,
                payment.imp_uid,
                payment.started_at,
                inserted_at,
                now,
                card.issuer_code,
                card.issuer_name,
                card.number,
                card.type,
                sealed,
            )

        if too_late:
            return await put(now)
        return await self._in_place(payment.merchant_id, payment.customer_uid, now, tell_at, put)

    async def ask_kept(self, payment: Payment, next_try_at: datetime) -> bool:
        """Ask the PG for the key that came with this payment. False: it is known or asked for already,
        or another question about this customer is open."""
        sealed = self._seal(payment.pg_order_no, _whose(payment, ""))
        added = await self._connection.fetchval(
            Q["ask_kept"],
            payment.merchant_id,
            payment.customer_uid,
            payment.channel_id,
            payment.pg_code,
            payment.mid,
            payment.sandbox,
            payment.pg_order_no,
            payment.imp_uid,
            payment.started_at,
            next_try_at,
            sealed,
        )
        return added is not None

    async def _in_place(
        self, merchant_id: int, customer_uid: str, now: datetime, tell_at: datetime, put: Any
    ) -> BillingKey | None:
        """Put a living key where another may be."""
        for _ in range(TRIES_AT_ONCE):
            await self._connection.execute("SAVEPOINT living")
            before = await self._one(Q["replace"], merchant_id, customer_uid, now, tell_at)
            inserted_at = (
                now if before is None or before.inserted_at is None else before.inserted_at
            )
            try:
                placed: BillingKey | None = await put(inserted_at)
            except asyncpg.UniqueViolationError as error:
                if error.constraint_name != "one_live_key":
                    raise
                # Another one came to life a moment ago.
                await self._connection.execute("ROLLBACK TO SAVEPOINT living")
                continue
            if placed is None:
                await self._connection.execute("ROLLBACK TO SAVEPOINT living")
            return placed
        raise KeyInProgress

    async def refuse(self, key: BillingKey, now: datetime, reason: str) -> BillingKey | None:
        """asking -> refused. None when somebody ended the question before."""
        return await self._one(Q["refuse"], key.number, now, reason[:REASON_CHARACTERS_MAX])

    async def delete(
        self, merchant_id: int, customer_uid: str, now: datetime, reason: str, tell_at: datetime
    ) -> BillingKey | None:
        """live -> deleted. None: there is none."""
        return await self._one(
            Q["delete"], merchant_id, customer_uid, now, reason[:REASON_CHARACTERS_MAX], tell_at
        )

    async def forgotten(self, key: BillingKey, now: datetime) -> None:
        """The PG does not know it any more."""
        await self._connection.fetchval(Q["forgotten"], key.number, now)

    async def due(self, now: datetime, most: int) -> list[str]:
        """Numbers of keys to look at now, oldest first."""
        return [row["number"] for row in await self._connection.fetch(Q["due"], now, most)]

    async def lease(self, number: str, until: datetime, now: datetime) -> BillingKey | None:
        """Take a due key for one try; None when nothing is due."""
        return await self._one(Q["lease"], number, until, now)

    async def later(self, key: BillingKey, at: datetime) -> None:
        """Look again then, unless another one holds the lease by now."""
        await self._connection.fetchval(Q["later"], key.number, key.fence, at)

    async def keep(self, number: str, until: datetime) -> bool:
        """Who asks first keeps its question from the worker. False: it is in other hands."""
        return (await self._connection.fetchval(Q["keep"], number, until)) is not None

    async def hasten(self, number: str, now: datetime) -> None:
        """Make a doubtful question due now."""
        await self._connection.fetchval(Q["hasten"], number, now)

    async def payments(self, merchant_id: int, customer_uid: str, page: int, limit: int) -> Page:
        """The payments of this customer, newest first, a page of them."""
        total = await self._connection.fetchval(Q["payments_count"], merchant_id, customer_uid)
        rows = await self._connection.fetch(
            Q["payments_page"], merchant_id, customer_uid, limit, (page - 1) * limit
        )
        return Page(await Payments(self._connection).with_cancellations(rows), total)

    async def _one(self, query: Any, *values: Any) -> BillingKey | None:
        row = await self._connection.fetchrow(query, *values)
        if row is None:
            return None
        return await self._connection.opened(lambda: read_key(row, self._connection.keyring))

    def _seal(self, number: str, private: Sealed) -> bytes:
        return self._connection.keyring.seal(msgspec.json.encode(private), BILLING_KEYS, number)


def _whose(payment: Payment, key: str) -> Sealed:
    """What is sealed of a key that came with this payment."""
    buyer, customer_id = payment.buyer, payment.request.get("customer_id")
    return Sealed(
        key=key,
        name=buyer.name,
        tel=buyer.tel,
        email=buyer.email,
        addr=buyer.addr,
        postcode=buyer.postcode,
        customer_id=customer_id if isinstance(customer_id, str) else None,
    )


def read_key(row: asyncpg.Record, keyring: Keyring) -> BillingKey:
    """A key from its row. Raises BrokenSeal, UnknownDataKey."""
    blob, card = row["sealed"], None
    private = Sealed()
    if blob is not None:
        private = _read_sealed(keyring.open(blob, BILLING_KEYS, row["number"]))
    if row["card_code"] is not None or row["card_number"] is not None:
        card = Card(
            issuer_code=row["card_code"],
            issuer_name=row["card_name"],
            number=row["card_number"],
            type=row["card_type"],
        )
    return BillingKey(
        id=row["id"],
        merchant_id=row["merchant_id"],
        customer_uid=row["customer_uid"],
        channel_id=row["channel_id"],
        pg_code=row["pg_code"],
        mid=row["mid"],
        sandbox=row["sandbox"],
        number=row["number"],
        state=row["state"],
        asked_at=row["asked_at"],
        key=private.key,
        card=card,
        name=private.name,
        tel=private.tel,
        email=private.email,
        addr=private.addr,
        postcode=private.postcode,
        customer_id=private.customer_id,
        fingerprint=private.fingerprint,
        imp_uid=row["imp_uid"],
        reason=row["reason"],
        tries=row["tries"],
        fence=row["fence"],
        inserted_at=row["inserted_at"],
        updated_at=row["updated_at"],
        ended_at=row["ended_at"],
        forgotten_at=row["forgotten_at"],
    )

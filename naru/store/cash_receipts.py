"""Cash receipts in the database. One row is one question to the tax office; who it is about is sealed until it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from naru.domain.cash_receipt import (
    AlreadyIssued,
    CashReceipt,
    Identifier,
    IdentifierType,
    ReceiptIssued,
    ReceiptOrder,
    ReceiptType,
    Tax,
)
from naru.domain.channel import Channel
from naru.domain.money import Money
from naru.domain.outcome import Declined
from naru.domain.payment import Buyer
from naru.store.named import load
from naru.store.seal import CASH_RECEIPTS, Keyring

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("cash_receipts")


class Sealed(msgspec.Struct, omit_defaults=True):
    """What is sealed of a question: the person, and the words beside the amounts."""

    identifier: str
    identifier_type: str
    merchant_name: str
    order_name: str
    merchant_uid: str
    pg_tid: str | None = None
    product_type: str | None = None
    buyer_name: str | None = None
    buyer_email: str | None = None
    buyer_tel: str | None = None


_read_sealed = msgspec.json.Decoder(Sealed).decode


class CashReceipts:
    """What the tax office was told."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(
        self,
        channel: Channel,
        order: ReceiptOrder,
        imp_uid: str | None,
        now: datetime,
        next_try_at: datetime,
    ) -> CashReceipt:
        """The tax office is about to be told of the order `order.merchant_uid`. Without `imp_uid` it was
        paid outside.

        Raises AlreadyIssued, which ends the transaction.
        """
        private = Sealed(
            identifier=order.identifier.digits,
            identifier_type=order.identifier.type.value,
            merchant_name=order.merchant_name,
            order_name=order.order_name,
            merchant_uid=order.merchant_uid,
            pg_tid=order.pg_tid,
            product_type=order.product_type,
            buyer_name=order.buyer.name,
            buyer_email=order.buyer.email,
            buyer_tel=order.buyer.tel,
        )
        blob = self._connection.keyring.seal(
            msgspec.json.encode(private), CASH_RECEIPTS, order.number
        )
        tax = order.tax
        asked = await self._one(
            Q["ask"],
            channel.merchant_id,
            channel.id,
            imp_uid,
            order.merchant_uid,
            order.number,
            order.type.value,
            tax.amount.minor,
            tax.tax_free.minor,
            tax.vat.minor,
            now,
            next_try_at,
            blob,
        )
        assert asked is not None
        return asked

    async def of_number(self, number: str, *, hold: bool = False) -> CashReceipt | None:
        """The receipt that was asked for by our number; with `hold`, held until this transaction ends."""
        return await self._one(Q["hold"] if hold else Q["of_number"], number)

    async def of_payment(self, merchant_id: int, imp_uid: str) -> CashReceipt | None:
        """The newest receipt of this payment, whatever became of it, unless it was refused."""
        return await self._one(Q["of_payment"], merchant_id, imp_uid)

    async def of_order(self, merchant_id: int, merchant_uid: str) -> CashReceipt | None:
        """The same of an order that was paid outside."""
        return await self._one(Q["of_order"], merchant_id, merchant_uid)

    async def living(self, merchant_id: int, merchant_uid: str) -> CashReceipt | None:
        """The one receipt of this order that is asked for, or stands: paid here or outside."""
        return await self._one(Q["living"], merchant_id, merchant_uid)

    async def issue(
        self, number: str, issued: ReceiptIssued, *, take_back: bool, now: datetime
    ) -> CashReceipt | None:
        """asking -> issued; with `take_back` it is cancelled right after. None: it is not asking any more."""
        return await self._one(
            Q["issue"],
            number,
            issued.receipt_tid,
            issued.apply_num,
            issued.receipt_url,
            issued.issued_at,
            take_back,
            now,
        )

    async def refuse(self, receipt: CashReceipt, declined: Declined) -> CashReceipt | None:
        """asking -> refused. None when somebody else asks by now: theirs is the truth."""
        return await self._one(
            Q["refuse"], receipt.number, declined.code, declined.message, receipt.fence
        )

    async def revoke(self, number: str, now: datetime, next_try_at: datetime) -> CashReceipt | None:
        """issued -> cancelling. None: it is not issued (any more)."""
        return await self._one(Q["revoke"], number, now, next_try_at)

    async def revoked(self, number: str, at: datetime) -> CashReceipt | None:
        """cancelling -> cancelled. None: it is not cancelling any more."""
        return await self._one(Q["revoked"], number, at)

    async def keep_issued(self, receipt: CashReceipt, declined: Declined) -> CashReceipt | None:
        """cancelling -> issued: the PG will not. None when somebody else asks by now."""
        return await self._one(
            Q["keep_issued"], receipt.number, declined.code, declined.message, receipt.fence
        )

    async def due(self, now: datetime, most: int) -> list[str]:
        """Numbers of receipts whose answer is missing and should be looked for now, oldest first."""
        return [row["number"] for row in await self._connection.fetch(Q["due"], now, most)]

    async def lease(self, number: str, until: datetime, now: datetime) -> CashReceipt | None:
        """Take a due question for one try; None when it is not due."""
        return await self._one(Q["lease"], number, until, now)

    async def later(self, receipt: CashReceipt, at: datetime) -> None:
        """Look again then, unless another one holds the lease by now."""
        await self._connection.fetchval(Q["later"], receipt.number, receipt.fence, at)

    async def issued_of(self, imp_uids: Sequence[str]) -> frozenset[str]:
        """Of these payments those whose receipt we issued, and which still stands."""
        rows = await self._connection.fetch(Q["issued_of"], list(imp_uids))
        return frozenset(row["imp_uid"] for row in rows)

    async def _one(self, query: Any, *values: Any) -> CashReceipt | None:
        try:
            row = await self._connection.fetchrow(query, *values)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "one_receipt":
                raise AlreadyIssued from None
            raise
        if row is None:
            return None
        return await self._connection.opened(lambda: read_receipt(row, self._connection.keyring))


def read_receipt(row: asyncpg.Record, keyring: Keyring) -> CashReceipt:
    """A receipt from its row. Raises BrokenSeal, UnknownDataKey."""
    won, kind, order = "KRW", ReceiptType(row["type"]), None
    tax = Tax(Money(row["amount"], won), Money(row["tax_free"], won), Money(row["vat"], won))
    if row["sealed"] is not None:
        private = _read_sealed(keyring.open(row["sealed"], CASH_RECEIPTS, row["number"]))
        order = ReceiptOrder(
            number=row["number"],
            tax=tax,
            type=kind,
            identifier=Identifier(IdentifierType(private.identifier_type), private.identifier),
            merchant_name=private.merchant_name,
            order_name=private.order_name,
            merchant_uid=private.merchant_uid,
            pg_tid=private.pg_tid,
            buyer=Buyer(private.buyer_name, private.buyer_email, private.buyer_tel),
            product_type=private.product_type,
        )
    return CashReceipt(
        id=row["id"],
        merchant_id=row["merchant_id"],
        channel_id=row["channel_id"],
        number=row["number"],
        state=row["state"],
        type=kind,
        tax=tax,
        asked_at=row["asked_at"],
        imp_uid=row["imp_uid"],
        merchant_uid=row["merchant_uid"],
        receipt_tid=row["receipt_tid"],
        apply_num=row["apply_num"],
        receipt_url=row["receipt_url"],
        applied_at=row["applied_at"],
        cancel_asked_at=row["cancel_asked_at"],
        cancelled_at=row["cancelled_at"],
        cancels=row["cancels"],
        fail_code=row["fail_code"],
        fail_reason=row["fail_reason"],
        tries=row["tries"],
        fence=row["fence"],
        order=order,
    )

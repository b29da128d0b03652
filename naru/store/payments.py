"""Payments in the database. Every change is one conditional statement; no row back means no change."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import msgspec

from naru.domain.channel import Channel
from naru.domain.errors import AlreadyPaid
from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.outcome import AccountIssued, Approved, Cancelled
from naru.domain.payment import (
    Bank,
    Buyer,
    Cancellation,
    Card,
    Payment,
    Step,
    Surface,
    VirtualAccount,
)
from naru.store.channels import read_channel
from naru.store.merchants import read_merchant
from naru.store.named import load
from naru.store.seal import PAYMENT_SECRETS, BrokenSeal, Keyring

if TYPE_CHECKING:
    from naru.store.ask_together import Question
    from naru.store.connection import Connection

Q = load("payments")

log = logging.getLogger("naru.store")


class Case(NamedTuple):
    """A payment with all it belongs to."""

    payment: Payment
    channel: Channel
    merchant: Merchant


class Private(msgspec.Struct, omit_defaults=True):
    """What is sealed of a payment: whose it is, what the page gave, and the account number."""

    name: str | None = None
    email: str | None = None
    tel: str | None = None
    addr: str | None = None
    postcode: str | None = None
    custom_data: str | None = None
    request: dict[str, Any] = {}
    account: str | None = None


_read_private = msgspec.json.Decoder(Private).decode


class Payments:
    """Payments, their events and what was given back."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open(
        self, payment: Payment, window_secret_hash: bytes | None, *, if_free: bool = False
    ) -> Payment | None:
        """Write a new payment (step opened, version 1). None: its imp_uid is taken.

        With `if_free` also None when the order is approved or being approved, or was announced with
        other words for its amount; who opens such a payment has asked `taken` and `check_prepared`.
        """
        row = await self._connection.fetchrow(
            Q["open"],
            payment.imp_uid,
            payment.merchant_id,
            payment.merchant_uid,
            payment.channel_id,
            payment.pg_code,
            payment.mid,
            payment.sandbox,
            payment.surface,
            payment.pay_method,
            payment.amount.minor,
            payment.amount.currency,
            payment.tax_free.minor,
            None if payment.vat is None else payment.vat.minor,
            payment.name,
            payment.user_agent,
            payment.language,
            payment.escrow,
            list(payment.webhook_urls),
            payment.confirm_url,
            payment.return_url,
            payment.app_scheme,
            payment.page_origin,
            payment.window_mode,
            window_secret_hash,
            payment.callback_shape,
            payment.request_id,
            payment.pg_order_no,
            payment.customer_uid,
            payment.started_at,
            self._sealed(payment, None),
            not if_free,
            payment.customer_uid_usage,
        )
        return None if row is None else (await self._read([row]))[0]

    async def get(self, imp_uid: str) -> Payment | None:
        """One payment, whoever owns it. For the PG's and the clock's doors only."""
        return await self._one(Q["get"], imp_uid)

    async def case(self, imp_uid: str, window_secret_hash: bytes | None = None) -> Case | None:
        """One payment with its channel and its merchant, in one round trip.

        With a hash only for who holds the window's secret; without, for the PG's door only.
        """
        row = await self._connection.fetchrow(Q["case"], imp_uid, window_secret_hash)
        if row is None:
            return None
        [payment] = await self.with_cancellations([row])
        keyring = self._connection.keyring
        return await self._connection.opened(
            lambda: Case(
                payment, read_channel(row, keyring, "c_"), read_merchant(row, keyring, "m_")
            )
        )

    async def get_of_merchant(self, imp_uid: str, merchant_id: int) -> Payment | None:
        """One payment of this merchant."""
        return await self._one(Q["get_of_merchant"], imp_uid, merchant_id)

    async def by_tokens(self, questions: Sequence[Question]) -> list[asyncpg.Record | None]:
        """One row for each question, in their order: who is spoken for, and the payment if there is one.

        For `AskTogether`, which reads them.
        """
        found: list[asyncpg.Record | None] = [None] * len(questions)
        for row in await self._connection.fetch(Q["by_tokens"], *zip(*questions, strict=True)):
            place = row["place"] - 1
            assert found[place] is None, "one row at the most for each question"
            found[place] = row
        return found

    async def get_by_window(self, imp_uid: str, window_secret_hash: bytes) -> Payment | None:
        """The payment whose window holds this secret."""
        return await self._one(Q["get_by_window"], imp_uid, window_secret_hash)

    async def get_by_pg_order(self, pg_order_no: str) -> Payment | None:
        """The payment behind the number we gave to the PG."""
        return await self._one(Q["get_by_pg_order"], pg_order_no)

    async def many_of_merchant(
        self, merchant_id: int, imp_uids: Sequence[str], merchant_uids: Sequence[str]
    ) -> list[Payment]:
        """Payments by ids or order numbers, newest first, at most 1,000."""
        rows = await self._connection.fetch(
            Q["many_of_merchant"], merchant_id, list(imp_uids), list(merchant_uids)
        )
        return await self.with_cancellations(rows)

    async def taken(self, merchant_id: int, merchant_uid: str) -> Step | None:
        """The step of the payment that holds this order's one approval, if any."""
        step = await self._connection.fetchval(Q["taken"], merchant_id, merchant_uid)
        return None if step is None else Step(step)

    async def is_cash_here(self, merchant_id: int, merchant_uid: str) -> bool:
        """Whether this order's money came, or may come, by a payment."""
        return bool(await self._connection.fetchval(Q["is_cash_here"], merchant_id, merchant_uid))

    async def lock(self, imp_uid: str, merchant_id: int) -> Payment | None:
        """The payment, held until this transaction ends."""
        return await self._one(Q["lock"], imp_uid, merchant_id)

    async def paid_as(self, merchant_id: int, pg_tid: str, since: datetime) -> str | None:
        """The merchant's payment that was paid since then under this number of the PG's."""
        found: str | None = await self._connection.fetchval(
            Q["paid_as"], merchant_id, pg_tid, since
        )
        return found

    async def claim_for_approval(
        self,
        imp_uid: str,
        now: datetime,
        next_try_at: datetime,
        pay_method: str | None,
        journal: dict[str, Any],
        order: tuple[int, MerchantUid] | None = None,
    ) -> Payment | None:
        """opened -> approving, with the intent row; None when somebody else was first.

        With an order (merchant id, merchant_uid) also None when it was announced with other words
        for its amount: the same number may stand in another currency, which only `check_prepared`
        knows. Raises AlreadyPaid when another payment holds the order's one approval.
        """
        merchant_id, merchant_uid = order or (None, None)
        try:
            row = await self._connection.fetchrow(
                Q["claim_for_approval"],
                imp_uid,
                now,
                next_try_at,
                pay_method,
                journal,
                merchant_id,
                merchant_uid,
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "one_approval_per_order":
                raise AlreadyPaid from None
            raise
        return None if row is None else (await self._read([row]))[0]

    async def abandon(self, imp_uid: str, now: datetime, code: str, reason: str) -> Payment | None:
        """opened -> failed."""
        return await self._changed(Q["abandon"], imp_uid, now, code, reason)

    async def settle_paid(
        self,
        payment: Payment,
        approved: Approved,
        question: int | None = None,
        now: datetime | None = None,
    ) -> Payment | None:
        """approving -> paid, which answers `question` (an intent's id) `now`.

        None when somebody decided meanwhile; then the question stands.
        """
        card = approved.card or Card()
        bank = approved.bank or Bank()
        return await self._changed(
            Q["settle_paid"],
            payment.imp_uid,
            payment.version,
            approved.approved_at,
            approved.pg_tid,
            approved.pay_method,
            approved.hub_pg_code,
            approved.approval_number,
            card.issuer_code,
            card.issuer_name,
            card.number,
            card.installment_months,
            card.type,
            bank.code,
            bank.name,
            approved.receipt_url,
            approved.cash_receipt_issued,
            question,
            now,
        )

    async def settle_failed(
        self, payment: Payment, event: str, now: datetime, code: str, reason: str
    ) -> Payment | None:
        """approving -> failed (`event` is declined or undone)."""
        return await self._changed(
            Q["settle_failed"], payment.imp_uid, payment.version, event, now, code, reason
        )

    async def settle_account(self, payment: Payment, issued: AccountIssued) -> Payment | None:
        """approving -> waiting_deposit."""
        account = issued.account
        return await self._changed(
            Q["settle_account"],
            payment.imp_uid,
            payment.version,
            issued.pg_tid,
            account.bank_code,
            account.bank_name,
            account.holder,
            account.due,
            account.issued_at,
            self._sealed(payment, account.number),
        )

    async def settle_late(self, payment: Payment, paid_at: datetime, pg_tid: str) -> Payment | None:
        """failed -> paid, a fact of the PG; flagged when the order's one approval is held already.

        Inside one transaction.
        """
        return await self._as_fact(
            Q["settle_late"], payment.imp_uid, payment.version, paid_at, pg_tid
        )

    async def deposit(self, payment: Payment, paid_at: datetime) -> Payment | None:
        """waiting_deposit -> paid, a fact of the PG; flagged as `settle_late`. Inside one transaction."""
        return await self._as_fact(Q["deposit"], payment.imp_uid, payment.version, paid_at)

    async def _as_fact(self, query: Any, *values: Any) -> Payment | None:
        """A fact is written even when the order is paid already; then it is flagged."""
        await self._connection.execute("SAVEPOINT fact")
        try:
            return await self._changed(query, *values, False)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "one_approval_per_order":
                raise
        await self._connection.execute("ROLLBACK TO SAVEPOINT fact")
        return await self._changed(query, *values, True)

    async def overdue(
        self, due_before: datetime, asked_before: datetime, most: int
    ) -> list[tuple[int, str]]:
        """(merchant id, imp_uid) of accounts that wait past their due date and that no PG was asked to close lately."""
        rows = await self._connection.fetch(Q["overdue"], due_before, asked_before, most)
        return [(row["merchant_id"], row["imp_uid"]) for row in rows]

    async def change_account(
        self, payment: Payment, amount: Money, due: datetime
    ) -> Payment | None:
        """waiting_deposit stays, for another amount and until another time."""
        return await self._changed(
            Q["change_account"], payment.imp_uid, payment.version, amount.minor, due
        )

    async def close_account(self, payment: Payment, now: datetime, reason: str) -> Payment | None:
        """waiting_deposit -> failed."""
        return await self._changed(
            Q["close_account"], payment.imp_uid, payment.version, now, reason
        )

    async def cancel(
        self,
        payment: Payment,
        cancelled: Cancelled,
        reason: str,
        tax_free: Money,
        vat: Money | None,
    ) -> Payment | None:
        """paid -> paid or cancelled, with the row of this cancellation."""
        changed = await self._connection.fetchrow(
            Q["cancel"],
            payment.imp_uid,
            payment.version,
            cancelled.amount.minor,
            cancelled.cancelled_at,
            reason,
        )
        if changed is None:
            return None
        await self._connection.fetch(
            Q["add_cancellation"],
            cancelled.cancel_no,
            payment.imp_uid,
            cancelled.amount.minor,
            tax_free.minor,
            None if vat is None else vat.minor,
            reason,
            cancelled.pg_tid,
            cancelled.receipt_url,
            cancelled.cancelled_at,
        )
        return (await self.with_cancellations([changed]))[0]

    async def history(self, imp_uid: str) -> list[dict[str, Any]]:
        """The numbered events of one payment: version, event, step, cancelled, at."""
        return [dict(row) for row in await self._connection.fetch(Q["history"], imp_uid)]

    async def with_cancellations(self, rows: Sequence[asyncpg.Record]) -> list[Payment]:
        """Payments of these rows, each with its cancellations (one more query only if there are any)."""
        payments = await self._read(rows)
        ids = [payment.imp_uid for payment in payments if payment.cancelled]
        if not ids:
            return payments
        found: dict[str, list[Cancellation]] = {}
        currency = {payment.imp_uid: payment.amount.currency for payment in payments}
        for row in await self._connection.fetch(Q["cancellations_of_many"], ids):
            unit = currency[row["imp_uid"]]
            found.setdefault(row["imp_uid"], []).append(
                Cancellation(
                    cancellation_id=row["cancellation_id"],
                    amount=Money(row["amount"], unit),
                    reason=row["reason"],
                    pg_tid=row["pg_tid"],
                    cancelled_at=row["cancelled_at"],
                    receipt_url=row["receipt_url"],
                    tax_free=Money(row["tax_free"], unit),
                    vat=None if row["vat"] is None else Money(row["vat"], unit),
                )
            )
        return [
            replace(payment, cancellations=_known(payment, found.get(payment.imp_uid, [])))
            for payment in payments
        ]

    async def _one(self, query: Any, *values: Any) -> Payment | None:
        row = await self._connection.fetchrow(query, *values)
        return None if row is None else (await self.with_cancellations([row]))[0]

    async def _changed(self, query: Any, *values: Any) -> Payment | None:
        row = await self._connection.fetchrow(query, *values)
        return None if row is None else (await self._read([row]))[0]

    async def _read(self, rows: Sequence[asyncpg.Record]) -> list[Payment]:
        keyring = self._connection.keyring
        return await self._connection.opened(lambda: [read_payment(row, keyring) for row in rows])

    def _sealed(self, payment: Payment, account: str | None) -> bytes:
        buyer = payment.buyer
        private = Private(
            name=buyer.name,
            email=buyer.email,
            tel=buyer.tel,
            addr=buyer.addr,
            postcode=buyer.postcode,
            custom_data=payment.custom_data,
            request=payment.request,
            account=account,
        )
        return self._connection.keyring.seal(
            msgspec.json.encode(private), PAYMENT_SECRETS, payment.imp_uid
        )


def _known(payment: Payment, cancellations: Sequence[Cancellation]) -> tuple[Cancellation, ...]:
    """The first of these that add up to what the payment says was given back.

    The row was read a moment before them: what was cancelled between the two belongs to a version
    that this reader has not seen.
    """
    known: list[Cancellation] = []
    left = payment.cancelled.minor
    for each in cancellations:
        if left <= 0:
            break
        left -= each.amount.minor
        known.append(each)
    return tuple(known)


def open_private(row: asyncpg.Record, keyring: Keyring) -> Private:
    """What is sealed of this payment. A blob that does not open is told and left out: a payment can
    be read, approved and given back without it, and money goes before names. Raises UnknownDataKey.
    """
    blob = row["sealed"]
    if blob is None:
        return Private()
    try:
        return _read_private(keyring.open(blob, PAYMENT_SECRETS, row["imp_uid"]))
    except BrokenSeal as error:
        log.error("%s", error)
        return Private()


def read_payment(row: asyncpg.Record, keyring: Keyring) -> Payment:
    """A payment from its row, without cancellations. Raises UnknownDataKey."""
    private = open_private(row, keyring)
    currency = row["currency"]
    paid = row["pg_tid"] is not None
    issuer = row["card_issuer_code"]
    account = None
    if row["vbank_code"] is not None:
        account = VirtualAccount(
            bank_code=row["vbank_code"],
            bank_name=row["vbank_name"],
            number=private.account or "",
            holder=row["vbank_holder"],
            due=row["vbank_due"],
            issued_at=row["vbank_issued_at"],
        )
    card = None
    if paid and (issuer is not None or row["card_number"] is not None):
        card = Card(
            issuer_code=issuer,
            issuer_name=row["card_issuer_name"],
            number=row["card_number"],
            installment_months=row["card_installment_months"],
            type=row["card_type"],
        )
    bank = None
    if row["bank_code"] is not None:
        bank = Bank(row["bank_code"], row["bank_name"])
    return Payment(
        imp_uid=ImpUid(row["imp_uid"]),
        merchant_id=row["merchant_id"],
        merchant_uid=MerchantUid(row["merchant_uid"]),
        channel_id=row["channel_id"],
        pg_code=row["pg_code"],
        mid=row["mid"],
        sandbox=row["sandbox"],
        surface=Surface(row["surface"]),
        pay_method=row["pay_method"],
        step=Step(row["step"]),
        version=row["version"],
        amount=Money(row["amount"], currency),
        cancelled=Money(row["cancelled"], currency),
        tax_free=Money(row["tax_free"], currency),
        vat=None if row["vat"] is None else Money(row["vat"], currency),
        pg_order_no=row["pg_order_no"],
        started_at=row["started_at"],
        name=row["name"],
        buyer=Buyer(
            private.name,
            private.email,
            private.tel,
            private.addr,
            private.postcode,
        ),
        custom_data=private.custom_data,
        user_agent=row["user_agent"],
        language=row["language"],
        escrow=row["escrow"],
        webhook_urls=tuple(row["webhook_urls"]),
        confirm_url=row["confirm_url"],
        return_url=row["return_url"],
        app_scheme=row["app_scheme"],
        page_origin=row["page_origin"],
        window_mode=row["window_mode"],
        callback_shape=row["callback_shape"],
        request_id=row["request_id"],
        request=private.request,
        hub_pg_code=row["hub_pg_code"],
        pg_tid=row["pg_tid"],
        approval_number=row["approval_number"],
        card=card,
        bank=bank,
        virtual_account=account,
        receipt_url=row["receipt_url"],
        cash_receipt_issued=row["cash_receipt_issued"],
        customer_uid=row["customer_uid"],
        customer_uid_usage=row["customer_uid_usage"],
        fail_code=row["fail_code"],
        fail_reason=row["fail_reason"],
        cancel_reason=row["cancel_reason"],
        approving_at=row["approving_at"],
        paid_at=row["paid_at"],
        failed_at=row["failed_at"],
        cancelled_at=row["cancelled_at"],
        flagged=row["flagged"],
    )

"""What the merchant's server reads: our words put into i'mport's, one function per object.

Source: protocol facts, models §2-3, §9 and §10. Fields stand in alphabetical order, as PHP would send them (a test keeps it
so). Times are unix seconds in UTC and 0 for never; amounts are numbers in major units, integers for KRW.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from naru.domain.channel import Channel
from naru.domain.money import Money
from naru.domain.payment import Cancellation, Payment, Status, Step, Surface, public_status
from naru.domain.prepared import Prepared

Amount = int | float  # i'mport's number: an int wherever the amount is whole


class TokenAnnotation(msgspec.Struct, frozen=True):
    """`users/getToken`: exactly these three keys (a client of i'mport tests the set)."""

    access_token: str
    expired_at: int
    now: int


class PaymentCancelAnnotation(msgspec.Struct, frozen=True):
    """One cancel of a payment."""

    amount: Amount
    cancellation_id: str
    cancelled_at: int
    pg_tid: str
    reason: str
    receipt_url: str | None


class VbankDepositAnnotation(msgspec.Struct, frozen=True):
    """One deposit into a fixed account; such accounts are not issued yet, so lists of them are empty."""

    amount: Amount
    deposited_at: int
    depositor_name: str
    pg_tid: str


class ExtensionAnnotation(msgspec.Struct, frozen=True):
    """Who sent the money of a deposit, as the PG told it; null when it did not."""

    remitter: str | None = msgspec.field(name="REMITTER")


class PaymentAnnotation(msgspec.Struct, frozen=True, kw_only=True):
    """A payment: every key of today's documentation, always present; `extension` only for who asks for it."""

    amount: Amount
    apply_num: str | None
    bank_code: str | None
    bank_name: str | None
    buyer_addr: str | None
    buyer_email: str | None
    buyer_name: str | None
    buyer_postcode: str | None
    buyer_tel: str | None
    cancel_amount: Amount
    cancel_history: list[PaymentCancelAnnotation]
    cancel_reason: str | None
    cancel_receipt_urls: list[str]
    cancelled_at: int
    card_code: str | None
    card_issuer_code: str | None
    card_issuer_name: str | None
    card_name: str | None
    card_number: str | None
    card_publisher_code: str | None
    card_publisher_name: str | None
    card_quota: int
    card_type: int | None
    cash_receipt_issued: bool
    channel: Surface
    currency: str
    custom_data: str | None
    customer_uid: str | None
    customer_uid_usage: str | None
    deposit_history: list[VbankDepositAnnotation]
    emb_pg_provider: str | None
    escrow: bool
    extension: ExtensionAnnotation | UnsetType = UNSET
    fail_reason: str | None
    failed_at: int
    imp_uid: str
    merchant_uid: str
    name: str | None
    paid_at: int
    pay_method: str
    pg_id: str
    pg_provider: str
    pg_tid: str | None
    promotion: dict[str, Any] | None
    receipt_url: str | None
    sandbox: bool
    started_at: int
    status: Status
    user_agent: str | None
    vbank_code: str | None
    vbank_date: int
    vbank_holder: str | None
    vbank_issued_at: int
    vbank_name: str | None
    vbank_num: str | None


class PagedPaymentAnnotation(msgspec.Struct, frozen=True):
    """A page of payments; `previous` and `next` are page numbers, 0 where there is none."""

    list: list[PaymentAnnotation]
    next: int
    previous: int
    total: int


class PrepareAnnotation(msgspec.Struct, frozen=True):
    """An amount announced beforehand; `currency` is null when the merchant named none."""

    amount: Amount
    currency: str | None
    merchant_uid: str


class PgSettingAnnotation(msgspec.Struct, frozen=True):
    """A channel, as the merchant's console shows it."""

    channel_key: str
    channel_name: str
    pg_id: str
    pg_provider: str
    sandbox: bool
    type: str


class PaymentBalanceAnnotation(msgspec.Struct, frozen=True):
    """One kind of money of a payment, by its taxation; all negative in the history of a cancel."""

    service: Amount
    supply: Amount
    tax_free: Amount
    vat: Amount


class PaymentBalanceHistoriesAnnotation(msgspec.Struct, frozen=True):
    """The approval or one cancel."""

    cash_receipt: PaymentBalanceAnnotation
    created: int
    discount: PaymentBalanceAnnotation
    primary: PaymentBalanceAnnotation
    secondary: PaymentBalanceAnnotation


class PaymentBalanceResponseAnnotation(msgspec.Struct, frozen=True):
    """What is left of a payment, and how it came to that; `amount` is what was first paid."""

    amount: Amount
    cash_receipt: PaymentBalanceAnnotation
    discount: PaymentBalanceAnnotation
    histories: list[PaymentBalanceHistoriesAnnotation]
    primary: PaymentBalanceAnnotation
    secondary: PaymentBalanceAnnotation


class StandardCodeAnnotation(msgspec.Struct, frozen=True):
    """A card company or a bank."""

    code: str
    name: str


def unix(moment: datetime | None) -> int:
    """Unix seconds; 0 for never."""
    return 0 if moment is None else int(moment.timestamp())


def payment_annotation(
    payment: Payment,
    *,
    partial_cancel: Status = Status.CANCELLED,
    extension: ExtensionAnnotation | UnsetType = UNSET,
) -> PaymentAnnotation:
    """A payment in i'mport's words.

    What belongs to another state or another method is null or 0 (models §10): a ready payment
    shows no time of an end, a virtual account no card, a card no account.
    """
    status = public_status(payment, partial_cancel=partial_cancel)
    card, bank, account = payment.card, payment.bank, payment.virtual_account
    buyer = payment.buyer
    failed = payment.step is Step.FAILED
    cancels = [cancel_annotation(cancellation) for cancellation in payment.cancellations]
    return PaymentAnnotation(
        amount=payment.amount.to_wire(),
        apply_num=payment.approval_number,
        bank_code=bank.code if bank else None,
        bank_name=bank.name if bank else None,
        buyer_addr=buyer.addr,
        buyer_email=buyer.email,
        buyer_name=buyer.name,
        buyer_postcode=buyer.postcode,
        buyer_tel=buyer.tel,
        cancel_amount=payment.cancelled.to_wire(),
        cancel_history=cancels,
        cancel_reason=payment.cancel_reason,
        cancel_receipt_urls=[cancel.receipt_url for cancel in cancels if cancel.receipt_url],
        cancelled_at=unix(payment.cancelled_at),
        card_code=card.issuer_code if card else None,
        # i'mport tells issuer and publisher apart for few PGs only; ours tell one card company.
        card_issuer_code=None,
        card_issuer_name=None,
        card_name=card.issuer_name if card else None,
        card_number=card.number if card else None,
        card_publisher_code=None,
        card_publisher_name=None,
        card_quota=card.installment_months if card else 0,
        card_type=card.type if card else None,
        cash_receipt_issued=payment.cash_receipt_issued,
        channel=payment.surface,
        currency=payment.amount.currency,
        custom_data=payment.custom_data,
        customer_uid=payment.customer_uid,
        customer_uid_usage=payment.customer_uid_usage,
        deposit_history=[],
        emb_pg_provider=payment.hub_pg_code,
        escrow=payment.escrow,
        extension=extension,
        fail_reason=payment.fail_reason if failed else None,
        failed_at=unix(payment.failed_at) if failed else 0,
        imp_uid=payment.imp_uid,
        merchant_uid=payment.merchant_uid,
        name=payment.name,
        paid_at=unix(payment.paid_at),
        pay_method=payment.pay_method,
        pg_id=payment.mid,
        pg_provider=payment.pg_code,
        pg_tid=payment.pg_tid,
        promotion=None,
        receipt_url=payment.receipt_url,
        sandbox=payment.sandbox,
        started_at=unix(payment.started_at),
        status=status,
        user_agent=payment.user_agent,
        vbank_code=account.bank_code if account else None,
        vbank_date=unix(account.due) if account else 0,
        vbank_holder=account.holder if account else None,
        vbank_issued_at=unix(account.issued_at) if account else 0,
        vbank_name=account.bank_name if account else None,
        vbank_num=account.number if account else None,
    )


def cancel_annotation(cancellation: Cancellation) -> PaymentCancelAnnotation:
    """One entry of `cancel_history`."""
    return PaymentCancelAnnotation(
        amount=cancellation.amount.to_wire(),
        cancellation_id=cancellation.cancellation_id,
        cancelled_at=unix(cancellation.cancelled_at),
        pg_tid=cancellation.pg_tid,
        reason=cancellation.reason,
        receipt_url=cancellation.receipt_url,
    )


def page_annotation(
    payments: Sequence[Payment], *, total: int, page: int, limit: int, partial_cancel: Status
) -> PagedPaymentAnnotation:
    """One page of `total` payments."""
    return PagedPaymentAnnotation(
        list=[payment_annotation(each, partial_cancel=partial_cancel) for each in payments],
        next=page + 1 if page * limit < total else 0,
        previous=page - 1,
        total=total,
    )


def prepare_annotation(prepared: Prepared) -> PrepareAnnotation:
    """An announced amount."""
    return PrepareAnnotation(
        amount=prepared.amount.to_wire(),
        currency=prepared.amount.currency if prepared.currency_fixed else None,
        merchant_uid=prepared.merchant_uid,
    )


def channel_annotation(channel: Channel, name: str) -> PgSettingAnnotation:
    """A channel, without its keys at the PG."""
    return PgSettingAnnotation(
        channel_key=channel.channel_key,
        channel_name=name,
        pg_id=channel.mid,
        pg_provider=channel.pg_code,
        sandbox=channel.test,
        type=channel.kind,
    )


def balance_annotation(payment: Payment) -> PaymentBalanceResponseAnnotation:
    """What is left of a paid payment, by taxation. All of it was paid by the method itself (`primary`).

    Without the merchant's own word VAT is an eleventh of the taxable part, rounded (REST §5); the cancel
    that takes the last won takes the last of the VAT as well, so that the histories add up.
    """
    currency = payment.amount.currency

    def shares(minor: int, tax_free: int, vat: int, sign: int = 1) -> PaymentBalanceAnnotation:
        # Money is never negative, and the history of a cancel is: the sign is put before the number.
        supply, free, tax = (
            sign * Money(part, currency).to_wire()
            for part in (minor - tax_free - vat, tax_free, vat)
        )
        return PaymentBalanceAnnotation(service=0, supply=supply, tax_free=free, vat=tax)

    def entry(
        moment: datetime | None, primary: PaymentBalanceAnnotation
    ) -> PaymentBalanceHistoriesAnnotation:
        return PaymentBalanceHistoriesAnnotation(nothing, unix(moment), nothing, primary, nothing)

    nothing = shares(0, 0, 0)
    left, free = payment.amount.minor, payment.tax_free.minor
    tax = _vat_of(left - free) if payment.vat is None else payment.vat.minor
    histories = [entry(payment.paid_at, shares(left, free, tax))]
    for cancel in payment.cancellations:
        back = cancel.amount.minor
        back_free = min(free, cancel.tax_free.minor if cancel.tax_free else 0)
        if back == left:
            back_free, back_tax = free, tax
        elif cancel.vat is not None:
            back_tax = min(tax, cancel.vat.minor)
        else:
            back_tax = min(tax, _vat_of(back - back_free))
        histories.append(entry(cancel.cancelled_at, shares(back, back_free, back_tax, -1)))
        left, free, tax = left - back, free - back_free, tax - back_tax
    return PaymentBalanceResponseAnnotation(
        amount=payment.amount.to_wire(),
        cash_receipt=nothing,
        discount=nothing,
        histories=histories,
        primary=shares(left, free, tax),
        secondary=nothing,
    )


def _vat_of(taxable: int) -> int:
    return (taxable * 2 + 11) // 22

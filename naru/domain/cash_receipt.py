"""A cash receipt (현금영수증): what the tax office is told of money that was paid without a card.

Source: protocol facts, REST §8, models §7; which PG has which power, and what it wants to know, from the
official document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from naru.domain.errors import BadAmount, BadRequest, Refused
from naru.domain.money import Money
from naru.domain.payment import Buyer

# Money that no card company tells the tax office about (`point` is a wallet's own money).
CASH_METHODS = frozenset(
    ["trans", "vbank", "point", "naverpay_point", "tosspay_money", "ssgpay_bank"]
)

ISSUE = frozenset(
    [
        "html5_inicis",
        "kcp",
        "nice",
        "kicc",
        "settle",
        "daou",
        "tosspayments",
        "ksnet",
        "smartro",
        "smartro_v2",
        "nice_v2",
        "welcome",
    ]
)
REVOKE = ISSUE - {"kicc", "smartro"}
ISSUE_EXTERNAL = ISSUE - {"daou"}
REVOKE_EXTERNAL = REVOKE - {"daou"}
SPLIT_SLIP = frozenset(["html5_inicis"])

# What these PGs want to know beside the identifier.
NEEDS: dict[str, tuple[str, ...]] = {
    "ksnet": ("product_type", "buyer_name"),
    "kicc": ("identifier_type",),
    "settle": ("identifier_type",),
    "nice_v2": ("identifier_type", "type"),
    "smartro_v2": ("type", "buyer_name", "buyer_tel"),
    "welcome": ("type", "buyer_tel", "corp_reg_no"),
    "daou": ("company_tel", "company_name", "corp_reg_no"),
}
# For money that was paid outside, this one wants to know how as well.
NEEDS_EXTERNAL = {"welcome": (*NEEDS["welcome"], "pay_method")}


class ReceiptType(StrEnum):
    """Income deduction of a person, or proof of expense of a company."""

    PERSON = "person"
    COMPANY = "company"


class IdentifierType(StrEnum):
    """Under which number the tax office knows who paid."""

    PERSON = "person"
    BUSINESS = "business"
    PHONE = "phone"
    TAXCARD = "taxcard"


_FORMS = {
    IdentifierType.PHONE: re.compile(r"01[016789][0-9]{7,8}"),
    IdentifierType.BUSINESS: re.compile(r"[0-9]{10}"),
    IdentifierType.PERSON: re.compile(r"[0-9]{13}"),
    IdentifierType.TAXCARD: re.compile(r"[0-9]{13,19}"),
}


class BadIdentifier(BadRequest):
    """No number of that kind; the sentence repeats nothing of it."""

    sentence = "identifier 파라메터의 형식이 올바르지 않습니다."


class AlreadyIssued(BadRequest):
    """One live receipt per order of a merchant, paid here or outside."""

    sentence = "이미 현금영수증이 발급된 결제건입니다."


class NotPaidInCash(BadRequest):
    """Only a payment that is paid, in cash and in won, has a cash receipt."""

    sentence = "결제완료된 현금성 결제건만 현금영수증을 발급할 수 있습니다."


class NeverIssued(BadRequest):
    """There is no receipt to cancel."""

    sentence = "현금영수증이 발급된 내역이 존재하지 않습니다."


class ReceiptInProgress(Refused):
    """The tax office is being told, and nobody knows yet how that ended."""

    sentence = "현금영수증 발급(취소) 결과를 확인하고 있습니다. 잠시 후 조회해주세요."


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number of a person, a company, a phone or a card of the tax office: digits only. Its repr tells nothing."""

    type: IdentifierType
    digits: str = field(repr=False)

    @classmethod
    def read(cls, text: str, type_: IdentifierType | None = None) -> Identifier:
        """With or without hyphens and blanks. Without a type its form decides. Raises BadIdentifier."""
        digits = re.sub(r"[\s-]", "", text)
        fitting = [kind for kind, form in _FORMS.items() if form.fullmatch(digits)]
        if type_ is not None:
            fitting = [kind for kind in fitting if kind is type_]
        if not fitting or not digits.isascii():
            raise BadIdentifier
        return cls(fitting[0], digits)


@dataclass(frozen=True, slots=True)
class Tax:
    """How an amount divides: `tax_free`, `vat`, and the rest, which is taxed."""

    amount: Money
    tax_free: Money
    vat: Money

    @classmethod
    def of(cls, amount: Money, tax_free: Money | None, vat: Money | None) -> Tax:
        """VAT is an eleventh of what is taxed, rounded down, unless it is told. Raises BadAmount."""
        free = tax_free or Money(0, amount.currency)
        if free > amount:
            raise BadAmount("tax_free 가 금액보다 클 수 없습니다.")
        if vat is None:
            vat = Money((amount - free).minor // 11, amount.currency)
        if free + vat > amount:
            raise BadAmount("vat_amount 가 금액보다 클 수 없습니다.")
        return cls(amount, free, vat)


@dataclass(frozen=True, slots=True)
class ReceiptOrder:
    """The question: tell the tax office of this money. `number` is ours; the same number is the same question."""

    number: str
    tax: Tax
    type: ReceiptType
    identifier: Identifier
    merchant_name: str
    order_name: str
    merchant_uid: str
    pg_tid: str | None = None  # None: the money was not paid through us
    buyer: Buyer = field(default_factory=Buyer)
    product_type: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptIssued:
    """The tax office knows of it."""

    number: str
    receipt_tid: str
    apply_num: str
    amount: Money
    issued_at: datetime
    receipt_url: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptRevoked:
    """The tax office has forgotten it."""

    number: str
    revoked_at: datetime


@dataclass(frozen=True, slots=True)
class CashReceipt:
    """One question to the tax office and what became of it: of a payment (`imp_uid`), or, without one, of
    an order of the merchant that was paid outside.

    asking → issued | refused; issued → cancelling → cancelled, or issued again when the PG will not.
    """

    id: int
    merchant_id: int
    channel_id: int
    number: str
    state: str
    type: ReceiptType
    tax: Tax
    asked_at: datetime
    merchant_uid: str
    imp_uid: str | None = None
    receipt_tid: str | None = None
    apply_num: str | None = None
    receipt_url: str | None = None
    applied_at: datetime | None = None
    cancel_asked_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancels: int = 0
    fail_code: str | None = None
    fail_reason: str | None = None
    tries: int = 0
    fence: int = 0
    # What the question says beside that; kept (sealed) only until it is answered.
    order: ReceiptOrder | None = field(default=None, repr=False)

    @property
    def cancel_number(self) -> str:
        """Our number for the cancel that is asked for: one for each time it is."""
        return f"{self.number}-{self.cancels}"

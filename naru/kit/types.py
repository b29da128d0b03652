"""What the gateway tells, as frozen dataclasses in i'mport's own spelling.

Money is a `Decimal` in the currency's major unit, as on the wire (KRW 1004 is 1004, USD 12.50 is
12.5), never a float. Times are aware UTC datetimes; i'mport's 0 for "never" is None.
Unknown keys are ignored and a missing key is None. The facts that decide about money (`imp_uid`,
`merchant_uid`, `status`, `amount`, `cancel_amount`, `currency`, `sandbox`) must have the right type
when they are there, or the answer is malformed; a decoration of a wrong type is read as missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from naru.kit.errors import MalformedAnswer

Status = Literal["all", "ready", "paid", "cancelled", "failed"]
Sorting = Literal["-started", "started", "-paid", "paid", "-updated", "updated"]


class Facts:
    """One JSON object of the gateway, read with care. `of` is what to call it in an error."""

    def __init__(self, value: object, of: str) -> None:
        if not isinstance(value, dict):
            raise MalformedAnswer(f"the {of} in the answer is not an object")
        self.value: Mapping[str, Any] = value
        self.of = of

    def text(self, key: str) -> str | None:
        found = self.value.get(key)
        return found if isinstance(found, str) else None

    def whole(self, key: str) -> int | None:
        found = self.value.get(key)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def flag(self, key: str) -> bool | None:
        found = self.value.get(key)
        return found if isinstance(found, bool) else None

    def time(self, key: str) -> datetime | None:
        seconds = self.whole(key)
        try:
            return datetime.fromtimestamp(seconds, UTC) if seconds else None
        except (OverflowError, OSError, ValueError):
            return None

    def items(self, key: str) -> list[Any]:
        found = self.value.get(key)
        return found if isinstance(found, list) else []

    def needed_text(self, key: str) -> str:
        found = self.value.get(key)
        if not isinstance(found, str) or not found:
            raise MalformedAnswer(f"the {self.of} in the answer has no {key}")
        return found

    def strict_text(self, key: str) -> str | None:
        return None if self.value.get(key) is None else self.needed_text(key)

    def strict_flag(self, key: str) -> bool | None:
        found = self.value.get(key)
        if found is not None and not isinstance(found, bool):
            raise MalformedAnswer(f"{key} of the {self.of} in the answer is not a boolean")
        return found

    def money(self, key: str) -> Decimal | None:
        found = self.value.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | Decimal):
            raise MalformedAnswer(f"{key} of the {self.of} in the answer is not a number")
        return Decimal(found)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """One entry of `cancel_history`: money given back, all or part."""

    amount: Decimal | None
    cancelled_at: datetime | None
    reason: str | None
    pg_tid: str | None
    cancellation_id: str | None
    receipt_url: str | None

    @classmethod
    def read(cls, value: object) -> Cancellation:
        facts = Facts(value, "cancellation")
        return cls(
            amount=facts.money("amount"),
            cancelled_at=facts.time("cancelled_at"),
            reason=facts.text("reason"),
            pg_tid=facts.text("pg_tid"),
            cancellation_id=facts.text("cancellation_id"),
            receipt_url=facts.text("receipt_url"),
        )


@dataclass(frozen=True, slots=True)
class Payment:
    """One try at paying one order, as the gateway knows it. Source: PaymentAnnotation of V1."""

    imp_uid: str
    status: str
    merchant_uid: str | None = None
    amount: Decimal | None = None
    cancel_amount: Decimal | None = None
    currency: str | None = None
    sandbox: bool | None = None
    pay_method: str | None = None
    channel: str | None = None
    pg_provider: str | None = None
    emb_pg_provider: str | None = None
    pg_tid: str | None = None
    pg_id: str | None = None
    escrow: bool | None = None
    apply_num: str | None = None
    bank_code: str | None = None
    bank_name: str | None = None
    card_code: str | None = None
    card_name: str | None = None
    card_quota: int | None = None
    card_number: str | None = None
    card_type: int | None = None
    vbank_code: str | None = None
    vbank_name: str | None = None
    vbank_num: str | None = None
    vbank_holder: str | None = None
    vbank_date: datetime | None = None
    vbank_issued_at: datetime | None = None
    name: str | None = None
    buyer_name: str | None = None
    buyer_email: str | None = None
    buyer_tel: str | None = None
    buyer_addr: str | None = None
    buyer_postcode: str | None = None
    custom_data: str | None = None
    user_agent: str | None = None
    started_at: datetime | None = None
    paid_at: datetime | None = None
    failed_at: datetime | None = None
    cancelled_at: datetime | None = None
    fail_reason: str | None = None
    cancel_reason: str | None = None
    receipt_url: str | None = None
    cancel_history: tuple[Cancellation, ...] = ()
    cash_receipt_issued: bool | None = None
    customer_uid: str | None = None
    customer_uid_usage: str | None = None

    @classmethod
    def read(cls, value: object) -> Payment:
        """Raises MalformedAnswer when a fact that decides about money has a wrong type."""
        facts = Facts(value, "payment")
        decorations: dict[str, Any] = {
            **{key: facts.text(key) for key in _TEXTS},
            **{key: facts.whole(key) for key in ("card_quota", "card_type")},
            **{key: facts.flag(key) for key in ("escrow", "cash_receipt_issued")},
            **{key: facts.time(key) for key in _TIMES},
        }
        return cls(
            imp_uid=facts.needed_text("imp_uid"),
            status=facts.needed_text("status"),
            merchant_uid=facts.strict_text("merchant_uid"),
            amount=facts.money("amount"),
            cancel_amount=facts.money("cancel_amount"),
            currency=facts.strict_text("currency"),
            sandbox=facts.strict_flag("sandbox"),
            cancel_history=tuple(map(Cancellation.read, facts.items("cancel_history"))),
            **decorations,
        )


_TEXTS = (
    *("pay_method", "channel", "pg_provider", "emb_pg_provider", "pg_tid", "pg_id", "apply_num"),
    *("bank_code", "bank_name", "card_code", "card_name", "card_number"),
    *("vbank_code", "vbank_name", "vbank_num", "vbank_holder", "name"),
    *("buyer_name", "buyer_email", "buyer_tel", "buyer_addr", "buyer_postcode"),
    *("custom_data", "user_agent", "fail_reason", "cancel_reason", "receipt_url"),
    *("customer_uid", "customer_uid_usage"),
)
_TIMES = ("vbank_date", "vbank_issued_at", "started_at", "paid_at", "failed_at", "cancelled_at")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of payments. `previous` and `next` are page numbers, None when there is none."""

    total: int
    previous: int | None
    next: int | None
    payments: tuple[Payment, ...]

    @classmethod
    def read(cls, value: object) -> Page:
        facts = Facts(value, "page")
        found = facts.value.get("list")
        if not isinstance(found, list):
            raise MalformedAnswer("the page in the answer has no list")
        return cls(
            total=facts.whole("total") or 0,
            previous=facts.whole("previous") or None,
            next=facts.whole("next") or None,
            payments=tuple(map(Payment.read, found)),
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """An amount announced beforehand for an order number."""

    merchant_uid: str
    amount: Decimal | None
    currency: str | None

    @classmethod
    def read(cls, value: object) -> Prepared:
        facts = Facts(value, "prepared amount")
        return cls(
            facts.needed_text("merchant_uid"), facts.money("amount"), facts.strict_text("currency")
        )


@dataclass(frozen=True, slots=True)
class Share:
    """One share of a balance, split as a tax invoice wants it; negative after a refund."""

    tax_free: Decimal | None
    supply: Decimal | None
    vat: Decimal | None
    service: Decimal | None

    @classmethod
    def read(cls, value: object) -> Share | None:
        if value is None:
            return None
        facts = Facts(value, "share of a balance")
        return cls(*(facts.money(key) for key in ("tax_free", "supply", "vat", "service")))


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left of a payment, by where the money came from (PAYCO in production).

    `primary` is card, transfer or phone; `secondary` points; `discount` promotions.
    """

    amount: Decimal | None
    cash_receipt: Share | None
    primary: Share | None
    secondary: Share | None
    discount: Share | None

    @classmethod
    def read(cls, value: object) -> Balance:
        facts = Facts(value, "balance")
        shares = (
            Share.read(facts.value.get(key))
            for key in ("cash_receipt", "primary", "secondary", "discount")
        )
        return cls(facts.money("amount"), *shares)


@dataclass(frozen=True, slots=True)
class PgSetting:
    """One channel of the merchant, as `GET /users/pg` lists it."""

    pg_provider: str | None
    pg_id: str | None
    type: str | None
    sandbox: bool | None
    channel_name: str | None
    channel_key: str | None

    @classmethod
    def read(cls, value: object) -> PgSetting:
        facts = Facts(value, "PG setting")
        return cls(
            pg_provider=facts.text("pg_provider"),
            pg_id=facts.text("pg_id"),
            type=facts.text("type"),
            sandbox=facts.flag("sandbox"),
            channel_name=facts.text("channel_name"),
            channel_key=facts.text("channel_key"),
        )

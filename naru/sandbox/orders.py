"""An order: what a member announced, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

# Control characters would let one field of a signed text pretend to be two.
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"

ShortText = Annotated[str, Meta(max_length=120, pattern=_PLAIN)]
LongText = Annotated[str, Meta(max_length=500, pattern=_PLAIN)]
Url = Annotated[str, Meta(max_length=2000, pattern=r"^https?://[^\s/?#@\\]+([/?#][^\s\\]*)?\Z")]
Origin = Annotated[str, Meta(max_length=270, pattern=r"^https?://[A-Za-z0-9.\-\[\]:]+\Z")]
OrderNo = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{6,40}\Z")]
CancelNo = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{6,60}\Z")]
Amount = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]
AmountOrNothing = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Time = Annotated[int, Meta(ge=0, le=32_503_680_000)]
Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,40}\Z")]
Months = Annotated[int, Meta(ge=0, le=60)]

State = Literal[
    "registered",
    "authenticated",
    "approved",
    "waiting_deposit",
    "deposited",
    "cancelled",
    "declined",
    "failed",
    "abandoned",
    "closed",
    "undone",
]

MethodKind = Literal["card", "trans", "vbank", "phone", "wallet"]

MINIMUM_FOR_INSTALLMENTS_KRW = 50_000


class Buyer(msgspec.Struct, frozen=True):
    name: ShortText | None = None
    email: LongText | None = None
    tel: ShortText | None = None


class CardRule(msgspec.Struct, frozen=True, kw_only=True):
    """One card company (or `*`, all of them), and how many months it may offer."""

    code: Annotated[str, Meta(pattern=r"^(\*|[0-9A-Z]{2,5})\Z")]
    enabled: bool = True
    max_months: Months | None = None


class DirectCard(msgspec.Struct, frozen=True, kw_only=True):
    """The window begins at this card company; `months` null leaves them to the buyer."""

    code: Annotated[str, Meta(pattern=r"^[0-9A-Z]{2,5}\Z")]
    months: Months | None = None


class ProductLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is bought, for the buyer to read; `unit_price` in major units, as the merchant said it."""

    name: ShortText
    quantity: Annotated[int, Meta(ge=0, le=999)] = 1
    unit_price: Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)] | None = None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the merchant's page asks of the window. It narrows what is offered, and widens nothing."""

    cards: Annotated[tuple[CardRule, ...], Meta(max_length=60)] = ()
    direct: DirectCard | None = None
    free_interest: bool = False
    app_card_only: bool = False
    carriers: Annotated[tuple[Word, ...], Meta(max_length=10)] | None = None
    phone: ShortText | None = None
    company: ShortText | None = None
    period: ShortText | None = None
    escrow: bool = False
    products: Annotated[tuple[ProductLine, ...], Meta(max_length=50)] = ()

    def card(self, code: str) -> CardRule:
        """What holds for this card company: its own row, else that of all."""
        rules = {rule.code: rule for rule in self.cards}
        return rules.get(code) or rules.get("*") or CardRule(code=code)


class MallLine(msgspec.Struct, frozen=True, kw_only=True):
    """A product that a mall sells by an order of its own; amounts in the smallest unit, null: not said."""

    product_id: ShortText
    name: ShortText
    option_id: ShortText = ""
    option_name: ShortText = ""
    quantity: Annotated[int, Meta(ge=1, le=9_999)] = 1
    amount: Annotated[int, Meta(ge=0, le=1_000_000_000_000)] | None = None
    delivery_amount: Annotated[int, Meta(ge=0, le=1_000_000_000_000)] = 0


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/orders`; amounts in the currency's smallest unit, times in seconds."""

    order_no: OrderNo
    amount: AmountOrNothing  # nothing only where a card is kept
    currency: Currency
    tax_free: Annotated[int, Meta(ge=0, le=1_000_000_000_000)] = 0
    item_name: LongText
    merchant_name: LongText
    merchant_order_no: LongText
    pay_method: Word
    profile: Word
    surface: Literal["pc", "mobile"] = "pc"
    language: Literal["ko", "en", "zh", "ja"] = "ko"
    return_url: Url | None = None  # null for an account without a window
    notice_url: Url | None = None
    # null: the page that frames the window has no origin of its own to name (a WebView's local file)
    frame_ancestors: Annotated[tuple[Origin, ...], Meta(max_length=10)] | None = ()
    buyer: Buyer | None = None
    installments: Annotated[tuple[Months, ...], Meta(max_length=61)] | None = None
    rules: Rules = Rules()
    keep_card: bool = False  # under a billing key, which the approval answers
    vbank_due: Time | None = None
    mall: Annotated[tuple[MallLine, ...], Meta(max_length=50)] = ()
    bypass: dict[str, Any] | None = None  # the merchant's own words to this PG, untouched
    test: bool = True

    @property
    def method_kind(self) -> MethodKind:
        """Words that are no method of a bank or a card company are the names of wallets."""
        if self.pay_method in ("card", "trans", "vbank", "phone"):
            return self.pay_method  # type: ignore[return-value]
        return "wallet"

    @property
    def _can_be_split(self) -> bool:
        return self.currency == "KRW" and self.amount >= MINIMUM_FOR_INSTALLMENTS_KRW

    @property
    def offered_months(self) -> list[int]:
        """The months a buyer may choose; 0 is a lump sum.

        Korean card companies split a payment from 50,000 won upwards, and only in won.
        """
        if not self._can_be_split:
            return [0]
        if self.installments is None:
            return [0, *range(2, 13)]
        return sorted({0 if months == 1 else months for months in self.installments}) or [0]

    def months_of(self, card_code: str) -> list[int]:
        """The months this card company offers for this order; empty when its cards are not taken."""
        rule, direct = self.rules.card(card_code), self.rules.direct
        if not rule.enabled or (direct is not None and direct.code != card_code):
            return []
        if direct is not None and direct.months is not None:
            return [direct.months if self._can_be_split else 0]
        most = 60 if rule.max_months is None else rule.max_months
        return [months for months in self.offered_months if months <= most] or [0]


class OrderAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a member says of an order that needs no window."""

    order_no: OrderNo
    amount: Amount
    currency: Currency
    item_name: LongText
    merchant_name: LongText
    merchant_order_no: LongText
    profile: Word
    notice_url: Url | None = None
    buyer: Buyer | None = None
    test: bool = True

    def announcement(self, pay_method: str, **more: Any) -> Announcement:
        """The order as the ledger keeps it."""
        said = {name: getattr(self, name) for name in OrderAsk.__struct_fields__}
        return Announcement(pay_method=pay_method, **said, **more)


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What the buyer authenticated with: never a number, a password or a PIN in full."""

    card_id: str | None = None
    issuer_code: str | None = None
    issuer_name: str | None = None
    masked: str | None = None
    debit: bool = False
    installment_months: int = 0
    bank_code: str | None = None
    bank_name: str | None = None
    holder: str | None = None
    wallet: str | None = None
    carrier: str | None = None
    cash_receipt: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A row of the ledger's orders."""

    id: int
    mid: str
    order_no: str
    window_id: str
    announced: Announcement
    state: State
    created_at: int
    expires_at: int
    scenario: str | None
    wrong_tries: int
    means: Means | None
    authenticated_at: int | None
    auth_expires_at: int | None
    code: str
    message: str

    @property
    def amount(self) -> int:
        return self.announced.amount

    @property
    def currency(self) -> str:
        return self.announced.currency

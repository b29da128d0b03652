"""A billing key: the right to charge one card again, kept by the PG under a name of its own.

The card itself is never kept: `CardNumber` passes through on its way to the PG.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from naru.domain.errors import BadAmount, BadCard, NotSupported
from naru.domain.money import Money
from naru.domain.payment import Buyer, Card

_NUMBER = re.compile(r"[0-9]{12,19}")
_EXPIRY = re.compile(r"(20[0-9]{2})-?(0[1-9]|1[0-2])")
_BIRTH = re.compile(r"[0-9]{6}|[0-9]{10}")
_PASSWORD = re.compile(r"[0-9]{2}")
_CVC = re.compile(r"[0-9]{3,4}")

# PGs that keep cards only in their windows, and take none by API (rest.md §6.2 and §11.5).
WINDOW_ONLY = frozenset(
    {
        *("chai", "danal_tpay", "kakaopay", "kcp_billing", "kicc", "mobilians", "naverpay"),
        *("payco", "paypal_v2", "settle_acc", "settle_firm", "smartro", "smartro_v2"),
        *("tosspay_v2", "uplus"),
    }
)

# What a window that keeps a card does with the amount (rest.md §11.5, flows §8): shows it, takes it,
# or takes it when there is one. Phones are charged where cards are only kept.
_SHOWN, _TAKEN, _TAKEN_IF_ANY = "shown", "taken", "taken if any"
WINDOW_KEEPS: dict[str, str] = {
    **dict.fromkeys(
        (
            *("tosspayments", "kcp_billing", "html5_inicis", "kicc", "smartro_v2", "naverpay"),
            *("payco", "tosspay_v2", "paypal_v2", "nice_v2", "welcome", "galaxia"),
        ),
        _SHOWN,
    ),
    **dict.fromkeys(
        ("mobilians", "mobilians_v2", "paymentwall", "payletter_global", "danal"), _TAKEN
    ),
    **dict.fromkeys(("kakaopay", "danal_tpay", "settle_acc"), _TAKEN_IF_ANY),
}

# Its cards are kept by API alone (rest.md §11.5).
NICE_V2_KEEPS = ("kakaopay", "naverpay", "naverpay_card", "naverpay_point")


def amount_of_keeping(pg_code: str, pay_method: str, amount: Money) -> Money:
    """What is really taken when a window of this PG keeps a card: this amount, or nothing (unknowns D6).

    Raises NotSupported where windows keep none, BadAmount where an amount is needed.
    """
    how = WINDOW_KEEPS.get(pg_code)
    if pg_code == "nice_v2" and pay_method not in NICE_V2_KEEPS:
        how = None
    if how is None:
        raise NotSupported(f"{pg_code} 은(는) 결제창 빌링키 발급을 지원하지 않습니다.")
    if how == _SHOWN and pay_method == "phone" and pg_code in ("welcome", "galaxia"):
        how = _TAKEN
    if how == _TAKEN and not amount:
        raise BadAmount
    return Money(0, amount.currency) if how == _SHOWN else amount


@dataclass(frozen=True, slots=True, repr=False)
class CardNumber:
    """A card as its holder would type it. Never stored, never logged; its repr tells nothing.

    `number` is digits only, `expiry` is `YYYY-MM`, `birth` six digits or a business number of ten.
    """

    number: str
    expiry: str
    birth: str | None = None
    password: str | None = None
    cvc: str | None = None

    @classmethod
    def read(
        cls,
        number: str,
        expiry: str,
        birth: str | None = None,
        password: str | None = None,
        cvc: str | None = None,
    ) -> CardNumber:
        """With or without hyphens and blanks (unknowns.md A38). Raises BadCard, which repeats nothing."""
        digits = re.sub(r"[\s-]", "", number)
        found = _EXPIRY.fullmatch(expiry.strip())
        born = None if birth is None else re.sub(r"[\s-]", "", birth)
        if (
            _NUMBER.fullmatch(digits) is None
            or found is None
            or (born is not None and _BIRTH.fullmatch(born) is None)
            or (password is not None and _PASSWORD.fullmatch(password.strip()) is None)
            or (cvc is not None and _CVC.fullmatch(cvc.strip()) is None)
        ):
            raise BadCard
        return cls(
            digits,
            f"{found[1]}-{found[2]}",
            born,
            None if password is None else password.strip(),
            None if cvc is None else cvc.strip(),
        )

    def __repr__(self) -> str:
        return "CardNumber(...)"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """What a PG says of a key that it made: the key, and the card as far as it tells."""

    number: str
    key: str = field(repr=False)
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class BillingKey:
    """A key of one merchant's customer, named by `customer_uid`.

    `number` is our own number for the question that made it, `key` the PG's name for it (sealed at
    rest). `inserted_at` is when the customer first had one, `updated_at` when it was issued anew.
    """

    id: int
    merchant_id: int
    customer_uid: str
    channel_id: int
    pg_code: str
    mid: str
    sandbox: bool
    number: str
    state: str
    asked_at: datetime
    key: str = field(default="", repr=False)
    card: Card | None = None
    name: str | None = field(default=None, repr=False)
    tel: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    addr: str | None = field(default=None, repr=False)
    postcode: str | None = field(default=None, repr=False)
    customer_id: str | None = field(default=None, repr=False)
    # A keyed hash of the question, card and all: to compare another question with it.
    fingerprint: str = field(default="", repr=False)
    imp_uid: str | None = None
    reason: str | None = None
    tries: int = 0
    fence: int = 0
    inserted_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    forgotten_at: datetime | None = None

    @property
    def deleted_at(self) -> datetime | None:
        """When the merchant deleted it."""
        return self.ended_at if self.state == "deleted" else None

    @property
    def buyer(self) -> Buyer:
        """The customer as a buyer."""
        return Buyer(self.name, self.email, self.tel, self.addr, self.postcode)

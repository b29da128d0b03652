"""What several operations take, as typed keywords. Lengths and meanings: REST facts §1.7, §4-§6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict

from naru.kit.operations.call import Call, money_of, text_of, the_payment, unix_seconds
from naru.kit.types import Payment

Money = Decimal | int


class Buyer(TypedDict, total=False):
    """Who pays, for you to find again; the gateway cuts what is too long."""

    buyer_name: str
    buyer_email: str
    buyer_tel: str
    buyer_addr: str
    buyer_postcode: str


class Order(Buyer, total=False):
    """What an order may carry."""

    notice_url: str | list[str]
    custom_data: str


class Charge(Order, total=False):
    """What a charge without a window may carry. `bypass` goes to the PG as it is."""

    currency: str
    tax_free: Money
    vat_amount: Money
    card_quota: int
    interest_free_by_merchant: bool
    use_card_point: bool
    browser_ip: str
    product_type: Literal["real", "digital"]
    promotion_id: str
    bypass: Mapping[str, Any]


class Customer(TypedDict, total=False):
    """Whose card it is. `customer_id` is the buyer's own id, which some PGs want."""

    customer_id: str
    customer_name: str
    customer_tel: str
    customer_email: str
    customer_addr: str
    customer_postcode: str


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it is printed, on its way to the PG. Never log it, never keep it; its repr is empty.

    `expiry` is YYYY-MM; `birth` six digits, or the ten of a business; `password` the first two digits.
    """

    number: str = field(repr=False)
    expiry: str = field(repr=False)
    birth: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    cvc: str | None = field(default=None, repr=False)

    def fields(self) -> dict[str, str]:
        """In i'mport's spelling."""
        given = {
            "card_number": self.number,
            "expiry": self.expiry,
            "birth": self.birth,
            "pwd_2digit": self.password,
            "cvc": self.cvc,
        }
        return {name: value for name, value in given.items() if value is not None}


def begin(
    path: str, merchant_uid: str, amount: Money, asked: Mapping[str, Any], **own: Any
) -> Call[Payment]:
    """A call that begins the payment of an order, and reads it."""
    order = {"merchant_uid": text_of("merchant_uid", merchant_uid), "amount": money_of(amount)}
    read = the_payment("merchant_uid", merchant_uid)
    return Call("POST", path, read, fields=wired(asked, **order, **own))


def wired(asked: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """Keywords as fields of a request: times become unix seconds, None is left out, a float is refused."""
    return {
        name: _wire(name, value) for name, value in {**own, **asked}.items() if value is not None
    }


def _wire(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return unix_seconds(value)
    if isinstance(value, float):
        raise TypeError(f"{name} is an int or a Decimal, never a float")
    if isinstance(value, Decimal):
        return money_of(value)
    if isinstance(value, Mapping):
        return {
            key: _wire(f"{name}.{key}", each) for key, each in value.items() if each is not None
        }
    if isinstance(value, list | tuple):
        return [_wire(name, each) for each in value]
    return value

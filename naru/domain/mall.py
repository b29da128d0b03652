"""Orders at a mall: what a buyer bought product by product, and what a merchant tells the PG about it.

One payment pays for one or more product orders, and each lives its own life: placed, shipped, sent
back, exchanged. That life is kept by the PG; we keep what we told it, and where money moves the
payment's own cancellations. Source: protocol facts, REST §10 and models §9.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from naru.domain.errors import NaruError, Refused

WHOLE_ORDER = ""  # the subject of an act that is about no single product


class MallAct(StrEnum):
    """What can be told about a product order, or about an order as a whole."""

    CANCEL = "cancel"
    APPROVE_CANCEL = "approve-cancel"
    PLACE = "place"
    SHIP = "ship"
    SHIP_EXCHANGED = "ship-exchanged"
    COLLECT_EXCHANGED = "collect-exchanged"
    REQUEST_RETURN = "request-return"
    APPROVE_RETURN = "approve-return"
    REJECT_RETURN = "reject-return"
    WITHHOLD_RETURN = "withhold-return"
    RESOLVE_RETURN = "resolve-return"
    GIVE_POINTS = "point"
    CONFIRM = "confirm"
    ORDER_STATUS = "order-status"
    DELIVERY = "delivery"

    @property
    def gives_money_back(self) -> bool:
        """Such an act is a cancel of the payment, and goes its way."""
        return self in (MallAct.CANCEL, MallAct.APPROVE_CANCEL, MallAct.APPROVE_RETURN)


@dataclass(frozen=True, slots=True)
class Address:
    """Where goods go."""

    base: str
    postcode: str
    tel1: str
    name: str
    detail: str | None = None
    tel2: str | None = None


@dataclass(frozen=True, slots=True)
class Orderer:
    """Who ordered; `id` is masked by the PG."""

    name: str
    id: str
    tel: str


@dataclass(frozen=True, slots=True)
class ProductOrder:
    """One product of an order as the PG has it. Amounts in the smallest unit of the payment's currency."""

    id: str
    order_no: str
    status: str
    claim_type: str | None
    claim_status: str | None
    product_id: str
    product_name: str
    option_id: str
    option_name: str
    product_amount: int
    delivery_amount: int
    quantity: int
    orderer: Orderer | None
    address: Address | None
    shipping_memo: str | None
    shipping_due: datetime | None
    individual_code: str | None

    @property
    def refund(self) -> int:
        """What goes back when this product order is cancelled."""
        return self.product_amount + self.delivery_amount


@dataclass(frozen=True, slots=True)
class Review:
    """What a buyer wrote about a product. Score: general 0 to 2, premium 10 to 13."""

    id: str
    score: str
    title: str
    content: str | None
    product_order_id: str
    order_no: str
    product_id: str
    product_name: str
    option_name: str | None
    writer: str
    created_at: datetime
    modified_at: datetime | None


@dataclass(frozen=True, slots=True)
class CashAmount:
    """How much of a payment a cash receipt may be issued for; smallest unit."""

    total: int
    by_point: int
    by_primary: int
    supply: int
    vat: int


@dataclass(frozen=True, slots=True)
class OrderAct:
    """Something to be told to the PG about an order. `number` is ours; `subject` a product order, or none."""

    number: str
    order_no: str
    subject: str
    act: MallAct
    said: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acted:
    """The PG did it."""

    number: str


class AskedBefore(NaruError):
    """This act was taken up or refused by somebody else meanwhile: read what became of it."""


class NoMall(Refused):
    """The PG of this payment has nothing of the kind."""

    code = -1
    sentence = "해당 API를 지원하지 않는 PG사입니다."

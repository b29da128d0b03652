"""What the gateway tells besides payments: keys, schedules, certifications, receipts, shipments, codes.

Read as types.py reads: money is a `Decimal`, a time an aware UTC datetime (i'mport's 0 is None), unknown
keys are ignored, a missing key is None. A field without a default must be there, or the answer is malformed.
Source: V1, models §4-§9.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self, get_type_hints

from naru.kit.errors import MalformedAnswer
from naru.kit.types import Facts

_READERS: dict[object, Callable[[Facts, str], Any]] = {
    str: Facts.needed_text,
    str | None: Facts.text,
    int | None: Facts.whole,
    bool | None: Facts.flag,
    datetime | None: Facts.time,
    Decimal | None: Facts.money,
}


class Record:
    """One JSON object, read by the types of its own fields."""

    __slots__ = ()
    of: ClassVar[str]

    @classmethod
    def read(cls, value: object) -> Self:
        """Raises MalformedAnswer for what is no object of this kind."""
        facts = Facts(value, cls.of)
        return cls(**{name: reader(facts, name) for name, reader in _plan(cls)})


_PLANS: dict[type[Record], list[tuple[str, Callable[[Facts, str], Any]]]] = {}


def _plan(record: type[Record]) -> list[tuple[str, Callable[[Facts, str], Any]]]:
    """Name and reader of each field, found out once."""
    if record not in _PLANS:
        hints = get_type_hints(record)
        _PLANS[record] = [
            (each.name, each.metadata.get("read") or _READERS[hints[each.name]])
            for each in dataclasses.fields(record)  # type: ignore[arg-type]  # every Record is one
        ]
    return _PLANS[record]


@dataclass(frozen=True, slots=True)
class Channel(Record):
    """A key at one of the channels of a super billing key, or why there is none."""

    of: ClassVar[str] = "channel of a billing key"
    pg_provider: str | None = None
    pg_id: str | None = None
    card_code: str | None = None
    card_name: str | None = None
    card_number: str | None = None
    card_type: int | None = None
    type: str | None = None
    message: str | None = None
    inserted: datetime | None = None
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class BillingKey(Record):
    """A card kept under your name for it (`customer_uid`). The card itself stays with the PG.

    A super billing key has no PG of its own but `succeeded_channels` and `failed_channels`.
    """

    of: ClassVar[str] = "billing key"
    customer_uid: str
    pg_provider: str | None = None
    pg_id: str | None = None
    sandbox: bool | None = None
    customer_id: str | None = None
    card_code: str | None = None
    card_name: str | None = None
    card_number: str | None = None
    card_type: int | None = None
    card_issuer_code: str | None = None
    card_issuer_name: str | None = None
    card_publisher_code: str | None = None
    card_publisher_name: str | None = None
    customer_name: str | None = None
    customer_tel: str | None = None
    customer_email: str | None = None
    customer_addr: str | None = None
    customer_postcode: str | None = None
    inserted: datetime | None = None
    updated: datetime | None = None
    succeeded_channels: tuple[Channel, ...] = field(
        default=(), metadata={"read": lambda facts, _: _channels(facts, "succeededChannels")}
    )
    failed_channels: tuple[Channel, ...] = field(
        default=(), metadata={"read": lambda facts, _: _channels(facts, "failedChannels")}
    )


def _channels(facts: Facts, name: str) -> tuple[Channel, ...]:
    return tuple(map(Channel.read, facts.items(name)))


@dataclass(frozen=True, slots=True)
class Schedule(Record):
    """A charge planned for a time. `schedule_status`: scheduled, executed, revoked; once executed,
    `payment_status` (paid, failed, cancelled) and `imp_uid` say what came of it.
    """

    of: ClassVar[str] = "schedule"
    merchant_uid: str
    customer_uid: str
    schedule_status: str
    payment_status: str | None = None
    imp_uid: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    schedule_at: datetime | None = None
    executed_at: datetime | None = None
    revoked_at: datetime | None = None
    fail_reason: str | None = None
    pg_provider: str | None = None
    pg_id: str | None = None
    customer_id: str | None = None
    name: str | None = None
    buyer_name: str | None = None
    buyer_email: str | None = None
    buyer_tel: str | None = None
    buyer_addr: str | None = None
    buyer_postcode: str | None = None
    custom_data: str | None = None
    promotion_id: str | None = None


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """One page of schedules. `previous` and `next` are page numbers, None when there is none."""

    total: int
    previous: int | None
    next: int | None
    schedules: tuple[Schedule, ...]

    @classmethod
    def read(cls, value: object) -> SchedulePage:
        """Also reads the bare list that i'mport's document promises."""
        if isinstance(value, list):
            return cls(len(value), None, None, tuple(map(Schedule.read, value)))
        facts = Facts(value, "page")
        found = facts.value.get("list")
        if not isinstance(found, list):
            raise MalformedAnswer("the page in the answer has no list")
        return cls(
            facts.whole("total") or 0,
            facts.whole("previous") or None,
            facts.whole("next") or None,
            tuple(map(Schedule.read, found)),
        )


@dataclass(frozen=True, slots=True)
class Certification(Record):
    """Who a person is. `unique_key` (CI) and `unique_in_site` (DI) are the same for the same person.

    `birth` is midnight of the birthday in Korea. `phone` and `carrier` need a contract.
    """

    of: ClassVar[str] = "certification"
    imp_uid: str
    merchant_uid: str | None = None
    certified: bool | None = None
    certified_at: datetime | None = None
    name: str | None = None
    gender: str | None = None
    birth: datetime | None = None
    birthday: str | None = None
    foreigner: bool | None = None
    foreigner_v2: bool | None = None
    phone: str | None = None
    carrier: str | None = None
    unique_key: str | None = None
    unique_in_site: str | None = None
    pg_tid: str | None = None
    pg_provider: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt(Record):
    """A cash receipt: of a payment (`imp_uid`), or of cash taken elsewhere (`merchant_uid`)."""

    of: ClassVar[str] = "cash receipt"
    imp_uid: str | None = None
    merchant_uid: str | None = None
    receipt_tid: str | None = None
    apply_num: str | None = None
    type: str | None = None
    amount: Decimal | None = None
    vat: Decimal | None = None
    receipt_url: str | None = None
    applied_at: datetime | None = None
    cancelled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shipment(Record):
    """A parcel of an escrow payment: courier, its number, when it left and when it was told."""

    of: ClassVar[str] = "shipment"
    company: str
    invoice: str
    sent_at: datetime | None = None
    applied_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StandardCode(Record):
    """A card company or a bank."""

    of: ClassVar[str] = "standard code"
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Tier(Record):
    """A sub-merchant of an agency."""

    of: ClassVar[str] = "tier"
    tier_code: str
    tier_name: str


@dataclass(frozen=True, slots=True)
class QuickMember(Record):
    """A member of KCP quick pay."""

    of: ClassVar[str] = "member"
    member_id: str
    pg_provider: str | None = None
    pg_id: str | None = None
    inserted: datetime | None = None
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What Paymentwall said about a delivery that was told to it."""

    error_code: int | None
    error: str | None
    notices: tuple[str, ...]

    @classmethod
    def read(cls, value: object) -> Delivery:
        """An answer without a word is a good one."""
        facts = Facts({} if value is None else value, "delivery")
        notices = tuple(each for each in facts.items("notices") if isinstance(each, str))
        return cls(facts.whole("error_code"), facts.text("error"), notices)


@dataclass(frozen=True, slots=True)
class Address(Record):
    """Where a Naver order goes."""

    of: ClassVar[str] = "address"
    name: str | None = None
    base: str | None = None
    detail: str | None = None
    postcode: str | None = None
    tel1: str | None = None
    tel2: str | None = None


@dataclass(frozen=True, slots=True)
class Orderer(Record):
    """Who ordered at Naver; the id is masked."""

    of: ClassVar[str] = "orderer"
    name: str | None = None
    id: str | None = None
    tel: str | None = None


@dataclass(frozen=True, slots=True)
class ProductOrder(Record):
    """One product of a Naver order. The enums are those of models §9."""

    of: ClassVar[str] = "product order"
    product_order_id: str
    product_order_status: str | None = None
    claim_type: str | None = None
    claim_status: str | None = None
    product_id: str | None = None
    product_name: str | None = None
    product_option_id: str | None = None
    product_option_name: str | None = None
    product_amount: Decimal | None = None
    delivery_amount: Decimal | None = None
    quantity: int | None = None
    orderer: Orderer | None = field(
        default=None, metadata={"read": lambda facts, name: _inner(Orderer, facts, name)}
    )
    shipping_address: Address | None = field(
        default=None, metadata={"read": lambda facts, name: _inner(Address, facts, name)}
    )
    shipping_memo: str | None = None
    shipping_due: datetime | None = None
    individual_code: str | None = None


def _inner(record: type[Record], facts: Facts, name: str) -> Record | None:
    found = facts.value.get(name)
    return None if found is None else record.read(found)


@dataclass(frozen=True, slots=True)
class Review(Record):
    """A review of a Naver order. `score`: 0-2 of a general one, 10-13 of a premium one."""

    of: ClassVar[str] = "review"
    review_id: str
    score: str | None = None
    title: str | None = None
    content: str | None = None
    product_order_id: str | None = None
    product_id: str | None = None
    product_name: str | None = None
    product_option_name: str | None = None
    writer: str | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CashAmount(Record):
    """How much of a Naver payment a cash receipt may be issued for."""

    of: ClassVar[str] = "cash amount"
    amount_total: Decimal | None = None
    amount_by_npoint: Decimal | None = None
    amount_by_primary: Decimal | None = None
    amount_supply: Decimal | None = None
    amount_vat: Decimal | None = None

"""Paymentwall: where the goods of a payment are; without that it pays no merchant out.

Source: protocol facts, REST §10 and models §9. The official document gives `status` ten characters and then
names words of twelve: the words hold.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from naru.domain.errors import OutcomeUnknown
from naru.domain.mall import MallAct
from naru.rest import messages
from naru.rest.coerce import Seconds, Text, malformed
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation
from naru.rest.orders_at_pg import paid_by, recall, tell

TYPES = ("physical", "digital")
STATUSES = ("order_placed", "order_shipped", "delivering", "delivered")


class Delivery(msgspec.Struct):
    """What `paymentwall/delivery` takes. The carrier and the whole address are needed for physical goods."""

    imp_uid: Annotated[str, Text(40)]
    merchant_uid: Annotated[str, Text(40)]
    type: Annotated[str, Text(10)]
    status: Annotated[str, Text(20)]
    estimated_delivery_datetime: Annotated[int, Seconds()]
    estimated_update_datetime: Annotated[int, Seconds()]
    refundable: Annotated[str, Text(64)]
    shipping_address_email: Annotated[str, Text(50)]
    carrier_tracking_id: Annotated[str, Text(64)] | None = None
    carrier_type: Annotated[str, Text(64)] | None = None
    shipping_address_country: Annotated[str, Text(40)] | None = None
    shipping_address_city: Annotated[str, Text(40)] | None = None
    shipping_address_zip: Annotated[str, Text(40)] | None = None
    shipping_address_state: Annotated[str, Text(40)] | None = None
    shipping_address_street: Annotated[str, Text(40)] | None = None
    shipping_address_phone: Annotated[str, Text(40)] | None = None
    shipping_address_firstname: Annotated[str, Text(40)] | None = None
    shipping_address_lastname: Annotated[str, Text(40)] | None = None
    reason: Annotated[str, Text(64)] | None = None
    details: Annotated[str, Text(400)] | None = None


PHYSICAL_NEEDS = (
    "carrier_tracking_id",
    "carrier_type",
    "shipping_address_country",
    "shipping_address_city",
    "shipping_address_zip",
    "shipping_address_state",
    "shipping_address_street",
    "shipping_address_phone",
    "shipping_address_firstname",
    "shipping_address_lastname",
)


class PaymentwallDeliveryAnnotation(msgspec.Struct, frozen=True):
    """Paymentwall's own answer: it took the delivery, or why not."""

    error: str | None
    error_code: int | None
    notices: list[str]
    success: int


async def register_delivery(call: Call, request: Delivery) -> Answer:
    """Register where the goods are. 400 for what is missing, 404 for a payment of another PG."""
    said = _said(request)
    payment, channel = await paid_by(call, request.imp_uid, "paymentwall", messages.NOT_PAYMENTWALL)
    if payment.merchant_uid != request.merchant_uid:
        raise HttpRefusal(400, messages.OTHER_ORDER_NUMBER)
    await tell(call, payment, channel, MallAct.DELIVERY, said)
    return _registered()


async def recall_delivery(call: Call, request: Delivery, round_no: str) -> Answer:
    """What became of it."""
    payment, channel = await paid_by(call, request.imp_uid, "paymentwall", messages.NOT_PAYMENTWALL)
    try:
        await recall(call, payment, channel, round_no)
    except OutcomeUnknown:
        return not_known_yet(None)
    return _registered()


def _registered() -> Answer:
    return success(PaymentwallDeliveryAnnotation(None, None, [], 1))


def _said(request: Delivery) -> dict[str, str | int]:
    """What is told, checked. Raises HttpRefusal 400, which names the field."""
    for name, words in (
        ("type", TYPES),
        ("status", STATUSES),
        ("refundable", ("yes", "no")),
    ):
        if getattr(request, name) not in words:
            raise malformed(name)
    if "@" not in request.shipping_address_email.strip("@"):
        raise malformed("shipping_address_email")
    said: dict[str, str | int] = {}
    for name in request.__struct_fields__[2:]:
        value = getattr(request, name)
        if value is None and request.type == "physical" and name in PHYSICAL_NEEDS:
            raise HttpRefusal(400, messages.missing(name))
        if isinstance(value, str):
            value = " ".join(value.split())
            if not value.isprintable():
                raise malformed(name)
        if value is not None:
            said[name] = value
    return said


OPERATIONS = (
    Operation(
        "POST",
        "/paymentwall/delivery",
        Delivery,
        "(페이먼트월) 배송등록",
        "paymentwall",
        register_delivery,
        recall=recall_delivery,
        answer=PaymentwallDeliveryAnnotation,
        english="Paymentwall: register a delivery",
    ),
)

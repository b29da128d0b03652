"""PAYCO: where the order of a payment stands. Source: protocol facts, REST §10. It moves no money."""

from __future__ import annotations

from typing import Annotated

import msgspec

from naru.domain.errors import OutcomeUnknown
from naru.domain.mall import MallAct
from naru.rest import messages
from naru.rest.coerce import Text, malformed
from naru.rest.envelope import Answer, not_known_yet, success
from naru.rest.operation import Call, Operation
from naru.rest.orders_at_pg import paid_by, recall, tell

STATUSES = ("DELIVERY_START", "PURCHASE_DECISION", "CANCELED")


class ChangeStatus(msgspec.Struct):
    """What `payco/orders/status/{imp_uid}` takes."""

    imp_uid: Annotated[str, Text()]
    status: Annotated[str, Text(40)]


class PaycoStatusAnnotation(msgspec.Struct, frozen=True):
    """Where the order stands now."""

    status: str


async def change_status(call: Call, request: ChangeStatus) -> Answer:
    """Tell PAYCO where the order stands; 404 for a payment of another PG. Refusals in PAYCO's words."""
    if request.status not in STATUSES:
        raise malformed("status")
    payment, channel = await paid_by(call, request.imp_uid, "payco", messages.NOT_PAYCO)
    await tell(call, payment, channel, MallAct.ORDER_STATUS, {"status": request.status})
    return success(PaycoStatusAnnotation(request.status))


async def recall_status(call: Call, request: ChangeStatus, round_no: str) -> Answer:
    """What became of it."""
    payment, channel = await paid_by(call, request.imp_uid, "payco", messages.NOT_PAYCO)
    try:
        await recall(call, payment, channel, round_no)
    except OutcomeUnknown:
        return not_known_yet(None)
    return success(PaycoStatusAnnotation(request.status))


OPERATIONS = (
    Operation(
        "POST",
        "/payco/orders/status/{imp_uid}",
        ChangeStatus,
        "(페이코) 주문상태 변경",
        "payco",
        change_status,
        recall=recall_status,
        answer=PaycoStatusAnnotation,
        english="PAYCO: change the status of an order",
    ),
)

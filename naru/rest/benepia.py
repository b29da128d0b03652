"""`/benepia`: welfare points by the name and password of a person. Source: protocol facts, REST §10.

The password goes to the PG over its signed line; it is neither kept nor logged.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from naru.domain.channel import choose_api_channel
from naru.domain.point_account import PointAccount
from naru.payments.pay_by_points import pay_by_points, points_left
from naru.rest.annotations import PaymentAnnotation
from naru.rest.coerce import Text
from naru.rest.envelope import Answer, success
from naru.rest.opening import (
    Order,
    annotated,
    merchant_and_channels,
    read_order,
    recall_payment,
)
from naru.rest.operation import Call, Operation


class PointsLeft(msgspec.Struct):
    """What `POST /benepia/point` takes."""

    benepia_user: Annotated[str, Text(100)]
    benepia_password: Annotated[str, Text(100)]
    channel_key: Annotated[str, Text(100)] | None = None


class PayByPoints(Order, kw_only=True):
    """What `POST /benepia/payment` takes. Without `benepia_member_code` it is a test payment."""

    benepia_user: Annotated[str, Text(100)]
    benepia_password: Annotated[str, Text(100)]
    name: Annotated[str, Text(40, cut=True)]
    benepia_member_code: Annotated[str, Text(40)] | None = None
    channel_key: Annotated[str, Text(100)] | None = None


class BenepiaPointAnnotation(msgspec.Struct, frozen=True):
    """The points that a person has."""

    point: int


async def show(call: Call, request: PointsLeft) -> Answer:
    """How many points this person has; the PG's words for a wrong password."""
    _, channels = await merchant_and_channels(call)
    channel = choose_api_channel(channels, channel_key=request.channel_key)
    account = PointAccount(request.benepia_user, request.benepia_password)
    return success(BenepiaPointAnnotation(await points_left(call.gateway, channel, account)))


async def pay(call: Call, request: PayByPoints) -> Answer:
    """Pay an order by points, at once."""
    merchant, channels = await merchant_and_channels(call)
    channel = choose_api_channel(channels, channel_key=request.channel_key)
    opening = read_order(call, request, merchant, channel, "point")
    account = PointAccount(
        request.benepia_user, request.benepia_password, request.benepia_member_code
    )
    payment = await pay_by_points(call.gateway, opening, account, call.once)
    return success(annotated(call, payment))


OPERATIONS = (
    Operation(
        "POST",
        "/benepia/point",
        PointsLeft,
        "베네피아 포인트 조회",
        "benepia",
        show,
        answer=BenepiaPointAnnotation,
        english="How many Benepia points a person has",
    ),
    Operation(
        "POST",
        "/benepia/payment",
        PayByPoints,
        "베네피아 포인트 결제",
        "benepia",
        pay,
        recall=recall_payment,
        answer=PaymentAnnotation,
        english="Pay an order by Benepia points",
    ),
)

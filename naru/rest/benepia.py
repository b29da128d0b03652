"""`/benepia`: welfare points by the name and password of a person. Source: protocol facts, REST §10.

The password goes to the PG over its signed line; it is neither kept nor logged.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from naru.domain.channel import choose_api_channel
from naru.domain.errors import PgRefused
from naru.domain.ids import MerchantUid, is_merchant_uid
from naru.domain.merchant import origin_of
from naru.domain.money import Money
from naru.domain.payment import Buyer, Payment, Step, Surface
from naru.domain.point_account import PointAccount
from naru.payments.pay_by_points import pay_by_points, points_left
from naru.payments.start import Opening
from naru.rest.annotations import PaymentAnnotation, payment_annotation
from naru.rest.coerce import Text, json_text, malformed, number, texts
from naru.rest.envelope import Answer, not_known_yet, success
from naru.rest.operation import Call, Operation
from naru.rest.subscribe import NOTICE_URLS_MAX, merchant_and_channels


class PointsLeft(msgspec.Struct):
    """What `POST /benepia/point` takes."""

    benepia_user: Annotated[str, Text(100)]
    benepia_password: Annotated[str, Text(100)]
    channel_key: Annotated[str, Text(100)] | None = None


class PayByPoints(msgspec.Struct):
    """What `POST /benepia/payment` takes. Without `benepia_member_code` it is a test payment."""

    benepia_user: Annotated[str, Text(100)]
    benepia_password: Annotated[str, Text(100)]
    merchant_uid: Annotated[str, Text(40)]
    amount: Annotated[str | int | Decimal, number]
    name: Annotated[str, Text(40, cut=True)]
    benepia_member_code: Annotated[str, Text(40)] | None = None
    channel_key: Annotated[str, Text(100)] | None = None
    buyer_name: Annotated[str, Text(16, cut=True)] | None = None
    buyer_email: Annotated[str, Text(64, cut=True)] | None = None
    buyer_tel: Annotated[str, Text(16, cut=True)] | None = None
    buyer_addr: Annotated[str, Text(128, cut=True)] | None = None
    buyer_postcode: Annotated[str, Text(8, cut=True)] | None = None
    notice_url: Annotated[tuple[str, ...], texts] = ()
    custom_data: Annotated[str, json_text] | None = None


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
    if not is_merchant_uid(request.merchant_uid):
        raise malformed("merchant_uid")
    if len(request.notice_url) > NOTICE_URLS_MAX or not all(map(origin_of, request.notice_url)):
        raise malformed("notice_url")
    amount = Money.from_wire(request.amount, "KRW")
    merchant, channels = await merchant_and_channels(call)
    opening = Opening(
        merchant=merchant,
        channel=choose_api_channel(channels, channel_key=request.channel_key),
        merchant_uid=MerchantUid(request.merchant_uid),
        amount=amount,
        surface=Surface.API,
        pay_method="point",
        name=request.name,
        buyer=Buyer(
            request.buyer_name,
            request.buyer_email,
            request.buyer_tel,
            request.buyer_addr,
            request.buyer_postcode,
        ),
        custom_data=request.custom_data,
        user_agent=call.user_agent,
        webhook_urls=request.notice_url,
    )
    account = PointAccount(
        request.benepia_user, request.benepia_password, request.benepia_member_code
    )
    return paid(call, await pay_by_points(call.gateway, opening, account, call.once))


async def recall_pay(call: Call, request: msgspec.Struct, imp_uid: str) -> Answer:
    """What became of the payment that a repeated request began."""
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(imp_uid, call.merchant_id)
    assert payment is not None, "a key is bound to a payment of its own merchant"
    if payment.step is Step.FAILED:
        raise PgRefused(payment.fail_code or "", payment.fail_reason or "")
    if payment.step in (Step.OPENED, Step.APPROVING):
        return not_known_yet(_annotation(call, payment))
    return paid(call, payment)


def paid(call: Call, payment: Payment) -> Answer:
    """The payment as it stands."""
    return success(_annotation(call, payment))


def _annotation(call: Call, payment: Payment) -> PaymentAnnotation:
    return payment_annotation(payment, partial_cancel=call.gateway.partial_cancel_status)


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
        recall=recall_pay,
        answer=PaymentAnnotation,
        english="Pay an order by Benepia points",
    ),
)

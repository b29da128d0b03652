"""What every operation shares that opens a payment without a window: the order it reads, the payment it answers with.

Source: protocol facts, REST §1.7 (lengths), §3, §5, §9 and §10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from naru.domain.channel import Channel
from naru.domain.errors import PgRefused
from naru.domain.ids import MerchantUid, is_merchant_uid
from naru.domain.merchant import Merchant, origin_of
from naru.domain.money import Money
from naru.domain.payment import Buyer, Payment, Step, Surface
from naru.payments.start import Opening
from naru.rest import messages
from naru.rest.annotations import PaymentAnnotation, payment_annotation
from naru.rest.coerce import Number, Text, json_text, malformed, number, texts
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call

NOTICE_URLS_MAX = 10


class Order(msgspec.Struct, kw_only=True):
    """What a request tells of the order that it pays for."""

    merchant_uid: Annotated[str, Text(40)]
    amount: Annotated[Number, number]
    name: Annotated[str, Text(40, cut=True)] | None = None
    buyer_name: Annotated[str, Text(16, cut=True)] | None = None
    buyer_email: Annotated[str, Text(64, cut=True)] | None = None
    buyer_tel: Annotated[str, Text(16, cut=True)] | None = None
    buyer_addr: Annotated[str, Text(128, cut=True)] | None = None
    buyer_postcode: Annotated[str, Text(8, cut=True)] | None = None
    custom_data: Annotated[str, json_text] | None = None
    notice_url: Annotated[tuple[str, ...], texts] = ()


async def merchant_and_channels(call: Call) -> tuple[Merchant, list[Channel]]:
    """Who calls, and the contracts they have."""
    async with call.gateway.store.direct() as session:
        merchant = await session.merchants.get(call.merchant_id)
        channels = await session.channels.of_merchant(call.merchant_id)
    if merchant is None:
        raise HttpRefusal(401, messages.UNAUTHORIZED)
    return merchant, channels


def read_order(
    call: Call,
    order: Order,
    merchant: Merchant,
    channel: Channel,
    pay_method: str,
    currency: str = "KRW",
) -> Opening:
    """An order as the verbs take it. Raises HttpRefusal 400, BadAmount, UnknownCurrency."""
    return Opening(
        merchant=merchant,
        channel=channel,
        merchant_uid=read_merchant_uid(order.merchant_uid),
        amount=Money.from_wire(order.amount, currency),
        surface=Surface.API,
        pay_method=pay_method,
        name=order.name,
        buyer=Buyer(
            order.buyer_name,
            order.buyer_email,
            order.buyer_tel,
            order.buyer_addr,
            order.buyer_postcode,
        ),
        custom_data=order.custom_data,
        user_agent=call.user_agent,
        webhook_urls=read_notice_urls(order.notice_url),
    )


def read_merchant_uid(text: str) -> MerchantUid:
    """The merchant's own number. Raises HttpRefusal 400."""
    if not is_merchant_uid(text):
        raise malformed("merchant_uid")
    return MerchantUid(text)


def read_notice_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Where the news of this payment go. Raises HttpRefusal 400 for too many, and for what is no address."""
    if len(urls) > NOTICE_URLS_MAX or not all(map(origin_of, urls)):
        raise malformed("notice_url")
    return urls


def money_of(amount: Number | None, currency: str) -> Money | None:
    """An amount that may be left out. Raises BadAmount, UnknownCurrency."""
    return None if amount is None else Money.from_wire(amount, currency)


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were sent: what a PG may want to know later, kept beside the payment as it came."""
    return {name: value for name, value in fields.items() if value is not None}


async def payment_of(call: Call, imp_uid: str) -> Payment:
    """The payment that an Idempotency-Key is bound to."""
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(imp_uid, call.merchant_id)
    assert payment is not None, "a key is bound to a payment of its own merchant"
    return payment


async def recall_payment(call: Call, request: msgspec.Struct, imp_uid: str) -> Answer:
    """What became of the payment that a repeated request began."""
    payment = await payment_of(call, imp_uid)
    if payment.step is Step.FAILED:
        raise PgRefused(payment.fail_code or "", payment.fail_reason or "", imp_uid)
    if payment.step in (Step.OPENED, Step.APPROVING):
        return not_known_yet(annotated(call, payment))
    return success(annotated(call, payment))


def annotated(call: Call, payment: Payment) -> PaymentAnnotation:
    """The payment in i'mport's words, as this house tells them."""
    return payment_annotation(payment, partial_cancel=call.gateway.partial_cancel_status)

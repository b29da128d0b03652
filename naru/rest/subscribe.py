"""Payments without a window: by a card's number, or by a billing key. Source: protocol facts, REST §5."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec

from naru.domain.billing_key import CardNumber
from naru.domain.channel import Channel, choose_api_channel
from naru.domain.errors import BadCard, NoBillingKey, PgRefused, Refused
from naru.domain.ids import CUSTOMER_UID_CHARACTERS_MAX
from naru.domain.merchant import Merchant
from naru.domain.outcome import NOT_SENT
from naru.domain.payment import Buyer
from naru.payments.pay_by_billing_key import pay_by_billing_key
from naru.payments.pay_by_card_number import pay_by_card_number
from naru.payments.start import Opening
from naru.rest import messages
from naru.rest.annotations import PaymentAnnotation
from naru.rest.coerce import Number, Text, flag, json_text, number, whole
from naru.rest.envelope import Answer, success
from naru.rest.opening import (
    Order,
    annotated,
    given,
    merchant_and_channels,
    money_of,
    payment_of,
    read_order,
    recall_payment,
)
from naru.rest.operation import Call, Operation

# Our own codes for a PG that was not asked, for want of a line or of a place.
NOT_ASKED = (NOT_SENT, "F500")


class SubscribeExtra(msgspec.Struct, rename={"naver_use_cfm": "naverUseCfm"}):
    """What Naver Pay wants to know: the day from which on the thing bought is used, YYYYMMDD."""

    naver_use_cfm: Annotated[str, Text(8)] | None = None


class Charge(Order, kw_only=True):
    """What every payment without a window takes. `vat` is the old name of `vat_amount`."""

    currency: Annotated[str, Text(3)] = "KRW"
    tax_free: Annotated[Number, number] | None = None
    vat_amount: Annotated[Number, number] | None = None
    vat: Annotated[Number, number] | None = None
    card_quota: Annotated[int, whole] = 0
    interest_free_by_merchant: Annotated[bool, flag] = False
    use_card_point: Annotated[bool, flag] = False
    browser_ip: Annotated[str, Text(45, cut=True)] | None = None
    product_type: Annotated[str, Text(20)] | None = None
    product_count: Annotated[int, whole] | None = None
    promotion_id: Annotated[str, Text(80)] | None = None
    bypass: Annotated[str, json_text] | None = None


class PayOnce(Charge, kw_only=True, rename={"channel_group": "channelGroupId"}):
    """What `POST /subscribe/payments/onetime` takes: a card, and perhaps the name to keep it under."""

    card_number: Annotated[str, Text(40)]
    expiry: Annotated[str, Text(10)]
    birth: Annotated[str, Text(12)] | None = None
    pwd_2digit: Annotated[str, Text(4)] | None = None
    cvc: Annotated[str, Text(4)] | None = None
    customer_uid: Annotated[str, Text(CUSTOMER_UID_CHARACTERS_MAX)] | None = None
    pg: Annotated[str, Text(80)] | None = None
    channel_key: Annotated[str, Text(100)] | None = None
    channel_group: Annotated[str, Text(55)] | None = None
    secure_3d_charge_id: Annotated[str, Text(200)] | None = None
    secure_3d_token: Annotated[str, Text(200)] | None = None


class PayAgain(Charge, kw_only=True):
    """What `POST /subscribe/payments/again` takes. `channel_key` chooses among the keys of a super billing key."""

    customer_uid: Annotated[str, Text(CUSTOMER_UID_CHARACTERS_MAX)]
    # The document requires it; clients that exist leave it out.
    name: Annotated[str, Text(40, cut=True)] | None = None
    cash_receipt_type: Annotated[str, Text(20)] | None = None
    extra: SubscribeExtra = msgspec.field(default_factory=SubscribeExtra)
    channel_key: Annotated[str, Text(100)] | None = None


class NewCustomer(msgspec.Struct, kw_only=True):
    """A customer, and the card to keep under its name. The card goes to the PG and is kept nowhere else."""

    customer_uid: Annotated[str, Text(CUSTOMER_UID_CHARACTERS_MAX)]
    card_number: Annotated[str, Text(40)] | None = None
    expiry: Annotated[str, Text(10)] | None = None
    birth: Annotated[str, Text(12)] | None = None
    pwd_2digit: Annotated[str, Text(4)] | None = None
    cvc: Annotated[str, Text(4)] | None = None
    channel_key: Annotated[str, Text(100)] | None = None
    channel_group_id: Annotated[str, Text(55)] | None = None
    pg: Annotated[str, Text(80)] | None = None
    customer_id: Annotated[str, Text(80)] | None = None
    customer_name: Annotated[str, Text(20, cut=True)] | None = None
    customer_tel: Annotated[str, Text(20, cut=True)] | None = None
    customer_email: Annotated[str, Text(200, cut=True)] | None = None
    customer_addr: Annotated[str, Text(200, cut=True)] | None = None
    customer_postcode: Annotated[str, Text(8, cut=True)] | None = None


async def pay_once(call: Call, request: PayOnce) -> Answer:
    """Charge a card that the merchant's server brings.

    A card that its company declines (no money, lost, stopped) is `code` 0 and a payment whose `status` is `failed`:
    read `status`, too. `code` -1 and null: a card that is written wrongly (number, expiry, CVC or password: the PG's
    F113 to F116) and a PG that was not asked.
    """
    if request.channel_group:
        raise Refused(messages.NO_CHANNEL_GROUP)
    merchant, channels = await merchant_and_channels(call)
    channel = choose_api_channel(channels, channel_key=request.channel_key, pg=request.pg)
    opening = read_charge(call, request, merchant, channel)
    try:
        payment = await pay_by_card_number(
            call.gateway,
            opening,
            read_card(request),
            customer_uid=request.customer_uid,
            once=call.once,
        )
    except BadCard as bad:
        raise card_refused("", bad.sentence) from None
    except PgRefused as refused:
        return await _declined(call, refused)
    return success(annotated(call, payment))


async def pay_again(call: Call, request: PayAgain) -> Answer:
    """Charge a customer's card by its key. A decline is `code` 0 and `failed`, as of `onetime`."""
    merchant, channels = await merchant_and_channels(call)
    async with call.gateway.store.direct() as session:
        key = await session.billing_keys.get(call.merchant_id, request.customer_uid)
    if key is None:
        raise NoBillingKey
    channel = next(each for each in channels if each.id == key.channel_id)
    opening = read_charge(call, request, merchant, channel)
    try:
        payment = await pay_by_billing_key(call.gateway, opening, key, once=call.once)
    except PgRefused as refused:
        return await _declined(call, refused)
    return success(annotated(call, payment))


async def recall_charge(call: Call, request: Charge, imp_uid: str) -> Answer:
    """What became of the payment that a repeated charge began."""
    try:
        return await recall_payment(call, request, imp_uid)
    except PgRefused as refused:
        return await _declined(call, refused)


async def _declined(call: Call, refused: PgRefused) -> Answer:
    """The answer to a charge that was refused: when the card company judged it, `code` 0 and the failed payment.

    i'mport's sample of `again` reads `code` first ("the card company was reached"), then `status`. With `code` -1 and
    null is answered a card that was written wrongly, as its clients' tests show, and a PG that was not asked; with
    `answer_declined` off everything is (unknowns A17).
    """
    assert refused.imp_uid is not None, "a charge that was refused leaves a payment behind"
    payment = await payment_of(call, refused.imp_uid)
    async with call.gateway.store.direct() as session:
        channel = await session.channels.get(payment.channel_id)
    assert channel is not None, "channels are never deleted"
    if refused.pg_code in call.gateway.connector_of(channel).wrong_card:
        raise card_refused(refused.pg_code, refused.sentence)
    if refused.pg_code in NOT_ASKED or not call.gateway.answer_declined:
        raise refused
    return success(annotated(call, payment))


def read_card(request: PayOnce | NewCustomer) -> CardNumber:
    """The card of this request. Raises BadCard."""
    return CardNumber.read(
        request.card_number or "",
        request.expiry or "",
        request.birth,
        request.pwd_2digit,
        request.cvc,
    )


def read_customer(request: NewCustomer) -> Buyer:
    """Whose card it is."""
    return Buyer(
        request.customer_name,
        request.customer_email,
        request.customer_tel,
        request.customer_addr,
        request.customer_postcode,
    )


def card_refused(pg_code: str, words: str) -> PgRefused:
    """V1's words for a card that was brought and refused: its own sentence before the PG's."""
    return PgRefused(pg_code, f"{messages.BAD_CARD} {words}".strip())


def read_charge(call: Call, request: Charge, merchant: Merchant, channel: Channel) -> Opening:
    """A charge as the verbs take it. Raises HttpRefusal, BadAmount, UnknownCurrency."""
    opening = read_order(call, request, merchant, channel, "card", request.currency)
    vat = request.vat if request.vat_amount is None else request.vat_amount
    return replace(
        opening,
        tax_free=money_of(request.tax_free, opening.amount.currency),
        vat=money_of(vat, opening.amount.currency),
        request=remembered(call, request),
    )


def remembered(call: Call, request: Charge) -> dict[str, Any]:
    """What the PG is told, or may ask later, kept beside the payment; never a card."""
    said: dict[str, Any] = {
        "card_quota": request.card_quota or None,
        "interest_free_by_merchant": request.interest_free_by_merchant or None,
        "use_card_point": request.use_card_point or None,
        "browser_ip": request.browser_ip or call.remote_address,
        "product_type": request.product_type,
        "product_count": request.product_count,
        "promotion_id": request.promotion_id,
        "bypass": request.bypass,
    }
    if isinstance(request, PayAgain):
        said["cash_receipt_type"] = request.cash_receipt_type
        said["naver_use_cfm"] = request.extra.naver_use_cfm
    if isinstance(request, PayOnce):
        said["secure_3d_charge_id"] = request.secure_3d_charge_id
    return given(said)


OPERATIONS = (
    Operation(
        "POST",
        "/subscribe/payments/onetime",
        PayOnce,
        "비인증 결제(카드번호)",
        "subscribe",
        pay_once,
        recall=recall_charge,
        answer=PaymentAnnotation,
        english="Charge a card by its number, and keep it under a customer_uid if one is given",
    ),
    Operation(
        "POST",
        "/subscribe/payments/again",
        PayAgain,
        "비인증 결제(빌링키)",
        "subscribe",
        pay_again,
        recall=recall_charge,
        answer=PaymentAnnotation,
        english="Charge a customer's card by its billing key",
    ),
    Operation(
        "POST",
        "/subscribe/payments/foreign",
        PayOnce,
        "비인증 결제(해외카드, 이전 경로)",
        "subscribe",
        pay_once,
        recall=recall_charge,
        answer=PaymentAnnotation,
        english="The old path of onetime for cards from abroad",
    ),
)

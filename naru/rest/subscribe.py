"""Payments without a window: by a card's number, or by a billing key. Source: protocol facts, REST §5."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Protocol

import msgspec

from naru.domain.billing_key import CardNumber
from naru.domain.channel import Channel, choose_api_channel
from naru.domain.errors import BadCard, NoBillingKey, PgRefused, Refused
from naru.domain.ids import MerchantUid, is_merchant_uid
from naru.domain.merchant import Merchant, origin_of
from naru.domain.money import Money
from naru.domain.payment import Buyer, Payment, Step, Surface
from naru.payments.pay_by_billing_key import pay_by_billing_key
from naru.payments.pay_by_card_number import pay_by_card_number
from naru.payments.start import Opening
from naru.rest import messages
from naru.rest.annotations import PaymentAnnotation, payment_annotation
from naru.rest.coerce import Text, flag, json_text, malformed, number, texts, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation

NOTICE_URLS_MAX = 10
CUSTOMER_UID_CHARACTERS_MAX = 80


class SubscribeExtra(msgspec.Struct, rename={"naver_use_cfm": "naverUseCfm"}):
    """What Naver Pay wants to know: the day from which on the thing bought is used, YYYYMMDD."""

    naver_use_cfm: Annotated[str, Text(8)] | None = None


class Charge(msgspec.Struct, kw_only=True):
    """What every payment without a window takes. `vat` is the old name of `vat_amount`."""

    merchant_uid: Annotated[str, Text(40)]
    amount: Annotated[str | int | Decimal, number]
    currency: Annotated[str, Text(3)] = "KRW"
    tax_free: Annotated[str | int | Decimal, number] | None = None
    vat_amount: Annotated[str | int | Decimal, number] | None = None
    vat: Annotated[str | int | Decimal, number] | None = None
    name: Annotated[str, Text(40, cut=True)] | None = None
    buyer_name: Annotated[str, Text(16, cut=True)] | None = None
    buyer_email: Annotated[str, Text(64, cut=True)] | None = None
    buyer_tel: Annotated[str, Text(16, cut=True)] | None = None
    buyer_addr: Annotated[str, Text(128, cut=True)] | None = None
    buyer_postcode: Annotated[str, Text(8, cut=True)] | None = None
    card_quota: Annotated[int, whole] = 0
    interest_free_by_merchant: Annotated[bool, flag] = False
    use_card_point: Annotated[bool, flag] = False
    custom_data: Annotated[str, json_text] | None = None
    notice_url: Annotated[tuple[str, ...], texts] = ()
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


class CardFields(Protocol):
    """The card of a request."""

    card_number: str
    expiry: str
    birth: str | None
    pwd_2digit: str | None
    cvc: str | None


async def pay_once(call: Call, request: PayOnce) -> Answer:
    """Charge a card that the merchant's server brings."""
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
        raise card_refused(refused.pg_code, refused.sentence) from None
    return _paid(call, payment)


async def pay_again(call: Call, request: PayAgain) -> Answer:
    """Charge a customer's card by its key."""
    merchant, channels = await merchant_and_channels(call)
    async with call.gateway.store.direct() as session:
        key = await session.billing_keys.get(call.merchant_id, request.customer_uid)
    if key is None:
        raise NoBillingKey
    channel = next(each for each in channels if each.id == key.channel_id)
    opening = read_charge(call, request, merchant, channel)
    return _paid(call, await pay_by_billing_key(call.gateway, opening, key, once=call.once))


async def recall_once(call: Call, request: Charge, imp_uid: str) -> Answer:
    """What became of the payment that a repeated onetime began."""
    payment = await _payment(call, imp_uid)
    if payment.step is Step.FAILED:
        raise card_refused(payment.fail_code or "", payment.fail_reason or "")
    return _recalled(call, payment)


async def recall_again(call: Call, request: Charge, imp_uid: str) -> Answer:
    """What became of the payment that a repeated charge by key began."""
    payment = await _payment(call, imp_uid)
    if payment.step is Step.FAILED:
        raise PgRefused(payment.fail_code or "", payment.fail_reason or "")
    return _recalled(call, payment)


def read_card(request: CardFields) -> CardNumber:
    """The card of this request. Raises BadCard."""
    return CardNumber.read(
        request.card_number, request.expiry, request.birth, request.pwd_2digit, request.cvc
    )


def card_refused(pg_code: str, words: str) -> PgRefused:
    """V1's words for a card that was brought and refused: its own sentence before the PG's."""
    return PgRefused(pg_code, f"{messages.BAD_CARD} {words}".strip())


async def merchant_and_channels(call: Call) -> tuple[Merchant, list[Channel]]:
    """Who calls, and the contracts they have."""
    async with call.gateway.store.direct() as session:
        merchant = await session.merchants.get(call.merchant_id)
        channels = await session.channels.of_merchant(call.merchant_id)
    if merchant is None:
        raise HttpRefusal(401, messages.UNAUTHORIZED)
    return merchant, channels


def read_charge(call: Call, request: Charge, merchant: Merchant, channel: Channel) -> Opening:
    """A charge as the verbs take it. Raises HttpRefusal, BadAmount, UnknownCurrency."""
    if not is_merchant_uid(request.merchant_uid):
        raise malformed("merchant_uid")
    if len(request.notice_url) > NOTICE_URLS_MAX or not all(map(origin_of, request.notice_url)):
        raise malformed("notice_url")
    amount = Money.from_wire(request.amount, request.currency)
    vat = request.vat if request.vat_amount is None else request.vat_amount
    return Opening(
        merchant=merchant,
        channel=channel,
        merchant_uid=MerchantUid(request.merchant_uid),
        amount=amount,
        surface=Surface.API,
        pay_method="card",
        tax_free=_money(request.tax_free, amount.currency),
        vat=_money(vat, amount.currency),
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
        request=remembered(call, request),
    )


def remembered(call: Call, request: Charge) -> dict[str, Any]:
    """What the PG is told, or may ask later, kept beside the payment; never a card."""
    given: dict[str, Any] = {
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
        given["cash_receipt_type"] = request.cash_receipt_type
        given["naver_use_cfm"] = request.extra.naver_use_cfm
    if isinstance(request, PayOnce):
        given["secure_3d_charge_id"] = request.secure_3d_charge_id
    return {name: value for name, value in given.items() if value is not None}


async def _payment(call: Call, imp_uid: str) -> Payment:
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(imp_uid, call.merchant_id)
    assert payment is not None, "a key is bound to a payment of its own merchant"
    return payment


def _recalled(call: Call, payment: Payment) -> Answer:
    if payment.step in (Step.OPENED, Step.APPROVING):
        annotation = payment_annotation(payment, partial_cancel=call.gateway.partial_cancel_status)
        return not_known_yet(annotation)
    return _paid(call, payment)


def _paid(call: Call, payment: Payment) -> Answer:
    return success(payment_annotation(payment, partial_cancel=call.gateway.partial_cancel_status))


def _money(amount: str | int | Decimal | None, currency: str) -> Money | None:
    return None if amount is None else Money.from_wire(amount, currency)


OPERATIONS = (
    Operation(
        "POST",
        "/subscribe/payments/onetime",
        PayOnce,
        "비인증 결제(카드번호)",
        "subscribe",
        pay_once,
        recall=recall_once,
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
        recall=recall_again,
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
        recall=recall_once,
        answer=PaymentAnnotation,
        english="The old path of onetime for cards from abroad",
    ),
)

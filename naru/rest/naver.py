"""Naver Pay: product orders of the mall (주문형, `naverco`), points and decisions (결제형, `naverpay`).

Source: protocol facts, REST §10 and models §9. An act is about some or all product orders of a payment, each by
itself: 200 when all of them succeeded, 207 when some did, 500 when none did (S); the answer holds those that did.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from naru.connectors import Can
from naru.domain.channel import Channel
from naru.domain.errors import OutcomeUnknown, PgRefused
from naru.domain.mall import MallAct, ProductOrder, Review
from naru.domain.money import Money
from naru.domain.outcome import Declined, NotFound, Unknown
from naru.domain.payment import Payment
from naru.payments.act_on_order import Wanted, act_on_order, acts_of_round
from naru.rest import messages
from naru.rest.annotations import unix
from naru.rest.coerce import Seconds, Text, malformed, texts, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation, Verb
from naru.rest.orders_at_pg import connector_of, paid_by, recall, tell
from naru.store.order_acts import KeptAct

NAVERCO, NAVERPAY = "naverco", "naverpay"
PRODUCT_ORDERS_MAX = 100
# No mall gives another one; what does not look so is not asked about.
_PRODUCT_ORDER_ID = re.compile(r"[0-9A-Za-z_-]{1,40}")

CANCEL_REASONS = (
    "PRODUCT_UNSATISFIED",  # the first is the default
    "SOLD_OUT",
    "DELAYED_DELIVERY",
    "INTENT_CHANGED",
    "COLOR_AND_SIZE",
    "WRONG_ORDER",
    "INCORRECT_INFO",
)
RETURN_REASONS = (
    "INTENT_CHANGED",
    "COLOR_AND_SIZE",
    "WRONG_ORDER",
    "PRODUCT_UNSATISFIED",
    "DELAYED_DELIVERY",
    "SOLD_OUT",
    "DROPPED_DELIVERY",
    "BROKEN",
    "INCORRECT_INFO",
    "WRONG_DELIVERY",
    "WRONG_OPTION",
)
WITHHOLD_REASONS = (
    "ETC",
    "RETURN_DELIVERYFEE",
    "EXTRAFEEE",
    "RETURN_DELIVERYFEE_AND_EXTRAFEEE",
    "RETURN_PRODUCT_NOT_DELIVERED",
)
DELIVERY_METHODS = (
    "DELIVERY",
    "GDFW_ISSUE_SVC",
    "VISIT_RECEIPT",
    "DIRECT_DELIVERY",
    "QUICK_SVC",
    "NOTHING",
)
RETURN_METHODS = ("RETURN_DESIGNATED", "RETURN_DELIVERY", "RETURN_INDIVIDUAL")
# Who carries parcels (REST §11.3).
COMPANIES = frozenset(
    {
        "CJGLS", "KGB", "DONGBU", "EPOST", "REGISTPOST", "HANJIN", "HYUNDAI", "KGBLS", "INNOGIS",
        "DAESIN", "ILYANG", "KDEXP", "CHUNIL", "CH1", "HDEXP", "CVSNET", "DHL", "FEDEX", "GSMNTON",
        "WARPEX", "WIZWA", "EMS", "DHLDE", "ACIEXPRESS", "EZUSA", "PANTOS", "UPS", "HLCGLOBAL",
        "KOREXG", "TNT", "SWGEXP", "DAEWOON", "USPS", "IPARCEL", "KUNYOUNG", "HPL", "DADREAM",
        "SLX", "SFEXPRESS", "HONAM",
    }
)  # fmt: skip


# What comes in


class Goods(msgspec.Struct):
    """Product orders of a payment; none named means all of them."""

    imp_uid: Annotated[str, Text()]
    product_order_id: Annotated[tuple[str, ...], texts] = ()


class CancelGoods(Goods):
    """`…/naver/cancel`. A reason that is none counts as PRODUCT_UNSATISFIED."""

    reason: Annotated[str, Text()] | None = None


class ShipGoods(Goods):
    """`…/naver/ship-exchanged`. A parcel (DELIVERY) needs its carrier and number."""

    delivery_method: Annotated[str, Text(40)] = ""
    delivery_company: Annotated[str, Text(40)] | None = None
    tracking_number: Annotated[str, Text(64)] | None = None


class DispatchGoods(ShipGoods):
    """`…/naver/ship`: with the moment it left, in unix seconds."""

    dispatched_at: Annotated[int, Seconds()] | None = None


class ReturnGoods(ShipGoods):
    """`…/naver/request-return`. A reason that is none counts as INTENT_CHANGED."""

    reason: Annotated[str, Text()] | None = None


class MemoGoods(Goods):
    """`…/naver/approve-return` and `reject-return`: a word to the buyer."""

    memo: Annotated[str, Text(500)] | None = None


class WithholdGoods(MemoGoods):
    """`…/naver/withhold-return`. A reason that is none counts as ETC; `extra_charge` in won."""

    reason: Annotated[str, Text()] | None = None
    extra_charge: Annotated[int, whole] = 0


class OnePayment(msgspec.Struct):
    """A payment by its id."""

    imp_uid: Annotated[str, Text()]


class ConfirmPayment(OnePayment):
    """`…/naver/confirm`: who decides, `admin` or `customer`; another word counts as admin."""

    requester: Annotated[str, Text()] = "admin"


class OneProductOrder(msgspec.Struct):
    """A product order by Naver's number."""

    product_order_id: Annotated[str, Text(64)]


class ManyReviews(msgspec.Struct, rename={"since": "from", "until": "to"}):
    """`/naver/reviews`: a window in unix seconds, general or premium reviews."""

    since: Annotated[int, Seconds(0)]
    until: Annotated[int, Seconds(0)]
    review_type: Annotated[str, Text(20)]
    channel_key: Annotated[str, Text(100)] | None = None


# What goes out


class NaverAddressAnnotation(msgspec.Struct, frozen=True):
    """Where goods go."""

    base: str
    detail: str | None
    name: str
    postcode: str
    tel1: str
    tel2: str | None


class NaverOrdererAnnotation(msgspec.Struct, frozen=True):
    """Who ordered; the id is masked."""

    id: str
    name: str
    tel: str


class NaverProductOrderAnnotation(msgspec.Struct, frozen=True):
    """One product of an order, as Naver has it now."""

    claim_status: str | None
    claim_type: str | None
    delivery_amount: int
    individual_code: str | None
    orderer: NaverOrdererAnnotation | None
    product_amount: int
    product_id: str
    product_name: str
    product_option_id: str
    product_option_name: str
    product_order_id: str
    product_order_status: str
    quantity: int
    shipping_address: NaverAddressAnnotation | None
    shipping_due: int
    shipping_memo: str | None


class NaverReviewAnnotation(msgspec.Struct, frozen=True):
    """What a buyer wrote."""

    content: str | None
    created_at: int
    modified_at: int
    product_id: str
    product_name: str
    product_option_name: str | None
    product_order_id: str
    review_id: str
    score: str
    title: str
    writer: str


class NaverCashAmountAnnotation(msgspec.Struct, frozen=True):
    """How much a cash receipt may be issued for; won."""

    amount_by_npoint: int
    amount_by_primary: int
    amount_supply: int
    amount_total: int
    amount_vat: int


# Acts on product orders


async def cancel(call: Call, request: CancelGoods) -> Answer:
    """Give the money of product orders back before they are shipped."""
    return await _act(call, request, MallAct.CANCEL, {"reason": _reason(request, CANCEL_REASONS)})


async def approve_cancel(call: Call, request: Goods) -> Answer:
    """Agree to the buyer's wish to cancel."""
    return await _act(call, request, MallAct.APPROVE_CANCEL)


async def place(call: Call, request: Goods) -> Answer:
    """Take the product orders on."""
    return await _act(call, request, MallAct.PLACE)


async def ship(call: Call, request: DispatchGoods) -> Answer:
    """The goods are on their way."""
    said = _parcel(request, DELIVERY_METHODS)
    if request.dispatched_at is None:
        raise HttpRefusal(400, messages.missing("dispatched_at"))
    return await _act(call, request, MallAct.SHIP, {**said, "dispatched_at": request.dispatched_at})


async def ship_exchanged(call: Call, request: ShipGoods) -> Answer:
    """The new goods of an exchange are on their way."""
    return await _act(call, request, MallAct.SHIP_EXCHANGED, _parcel(request, DELIVERY_METHODS))


async def collect_exchanged(call: Call, request: Goods) -> Answer:
    """The old goods of an exchange are back."""
    return await _act(call, request, MallAct.COLLECT_EXCHANGED)


async def request_return(call: Call, request: ReturnGoods) -> Answer:
    """Ask for a return in the buyer's name."""
    said = _parcel(request, RETURN_METHODS)
    said["reason"] = _reason(request, RETURN_REASONS)
    return await _act(call, request, MallAct.REQUEST_RETURN, said)


async def approve_return(call: Call, request: MemoGoods) -> Answer:
    """The goods are back; so is their money."""
    return await _act(call, request, MallAct.APPROVE_RETURN, _memo(request))


async def reject_return(call: Call, request: MemoGoods) -> Answer:
    """No return; the memo says why."""
    return await _act(call, request, MallAct.REJECT_RETURN, _memo(request, needed=True))


async def withhold_return(call: Call, request: WithholdGoods) -> Answer:
    """No return yet: something is to be paid, or has not come."""
    if not 0 <= request.extra_charge <= 10**9:
        raise malformed("extra_charge")
    said = _memo(request, needed=True)
    said["reason"] = _reason(request, WITHHOLD_REASONS)
    said["extra_charge"] = request.extra_charge
    return await _act(call, request, MallAct.WITHHOLD_RETURN, said)


async def resolve_return(call: Call, request: Goods) -> Answer:
    """What held the return up is settled."""
    return await _act(call, request, MallAct.RESOLVE_RETURN)


async def recall_act(call: Call, request: Goods, round_no: str) -> Answer:
    """What became of the acts of that request."""
    payment, channel = await paid_by(call, request.imp_uid, NAVERCO, messages.NOT_NAVERCO)
    acts = await acts_of_round(call.gateway, payment, channel, round_no)
    if any(each.state == "asking" for each in acts):
        return not_known_yet(None)
    return await _told(call, request, payment, channel, acts)


async def _act(
    call: Call, request: Goods, act: MallAct, said: dict[str, str | int] | None = None
) -> Answer:
    """Do it to every product order that was named, each by itself."""
    payment, channel = await paid_by(call, request.imp_uid, NAVERCO, messages.NOT_NAVERCO)
    known = {each.id: each for each in await _product_orders(call, payment, channel)}
    asked = list(dict.fromkeys(request.product_order_id)) or list(known)
    if len(asked) > PRODUCT_ORDERS_MAX:
        raise malformed("product_order_id")
    wanted = [
        Wanted(
            each,
            said or {},
            Money(known[each].refund, payment.amount.currency) if act.gives_money_back else None,
        )
        for each in asked
        if each in known
    ]
    if not wanted:
        raise HttpRefusal(500, messages.NO_PRODUCT_ORDER)
    acts = await act_on_order(call.gateway, payment, channel, act, wanted, call.once)
    return await _told(call, request, payment, channel, acts)


async def _told(
    call: Call, request: Goods, payment: Payment, channel: Channel, acts: list[KeptAct]
) -> Answer:
    """The product orders that it was done to.

    Raises OutcomeUnknown when nothing was done that we know of and something may have been, and
    when the PG does not show what was done.
    """
    done = {each.subject for each in acts if each.state == "done"}
    doubtful = any(each.state == "asking" for each in acts)
    if doubtful and (call.once is not None or not done):
        raise OutcomeUnknown
    if not done:
        raise HttpRefusal(
            500, next((each.message for each in acts if each.message), messages.NOT_ANSWERED)
        )
    try:
        now = await _product_orders(call, payment, channel)
    except HttpRefusal:
        raise OutcomeUnknown from None
    complete = len(done) == len(acts) and done.issuperset(request.product_order_id)
    return success(
        [_product_order(each, payment.amount.currency) for each in now if each.id in done],
        200 if complete else 207,
    )


def _reason(request: CancelGoods | ReturnGoods | WithholdGoods, reasons: tuple[str, ...]) -> str:
    """A word that is no reason counts as the first one (S)."""
    return request.reason if request.reason in reasons else reasons[0]


def _parcel(request: ShipGoods, methods: tuple[str, ...]) -> dict[str, str | int]:
    """How the goods travel. Raises HttpRefusal 400."""
    if not request.delivery_method:
        raise HttpRefusal(400, messages.missing("delivery_method"))
    if request.delivery_method not in methods:
        raise malformed("delivery_method")
    said: dict[str, str | int] = {"delivery_method": request.delivery_method}
    if request.delivery_method not in ("DELIVERY", "RETURN_DELIVERY"):
        return said
    if not request.delivery_company:
        raise HttpRefusal(400, messages.missing("delivery_company"))
    if request.delivery_company not in COMPANIES:
        raise malformed("delivery_company")
    if not request.tracking_number:
        raise HttpRefusal(400, messages.missing("tracking_number"))
    said["delivery_company"] = request.delivery_company
    said["tracking_number"] = _plain(request.tracking_number, "tracking_number")
    return said


def _memo(request: MemoGoods, *, needed: bool = False) -> dict[str, str | int]:
    if needed and not request.memo:
        raise HttpRefusal(400, messages.missing("memo"))
    return {"memo": _plain(request.memo, "memo")} if request.memo else {}


def _plain(text: str, name: str) -> str:
    """One line of text. Raises HttpRefusal 400 for what no PG takes: control characters."""
    line = " ".join(text.split())
    if not line.isprintable():
        raise malformed(name)
    return line


# Reading


async def list_product_orders(call: Call, request: OnePayment) -> Answer:
    """The product orders of a payment."""
    payment, channel = await paid_by(call, request.imp_uid, NAVERCO, messages.NOT_NAVERCO)
    found = await _product_orders(call, payment, channel)
    return success([_product_order(each, payment.amount.currency) for each in found])


async def show_product_order(call: Call, request: OneProductOrder) -> Answer:
    """One product order; 404 when it belongs to no payment of this merchant."""
    if not _PRODUCT_ORDER_ID.fullmatch(request.product_order_id):
        raise HttpRefusal(404, messages.NO_PRODUCT_ORDER)
    async with call.gateway.store.direct() as session:
        channels = await session.channels.of_merchant(call.merchant_id)
    silent = False
    for channel in channels:
        connector = connector_of(call, channel)
        if channel.pg_code != NAVERCO or Can.MALL not in connector.can:
            continue
        with call.gateway.pg_load.asking(channel.id):
            found = await connector.product_order(channel, request.product_order_id)
        silent = silent or isinstance(found, Unknown)
        if not isinstance(found, ProductOrder):
            continue
        # Two merchants may share a contract with the PG; an order belongs to one of them.
        async with call.gateway.store.direct() as session:
            payment = await session.payments.get_by_pg_order(found.order_no)
        if payment is not None and payment.merchant_id == call.merchant_id:
            return success(_product_order(found, payment.amount.currency))
    if silent:
        raise HttpRefusal(500, messages.NOT_ANSWERED)
    raise HttpRefusal(404, messages.NO_PRODUCT_ORDER)


async def list_reviews(call: Call, request: ManyReviews) -> Answer:
    """What buyers wrote about what this channel sold."""
    if request.review_type not in ("general", "premium"):
        raise malformed("review_type")
    since, until = (datetime.fromtimestamp(each, UTC) for each in (request.since, request.until))
    if not (since <= until and (until - since).days <= 365):
        raise HttpRefusal(400, messages.BAD_WINDOW)
    channel = await _naverco_channel(call, request.channel_key)
    with call.gateway.pg_load.asking(channel.id):
        found = await connector_of(call, channel).reviews(
            channel, since, until, premium=request.review_type == "premium"
        )
    if isinstance(found, Unknown):
        raise HttpRefusal(500, messages.NOT_ANSWERED)
    async with call.gateway.store.direct() as session:
        sold = {
            order_no: await session.payments.get_by_pg_order(order_no)
            for order_no in {each.order_no for each in found}
        }
    # Two merchants may share a contract with the PG: a review belongs to who sold the goods.
    ours = {
        order_no
        for order_no, payment in sold.items()
        if payment is not None and payment.merchant_id == call.merchant_id
    }
    return success([_review(each) for each in found if each.order_no in ours])


async def show_cash_amount(call: Call, request: OnePayment) -> Answer:
    """How much of a payment a cash receipt may be issued for."""
    payment, channel = await paid_by(
        call, request.imp_uid, NAVERPAY, messages.NOT_NAVERPAY, status=400
    )
    with call.gateway.pg_load.asking(channel.id):
        found = await connector_of(call, channel).cash_amount(channel, payment.pg_order_no)
    if isinstance(found, Declined):
        raise HttpRefusal(500, found.message)
    if isinstance(found, NotFound | Unknown):
        raise HttpRefusal(500, messages.NOT_ANSWERED)
    return success(
        NaverCashAmountAnnotation(
            amount_by_npoint=found.by_point,
            amount_by_primary=found.by_primary,
            amount_supply=found.supply,
            amount_total=found.total,
            amount_vat=found.vat,
        )
    )


# About an order as a whole


async def give_points(call: Call, request: OnePayment) -> Answer:
    """Let Naver give its points to the buyer, once."""
    return await _tell(call, request.imp_uid, MallAct.GIVE_POINTS, {})


async def confirm(call: Call, request: ConfirmPayment) -> Answer:
    """The order is decided: the goods stay with the buyer."""
    requester = "customer" if request.requester == "customer" else "admin"
    return await _tell(call, request.imp_uid, MallAct.CONFIRM, {"requester": requester})


async def recall_tell(call: Call, request: OnePayment, round_no: str) -> Answer:
    """What became of it."""
    payment, channel = await paid_by(call, request.imp_uid, NAVERPAY, messages.NOT_NAVERPAY)
    try:
        await recall(call, payment, channel, round_no)
    except OutcomeUnknown:
        return not_known_yet(None)
    except PgRefused as refused:
        raise HttpRefusal(500, refused.sentence) from None
    return success(None)


async def _tell(call: Call, imp_uid: str, act: MallAct, said: dict[str, str | int]) -> Answer:
    payment, channel = await paid_by(call, imp_uid, NAVERPAY, messages.NOT_NAVERPAY)
    try:
        await tell(call, payment, channel, act, said)
    except PgRefused as refused:
        raise HttpRefusal(500, refused.sentence) from None
    return success(None)


async def _product_orders(
    call: Call, payment: Payment, channel: Channel
) -> tuple[ProductOrder, ...]:
    with call.gateway.pg_load.asking(channel.id):
        found = await connector_of(call, channel).product_orders(channel, payment.pg_order_no)
    if isinstance(found, NotFound):
        raise HttpRefusal(404, messages.NO_PRODUCT_ORDER)
    if isinstance(found, Unknown):
        raise HttpRefusal(500, messages.NOT_ANSWERED)
    return found


async def _naverco_channel(call: Call, channel_key: str | None) -> Channel:
    """The channel that was named, else the merchant's first one of the kind. Raises HttpRefusal 400."""
    async with call.gateway.store.direct() as session:
        channels = await session.channels.of_merchant(call.merchant_id)
    for channel in channels:
        fits = channel_key in (None, channel.channel_key) and channel.pg_code == NAVERCO
        if fits and Can.MALL in connector_of(call, channel).can:
            return channel
    raise HttpRefusal(400, messages.NO_NAVERCO_CHANNEL)


def _product_order(order: ProductOrder, currency: str) -> NaverProductOrderAnnotation:
    orderer, address = order.orderer, order.address
    return NaverProductOrderAnnotation(
        claim_status=order.claim_status,
        claim_type=order.claim_type,
        delivery_amount=_won(order.delivery_amount, currency),
        individual_code=order.individual_code,
        orderer=None
        if orderer is None
        else NaverOrdererAnnotation(orderer.id, orderer.name, orderer.tel),
        product_amount=_won(order.product_amount, currency),
        product_id=order.product_id,
        product_name=order.product_name,
        product_option_id=order.option_id,
        product_option_name=order.option_name,
        product_order_id=order.id,
        product_order_status=order.status,
        quantity=order.quantity,
        shipping_address=None
        if address is None
        else NaverAddressAnnotation(
            address.base,
            address.detail,
            address.name,
            address.postcode,
            address.tel1,
            address.tel2,
        ),
        shipping_due=unix(order.shipping_due),
        shipping_memo=order.shipping_memo,
    )


def _won(minor: int, currency: str) -> int:
    """Naver sells in won, whose smallest unit is the won itself."""
    return int(Money(minor, currency).to_wire())


def _review(review: Review) -> NaverReviewAnnotation:
    return NaverReviewAnnotation(
        content=review.content,
        created_at=unix(review.created_at),
        modified_at=unix(review.modified_at),
        product_id=review.product_id,
        product_name=review.product_name,
        product_option_name=review.option_name,
        product_order_id=review.product_order_id,
        review_id=review.id,
        score=review.score,
        title=review.title,
        writer=review.writer,
    )


def _on_goods(tail: str, request: type[Goods], verb: Verb, ko: str, english: str) -> Operation:
    """A row for an act on product orders."""
    return Operation(
        "POST",
        f"/payments/{{imp_uid}}/naver/{tail}",
        request,
        f"(주문형-네이버페이) {ko}",
        "naver",
        verb,
        recall=recall_act,
        answer=list[NaverProductOrderAnnotation],
        english=f"Naver product orders: {english}",
        partial=True,
    )


OPERATIONS = (
    _on_goods("cancel", CancelGoods, cancel, "상품주문 환불", "give the money back"),
    _on_goods(
        "approve-cancel",
        Goods,
        approve_cancel,
        "구매자의 환불요청 승인",
        "agree to the buyer's wish to cancel",
    ),
    _on_goods("place", Goods, place, "상품주문 발주처리", "take them on"),
    _on_goods("ship", DispatchGoods, ship, "상품주문 발송처리", "ship"),
    _on_goods(
        "ship-exchanged", ShipGoods, ship_exchanged, "교환 상품 재발송처리", "ship an exchange"
    ),
    _on_goods(
        "collect-exchanged",
        Goods,
        collect_exchanged,
        "교환 상품 수거완료처리",
        "the goods of an exchange are back",
    ),
    _on_goods("request-return", ReturnGoods, request_return, "상품 반품요청", "ask for a return"),
    _on_goods("approve-return", MemoGoods, approve_return, "반품승인", "agree to a return"),
    _on_goods("reject-return", MemoGoods, reject_return, "반품거절", "refuse a return"),
    _on_goods("withhold-return", WithholdGoods, withhold_return, "반품보류", "withhold a return"),
    _on_goods("resolve-return", Goods, resolve_return, "반품보류 해제", "go on with a return"),
    Operation(
        "GET",
        "/payments/{imp_uid}/naver/product-orders",
        OnePayment,
        "(주문형-네이버페이) 결제의 상품주문 조회",
        "naver",
        list_product_orders,
        answer=list[NaverProductOrderAnnotation],
        english="Naver product orders: list those of a payment",
    ),
    Operation(
        "GET",
        "/naver/product-orders/{product_order_id}",
        OneProductOrder,
        "(주문형-네이버페이) 상품주문 단건조회",
        "naver",
        show_product_order,
        answer=NaverProductOrderAnnotation,
        english="Naver product orders: look one up",
    ),
    Operation(
        "GET",
        "/naver/reviews",
        ManyReviews,
        "(주문형-네이버페이) 구매평 조회",
        "naver",
        list_reviews,
        answer=list[NaverReviewAnnotation],
        english="Naver: list reviews",
    ),
    Operation(
        "GET",
        "/payments/{imp_uid}/naver/cash-amount",
        OnePayment,
        "(결제형-네이버페이) 현금영수증 발급 가용액 조회",
        "naver",
        show_cash_amount,
        answer=NaverCashAmountAnnotation,
        english="Naver Pay: how much a cash receipt may be issued for",
    ),
    Operation(
        "POST",
        "/payments/{imp_uid}/naver/point",
        OnePayment,
        "(결제형-네이버페이) 포인트 적립",
        "naver",
        give_points,
        recall=recall_tell,
        answer=None,
        english="Naver Pay: give points",
    ),
    Operation(
        "POST",
        "/payments/{imp_uid}/naver/confirm",
        ConfirmPayment,
        "(결제형-네이버페이) 에스크로 주문 확정",
        "naver",
        confirm,
        recall=recall_tell,
        answer=None,
        english="Naver Pay: decide an escrow order",
    ),
)

"""`GET /kakao/payment/orders`: the orders of a day at Kakao Pay. A path of V1 that clients still call.

V1's own document leaves the object open (`KakaoOrderAnnotation` has no field); this one has the names of
Kakao Pay's order list, as far as an order of ours has something to say under them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from naru.connectors import Can
from naru.domain.channel import Channel
from naru.domain.errors import NoChannel, NotSupported, OutcomeUnknown, PgRefused
from naru.domain.outcome import Declined, Unknown
from naru.domain.wallet_order import WalletOrder
from naru.rest import messages
from naru.rest.coerce import Text, malformed, whole
from naru.rest.envelope import Answer, success
from naru.rest.opening import merchant_and_channels
from naru.rest.operation import Call, Operation

WALLET = "kakaopay"
PG_CODES = ("kakaopay", "kakao")
PAGE_MAX = 100_000
KST = timedelta(hours=9)
# Kakao Pay's words for our states of an order.
STATES = {
    "registered": "READY",
    "authenticated": "AUTH_PASSWORD",
    "approved": "SUCCESS_PAYMENT",
    "cancelled": "CANCEL_PAYMENT",
    "undone": "CANCEL_PAYMENT",
    "abandoned": "QUIT_PAYMENT",
}


class ListOrders(msgspec.Struct):
    """What `GET /kakao/payment/orders` takes: a day in Korea, and the CID of a channel."""

    payment_request_date: Annotated[str, Text(8)]
    cid: Annotated[str, Text(80)] | None = None
    page: Annotated[int, whole] = 1


class KakaoAmount(msgspec.Struct, frozen=True):
    """What an order is about, and what is left of it, in won."""

    canceled: int
    total: int


class KakaoOrderOfDay(msgspec.Struct, frozen=True):
    """One order."""

    amount: KakaoAmount
    created_at: str
    item_name: str
    partner_order_id: str
    status: str
    tid: str | None


class KakaoOrderAnnotation(msgspec.Struct, frozen=True):
    """The orders of one day, a page of them."""

    cid: str
    orders: list[KakaoOrderOfDay]
    page: int
    payment_request_date: str


async def list_orders(call: Call, request: ListOrders) -> Answer:
    """Ask the PG for the orders of a day; an empty list for a day or a page without one."""
    try:
        day = datetime.strptime(request.payment_request_date, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise malformed("payment_request_date") from None
    if not 1 <= request.page <= PAGE_MAX:
        raise malformed("page")
    _, channels = await merchant_and_channels(call)
    channel = _channel(channels, request.cid)
    connector = call.gateway.connector_of(channel)
    if Can.LOOK_UP not in connector.can:
        raise NotSupported(messages.NO_KAKAO_LOOKUP)
    with call.gateway.pg_load.asking(channel.id):
        found = await connector.wallet_orders(channel, WALLET, day, request.page)
    match found:
        case Declined(code=code, message=message):
            raise PgRefused(code, message)
        case Unknown():
            raise OutcomeUnknown(messages.NO_LOOKUP_ANSWER)
        case orders:
            return success(
                KakaoOrderAnnotation(
                    cid=channel.mid,
                    orders=[_order(each) for each in orders],
                    page=request.page,
                    payment_request_date=request.payment_request_date,
                )
            )


def _channel(channels: list[Channel], cid: str | None) -> Channel:
    """The Kakao Pay channel with this CID, or the first. Raises NoChannel."""
    for channel in channels:
        if channel.pg_code in PG_CODES and cid in (None, channel.mid):
            return channel
    raise NoChannel


def _order(order: WalletOrder) -> KakaoOrderOfDay:
    state = STATES.get(order.state, "FAIL_PAYMENT")
    if state == "SUCCESS_PAYMENT" and order.returned_minor:
        state = "PART_CANCEL_PAYMENT"
    return KakaoOrderOfDay(
        amount=KakaoAmount(canceled=order.returned_minor, total=order.amount_minor),
        created_at=f"{order.created_at + KST:%Y-%m-%dT%H:%M:%S}",
        item_name=order.item_name,
        partner_order_id=order.merchant_order_no,
        status=state,
        tid=order.tid,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/kakao/payment/orders",
        ListOrders,
        "카카오페이 주문내역 조회 (이전 경로)",
        "kakao",
        list_orders,
        answer=KakaoOrderAnnotation,
        english="The orders of a day at Kakao Pay (an old path)",
    ),
)

"""Announcing an order's amount before its window opens (사전등록). Source: protocol facts, REST §2.2."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from naru.domain.errors import NotPrepared
from naru.domain.ids import MerchantUid, is_merchant_uid
from naru.domain.prepared import Prepared, read_announced
from naru.payments.prepare import BARE_NUMBER, change_prepared, prepare
from naru.rest import messages
from naru.rest.annotations import PrepareAnnotation, prepare_annotation
from naru.rest.coerce import Text, malformed, number
from naru.rest.envelope import Answer, HttpRefusal, success
from naru.rest.operation import Call, Operation


class AnnouncedAmount(msgspec.Struct):
    """What an order should cost. Without a currency the number is compared as it is."""

    merchant_uid: Annotated[str, Text(40)]
    amount: Annotated[str | int | Decimal, number]
    currency: Annotated[str, Text(3)] | None = None


class OneOrder(msgspec.Struct):
    """An order by the merchant's number."""

    merchant_uid: Annotated[str, Text()]


async def announce(call: Call, request: AnnouncedAmount) -> Answer:
    """Announce an amount once; a second time is refused with code 1."""
    prepared = _prepared(request)
    await prepare(call.gateway, call.merchant_id, prepared, call.once)
    return success(prepare_annotation(prepared))


async def announce_again(call: Call, request: AnnouncedAmount) -> Answer:
    """Change an announced amount; 404 when there is none."""
    prepared = _prepared(request)
    try:
        prepared = await change_prepared(call.gateway, call.merchant_id, prepared, call.once)
    except NotPrepared as error:
        raise HttpRefusal(404, error.sentence) from None
    return success(prepare_annotation(prepared))


async def recall_announced(call: Call, request: AnnouncedAmount, named: str) -> Answer:
    """What was announced with this key, whatever was announced after it."""
    currency = None if named == BARE_NUMBER else named
    return success(
        prepare_annotation(
            read_announced(MerchantUid(request.merchant_uid), request.amount, currency)
        )
    )


async def show_announced(call: Call, request: OneOrder) -> Answer:
    """What was announced for an order; 404 when nothing was."""
    async with call.gateway.store.direct() as session:
        prepared = await session.prepared.get(call.merchant_id, request.merchant_uid)
    if prepared is None:
        raise HttpRefusal(404, messages.NOT_PREPARED)
    return success(prepare_annotation(prepared))


def _prepared(request: AnnouncedAmount) -> Prepared:
    if not is_merchant_uid(request.merchant_uid):
        raise malformed("merchant_uid")
    return read_announced(MerchantUid(request.merchant_uid), request.amount, request.currency)


OPERATIONS = (
    Operation(
        "POST",
        "/payments/prepare",
        AnnouncedAmount,
        "결제금액 사전등록",
        "payments.validation",
        announce,
        recall=recall_announced,
        answer=PrepareAnnotation,
        english="Announce the amount of an order",
    ),
    Operation(
        "PUT",
        "/payments/prepare",
        AnnouncedAmount,
        "사전등록 금액 수정",
        "payments.validation",
        announce_again,
        recall=recall_announced,
        answer=PrepareAnnotation,
        english="Change an announced amount",
    ),
    Operation(
        "GET",
        "/payments/prepare/{merchant_uid}",
        OneOrder,
        "사전등록 조회",
        "payments.validation",
        show_announced,
        answer=PrepareAnnotation,
        english="Look up an announced amount",
    ),
)

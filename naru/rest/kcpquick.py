"""`/kcpquick`: KCP's quick pay (퀵페이, 선불머니). Source: protocol facts, REST §10 and models §9.

A PIN check is any payment of the merchant on the same channel whose order the PG saw the PIN for: its
`imp_uid` goes with a payment by money. A key for autopay is a billing key of a `kcp_quick` channel.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from naru.domain.channel import Channel
from naru.domain.errors import NoBillingKey, PgRefused, Refused
from naru.domain.money import Money
from naru.domain.payment import Buyer, Surface
from naru.domain.quick import QuickMember, QuickPrepared
from naru.payments.delete_billing_key import delete_billing_key
from naru.payments.pay_by_billing_key import pay_by_billing_key
from naru.payments.quick_pay import ask_about_member, pay_by_money
from naru.payments.start import Opening
from naru.rest import messages
from naru.rest.annotations import PaymentAnnotation, unix
from naru.rest.coerce import Text, malformed, texts, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, php_json, success
from naru.rest.opening import (
    annotated,
    merchant_and_channels,
    read_merchant_uid,
    read_notice_urls,
    recall_payment,
)
from naru.rest.operation import Call, Operation

PG_CODE = "kcp_quick"
PREPAID_MAX = 999_999_999


class DeleteMember(msgspec.Struct):
    """What `DELETE /kcpquick/members/{member_id}` takes; `site_code` is the MID of the channel."""

    member_id: Annotated[str, Text(80)]
    site_code: Annotated[str, Text(80)]
    partner_type: Annotated[str, Text(80)]
    partner_subtype: Annotated[str, Text(80)]


class ReleaseFido(msgspec.Struct):
    """What `POST /kcpquick/members/{member_id}/fido/release` takes."""

    member_id: Annotated[str, Text(80)]
    channel_key: Annotated[str, Text(100)]


class PayByMoney(msgspec.Struct):
    """What `POST /kcpquick/payment/money` takes; `imp_uid` is the payment whose PIN was checked."""

    member_id: Annotated[str, Text(16)]
    channel_key: Annotated[str, Text(100)]
    merchant_uid: Annotated[str, Text(40)]
    name: Annotated[str, Text(40, cut=True)]
    amount: Annotated[int, whole]
    imp_uid: Annotated[str, Text(32)]
    notice_url: Annotated[tuple[str, ...], texts] = ()


class PayByKey(msgspec.Struct):
    """What `POST /kcpquick/payment/autopay` takes."""

    customer_uid: Annotated[str, Text(80)]
    merchant_uid: Annotated[str, Text(40)]
    name: Annotated[str, Text(40, cut=True)]
    buyer_name: Annotated[str, Text(20, cut=True)]
    amount: Annotated[int, whole]
    notice_url: Annotated[tuple[str, ...], texts] = ()


class DeleteKey(msgspec.Struct):
    """What `DELETE /kcpquick/autopay/{customer_uid}` takes."""

    customer_uid: Annotated[str, Text()]


class Prepare(msgspec.Struct):
    """What `POST` and `PUT /kcpquick/prepare/{merchant_uid}` take; with `prepaid_auth_yn` Y an amount too."""

    merchant_uid: Annotated[str, Text(40)]
    btid: Annotated[str, Text(20)]
    cust_ip: Annotated[str, Text(15)]
    code_verifier: Annotated[str, Text(200)]
    prepaid_auth_yn: Annotated[str, Text(1)] | None = None
    prepaid_amount: Annotated[int, whole] | None = None
    vender_type: Annotated[str, Text(20)] | None = None
    reward_id: Annotated[str, Text(20)] | None = None


class KcpQuickMemberAnnotation(msgspec.Struct, frozen=True):
    """A member of quick pay, as the PG knew them."""

    inserted: int
    member_id: str
    pg_id: str
    pg_provider: str
    updated: int


class ReleasedAnnotation(msgspec.Struct, frozen=True):
    """Whose FIDO is switched off."""

    member_id: str


class DeletedKeyAnnotation(msgspec.Struct, frozen=True):
    """Whose key is deleted."""

    customer_uid: str


class QuickPrepareAnnotation(msgspec.Struct, frozen=True):
    """What was announced, as far as a PHP client must see a response at all (unknowns A31)."""

    btid: str
    merchant_uid: str


async def delete_member(call: Call, request: DeleteMember) -> Answer:
    """Have the PG forget a member; 404 for one that it does not know, or a site code of nobody."""
    _, channels = await merchant_and_channels(call)
    channel = next((each for each in _quick(channels) if each.mid == request.site_code), None)
    if channel is None:
        raise HttpRefusal(404, messages.NO_MEMBER)
    try:
        member = await ask_about_member(
            call.gateway,
            channel,
            "delete_member",
            request.member_id,
            partner_type=request.partner_type,
            partner_subtype=request.partner_subtype,
            once=call.once,
        )
    except PgRefused as refused:
        raise _no_member(refused) from None
    return success(_member(channel, member))


async def recall_delete(call: Call, request: DeleteMember, question_number: str) -> Answer:
    """What became of the deletion with this number."""
    _, channels = await merchant_and_channels(call)
    async with call.gateway.store.direct() as session:
        question = await session.quick.of_number(question_number)
    assert question is not None, "a key is bound together with its question"
    if question.fail_code is not None:
        raise _no_member(PgRefused(question.fail_code, question.fail_reason or ""))
    if question.member is None:
        return not_known_yet(None)
    channel = next(each for each in channels if each.id == question.channel_id)
    return success(_member(channel, question.member))


async def release_fido(call: Call, request: ReleaseFido) -> Answer:
    """Switch a member's FIDO off. 400 without such a channel; the PG's own words stand in `error`."""
    _, channels = await merchant_and_channels(call)
    channel = _of_key(channels, request.channel_key)
    if channel is None:
        raise HttpRefusal(400, messages.NO_QUICK_CHANNEL)
    try:
        member = await ask_about_member(
            call.gateway, channel, "release_fido", request.member_id, once=call.once
        )
    except PgRefused as refused:
        return _not_released(refused.pg_code, refused.sentence)
    return success(ReleasedAnnotation(member.member_id))


async def recall_release(call: Call, request: ReleaseFido, question_number: str) -> Answer:
    """What became of the release with this number."""
    async with call.gateway.store.direct() as session:
        question = await session.quick.of_number(question_number)
    assert question is not None, "a key is bound together with its question"
    if question.fail_code is not None:
        return _not_released(question.fail_code, question.fail_reason or "")
    if question.member is None:
        return not_known_yet(None)
    return success(ReleasedAnnotation(question.member_id))


async def pay_money(call: Call, request: PayByMoney) -> Answer:
    """Take an order's money from a member's wallet."""
    merchant, channels = await merchant_and_channels(call)
    channel = _of_key(channels, request.channel_key)
    if channel is None:
        raise Refused(messages.NO_QUICK_CHANNEL)
    async with call.gateway.store.direct() as session:
        prepared = await session.quick.prepared(call.merchant_id, request.merchant_uid)
    if prepared is not None and prepared.prepaid_amount not in (None, request.amount):
        raise Refused(messages.QUICK_AMOUNT_DIFFERS)
    opening = Opening(
        merchant=merchant,
        channel=channel,
        merchant_uid=read_merchant_uid(request.merchant_uid),
        amount=Money.from_wire(request.amount, "KRW"),
        surface=Surface.API,
        pay_method="point",
        name=request.name,
        user_agent=call.user_agent,
        webhook_urls=read_notice_urls(request.notice_url),
        request={"member_id": request.member_id}
        | ({} if prepared is None else {"btid": prepared.btid}),
    )
    payment = await pay_by_money(
        call.gateway, opening, request.member_id, request.imp_uid, call.once
    )
    return success(annotated(call, payment))


async def pay_key(call: Call, request: PayByKey) -> Answer:
    """Charge a customer by the key that quick pay keeps."""
    merchant, channels = await merchant_and_channels(call)
    async with call.gateway.store.direct() as session:
        key = await session.billing_keys.get(call.merchant_id, request.customer_uid)
    if key is None or key.pg_code != PG_CODE:
        raise NoBillingKey
    opening = Opening(
        merchant=merchant,
        channel=next(each for each in channels if each.id == key.channel_id),
        merchant_uid=read_merchant_uid(request.merchant_uid),
        amount=Money.from_wire(request.amount, "KRW"),
        surface=Surface.API,
        pay_method="card",
        name=request.name,
        buyer=Buyer(name=request.buyer_name),
        user_agent=call.user_agent,
        webhook_urls=read_notice_urls(request.notice_url),
    )
    payment = await pay_by_billing_key(call.gateway, opening, key, once=call.once)
    return success(annotated(call, payment))


async def delete_key(call: Call, request: DeleteKey) -> Answer:
    """Delete a customer's key; 404 for one that quick pay does not keep."""
    async with call.gateway.store.direct() as session:
        key = await session.billing_keys.get(call.merchant_id, request.customer_uid)
    if key is None or key.pg_code != PG_CODE:
        raise HttpRefusal(404, messages.NO_QUICK_KEY)
    try:
        await delete_billing_key(
            call.gateway, call.merchant_id, request.customer_uid, once=call.once
        )
    except NoBillingKey:
        raise HttpRefusal(404, messages.NO_QUICK_KEY) from None
    return success(DeletedKeyAnnotation(request.customer_uid))


async def recall_delete_key(call: Call, request: DeleteKey, key_number: str) -> Answer:
    """A key is deleted by the commit that binds its number."""
    return success(DeletedKeyAnnotation(request.customer_uid))


async def prepare(call: Call, request: Prepare) -> Answer:
    """Announce an order; 409 for one that was announced already."""
    prepared = _prepared(request)
    async with call.gateway.store.begin() as tx:
        if not await tx.quick.prepare(call.merchant_id, prepared, call.now):
            raise HttpRefusal(409, messages.QUICK_PREPARED_ALREADY)
        await tx.idempotency.bind(call.once, prepared.btid)
    return success(QuickPrepareAnnotation(prepared.btid, prepared.merchant_uid))


async def change_prepared(call: Call, request: Prepare) -> Answer:
    """Announce an order anew; 404 for one that never was announced."""
    prepared = _prepared(request)
    async with call.gateway.store.begin() as tx:
        if not await tx.quick.change_prepared(call.merchant_id, prepared, call.now):
            raise HttpRefusal(404, messages.QUICK_NOT_PREPARED)
        await tx.idempotency.bind(call.once, prepared.btid)
    return success(QuickPrepareAnnotation(prepared.btid, prepared.merchant_uid))


async def recall_prepared(call: Call, request: Prepare, btid: str) -> Answer:
    """What was announced with this key, whatever was announced after it."""
    return success(QuickPrepareAnnotation(btid, request.merchant_uid))


def _prepared(request: Prepare) -> QuickPrepared:
    """What is announced. Raises HttpRefusal 400."""
    try:
        ipaddress.IPv4Address(request.cust_ip)
    except ValueError:
        raise malformed("cust_ip") from None
    if request.prepaid_auth_yn not in (None, "Y", "N"):
        raise malformed("prepaid_auth_yn")
    prepaid = request.prepaid_auth_yn == "Y"
    if prepaid and request.prepaid_amount is None:
        raise HttpRefusal(400, messages.missing("prepaid_amount"))
    if request.prepaid_amount is not None and not 0 < request.prepaid_amount <= PREPAID_MAX:
        raise malformed("prepaid_amount")
    for name in ("btid", "code_verifier", "vender_type", "reward_id"):
        if not (getattr(request, name) or "x").isprintable():
            raise malformed(name)
    return QuickPrepared(
        merchant_uid=read_merchant_uid(request.merchant_uid),
        btid=request.btid,
        cust_ip=request.cust_ip,
        code_verifier=request.code_verifier,
        prepaid_auth=prepaid,
        prepaid_amount=request.prepaid_amount,
        vender_type=request.vender_type,
        reward_id=request.reward_id,
    )


def _quick(channels: Sequence[Channel]) -> list[Channel]:
    return [channel for channel in channels if channel.pg_code == PG_CODE]


def _of_key(channels: Sequence[Channel], channel_key: str) -> Channel | None:
    return next((each for each in _quick(channels) if each.channel_key == channel_key), None)


def _member(channel: Channel, member: QuickMember) -> KcpQuickMemberAnnotation:
    return KcpQuickMemberAnnotation(
        inserted=unix(member.inserted_at),
        member_id=member.member_id,
        pg_id=channel.mid,
        pg_provider=channel.pg_code,
        updated=unix(member.updated_at),
    )


def _no_member(refused: PgRefused) -> HttpRefusal | PgRefused:
    """An unknown member is 404; what else the PG says is passed on."""
    if refused.pg_code == "MEMBER_NOT_FOUND":
        return HttpRefusal(404, messages.NO_MEMBER)
    return refused


def _not_released(code: str, words: str) -> Answer:
    """`error` is KCP's own answer; no other operation of V1 has this shape."""
    said: dict[str, Any] = {
        "code": -1,
        "error": {"code": code, "message": words},
        "message": words,
        "response": None,
    }
    return Answer(200, php_json(said))


OPERATIONS = (
    Operation(
        "DELETE",
        "/kcpquick/members/{member_id}",
        DeleteMember,
        "KCP 퀵페이 구매자 삭제",
        "kcpquick",
        delete_member,
        recall=recall_delete,
        answer=KcpQuickMemberAnnotation,
        english="Have KCP forget a member of quick pay",
    ),
    Operation(
        "POST",
        "/kcpquick/members/{member_id}/fido/release",
        ReleaseFido,
        "KCP 퀵페이 생체인증(FIDO) 해제",
        "kcpquick",
        release_fido,
        recall=recall_release,
        answer=ReleasedAnnotation,
        english="Switch a member's FIDO off",
    ),
    Operation(
        "POST",
        "/kcpquick/payment/money",
        PayByMoney,
        "KCP 선불머니 결제",
        "kcpquick",
        pay_money,
        recall=recall_payment,
        answer=PaymentAnnotation,
        english="Pay an order from a member's prepaid money",
    ),
    Operation(
        "POST",
        "/kcpquick/payment/autopay",
        PayByKey,
        "KCP 퀵페이 자동결제",
        "kcpquick",
        pay_key,
        recall=recall_payment,
        answer=PaymentAnnotation,
        english="Charge a customer by their key of quick pay",
    ),
    Operation(
        "DELETE",
        "/kcpquick/autopay/{customer_uid}",
        DeleteKey,
        "KCP 퀵페이 자동결제 키 삭제",
        "kcpquick",
        delete_key,
        recall=recall_delete_key,
        answer=DeletedKeyAnnotation,
        english="Delete a customer's key of quick pay",
    ),
    Operation(
        "POST",
        "/kcpquick/prepare/{merchant_uid}",
        Prepare,
        "KCP 선불머니 거래 사전등록",
        "kcpquick",
        prepare,
        recall=recall_prepared,
        answer=QuickPrepareAnnotation,
        english="Announce an order of quick pay",
    ),
    Operation(
        "PUT",
        "/kcpquick/prepare/{merchant_uid}",
        Prepare,
        "KCP 선불머니 거래 사전등록 수정",
        "kcpquick",
        change_prepared,
        recall=recall_prepared,
        answer=QuickPrepareAnnotation,
        english="Announce an order of quick pay anew",
    ),
)

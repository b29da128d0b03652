"""`/cvs`: barcodes that are paid at the till of a convenience store. Source: protocol facts, REST §9.

i'mport's payment has no field for a barcode. It is answered where an account number stands:
`vbank_num`, with `vbank_date` as its due date, `vbank_code` `CVS` and `vbank_name` `편의점`
(docs/reference/compatibility.md).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from naru.domain.channel import choose_channel
from naru.domain.errors import NoSuchPayment, PgRefused
from naru.domain.ids import MerchantUid, is_merchant_uid
from naru.domain.merchant import origin_of
from naru.domain.money import Money
from naru.domain.payment import Buyer, Payment, Step, Surface
from naru.payments.close_virtual_account import NotWaiting, close_virtual_account
from naru.payments.issue_barcode import PAY_METHOD, issue_barcode
from naru.payments.start import Opening
from naru.rest import messages
from naru.rest.annotations import PaymentAnnotation, payment_annotation
from naru.rest.coerce import Text, json_text, malformed, number, texts, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation
from naru.rest.vbanks import NOTICE_URLS_MAX

_YEAR_2100 = 4_102_444_800
_BARCODE = re.compile(r"[0-9]{6,30}")


class IssueBarcode(msgspec.Struct):
    """What `POST /cvs` takes. The channel is named by `channel_key`, else by `pg`, else it is the default one."""

    merchant_uid: Annotated[str, Text(40)]
    amount: Annotated[str | int | Decimal, number]
    channel_key: Annotated[str, Text(100)] | None = None
    pg: Annotated[str, Text(80)] | None = None
    barcode: Annotated[str, Text(30)] | None = None
    expired_at: Annotated[int, whole] | None = None
    name: Annotated[str, Text(40, cut=True)] | None = None
    buyer_name: Annotated[str, Text(16, cut=True)] | None = None
    buyer_email: Annotated[str, Text(64, cut=True)] | None = None
    buyer_tel: Annotated[str, Text(16, cut=True)] | None = None
    buyer_addr: Annotated[str, Text(128, cut=True)] | None = None
    buyer_postcode: Annotated[str, Text(8, cut=True)] | None = None
    confirm_url: Annotated[str, Text(2_000)] | None = None
    notice_url: Annotated[tuple[str, ...], texts] = ()
    custom_data: Annotated[str, json_text] | None = None


class RevokeBarcode(msgspec.Struct):
    """What `DELETE /cvs/{imp_uid}` takes."""

    imp_uid: Annotated[str, Text()]


async def issue(call: Call, request: IssueBarcode) -> Answer:
    """Issue or register a barcode; the payment is `ready` until a till took the money."""
    if not is_merchant_uid(request.merchant_uid):
        raise malformed("merchant_uid")
    if request.barcode is not None and not _BARCODE.fullmatch(request.barcode):
        raise malformed("barcode")
    if request.expired_at is not None and not 0 < request.expired_at < _YEAR_2100:
        raise malformed("expired_at")
    if len(request.notice_url) > NOTICE_URLS_MAX or not all(map(origin_of, request.notice_url)):
        raise malformed("notice_url")
    if request.confirm_url is not None and origin_of(request.confirm_url) is None:
        raise malformed("confirm_url")
    amount = Money.from_wire(request.amount, "KRW")
    async with call.gateway.store.direct() as session:
        merchant = await session.merchants.get(call.merchant_id)
        channels = await session.channels.of_merchant(call.merchant_id)
    if merchant is None:
        raise HttpRefusal(401, messages.UNAUTHORIZED)
    opening = Opening(
        merchant=merchant,
        channel=choose_channel(channels, channel_key=request.channel_key, pg=request.pg),
        merchant_uid=MerchantUid(request.merchant_uid),
        amount=amount,
        surface=Surface.API,
        pay_method=PAY_METHOD,
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
        confirm_url=request.confirm_url,
        announced_binds=False,
    )
    due = None if request.expired_at is None else datetime.fromtimestamp(request.expired_at, UTC)
    payment = await issue_barcode(
        call.gateway, opening, barcode=request.barcode, due=due, once=call.once
    )
    return success(_annotation(call, payment))


async def revoke(call: Call, request: RevokeBarcode) -> Answer:
    """Revoke a barcode that waits; the payment becomes `failed`. 404 unknown, 400 for one that does not wait."""
    try:
        payment = await close_virtual_account(
            call.gateway, call.merchant_id, request.imp_uid, call.once, barcode=True
        )
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    except NotWaiting:
        raise HttpRefusal(400, messages.NOT_A_WAITING_BARCODE) from None
    return success(_annotation(call, payment))


async def recall_issue(call: Call, request: IssueBarcode, imp_uid: str) -> Answer:
    """What became of the barcode of this payment."""
    payment = await _payment(call, imp_uid)
    if payment.step is Step.APPROVING:
        return not_known_yet(_annotation(call, payment))
    if payment.virtual_account is None:
        raise PgRefused(payment.fail_code or "", payment.fail_reason or "")
    return success(_annotation(call, payment))


async def recall_revoke(call: Call, request: RevokeBarcode, number: str) -> Answer:
    """What became of the closing with this number."""
    async with call.gateway.store.direct() as session:
        intent = await session.intents.of_number("close_account", number)
    assert intent is not None, "a key is bound together with its intent"
    payment = await _payment(call, intent.imp_uid)
    if payment.step is Step.FAILED:
        return success(_annotation(call, payment))
    if intent.state == "refused":
        raise PgRefused(intent.outcome or "", messages.PG_REFUSED_REVOKING)
    if intent.state == "done":
        # The money came first: the barcode is gone, the payment is paid.
        raise HttpRefusal(400, messages.NOT_A_WAITING_BARCODE)
    return not_known_yet(_annotation(call, payment))


async def _payment(call: Call, imp_uid: str) -> Payment:
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(imp_uid, call.merchant_id)
    assert payment is not None, "a key is bound to a payment of its own merchant"
    return payment


def _annotation(call: Call, payment: Payment) -> PaymentAnnotation:
    return payment_annotation(payment, partial_cancel=call.gateway.partial_cancel_status)


OPERATIONS = (
    Operation(
        "POST",
        "/cvs",
        IssueBarcode,
        "편의점 수납번호 발급",
        "cvs",
        issue,
        recall=recall_issue,
        answer=PaymentAnnotation,
        english="Issue or register a barcode that is paid at a convenience store.",
    ),
    Operation(
        "DELETE",
        "/cvs/{imp_uid}",
        RevokeBarcode,
        "편의점 수납번호 말소",
        "cvs",
        revoke,
        recall=recall_revoke,
        answer=PaymentAnnotation,
        english="Revoke a barcode that waits.",
    ),
)

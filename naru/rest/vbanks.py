"""Virtual accounts without a window. Source: protocol facts, REST §3."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from naru.domain.channel import choose_channel
from naru.domain.errors import BadRequest, NoSuchPayment, NotSupported, PgRefused
from naru.domain.ids import MerchantUid, is_merchant_uid
from naru.domain.merchant import origin_of
from naru.domain.money import Money
from naru.domain.payment import Buyer, Payment, Step, Surface
from naru.payments.change_virtual_account import change_virtual_account
from naru.payments.close_virtual_account import NotWaiting, close_virtual_account
from naru.payments.issue_virtual_account import issue_virtual_account
from naru.payments.start import Opening
from naru.rest import messages
from naru.rest.annotations import PaymentAnnotation, payment_annotation
from naru.rest.codes import bank_code
from naru.rest.coerce import Text, flag, json_text, malformed, number, texts, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation

NOTICE_URLS_MAX = 10
_YEAR_2100 = 4_102_444_800


class IssueAccount(msgspec.Struct):
    """What `POST /vbanks` takes. The channel is named by `channel_key`, else by `pg`, else it is the default one."""

    merchant_uid: Annotated[str, Text(40)]
    amount: Annotated[str | int | Decimal, number]
    vbank_code: Annotated[str, bank_code]
    vbank_due: Annotated[int, whole]
    vbank_holder: Annotated[str, Text(16, cut=True)] | None = None
    vbank_num: Annotated[str, Text(32)] | None = None
    vbank_key: Annotated[str, Text(13)] | None = None
    fixed_unlimited_vbank: Annotated[bool, flag] = False
    channel_key: Annotated[str, Text(100)] | None = None
    pg: Annotated[str, Text(80)] | None = None
    currency: Annotated[str, Text(3)] = "KRW"
    tax_free: Annotated[str | int | Decimal, number] | None = None
    vat_amount: Annotated[str | int | Decimal, number] | None = None
    name: Annotated[str, Text(40, cut=True)] | None = None
    buyer_name: Annotated[str, Text(16, cut=True)] | None = None
    buyer_email: Annotated[str, Text(64, cut=True)] | None = None
    buyer_tel: Annotated[str, Text(16, cut=True)] | None = None
    buyer_addr: Annotated[str, Text(128, cut=True)] | None = None
    buyer_postcode: Annotated[str, Text(8, cut=True)] | None = None
    notice_url: Annotated[tuple[str, ...], texts] = ()
    custom_data: Annotated[str, json_text] | None = None
    product_type: Annotated[str, Text(20)] | None = None
    product_count: Annotated[int, whole] | None = None
    business_registration_number: Annotated[str, Text(10)] | None = None
    # V1 takes both for inicis. Here a channel keeps its own keys: taken, used for nothing, kept nowhere.
    escrow_password: Annotated[str, Text(200)] | None = None
    pg_api_key: Annotated[str, Text(200)] | None = None


class ChangeAccount(msgspec.Struct):
    """What `PUT /vbanks/{imp_uid}` takes."""

    imp_uid: Annotated[str, Text()]
    amount: Annotated[str | int | Decimal, number] | None = None
    vbank_due: Annotated[int, whole] | None = None


class CloseAccount(msgspec.Struct):
    """What `DELETE /vbanks/{imp_uid}` takes."""

    imp_uid: Annotated[str, Text()]
    pg_api_key: Annotated[str, Text(200)] | None = None  # As in IssueAccount.


async def issue(call: Call, request: IssueAccount) -> Answer:
    """Issue an account; the payment is `ready` until its deposit."""
    if not is_merchant_uid(request.merchant_uid):
        raise malformed("merchant_uid")
    if request.vbank_num or request.vbank_key or request.fixed_unlimited_vbank:
        # To issue another number than the one that was asked for would be worse than to refuse.
        raise BadRequest(messages.FIXED_ACCOUNT_UNSUPPORTED)
    if not 0 < request.vbank_due < _YEAR_2100:
        raise malformed("vbank_due")
    if len(request.notice_url) > NOTICE_URLS_MAX or not all(map(origin_of, request.notice_url)):
        raise malformed("notice_url")
    amount = Money.from_wire(request.amount, request.currency)
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
        pay_method="vbank",
        tax_free=_money(request.tax_free, amount.currency),
        vat=_money(request.vat_amount, amount.currency),
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
        request=_remembered(request),
    )
    payment = await issue_virtual_account(
        call.gateway,
        opening,
        bank_code=request.vbank_code,
        holder=request.vbank_holder,
        due=datetime.fromtimestamp(request.vbank_due, UTC),
        once=call.once,
    )
    return success(_annotation(call, payment))


async def change(call: Call, request: ChangeAccount) -> Answer:
    """Change amount or due date of a waiting account: a power of settle.

    404 for an unknown payment, 400 for one that does not wait or a PG without this power.
    """
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(request.imp_uid, call.merchant_id)
    if payment is None:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    if payment.step is not Step.WAITING_DEPOSIT:
        raise HttpRefusal(400, messages.NOT_A_WAITING_ACCOUNT)
    amount = _money(request.amount, payment.amount.currency)
    if amount is not None and not amount:
        raise malformed("amount")
    if request.vbank_due is not None and not 0 < request.vbank_due < _YEAR_2100:
        raise malformed("vbank_due")
    due = None if request.vbank_due is None else datetime.fromtimestamp(request.vbank_due, UTC)
    try:
        changed = await change_virtual_account(
            call.gateway, call.merchant_id, request.imp_uid, amount, due, call.once
        )
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    except NotSupported:
        raise HttpRefusal(400, messages.ACCOUNT_CHANGE_UNSUPPORTED) from None
    return success(_annotation(call, changed))


async def close(call: Call, request: CloseAccount) -> Answer:
    """Close a waiting account; the payment becomes `failed`. 404 unknown, 400 for one that does not wait."""
    try:
        payment = await close_virtual_account(
            call.gateway, call.merchant_id, request.imp_uid, call.once
        )
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    return success(_annotation(call, payment))


async def recall_issue(call: Call, request: IssueAccount, imp_uid: str) -> Answer:
    """What became of the account of this payment."""
    payment = await _payment(call, imp_uid)
    if payment.step is Step.APPROVING:
        return not_known_yet(_annotation(call, payment))
    if payment.virtual_account is None:
        raise PgRefused(payment.fail_code or "", payment.fail_reason or "")
    return success(_annotation(call, payment))


async def recall_change(call: Call, request: ChangeAccount, number: str) -> Answer:
    """What became of the errand with this number."""
    async with call.gateway.store.direct() as session:
        errand = await session.errands.of_number(number)
    assert errand is not None, "a key is bound together with its errand"
    if errand.state == "refused":
        raise PgRefused(errand.fail_code or "", errand.fail_reason or "")
    payment = _annotation(call, await _payment(call, errand.imp_uid))
    return not_known_yet(payment) if errand.state == "asking" else success(payment)


async def recall_close(call: Call, request: CloseAccount, number: str) -> Answer:
    """What became of the closing with this number."""
    async with call.gateway.store.direct() as session:
        intent = await session.intents.of_number("close_account", number)
    assert intent is not None, "a key is bound together with its intent"
    payment = await _payment(call, intent.imp_uid)
    if payment.step is Step.FAILED:
        return success(_annotation(call, payment))
    if intent.state == "refused":
        raise PgRefused(intent.outcome or "", messages.PG_REFUSED_CLOSING)
    if intent.state == "done":
        # The deposit came first: the account is gone, the money is not.
        raise NotWaiting
    return not_known_yet(_annotation(call, payment))


async def _payment(call: Call, imp_uid: str) -> Payment:
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(imp_uid, call.merchant_id)
    assert payment is not None, "a key is bound to a payment of its own merchant"
    return payment


def _annotation(call: Call, payment: Payment) -> PaymentAnnotation:
    return payment_annotation(payment, partial_cancel=call.gateway.partial_cancel_status)


def _remembered(request: IssueAccount) -> dict[str, Any]:
    """What some PG may want to know later, kept beside the payment as it came."""
    given = {
        "product_type": request.product_type,
        "product_count": request.product_count,
        "business_registration_number": request.business_registration_number,
    }
    return {name: value for name, value in given.items() if value is not None}


def _money(amount: str | int | Decimal | None, currency: str) -> Money | None:
    return None if amount is None else Money.from_wire(amount, currency)


OPERATIONS = (
    Operation(
        "POST",
        "/vbanks",
        IssueAccount,
        "가상계좌 발급",
        "vbanks",
        issue,
        recall=recall_issue,
        answer=PaymentAnnotation,
        english="Issue a virtual account",
    ),
    Operation(
        "PUT",
        "/vbanks/{imp_uid}",
        ChangeAccount,
        "가상계좌 수정",
        "vbanks",
        change,
        recall=recall_change,
        answer=PaymentAnnotation,
        english="Change a waiting virtual account",
    ),
    Operation(
        "DELETE",
        "/vbanks/{imp_uid}",
        CloseAccount,
        "가상계좌 말소",
        "vbanks",
        close,
        recall=recall_close,
        answer=PaymentAnnotation,
        english="Close a waiting virtual account",
    ),
)

"""Virtual accounts without a window. Source: protocol facts, REST §3."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from naru.domain.channel import choose_channel
from naru.domain.errors import BadRequest, NoSuchPayment, NotSupported, PgRefused
from naru.domain.payment import Step
from naru.payments.change_virtual_account import change_virtual_account
from naru.payments.close_virtual_account import NotWaiting, close_virtual_account
from naru.payments.issue_virtual_account import issue_virtual_account
from naru.rest import messages
from naru.rest.annotations import PaymentAnnotation
from naru.rest.codes import bank_code
from naru.rest.coerce import Number, Seconds, Text, flag, malformed, number, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.opening import (
    Order,
    annotated,
    given,
    merchant_and_channels,
    money_of,
    payment_of,
    read_order,
)
from naru.rest.operation import Call, Operation
from naru.rest.orders_at_pg import errand_of


class IssueAccount(Order, kw_only=True):
    """What `POST /vbanks` takes. The channel is named by `channel_key`, else by `pg`, else it is the default one."""

    vbank_code: Annotated[str, bank_code]
    vbank_due: Annotated[int, Seconds()]
    vbank_holder: Annotated[str, Text(16, cut=True)] | None = None
    vbank_num: Annotated[str, Text(32)] | None = None
    vbank_key: Annotated[str, Text(13)] | None = None
    fixed_unlimited_vbank: Annotated[bool, flag] = False
    channel_key: Annotated[str, Text(100)] | None = None
    pg: Annotated[str, Text(80)] | None = None
    currency: Annotated[str, Text(3)] = "KRW"
    tax_free: Annotated[Number, number] | None = None
    vat_amount: Annotated[Number, number] | None = None
    product_type: Annotated[str, Text(20)] | None = None
    product_count: Annotated[int, whole] | None = None
    business_registration_number: Annotated[str, Text(10)] | None = None
    # V1 takes both for inicis. Here a channel keeps its own keys: taken, used for nothing, kept nowhere.
    escrow_password: Annotated[str, Text(200)] | None = None
    pg_api_key: Annotated[str, Text(200)] | None = None


class ChangeAccount(msgspec.Struct):
    """What `PUT /vbanks/{imp_uid}` takes."""

    imp_uid: Annotated[str, Text()]
    amount: Annotated[Number, number] | None = None
    vbank_due: Annotated[int, Seconds()] | None = None


class CloseAccount(msgspec.Struct):
    """What `DELETE /vbanks/{imp_uid}` takes."""

    imp_uid: Annotated[str, Text()]
    pg_api_key: Annotated[str, Text(200)] | None = None  # As in IssueAccount.


async def issue(call: Call, request: IssueAccount) -> Answer:
    """Issue an account; the payment is `ready` until its deposit."""
    if request.vbank_num or request.vbank_key or request.fixed_unlimited_vbank:
        # To issue another number than the one that was asked for would be worse than to refuse.
        raise BadRequest(messages.FIXED_ACCOUNT_UNSUPPORTED)
    merchant, channels = await merchant_and_channels(call)
    channel = choose_channel(channels, channel_key=request.channel_key, pg=request.pg)
    opening = read_order(call, request, merchant, channel, "vbank", request.currency)
    currency = opening.amount.currency
    opening = replace(
        opening,
        tax_free=money_of(request.tax_free, currency),
        vat=money_of(request.vat_amount, currency),
        request=given(
            {
                "product_type": request.product_type,
                "product_count": request.product_count,
                "business_registration_number": request.business_registration_number,
            }
        ),
    )
    payment = await issue_virtual_account(
        call.gateway,
        opening,
        bank_code=request.vbank_code,
        holder=request.vbank_holder,
        due=datetime.fromtimestamp(request.vbank_due, UTC),
        once=call.once,
    )
    return success(annotated(call, payment))


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
    amount = money_of(request.amount, payment.amount.currency)
    if amount is not None and not amount:
        raise malformed("amount")
    due = None if request.vbank_due is None else datetime.fromtimestamp(request.vbank_due, UTC)
    try:
        changed = await change_virtual_account(
            call.gateway, call.merchant_id, request.imp_uid, amount, due, call.once
        )
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    except NotSupported:
        raise HttpRefusal(400, messages.ACCOUNT_CHANGE_UNSUPPORTED) from None
    return success(annotated(call, changed))


async def close(call: Call, request: CloseAccount) -> Answer:
    """Close a waiting account; the payment becomes `failed`. 404 unknown, 400 for one that does not wait."""
    try:
        payment = await close_virtual_account(
            call.gateway, call.merchant_id, request.imp_uid, call.once
        )
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    return success(annotated(call, payment))


async def recall_issue(call: Call, request: msgspec.Struct, imp_uid: str) -> Answer:
    """What became of the account, or the barcode, of this payment."""
    payment = await payment_of(call, imp_uid)
    if payment.step is Step.APPROVING:
        return not_known_yet(annotated(call, payment))
    if payment.virtual_account is None:
        raise PgRefused(payment.fail_code or "", payment.fail_reason or "")
    return success(annotated(call, payment))


async def recall_change(call: Call, request: ChangeAccount, number: str) -> Answer:
    """What became of the errand with this number."""
    errand = await errand_of(call, number)
    payment = annotated(call, await payment_of(call, errand.imp_uid))
    return not_known_yet(payment) if errand.state == "asking" else success(payment)


async def recall_close(call: Call, request: CloseAccount, number: str) -> Answer:
    """What became of the closing with this number. Raises NotWaiting when the deposit came first."""
    return await closed(call, number, messages.PG_REFUSED_CLOSING)


async def closed(call: Call, number: str, refused: str) -> Answer:
    """What became of the closing with this number; `refused` says that the PG would not."""
    async with call.gateway.store.direct() as session:
        intent = await session.intents.of_number("close_account", number)
    assert intent is not None, "a key is bound together with its intent"
    payment = await payment_of(call, intent.imp_uid)
    if payment.step is Step.FAILED:
        return success(annotated(call, payment))
    if intent.state == "refused":
        raise PgRefused(intent.outcome or "", refused)
    if intent.state == "done":
        # The money came first: the account is gone, the payment is paid.
        raise NotWaiting
    return not_known_yet(annotated(call, payment))


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

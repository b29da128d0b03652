"""Cash receipts: of our payments, and of orders that were paid outside. Source: protocol facts, REST §8, models §7."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from naru.domain.cash_receipt import (
    NEEDS,
    NEEDS_EXTERNAL,
    AlreadyIssued,
    CashReceipt,
    Identifier,
    IdentifierType,
    ReceiptType,
)
from naru.domain.channel import choose_channel
from naru.domain.errors import NoSuchPayment, NotSupported, OutcomeUnknown, PgRefused
from naru.domain.ids import is_merchant_uid
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.payment import Buyer
from naru.payments.cancel_cash_receipt import cancel_cash_receipt
from naru.payments.issue_cash_receipt import (
    ReceiptRequest,
    issue_cash_receipt,
    issue_external_receipt,
)
from naru.rest import messages
from naru.rest.annotations import unix
from naru.rest.coerce import OneOf, Text, malformed, number
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation

KRW = "KRW"


class ProductType(StrEnum):
    """Goods that are shipped, or that are not."""

    REAL = "real"
    DIGITAL = "digital"


class CashMethod(StrEnum):
    """How an order outside was paid."""

    TRANS = "trans"
    VBANK = "vbank"


class IssueReceipt(msgspec.Struct):
    """What `POST /receipts/{imp_uid}` takes. The amount is what is left of the payment."""

    imp_uid: Annotated[str, Text()]
    identifier: Annotated[str, Text(40)]
    identifier_type: Annotated[IdentifierType, OneOf(IdentifierType)] | None = None
    type: Annotated[ReceiptType, OneOf(ReceiptType)] | None = None
    product_type: Annotated[ProductType, OneOf(ProductType)] | None = None
    company_tel: Annotated[str, Text(40)] | None = None
    company_name: Annotated[str, Text(100)] | None = None
    corp_reg_no: Annotated[str, Text(20)] | None = None
    buyer_name: Annotated[str, Text(16, cut=True)] | None = None
    buyer_email: Annotated[str, Text(64, cut=True)] | None = None
    buyer_tel: Annotated[str, Text(16, cut=True)] | None = None
    tax_free: Annotated[str | int | Decimal, number] | None = None
    vat: Annotated[str | int | Decimal, number] | None = None
    vat_amount: Annotated[str | int | Decimal, number] | None = None


class IssueExternalReceipt(msgspec.Struct):
    """What `POST /receipts/external/{merchant_uid}` takes. Without `channel_key` the default channel issues it."""

    merchant_uid: Annotated[str, Text(40)]
    name: Annotated[str, Text(40, cut=True)]
    amount: Annotated[str | int | Decimal, number]
    identifier: Annotated[str, Text(40)]
    channel_key: Annotated[str, Text(100)] | None = None
    pg: Annotated[str, Text(80)] | None = None
    identifier_type: Annotated[IdentifierType, OneOf(IdentifierType)] | None = None
    type: Annotated[ReceiptType, OneOf(ReceiptType)] | None = None
    product_type: Annotated[ProductType, OneOf(ProductType)] | None = None
    pay_method: Annotated[CashMethod, OneOf(CashMethod)] | None = None
    corp_reg_no: Annotated[str, Text(20)] | None = None
    buyer_name: Annotated[str, Text(16, cut=True)] | None = None
    buyer_email: Annotated[str, Text(64, cut=True)] | None = None
    buyer_tel: Annotated[str, Text(16, cut=True)] | None = None
    tax_free: Annotated[str | int | Decimal, number] | None = None
    vat_amount: Annotated[str | int | Decimal, number] | None = None


class OneReceipt(msgspec.Struct):
    """A receipt by its payment."""

    imp_uid: Annotated[str, Text()]


class OneExternalReceipt(msgspec.Struct):
    """A receipt by the merchant's own number of its order."""

    merchant_uid: Annotated[str, Text()]


class ReceiptAnnotation(msgspec.Struct, frozen=True):
    """A cash receipt of a payment."""

    amount: int
    applied_at: int
    apply_num: str
    cancelled_at: int
    imp_uid: str
    receipt_tid: str | None
    receipt_url: str | None
    type: Literal["person", "company"]
    vat: int


class ExternalReceiptAnnotation(msgspec.Struct, frozen=True):
    """A cash receipt of an order that was paid outside."""

    amount: int
    applied_at: int
    apply_num: str
    cancelled_at: int
    merchant_uid: str
    receipt_tid: str | None
    receipt_url: str | None
    type: Literal["person", "company"]
    vat: int


async def show(call: Call, request: OneReceipt) -> Answer:
    """The newest receipt of a payment, also one that was cancelled. 404 when there is none."""
    async with call.gateway.store.direct() as session:
        receipt = await session.cash_receipts.of_payment(call.merchant_id, request.imp_uid)
    if receipt is None:
        raise HttpRefusal(404, messages.no_receipt(request.imp_uid))
    return success(_annotation(receipt))


async def issue(call: Call, request: IssueReceipt) -> Answer:
    """Issue the receipt of what is left of a payment. 404 unknown, 400 not paid in cash or issued already, 501."""
    merchant = await _merchant(call)
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(request.imp_uid, call.merchant_id)
    if payment is None:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    _need(request, NEEDS.get(payment.pg_code, ()))
    vat = request.vat if request.vat_amount is None else request.vat_amount
    asked = _request(call, request, vat)
    try:
        receipt = await issue_cash_receipt(call.gateway, merchant, request.imp_uid, asked)
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    except NotSupported:
        raise HttpRefusal(501, messages.RECEIPT_UNSUPPORTED) from None
    return success(_annotation(receipt))


async def revoke(call: Call, request: OneReceipt) -> Answer:
    """Cancel the receipt of a payment; the money stays. 400 when none was ever issued, 501.

    A second time answers the same, with the first `cancelled_at`; the PG is not asked again.
    """
    async with call.gateway.store.direct() as session:
        receipt = await session.cash_receipts.of_payment(call.merchant_id, request.imp_uid)
    try:
        return success(_annotation(await cancel_cash_receipt(call.gateway, receipt, call.once)))
    except NotSupported:
        raise HttpRefusal(501, messages.RECEIPT_UNSUPPORTED) from None


async def show_external(call: Call, request: OneExternalReceipt) -> Answer:
    """The newest receipt of an order that was paid outside. 404 when there is none."""
    return success(_external(await _found_external(call, request.merchant_uid)))


async def issue_external(call: Call, request: IssueExternalReceipt) -> Answer:
    """Issue the receipt of an order that was paid outside: one at a time. 400 issued already, 501."""
    if not is_merchant_uid(request.merchant_uid):
        raise malformed("merchant_uid")
    merchant = await _merchant(call)
    async with call.gateway.store.direct() as session:
        channels = await session.channels.of_merchant(call.merchant_id)
    channel = choose_channel(channels, channel_key=request.channel_key, pg=request.pg)
    _need(request, NEEDS_EXTERNAL.get(channel.pg_code, NEEDS.get(channel.pg_code, ())))
    amount = Money.from_wire(request.amount, KRW)
    if not amount:
        raise malformed("amount")
    asked = _request(call, request, request.vat_amount)
    try:
        receipt = await issue_external_receipt(
            call.gateway, merchant, channel, request.merchant_uid, request.name, amount, asked
        )
    except NotSupported:
        raise HttpRefusal(501, messages.RECEIPT_UNSUPPORTED) from None
    except AlreadyIssued:
        raise HttpRefusal(400, messages.RECEIPT_TWICE) from None
    return success(_external(receipt))


async def revoke_external(call: Call, request: OneExternalReceipt) -> Answer:
    """Cancel the receipt of an order that was paid outside. 404 when there is none, 501."""
    receipt = await _found_external(call, request.merchant_uid)
    try:
        return success(_external(await cancel_cash_receipt(call.gateway, receipt, call.once)))
    except NotSupported:
        raise HttpRefusal(501, messages.RECEIPT_UNSUPPORTED) from None


async def recall_issue(call: Call, request: Any, receipt_number: str) -> Answer:
    """What became of the question with this number; of one that is taken back nobody knows yet."""
    receipt = await _of_number(call, receipt_number)
    if receipt.state in ("asking", "cancelling"):
        return not_known_yet(None)
    if receipt.state == "refused":
        raise PgRefused(receipt.fail_code or "", receipt.fail_reason or "")
    return success(_any_annotation(receipt))


async def recall_revoke(call: Call, request: Any, receipt_number: str) -> Answer:
    """What became of the cancel of this receipt."""
    receipt = await _of_number(call, receipt_number)
    if receipt.state == "cancelling":
        return not_known_yet(None)
    if receipt.state == "issued":
        raise PgRefused(receipt.fail_code or "", receipt.fail_reason or "")
    return success(_any_annotation(receipt))


async def _of_number(call: Call, receipt_number: str) -> CashReceipt:
    async with call.gateway.store.direct() as session:
        receipt = await session.cash_receipts.of_number(receipt_number)
    assert receipt is not None, "a key is bound together with its question"
    return receipt


async def _merchant(call: Call) -> Merchant:
    async with call.gateway.store.direct() as session:
        merchant = await session.merchants.get(call.merchant_id)
    if merchant is None:
        raise HttpRefusal(401, messages.UNAUTHORIZED)
    return merchant


async def _found_external(call: Call, merchant_uid: str) -> CashReceipt:
    async with call.gateway.store.direct() as session:
        receipt = await session.cash_receipts.of_order(call.merchant_id, merchant_uid)
    if receipt is None:
        raise HttpRefusal(404, messages.NO_EXTERNAL_RECEIPT)
    return receipt


def _need(request: IssueReceipt | IssueExternalReceipt, names: tuple[str, ...]) -> None:
    """What this PG wants to know beside the identifier."""
    for name in names:
        if getattr(request, name) is None:
            raise HttpRefusal(400, messages.missing(name))


def _request(
    call: Call, request: IssueReceipt | IssueExternalReceipt, vat: str | int | Decimal | None
) -> ReceiptRequest:
    return ReceiptRequest(
        identifier=Identifier.read(request.identifier, request.identifier_type),
        type=request.type or ReceiptType.PERSON,
        tax_free=_money(request.tax_free),
        vat=_money(vat),
        buyer=Buyer(request.buyer_name, request.buyer_email, request.buyer_tel),
        product_type=None if request.product_type is None else request.product_type.value,
        once=call.once,
    )


def _money(amount: str | int | Decimal | None) -> Money | None:
    return None if amount is None else Money.from_wire(amount, KRW)


def _facts(receipt: CashReceipt) -> dict[str, Any]:
    """What both answers say. A question that is not answered has nothing to show: doubt is told as doubt."""
    if receipt.apply_num is None:
        raise OutcomeUnknown
    return {
        "amount": receipt.tax.amount.to_wire(),
        "applied_at": unix(receipt.applied_at),
        "apply_num": receipt.apply_num,
        "cancelled_at": unix(receipt.cancelled_at),
        "receipt_tid": receipt.receipt_tid,
        "receipt_url": receipt.receipt_url,
        "type": receipt.type.value,
        "vat": receipt.tax.vat.to_wire(),
    }


def _annotation(receipt: CashReceipt) -> ReceiptAnnotation:
    return ReceiptAnnotation(imp_uid=receipt.imp_uid or "", **_facts(receipt))


def _external(receipt: CashReceipt) -> ExternalReceiptAnnotation:
    return ExternalReceiptAnnotation(merchant_uid=receipt.merchant_uid, **_facts(receipt))


def _any_annotation(receipt: CashReceipt) -> ReceiptAnnotation | ExternalReceiptAnnotation:
    return _external(receipt) if receipt.imp_uid is None else _annotation(receipt)


OPERATIONS = (
    Operation(
        "GET",
        "/receipts/{imp_uid}",
        OneReceipt,
        "현금영수증 조회",
        "receipts",
        show,
        answer=ReceiptAnnotation,
        english="The cash receipt of a payment",
    ),
    Operation(
        "POST",
        "/receipts/{imp_uid}",
        IssueReceipt,
        "현금영수증 발급",
        "receipts",
        issue,
        recall=recall_issue,
        answer=ReceiptAnnotation,
        english="Issue the cash receipt of a payment",
    ),
    Operation(
        "DELETE",
        "/receipts/{imp_uid}",
        OneReceipt,
        "현금영수증 취소",
        "receipts",
        revoke,
        recall=recall_revoke,
        answer=ReceiptAnnotation,
        english="Cancel the cash receipt of a payment",
    ),
    Operation(
        "GET",
        "/receipts/external/{merchant_uid}",
        OneExternalReceipt,
        "외부 결제건 현금영수증 조회",
        "receipts",
        show_external,
        answer=ExternalReceiptAnnotation,
        english="The cash receipt of an order that was paid outside",
    ),
    Operation(
        "POST",
        "/receipts/external/{merchant_uid}",
        IssueExternalReceipt,
        "외부 결제건 현금영수증 발급",
        "receipts",
        issue_external,
        recall=recall_issue,
        answer=ExternalReceiptAnnotation,
        english="Issue the cash receipt of an order that was paid outside",
    ),
    Operation(
        "DELETE",
        "/receipts/external/{merchant_uid}",
        OneExternalReceipt,
        "외부 결제건 현금영수증 취소",
        "receipts",
        revoke_external,
        recall=recall_revoke,
        answer=ExternalReceiptAnnotation,
        english="Cancel the cash receipt of an order that was paid outside",
    ),
)

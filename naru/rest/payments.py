"""Payments: looking them up, and giving money back. Source: protocol facts, REST §1.4, §2 and §2.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from naru.domain.cancellation import CancelRequest
from naru.domain.cash_receipt import CASH_METHODS
from naru.domain.errors import NoSuchPayment, PgRefused
from naru.domain.money import Money
from naru.domain.outcome import RefundAccount
from naru.domain.payment import Payment, Status, Step
from naru.payments.ask_now import ask_now
from naru.payments.cancel import cancel, find_to_cancel
from naru.rest import messages
from naru.rest.annotations import (
    ExtensionAnnotation,
    PagedPaymentAnnotation,
    PaymentAnnotation,
    PaymentBalanceResponseAnnotation,
    balance_annotation,
    page_annotation,
    payment_annotation,
)
from naru.rest.codes import bank_code
from naru.rest.coerce import Text, flag, malformed, number, texts, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation
from naru.store.pages import SORTINGS, Cut, Page

IDS_MAX = 100
LIMIT_MAX = 1_000
WINDOW_MAX = timedelta(days=90)
_YEAR_9999 = 253_370_764_800  # 9999-01-01, beyond which no calendar of ours goes


class OnePayment(msgspec.Struct):
    """A payment by its id. With `extension` the answer tells who sent a deposit; `include_sandbox` is taken and changes
    nothing (unknowns A9: payments of test channels are shown).
    """

    imp_uid: Annotated[str, Text()]
    include_sandbox: Annotated[bool, flag] | None = None
    extension: Annotated[bool, flag] | None = None


class ManyPayments(msgspec.Struct):
    """Payments by ids and order numbers, at most 100 together."""

    imp_uid: Annotated[tuple[str, ...], texts] = ()
    merchant_uid: Annotated[tuple[str, ...], texts] = ()


class PaymentsOfOrder(msgspec.Struct):
    """The tries at paying one order, of one public status or of any."""

    merchant_uid: Annotated[str, Text()]
    payment_status: Annotated[str, Text()] | None = None
    sorting: Annotated[str, Text()] = "-started"
    page: Annotated[int, whole] = 1
    limit: Annotated[int, whole] = 20


class PaymentsOfStatus(msgspec.Struct, rename={"since": "from", "until": "to"}):
    """Payments that reached a public status in a window of at most 90 days (unix seconds, both included)."""

    payment_status: Annotated[str, Text()]
    since: Annotated[int, whole] | None = None
    until: Annotated[int, whole] | None = None
    sorting: Annotated[str, Text()] = "-started"
    page: Annotated[int, whole] = 1
    limit: Annotated[int, whole] = 20


class CancelExtra(msgspec.Struct):
    """Who asked for the cancel; some PGs want to know. An unknown word counts as admin."""

    requester: Annotated[str, Text()] = "admin"


class CancelPayment(msgspec.Struct):
    """What `payments/cancel` takes. `imp_uid` goes before `merchant_uid`; one of them is needed."""

    imp_uid: Annotated[str, Text()] | None = None
    merchant_uid: Annotated[str, Text()] | None = None
    amount: Annotated[str | int | Decimal, number] | None = None
    tax_free: Annotated[str | int | Decimal, number] | None = None
    vat_amount: Annotated[str | int | Decimal, number] | None = None
    checksum: Annotated[str | int | Decimal, number] | None = None
    reason: Annotated[str, Text(1_000, cut=True)] = ""
    refund_holder: Annotated[str, Text(40)] | None = None
    refund_bank: Annotated[str, bank_code] | None = None
    refund_account: Annotated[str, Text(40)] | None = None
    refund_tel: Annotated[str, Text(20)] | None = None
    retain_promotion: Annotated[bool, flag] = False
    enable_webhook: Annotated[bool, flag] = False
    extra: CancelExtra = msgspec.field(default_factory=CancelExtra)


async def show(call: Call, request: OnePayment) -> Answer:
    """One payment; 404 when this merchant has none of that id."""
    payment = call.payment
    if payment is None:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    if payment.step is Step.APPROVING:
        await ask_now(call.gateway, payment.imp_uid)
    if request.extension:
        [payment] = await _with_receipts(call, [payment])
        return success(_annotation(call, payment, await _extension(call, payment)))
    return await _payment(call, payment)


async def show_many(call: Call, request: ManyPayments) -> Answer:
    """Payments newest first, each once; 207 when a part of the names is unknown, 404 when all are."""
    imp_uids, merchant_uids = set(request.imp_uid), set(request.merchant_uid)
    if len(imp_uids) + len(merchant_uids) > IDS_MAX:
        raise HttpRefusal(400, messages.TOO_MANY_IDS)
    async with call.gateway.store.direct() as session:
        payments = await session.payments.many_of_merchant(
            call.merchant_id, list(imp_uids), list(merchant_uids)
        )
    if not payments:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    complete = imp_uids <= {each.imp_uid for each in payments} and merchant_uids <= {
        each.merchant_uid for each in payments
    }
    partial_cancel = call.gateway.partial_cancel_status
    payments = await _with_receipts(call, payments)
    return success(
        [payment_annotation(each, partial_cancel=partial_cancel) for each in payments],
        200 if complete else 207,
    )


async def find(call: Call, request: PaymentsOfOrder) -> Answer:
    """The first payment of an order, in the order of `sorting`."""
    cut = Cut(1, 1, _sorting(request.sorting))
    page = await _of_order(call, request, cut)
    if not page.payments:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    return await _payment(call, page.payments[0])


async def find_all(call: Call, request: PaymentsOfOrder) -> Answer:
    """Every payment of an order, a page at a time."""
    cut = _cut(request.page, request.limit, request.sorting)
    page = await _of_order(call, request, cut)
    if not page.payments and cut.page == 1:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    return await _page(call, page, cut)


async def list_by_status(call: Call, request: PaymentsOfStatus) -> Answer:
    """Payments of a status, a page at a time; an empty first page is an answer, not a miss."""
    status = None if request.payment_status == "all" else _status(request.payment_status)
    cut = _cut(request.page, request.limit, request.sorting)
    until = call.now if request.until is None else _moment(request.until)
    since = until - WINDOW_MAX if request.since is None else _moment(request.since)
    if not since <= until <= since + WINDOW_MAX:
        raise HttpRefusal(400, messages.BAD_WINDOW)
    # `to` is a second, and all of it belongs to the window.
    end = until.replace(microsecond=999_999)
    async with call.gateway.store.direct() as session:
        page = await session.pages.of_status(
            call.merchant_id, status, since, end, call.gateway.partial_cancel_status, cut
        )
    return await _page(call, page, cut)


async def show_balance(call: Call, request: OnePayment) -> Answer:
    """What is left of a PAYCO payment by taxation; 404 for any other PG, as i'mport serves no other."""
    payment = call.payment
    if payment is None:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    if payment.pg_code != "payco" or payment.step not in (Step.PAID, Step.CANCELLED):
        raise HttpRefusal(404, messages.NO_BALANCE)
    return success(balance_annotation(payment))


async def give_back(call: Call, request: CancelPayment) -> Answer:
    """Give back all that is left, or a part. Refusals are business answers: HTTP 200, code not 0."""
    imp_uid = await find_to_cancel(
        call.gateway, call.merchant_id, request.imp_uid, request.merchant_uid
    )
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(imp_uid, call.merchant_id)
    if payment is None:
        raise NoSuchPayment
    currency = payment.amount.currency
    refund_account = None
    if request.refund_account and request.refund_bank and request.refund_holder:
        refund_account = RefundAccount(
            bank_code=request.refund_bank,
            number=request.refund_account,
            holder=request.refund_holder,
            tel=request.refund_tel,
        )
    cancelled = await cancel(
        call.gateway,
        call.merchant_id,
        payment.imp_uid,
        CancelRequest(
            amount=_money(request.amount, currency),
            tax_free=_money(request.tax_free, currency),
            vat=_money(request.vat_amount, currency),
            checksum=_money(request.checksum, currency),
            reason=request.reason,
            refund_account=refund_account,
            enable_webhook=request.enable_webhook,
            once=call.once,
        ),
    )
    return await _payment(call, cancelled)


async def recall_cancel(call: Call, request: CancelPayment, number: str) -> Answer:
    """What became of the cancel with this number."""
    async with call.gateway.store.direct() as session:
        intent = await session.intents.of_number("cancel", number)
        assert intent is not None, "a key is bound together with its intent"
        payment = await session.payments.get_of_merchant(intent.imp_uid, call.merchant_id)
    assert payment is not None
    if any(each.cancellation_id == number for each in payment.cancellations):
        return await _payment(call, payment)
    if intent.state == "refused":
        raise PgRefused(intent.outcome or "", messages.PG_REFUSED_CANCEL)
    return not_known_yet(_annotation(call, payment))


async def _of_order(call: Call, request: PaymentsOfOrder, cut: Cut) -> Page:
    status = _status(request.payment_status) if request.payment_status else None
    async with call.gateway.store.direct() as session:
        return await session.pages.of_order(
            call.merchant_id, request.merchant_uid, status, call.gateway.partial_cancel_status, cut
        )


async def _payment(call: Call, payment: Payment) -> Answer:
    [payment] = await _with_receipts(call, [payment])
    return success(_annotation(call, payment))


async def _with_receipts(call: Call, payments: Sequence[Payment]) -> list[Payment]:
    """The same, knowing of the cash receipts that were issued here and not in the PG's window."""
    asked = [each.imp_uid for each in payments if each.paid_at and each.pay_method in CASH_METHODS]
    if not asked:
        return list(payments)
    async with call.gateway.store.direct() as session:
        issued = await session.cash_receipts.issued_of(asked)
    return [
        replace(each, cash_receipt_issued=True) if each.imp_uid in issued else each
        for each in payments
    ]


def _annotation(
    call: Call, payment: Payment, extension: ExtensionAnnotation | UnsetType = UNSET
) -> PaymentAnnotation:
    return payment_annotation(
        payment, partial_cancel=call.gateway.partial_cancel_status, extension=extension
    )


async def _extension(call: Call, payment: Payment) -> ExtensionAnnotation:
    """Who sent the last deposit of this payment."""
    async with call.gateway.store.direct() as session:
        deposits = await session.deposits.of_payment(payment.imp_uid)
    return ExtensionAnnotation(deposits[-1]["depositor"] if deposits else None)


async def _page(call: Call, page: Page, cut: Cut) -> Answer:
    if not page.payments and cut.page > 1:
        raise HttpRefusal(400, messages.PAGE_PAST_THE_END)
    return success(
        page_annotation(
            await _with_receipts(call, page.payments),
            total=page.total,
            page=cut.page,
            limit=cut.limit,
            partial_cancel=call.gateway.partial_cancel_status,
        )
    )


def _cut(page: int, limit: int, sorting: str) -> Cut:
    if page < 1:
        raise malformed("page")
    if not 1 <= limit <= LIMIT_MAX:
        raise malformed("limit")
    return Cut(page, limit, _sorting(sorting))


def _sorting(sorting: str) -> str:
    if sorting not in SORTINGS:
        raise HttpRefusal(400, messages.BAD_SORTING)
    return sorting


def _status(status: str) -> Status:
    try:
        return Status(status)
    except ValueError:
        raise HttpRefusal(400, messages.BAD_STATUS) from None


def _moment(seconds: int) -> datetime:
    if not 0 <= seconds < _YEAR_9999:
        raise HttpRefusal(400, messages.BAD_WINDOW)
    return datetime.fromtimestamp(seconds, UTC)


def _money(amount: str | int | Decimal | None, currency: str) -> Money | None:
    return None if amount is None else Money.from_wire(amount, currency)


OPERATIONS = (
    Operation(
        "GET",
        "/payments/{imp_uid}",
        OnePayment,
        "결제내역 단건조회",
        "payments",
        show,
        answer=PaymentAnnotation,
        english="Look up a payment",
    ),
    Operation(
        "GET",
        "/payments/{imp_uid}/balance",
        OnePayment,
        "결제 상세내역 조회",
        "payments",
        show_balance,
        answer=PaymentBalanceResponseAnnotation,
        english="Look up what is left of a payment, by taxation",
    ),
    Operation(
        "GET",
        "/payments",
        ManyPayments,
        "결제내역 복수조회",
        "payments",
        show_many,
        answer=list[PaymentAnnotation],
        english="Look up many payments",
        partial=True,
    ),
    Operation(
        "GET",
        "/payments/find/{merchant_uid}",
        PaymentsOfOrder,
        "주문의 결제 조회",
        "payments",
        find,
        answer=PaymentAnnotation,
        english="Look up the first payment of an order",
    ),
    Operation(
        "GET",
        "/payments/find/{merchant_uid}/{payment_status}",
        PaymentsOfOrder,
        "주문의 결제 조회",
        "payments",
        find,
        answer=PaymentAnnotation,
        english="Look up the first payment of an order",
    ),
    Operation(
        "GET",
        "/payments/findAll/{merchant_uid}",
        PaymentsOfOrder,
        "주문의 결제 목록",
        "payments",
        find_all,
        answer=PagedPaymentAnnotation,
        english="List the payments of an order",
    ),
    Operation(
        "GET",
        "/payments/findAll/{merchant_uid}/{payment_status}",
        PaymentsOfOrder,
        "주문의 결제 목록",
        "payments",
        find_all,
        answer=PagedPaymentAnnotation,
        english="List the payments of an order",
    ),
    Operation(
        "GET",
        "/payments/status/{payment_status}",
        PaymentsOfStatus,
        "상태별 결제 목록",
        "payments",
        list_by_status,
        answer=PagedPaymentAnnotation,
        english="List payments by status",
    ),
    Operation(
        "POST",
        "/payments/cancel",
        CancelPayment,
        "결제 취소",
        "payments",
        give_back,
        recall=recall_cancel,
        answer=PaymentAnnotation,
        english="Cancel a payment, wholly or in part",
    ),
)

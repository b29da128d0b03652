"""Issue a cash receipt: a promise to the tax office, of money that is there. No money moves.

As with money: the question is committed under our own number before the PG is asked, no transaction
is open during the call, and what was not answered is asked again by that number (reconcile_receipt.py).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta

from naru.connectors import Can, Connector
from naru.domain.cash_receipt import (
    CASH_METHODS,
    ISSUE,
    ISSUE_EXTERNAL,
    AlreadyIssued,
    CashReceipt,
    Identifier,
    NotPaidInCash,
    ReceiptInProgress,
    ReceiptIssued,
    ReceiptOrder,
    ReceiptType,
    Tax,
)
from naru.domain.channel import Channel
from naru.domain.errors import (
    BadRequest,
    CancelInProgress,
    NoSuchPayment,
    NotSupported,
    OutcomeUnknown,
    PgBusy,
    PgRefused,
    TestChannelRefused,
)
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.once import Once
from naru.domain.outcome import Declined, Unknown
from naru.domain.payment import Buyer, Step
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.domain.text import is_storable
from naru.payments.claim import FIRST_LOOK
from naru.payments.gateway import Gateway
from naru.payments.tell_of_receipt import tell_of_receipt
from naru.store import Session

PAID_HERE = "결제창이나 API로 결제된 주문입니다. POST /receipts/{imp_uid} 로 발급해주세요."
log = logging.getLogger("naru.payments")

UNSUPPORTED = "현금영수증을 지원하지 않는 PG사입니다."
AFTER_A_DOUBT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """What the merchant asks. `tax_free` and `vat` None: nothing is tax-free, VAT is an eleventh."""

    identifier: Identifier
    type: ReceiptType = ReceiptType.PERSON
    tax_free: Money | None = None
    vat: Money | None = None
    buyer: Buyer = field(default_factory=Buyer)
    product_type: str | None = None
    once: Once | None = None


async def issue_cash_receipt(
    gateway: Gateway, merchant: Merchant, imp_uid: str, request: ReceiptRequest
) -> CashReceipt:
    """The receipt of what is left of this payment.

    Raises NoSuchPayment, NotSupported (this PG cannot), NotPaidInCash, AlreadyIssued, ReceiptInProgress,
    CancelInProgress, BadAmount, BadRequest, Superseded; PgRefused with the PG's words; OutcomeUnknown when
    the PG did not answer: the worker finds out.
    """
    _check(request)
    number = gateway.ids.cancel_no()
    async with gateway.store.begin() as tx:
        payment = await tx.payments.lock(imp_uid, merchant.id)
        if payment is None:
            raise NoSuchPayment
        channel = await tx.channels.get(payment.channel_id)
        assert channel is not None, "a payment's channel is never deleted"
        _supported(gateway.connector_of(channel), channel, ISSUE)
        paid_in_cash = payment.step is Step.PAID and payment.pay_method in CASH_METHODS
        if not paid_in_cash or payment.amount.currency != "KRW":
            raise NotPaidInCash
        if payment.cash_receipt_issued:
            raise AlreadyIssued
        known = await tx.cash_receipts.living(merchant.id, payment.merchant_uid)
        if known is not None and known.state in ("asking", "cancelling"):
            raise ReceiptInProgress
        if await tx.intents.of_payment(imp_uid) is not None:
            # How much is left is just being decided.
            raise CancelInProgress
        order = ReceiptOrder(
            number=number,
            tax=Tax.of(payment.balance, request.tax_free, request.vat),
            type=request.type,
            identifier=request.identifier,
            merchant_name=merchant.name,
            order_name=payment.name or payment.merchant_uid,
            merchant_uid=payment.merchant_uid,
            pg_tid=payment.pg_tid,
            buyer=_whole(request.buyer, payment.buyer),
            product_type=request.product_type,
        )
        receipt = await _ask(gateway, tx, channel, order, imp_uid, request.once)
    reach("receipt.after_ask")
    return await _tell(gateway, channel, receipt, order)


async def issue_external_receipt(
    gateway: Gateway,
    merchant: Merchant,
    channel: Channel,
    merchant_uid: str,
    name: str,
    amount: Money,
    request: ReceiptRequest,
) -> CashReceipt:
    """The receipt of an order that was paid outside: one per order of the merchant. Raises as above.

    An order that was paid here, or whose account waits, has its receipt by its payment: two would tell the
    tax office twice.
    """
    _check(request)
    if not (is_storable(name) and amount):
        raise BadRequest
    if amount.currency != "KRW":
        raise NotPaidInCash
    _supported(gateway.connector_of(channel), channel, ISSUE_EXTERNAL)
    if channel.test and not merchant.allow_test_channels:
        raise TestChannelRefused
    order = ReceiptOrder(
        number=gateway.ids.cancel_no(),
        tax=Tax.of(amount, request.tax_free, request.vat),
        type=request.type,
        identifier=request.identifier,
        merchant_name=merchant.name,
        order_name=name,
        merchant_uid=merchant_uid,
        buyer=request.buyer,
        product_type=request.product_type,
    )
    async with gateway.store.begin() as tx:
        if await tx.payments.is_cash_here(merchant.id, merchant_uid):
            raise BadRequest(PAID_HERE)
        known = await tx.cash_receipts.living(merchant.id, merchant_uid)
        if known is not None and known.state in ("asking", "cancelling"):
            raise ReceiptInProgress
        receipt = await _ask(gateway, tx, channel, order, None, request.once)
    reach("receipt.after_ask")
    return await _tell(gateway, channel, receipt, order)


async def settle_receipt(
    gateway: Gateway, receipt: CashReceipt, outcome: ReceiptIssued | Declined | Unknown
) -> CashReceipt:
    """Write down what became of the question. Returns the receipt as it stands.

    A receipt of another amount, or of money that went back meanwhile, is taken back at once.
    """
    now = gateway.now()
    if isinstance(outcome, ReceiptIssued) and outcome.number != receipt.number:
        outcome = Unknown("the PG answered about another receipt")
    async with gateway.store.begin() as tx:
        paid, payment = True, None
        if receipt.imp_uid is not None:
            # A cancel waits here, or we wait for it: one of the two sees the other.
            payment = await tx.payments.lock(receipt.imp_uid, receipt.merchant_id)
            paid = payment is not None and payment.step is Step.PAID
        current = await tx.cash_receipts.of_number(receipt.number, hold=True)
        assert current is not None, "rows of receipts stay"
        if current.state != "asking":
            return current
        settled: CashReceipt | None = None
        match outcome:
            case ReceiptIssued():
                differs = outcome.amount != current.tax.amount
                if differs:
                    said = (
                        f"asked for a receipt of {current.tax.amount.text()}, the PG answered"
                        f" {outcome.amount.text()}; it is taken back"
                    )
                    log.error("cash receipt %s: %s", receipt.number, said)
                    await tx.tasks.open(
                        TaskKind.RECEIPT_AMOUNT,
                        receipt.number,
                        said,
                        now,
                        imp_uid=receipt.imp_uid,
                    )
                settled = await tx.cash_receipts.issue(
                    receipt.number, outcome, take_back=differs or not paid, now=now
                )
                await _known(tx, gateway, receipt, "issued")
                if payment is not None:
                    await tell_of_receipt(gateway, tx, payment)
            case Declined() if current.fence == receipt.fence:
                settled = await tx.cash_receipts.refuse(current, outcome)
                await _known(tx, gateway, receipt, outcome.code)
            case _:
                why = outcome.why if isinstance(outcome, Unknown) else "somebody else asks by now"
                log.warning("cash receipt %s not known: %s", receipt.number, why)
                await tx.cash_receipts.later(receipt, now + AFTER_A_DOUBT)
        reach("receipt.before_commit")
    reach("receipt.after_commit")
    return settled or current


async def _ask(
    gateway: Gateway,
    tx: Session,
    channel: Channel,
    order: ReceiptOrder,
    imp_uid: str | None,
    once: Once | None,
) -> CashReceipt:
    now = gateway.now()
    receipt = await tx.cash_receipts.ask(channel, order, imp_uid, now, now + FIRST_LOOK)
    await tx.idempotency.bind(once, order.number)
    reach("receipt.before_ask")
    return receipt


async def _tell(
    gateway: Gateway, channel: Channel, receipt: CashReceipt, order: ReceiptOrder
) -> CashReceipt:
    outcome: ReceiptIssued | Declined | Unknown
    try:
        with gateway.pg_load.asking(channel.id):
            outcome = await gateway.connector_of(channel).issue_receipt(channel, order)
    except PgBusy:
        outcome = Declined("F500", "PG사가 응답하지 않습니다. 잠시 후 다시 시도해주세요.")
    reach("receipt.after_pg")

    settled = await settle_receipt(gateway, receipt, outcome)
    if settled.state == "refused":
        raise PgRefused(settled.fail_code or "", settled.fail_reason or "")
    if settled.state != "issued":
        raise OutcomeUnknown
    return settled


async def _known(tx: Session, gateway: Gateway, receipt: CashReceipt, ending: str) -> None:
    """The doubt ended: what people were asked about it is closed in the house's name."""
    if receipt.tries:
        await tx.tasks.end_by_itself(
            [TaskKind.RECEIPT_UNKNOWN], receipt.number, f"ended by itself: {ending}", gateway.now()
        )


def _supported(connector: Connector, channel: Channel, pg_codes: frozenset[str]) -> None:
    if Can.CASH_RECEIPT not in connector.can or channel.pg_code not in pg_codes:
        raise NotSupported(UNSUPPORTED)


def _check(request: ReceiptRequest) -> None:
    said = (request.buyer.name, request.buyer.email, request.buyer.tel, request.product_type)
    if not all(map(is_storable, said)):
        raise BadRequest("사용할 수 없는 문자가 있습니다.")


def _whole(said: Buyer, known: Buyer) -> Buyer:
    return Buyer(said.name or known.name, said.email or known.email, said.tel or known.tel)

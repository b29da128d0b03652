"""How much may still be given back, and what one cancel asks of the PG."""

from __future__ import annotations

from dataclasses import dataclass

from naru.domain.errors import (
    AlreadyCancelled,
    BadAmount,
    BalanceChanged,
    ExceedsBalance,
    NotCancellable,
)
from naru.domain.money import Money
from naru.domain.once import Once
from naru.domain.outcome import CancelOrder, Goods, RefundAccount
from naru.domain.payment import Payment, Step


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """What the merchant asks. `amount` None or 0 means all that is left.

    `once` belongs to the Idempotency-Key that came with it; the cancel's number is bound to it.
    `act_no` is the number of a planned act about `goods` (`MallAct`): the cancel has the same number,
    and is reserved only while the act is still planned.
    """

    amount: Money | None = None
    tax_free: Money | None = None
    vat: Money | None = None
    checksum: Money | None = None
    reason: str = ""
    refund_account: RefundAccount | None = None
    enable_webhook: bool = False
    once: Once | None = None
    goods: Goods | None = None
    act_no: str | None = None


def plan_cancellation(payment: Payment, request: CancelRequest, cancel_no: str) -> CancelOrder:
    """The PG's order for this request. Guards in i'mport's order: exists, fully cancelled, checksum, amount (unknowns.md A3).

    Raises NotCancellable, AlreadyCancelled, BalanceChanged, ExceedsBalance, BadAmount.
    """
    if payment.step is Step.CANCELLED:
        raise AlreadyCancelled
    if payment.step is not Step.PAID or payment.pg_tid is None or not payment.amount:
        raise NotCancellable
    if request.checksum is not None and request.checksum != payment.balance:
        raise BalanceChanged
    amount = request.amount if request.amount else payment.balance
    asked = (request.amount, request.tax_free, request.vat)
    if any(each is not None and each.currency != payment.amount.currency for each in asked):
        raise BadAmount("결제된 통화와 다른 통화로 취소할 수 없습니다.")
    if any(each is not None and each.minor < 0 for each in asked):
        raise BadAmount
    if amount > payment.balance:
        raise ExceedsBalance
    tax_free = request.tax_free or Money(0, amount.currency)
    if tax_free > amount:
        raise BadAmount("tax_free 가 취소 금액보다 클 수 없습니다.")
    if request.vat is not None and request.vat + tax_free > amount:
        raise BadAmount("vat_amount 가 취소 금액보다 클 수 없습니다.")
    return CancelOrder(
        pg_tid=payment.pg_tid,
        cancel_no=cancel_no,
        amount=amount,
        balance_before=payment.balance,
        tax_free=tax_free,
        vat=request.vat,
        reason=request.reason,
        refund_account=request.refund_account,
        goods=request.goods,
    )

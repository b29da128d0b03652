"""What one word of the gateway does to one order: the whole table, and no I/O.

| the order            | account opened     | refused            | paid            | given back          |
|----------------------|--------------------|--------------------|-----------------|---------------------|
| placed               | waiting            | failed             | **paid**        | cancelled           |
| failed, waiting: of this payment | (waiting stays) | failed    | **paid**        | cancelled           |
| failed: of another   | waiting if newer   | failed if newer    | **paid**        | cancelled           |
| waiting: of another  | waiting if newer   | –                  | **paid**        | cancelled           |
| paid by this payment | –                  | –                  | –               | cancelled when whole, else how much |
| paid by another      | –                  | –                  | – *and a finding* | –                 |
| refunding, this payment | –               | –                  | –               | cancelled when whole, else how much |
| cancelled            | –                  | –                  | – *and a finding, of another payment* | –, or how much |

Paid, refunding and cancelled are never left again, what was given back never shrinks, and an order
never goes back to an older try: so a slower, older word changes nothing. Money that went back
before the order was ever paid here ends the order: nothing left the house, and nothing will.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from naru.kit.orders import SETTLED, Status, StoredOrder
from naru.kit.types import Payment
from naru.kit.verify import (
    Cancelled,
    Failed,
    Forged,
    Order,
    Paid,
    Unknown,
    Verdict,
    WaitingForDeposit,
    verify_payment,
)

Kind = Literal[
    "double_payment",  # paid, but another payment has this order
    "forged",  # paid, but not this order's price, currency, or by real money
    "part_kept",  # given back in part before the order was ever paid here: the rest is kept for nothing
    "refund_refused",  # it should go back, and the gateway says no
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Money at the gateway that no order of the shop accounts for: a person must see it.

    It is found again whenever somebody asks, until the money has gone back or the order fits.
    """

    kind: Kind
    payment: Payment
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to report, what to write (None: nothing), and what a person must see."""

    verdict: Verdict
    after: StoredOrder | None = None
    finding: Finding | None = None


def decide(
    order: StoredOrder, holder: str | None, payment: Payment, *, allow_sandbox: bool = False
) -> Decision:
    """Judge one word about one order. `holder` is the order that follows this payment, if any."""
    if order.amount <= 0:
        # Nothing is owed for it, so no payment can be for it.
        return _refuse(Forged(payment, ("amount",)))
    verdict = verify_payment(
        payment,
        Order(
            merchant_uid=order.merchant_uid,
            amount=order.amount,
            currency=order.currency,
            # Only a second payment that holds money is held against the one that the order has: a
            # failed or abandoned try beside it is no forgery, and can change nothing.
            imp_uid=order.imp_uid if order.status in SETTLED and left_of(payment) > 0 else None,
            used_imp_uids=() if holder in (None, order.merchant_uid) else (payment.imp_uid,),
            allow_sandbox=allow_sandbox,
        ),
    )
    if isinstance(verdict, Forged):
        return _refuse(verdict)
    after = step(order, verdict)
    if after == order:
        return Decision(_as_it_stands(order, verdict))
    finding = None
    if (
        after.status == "cancelled"
        and order.status not in SETTLED
        and after.cancelled < after.amount
    ):
        finding = Finding("part_kept", payment, f"{after.cancelled} of {after.amount} went back")
    return Decision(_as_it_stands(after, verdict), replace(after, untold=True), finding)


def step(order: StoredOrder, verdict: Verdict) -> StoredOrder:
    """The order after this word; the same order when the word changes nothing."""
    payment = verdict.payment
    assert payment is not None  # only an unknown number and a silent gateway give none
    mine = order.imp_uid == payment.imp_uid
    following = replace(order, imp_uid=payment.imp_uid, tried_at=_tried_at(payment))
    match verdict:
        case Cancelled():
            if order.status in SETTLED and not mine:
                return order
            # A cancelled payment that does not say how much went back gave all of it back.
            given_back = min(payment.cancel_amount or order.amount, order.amount)
            cancelled = max(order.cancelled, given_back)
            # What is left is still the buyer's: a paid order keeps it, one that is refunded owes it.
            part = order.status in ("paid", "refunding") and cancelled < order.amount
            after: Status = order.status if part else "cancelled"
            return replace(following, status=after, cancelled=cancelled)
        case _ if order.status in SETTLED:
            return order
        case Paid():
            return replace(following, status="paid")
        case Failed() if (
            order.status == "placed"
            or (order.status == "waiting" and mine)
            or (order.status == "failed" and _is_newer(payment, order))
        ):
            return replace(following, status="failed")
        case WaitingForDeposit() if order.status == "placed" or (
            not mine and _is_newer(payment, order)
        ):
            return replace(following, status="waiting")
    return order


def _tried_at(payment: Payment) -> int:
    return 0 if payment.started_at is None else int(payment.started_at.timestamp())


def _is_newer(payment: Payment, order: StoredOrder) -> bool:
    # Two of one second are told apart by their numbers, so that no two words alternate.
    return (_tried_at(payment), payment.imp_uid) > (order.tried_at, order.imp_uid or "")


def _as_it_stands(order: StoredOrder, verdict: Verdict) -> Verdict:
    """What is reported: of the payment that the order follows, what the shop has written down."""
    payment = verdict.payment
    assert payment is not None
    if order.imp_uid != payment.imp_uid:
        if isinstance(verdict, WaitingForDeposit) and order.status in SETTLED:
            # Nobody is to be shown an account that would be paid for nothing.
            return Forged(payment, ("imp_uid",))
        return verdict
    match order.status:
        case "paid":
            return Cancelled(payment) if order.cancelled else Paid(payment)
        case "refunding" | "cancelled":
            return Cancelled(payment)
        case "failed" if not isinstance(verdict, Failed):
            return Failed(payment, payment.fail_reason)
        case "waiting" if isinstance(verdict, Unknown) and payment.vbank_num:
            return WaitingForDeposit(payment)
    return verdict


def _refuse(verdict: Forged) -> Decision:
    payment = verdict.payment
    assert payment is not None
    why = ", ".join(verdict.reasons)
    if left_of(payment) <= 0:
        return Decision(verdict)
    kind: Kind = "double_payment" if verdict.reasons == ("imp_uid",) else "forged"
    return Decision(verdict, finding=Finding(kind, payment, why))


def left_of(payment: Payment) -> Decimal:
    """What was paid and has not gone back. i'mport calls a payment cancelled after a part, too."""
    if payment.status not in ("paid", "cancelled") or payment.amount is None:
        return Decimal(0)
    if payment.status == "cancelled" and not payment.cancel_amount:
        return Decimal(0)
    return payment.amount - (payment.cancel_amount or 0)

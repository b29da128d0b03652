"""The forged-amount check: does this payment pay for this order?

The payment must come from the gateway itself (`client.payment(imp_uid)`), never from a browser or
a webhook body; the order must come from the merchant's own database, found by
`payment.merchant_uid`. Only `Paid` means that goods may leave the house.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from naru.kit.errors import KitError
from naru.kit.types import Payment

Reason = Literal[
    "merchant_uid",  # the gateway speaks of another order
    "amount",  # paid another price
    "currency",  # the right number in the wrong currency, or none
    "imp_uid",  # this order is already bound to another payment
    "replayed",  # this payment already paid for another order
    "sandbox",  # play money, or a gateway that does not say
    "cancel_amount",  # paid, but the gateway does not say that nothing was given back
    "status",  # a status the protocol does not have
    "not_found",  # the gateway knows no such payment of this merchant
    "claimed",  # whoever reported it said another order than the gateway does
    "no_order",  # the gateway's order number is none of this shop's
]


@dataclass(frozen=True, slots=True)
class Order:
    """What the merchant's own database says.

    `amount` is in the currency's major unit (KRW 1004, USD Decimal("12.50")). `imp_uid` is the
    payment already bound to this order, if any. `used_imp_uids` knows the payments that paid for
    other orders: a collection, or a function that looks one up. `allow_sandbox` is for
    demonstrations and tests only.
    """

    merchant_uid: str
    amount: Decimal | int
    currency: str = "KRW"
    imp_uid: str | None = None
    used_imp_uids: Collection[str] | Callable[[str], bool] = frozenset()
    allow_sandbox: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.merchant_uid, str) or not self.merchant_uid:
            raise ValueError("an order has a merchant_uid")
        if isinstance(self.amount, bool) or not isinstance(self.amount, int | Decimal):
            raise TypeError("the amount of an order is an int or a Decimal, never a float")
        if not Decimal(self.amount).is_finite() or self.amount <= 0:
            raise ValueError("the amount of an order is more than nothing")
        if isinstance(self.used_imp_uids, str):
            raise TypeError("used_imp_uids is a collection or a function, not one number")

    def was_used(self, imp_uid: str) -> bool:
        """Whether this payment already paid for another order."""
        if callable(self.used_imp_uids):
            return self.used_imp_uids(imp_uid)
        return imp_uid in self.used_imp_uids


@dataclass(frozen=True, slots=True)
class Paid:
    """Everything fits: the order is paid, by this payment and no other."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class WaitingForDeposit:
    """A virtual account was issued for the right amount. No money yet."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say yet: ask again. Nothing was changed.

    The window is open or the approval is under way, or the gateway could not be asked: then there
    is no `payment`, and `trouble` says why.
    """

    payment: Payment | None
    trouble: KitError | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Refused, or given up by the buyer. `reason` is the PG's own sentence."""

    payment: Payment
    reason: str | None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Paid once, and given back: all of it, or a part (`payment.cancel_amount`)."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class Forged:
    """The payment is not for this order at this price. `reasons` names every fact that differs.

    `payment` is None when the gateway knows none of this number.
    """

    payment: Payment | None
    reasons: tuple[Reason, ...]


Verdict = Paid | WaitingForDeposit | Failed | Forged | Cancelled | Unknown


def verify_payment(payment: Payment, order: Order) -> Verdict:
    """Compare what the gateway says with what the order says, every fact, byte for byte.

    Differences win over the status: a failed payment of a forged amount is `Forged`, and a
    payment that lacks a fact is not believed. Never raises.
    """
    reasons: list[Reason] = []
    if payment.merchant_uid != order.merchant_uid:
        reasons.append("merchant_uid")
    if payment.amount is None or payment.amount != order.amount:
        reasons.append("amount")
    if payment.currency != order.currency:
        reasons.append("currency")
    if order.imp_uid is not None and payment.imp_uid != order.imp_uid:
        reasons.append("imp_uid")
    if order.was_used(payment.imp_uid):
        reasons.append("replayed")
    if payment.sandbox is not False and not order.allow_sandbox:
        reasons.append("sandbox")
    if payment.status == "paid" and payment.cancel_amount is None:
        reasons.append("cancel_amount")
    if payment.status not in ("ready", "paid", "failed", "cancelled"):
        reasons.append("status")
    if reasons:
        return Forged(payment, tuple(reasons))

    if payment.status == "failed":
        return Failed(payment, payment.fail_reason)
    if payment.status == "cancelled" or payment.cancel_amount:
        return Cancelled(payment)
    if payment.status == "paid":
        return Paid(payment)
    if payment.pay_method == "vbank" and payment.vbank_num:
        return WaitingForDeposit(payment)
    return Unknown(payment)

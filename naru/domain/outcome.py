"""What a PG may have said. Doubt is Unknown, never Declined."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from naru.domain.billing_key import IssuedKey
from naru.domain.errors import AnswerMismatch
from naru.domain.money import Money
from naru.domain.payment import Bank, Card, VirtualAccount


@dataclass(frozen=True, slots=True)
class Ticket:
    """The question put to the PG: take this much for this order, proven by this authentication."""

    order_no: str
    amount: Money
    token: str


@dataclass(frozen=True, slots=True)
class Approved:
    """The money is taken. The PG's own view of the order, to be compared with the question."""

    order_no: str
    amount: Money
    pg_tid: str
    approved_at: datetime
    pay_method: str | None = None
    hub_pg_code: str | None = None
    approval_number: str | None = None
    card: Card | None = None
    bank: Bank | None = None
    receipt_url: str | None = None
    cash_receipt_issued: bool = False
    issued_key: IssuedKey | None = None  # the card may be charged again by this


@dataclass(frozen=True, slots=True)
class AccountIssued:
    """A virtual account exists and waits. No money yet."""

    order_no: str
    amount: Money
    pg_tid: str
    account: VirtualAccount


# The code of what never left us, so that nothing can have happened.
NOT_SENT = "NOT_SENT"


@dataclass(frozen=True, slots=True)
class Declined:
    """The PG said no, in its own words; nothing was taken."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The PG was asked; whether it acted is not known."""

    why: str


Outcome = Approved | AccountIssued | Declined | Unknown


@dataclass(frozen=True, slots=True)
class NotFound:
    """The PG has never seen this number. Final only once the request can no longer be under way."""


@dataclass(frozen=True, slots=True)
class Undone:
    """The PG promises that no approval of this order stands, now or later."""


@dataclass(frozen=True, slots=True)
class TooLate:
    """The PG does not undo approvals any more that are this old. What stands there must be asked."""

    why: str


# What became of the question for a billing key.
KeyOutcome = IssuedKey | Declined | Unknown


Inquired = Approved | AccountIssued | Declined | NotFound | Undone | Unknown


@dataclass(frozen=True, slots=True)
class Goods:
    """The product order whose money a cancel gives back: the PG ends both in one deed.

    `act` is cancel, approve-cancel or approve-return (`MallAct`).
    """

    product_order_id: str
    act: str
    reason: str = ""
    memo: str = ""


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """The question: give this much back. Both balances, because PGs want one or the other."""

    pg_tid: str
    cancel_no: str
    amount: Money
    balance_before: Money
    tax_free: Money
    vat: Money | None
    reason: str
    refund_account: RefundAccount | None = None
    goods: Goods | None = None

    @property
    def balance_after(self) -> Money:
        return self.balance_before - self.amount


@dataclass(frozen=True, slots=True)
class RefundAccount:
    """Where a deposited virtual account is refunded to."""

    bank_code: str
    number: str
    holder: str
    tel: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The PG gave it back."""

    cancel_no: str
    amount: Money
    pg_tid: str
    cancelled_at: datetime
    receipt_url: str | None = None


CancelOutcome = Cancelled | Declined | Unknown


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The buyer proved the card is theirs. Proof, not money."""

    token: str
    pay_method: str | None = None


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The buyer gave up, or the PG's window ended without authentication; the PG's own words."""

    code: str
    message: str


Return = Authenticated | Abandoned


@dataclass(frozen=True, slots=True)
class Deposited:
    """A fact from the PG: money arrived in a virtual account."""

    notice_key: str
    order_no: str
    pg_tid: str
    amount: Money
    depositor: str | None
    deposited_at: datetime
    account_number: str | None = None  # when the PG tells; its transaction id names the account too


@dataclass(frozen=True, slots=True)
class EscrowChanged:
    """A fact from the PG: something became of the goods of an escrow order. No money moves by it.

    `status` is KG Inicis's number: 2 shipped, 3 confirmed, 31 by itself, 32 by force, 4 rejected,
    8 cancelled, 10 the rejection was confirmed (webhook facts §3). `reason` is why it was rejected.
    """

    notice_key: str
    order_no: str
    pg_tid: str
    status: str
    changed_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class BarcodeRead:
    """A question from the PG: a till read this barcode; may it be paid?"""

    order_no: str
    barcode: str
    amount: Money
    pay_type: str  # cash | card


def check_answer(asked: Ticket, answered: Approved | AccountIssued) -> None:
    """One comparison for every PG; a connector is not trusted to make its own.

    Raises AnswerMismatch naming what differs. What was answered may be real money: the caller undoes it.
    """
    pairs: tuple[tuple[str, Any, Any], ...] = (
        ("order_no", asked.order_no, answered.order_no),
        ("amount", asked.amount.minor, answered.amount.minor),
        ("currency", asked.amount.currency, answered.amount.currency),
    )
    wrong = [name for name, ours, theirs in pairs if ours != theirs]
    if wrong:
        raise AnswerMismatch(f"{answered.pg_tid}: {', '.join(wrong)}")

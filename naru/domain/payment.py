"""A payment: one try at paying one order. Its whole life is on this screen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from naru.domain.errors import ForbiddenStep
from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.money import Money


class Step(StrEnum):
    """Our fine state. The four public states are `public_status`."""

    OPENED = "opened"  # the window is open; no money question was asked
    APPROVING = "approving"  # the PG is being asked, or its answer is being found out
    WAITING_DEPOSIT = "waiting_deposit"  # a virtual account waits for its deposit
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"  # everything was given back


# (step, event) -> step. `store` carries the same table as a constraint; a test compares the two.
NEXT: dict[tuple[Step, str], Step] = {
    (Step.OPENED, "authenticated"): Step.APPROVING,
    (Step.OPENED, "abandoned"): Step.FAILED,
    (Step.APPROVING, "approved"): Step.PAID,
    (Step.APPROVING, "declined"): Step.FAILED,
    (Step.APPROVING, "undone"): Step.FAILED,  # net-cancelled, or proven never to have happened
    (Step.APPROVING, "account_issued"): Step.WAITING_DEPOSIT,
    (Step.WAITING_DEPOSIT, "deposited"): Step.PAID,
    (Step.WAITING_DEPOSIT, "account_closed"): Step.FAILED,
    (Step.WAITING_DEPOSIT, "account_changed"): Step.WAITING_DEPOSIT,  # amount and due date
    (Step.FAILED, "approved_late"): Step.PAID,  # a fact of the PG after we recorded a failure
    (Step.PAID, "partly_cancelled"): Step.PAID,
    (Step.PAID, "fully_cancelled"): Step.CANCELLED,
}


def advance(step: Step, event: str) -> Step:
    """The step after `event`; raises ForbiddenStep when it cannot happen."""
    try:
        return NEXT[step, event]
    except KeyError:
        raise ForbiddenStep(f"{event!r} cannot happen to a payment that is {step}") from None


class Status(StrEnum):
    """The four public states of i'mport."""

    READY = "ready"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"


_STATUS = {
    Step.OPENED: Status.READY,
    Step.APPROVING: Status.READY,
    Step.WAITING_DEPOSIT: Status.READY,
    Step.PAID: Status.PAID,
    Step.FAILED: Status.FAILED,
    Step.CANCELLED: Status.CANCELLED,
}


# `customer_uid_usage` of what a schedule paid: the one kind of payment whose failure is announced.
SCHEDULED = "payment.scheduled"


class Surface(StrEnum):
    """Where the buyer stood: i'mport's `channel` in answers."""

    PC = "pc"
    MOBILE = "mobile"
    API = "api"


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who pays, as the merchant's page said it. Every field may be missing."""

    name: str | None = None
    email: str | None = None
    tel: str | None = None
    addr: str | None = None
    postcode: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """The card that paid, as far as the PG tells. `number` is masked by the PG."""

    issuer_code: str | None = None
    issuer_name: str | None = None
    number: str | None = None
    installment_months: int = 0
    type: int | None = None  # 0 credit, 1 debit


@dataclass(frozen=True, slots=True)
class Bank:
    """The bank of a transfer."""

    code: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class VirtualAccount:
    """An account number that waits for one deposit until `due`."""

    bank_code: str
    bank_name: str
    number: str
    holder: str | None
    due: datetime
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Money given back: one row per successful cancel."""

    cancellation_id: str
    amount: Money
    reason: str
    pg_tid: str
    cancelled_at: datetime
    receipt_url: str | None = None
    tax_free: Money | None = None
    vat: Money | None = None  # None: the PG worked it out from the taxable part


@dataclass(frozen=True, slots=True)
class Payment:
    """One try at paying one order, named by `imp_uid`."""

    imp_uid: ImpUid
    merchant_id: int
    merchant_uid: MerchantUid
    channel_id: int
    pg_code: str
    mid: str
    sandbox: bool
    surface: Surface
    pay_method: str
    step: Step
    version: int
    amount: Money
    cancelled: Money
    tax_free: Money
    vat: Money | None
    pg_order_no: str
    started_at: datetime
    name: str | None = None
    buyer: Buyer = field(default_factory=Buyer)
    custom_data: str | None = None
    user_agent: str | None = None
    language: str = "ko"
    escrow: bool = False
    webhook_urls: tuple[str, ...] = ()
    confirm_url: str | None = None
    return_url: str | None = None
    app_scheme: str | None = None
    page_origin: str | None = None
    window_mode: str = "iframe"
    callback_shape: str = "full"
    request_id: str | None = None
    request: dict[str, Any] = field(default_factory=dict)
    hub_pg_code: str | None = None
    pg_tid: str | None = None
    approval_number: str | None = None
    card: Card | None = None
    bank: Bank | None = None
    virtual_account: VirtualAccount | None = None
    receipt_url: str | None = None
    cash_receipt_issued: bool = False
    customer_uid: str | None = None
    customer_uid_usage: str | None = None  # issue, payment, payment.scheduled
    fail_code: str | None = None
    fail_reason: str | None = None
    cancel_reason: str | None = None
    approving_at: datetime | None = None
    paid_at: datetime | None = None
    failed_at: datetime | None = None
    cancelled_at: datetime | None = None
    flagged: bool = False
    cancellations: tuple[Cancellation, ...] = ()

    @property
    def balance(self) -> Money:
        """What may still be given back; nothing before the money was taken."""
        if self.step not in (Step.PAID, Step.CANCELLED):
            return Money(0, self.amount.currency)
        return self.amount - self.cancelled

    @property
    def final(self) -> bool:
        """True once the buyer can be told how it ended."""
        return self.step not in (Step.OPENED, Step.APPROVING)


def public_status(payment: Payment, *, partial_cancel: Status = Status.CANCELLED) -> Status:
    """i'mport's status. After a partial cancel it is `cancelled` (unknowns.md A1, a switch)."""
    if payment.step is Step.PAID and payment.cancelled:
        return partial_cancel
    return _STATUS[payment.step]

"""What was paid at the gateway and never heard of in the shop: callback and webhook both lost.

The gateway is asked for everything that was paid or given back in the last days, and each payment
goes the one path of `finalise`. Then what the shop itself has left open is ended: refunds that are
not known to have arrived, and messages that nobody got. Two sweeps at once, or one beside a
webhook, do no more than one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from naru.kit.errors import Denied
from naru.kit.operations import payments as asking
from naru.kit.orders import StoredOrder
from naru.kit.step import Finding, left_of
from naru.kit.types import Page, Payment, Status

if TYPE_CHECKING:
    from naru.kit.finalise import Settled, Till

log = logging.getLogger(__name__)

PAGE_LENGTH = 100
LEFT_MAX = 1000
REASON = "주문을 처리할 수 없어 환불합니다."

# What becomes of a payment that fits an order which nobody has finished.
Policy = Callable[[Payment, StoredOrder], Literal["finish", "refund"]]
T = TypeVar("T")
Steps = Generator[Any, Any, T]


def finish_it(payment: Payment, order: StoredOrder) -> Literal["finish", "refund"]:
    """The ordinary policy: paid is paid, however late we hear of it."""
    return "finish"


@dataclass
class Swept:
    """What one sweep did. `finished` and `refunded` are merchant_uids, or imp_uids of double payments.

    `troubles` is what went wrong, by imp_uid: the next sweep tries each of them again. `written`
    names every order that it changed.
    """

    asked: int = 0
    finished: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    refunded: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    troubles: dict[str, Exception] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)


def sweep(
    till: Till[Any],
    days: float,
    until: datetime | None,
    policy: Policy,
    refund_double_payments: bool,
) -> Steps[Swept]:
    """Go through the last `days` (at most 90) and what was left open.

    Raises the kit's Unavailable or Denied when the gateway cannot be asked what there is.
    """
    swept = Swept()
    until = until or datetime.now(UTC)
    since = until - timedelta(days=days)
    words: tuple[Status, ...] = ("paid", "cancelled")
    for status in words:
        number: int | None = 1
        while number is not None:
            page = yield from _page(till, status, number, since, until)
            for payment in page.payments:
                yield from _one(till, swept, payment, policy, refund_double_payments)
            # A gateway that points back would have us go round for ever.
            number = page.next if page.next is not None and page.next > number else None
    left = yield till.inside(_left)
    for order in left:
        # What this sweep itself has written, and could not end, is for the next one.
        if order.merchant_uid not in swept.written:
            yield from _end(till, swept, order)
    return swept


def _page(
    till: Till[Any], status: Status, number: int, since: datetime, until: datetime
) -> Steps[Page]:
    try:
        page = yield till.ask(
            asking.payments_by_status(
                status, page=number, limit=PAGE_LENGTH, since=since, until=until, sorting="started"
            )
        )
    except Denied:
        if number == 1:
            raise
        # Payments left this status while we read, and this page is past the end now.
        return Page(0, None, None, ())
    assert isinstance(page, Page)
    return page


def _left(desk: Any) -> Steps[list[StoredOrder]]:
    return list((yield desk.left(LEFT_MAX)))


def _one(
    till: Till[Any], swept: Swept, payment: Payment, policy: Policy, refund_double_payments: bool
) -> Steps[None]:
    """One payment; what goes wrong with it does not stop the others."""
    swept.asked += 1
    try:
        settled = yield from till.settle(payment, policy)
        yield from _count(till, swept, settled)
        finding = settled.finding
        if refund_double_payments and finding is not None and finding.kind == "double_payment":
            # The order has its payment for good, so this one can never pay for it any more.
            yield from _refund(till, swept, payment, payment.imp_uid)
    except Exception as trouble:
        log.exception("the sweep could not end %s", payment.imp_uid)
        swept.troubles[payment.imp_uid] = trouble


def _count(till: Till[Any], swept: Swept, settled: Settled) -> Steps[None]:
    if settled.finding is not None:
        swept.findings.append(settled.finding)
    after = settled.after
    if after is None:
        return
    swept.written.add(after.merchant_uid)
    match after.status:
        case "paid" if not after.cancelled:
            swept.finished.append(after.merchant_uid)
        case "paid" | "cancelled":
            swept.cancelled.append(after.merchant_uid)
        case "refunding":
            assert settled.verdict.payment is not None
            yield from _refund(till, swept, settled.verdict.payment, after.merchant_uid)


def _end(till: Till[Any], swept: Swept, order: StoredOrder) -> Steps[None]:
    """An order that was left: give its money back, or tell how it stands."""
    assert order.imp_uid is not None
    try:
        payment = yield till.ask(asking.payment(order.imp_uid))
        settled = yield from till.settle(payment)
        yield from _count(till, swept, settled)
        if settled.after is not None:
            return
        if order.status == "refunding":
            yield from _refund(till, swept, payment, order.merchant_uid)
        elif (yield from till.tell(order, payment)):
            swept.told.append(order.merchant_uid)
    except Exception as trouble:
        log.exception("the sweep could not end order %s", order.merchant_uid)
        swept.troubles[order.imp_uid] = trouble


def _refund(till: Till[Any], swept: Swept, payment: Payment, name: str) -> Steps[None]:
    """Give back what is left. The gateway refuses a second time by the checksum."""
    left = left_of(payment)
    if left <= 0:
        return
    try:
        answer = yield till.ask(
            asking.cancel(imp_uid=payment.imp_uid, checksum=left, reason=REASON)
        )
    except Denied as refusal:
        # Another sweep may have been first: what the gateway says now decides.
        answer = yield till.ask(asking.payment(payment.imp_uid))
        if left_of(answer) > 0:
            finding = Finding("refund_refused", answer, str(refusal))
            swept.findings.append(finding)
            yield from till.report(finding)
            return
    else:
        swept.refunded.append(name)
    yield from till.settle(answer)

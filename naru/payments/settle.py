"""Write down how a claimed payment ended: paid, waiting for a deposit, failed, or not known yet.

The one place that turns an outcome into a step, for the first answer (approve.py) and for later
ones (reconcile.py). Whoever ends something holds the payment's row first, so ends come one after
the other; whoever comes second finds the question ended, or the undoing decided, and reads the truth.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from naru.connectors import Can
from naru.domain.channel import Channel
from naru.domain.errors import AnswerMismatch
from naru.domain.merchant import Merchant
from naru.domain.outcome import (
    AccountIssued,
    Approved,
    Declined,
    Outcome,
    Ticket,
    Undone,
    check_answer,
)
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.gateway import Gateway
from naru.payments.pay_from_deposits import pay_from_early_deposits
from naru.store import Session
from naru.store.intents import Intent
from naru.store.queue import SETTLE_PAYMENT
from naru.webhooks.announce import announce

log = logging.getLogger("naru.payments")

# How long to wait before the next try to find out (RELIABILITY 6.6); the last one repeats.
LADDER_SECONDS = (5, 15, 60, 300, 900, 3_600, 21_600, 86_400)


async def settle_approval(
    gateway: Gateway, payment: Payment, channel: Channel, outcome: Outcome | Undone
) -> Payment:
    """End the approval that `payment` (step approving) waits for. Returns the payment as it stands."""
    if isinstance(outcome, Approved | AccountIssued):
        try:
            check_answer(Ticket(payment.pg_order_no, payment.amount, ""), outcome)
        except AnswerMismatch as mismatch:
            log.error("%s: the PG answered something else: %s", payment.imp_uid, mismatch)
            return await undo(
                gateway, payment, channel, "결제금액이 요청한 금액과 달라 결제를 취소하였습니다."
            )

    async with gateway.store.begin() as tx:
        current = await _hold(tx, payment)
        intent = await tx.intents.of_payment(payment.imp_uid)
        given_up = intent is None and current.step is Step.FAILED
        undoable = Can.NET_CANCEL in gateway.connector_of(channel).can
        if given_up and not undoable and isinstance(outcome, Approved):
            return await _book_late(tx, current, outcome)
        if intent is None or (intent.state == "undoing" and not isinstance(outcome, Undone)):
            # Somebody decided meanwhile. An approval that is being undone is not money.
            log.warning("%s: came too late: %s", payment.imp_uid, type(outcome).__name__)
            return current
        settled = await _write(gateway, tx, current, intent, outcome)
        reach("settle.before_commit")
    reach("settle.after_commit")
    return settled or current


async def _book_late(tx: Session, payment: Payment, approved: Approved) -> Payment:
    """failed -> paid. Nobody promised that the approval was undone, and here it is: a fact.

    It is flagged when the order is paid by another payment, and a person must give it back.
    """
    log.error("%s: approved after it was given up", payment.imp_uid)
    booked = await tx.payments.settle_late(payment, approved.approved_at, approved.pg_tid)
    assert booked is not None, "the row is held, and it failed"
    await announce(tx, await merchant_of(tx, booked), booked)
    return booked


async def undo(gateway: Gateway, payment: Payment, channel: Channel, reason: str) -> Payment:
    """Net-cancel: undo the approval, if it happened. The decision is committed before it is sent.

    When the PG's answer is not known the worker repeats it; the payment stays `approving`, and the
    buyer is told that it is being checked, never that it failed.
    """
    async with gateway.store.begin() as tx:
        current = await _hold(tx, payment)
        intent = await tx.intents.of_payment(payment.imp_uid)
        if intent is None:
            return current
        await tx.intents.doubt(intent.id, "undoing", _next_try(gateway.now(), intent.tries), reason)
        reach("undo.before_decision")
    reach("undo.after_decision")

    connector = gateway.connector_of(channel)
    undone = await connector.net_cancel(channel, payment.pg_order_no, reason)
    reach("undo.after_pg")

    if not isinstance(undone, Undone):
        log.warning("%s: net-cancel not answered: %s", payment.imp_uid, undone.why)
        return current
    async with gateway.store.begin() as tx:
        current = await _hold(tx, payment)
        failed = await tx.payments.settle_failed(current, "undone", gateway.now(), "F500", reason)
        if failed is None:
            return current
        await tx.intents.end(intent.id, "undone", gateway.now(), reason)
        reach("undo.before_commit")
    reach("undo.after_commit")
    return failed


async def _write(
    gateway: Gateway, tx: Session, payment: Payment, intent: Intent, outcome: Outcome | Undone
) -> Payment | None:
    """The payment after this outcome; None when it tells nothing. `payment` is held by `tx`."""
    now = gateway.now()
    match outcome:
        case Approved():
            settled = await tx.payments.settle_paid(payment, outcome)
            ending = "done"
        case AccountIssued():
            settled = await tx.payments.settle_account(payment, outcome)
            ending = "done"
        case Declined(code=code, message=message):
            settled = await tx.payments.settle_failed(
                payment, "declined", now, code, message or code
            )
            ending = "refused"
        case Undone():
            settled = await tx.payments.settle_failed(
                payment, "undone", now, "F500", "결제가 완료되지 않아 취소되었습니다."
            )
            ending = "undone"
        case _:
            log.warning("%s: outcome unknown: %s", payment.imp_uid, outcome.why)
            next_try = _next_try(now, intent.tries)
            await tx.intents.doubt(intent.id, "unknown", next_try, outcome.why)
            await tx.queue.ask(SETTLE_PAYMENT, payment.imp_uid, after=next_try - now)
            return None
    if settled is None:
        return None
    await tx.intents.end(intent.id, ending, now, None)
    if isinstance(outcome, Approved | AccountIssued):
        # i'mport sends no webhook for a failure in a window (webhook facts §1).
        await announce(tx, await merchant_of(tx, settled), settled)
    if isinstance(outcome, AccountIssued):
        settled = await pay_from_early_deposits(gateway, tx, settled)
    return settled


async def merchant_of(tx: Session, payment: Payment) -> Merchant:
    """Whose payment it is."""
    merchant = await tx.merchants.get(payment.merchant_id)
    assert merchant is not None, "a payment's merchant is never deleted"
    return merchant


async def _hold(tx: Session, payment: Payment) -> Payment:
    """The payment as it stands, held until this transaction ends."""
    return await tx.payments.lock(payment.imp_uid, payment.merchant_id) or payment


def _next_try(now: datetime, tries: int) -> datetime:
    return now + timedelta(seconds=LADDER_SECONDS[min(tries, len(LADDER_SECONDS) - 1)])

"""Write down how a claimed payment ended: paid, waiting for a deposit, failed, or not known yet.

The one place that turns an outcome into a step, for the first answer (approve.py) and for later
ones (reconcile.py). Whoever ends something holds the payment's row first, so ends come one after
the other; whoever comes second finds the question ended, or the undoing decided, and reads the truth.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from naru.connectors import Can, Connector
from naru.domain.billing_key import IssuedKey
from naru.domain.channel import Channel
from naru.domain.errors import AnswerMismatch
from naru.domain.merchant import Merchant
from naru.domain.outcome import (
    AccountIssued,
    Approved,
    Declined,
    Inquired,
    Outcome,
    Ticket,
    TooLate,
    Undone,
    Unknown,
    check_answer,
)
from naru.domain.payment import Payment, Step, Surface
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.doubt import doubt, still_a_no, tell_operator, told_by_itself
from naru.payments.gateway import Gateway
from naru.payments.pay_from_deposits import pay_from_early_deposits
from naru.payments.recovery import needs_operator, next_try
from naru.payments.tell_of_receipt import tell_of_receipt
from naru.store import Session
from naru.store.intents import Intent
from naru.webhooks.announce import announce, earns_webhook

log = logging.getLogger("naru.payments")

# An undone approval is looked for again, first when nothing can be under way any more.
FIRST_WATCH = timedelta(minutes=5)


async def settle_approval(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    outcome: Outcome | Undone,
    *,
    fence: int = 0,
) -> Payment:
    """End the approval that `payment` (step approving) waits for. Returns the payment as it stands.

    `fence` is the number of the lease under which the PG was asked, 0 for who asked first: an end
    is a fact whoever brings it, a doubt is only written by who tries now.
    """
    connector = gateway.connector_of(channel)
    if isinstance(outcome, Approved | AccountIssued):
        try:
            check_answer(Ticket(payment.pg_order_no, payment.amount, ""), outcome)
        except AnswerMismatch as mismatch:
            log.error("%s: the PG answered something else: %s", payment.imp_uid, mismatch)
            return await _undo_mismatch(gateway, payment, channel, outcome, mismatch, fence)

    async with gateway.store.begin() as tx:
        current = await _hold(tx, payment)
        intent = await tx.intents.of_payment(payment.imp_uid)
        if intent is not None and intent.kind not in ("approve", "issue_account"):
            intent = None
        if intent is None and current.step is Step.FAILED and isinstance(outcome, Approved):
            return await _late(gateway, tx, connector, current, outcome)
        if intent is None or (intent.state == "undoing" and not isinstance(outcome, Undone)):
            # Somebody decided meanwhile. An approval that is being undone is not money.
            log.warning("%s: came too late: %s", payment.imp_uid, type(outcome).__name__)
            return current
        if isinstance(outcome, Declined):
            outcome = await still_a_no(tx, intent, fence, outcome)
        held = replace(intent, fence=fence)
        settled = await write_approval(gateway, tx, connector, current, held, outcome)
        reach("settle.before_commit")
    reach("settle.after_commit")
    return settled or current


async def _late(
    gateway: Gateway, tx: Session, connector: Connector, payment: Payment, approved: Approved
) -> Payment:
    """An approval of what was given up. Undone once more where that can be, else booked."""
    if Can.NET_CANCEL not in connector.can:
        return await book_late(gateway, tx, payment, approved)
    log.error("%s: approved after it was undone; it is undone again", payment.imp_uid)
    now = gateway.now()
    await tx.watches.open(
        payment.imp_uid,
        now,
        now,
        late_pg_tid=approved.pg_tid,
        late_approved_at=approved.approved_at,
    )
    return payment


async def book_late(gateway: Gateway, tx: Session, payment: Payment, approved: Approved) -> Payment:
    """failed -> paid. Nobody promised that the approval was undone, and here it is: a fact.

    It is flagged when the order is paid by another payment, and a person must give it back.
    """
    log.error("%s: approved after it was given up", payment.imp_uid)
    booked = await tx.payments.settle_late(payment, approved.approved_at, approved.pg_tid)
    assert booked is not None, "the row is held, and it failed"
    await keep_key(tx, booked, approved.issued_key, gateway.now())
    await tx.tasks.open(
        TaskKind.APPROVED_LATE,
        payment.imp_uid,
        f"{payment.amount.text()} of order {payment.merchant_uid}, the PG's {approved.pg_tid}",
        gateway.now(),
        imp_uid=payment.imp_uid,
    )
    if booked.flagged:
        await tx.tasks.open(
            TaskKind.ORDER_PAID_TWICE,
            payment.imp_uid,
            f"order {payment.merchant_uid} was paid by another payment too",
            gateway.now(),
            imp_uid=payment.imp_uid,
        )
    await announce(tx, await merchant_of(tx, booked), booked)
    return booked


async def _undo_mismatch(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    answered: Approved | AccountIssued,
    mismatch: AnswerMismatch,
    fence: int,
) -> Payment:
    """The PG did something else than it was asked: no money of this payment, undone if that can be."""
    async with gateway.store.begin() as tx:
        await tx.tasks.open(
            TaskKind.ANSWER_MISMATCH,
            payment.imp_uid,
            f"asked {payment.amount.text()} of {payment.pg_order_no}, "
            f"answered {answered.amount.text()} of {answered.order_no}: {mismatch}",
            gateway.now(),
            imp_uid=payment.imp_uid,
        )
    if Can.NET_CANCEL in gateway.connector_of(channel).can:
        return await undo(
            gateway, payment, channel, "결제금액이 요청한 금액과 달라 결제를 취소하였습니다."
        )
    unknown = Unknown(f"the PG answered something else: {mismatch}")
    return await settle_approval(gateway, payment, channel, unknown, fence=fence)


async def undo(gateway: Gateway, payment: Payment, channel: Channel, reason: str) -> Payment:
    """Net-cancel: undo the approval, if it happened. The decision is committed before it is sent.

    When the PG's answer is not known the worker repeats it; the payment stays `approving`, and the
    buyer is told that it is being checked, never that it failed.
    """
    connector = gateway.connector_of(channel)
    async with gateway.store.begin() as tx:
        current = await _hold(tx, payment)
        intent = await tx.intents.of_payment(payment.imp_uid)
        if intent is None:
            return current
        now = gateway.now()
        await tx.intents.undo(intent.id, next_try(connector, intent, now), reason)
        await tx.intents.tried(intent, now, "asked", "net-cancel")
        reach("undo.before_decision")
    reach("undo.after_decision")

    undone: Undone | TooLate | Unknown = await connector.net_cancel(
        channel, payment.pg_order_no, reason
    )
    reach("undo.after_pg")
    if isinstance(undone, Unknown):
        return await _not_undone(gateway, connector, current, intent, undone.why)
    return await settle_undoing(gateway, current, channel, intent, undone, reason)


async def settle_undoing(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    intent: Intent,
    undone: Undone | TooLate,
    reason: str,
) -> Payment:
    """The PG said that nothing stands, or that it undoes nothing any more. Ask, where it can be asked.

    What stands after all is real money: booked where the PG will not undo it, and else undone again.
    """
    connector = gateway.connector_of(channel)
    found: Inquired = Unknown("this PG cannot be asked")
    if Can.INQUIRE_ORDER in connector.can:
        found = await connector.inquire(channel, payment.pg_order_no)
    stands = isinstance(found, Approved | AccountIssued)
    if isinstance(undone, Undone) and stands:
        return await _not_undone(
            gateway,
            connector,
            payment,
            intent,
            "the PG says undone, and approved",
            contradicts=True,
        )
    if isinstance(undone, TooLate) and isinstance(found, AccountIssued | Unknown):
        why = found.why if isinstance(found, Unknown) else "an account stands"
        return await _not_undone(gateway, connector, payment, intent, f"{undone.why}: {why}")

    async with gateway.store.begin() as tx:
        current = await _hold(tx, payment)
        now = gateway.now()
        failed = await tx.payments.settle_failed(current, "undone", now, "F500", reason)
        if failed is None:
            return current
        await tx.intents.end(intent.id, "undone", now, reason)
        await told_by_itself(gateway, tx, replace(intent, state="undoing"), "undone")
        if earns_webhook(failed):
            await announce(tx, await merchant_of(tx, failed), failed)
        if isinstance(found, Approved):
            await tx.intents.tried(intent, now, "answered", f"{undone}; approved as {found.pg_tid}")
            failed = await book_late(gateway, tx, failed, found)
        else:
            await tx.intents.tried(intent, now, "answered", "undone")
            await _watch(tx, connector, failed, now)
        reach("undo.before_commit")
    reach("undo.after_commit")
    return failed


async def _not_undone(
    gateway: Gateway,
    connector: Connector,
    payment: Payment,
    intent: Intent,
    why: str,
    *,
    contradicts: bool = False,
) -> Payment:
    """Undoing goes on later; the decision stands. A person is told when that is due."""
    log.warning("%s: net-cancel not answered: %s", payment.imp_uid, why)
    undoing = replace(intent, state="undoing")
    async with gateway.store.begin() as tx:
        current = await _hold(tx, payment)
        if current.step is not Step.APPROVING:
            return current
        now = gateway.now()
        await tx.intents.tried(intent, now, "answered", why)
        if contradicts:
            await tx.tasks.open(
                TaskKind.ANSWERS_CONTRADICT, payment.imp_uid, why, now, imp_uid=payment.imp_uid
            )
        if needs_operator(connector, undoing, now):
            await tell_operator(gateway, tx, undoing, why)
    return current


async def _watch(tx: Session, connector: Connector, payment: Payment, now: datetime) -> None:
    """Undone, or never found. PGs have been wrong: somebody looks again for two days (rule 6)."""
    if Can.INQUIRE_ORDER in connector.can:
        await tx.watches.open(payment.imp_uid, now + FIRST_WATCH, now)


async def write_approval(
    gateway: Gateway,
    tx: Session,
    connector: Connector,
    payment: Payment,
    intent: Intent,
    outcome: Outcome | Undone,
) -> Payment | None:
    """The payment after this outcome; None when it tells nothing. `payment` is held by `tx`.

    Inside the transaction of whoever ends the question: `settle_approval`, or a person.
    """
    now = gateway.now()
    match outcome:
        case Approved():
            settled = await tx.payments.settle_paid(payment, outcome, intent.id, now)
            if settled is not None:
                await keep_key(tx, settled, outcome.issued_key, now)
                if settled.cash_receipt_issued:
                    await tell_of_receipt(gateway, tx, settled)
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
            await doubt(gateway, tx, connector, intent, outcome.why)
            return None
    if settled is None:
        return None
    if not isinstance(outcome, Approved):
        await tx.intents.end(intent.id, ending, now, None)
    await told_by_itself(gateway, tx, intent, ending)
    if isinstance(outcome, Undone):
        await _watch(tx, connector, settled, now)
    if earns_webhook(settled) and not _goes_without_saying(gateway, settled):
        await announce(tx, await merchant_of(tx, settled), settled)
    if isinstance(outcome, AccountIssued):
        settled = await pay_from_early_deposits(gateway, tx, settled)
    return settled


def _goes_without_saying(gateway: Gateway, payment: Payment) -> bool:
    """Unknowns A27: is the caller of `POST /vbanks`, who has its answer, told by webhook as well?"""
    by_api = payment.step is Step.WAITING_DEPOSIT and payment.surface is Surface.API
    return by_api and not gateway.api_account_webhook


async def keep_key(tx: Session, payment: Payment, issued: IssuedKey | None, now: datetime) -> None:
    """Keep the key that came with this payment, if its card was to be kept. Not told which one: the
    worker asks the PG.

    A browser's window was opened for a customer without a key. If the merchant's server gave or took
    one meanwhile, the server's word stands: the new key is let go, and the PG is told to forget it.
    """
    if payment.customer_uid_usage != "issue":
        return
    if issued is None:
        await tx.billing_keys.ask_kept(payment, now)
    else:
        changed = await changed_by_server(tx, payment)
        await tx.billing_keys.add_live(payment, issued, now, now, too_late=changed)


async def changed_by_server(tx: Session, payment: Payment) -> bool:
    """Did the merchant's server give or take a key of this customer since their window was opened?"""
    assert payment.customer_uid is not None, "it is this customer's key"
    return payment.surface is not Surface.API and await tx.billing_keys.changed_since(
        payment.merchant_id, payment.customer_uid, payment.started_at
    )


async def merchant_of(tx: Session, payment: Payment) -> Merchant:
    """Whose payment it is."""
    merchant = await tx.merchants.get(payment.merchant_id)
    assert merchant is not None, "a payment's merchant is never deleted"
    return merchant


async def _hold(tx: Session, payment: Payment) -> Payment:
    """The payment as it stands, held until this transaction ends."""
    return await tx.payments.lock(payment.imp_uid, payment.merchant_id) or payment

"""Cancel: give money back, all or part, any number of times; never more than was taken."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from naru.connectors import Can
from naru.domain.cancellation import CancelRequest, plan_cancellation
from naru.domain.channel import Channel
from naru.domain.errors import (
    CancelInProgress,
    NoSuchPayment,
    OutcomeUnknown,
    PartialCancelUnsupported,
    PgRefused,
)
from naru.domain.outcome import Cancelled, CancelOrder, CancelOutcome, Declined, Unknown
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.claim import FIRST_LOOK
from naru.payments.gateway import Gateway
from naru.payments.settle import LADDER_SECONDS, merchant_of
from naru.store import Session
from naru.store.intents import Intent
from naru.store.queue import SETTLE_PAYMENT
from naru.webhooks.announce import announce

log = logging.getLogger("naru.payments")

# Longer than one call to a PG: a second cancel waits for the first, then sees its result.
WAIT_FOR_OTHERS_SECONDS = 12.0
LOOK_AGAIN_SECONDS = 0.05


async def cancel(
    gateway: Gateway, merchant_id: int, imp_uid: str, request: CancelRequest
) -> Payment:
    """Give money back. Cancels of one payment run one after the other (P14).

    Raises NoSuchPayment, NotCancellable, AlreadyCancelled, BalanceChanged, ExceedsBalance,
    PartialCancelUnsupported, CancelInProgress, Superseded; PgRefused with the PG's own words; OutcomeUnknown
    when the PG did not answer: the worker finds out, and the balance stays reserved until then.
    """
    payment, channel, order, intent = await _reserve(gateway, merchant_id, imp_uid, request)

    outcome = await gateway.connector_of(channel).cancel(channel, order)
    reach("cancel.after_pg")

    settled = await settle_cancel(gateway, payment, order, intent, outcome)
    if isinstance(outcome, Declined):
        raise PgRefused(outcome.code, outcome.message)
    if all(one.cancellation_id != order.cancel_no for one in settled.cancellations):
        raise OutcomeUnknown
    return settled


async def find_to_cancel(
    gateway: Gateway, merchant_id: int, imp_uid: str | None, merchant_uid: str | None
) -> str:
    """Which payment a cancel means: imp_uid wins; an order number means its paid payment.

    Raises NoSuchPayment (rest.md §2.1, unknowns.md A4).
    """
    if imp_uid:
        return imp_uid
    if not merchant_uid:
        raise NoSuchPayment
    async with gateway.store.direct() as session:
        found = await session.payments.many_of_merchant(merchant_id, [], [merchant_uid])
    for wanted in (Step.PAID, Step.CANCELLED):
        for payment in found:
            if payment.step is wanted:
                return payment.imp_uid
    raise NoSuchPayment


async def settle_cancel(
    gateway: Gateway, payment: Payment, order: CancelOrder, intent: Intent, outcome: CancelOutcome
) -> Payment:
    """Write down how a cancel ended. Returns the payment as it stands."""
    async with gateway.store.begin() as tx:
        current = await tx.payments.lock(payment.imp_uid, payment.merchant_id) or payment
        current = await _write(gateway, tx, current, order, intent, outcome)
        reach("cancel.before_commit")
    reach("cancel.after_commit")
    return current


async def _write(
    gateway: Gateway,
    tx: Session,
    current: Payment,
    order: CancelOrder,
    intent: Intent,
    outcome: CancelOutcome,
) -> Payment:
    """The payment after this outcome. `current` is held by `tx`."""
    now = gateway.now()
    if any(one.cancellation_id == order.cancel_no for one in current.cancellations):
        return current
    if isinstance(outcome, Cancelled) and (why := _unbelievable(current, order, outcome)):
        outcome = Unknown(why)
    match outcome:
        case Cancelled():
            if not await tx.intents.end(intent.id, "done", now, None):
                # We had given it up, and the PG did it all the same: a fact, so it is booked.
                log.error("%s: cancel %s came late", current.imp_uid, order.cancel_no)
            if outcome.amount != order.amount:
                # The books follow the PG, and somebody should look (RELIABILITY F3xWD).
                log.error(
                    "%s: asked to cancel %s, the PG cancelled %s",
                    current.imp_uid,
                    order.amount.text(),
                    outcome.amount.text(),
                )
            changed = await tx.payments.cancel(
                current, outcome, order.reason, order.tax_free, order.vat
            )
            assert changed is not None, "the row is held"
            await announce(
                tx,
                await merchant_of(tx, changed),
                changed,
                cancellation=next(
                    one for one in changed.cancellations if one.cancellation_id == outcome.cancel_no
                ),
                enable_webhook=intent.request.get("enable_webhook") is True,
            )
            return changed
        case Declined(code=code):
            await tx.intents.end(intent.id, "refused", now, code)
        case _:
            log.warning("%s: cancel not answered: %s", current.imp_uid, outcome.why)
            step = LADDER_SECONDS[min(intent.tries, len(LADDER_SECONDS) - 1)]
            next_try = now + timedelta(seconds=step)
            await tx.intents.doubt(intent.id, "unknown", next_try, outcome.why)
            await tx.queue.ask(SETTLE_PAYMENT, current.imp_uid, after=next_try - now)
    return current


def _unbelievable(payment: Payment, order: CancelOrder, cancelled: Cancelled) -> str | None:
    """Why this answer cannot be booked, if so: it is about something else, or cannot be true."""
    if cancelled.cancel_no != order.cancel_no:
        return "the PG answered about another cancel"
    if cancelled.amount.currency != payment.amount.currency:
        return "the PG answered in another currency"
    if not 0 < cancelled.amount.minor <= payment.balance.minor:
        return "the PG cancelled more than there is"
    return None


async def _reserve(
    gateway: Gateway, merchant_id: int, imp_uid: str, request: CancelRequest
) -> tuple[Payment, Channel, CancelOrder, Intent]:
    """Commit the intention, so that this much is spoken for. Waits while another call is open."""
    deadline = asyncio.get_running_loop().time() + WAIT_FOR_OTHERS_SECONDS
    while True:
        async with gateway.store.begin() as tx:
            payment = await tx.payments.lock(imp_uid, merchant_id)
            if payment is None:
                raise NoSuchPayment
            channel = await tx.channels.get(payment.channel_id)
            assert channel is not None
            busy = await tx.intents.of_payment(imp_uid)
            if busy is None:
                order = plan_cancellation(payment, request, gateway.ids.cancel_no())
                whole = order.amount == payment.amount
                if not whole and Can.PARTIAL_CANCEL not in gateway.connector_of(channel).can:
                    raise PartialCancelUnsupported
                now = gateway.now()
                journal = {
                    "tax_free": order.tax_free.minor,
                    "vat": None if order.vat is None else order.vat.minor,
                    "reason": order.reason,
                    "enable_webhook": request.enable_webhook,
                }
                intent_id = await tx.intents.open_cancel(
                    imp_uid, order, journal, now, now + FIRST_LOOK
                )
                intent = Intent(
                    id=intent_id,
                    imp_uid=imp_uid,
                    kind="cancel",
                    number=order.cancel_no,
                    amount=order.amount.minor,
                    balance_before=order.balance_before.minor,
                    request=journal,
                    state="open",
                    tries=0,
                    opened_at=now,
                    next_try_at=now + FIRST_LOOK,
                )
                await tx.idempotency.bind(request.once, order.cancel_no)
                reach("cancel.before_reserve")
                break
        # Nothing to wait for: an unknown outcome may take the worker hours.
        if busy.state != "open" or asyncio.get_running_loop().time() > deadline:
            raise CancelInProgress
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    reach("cancel.after_reserve")
    return payment, channel, order, intent

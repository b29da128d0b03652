"""Cancel: give money back, all or part, any number of times; never more than was taken."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from naru.connectors import Can
from naru.domain.cancellation import CancelRequest, plan_cancellation
from naru.domain.channel import Channel
from naru.domain.errors import (
    CancelInProgress,
    NoSuchPayment,
    OutcomeUnknown,
    PartialCancelUnsupported,
    PgBusy,
    PgRefused,
)
from naru.domain.mall import AskedBefore
from naru.domain.outcome import Cancelled, CancelOrder, CancelOutcome, Declined, Unknown
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.ask_now import ask_now
from naru.payments.claim import FIRST_LOOK, Moment, moment, still_ours
from naru.payments.doubt import doubt, still_a_no, told_by_itself
from naru.payments.gateway import Gateway
from naru.payments.settle import merchant_of
from naru.payments.tell_of_receipt import tell_of_receipt
from naru.payments.turns import looks
from naru.store import Session
from naru.store.intents import Intent
from naru.webhooks.announce import announce

log = logging.getLogger("naru.payments")


async def cancel(
    gateway: Gateway, merchant_id: int, imp_uid: str, request: CancelRequest
) -> Payment:
    """Give money back. Cancels of one payment run one after the other (P14).

    Raises NoSuchPayment, NotCancellable, AlreadyCancelled, BalanceChanged, ExceedsBalance, PgBusy,
    PartialCancelUnsupported, CancelInProgress, TooManyAtOnce, Superseded, AskedBefore (of a planned act);
    PgRefused with the PG's own words; OutcomeUnknown when the PG did not answer: the worker finds out,
    and the balance stays reserved until then.
    """
    # Who did not get the word has asked for nothing, so nothing of theirs is unknown.
    async with gateway.turns.take("cancel", merchant_id, imp_uid, late=CancelInProgress):
        return await _cancel(gateway, merchant_id, imp_uid, request)


async def _cancel(
    gateway: Gateway, merchant_id: int, imp_uid: str, request: CancelRequest
) -> Payment:
    with ExitStack() as places:
        payment, channel, order, intent, before = await _reserve(
            gateway, merchant_id, imp_uid, request, places
        )
        outcome: CancelOutcome
        if not await still_ours(gateway, "cancel", order.cancel_no, before):
            outcome = Unknown("the process slept before it asked")
        else:
            there = await as_the_pg_has_it(gateway, payment, order)
            outcome = await gateway.connector_of(channel).cancel(channel, there)
            gateway.pg_load.heard(channel.id, outcome)
        reach("cancel.after_pg")

    settled = await settle_cancel(gateway, payment, channel, order, intent, outcome)
    # What is booked has happened, whatever a late answer to a process that slept says.
    if any(one.cancellation_id == order.cancel_no for one in settled.cancellations):
        return settled
    if isinstance(outcome, Declined):
        async with gateway.store.direct() as session:
            asked = await session.intents.of_number("cancel", order.cancel_no)
        if asked is not None and asked.closed_at is not None:
            raise PgRefused(outcome.code, outcome.message)
    raise OutcomeUnknown


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


async def as_the_pg_has_it(gateway: Gateway, payment: Payment, order: CancelOrder) -> CancelOrder:
    """The same cancel with the PG's balance: to a PG all that lies in an account is one.

    A surplus that a person has not given back yet is in it, and stays in it. One that is not known
    here makes the PG refuse, as it should.
    """
    if payment.virtual_account is None:
        return order
    async with gateway.store.direct() as session:
        surplus = await session.deposits.surplus(payment)
    return replace(order, balance_before=order.balance_before + surplus)


async def settle_cancel(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    order: CancelOrder,
    intent: Intent,
    outcome: CancelOutcome,
) -> Payment:
    """Write down how a cancel ended. Returns the payment as it stands."""
    async with gateway.store.begin() as tx:
        current = await tx.payments.lock(payment.imp_uid, payment.merchant_id) or payment
        current = await write_cancel(gateway, tx, channel, current, order, intent, outcome)
        reach("cancel.before_commit")
    reach("cancel.after_commit")
    return current


async def write_cancel(
    gateway: Gateway,
    tx: Session,
    channel: Channel,
    current: Payment,
    order: CancelOrder,
    intent: Intent,
    outcome: CancelOutcome,
) -> Payment:
    """The payment after this outcome. `current` is held by `tx`: of `settle_cancel`, or of a person."""
    now = gateway.now()
    if any(one.cancellation_id == order.cancel_no for one in current.cancellations):
        return current
    if isinstance(outcome, Cancelled) and (why := _unbelievable(current, order, outcome)):
        outcome = Unknown(why)
    if isinstance(outcome, Declined):
        outcome = await still_a_no(tx, intent, intent.fence, outcome)
    match outcome:
        case Cancelled():
            if await tx.intents.end(intent.id, "done", now, None):
                await told_by_itself(gateway, tx, intent, "cancelled")
            else:
                # We had given it up, and the PG did it all the same: a fact, so it is booked.
                log.error("%s: cancel %s came late", current.imp_uid, order.cancel_no)
                await tx.tasks.open(
                    TaskKind.CANCELLED_LATE,
                    order.cancel_no,
                    f"the PG cancelled {outcome.amount.text()} of {current.imp_uid} after all",
                    now,
                    imp_uid=current.imp_uid,
                )
            if outcome.amount != order.amount:
                # The books follow the PG, and somebody should look (RELIABILITY F3xWD).
                said = f"asked to cancel {order.amount.text()}, the PG cancelled {outcome.amount.text()}"
                log.error("%s: %s", current.imp_uid, said)
                await tx.tasks.open(
                    TaskKind.CANCEL_AMOUNT, order.cancel_no, said, now, imp_uid=current.imp_uid
                )
            changed = await tx.payments.cancel(
                current, outcome, order.reason, order.tax_free, order.vat
            )
            assert changed is not None, "the row is held"
            await tell_of_receipt(gateway, tx, changed)
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
            if await tx.intents.end(intent.id, "refused", now, code):
                await told_by_itself(gateway, tx, intent, code)
        case _:
            log.warning("%s: cancel not answered: %s", current.imp_uid, outcome.why)
            await doubt(gateway, tx, gateway.connector_of(channel), intent, outcome.why)
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
    gateway: Gateway, merchant_id: int, imp_uid: str, request: CancelRequest, places: ExitStack
) -> tuple[Payment, Channel, CancelOrder, Intent, Moment]:
    """Commit the intention, so that this much is spoken for. Waits while another call is open.

    From then on one of the PG's places is taken, until `places` gives it back.
    """
    async for _ in looks():
        async with gateway.store.begin() as tx:
            payment = await tx.payments.lock(imp_uid, merchant_id)
            if payment is None:
                raise NoSuchPayment
            channel = await tx.channels.get(payment.channel_id)
            assert channel is not None
            busy = await tx.intents.of_payment(imp_uid)
            if busy is None:
                number = request.act_no or gateway.ids.cancel_no()
                order = plan_cancellation(payment, request, number)
                whole = order.amount == payment.amount
                if not whole and Can.PARTIAL_CANCEL not in gateway.connector_of(channel).can:
                    raise PartialCancelUnsupported
                if not gateway.pg_load.has_room(channel.id):
                    raise PgBusy(
                        "PG사가 응답하지 않아 지금은 취소할 수 없습니다. 취소되지 않았으니 잠시 후 다시 시도해주세요."
                    )
                places.enter_context(gateway.pg_load.asking(channel.id))
                before = moment(gateway)
                now = before.day
                journal: dict[str, Any] = {
                    "tax_free": order.tax_free.minor,
                    "vat": None if order.vat is None else order.vat.minor,
                    "reason": order.reason,
                    "enable_webhook": request.enable_webhook,
                    # Where the money goes is not kept; that it goes to an account is.
                    "to_account": order.refund_account is not None,
                }
                if order.goods is not None:
                    journal["goods"] = asdict(order.goods)
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
                if request.act_no and not await tx.order_acts.take(request.act_no):
                    raise AskedBefore
                reach("cancel.before_reserve")
        if busy is None:
            reach("cancel.after_reserve")
            return payment, channel, order, intent, before
        if busy.state != "open":
            break  # Nothing to wait for: an unknown outcome may take the worker hours.
    await ask_now(gateway, imp_uid)
    raise CancelInProgress

"""A person ends a doubt that the house cannot end: somebody read the PG's console and says what it says.

For a PG that cannot be asked, or has been silent for too long. It is a fact like a PG's answer and
goes through the same ends, in one transaction with the task's name and note; what the PG's book or
a late answer says against it later is booked and told as ever.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from naru.domain.channel import Channel
from naru.domain.deadline import KST
from naru.domain.errors import Refused
from naru.domain.outcome import Approved, Cancelled, Declined, Undone
from naru.domain.payment import Payment
from naru.domain.text import clean, is_storable
from naru.payments.cancel import write_cancel
from naru.payments.doubt import tell_operator
from naru.payments.gateway import Gateway
from naru.payments.reconcile import LEASE, read_cancel_order
from naru.payments.recovery import STILL_UNDER_WAY, TASK_OF, never_was_from
from naru.payments.settle import write_approval
from naru.store import Session
from naru.store.intents import Intent

log = logging.getLogger("naru.payments")

TID_CHARACTERS_MAX = 100
WORDS_CHARACTERS_MAX = 200


class Seen(StrEnum):
    """What the PG's console shows."""

    APPROVED = "approved"
    NOT_APPROVED = "not-approved"
    CANCELLED = "cancelled"
    NOT_CANCELLED = "not-cancelled"


ABOUT = {
    "approve": (Seen.APPROVED, Seen.NOT_APPROVED),
    # An account is no money, and its number is not known: it can only be said not to be there.
    "issue_account": (Seen.NOT_APPROVED,),
    "cancel": (Seen.CANCELLED, Seen.NOT_CANCELLED),
}
HAPPENED = (Seen.APPROVED, Seen.CANCELLED)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was seen, by whom, and their note. `pg_tid` and `at` (aware): of what has happened, only."""

    seen: Seen
    who: str
    note: str
    pg_tid: str | None = None
    at: datetime | None = None


class NotForAPerson(Refused):
    """This doubt is not a person's to end now, or not so. The sentence is for an operator."""


async def decide_by_hand(gateway: Gateway, imp_uid: str, decision: Decision) -> Payment:
    """End the open question about this payment as a person saw it. Returns the payment as it stands.

    Raises NotForAPerson, and then nothing has changed: no such payment or question, something may
    still be under way, the worker is asking right now, or the words do not fit the question.
    """
    _check_words(decision)
    now = gateway.now()
    async with gateway.store.begin() as tx:
        known = await tx.payments.get(imp_uid)
        payment = known and await tx.payments.lock(imp_uid, known.merchant_id)
        if payment is None:
            raise NotForAPerson(f"There is no payment {imp_uid!r}.")
        channel = await tx.channels.get(payment.channel_id)
        assert channel is not None
        intent = await _take(gateway, tx, payment, channel, now)
        await _check(tx, payment, intent, decision, now)
        await _close_task(gateway, tx, intent, decision, now)
        await tx.intents.tried(
            intent, now, "answered", f"{decision.seen}, says {clean(decision.who)}"
        )
        settled = await _write(gateway, tx, payment, channel, intent, decision)
        if settled is None or await tx.intents.of_payment(imp_uid) is not None:
            raise NotForAPerson("This cannot be booked: the payment does not allow it.")
    log.warning("%s: %s by hand", imp_uid, decision.seen)
    return settled


async def _take(
    gateway: Gateway, tx: Session, payment: Payment, channel: Channel, now: datetime
) -> Intent:
    """The doubt, leased like one more try: who was asking before holds an old number from here on."""
    asked = await tx.intents.of_payment(payment.imp_uid)
    if asked is None:
        raise NotForAPerson(
            f"Nothing about this payment is unknown: it is {payment.step}"
            f" (`naru payment {payment.imp_uid}`)."
        )
    if asked.state == "open" or now <= (
        end := never_was_from(gateway.connector_of(channel), asked)
    ):
        raise NotForAPerson(
            "The PG is being asked right now: look again in a minute."
            if asked.state == "open"
            else f"It may still be under way: decide after {_time(end)}."
        )
    await tx.intents.hasten(payment.imp_uid, now, now - LEASE)
    intent = await tx.intents.lease(payment.imp_uid, now + LEASE, now)
    if intent is None:
        raise NotForAPerson("The worker is asking the PG right now: look again in a minute.")
    return intent


async def _check(
    tx: Session, payment: Payment, intent: Intent, decision: Decision, now: datetime
) -> None:
    """Raises NotForAPerson unless this can be true of this question."""
    seen = decision.seen
    possible = ABOUT.get(intent.kind, ())
    if seen not in possible:
        raise NotForAPerson(
            f"The question is about {intent.kind}: it ends as {' or '.join(possible)}."
            if possible
            else "Closing an account is repeated until the PG agrees; nobody decides it."
        )
    if seen is Seen.APPROVED and intent.state == "undoing":
        raise NotForAPerson(
            "This approval is being undone: undo it in the PG's console, then say not-approved."
        )
    if seen is Seen.APPROVED and payment.pay_method in ("vbank", "cvs"):
        raise NotForAPerson("A virtual account or a barcode is no money: only a deposit pays it.")
    if seen not in HAPPENED:
        return
    assert decision.pg_tid is not None
    assert decision.at is not None
    if not intent.opened_at - STILL_UNDER_WAY <= decision.at <= now:
        raise NotForAPerson(
            f"The PG was asked at {_time(intent.opened_at)}: what it did, it did after that, "
            "and not in the future."
        )
    if seen is Seen.APPROVED and (
        other := await tx.payments.paid_as(
            payment.merchant_id, decision.pg_tid, intent.opened_at - STILL_UNDER_WAY
        )
    ):
        raise NotForAPerson(f"{decision.pg_tid} is the PG's number of {other}: look again.")


def _check_words(decision: Decision) -> None:
    """Raises NotForAPerson: no name, no note, or a PG's number and a time where they do not belong."""
    words = (decision.who, decision.note)
    if not is_storable(words) or not all(
        len(each.strip()) > 0 and len(each) <= WORDS_CHARACTERS_MAX for each in words
    ):
        raise NotForAPerson(
            "Say who looked and what they saw (--by, --note), "
            f"in at most {WORDS_CHARACTERS_MAX} letters each."
        )
    tid, at = decision.pg_tid, decision.at
    if decision.seen not in HAPPENED:
        if tid is not None or at is not None:
            raise NotForAPerson("What has not happened has no number and no time.")
        return
    plain = (
        tid is not None and tid.isascii() and tid.isprintable() and tid.strip() == tid
    )  # the console's own number, as it stands there
    if tid is None or not plain or not 0 < len(tid) <= TID_CHARACTERS_MAX:
        raise NotForAPerson("Say the PG's number of it, as its console shows it: --tid TID.")
    if at is None or at.tzinfo is None:
        raise NotForAPerson("Say when, with a time zone: --at 2026-01-02T03:04:05+09:00.")


def _time(moment: datetime) -> str:
    """As consoles in Korea show it, and as `--at` takes it."""
    return moment.astimezone(KST).isoformat(" ", "seconds")


async def _close_task(
    gateway: Gateway, tx: Session, intent: Intent, decision: Decision, now: datetime
) -> None:
    """The task ends with the person's name and note, which is its row in the audit log.

    Past the limit there is one; if somebody closed it and decided nothing, it is opened anew.
    """
    await tell_operator(gateway, tx, intent, "decided by hand")
    for task in await tx.tasks.of_payment(intent.imp_uid):
        mine = (task.kind, task.subject) == (TASK_OF[intent.kind], intent.number)
        if mine and task.closed_at is None:
            await tx.tasks.close(task.id, decision.who, f"{decision.seen}: {decision.note}", now)


async def _write(
    gateway: Gateway,
    tx: Session,
    payment: Payment,
    channel: Channel,
    intent: Intent,
    decision: Decision,
) -> Payment | None:
    connector = gateway.connector_of(channel)
    tid, at = decision.pg_tid or "", decision.at or gateway.now()
    match decision.seen:
        case Seen.APPROVED:
            approved = Approved(payment.pg_order_no, payment.amount, tid, at)
            return await write_approval(gateway, tx, connector, payment, intent, approved)
        case Seen.NOT_APPROVED:
            return await write_approval(gateway, tx, connector, payment, intent, Undone())
        case Seen.CANCELLED:
            order = read_cancel_order(payment, intent)
            cancelled = Cancelled(order.cancel_no, order.amount, tid, at)
            return await write_cancel(gateway, tx, channel, payment, order, intent, cancelled)
        case Seen.NOT_CANCELLED:
            order = read_cancel_order(payment, intent)
            refused = Declined("NOT_CANCELLED", "PG사에서 취소되지 않은 것으로 확인되었습니다.")
            return await write_cancel(gateway, tx, channel, payment, order, intent, refused)

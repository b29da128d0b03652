"""Run a schedule: charge the customer's card because the time has come, once, whatever crashes.

One transaction opens the payment, claims it, writes the question to the PG and marks the schedule
executed. Before its commit nothing has happened and the schedule is still due; after it the payment
is a claimed one like any other, and a doubt about it is ended by the worker (reconcile.py). What the
schedule's payment became is never copied to the schedule.

The PG's order number belongs to the attempt, not to the payment: a restored copy that makes the same
attempt again asks the PG the same question, which has one effect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from naru.connectors import Can, ChargeOrder, Connector
from naru.domain.billing_key import BillingKey
from naru.domain.channel import Channel
from naru.domain.errors import (
    AlreadyPaid,
    NoBillingKey,
    NotSupported,
    OutcomeUnknown,
    PgBusy,
    Refused,
)
from naru.domain.merchant import Merchant
from naru.domain.once import Once
from naru.domain.outcome import NOT_SENT, Declined, Outcome, Unknown
from naru.domain.payment import SCHEDULED, Payment, Step, Surface
from naru.domain.points import reach
from naru.domain.schedule import Schedule
from naru.payments.charge import ask_for_it
from naru.payments.claim import FIRST_LOOK, moment
from naru.payments.gateway import Gateway
from naru.payments.pay_by_billing_key import UNSUPPORTED
from naru.payments.schedule import must_have_failed
from naru.payments.start import NAMES_TRIED, Opening, check_opening, new_payment
from naru.store import Session
from naru.webhooks.announce import announce

Hold = Callable[[Session, datetime], Awaitable[Schedule | None]]

AT_ONCE = 500
# Another payment of the order is in doubt: what becomes of it decides whether this one may be made.
LOOK_AGAIN = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class _Case:
    """An attempt: what is to be paid, and the key that pays; `refused` says why it cannot."""

    schedule: Schedule
    opening: Opening
    key: BillingKey | None
    refused: Refused | None


async def due_schedules(gateway: Gateway, most: int = AT_ONCE) -> list[str]:
    """Numbers of schedules whose time has come, oldest first. Those of a PG that has no room wait."""
    async with gateway.store.direct() as session:
        return await session.schedules.due(gateway.now(), most, gateway.pg_load.crowded())


async def run_schedule(gateway: Gateway, number: str) -> Payment | None:
    """Make the attempt that is due. None: nothing is due, another makes it, or it has to wait.

    Never raises for what a schedule may meet: what is refused fails, with a sentence.
    """
    async with gateway.store.direct() as session:
        schedule = await session.schedules.of_number(number)
    if schedule is None or schedule.next_try_at is None:
        return None
    case = await _read(gateway, schedule)

    async def hold(tx: Session, now: datetime) -> Schedule | None:
        return await tx.schedules.hold_due(number, now)

    if case.refused is not None:
        return await _fail(gateway, case, hold, case.refused)
    try:
        with gateway.pg_load.asking_behind(case.opening.channel.id):
            return await _attempt(gateway, case, hold, None)
    except AlreadyPaid as refused:
        return await _fail(gateway, case, hold, refused)
    except PgBusy:
        return None  # Our own lines are full: it stays due, and others' schedules go on.
    except OutcomeUnknown:
        async with gateway.store.direct() as session:
            now = gateway.now()
            await session.schedules.later(number, now + LOOK_AGAIN, now)
        return None


async def retry_schedule(
    gateway: Gateway, merchant_id: int, merchant_uid: str, *, once: Once | None = None
) -> Payment | None:
    """Attempt a failed schedule again, now. Returns the payment as it then stands, paid, failed or not known.

    None: this merchant has no schedule of that name. Raises NoBillingKey, NotRetryable, AlreadyPaid,
    PgBusy, Superseded, and OutcomeUnknown while another payment of the order is in doubt.
    """
    async with gateway.store.direct() as session:
        schedule = await session.schedules.get(merchant_id, merchant_uid)
    if schedule is None:
        return None
    async with gateway.store.begin() as tx:
        await must_have_failed(tx, schedule)
    case = await _read(gateway, schedule)
    if case.refused is not None:
        raise case.refused

    async def hold(tx: Session, now: datetime) -> Schedule | None:
        held = await tx.schedules.hold(merchant_id, merchant_uid)
        assert held is not None, "schedules are never deleted"
        await must_have_failed(tx, held)
        return held

    with gateway.pg_load.asking(case.opening.channel.id):
        return await _attempt(gateway, case, hold, once)


async def _attempt(gateway: Gateway, case: _Case, hold: Hold, once: Once | None) -> Payment | None:
    """Claim and ask. None: `hold` found that it is not to be done. The caller has a place at the PG.

    Raises AlreadyPaid, and OutcomeUnknown when another payment of the order is in doubt; then nothing
    was begun.
    """
    opening, key = case.opening, case.key
    assert key is not None, "who has no key is refused before"
    async with gateway.store.direct() as session:
        taken = await session.payments.taken(opening.merchant.id, opening.merchant_uid)
    if taken is Step.APPROVING:
        raise OutcomeUnknown
    if taken is not None:
        raise AlreadyPaid
    before = moment(gateway)
    now = before.day
    async with gateway.store.begin() as tx:
        held = await hold(tx, now)
        if held is None:
            return None
        opened = await _open(gateway, tx, held, opening, now)
        claimed = await tx.payments.claim_for_approval(
            opened.imp_uid, now, now + FIRST_LOOK, None, {}
        )
        assert claimed is not None, "it was opened in this transaction"
        await tx.schedules.execute(held, opened.imp_uid, now)
        await tx.idempotency.bind(once, opened.imp_uid)
        reach("schedule.before_commit")
    reach("schedule.after_commit")

    connector = gateway.connector_of(opening.channel)

    async def ask(order: ChargeOrder) -> Outcome:
        outcome = await connector.approve_by_key(opening.channel, order, key.key)
        return unsent_is_unknown(connector, outcome)

    return await ask_for_it(gateway, opening, claimed, ask, before, place_taken=True)


def unsent_is_unknown(connector: Connector, outcome: Outcome) -> Outcome:
    """A PG that could not be reached has not refused: where it may be asked again, it is."""
    asked_again = {Can.INQUIRE_ORDER, Can.REPEAT_CHARGE} <= connector.can
    if asked_again and isinstance(outcome, Declined) and outcome.code == NOT_SENT:
        return Unknown("the PG could not be reached")
    return outcome


async def _fail(gateway: Gateway, case: _Case, hold: Hold, refused: Refused) -> Payment | None:
    """It cannot be charged: the schedule is executed all the same, and its payment has failed."""
    code = "F1002" if isinstance(refused, AlreadyPaid) else "F400"
    async with gateway.store.begin() as tx:
        now = gateway.now()
        held = await hold(tx, now)
        if held is None:
            return None
        opened = await _open(gateway, tx, held, case.opening, now)
        failed = await tx.payments.abandon(opened.imp_uid, now, code, refused.sentence)
        assert failed is not None, "it was opened in this transaction"
        await tx.schedules.execute(held, opened.imp_uid, now)
        await announce(tx, case.opening.merchant, failed)
        reach("schedule.before_fail")
    reach("schedule.after_fail")
    return failed


async def _open(
    gateway: Gateway, tx: Session, held: Schedule, opening: Opening, now: datetime
) -> Payment:
    payment = new_payment(gateway, opening, now, held.order_no())
    for _ in range(NAMES_TRIED):
        opened = await tx.payments.open(payment, None)
        if opened is not None:
            return opened
        payment = replace(payment, imp_uid=gateway.ids.api_imp_uid())
    raise RuntimeError("no free imp_uid")


async def _read(gateway: Gateway, schedule: Schedule) -> _Case:
    """Everything that the attempt needs. What cannot be charged at all is found out here."""
    async with gateway.store.direct() as session:
        merchant = await session.merchants.get(schedule.merchant_id)
        key = await session.billing_keys.get(schedule.merchant_id, schedule.customer_uid)
        channel = await session.channels.get(schedule.channel_id if key is None else key.channel_id)
    assert merchant is not None, "a schedule's merchant is never deleted"
    assert channel is not None, "a schedule's channel is never deleted"
    opening = opening_of(schedule, merchant, channel)
    refused: Refused | None = None
    if key is None:
        refused = NoBillingKey()
    elif Can.BILLING not in gateway.connector_of(channel).can:
        refused = NotSupported(UNSUPPORTED)
    else:
        try:
            check_opening(opening)
        except Refused as found:
            refused = found
    return _Case(schedule, opening, key, refused)


def opening_of(schedule: Schedule, merchant: Merchant, channel: Channel) -> Opening:
    """A schedule as a payment to be opened."""
    return Opening(
        merchant=merchant,
        channel=channel,
        merchant_uid=schedule.merchant_uid,
        amount=schedule.amount,
        surface=Surface.API,
        pay_method="card",
        tax_free=schedule.tax_free,
        vat=schedule.vat,
        name=schedule.name,
        buyer=schedule.buyer,
        custom_data=schedule.custom_data,
        webhook_urls=schedule.webhook_urls,
        request=schedule.request,
        customer_uid=schedule.customer_uid,
        customer_uid_usage=SCHEDULED,
        announced_binds=False,
    )

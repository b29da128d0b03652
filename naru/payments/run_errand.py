"""Tell a PG something of a payment that moves no money, once: what was not answered is told again by its number."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from naru.domain.channel import Channel
from naru.domain.errors import OutcomeUnknown, PgBusy, PgRefused
from naru.domain.money import Money
from naru.domain.once import Once
from naru.domain.outcome import Declined, Unknown
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.domain.shipping import Errand, ErrandDone
from naru.domain.task import TaskKind
from naru.payments.claim import FIRST_LOOK
from naru.payments.gateway import Gateway
from naru.payments.pay_from_deposits import pay_from_changed_account
from naru.payments.recovery import TELL_AFTER, again_at
from naru.store import Session

log = logging.getLogger("naru.payments")

LEASE = timedelta(seconds=20)
AFTER_A_DOUBT = timedelta(seconds=5)


async def ask(
    gateway: Gateway,
    tx: Session,
    payment: Payment,
    kind: str,
    said: dict[str, Any],
    once: Once | None,
) -> Errand:
    """Write the errand down. Raises ErrandInProgress, AlreadyShipped, Superseded."""
    now, number = gateway.now(), gateway.ids.cancel_no()
    errand = await tx.errands.ask(
        payment.merchant_id, payment.imp_uid, kind, number, said, now, now + FIRST_LOOK
    )
    await tx.idempotency.bind(once, number)
    reach("errand.before_ask")
    return errand


async def run(gateway: Gateway, channel: Channel, errand: Errand) -> Errand:
    """Tell the PG. Raises PgRefused with its words, OutcomeUnknown when it did not answer."""
    reach("errand.after_ask")
    outcome: ErrandDone | Declined | Unknown
    try:
        with gateway.pg_load.asking(channel.id):
            outcome = await gateway.connector_of(channel).run_errand(channel, errand)
    except PgBusy:
        outcome = Declined("F500", "PG사가 응답하지 않습니다. 잠시 후 다시 시도해주세요.")
    reach("errand.after_pg")
    settled = await _settle(gateway, errand, outcome)
    if settled.state == "refused":
        raise PgRefused(settled.fail_code or "", settled.fail_reason or "")
    if settled.state != "done":
        raise OutcomeUnknown
    return settled


async def due_errands(gateway: Gateway, most: int = 100) -> list[str]:
    """Numbers of errands that should be looked at now, oldest first."""
    async with gateway.store.direct() as session:
        return await session.errands.due(gateway.now(), most)


async def run_again(gateway: Gateway, number: str) -> Errand | None:
    """One try to end an errand that was not answered. None when it is not due."""
    now = gateway.now()
    with ExitStack() as places:
        try:
            async with gateway.store.begin() as tx:
                errand = await tx.errands.lease(number, now + LEASE, now)
                if errand is None:
                    return None
                payment = await tx.payments.get(errand.imp_uid)
                assert payment is not None, "payments are never deleted"
                channel = await tx.channels.get(payment.channel_id)
                assert channel is not None, "a payment's channel is never deleted"
                places.enter_context(gateway.pg_load.looking(channel.id))
        except PgBusy:
            return None  # It stays due, and nothing was leased.
        outcome = await gateway.connector_of(channel).run_errand(channel, errand, again=True)
    reach("errand.after_pg")
    settled = await _settle(gateway, errand, outcome)
    if settled.state == "asking":
        await _later(gateway, errand)
    return settled


async def _settle(
    gateway: Gateway, errand: Errand, outcome: ErrandDone | Declined | Unknown
) -> Errand:
    now = gateway.now()
    async with gateway.store.begin() as tx:
        settled: Errand | None = None
        match outcome:
            case ErrandDone():
                # The payment is held first, as who asks does: two orders of locks are a deadlock.
                payment = await tx.payments.lock(errand.imp_uid, errand.merchant_id)
                settled = await tx.errands.done(errand.number, outcome, now)
                if payment and settled is not None and errand.kind == "change_account":
                    await _change_account(gateway, tx, payment, errand)
            case Declined():
                settled = await tx.errands.refuse(errand, outcome, now)
            case Unknown(why=why):
                log.warning("errand %s not known: %s", errand.number, why)
                await tx.errands.later(errand, now + AFTER_A_DOUBT)
        if settled is not None and errand.tries:
            await tx.tasks.end_by_itself(
                [TaskKind.ERRAND_UNKNOWN],
                errand.number,
                f"ended by itself: {settled.state}",
                now,
            )
        reach("errand.before_commit")
    reach("errand.after_commit")
    if settled is None:
        async with gateway.store.direct() as session:
            settled = await session.errands.of_number(errand.number)
    assert settled is not None, "rows of errands stay"
    return settled


async def _change_account(gateway: Gateway, tx: Session, payment: Payment, errand: Errand) -> None:
    """The account waits for what the PG was told. What was paid or closed meanwhile stays as it is."""
    if payment.step is Step.WAITING_DEPOSIT:
        amount = Money(int(errand.said["amount"]), payment.amount.currency)
        due = datetime.fromtimestamp(int(errand.said["due"]), UTC)
        changed = await tx.payments.change_account(payment, amount, due)
        assert changed is not None, "the row is held, and it waits"
        await pay_from_changed_account(gateway, tx, changed)


async def _later(gateway: Gateway, errand: Errand) -> None:
    now = gateway.now()
    async with gateway.store.begin() as tx:
        await tx.errands.later(errand, again_at(errand.tries, errand.asked_at, now))
        if now - errand.asked_at > TELL_AFTER:
            await tx.tasks.open(
                TaskKind.ERRAND_UNKNOWN,
                errand.number,
                f"{errand.kind} since {errand.asked_at:%Y-%m-%d %H:%M:%S}Z, {errand.tries} tries",
                now,
                imp_uid=errand.imp_uid,
            )

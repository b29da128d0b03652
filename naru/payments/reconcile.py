"""Find out what became of a question to a PG that was never answered, and end it.

Called by the worker for every intent that is due: the PG was silent, spoke garbage, or we died
between two commits. recovery.py says what may be done, this file does it. What is asked is written
down before it is asked, and what came back after: `naru payment` shows it.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import datetime, timedelta

from naru.connectors import Can
from naru.domain.channel import Channel
from naru.domain.errors import PgBusy
from naru.domain.money import Money
from naru.domain.outcome import (
    CancelOrder,
    CancelOutcome,
    Declined,
    Goods,
    Inquired,
    NotFound,
    Outcome,
    TooLate,
    Undone,
    Unknown,
)
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.cancel import as_the_pg_has_it, settle_cancel
from naru.payments.close_virtual_account import settle_close
from naru.payments.gateway import Gateway
from naru.payments.keep_ticket import kept_ticket
from naru.payments.recovery import Way, way, way_when_not_found
from naru.payments.repeat_charge import repeat_charge
from naru.payments.settle import settle_approval, settle_undoing, undo
from naru.store.intents import Intent
from naru.store.queue import SETTLE_PAYMENT

log = logging.getLogger("naru.payments")

# As long as one try lasts, more or less. Who lasts longer loses by its number, not by this time;
# with the worker's round a dead worker's try goes on elsewhere within 30 s.
LEASE = timedelta(seconds=20)
# One doubt of a silent PG is tried this often, so that its recovery is seen within a minute (L1).
PROBE_EVERY = timedelta(seconds=40)
PROBE_YOUNGER_THAN = timedelta(days=1)

UNDO_UNCLEAR = "결제 결과를 확인할 수 없어 취소하였습니다."
UNDO_UNFINISHED = "결제가 완료되지 않아 취소되었습니다."
NEVER_CANCELLED = Declined("NOT_ARRIVED", "PG사에 취소 요청이 전달되지 않았습니다.")


async def due(gateway: Gateway, most: int = 100) -> list[str]:
    """imp_uids whose open question should be looked at now, oldest first."""
    async with gateway.store.direct() as session:
        return await session.intents.due(gateway.now(), most)


async def probe(gateway: Gateway) -> None:
    """Ask one doubt of every silent PG now, whatever rung of its ladder it waits for."""
    now = gateway.now()
    async with gateway.store.begin() as tx:
        for imp_uid in await tx.intents.probe(now, now - PROBE_EVERY, now - PROBE_YOUNGER_THAN):
            await tx.queue.ask(SETTLE_PAYMENT, imp_uid, once=f"settle {imp_uid}")


async def reconcile(gateway: Gateway, imp_uid: str) -> Payment | None:
    """One try to end the open question about this payment. None when nothing is due.

    Safe to call from many workers: one takes the try, and every ending is compare-and-swap.
    """
    now = gateway.now()
    reach("reconcile.before_lease")
    with ExitStack() as places:
        try:
            async with gateway.store.begin() as tx:
                intent = await tx.intents.lease(imp_uid, now + LEASE, now)
                if intent is None:
                    return None
                payment = await tx.payments.get(imp_uid)
                assert payment is not None
                channel = await tx.channels.get(payment.channel_id)
                assert channel is not None
                places.enter_context(gateway.pg_load.looking(channel.id))
                how = way(gateway.connector_of(channel), intent, now)
                if how is not Way.NET_CANCEL:  # which writes its own line, with its decision
                    await tx.intents.tried(intent, now, "asked", _words(how))
        except PgBusy:
            # Webhooks and other PGs' doubts want places, too. It stays due, and nothing was leased.
            return None
        reach("reconcile.after_lease")
        return await _look(gateway, payment, channel, intent, how, now)


async def _look(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    intent: Intent,
    how: Way,
    now: datetime,
) -> Payment:
    match intent.kind:
        case "cancel":
            return await _finish_cancel(gateway, payment, channel, intent, how, now)
        case "close_account":
            connector = gateway.connector_of(channel)
            closed: Undone | Declined | Unknown = Unknown("this PG closes no account")
            if Can.CLOSE_ACCOUNT in connector.can:
                closed = await connector.close_account(channel, payment.pg_order_no)
            settled = await settle_close(gateway, payment, channel, intent, closed)
            await _answered(gateway, channel, intent, closed)
            return settled
        case _:
            return await _finish_approval(gateway, payment, channel, intent, how, now)


async def _finish_approval(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    intent: Intent,
    how: Way,
    asked_at: datetime,
) -> Payment:
    if payment.step is not Step.APPROVING:
        return payment
    connector = gateway.connector_of(channel)
    found: Inquired = Unknown("this PG cannot be asked, and nothing can be undone")
    match how:
        case Way.NET_CANCEL:
            return await undo(gateway, payment, channel, UNDO_UNCLEAR)
        case Way.INQUIRE if intent.state == "undoing":
            too_late = TooLate("the time for a net-cancel is over")
            return await settle_undoing(gateway, payment, channel, intent, too_late, UNDO_UNCLEAR)
        case Way.INQUIRE:
            found = await connector.inquire(channel, payment.pg_order_no)
            reach("reconcile.after_pg")
        case Way.REPEAT:
            found = await _repeat(gateway, payment, channel, intent)
    await _answered(gateway, channel, intent, found)
    if isinstance(found, NotFound):
        again = await repeat_charge(gateway, payment, channel, intent, asked_at)
        if again is not None:
            await _answered(gateway, channel, intent, again)
            return await settle_approval(gateway, payment, channel, again, fence=intent.fence)
        next_way = way_when_not_found(connector, intent, asked_at)
        match next_way:
            case Way.NET_CANCEL:
                return await undo(gateway, payment, channel, UNDO_UNFINISHED)
            case Way.NEVER_WAS:
                found = Undone()
            case Way.REPEAT:
                await _ask(gateway, intent, next_way)
                found = await _repeat(gateway, payment, channel, intent)
                await _answered(gateway, channel, intent, found)
            case _:
                found = Unknown("not found yet")
    assert not isinstance(found, NotFound), "asking again is not asking about"
    return await settle_approval(gateway, payment, channel, found, fence=intent.fence)


async def _repeat(gateway: Gateway, payment: Payment, channel: Channel, intent: Intent) -> Outcome:
    ticket = await kept_ticket(gateway, payment, intent)
    if ticket is None:
        return Unknown("the buyer's proof is not kept any more")
    outcome = await gateway.connector_of(channel).repeat(channel, ticket)
    reach("reconcile.after_pg")
    return outcome


async def _finish_cancel(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    intent: Intent,
    how: Way,
    asked_at: datetime,
) -> Payment:
    order = read_cancel_order(payment, intent)
    connector = gateway.connector_of(channel)
    found: CancelOutcome | None = Unknown("this PG cannot be asked about a cancel")
    if how is Way.INQUIRE:
        found = await connector.inquire_cancel(channel, order)
        reach("reconcile.after_pg")
        await _answered(gateway, channel, intent, found)
        if found is None:
            how = way_when_not_found(connector, intent, asked_at)
            found = NEVER_CANCELLED if how is Way.NEVER_WAS else Unknown("not found yet")
            if how is Way.REPEAT:
                await _ask(gateway, intent, how)
    if how is Way.REPEAT:
        asked = await as_the_pg_has_it(gateway, payment, order)
        found = await connector.repeat_cancel(channel, asked)
        reach("reconcile.after_pg")
        await _answered(gateway, channel, intent, found)
    assert found is not None
    return await settle_cancel(gateway, payment, channel, order, intent, found)


async def _ask(gateway: Gateway, intent: Intent, how: Way) -> None:
    async with gateway.store.direct() as session:
        await session.intents.tried(intent, gateway.now(), "asked", _words(how))


async def _answered(
    gateway: Gateway, channel: Channel, intent: Intent, found: Inquired | CancelOutcome | None
) -> None:
    """Write down what came back. A PG that speaks again is asked about its other doubts, too."""
    now = gateway.now()
    async with gateway.store.begin() as tx:
        await tx.intents.tried(intent, now, "answered", _sentence(found))
        if not isinstance(found, Unknown):
            for imp_uid in await tx.intents.hasten_channel(channel.id, now, now - PROBE_EVERY):
                await tx.queue.ask(SETTLE_PAYMENT, imp_uid, once=f"settle {imp_uid}")


def _words(how: Way) -> str:
    return {
        Way.INQUIRE: "inquiry",
        Way.NET_CANCEL: "net-cancel",
        Way.REPEAT: "the same question again",
        Way.OPERATOR: "nothing: this PG cannot be asked",
    }.get(how, how.name.lower())


def _sentence(found: Inquired | CancelOutcome | None) -> str:
    match found:
        case Unknown(why=why):
            return f"unknown: {why}"
        case Declined(code=code):
            return f"declined: {code}"
        case None:
            return "not found"
        case _:
            return type(found).__name__.lower().replace("notfound", "not found")


def read_cancel_order(payment: Payment, intent: Intent) -> CancelOrder:
    """The cancel that this intent wrote down, without the refund account (which is never kept)."""
    currency = payment.amount.currency
    vat = intent.request.get("vat")
    return CancelOrder(
        pg_tid=payment.pg_tid or "",
        cancel_no=intent.number,
        amount=Money(intent.amount, currency),
        balance_before=Money(intent.balance_before, currency),
        tax_free=Money(int(intent.request.get("tax_free", 0)), currency),
        vat=None if vat is None else Money(int(vat), currency),
        reason=str(intent.request.get("reason", "")),
        goods=Goods(**goods) if isinstance(goods := intent.request.get("goods"), dict) else None,
    )

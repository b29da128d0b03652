"""Find out what became of a question to a PG that was never answered, and end it.

Called by the worker for every intent that is due: the PG was silent, spoke garbage, or we died
between two commits. The connector's powers decide the way (RELIABILITY §2.3).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from naru.connectors import Can
from naru.domain.channel import Channel
from naru.domain.money import Money
from naru.domain.outcome import (
    Cancelled,
    CancelOrder,
    Declined,
    Inquired,
    NotFound,
    Undone,
    Unknown,
)
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.cancel import settle_cancel
from naru.payments.close_virtual_account import settle_close
from naru.payments.gateway import Gateway
from naru.payments.settle import LADDER_SECONDS, settle_approval, undo
from naru.store.intents import Intent

log = logging.getLogger("naru.payments")

# "Not found" is final only when the request cannot be under way any more (RELIABILITY §2.3, rule 1).
STILL_UNDER_WAY = timedelta(minutes=5)


async def due(gateway: Gateway, most: int = 100) -> list[str]:
    """imp_uids whose open question should be looked at now, oldest first."""
    async with gateway.store.direct() as session:
        return await session.intents.due(gateway.now(), most)


async def reconcile(gateway: Gateway, imp_uid: str) -> Payment | None:
    """One try to end the open question about this payment. None when nothing is due.

    Safe to call from many workers: one takes the try, and every ending is compare-and-swap.
    """
    now = gateway.now()
    reach("reconcile.before_lease")
    async with gateway.store.begin() as tx:
        # Taken for longer than one try lasts; the row itself says when the next one is.
        intent = await tx.intents.lease(imp_uid, now + timedelta(seconds=30), now)
        if intent is None:
            return None
        payment = await tx.payments.get(imp_uid)
        assert payment is not None
        channel = await tx.channels.get(payment.channel_id)
    assert channel is not None
    reach("reconcile.after_lease")
    match intent.kind:
        case "cancel":
            return await _finish_cancel(gateway, payment, channel, intent)
        case "close_account":
            outcome = await gateway.connector_of(channel).close_account(
                channel, payment.pg_order_no
            )
            return await settle_close(gateway, payment, intent.id, intent.tries, outcome)
        case _:
            return await _finish_approval(gateway, payment, channel, intent)


async def _finish_approval(
    gateway: Gateway, payment: Payment, channel: Channel, intent: Intent
) -> Payment:
    if payment.step is not Step.APPROVING:
        return payment
    connector = gateway.connector_of(channel)
    found: Inquired
    if intent.state == "undoing":
        return await undo(gateway, payment, channel, "결제 결과를 확인할 수 없어 취소하였습니다.")
    if Can.INQUIRE_ORDER in connector.can:
        found = await connector.inquire(channel, payment.pg_order_no)
        reach("reconcile.after_pg")
    elif Can.NET_CANCEL in connector.can:
        # What cannot be asked about is undone, within the time that the PG gives for it.
        found = NotFound()
    else:
        found = Unknown("this PG cannot be asked")
    if isinstance(found, NotFound):
        if Can.NET_CANCEL in connector.can:
            # A net-cancel also stops a request that is still on its way.
            return await undo(gateway, payment, channel, "결제가 완료되지 않아 취소되었습니다.")
        if gateway.now() > _token_death(intent) + STILL_UNDER_WAY:
            return await settle_approval(gateway, payment, channel, Undone())
        found = Unknown("not found yet")
    return await settle_approval(gateway, payment, channel, found)


async def _finish_cancel(
    gateway: Gateway, payment: Payment, channel: Channel, intent: Intent
) -> Payment:
    order = read_cancel_order(payment, intent)
    connector = gateway.connector_of(channel)
    found: Cancelled | Declined | Unknown | None = Unknown("this PG cannot be asked")
    if Can.INQUIRE_CANCEL in connector.can:
        found = await connector.inquire_cancel(channel, order)
        reach("reconcile.after_pg")
    if found is None:
        # It never arrived. Final only when it cannot be on its way any more.
        if gateway.now() > intent.opened_at + STILL_UNDER_WAY:
            found = Declined("NOT_ARRIVED", "PG사에 취소 요청이 전달되지 않았습니다.")
        else:
            found = Unknown("the PG has not seen it yet")
    return await settle_cancel(gateway, payment, order, intent, found)


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
    )


def _token_death(intent: Intent) -> datetime:
    dies_at = intent.request.get("token_dies_at")
    if isinstance(dies_at, int | float):
        return datetime.fromtimestamp(dies_at, intent.opened_at.tzinfo)
    return intent.opened_at + timedelta(seconds=LADDER_SECONDS[3])

"""Ask again what was never answered about a cash receipt: the same number is one receipt, one cancel.

Called by the worker for every receipt that is due; also for those whose money went back whole.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

from naru.domain.cash_receipt import CashReceipt
from naru.domain.channel import Channel
from naru.domain.errors import PgBusy
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.cancel_cash_receipt import settle_revocation
from naru.payments.gateway import Gateway
from naru.payments.issue_cash_receipt import settle_receipt
from naru.payments.recovery import TELL_AFTER, again_at

LEASE = timedelta(seconds=20)


async def due_receipts(gateway: Gateway, most: int = 100) -> list[str]:
    """Numbers of receipts that should be looked at now, oldest first."""
    async with gateway.store.direct() as session:
        return await session.cash_receipts.due(gateway.now(), most)


async def reconcile_receipt(gateway: Gateway, number: str) -> CashReceipt | None:
    """One try to end what is open about this receipt. None when nothing is due."""
    now = gateway.now()
    with ExitStack() as places:
        try:
            async with gateway.store.begin() as tx:
                receipt = await tx.cash_receipts.lease(number, now + LEASE, now)
                if receipt is None:
                    return None
                channel = await tx.channels.get(receipt.channel_id)
                assert channel is not None, "a receipt's channel is never deleted"
                places.enter_context(gateway.pg_load.looking(channel.id))
        except PgBusy:
            return None  # It stays due, and nothing was leased.
        settled = await _ask_again(gateway, channel, receipt)
    # What was found to be issued and has to go at once is another question, which is due already.
    if settled.state == receipt.state and settled.fence == receipt.fence:
        await _later(gateway, receipt)
    return settled


async def _ask_again(gateway: Gateway, channel: Channel, receipt: CashReceipt) -> CashReceipt:
    connector = gateway.connector_of(channel)
    if receipt.state == "asking":
        assert receipt.order is not None, "a question that is open keeps its words"
        issued = await connector.issue_receipt(channel, receipt.order, again=True)
        reach("receipt.after_pg")
        return await settle_receipt(gateway, receipt, issued)
    # A cancel that nobody asked for yet (the money went back) is asked for here for the first time,
    # and a refusal at the door cannot be told from that of a repetition: it is asked again.
    revoked = await connector.revoke_receipt(channel, receipt, again=True)
    reach("receipt.after_pg")
    return await settle_revocation(gateway, channel, receipt, revoked)


async def _later(gateway: Gateway, receipt: CashReceipt) -> None:
    now = gateway.now()
    async with gateway.store.begin() as tx:
        asked_at = receipt.cancel_asked_at or receipt.asked_at
        await tx.cash_receipts.later(receipt, again_at(receipt.tries, asked_at, now))
        if now - asked_at > TELL_AFTER:
            await tx.tasks.open(
                TaskKind.RECEIPT_UNKNOWN,
                receipt.number,
                f"{receipt.state} since {asked_at:%Y-%m-%d %H:%M:%S}Z, {receipt.tries} tries",
                now,
                imp_uid=receipt.imp_uid,
            )

"""Hear what the PG's server tells: money that arrived, or what became of the goods of an escrow order."""

from __future__ import annotations

from naru.domain.channel import Channel
from naru.domain.outcome import Deposited, EscrowChanged
from naru.domain.payment import Step
from naru.payments.confirm_deposit import confirm_deposit
from naru.payments.gateway import Gateway
from naru.webhooks.announce import announce_escrow


async def hear_notice(gateway: Gateway, channel: Channel, told: Deposited | EscrowChanged) -> str:
    """Book it, once. Returns what it meant, for the log."""
    if isinstance(told, Deposited):
        return await confirm_deposit(gateway, channel, told)
    return await _tell_escrow(gateway, channel, told)


async def _tell_escrow(gateway: Gateway, channel: Channel, told: EscrowChanged) -> str:
    """Nothing is ours to decide here: the merchant is told (webhook facts §3), once for each notice."""
    async with gateway.store.begin() as tx:
        found = await tx.payments.get_by_pg_order(told.order_no)
        if found is None or found.channel_id != channel.id or found.pg_tid != told.pg_tid:
            return "an escrow order that is not ours"
        payment = await tx.payments.lock(found.imp_uid, found.merchant_id)
        merchant = await tx.merchants.get(found.merchant_id)
        assert payment is not None, "payments are never deleted"
        assert merchant is not None, "merchants are never deleted"
        if not payment.escrow or payment.step not in (Step.PAID, Step.CANCELLED):
            return "an order without escrow"
        laid = await announce_escrow(tx, merchant, payment, gateway.public_status(payment), told)
    return f"escrow {told.status}, told to {laid}"

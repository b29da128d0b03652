"""A deposit arrived: a fact of the PG. It is always booked; what it means is decided after."""

from __future__ import annotations

import logging

from naru.domain.channel import Channel
from naru.domain.errors import AlreadyPaid
from naru.domain.outcome import Deposited
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.gateway import Gateway
from naru.payments.settle import merchant_of
from naru.store import Session
from naru.webhooks.announce import announce

log = logging.getLogger("naru.payments")


async def confirm_deposit(gateway: Gateway, channel: Channel, deposited: Deposited) -> str:
    """Book a deposit once, and pay the payment when it is exact and in time.

    Returns what it meant: `exact`, or `short`, `over`, `late`, `after_end`, `unknown_order` (booked,
    and a person must look), or `repeated` (this notice was booked before).
    """
    try:
        return await _book(gateway, channel, deposited, flagged=False)
    except AlreadyPaid:
        # A second account of the same order was deposited too: real money, recorded and flagged (P16).
        return await _book(gateway, channel, deposited, flagged=True)


async def _book(gateway: Gateway, channel: Channel, deposited: Deposited, *, flagged: bool) -> str:
    reach("notice.before_book")
    async with gateway.store.begin() as tx:
        found = await tx.payments.get_by_pg_order(deposited.order_no)
        payment = None
        if found is not None and found.channel_id == channel.id:
            # Deposits of one payment are booked one after the other, so that their sum is true.
            payment = await tx.payments.lock(found.imp_uid, found.merchant_id)
        meaning = await _meaning(tx, payment, deposited)
        imp_uid = None if payment is None else payment.imp_uid
        if not await tx.deposits.book(channel.id, deposited, imp_uid, meaning, gateway.now()):
            return "repeated"
        if meaning != "exact" or payment is None:
            log.error(
                "deposit %s of %s for %s is %s: a person must look",
                deposited.notice_key,
                deposited.amount.text(),
                imp_uid or "no payment of ours",
                meaning,
            )
            return meaning
        paid = await tx.payments.deposit(payment, deposited.deposited_at, flagged)
        assert paid is not None, "the row is held, and it waits"
        if flagged:
            log.error("%s: a second payment of order %s was deposited", imp_uid, paid.merchant_uid)
        await announce(tx, await merchant_of(tx, paid), paid)
        reach("deposit.before_commit")
    reach("deposit.after_commit")
    return meaning


async def _meaning(tx: Session, payment: Payment | None, deposited: Deposited) -> str:
    if payment is None or payment.virtual_account is None:
        return "unknown_order"
    if payment.step is not Step.WAITING_DEPOSIT or payment.pg_tid != deposited.pg_tid:
        return "after_end"
    if deposited.amount.currency != payment.amount.currency:
        return "short"
    if deposited.deposited_at > payment.virtual_account.due:
        return "late"
    total = await tx.deposits.total(payment.imp_uid) + deposited.amount.minor
    if total == payment.amount.minor:
        return "exact"
    return "short" if total < payment.amount.minor else "over"

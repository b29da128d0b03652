"""Pay a payment from what was deposited in its account, when that is exact.

Called wherever one of the two becomes known: the deposit (confirm_deposit.py) or the account itself
(settle.py), for a PG may tell of a deposit before its answer that issued the account is written here.
"""

from __future__ import annotations

import logging

from naru.domain.payment import Payment
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.gateway import Gateway
from naru.store import Session
from naru.webhooks.announce import announce

log = logging.getLogger("naru.payments")


async def pay_from_deposits(gateway: Gateway, tx: Session, payment: Payment) -> Payment | None:
    """waiting_deposit -> paid, if exactly its amount arrived in time. `payment` is held by `tx`.

    None: it did not, and nothing changed. When another payment of the order was paid already this
    one is flagged and a person is told: both are real money.
    """
    arrived, newest = await tx.deposits.arrived(payment)
    if newest is None or arrived != payment.amount.minor:
        return None
    paid = await tx.payments.deposit(payment, newest)
    assert paid is not None, "the row is held, and it waits"
    if paid.flagged:
        log.error("%s: a second payment of order %r was deposited", paid.imp_uid, paid.merchant_uid)
        await tx.tasks.open(
            TaskKind.ORDER_PAID_TWICE,
            paid.imp_uid,
            f"Order {paid.merchant_uid} was paid before; {paid.amount.text()} was deposited too.",
            gateway.now(),
            imp_uid=paid.imp_uid,
        )
    merchant = await tx.merchants.get(paid.merchant_id)
    assert merchant is not None, "a payment's merchant is never deleted"
    await announce(tx, merchant, paid)
    return paid


async def pay_from_early_deposits(gateway: Gateway, tx: Session, payment: Payment) -> Payment:
    """The account was just written: what was deposited in it before may pay it now.

    The tasks that those deposits opened are closed when they paid; else they stay open.
    """
    early = await tx.deposits.early(payment.imp_uid)
    if not early:
        return payment
    paid = await pay_from_deposits(gateway, tx, payment)
    reach("deposit.early_before_commit")
    if paid is None:
        return payment
    for task in await tx.tasks.of_payment(payment.imp_uid):
        if task.kind == TaskKind.DEPOSIT_EARLY and task.closed_at is None:
            note = "The account was written, and what was deposited in it before paid it exactly."
            await tx.tasks.close(task.id, "naru", note, gateway.now())
    return paid

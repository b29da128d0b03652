"""Pay a payment from what was deposited in its account, when that is exact.

Called wherever one of the two becomes known: the deposit (confirm_deposit.py) or the account itself
(settle.py, run_errand.py), for a PG may tell of a deposit before its answer that issued or changed the
account is written here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from naru.domain.payment import Payment
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.gateway import Gateway
from naru.store import Session
from naru.webhooks.announce import announce

log = logging.getLogger("naru.payments")

DID_NOT_FIT = (TaskKind.DEPOSIT_SHORT, TaskKind.DEPOSIT_OVER, TaskKind.DEPOSIT_LATE)


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
    note = "The account was written, and what was deposited in it before paid it exactly."
    await _end_tasks(gateway, tx, payment, [TaskKind.DEPOSIT_EARLY], note)
    return paid


async def pay_from_changed_account(gateway: Gateway, tx: Session, payment: Payment) -> None:
    """The account waits for another amount, or longer: what was deposited since the PG knew of that may
    pay it now. The tasks of those deposits are closed then; else they stay open.
    """
    if await pay_from_deposits(gateway, tx, payment) is not None:
        note = "The account was changed at the PG before, and what was deposited pays it exactly."
        await _end_tasks(gateway, tx, payment, DID_NOT_FIT, note)


async def _end_tasks(
    gateway: Gateway, tx: Session, payment: Payment, kinds: Sequence[TaskKind], note: str
) -> None:
    for task in await tx.tasks.of_payment(payment.imp_uid):
        if task.kind in kinds and task.closed_at is None:
            await tx.tasks.close(task.id, "naru", note, gateway.now())

"""Watch: look again for approvals that were undone or never found (RELIABILITY 2.3, rule 6).

A PG may approve what it had called undone, or what it had never seen. For two days somebody looks;
what is found is undone once more, or booked as the money that it is, and a person is told.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from naru.connectors import Can
from naru.domain.outcome import Approved, Inquired, NotFound, Undone, Unknown
from naru.domain.payment import Step
from naru.domain.task import TaskKind
from naru.payments.gateway import Gateway
from naru.payments.recovery import has
from naru.payments.settle import book_late
from naru.store.watches import Watch

log = logging.getLogger("naru.payments")

LEASE = timedelta(seconds=30)
# After the first look, five minutes after the undoing: how long to wait before each further one.
WAITS = (timedelta(hours=1), timedelta(days=1), timedelta(days=1))
AGAIN_SOON = timedelta(minutes=1)


async def due_watches(gateway: Gateway, most: int = 100) -> list[str]:
    """imp_uids of undone payments that should be looked at now."""
    async with gateway.store.direct() as session:
        return await session.watches.due(gateway.now(), most)


async def watch(gateway: Gateway, imp_uid: str) -> None:
    """One look at a payment that was undone. Nothing when none is due."""
    now = gateway.now()
    async with gateway.store.begin() as tx:
        taken = await tx.watches.lease(imp_uid, now + LEASE, now)
        if taken is None:
            return
        payment = await tx.payments.get(imp_uid)
        intent = await tx.intents.approval_of(imp_uid)
        assert payment is not None
        assert intent is not None
        channel = await tx.channels.get(payment.channel_id)
        assert channel is not None
    if payment.step is not Step.FAILED:
        await _looked(gateway, taken, None)
        return
    connector = gateway.connector_of(channel)
    found: Inquired = NotFound()
    if Can.INQUIRE_ORDER in connector.can:
        found = await connector.inquire(channel, payment.pg_order_no)
    elif taken.late_pg_tid is not None and taken.late_approved_at is not None:
        # It cannot be asked about, but its own answer came late.
        found = Approved(
            payment.pg_order_no, payment.amount, taken.late_pg_tid, taken.late_approved_at
        )
    if isinstance(found, Unknown):
        await _looked(gateway, taken, AGAIN_SOON, counts=False)
        return
    if isinstance(found, Approved):
        undone: object = None
        if has(connector, Can.NET_CANCEL, intent, now):
            undone = await connector.net_cancel(channel, payment.pg_order_no, "늦은 승인 취소")
        if isinstance(undone, Unknown):
            await _looked(gateway, taken, AGAIN_SOON, counts=False)
            return
        async with gateway.store.begin() as tx:
            current = await tx.payments.lock(imp_uid, payment.merchant_id)
            assert current is not None
            if isinstance(undone, Undone):
                log.error("%s: approved after it was undone; undone again", imp_uid)
                await tx.tasks.open(
                    TaskKind.ANSWERS_CONTRADICT,
                    imp_uid,
                    f"approved as {found.pg_tid} after it was undone; undone again",
                    gateway.now(),
                    imp_uid=imp_uid,
                )
            elif current.step is Step.FAILED:
                await book_late(gateway, tx, current, found)
                return
    wait = WAITS[taken.looks] if taken.looks < len(WAITS) else None
    await _looked(gateway, taken, wait)


async def _looked(
    gateway: Gateway, taken: Watch, wait: timedelta | None, *, counts: bool = True
) -> None:
    now = gateway.now()
    next_look_at = None if wait is None else now + wait
    async with gateway.store.direct() as session:
        if counts:
            await session.watches.looked(taken, next_look_at, now)
        elif next_look_at is not None:
            await session.watches.postpone(taken, next_look_at, now)

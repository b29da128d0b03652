"""Claim: from here on this payment, and no other of its order, is being approved.

One commit before any PG is asked: the step and the intent row, with the announced amount held still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from naru.domain.acting import acting
from naru.domain.once import Once
from naru.domain.payment import Payment
from naru.domain.points import reach
from naru.domain.prepared import check_prepared
from naru.payments.gateway import Gateway
from naru.store import Session

Bind = Callable[[Session, str], Awaitable[None]]

# Longer than any call to a PG may take, so that the worker looks only at what nobody works on.
FIRST_LOOK = timedelta(seconds=20)


class Moment(NamedTuple):
    """One moment by two clocks: the time of day, which people and servers set, and the event loop's,
    in seconds, which nobody sets and which goes on while a process is stopped."""

    day: datetime
    loop: float


def moment(gateway: Gateway) -> Moment:
    """Now."""
    return Moment(gateway.now(), asyncio.get_running_loop().time())


async def claim(
    gateway: Gateway,
    payment: Payment,
    pay_method: str | None,
    journal: dict[str, Any],
    once: Once | None = None,
    *,
    announced_binds: bool = True,
    bind: Bind | None = None,
) -> Payment | None:
    """opened -> approving; None when somebody else was first.

    Raises AlreadyPaid when another payment holds the order's one approval, and PreparedDiffers when
    the merchant announced another amount while the window was open (P17), and Superseded when
    another try of the same Idempotency-Key has the word; then nothing has changed.
    `bind` is called with the transaction and the imp_uid: what it writes is committed with the claim,
    and what it raises undoes both.
    """
    # A card that is kept for nothing was announced with the amount that its window shows.
    announced_binds = announced_binds and bool(payment.amount)
    now = gateway.now()
    how = (payment.imp_uid, now, now + FIRST_LOOK, pay_method, journal)
    claimed = None
    if once is None and bind is None and announced_binds and acting.get() is None:
        # One statement, one round trip: a buyer's payment. Who acts is named with a BEGIN.
        reach("claim.before_commit")
        async with gateway.store.direct() as session:
            claimed = await session.payments.claim_for_approval(
                *how, order=(payment.merchant_id, payment.merchant_uid)
            )
    if claimed is None:
        # For a merchant's server, or not claimed: then it is found out here why.
        async with gateway.store.begin() as tx:
            if announced_binds:
                prepared = await tx.prepared.hold(payment.merchant_id, payment.merchant_uid)
                assumed = gateway.assumed_currency(payment.pg_code)
                check_prepared(prepared, payment.amount, assumed)
            claimed = await tx.payments.claim_for_approval(*how)
            await tx.idempotency.bind(once, payment.imp_uid)
            if bind is not None and claimed is not None:
                await bind(tx, payment.imp_uid)
            reach("claim.before_commit")
    reach("claim.after_commit")
    return claimed


async def still_ours(gateway: Gateway, kind: str, number: str, since: Moment) -> bool:
    """May who committed this question at `since` still ask it?

    No when this process slept and another has taken the question up: it may have found that the PG
    never saw it, or undone it where nothing keeps a late request from being approved all the same.
    A clock that was set looks like sleep, so the question itself decides: if it is nobody else's, it
    is kept for as long again.
    """
    now = moment(gateway)
    slept = max(now.day - since.day, timedelta(seconds=now.loop - since.loop))
    if slept <= FIRST_LOOK:
        return True
    async with gateway.store.direct() as session:
        return await session.intents.keep(kind, number, now.day + FIRST_LOOK)

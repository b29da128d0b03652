"""Claim: from here on this payment, and no other of its order, is being approved.

One commit before any PG is asked: the step and the intent row, with the announced amount held still.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from naru.domain.once import Once
from naru.domain.payment import Payment
from naru.domain.points import reach
from naru.domain.prepared import check_prepared
from naru.payments.gateway import Gateway

# Longer than any call to a PG may take, so that the worker looks only at what nobody works on.
FIRST_LOOK = timedelta(seconds=20)


async def claim(
    gateway: Gateway,
    payment: Payment,
    pay_method: str | None,
    journal: dict[str, Any],
    once: Once | None = None,
) -> Payment | None:
    """opened -> approving; None when somebody else was first.

    Raises AlreadyPaid when another payment holds the order's one approval, and PreparedDiffers when
    the merchant announced another amount while the window was open (P17), and Superseded when
    another try of the same Idempotency-Key has the word; then nothing has changed.
    """
    now = gateway.now()
    async with gateway.store.begin() as tx:
        prepared = await tx.prepared.hold(payment.merchant_id, payment.merchant_uid)
        check_prepared(prepared, payment.amount)
        claimed = await tx.payments.claim_for_approval(
            payment.imp_uid, now, now + FIRST_LOOK, pay_method, journal
        )
        await tx.idempotency.bind(once, payment.imp_uid)
        reach("claim.before_commit")
    reach("claim.after_commit")
    return claimed

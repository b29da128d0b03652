"""Delete a billing key. From the commit on nothing is charged by it; the PG is told after that."""

from __future__ import annotations

from naru.domain.billing_key import BillingKey
from naru.domain.errors import NoBillingKey
from naru.domain.once import Once
from naru.domain.points import reach
from naru.payments.claim import FIRST_LOOK
from naru.payments.gateway import Gateway
from naru.payments.reconcile_key import forget_at_pg


async def delete_billing_key(
    gateway: Gateway,
    merchant_id: int,
    customer_uid: str,
    reason: str = "",
    *,
    once: Once | None = None,
) -> BillingKey:
    """The key as it was. Schedules stay, and fail when they come to run (unknowns.md A22).

    A PG that does not answer changes nothing: the worker tells it until it knows. Raises NoBillingKey.
    """
    now = gateway.now()
    async with gateway.store.begin() as tx:
        key = await tx.billing_keys.delete(merchant_id, customer_uid, now, reason, now + FIRST_LOOK)
        if key is None:
            raise NoBillingKey
        await tx.idempotency.bind(once, key.number)
        reach("key.before_commit")
    reach("key.after_commit")
    await forget_at_pg(gateway, key)
    return key

"""The window ended without money: the buyer gave up, or the PG could not go on."""

from __future__ import annotations

from naru.domain.payment import Payment
from naru.domain.points import reach
from naru.payments.gateway import Gateway


async def abandon(gateway: Gateway, imp_uid: str, code: str, reason: str) -> Payment | None:
    """opened -> failed. When the approval is under way or decided, nothing changes.

    Returns the payment as it stands now, which is the truth to tell; None for an unknown id.
    """
    reach("abandon.before_commit")
    async with gateway.store.direct() as session:
        changed = await session.payments.abandon(imp_uid, gateway.now(), code, reason or code)
        reach("abandon.after_commit")
        return changed or await session.payments.get(imp_uid)

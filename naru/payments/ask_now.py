"""Ask now: somebody reads or acts on a payment in doubt, so the worker looks at once (RELIABILITY 6.6)."""

from __future__ import annotations

from datetime import timedelta

from naru.payments.gateway import Gateway
from naru.store import StoreUnavailable
from naru.store.queue import SETTLE_PAYMENT

# A payment that is read all the time is not asked about all the time.
NOT_SINCE = timedelta(seconds=10)


async def ask_now(gateway: Gateway, imp_uid: str) -> bool:
    """Let the worker try to end this doubt now; waits for nothing. False: there is none, or it was just tried.

    A wake-up call and no promise: where the database is away, the ladder goes on without it.
    """
    now = gateway.now()
    try:
        async with gateway.store.direct() as session:
            if not await session.intents.hasten(imp_uid, now, now - NOT_SINCE):
                return False
            # Should we die before this line, the worker's round finds the row all the same.
            return await session.queue.ask(SETTLE_PAYMENT, imp_uid, once=f"settle {imp_uid}")
    except StoreUnavailable:
        return False

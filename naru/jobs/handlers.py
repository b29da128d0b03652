"""What a job does when it wakes: call the one verb that its name stands for.

Every handler may run twice, late, or for a row that is settled by now; the verbs decide by the row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from naru.payments.gateway import Gateway
from naru.payments.reconcile import reconcile
from naru.store.queue import DELIVER_WEBHOOK, SETTLE_PAYMENT
from naru.webhooks.deliver import Deliverer

Handler = Callable[[str], Awaitable[None]]


def handlers(gateway: Gateway) -> Mapping[str, Handler]:
    """Job name -> what to do with its subject (an id as text)."""
    deliverer = Deliverer(gateway.store, gateway.wire, chance=gateway.chance, now=gateway.now)

    async def deliver_webhook(subject: str) -> None:
        await deliverer.deliver(int(subject))

    async def settle_payment(subject: str) -> None:
        await reconcile(gateway, subject)

    return {DELIVER_WEBHOOK: deliver_webhook, SETTLE_PAYMENT: settle_payment}

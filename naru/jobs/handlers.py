"""What a job does when it wakes: call the one verb that its name stands for.

Every handler may run twice, late, or for a row that is settled by now; the verbs decide by the row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from naru.payments.gateway import Gateway
from naru.payments.reconcile import reconcile
from naru.payments.reconcile_key import reconcile_key
from naru.payments.reconcile_receipt import reconcile_receipt
from naru.payments.run_errand import run_again
from naru.payments.run_schedule import run_schedule
from naru.store.queue import (
    DELIVER_WEBHOOK,
    RUN_ERRAND,
    RUN_SCHEDULE,
    SETTLE_KEY,
    SETTLE_PAYMENT,
    SETTLE_RECEIPT,
)
from naru.webhooks.deliver import Deliverer

Handler = Callable[[str], Awaitable[None]]


def handlers(gateway: Gateway) -> Mapping[str, Handler]:
    """Job name -> what to do with its subject (an id as text)."""
    deliverer = Deliverer(gateway.store, gateway.wire, chance=gateway.chance, now=gateway.now)

    async def deliver_webhook(subject: str) -> None:
        await deliverer.deliver(int(subject))

    async def settle_payment(subject: str) -> None:
        await reconcile(gateway, subject)

    async def settle_key(subject: str) -> None:
        await reconcile_key(gateway, subject)

    async def run_due_schedule(subject: str) -> None:
        await run_schedule(gateway, subject)

    async def settle_receipt(subject: str) -> None:
        await reconcile_receipt(gateway, subject)

    async def run_errand(subject: str) -> None:
        await run_again(gateway, subject)

    return {
        DELIVER_WEBHOOK: deliver_webhook,
        SETTLE_PAYMENT: settle_payment,
        RUN_SCHEDULE: run_due_schedule,
        SETTLE_KEY: settle_key,
        SETTLE_RECEIPT: settle_receipt,
        RUN_ERRAND: run_errand,
    }

"""Repeat a scheduled charge that the PG has never seen: whoever should have asked died before it did.

A buyer in front of a window is told that nothing was paid, and pays again; behind a schedule nobody
waits, so the question is put once more instead, under the same number.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from naru.connectors import Can
from naru.domain.channel import Channel
from naru.domain.outcome import Outcome
from naru.domain.payment import SCHEDULED, Payment
from naru.domain.points import reach
from naru.payments.charge import charge_order
from naru.payments.gateway import Gateway
from naru.payments.run_schedule import opening_of, unsent_is_unknown
from naru.store.intents import Intent

# Nobody expects a charge that is later than this; it is undone as any other, and announced as failed.
REPEATED_FOR = timedelta(hours=1)


async def repeat_charge(
    gateway: Gateway, payment: Payment, channel: Channel, intent: Intent, asked_at: datetime
) -> Outcome | None:
    """What the PG says to the same question. None: this is no schedule's payment, or it cannot be asked again."""
    connector = gateway.connector_of(channel)
    if (
        payment.customer_uid_usage != SCHEDULED
        or payment.customer_uid is None
        or intent.state == "undoing"
        or intent.restored
        or Can.REPEAT_CHARGE not in connector.can
        or asked_at >= intent.opened_at + REPEATED_FOR
    ):
        return None
    async with gateway.store.direct() as session:
        schedule = await session.schedules.get(payment.merchant_id, payment.merchant_uid)
        key = await session.billing_keys.get(payment.merchant_id, payment.customer_uid)
        merchant = await session.merchants.get(payment.merchant_id)
    if schedule is None or schedule.imp_uid != payment.imp_uid or merchant is None:
        return None
    if key is None or key.channel_id != channel.id:
        return None
    order = charge_order(opening_of(schedule, merchant, channel), payment)
    outcome = await connector.approve_by_key(channel, order, key.key)
    reach("reconcile.after_pg")
    return unsent_is_unknown(connector, outcome)

"""Pay by billing key: the customer's card is charged again, without its holder."""

from __future__ import annotations

from dataclasses import replace

from naru.connectors import Can, ChargeOrder
from naru.domain.billing_key import BillingKey
from naru.domain.errors import NoBillingKey, NotSupported
from naru.domain.once import Once
from naru.domain.outcome import Outcome
from naru.domain.payment import Payment
from naru.payments.charge import charge
from naru.payments.claim import Bind
from naru.payments.gateway import Gateway
from naru.payments.start import Opening

UNSUPPORTED = "빌링키 결제를 지원하지 않는 PG사입니다."


async def pay_by_billing_key(
    gateway: Gateway,
    opening: Opening,
    key: BillingKey,
    *,
    usage: str = "payment",
    once: Once | None = None,
    bind: Bind | None = None,
) -> Payment:
    """Charge this key for this order. `usage` is `payment` or `payment.scheduled`.

    The opening's channel must be the key's. An announced amount (prepare) does not bind here.
    Raises what `charge` raises, NoBillingKey (not a living key of this merchant) and NotSupported.
    """
    channel = opening.channel
    if key.merchant_id != opening.merchant.id or key.state != "live":
        raise NoBillingKey
    if key.channel_id != channel.id:
        raise ValueError("a key is charged through its own channel")
    connector = gateway.connector_of(channel)
    if Can.BILLING not in connector.can:
        raise NotSupported(UNSUPPORTED)

    async def ask(order: ChargeOrder) -> Outcome:
        return await connector.approve_by_key(channel, order, key.key)

    mine = replace(
        opening,
        customer_uid=key.customer_uid,
        customer_uid_usage=usage,
        announced_binds=False,
    )
    return await charge(gateway, mine, ask, once=once, bind=bind)

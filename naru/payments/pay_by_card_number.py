"""Pay by card number: the merchant's server brings the card (key-in), and may keep it under a key."""

from __future__ import annotations

from dataclasses import replace

from naru.connectors import Can, ChargeOrder
from naru.domain.billing_key import WINDOW_ONLY, CardNumber
from naru.domain.errors import NotSupported
from naru.domain.once import Once
from naru.domain.outcome import Outcome
from naru.domain.payment import Payment
from naru.payments.charge import charge
from naru.payments.gateway import Gateway
from naru.payments.start import Opening

UNSUPPORTED = "API 카드 결제(키인)를 지원하지 않는 PG사입니다."


async def pay_by_card_number(
    gateway: Gateway,
    opening: Opening,
    card: CardNumber,
    *,
    customer_uid: str | None = None,
    once: Once | None = None,
) -> Payment:
    """Charge this card for this order. With a `customer_uid` the PG also keeps the card under a key,
    in the same question: both are done, or neither.

    An announced amount (prepare) does not bind here. Raises what `charge` raises, and NotSupported.
    """
    channel = opening.channel
    connector = gateway.connector_of(channel)
    needed = {Can.KEY_IN, Can.BILLING} if customer_uid else {Can.KEY_IN}
    if not needed <= connector.can or channel.pg_code in WINDOW_ONLY:
        raise NotSupported(UNSUPPORTED)

    async def ask(order: ChargeOrder) -> Outcome:
        return await connector.approve_by_card(channel, order, card)

    mine = replace(
        opening,
        customer_uid=customer_uid,
        customer_uid_usage="issue" if customer_uid else None,
        announced_binds=False,
    )
    return await charge(gateway, mine, ask, keep_card=customer_uid is not None, once=once)

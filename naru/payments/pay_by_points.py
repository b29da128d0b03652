"""Pay by welfare points (Benepia): by the name and the password of a person, without a window."""

from __future__ import annotations

from dataclasses import replace

from naru.connectors import Can, ChargeOrder
from naru.domain.channel import Channel
from naru.domain.errors import NotSupported, OutcomeUnknown, PgRefused
from naru.domain.once import Once
from naru.domain.outcome import Declined, Outcome, Unknown
from naru.domain.payment import Payment
from naru.domain.point_account import PointAccount
from naru.payments.charge import charge
from naru.payments.gateway import Gateway
from naru.payments.start import Opening

UNSUPPORTED = "베네피아 포인트를 지원하지 않는 PG사입니다."
NO_ANSWER = "PG사가 응답하지 않아 포인트를 조회할 수 없습니다. 잠시 후 다시 시도해주세요."


async def points_left(gateway: Gateway, channel: Channel, account: PointAccount) -> int:
    """How many points this person has. Raises NotSupported, PgBusy, PgRefused, OutcomeUnknown."""
    connector = gateway.connector_of(channel)
    if Can.POINTS not in connector.can:
        raise NotSupported(UNSUPPORTED)
    with gateway.pg_load.asking(channel.id):
        left = await connector.points_left(channel, account)
    match left:
        case Declined(code=code, message=message):
            raise PgRefused(code, message)
        case Unknown():
            raise OutcomeUnknown(NO_ANSWER)
    return left


async def pay_by_points(
    gateway: Gateway, opening: Opening, account: PointAccount, once: Once | None = None
) -> Payment:
    """Take this order's money from a person's points. Raises what `charge` raises, and NotSupported."""
    channel = opening.channel
    connector = gateway.connector_of(channel)
    if Can.POINTS not in connector.can:
        raise NotSupported(UNSUPPORTED)

    async def ask(order: ChargeOrder) -> Outcome:
        return await connector.approve_by_points(channel, order, account)

    # i'mport ties the announced amount to request_pay alone.
    return await charge(gateway, replace(opening, announced_binds=False), ask, once=once)

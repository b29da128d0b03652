"""Tell the PG that an escrow order was shipped, or that the shipment changed. Its buyer confirms it there."""

from __future__ import annotations

from typing import Any

from naru.connectors import Can
from naru.domain.errors import BadRequest, NoSuchPayment, NotSupported
from naru.domain.once import Once
from naru.domain.payment import Step
from naru.domain.shipping import (
    CHANGE_SHIPPING,
    SHIP,
    AlreadyShipped,
    Errand,
    ErrandInProgress,
    NotShippable,
    NotShipped,
)
from naru.domain.text import is_storable
from naru.payments.gateway import Gateway
from naru.payments.run_errand import ask, run

UNSUPPORTED = "에스크로 배송정보 등록(수정)을 지원하지 않는 PG사입니다."


async def ship_escrow(
    gateway: Gateway,
    merchant_id: int,
    imp_uid: str,
    shipment: dict[str, Any],
    *,
    change: bool,
    once: Once | None = None,
) -> Errand:
    """Tell `shipment` (the PG's words, without the number of its charge); with `change`, in place of what was told.

    Raises NoSuchPayment, NotSupported, NotShippable (no escrow, or not paid), AlreadyShipped, NotShipped,
    ErrandInProgress, BadRequest, Superseded; PgRefused with the PG's words; OutcomeUnknown when the PG did
    not answer: the worker tells it again.
    """
    if not is_storable(shipment):
        raise BadRequest("사용할 수 없는 문자가 있습니다.")
    async with gateway.store.begin() as tx:
        payment = await tx.payments.lock(imp_uid, merchant_id)
        if payment is None:
            raise NoSuchPayment
        channel = await tx.channels.get(payment.channel_id)
        assert channel is not None, "a payment's channel is never deleted"
        able = CHANGE_SHIPPING if change else SHIP
        if Can.SHIP_ESCROW not in gateway.connector_of(channel).can or channel.pg_code not in able:
            raise NotSupported(UNSUPPORTED)
        if not payment.escrow or payment.step is not Step.PAID:
            raise NotShippable
        if await tx.errands.open_of(merchant_id, imp_uid) is not None:
            raise ErrandInProgress
        known = await tx.errands.shipment(merchant_id, imp_uid)
        if change and known is None:
            raise NotShipped
        if not change and known is not None:
            raise AlreadyShipped
        said = {"tid": payment.pg_tid, **shipment}
        errand = await ask(gateway, tx, payment, "reship" if change else "ship", said, once)
    return await run(gateway, channel, errand)

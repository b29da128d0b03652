"""Announce what an order should cost, before its window opens (사전등록)."""

from __future__ import annotations

from naru.domain.errors import AlreadyPaid, AlreadyPrepared, NotPrepared
from naru.domain.points import reach
from naru.domain.prepared import Prepared, read_announced
from naru.payments.gateway import Gateway


async def prepare(gateway: Gateway, merchant_id: int, prepared: Prepared) -> None:
    """Fix the amount of an order. Raises AlreadyPrepared."""
    reach("prepare.before_commit")
    async with gateway.store.direct() as session:
        if not await session.prepared.add(merchant_id, prepared, gateway.now()):
            raise AlreadyPrepared
    reach("prepare.after_commit")


async def change_prepared(gateway: Gateway, merchant_id: int, prepared: Prepared) -> Prepared:
    """Fix another amount; returns what stands now. A currency that was named stays named.

    Raises NotPrepared, BadAmount (the number does not fit the currency that was named), and
    AlreadyPaid once the order is being paid: what was authenticated stays (RELIABILITY §2.2, A1xRO).
    """
    async with gateway.store.begin() as tx:
        before = await tx.prepared.hold_to_change(merchant_id, prepared.merchant_uid)
        if before is None:
            raise NotPrepared
        if before.currency_fixed and not prepared.currency_fixed:
            prepared = read_announced(
                prepared.merchant_uid, prepared.amount.to_wire(), before.amount.currency
            )
        if not await tx.prepared.change(merchant_id, prepared, gateway.now()):
            raise AlreadyPaid
    return prepared

"""Announce what an order should cost, before its window opens (사전등록)."""

from __future__ import annotations

from naru.domain.errors import AlreadyPaid, AlreadyPrepared, NotPrepared
from naru.domain.prepared import Prepared
from naru.payments.gateway import Gateway


async def prepare(gateway: Gateway, merchant_id: int, prepared: Prepared) -> None:
    """Fix the amount of an order. Raises AlreadyPrepared."""
    async with gateway.store.direct() as session:
        if not await session.prepared.add(merchant_id, prepared, gateway.now()):
            raise AlreadyPrepared


async def change_prepared(gateway: Gateway, merchant_id: int, prepared: Prepared) -> None:
    """Fix another amount. Raises NotPrepared, and AlreadyPaid once the order is being paid:
    the amount that was authenticated stays (RELIABILITY §2.2, A1xRO)."""
    async with gateway.store.begin() as tx:
        if await tx.prepared.change(merchant_id, prepared, gateway.now()):
            return
        if await tx.prepared.get(merchant_id, prepared.merchant_uid) is None:
            raise NotPrepared
        raise AlreadyPaid

"""Announce what an order should cost, before its window opens (사전등록)."""

from __future__ import annotations

from naru.domain.errors import AlreadyPaid, AlreadyPrepared, NotPrepared
from naru.domain.once import Once
from naru.domain.points import reach
from naru.domain.prepared import Prepared, read_announced
from naru.payments.gateway import Gateway

BARE_NUMBER = "-"


async def prepare(
    gateway: Gateway, merchant_id: int, prepared: Prepared, once: Once | None = None
) -> None:
    """Fix the amount of an order. Raises AlreadyPrepared, Superseded."""
    reach("prepare.before_commit")
    async with gateway.store.begin() as session:
        if not await session.prepared.add(merchant_id, prepared, gateway.now()):
            raise AlreadyPrepared
        await session.idempotency.bind(once, _named(prepared))
    reach("prepare.after_commit")


async def change_prepared(
    gateway: Gateway, merchant_id: int, prepared: Prepared, once: Once | None = None
) -> Prepared:
    """Fix another amount; returns what stands now. A currency that was named stays named.

    Raises NotPrepared, Superseded, BadAmount (the number does not fit the currency that was named), and
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
        await tx.idempotency.bind(once, _named(prepared))
    return prepared


def _named(prepared: Prepared) -> str:
    """What an Idempotency-Key is bound to: the currency that was named, if one was.

    With the request itself this tells again what was announced, also after it was changed.
    """
    return prepared.amount.currency if prepared.currency_fixed else BARE_NUMBER

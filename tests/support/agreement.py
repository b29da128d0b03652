"""What must hold after every fault: the PG's book and ours agree, and nobody was told what is not so."""

from __future__ import annotations

from naru.domain.payment import Payment, Step
from naru.store.audit import audit
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg


async def told_of(house: House, imp_uid: str) -> list[str]:
    """The webhooks laid for this payment, oldest first."""
    async with house.gateway.store.direct() as session:
        laid = await session.outbox.of_merchant(house.merchant.id, imp_uid=imp_uid)
    return [each.status for each in laid][::-1]


async def agree(house: House, pg: StandInPg, imp_uid: str, told: list[str]) -> Payment:
    """The payment, having ended: one book, no open question, one event and one webhook per change."""
    now = await house.payment(imp_uid)
    async with house.gateway.store.direct() as session:
        assert await session.intents.of_payment(imp_uid) is None, "a question is still open"
    order = pg.orders.get(now.pg_order_no)
    standing = order is not None and order["state"] in ("approved", "deposited")
    at_pg = order["amount"] - order["cancelled"] if order is not None and standing else 0
    ours = now.balance.minor if now.step in (Step.PAID, Step.CANCELLED) else 0
    assert ours == at_pg, f"ours {ours}, the PG's {at_pg}"
    moved = sum(
        row["amount"] if row["kind"] in ("charge", "deposit") else -row["amount"]
        for row in pg.book
        if row["order_no"] == now.pg_order_no
    )
    assert ours == moved, f"ours {ours}, the PG's book {moved}"
    await house.history(imp_uid)  # numbered 1..n
    assert await told_of(house, imp_uid) == told
    report = await audit(house.dsn, now=house.clock())
    # These houses have nobody who delivers, or who tells PGs of keys that were replaced: what waits
    # for the worker is no breakage here.
    waiting = ("webhooks_leave", "answers_found")
    broken = [each for each in report.checks if each.broken and each.name not in waiting]
    assert not broken, [str(each) for each in broken]
    assert len(report.checks) > 20, "the audit looked"
    return now

"""A disk with no room for the next row, met by each step of a payment: rows C1, C2, C3 and F1-F3 under DF.

PostgreSQL lives on when a table cannot grow, and says so to whoever wanted to write: SQLSTATE 53100. Here
a trigger says it, so that the disk is full for one table, at one moment. By night a disk is really full
(test_plugs.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from naru.domain.cancellation import CancelRequest
from naru.domain.errors import AlreadyPaid
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.store import StoreUnavailable
from tests.payments.conftest import house, pg
from tests.payments.test_approve import back
from tests.payments.test_recovery import let_time_pass
from tests.support.agreement import agree, told_of
from tests.support.gateway import House
from tests.support.stand_in_pg import Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

__all__ = ["house", "pg"]  # fixtures, used by name

# Where the result of an approval is written, in the order of its transaction.
OF_A_RESULT = ("payment_events", "entries", "webhook_deliveries", "jobs")
FULL = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file "base/5/1259": No space left on device'
        USING ERRCODE = 'disk_full';
END $$;
"""


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@asynccontextmanager
async def no_room(house: House, table: str, when: str = "INSERT") -> AsyncIterator[None]:
    """No row more finds a place in this table, until the block ends and somebody has made room."""
    admin = await asyncpg.connect(house.dsn)
    try:
        await admin.execute(FULL)
        await admin.execute(
            f"CREATE TRIGGER no_room BEFORE {when} ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION no_room()"
        )
        try:
            yield
        finally:
            await admin.execute("DROP FUNCTION no_room() CASCADE")
    finally:
        await admin.close()


async def paid_payment(house: House, pg: StandInPg) -> Payment:
    payment = await house.open()
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    return paid


@pytest.fixture(autouse=True)
async def announced(house: House) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")


@pytest.mark.fault("C1_DF")
async def test_an_intent_that_finds_no_room_asks_no_pg_and_the_same_return_pays_later(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    async with no_room(house, "intents"):
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="DiskFull"):
                await approve(house.gateway, payment.imp_uid, back(pg, payment))
        assert pg.asked == []
        assert await house.history(payment.imp_uid) == ["opened"]
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    assert pg.count("approvals") == 1
    await agree(house, pg, payment.imp_uid, ["paid"])


async def is_held(house: House, payment: Payment) -> None:
    """Being checked: not failed, not paid, nobody was told, and the order takes no second payment."""
    assert (await house.payment(payment.imp_uid)).step is Step.APPROVING
    assert await told_of(house, payment.imp_uid) == []
    with pytest.raises(AlreadyPaid):
        await house.open(merchant_uid=payment.merchant_uid)


@pytest.mark.fault("C2_DF", "C3_DF")
@pytest.mark.parametrize(
    ("end", "table"),
    [*((Step.PAID, table) for table in OF_A_RESULT), (Step.FAILED, "payment_events")],
)
async def test_a_disk_that_fills_while_the_pg_is_asked_holds_the_payment_and_then_follows_the_pg(
    house: House, pg: StandInPg, end: Step, table: str
) -> None:
    payment = await house.open()
    refused = {"result": "declined", "code": "3011", "message": "한도초과"}
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def answer(asked: Asked, _: dict[str, Any]) -> dict[str, Any]:
        arrived.set()
        await go_on.wait()
        return pg.do(asked) if end is Step.PAID else refused

    pg.next["approvals"].append(answer)
    asking = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await asyncio.wait_for(arrived.wait(), 10)
    async with no_room(house, table):
        go_on.set()
        with pytest.raises(StoreUnavailable, match="DiskFull"):
            await asking
        await is_held(house, payment)
        # The worker finds out, and can write it down no more than the gateway could.
        with pytest.raises(StoreUnavailable):
            await let_time_pass(house, minutes=3)
        await is_held(house, payment)
    await let_time_pass(house, minutes=10)
    assert (await house.payment(payment.imp_uid)).step is end
    assert pg.count("approvals") == 1
    await agree(house, pg, payment.imp_uid, ["paid"] if end is Step.PAID else [])


@pytest.mark.fault("F1_DF")
async def test_a_cancel_whose_intent_finds_no_room_asks_no_pg(house: House, pg: StandInPg) -> None:
    payment = await paid_payment(house, pg)
    part = CancelRequest(amount=Money(400))
    async with no_room(house, "intents"):
        with pytest.raises(StoreUnavailable, match="DiskFull"):
            await cancel(house.gateway, house.merchant.id, payment.imp_uid, part)
        assert pg.count("cancels") == 0
    cancelled = await cancel(house.gateway, house.merchant.id, payment.imp_uid, part)
    assert cancelled.balance == Money(604)
    assert pg.count("cancels") == 1


@pytest.mark.fault("F2_DF", "F3_DF")
@pytest.mark.parametrize("table", ["cancellations", *OF_A_RESULT[:2]])
async def test_a_disk_that_fills_while_a_cancel_is_asked_keeps_the_amount_reserved_until_it_is_booked(
    house: House, pg: StandInPg, table: str
) -> None:
    payment = await paid_payment(house, pg)
    arrived, go_on = pg.hold("cancels", done_first=True)
    whole = CancelRequest(amount=None)
    asking = asyncio.create_task(cancel(house.gateway, house.merchant.id, payment.imp_uid, whole))
    await asyncio.wait_for(arrived.wait(), 10)
    async with no_room(house, table):
        go_on.set()
        with pytest.raises(StoreUnavailable, match="DiskFull"):
            await asking
        async with house.gateway.store.direct() as session:
            reserved = await session.intents.of_payment(payment.imp_uid)
        assert reserved is not None
        assert (reserved.kind, reserved.amount) == ("cancel", 1004)
        with pytest.raises(StoreUnavailable):
            await let_time_pass(house, minutes=3)
        assert (await house.payment(payment.imp_uid)).step is Step.PAID
    await let_time_pass(house, minutes=10)
    cancelled = await house.payment(payment.imp_uid)
    assert (cancelled.step, cancelled.balance) == (Step.CANCELLED, Money(0))
    await agree(house, pg, payment.imp_uid, ["paid"])

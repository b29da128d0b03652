"""Workers whose clock jumps while one is replaced by another (row L1, clock jumps)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from aiohttp import web

from naru.domain.payment import Step
from naru.jobs.worker import work
from naru.payments.approve import approve
from naru.store.queue import DELIVER_WEBHOOK
from naru.webhooks.deliver import LEASE
from tests.payments.test_approve import back
from tests.support.gateway import Clock, open_house
from tests.support.receiver import Receiver, Told
from tests.support.stand_in_pg import SECRET, standing_in


@pytest.mark.fault("L1_CJ")
@pytest.mark.promise("P3", "P4")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_worker_replaced_while_the_clock_jumps_leaves_the_same_books_and_webhooks(
    database_url: str, receiver: Receiver, hours: int
) -> None:
    """One is told to go in the midst of a webhook and of a doubt; the next one's clock is an hour off."""
    go_on = asyncio.Event()

    async def slow(told: Told) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(text="OK")

    receiver.reply = slow
    async with standing_in() as pg, open_house(database_url, pg.url, secret=SECRET) as house:
        await house.set_merchant(webhook_url=f"{receiver.url}/hook")
        paid, doubtful = await house.open(), await house.open()
        await approve(house.gateway, paid.imp_uid, back(pg, paid))
        pg.hang_up("approvals", done=True)
        await approve(house.gateway, doubtful.imp_uid, back(pg, doubtful))
        assert (await house.payment(doubtful.imp_uid)).step is Step.APPROVING

        clock, stop = Clock(), asyncio.Event()
        first = asyncio.create_task(
            work(replace(house.gateway, now=clock), database_url, stop, drain_seconds=5)
        )
        await receiver.wait_for(1)
        clock.advance(hours=hours)
        stop.set()
        go_on.set()
        await asyncio.wait_for(first, 15)

        stop = asyncio.Event()
        second = asyncio.create_task(
            work(replace(house.gateway, now=clock), database_url, stop, drain_seconds=5)
        )
        # A clock that is behind looks at the doubt as much later; when it is right again, at once.
        await asyncio.sleep(1)
        if hours < 0:
            clock.advance(hours=1, minutes=1)
        async with asyncio.timeout(60):
            while (await house.payment(doubtful.imp_uid)).step is Step.APPROVING:
                await asyncio.sleep(0.05)
        await receiver.wait_for(2, 60)
        stop.set()
        await asyncio.wait_for(second, 15)
        for payment in (paid, doubtful):
            assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]
            assert pg.orders[payment.pg_order_no]["state"] == "approved"
        assert (
            len({told.headers["webhook-id"] for told in receiver.told}) == len(receiver.told) == 2
        )
        connection = await asyncpg.connect(database_url)
        late = await connection.fetchval(
            "SELECT max(abs(extract(epoch FROM ended_at - now()))) FROM webhook_deliveries"
            " WHERE state = 'delivered'"
        )
        await connection.close()
        assert late < timedelta(minutes=2).total_seconds(), "what is written is the database's time"


# To rows that were written an hour ahead a database looks like one whose clock went back by an hour.
AN_HOUR_BACK = """
UPDATE webhook_deliveries SET waits_since = waits_since + interval '1 hour', next_at = next_at + interval '1 hour',
       leased_until = leased_until + interval '1 hour';
UPDATE jobs SET created = created + interval '1 hour', execute_after = execute_after + interval '1 hour',
       heartbeat = heartbeat + interval '1 hour';
"""


@pytest.mark.fault("L3_CJ")
@pytest.mark.promise("P4", "L2")
@pytest.mark.parametrize("leased", [False, True])
async def test_webhooks_and_jobs_leave_though_the_database_moved_to_a_clock_an_hour_behind(
    database_url: str, receiver: Receiver, leased: bool
) -> None:
    """Waits, leases and jobs are planned by the database's clock, which is another machine's afterwards."""
    async with standing_in() as pg, open_house(database_url, pg.url, secret=SECRET) as house:
        await house.set_merchant(webhook_url=f"{receiver.url}/hook")
        payments = [await house.open() for _ in range(3)]
        for payment in payments:
            await approve(house.gateway, payment.imp_uid, back(pg, payment))
        connection = await asyncpg.connect(database_url)
        deliveries = await connection.fetch("SELECT id FROM webhook_deliveries ORDER BY id")
        if leased:
            # Its sender died with the old primary, and so did the worker that held its job.
            async with house.gateway.store.direct() as session:
                assert await session.outbox.claim(deliveries[0]["id"], LEASE) is not None
            await connection.execute(
                "UPDATE jobs SET status = 'picked' WHERE payload = $1",
                str(deliveries[0]["id"]).encode(),
            )
        await connection.execute(AN_HOUR_BACK)
        # The control: nothing is due, and the jobs' names keep others from being asked for.
        async with house.gateway.store.direct() as session:
            assert await session.outbox.due(timedelta(), 100) == []
            for each in deliveries:
                name = f"deliver {each['id']}"
                assert not await session.queue.ask(DELIVER_WEBHOOK, str(each["id"]), once=name)
        stop = asyncio.Event()
        working = asyncio.create_task(work(house.gateway, database_url, stop, drain_seconds=5))
        await receiver.wait_for(3, 40)
        stop.set()
        await asyncio.wait_for(working, 15)
        await connection.close()
    assert len({told.headers["webhook-id"] for told in receiver.told}) == len(receiver.told) == 3


@pytest.mark.promise("L2")
async def test_a_wait_of_the_ladder_is_left_alone_and_one_that_no_ladder_has_is_over(
    database_url: str, receiver: Receiver
) -> None:
    async with standing_in() as pg, open_house(database_url, pg.url, secret=SECRET) as house:
        await house.set_merchant(webhook_url=f"{receiver.url}/hook")
        for payment in [await house.open() for _ in range(3)]:
            await approve(house.gateway, payment.imp_uid, back(pg, payment))
        connection = await asyncpg.connect(database_url)
        rungs = ("1 minute", "48 hours", "51 hours")
        found = await connection.fetch("SELECT id FROM webhook_deliveries ORDER BY id")
        for each, rung in zip(found, rungs, strict=True):
            await connection.execute(
                "UPDATE webhook_deliveries SET next_at = now() + $2::text::interval WHERE id = $1",
                each["id"],
                rung,
            )
        await connection.close()
        async with house.gateway.store.direct() as session:
            assert await session.outbox.put_right() == [found[2]["id"]]
            assert await session.outbox.due(timedelta(), 100) == [found[2]["id"]]
            assert await session.outbox.put_right() == []

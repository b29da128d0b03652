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

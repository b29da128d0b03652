"""SIGTERM: what is under way ends, nothing new begins, and whatever breaks meanwhile is no loss (row L1).

True processes of `naru serve` and `naru worker`, told to go in the middle of an approval or of a webhook.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from naru.domain.payment import Payment, Step
from naru.webhooks.announce import announce
from tests.payments.test_approve import back
from tests.payments.test_recovery import check, let_time_pass
from tests.support.database_away import database_away
from tests.support.database_line import line_to
from tests.support.gateway import House, open_house
from tests.support.house import at
from tests.support.processes import SECRET, Process, health, naru
from tests.support.receiver import Receiver, Told, receiving
from tests.support.scale import often
from tests.support.stand_in_pg import SECRET as PG_SECRET
from tests.support.stand_in_pg import Asked, StandInPg, standing_in

# What the whole of a stop may take (docs/how-to/upgrade.md).
STOP_SECONDS_MAX = 30


@dataclass
class Bed:
    """A house whose gateway is a process; we are its PG and its buyers."""

    house: House
    pg: StandInPg
    browser: aiohttp.ClientSession
    home: Path

    @asynccontextmanager
    async def serving(self, dsn: str | None = None, grace: int = 15) -> AsyncIterator[Process]:
        async with naru("serve", dsn or self.house.dsn, self.home, grace=grace) as process:
            await process.serves()
            yield process

    async def come_back(self, process: Process, payment: Payment) -> tuple[int, str]:
        """The browser's return from the PG's window: status and page or address."""
        async with self.browser.post(
            f"{process.url}/checkout/return/{payment.imp_uid}",
            data=back(self.pg, payment),
            allow_redirects=False,
        ) as answer:
            return answer.status, answer.headers.get("Location") or await answer.text()

    async def begin(self, process: Process, payment: Payment) -> asyncio.Task[tuple[int, str]]:
        """The same, under way."""
        return asyncio.create_task(self.come_back(process, payment))

    async def arrives(self, arrived: asyncio.Event, coming: asyncio.Task[tuple[int, str]]) -> None:
        """Wait until the PG was asked. AssertionError when the browser was answered instead."""
        asked = asyncio.create_task(arrived.wait())
        await asyncio.wait((asked, coming), timeout=20, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        assert arrived.is_set(), coming

    async def refused(self, process: Process) -> None:
        """Wait until nobody listens any more."""
        port = urlsplit(process.url).port
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    return
                except ConnectionResetError:
                    continue  # we knocked in the moment in which the door was closed
                writer.close()
                await asyncio.sleep(0.02)


@pytest.fixture
async def bed(database_url: str, tmp_path: Path) -> AsyncIterator[Bed]:
    async with (
        standing_in() as pg,
        open_house(database_url, pg.url, secret=PG_SECRET, root_key=SECRET.encode()) as house,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as browser,
    ):
        yield Bed(house, pg, browser, tmp_path)


def hold_and_hang_up(pg: StandInPg, *, done: bool) -> tuple[asyncio.Event, asyncio.Event]:
    """The next approval arrives and waits; then the line is cut, the deed done or not."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def act(asked: Asked, _: object) -> web.StreamResponse:
        arrived.set()
        await go_on.wait()
        if done:
            pg.do(asked)
        assert asked.request.transport is not None
        asked.request.transport.abort()
        return web.Response()

    pg.next["approvals"].append(act)
    return arrived, go_on


async def within(seconds: float, deed: Awaitable[int]) -> int:
    """The exit status, which must come in time; prints how long it took."""
    began = time.monotonic()
    status = await deed
    took = time.monotonic() - began
    print(f"it ended {took:.1f} s after it could (bound {seconds:.0f} s)")
    assert took < seconds
    return status


@pytest.mark.fault("L1_CA", "L1_LQ", "L1_LR", "L1_DU")
@pytest.mark.promise("P3", "P12")
async def test_approvals_under_way_at_sigterm_end_and_their_buyers_hear_it(bed: Bed) -> None:
    """Four under way: one whose answer comes, the same once more, and two whose PG falls silent."""
    house, pg = bed.house, bed.pg
    async with bed.serving() as process:
        answered, asked_lost, answer_lost = [await house.open() for _ in range(3)]
        held = []
        for payment, (arrived, go_on) in (
            (answered, pg.hold("approvals", done_first=False)),
            (asked_lost, hold_and_hang_up(pg, done=False)),
            (answer_lost, hold_and_hang_up(pg, done=True)),
        ):
            held.append((await bed.begin(process, payment), go_on))
            await bed.arrives(arrived, held[-1][0])
        # The same return once more hears at once that it is being checked, and asks no PG.
        assert (await asyncio.wait_for(bed.come_back(process, answered), 20))[0] == 303
        process.send(signal.SIGTERM)
        await bed.refused(process)
        process.send(signal.SIGTERM)  # somebody is impatient: it cuts nothing off
        for _, go_on in held:
            go_on.set()
        heard = [await asyncio.wait_for(task, 20) for task, _ in held]
        assert [status for status, _ in heard] == [303, 303, 303]
        assert all("/checkout/done/" in where for _, where in heard)
        assert await within(STOP_SECONDS_MAX, process.ends(STOP_SECONDS_MAX)) == 0
    assert (await house.payment(answered.imp_uid)).step is Step.PAID
    assert await house.history(answered.imp_uid) == ["opened", "authenticated", "approved"]
    await let_time_pass(house, minutes=30)
    ends = [
        await check(house, pg, payment, "drained")
        for payment in (answered, asked_lost, answer_lost)
    ]
    assert ends == [Step.PAID, Step.FAILED, Step.PAID]
    assert pg.count("approvals") == 3


@pytest.mark.fault("L1_CB", "L1_SL")
@pytest.mark.promise("P3", "P8")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_gateway_that_dies_or_sleeps_while_it_drains_is_no_loss(
    bed: Bed, how: signal.Signals
) -> None:
    """SIGTERM, and then the machine goes, or stands still: the worker finishes; a sleeper loses."""
    house, pg = bed.house, bed.pg
    async with bed.serving() as process:
        payment = await house.open()
        arrived, go_on = pg.hold("approvals", done_first=True)
        coming = await bed.begin(process, payment)
        await bed.arrives(arrived, coming)
        process.send(signal.SIGTERM)
        await bed.refused(process)
        process.send(how)
        await let_time_pass(house, minutes=7, step=70)
        assert (await house.payment(payment.imp_uid)).step is Step.PAID, "the worker asked"
        go_on.set()
        if how is signal.SIGSTOP:
            process.send(signal.SIGCONT)
            status, where = await asyncio.wait_for(coming, 20)
            assert status == 303
            assert "/checkout/done/" in where
            assert await within(STOP_SECONDS_MAX, process.ends(STOP_SECONDS_MAX)) == 0
        else:
            assert await process.ends() == -signal.SIGKILL
            assert isinstance((await asyncio.gather(coming, return_exceptions=True))[0], Exception)
    await let_time_pass(house, minutes=30, step=300)
    assert await check(house, pg, payment, how.name) is Step.PAID
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]


@pytest.mark.fault("L1_DB", "L1_DF")
@pytest.mark.promise("P3", "P12")
async def test_a_database_that_goes_away_while_a_gateway_drains_holds_nothing_up(bed: Bed) -> None:
    house, pg = bed.house, bed.pg
    async with bed.serving() as process:
        payment = await house.open()
        arrived, go_on = pg.hold("approvals", done_first=True)
        coming = await bed.begin(process, payment)
        await bed.arrives(arrived, coming)
        process.send(signal.SIGTERM)
        await bed.refused(process)
        async with database_away(house.dsn):
            go_on.set()
            status, html = await asyncio.wait_for(coming, 20)
            assert status == 503
            assert "다시 결제하지 마세요" in html
            assert await within(STOP_SECONDS_MAX, process.ends(STOP_SECONDS_MAX)) == 0
    await let_time_pass(house, minutes=7, step=70)
    assert await check(house, pg, payment, "no database") is Step.PAID


@pytest.mark.fault("L1_NP")
@pytest.mark.promise("P3")
async def test_a_gateway_cut_off_from_its_database_still_ends_in_time(bed: Bed) -> None:
    """The network swallows everything: no reset, no answer. Idle lines must not be waited for either."""
    house, pg = bed.house, bed.pg
    grace = often(2, 15)
    async with line_to(house.dsn) as (line, near), bed.serving(near, grace) as process:
        # Several lines to the database stand by when the network goes.
        await asyncio.gather(*(health(bed.browser, process.url) for _ in range(20)))
        payment = await house.open()
        arrived, go_on = pg.hold("approvals", done_first=True)
        coming = await bed.begin(process, payment)
        await bed.arrives(arrived, coming)
        line.open.clear()
        process.send(signal.SIGTERM)
        await bed.refused(process)
        go_on.set()
        # The grace, and a goodbye to lines that do not answer: together, not one after the other.
        assert await within(grace + 10, process.ends(STOP_SECONDS_MAX)) == 0
        await asyncio.gather(coming, return_exceptions=True)
        line.open.set()
    await let_time_pass(house, minutes=7, step=70)
    assert await check(house, pg, payment, "parted") is Step.PAID


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as server:
        yield server


async def left_over(dsn: str) -> dict[str, int]:
    """Jobs that somebody holds, deliveries that somebody holds, deliveries that wait."""
    connection = await asyncpg.connect(dsn)
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM jobs WHERE status = 'picked') AS picked,"
        " (SELECT count(*) FROM webhook_deliveries WHERE leased_until > now()) AS leased,"
        " (SELECT count(*) FROM webhook_deliveries WHERE state = 'waiting') AS waiting"
    )
    await connection.close()
    return dict(row)


async def announce_paid(house: House, receiver: Receiver) -> None:
    merchant = await house.set_merchant(webhook_url=f"{receiver.url}/hook")
    payment = await house.open()
    async with house.gateway.store.begin() as session:
        await announce(session, merchant, at(payment, Step.PAID, 3))


@pytest.mark.fault("L1_CA")
@pytest.mark.promise("P4", "L4")
async def test_a_worker_told_to_go_books_what_it_sends_begins_nothing_and_holds_nothing(
    bed: Bed, receiver: Receiver
) -> None:
    go_on = asyncio.Event()

    async def slow(told: Told) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(text="OK")

    receiver.reply = slow
    await announce_paid(bed.house, receiver)
    async with naru("worker", bed.house.dsn, bed.home) as worker:
        await receiver.wait_for(1, 40)
        worker.send(signal.SIGTERM)
        async with asyncio.timeout(5):
            # Its connection for jobs goes last; so it is told, once it claims no more.
            await announce_paid(bed.house, receiver)
        worker.send(signal.SIGTERM)
        go_on.set()
        assert await within(STOP_SECONDS_MAX, worker.ends(STOP_SECONDS_MAX)) == 0
        assert "Traceback" not in worker.said()
    left = await left_over(bed.house.dsn)
    assert (left["picked"], left["leased"]) == (0, 0), "nobody has to wait for the end of a lease"
    assert len(receiver.told) + left["waiting"] == 2

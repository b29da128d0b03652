"""A webhook and the network: an answer of the database that is lost (D1), a parted line to the merchant and a
clock that jumps while it is sent (D2)."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from naru.domain.payment import Step
from naru.store import Store, StoreUnavailable
from naru.webhooks.deliver import Deliverer
from naru.wire import Wire
from tests.support.database_line import line_to
from tests.support.gateway import ROOT_KEY
from tests.support.house import make_merchant, make_payment
from tests.support.receiver import Receiver, Told
from tests.support.scale import often
from tests.webhooks.test_deliver import SECRET, laid, lay, look, make_due
from tests.webhooks.test_faults_deliver import delivered, lease_ends


@pytest.mark.fault("D1_LR")
@pytest.mark.promise("P4")
async def test_a_worker_that_never_heard_that_the_webhook_is_its_own_leaves_it_to_another(
    store: Store, receiver: Receiver, deliverer: Deliverer, database_url: str
) -> None:
    """The claim is one statement, done at the database; its answer is lost with the line."""
    warm, cold = await laid(store, receiver), await laid(store, receiver)
    async with line_to(database_url) as (line, near), Wire(allow_private=True, ports=None) as wire:
        far = await Store.open(near, 1, root_key=ROOT_KEY)
        cut_off = Deliverer(far, wire)
        await cut_off.deliver(warm)  # from now on a claim is one message
        assert len(receiver.told) == 1
        line.next_that_says(b"__asyncpg_stmt_", done=True)
        with pytest.raises(StoreUnavailable):
            await cut_off.deliver(cold)
        assert line.cuts == 1
        # It is leased to nobody who knows: neither this worker nor another sends it before its time.
        for each in (cut_off, deliverer):
            await each.deliver(cold)
        assert len(receiver.told) == 1
        await far.close()
    await lease_ends(database_url)
    await deliverer.deliver(cold)
    delivery, attempts = await look(store, cold)
    assert (delivery.state, len(attempts)) == ("delivered", 1)
    assert len(receiver.told) == 2


@pytest.mark.fault("D2_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_webhook_signed_by_a_clock_that_is_off_is_refused_and_told_again_by_a_true_one(
    store: Store, receiver: Receiver, another_clock: list[timedelta], database_url: str, hours: int
) -> None:
    """A merchant believes no signature that is an hour old or of tomorrow; nothing is lost by that."""
    verdicts: list[bool] = []

    async def verify(told: Told) -> web.StreamResponse:
        try:
            Webhook(SECRET).verify(told.body, told.headers)
        except WebhookVerificationError:
            verdicts.append(False)
            return web.Response(status=401)
        verdicts.append(True)
        return web.Response(text="OK")

    receiver.reply = verify
    delivery_id = await laid(store, receiver, webhook_secret=SECRET)
    async with Wire(allow_private=True, ports=None) as wire:
        worker = Deliverer(store, wire, now=lambda: datetime.now(UTC) + another_clock[0])
        another_clock[0] = timedelta(hours=hours)
        await worker.deliver(delivery_id)
        assert verdicts == [False], "the control: it was noticed"
        delivery, _ = await look(store, delivery_id)
        assert delivery.state == "waiting"
        assert delivery.next_at is not None
        assert abs(delivery.next_at - datetime.now(UTC)) < timedelta(minutes=2)
        another_clock[0] = timedelta()
        await make_due(database_url)
        await worker.deliver(delivery_id)
    assert verdicts == [False, True]
    await delivered(store, receiver, delivery_id, 2)


@pytest.fixture
def another_clock() -> list[timedelta]:
    """How far the worker's clock is ahead, in a list of one."""
    return [timedelta()]


@contextmanager
def parted() -> Iterator[socket.socket]:
    """An address where nobody answers a knock: no refusal, no connection."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield listener
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


HEALTHY = often(25, 1000)
PARTED = often(15, 90)


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


@pytest.mark.fault("D2_NP")
@pytest.mark.promise("L7")
async def test_a_merchant_that_cannot_be_reached_waits_alone_and_hears_all_of_it_later(
    store: Store, receiver: Receiver, database_url: str
) -> None:
    """The others' webhooks leave as fast as without it; when the network heals all arrive, in order."""
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")

    async def some(count: int) -> list[int]:
        return [
            await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
            for _ in range(count)
        ]

    with parted() as listener:
        port = listener.getsockname()[1]
        away = await make_merchant(store, webhook_url=f"http://127.0.0.1:{port}/hook")
        payments = [await make_payment(store, away) for _ in range(PARTED)]
        steps = ((Step.WAITING_DEPOSIT, 3), (Step.PAID, 4))
        unreachable = [
            await lay(store, away, payment, step, version)
            for payment in payments
            for step, version in steps
        ]
        async with Wire(allow_private=True, ports=None) as wire:
            worker = Deliverer(store, wire, chance=random.Random(1))

            async def told(delivery_id: int) -> float:
                began = time.monotonic()
                await worker.deliver(delivery_id)
                return time.monotonic() - began

            async def tell(ids: list[int]) -> float:
                took: list[float] = []
                for at in range(0, len(ids), 10):
                    took += await asyncio.gather(*(told(each) for each in ids[at : at + 10]))
                return p99(took)

            await tell(await some(10))
            alone = await tell(await some(HEALTHY))
            stuck = [asyncio.create_task(worker.deliver(each)) for each in unreachable]
            await asyncio.sleep(0.1)
            beside = await tell(await some(HEALTHY))
            assert not all(task.done() for task in stuck), "the control: they are still knocking"

            # The control: one lane for all of them.
            lane = asyncio.Semaphore(1)

            async def in_line(delivery_id: int) -> None:
                async with lane:
                    await worker.deliver(delivery_id)

            behind = await laid(store, receiver)
            await lease_ends(database_url)
            line = [asyncio.create_task(in_line(each)) for each in (unreachable[0], behind)]
            await asyncio.wait(line, timeout=1)
            assert not line[1].done(), "who stands behind it is late"
            for task in (*stuck, *line):
                task.cancel()
            await asyncio.gather(*stuck, *line, return_exceptions=True)
        print(
            f"p99 of {HEALTHY} webhooks: {alone * 1000:.0f} ms, beside {PARTED} unreachable ones"
            f" {beside * 1000:.0f} ms"
        )
        assert beside < alone * 1.1 + 0.25
        assert (
            sum(json.loads(each.body)["status"] == "paid" for each in receiver.told) >= 2 * HEALTHY
        )

        # The network heals.
        heard: list[str] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
            found = dict(each.split(": ", 1) for each in head[1:] if each)
            await reader.readexactly(int(found["content-length"]))
            heard.append(found["webhook-id"])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
            writer.close()

        server = await asyncio.start_server(hear, sock=listener)
        await lease_ends(database_url)
        await make_due(database_url)
        async with Wire(allow_private=True, ports=None) as wire:
            worker = Deliverer(store, wire)
            for each in unreachable:
                await worker.deliver(each)
        server.close()
    found = [await look(store, each) for each in unreachable]
    assert {delivery.state for delivery, _ in found} == {"delivered"}
    assert heard == [delivery.webhook_id.lower() for delivery, _ in found]

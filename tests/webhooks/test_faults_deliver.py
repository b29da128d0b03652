"""A webhook under faults: rows D1 (taken), D2 (posted) and D3 (booked) of the matrix.

At least once with one id, first deliveries in order, whatever dies in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from aiohttp import web

from naru.domain.payment import Step
from naru.domain.points import listen
from naru.store import Store, StoreUnavailable
from naru.webhooks.deliver import Deliverer
from naru.wire import Wire
from tests.support.database_away import database_away
from tests.support.database_line import line_to
from tests.support.dying import dying
from tests.support.gateway import ROOT_KEY
from tests.support.house import make_merchant, make_payment
from tests.support.receiver import Receiver, Told
from tests.webhooks.test_deliver import laid, lay, look, make_due


@pytest.fixture
async def another(store: Store) -> AsyncIterator[Deliverer]:
    """The other worker: it shares the database with the first, and nothing else."""
    async with Wire(allow_private=True, ports=None) as wire:
        yield Deliverer(store, wire)


async def lease_ends(database_url: str) -> None:
    """Let the lease of whoever held one be over, as if its time had passed."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE webhook_deliveries SET leased_until = now()")
    await connection.close()


async def delivered(store: Store, receiver: Receiver, delivery_id: int, times: int) -> None:
    """Delivered, having been told so often under one id, and nobody sends it again."""
    delivery, _ = await look(store, delivery_id)
    assert delivery.state == "delivered"
    assert len(receiver.told) == times
    assert {told.headers["webhook-id"] for told in receiver.told} == {delivery.webhook_id}
    assert len({told.body for told in receiver.told}) == 1


@pytest.mark.fault("D1_CB")
async def test_a_worker_that_died_before_it_took_a_webhook_leaves_it_to_another(
    store: Store, receiver: Receiver, deliverer: Deliverer, another: Deliverer
) -> None:
    delivery_id = await laid(store, receiver)
    with dying("webhook.before_claim"):
        await deliverer.deliver(delivery_id)
    await another.deliver(delivery_id)
    await delivered(store, receiver, delivery_id, 1)


@pytest.mark.fault("D1_CA", "D2_CB")
@pytest.mark.promise("P4")
async def test_a_worker_that_died_before_it_sent_is_followed_when_its_lease_ends(
    store: Store,
    receiver: Receiver,
    deliverer: Deliverer,
    another: Deliverer,
    database_url: str,
) -> None:
    delivery_id = await laid(store, receiver)
    with dying("webhook.after_claim"):
        await deliverer.deliver(delivery_id)
    await another.deliver(delivery_id)
    assert receiver.told == [], "its lease stands"
    await lease_ends(database_url)
    await another.deliver(delivery_id)
    await delivered(store, receiver, delivery_id, 1)


@pytest.mark.fault("D2_CA", "D3_CB")
@pytest.mark.promise("P4")
@pytest.mark.parametrize("status", [200, 500])
async def test_a_worker_that_died_before_it_booked_sends_again_under_the_same_id(
    store: Store,
    receiver: Receiver,
    deliverer: Deliverer,
    another: Deliverer,
    database_url: str,
    status: int,
) -> None:
    receiver.answers = [status]
    delivery_id = await laid(store, receiver)
    with dying("webhook.after_send"):
        await deliverer.deliver(delivery_id)
    await lease_ends(database_url)
    await another.deliver(delivery_id)
    await delivered(store, receiver, delivery_id, 2)


@pytest.mark.fault("D3_CA")
@pytest.mark.parametrize("status", [200, 500])
async def test_a_worker_that_died_after_it_booked_left_nothing_to_do(
    store: Store,
    receiver: Receiver,
    deliverer: Deliverer,
    another: Deliverer,
    database_url: str,
    status: int,
) -> None:
    receiver.answers = [status]
    delivery_id = await laid(store, receiver)
    with dying("webhook.after_book"):
        await deliverer.deliver(delivery_id)
    await lease_ends(database_url)
    await another.deliver(delivery_id)
    assert len(receiver.told) == 1, "delivered, or not yet due again"
    await make_due(database_url)
    await another.deliver(delivery_id)
    await delivered(store, receiver, delivery_id, 1 if status == 200 else 2)


@asynccontextmanager
async def hears_and_hangs_up() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads a webhook and closes the line without a word."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"}"))
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", heard
    finally:
        server.close()


@pytest.mark.fault("D2_LR")
@pytest.mark.promise("P4")
async def test_a_merchant_whose_answer_was_lost_hears_it_again_under_the_same_id(
    store: Store, deliverer: Deliverer, database_url: str
) -> None:
    async with hears_and_hangs_up() as (url, heard):
        merchant = await make_merchant(store, webhook_url=url)
        delivery_id = await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
        for _ in range(3):
            await deliverer.deliver(delivery_id)
            await make_due(database_url)
    delivery, attempts = await look(store, delivery_id)
    assert (delivery.state, delivery.attempts) == ("waiting", 3)
    assert [(attempt.error or "").partition(":")[0] for attempt in attempts] == ["no answer"] * 3
    assert len(heard) == 3
    assert all(delivery.webhook_id.encode() in each for each in heard)


@pytest.mark.fault("D1_DU", "D2_DU", "D3_DU")
async def test_sixty_four_jobs_of_two_workers_for_one_webhook_send_and_book_it_once(
    store: Store, receiver: Receiver, deliverer: Deliverer, another: Deliverer
) -> None:
    delivery_id = await laid(store, receiver)
    await asyncio.gather(
        *(each.deliver(delivery_id) for each in (deliverer, another) for _ in range(32))
    )
    await delivered(store, receiver, delivery_id, 1)
    assert len((await look(store, delivery_id))[1]) == 1


@pytest.mark.fault("D1_RO")
async def test_jobs_that_come_in_the_wrong_order_send_in_the_right_one(
    store: Store, receiver: Receiver, deliverer: Deliverer, another: Deliverer
) -> None:
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")
    payment = await make_payment(store, merchant)
    steps = ((Step.WAITING_DEPOSIT, 3), (Step.PAID, 4))
    ids = [await lay(store, merchant, payment, step, version) for step, version in steps]
    for _ in range(3):
        for delivery_id, worker in zip(reversed(ids), (deliverer, another), strict=True):
            await worker.deliver(delivery_id)
    assert [told.headers["naru-sequence"] for told in receiver.told] == ["3", "4"]


@pytest.mark.fault("D1_SL", "D2_SL", "D3_SL", "D3_RO")
@pytest.mark.promise("P4")
async def test_a_worker_that_slept_while_it_sent_takes_nothing_back(
    store: Store,
    receiver: Receiver,
    deliverer: Deliverer,
    another: Deliverer,
    database_url: str,
) -> None:
    """Its lease ends, another sends again and the next one after it; then its own failure arrives."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def first_is_slow(told: Told) -> web.StreamResponse:
        if len(receiver.told) == 1:
            asked.set()
            await go_on.wait()
            return web.Response(status=500)
        return web.Response(text="OK")

    receiver.reply = first_is_slow
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")
    payment = await make_payment(store, merchant)
    ready = await lay(store, merchant, payment, Step.WAITING_DEPOSIT, 3)
    paid = await lay(store, merchant, payment, Step.PAID, 4)
    sleeper = asyncio.ensure_future(deliverer.deliver(ready))
    await asked.wait()
    await lease_ends(database_url)
    await another.deliver(ready)
    await another.deliver(paid)
    go_on.set()
    await sleeper
    for delivery_id in (ready, paid):
        assert (await look(store, delivery_id))[0].state == "delivered"
    assert [told.headers["naru-sequence"] for told in receiver.told] == ["3", "3", "4"]


@pytest.mark.fault("D1_DB", "D1_NP", "D1_DF", "D2_DB", "D2_DF", "D3_DB", "D3_DF", "D3_NP")
async def test_a_webhook_that_is_answered_while_the_database_is_away_is_sent_again(
    store: Store,
    receiver: Receiver,
    deliverer: Deliverer,
    another: Deliverer,
    database_url: str,
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(told: Told) -> web.StreamResponse:
        asked.set()
        await go_on.wait()
        return web.Response(text="OK")

    receiver.reply = slow
    delivery_id = await laid(store, receiver)
    sending = asyncio.ensure_future(deliverer.deliver(delivery_id))
    await asked.wait()
    async with database_away(database_url):
        with pytest.raises(StoreUnavailable):
            await another.deliver(delivery_id)
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await sending
    await lease_ends(database_url)
    await another.deliver(delivery_id)
    await delivered(store, receiver, delivery_id, 2)


@pytest.mark.fault("D3_LR")
@pytest.mark.parametrize("done", [False, True])
async def test_a_failure_whose_commit_nobody_heard_of_is_tried_again_by_its_ladder(
    store: Store, receiver: Receiver, another: Deliverer, database_url: str, done: bool
) -> None:
    receiver.answers = [500]
    delivery_id = await laid(store, receiver)
    async with line_to(database_url) as (line, near):
        far = await Store.open(near, 2, root_key=ROOT_KEY)
        async with Wire(allow_private=True, ports=None) as wire:
            line.next_commit(done=done)
            with pytest.raises(StoreUnavailable):
                await Deliverer(far, wire).deliver(delivery_id)
        assert line.cuts == 1
        await far.close()
    assert (await look(store, delivery_id))[0].attempts == (1 if done else 0)
    await lease_ends(database_url)
    await make_due(database_url)
    await another.deliver(delivery_id)
    await delivered(store, receiver, delivery_id, 2)


@pytest.mark.fault("D1_CJ", "D3_CJ")
@pytest.mark.parametrize("point", ["webhook.after_claim", "webhook.after_send"])
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_while_a_webhook_leaves_moves_no_lease_and_no_rung(
    store: Store, receiver: Receiver, another: Deliverer, database_url: str, point: str, hours: int
) -> None:
    """Leases and rungs are the database's time, so the other worker neither waits nor hurries."""
    ahead = timedelta()

    def jump(reached: str) -> None:
        nonlocal ahead
        if reached == point:
            ahead = timedelta(hours=hours)

    receiver.answers = [500]
    delivery_id = await laid(store, receiver)
    async with Wire(allow_private=True, ports=None) as wire:
        listen(jump)
        try:
            await Deliverer(store, wire, now=lambda: datetime.now(UTC) + ahead).deliver(delivery_id)
        finally:
            listen(None)
    assert ahead, "the control: it jumped"
    delivery, _ = await look(store, delivery_id)
    assert delivery.next_at is not None
    assert abs(delivery.next_at - datetime.now(UTC)) < timedelta(minutes=2)
    await another.deliver(delivery_id)
    assert len(receiver.told) == 1, "not yet due"
    await make_due(database_url)
    await another.deliver(delivery_id)
    await delivered(store, receiver, delivery_id, 2)

"""Sending, order, retries and what is kept, for naru/webhooks/deliver.py."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from naru.domain.merchant import Merchant
from naru.domain.payment import Payment, Step
from naru.domain.task import TaskKind
from naru.store import Store
from naru.store.outbox import Attempt, Delivery
from naru.webhooks.announce import announce
from naru.webhooks.deliver import LEASE, Deliverer, resend, scrub
from naru.wire import Wire
from tests.support.house import at, make_merchant, make_payment
from tests.support.receiver import Receiver, Told

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def lay(store: Store, merchant: Merchant, payment: Payment, step: Step, version: int) -> int:
    """Announce one change; answers the delivery's id."""
    async with store.begin() as session:
        await announce(session, merchant, at(payment, step, version))
        newest, *_ = await session.outbox.of_merchant(merchant.id)
        return newest.id


async def laid(store: Store, receiver: Receiver, **settings: object) -> int:
    """A paid payment's delivery to the receiver."""
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook", **settings)
    return await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)


async def look(store: Store, delivery_id: int) -> tuple[Delivery, list[Attempt]]:
    async with store.direct() as session:
        delivery = await session.outbox.get(delivery_id)
        assert delivery is not None
        return delivery, await session.outbox.attempts_of(delivery_id)


async def open_tasks(store: Store, delivery_id: int) -> list[TaskKind]:
    """What lies before a person about this webhook."""
    delivery, _ = await look(store, delivery_id)
    async with store.direct() as session:
        tasks = await session.tasks.of_payment(delivery.imp_uid)
    return [
        task.kind for task in tasks if task.subject == str(delivery_id) and task.closed_at is None
    ]


async def make_due(database_url: str) -> None:
    """Let the waiting be over, as if its time had passed."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE webhook_deliveries SET next_at = now()")
    await connection.close()


async def test_a_delivery_is_the_v1_body_signed_and_kept(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    delivery_id = await laid(store, receiver, webhook_secret=SECRET)
    await deliverer.deliver(delivery_id)
    [told] = receiver.told
    assert told.headers["Content-Type"] == "application/json"
    assert Webhook(SECRET).verify(told.body, told.headers)["status"] == "paid"
    delivery, [attempt] = await look(store, delivery_id)
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    assert told.body == delivery.body
    assert told.headers["webhook-id"] == delivery.webhook_id
    assert told.headers["naru-sequence"] == "3"
    assert (attempt.answer_status, attempt.answer_body, attempt.error) == (200, "OK", None)
    assert attempt.request_headers["webhook-signature"] == told.headers["webhook-signature"]
    assert SECRET not in repr(delivery)


@pytest.mark.fault("D1_DU")
@pytest.mark.promise("P4")
async def test_a_job_that_runs_again_sends_nothing_more(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    delivery_id = await laid(store, receiver)
    await asyncio.gather(*(deliverer.deliver(delivery_id) for _ in range(64)))
    assert len(receiver.told) == 1


@pytest.mark.promise("P4")
async def test_a_failure_waits_for_its_rung_with_the_same_id(
    store: Store, receiver: Receiver, deliverer: Deliverer, database_url: str
) -> None:
    receiver.answers = [500, 404, 302]
    delivery_id = await laid(store, receiver)
    for _ in range(4):
        await deliverer.deliver(delivery_id)
        await deliverer.deliver(delivery_id)  # before its time: nothing happens
        await make_due(database_url)
    assert len({told.headers["webhook-id"] for told in receiver.told}) == 1
    delivery, attempts = await look(store, delivery_id)
    assert [attempt.answer_status for attempt in attempts] == [500, 404, 302, 200]
    assert (delivery.state, delivery.attempts) == ("delivered", 4)


async def test_the_next_try_is_asked_for_in_the_same_transaction(
    store: Store, receiver: Receiver, deliverer: Deliverer, database_url: str
) -> None:
    receiver.then = 503
    delivery_id = await laid(store, receiver, webhook_mode="v1")
    await deliverer.deliver(delivery_id)
    connection = await asyncpg.connect(database_url)
    waiting = await connection.fetchval(
        "SELECT count(*) FROM jobs j, webhook_deliveries d"
        " WHERE d.id = $1 AND convert_from(j.payload, 'UTF8') = $1::text"
        " AND j.execute_after = d.next_at AND d.next_at - now() BETWEEN '50 s' AND '60 s'",
        delivery_id,
    )
    await connection.close()
    assert waiting == 1


@pytest.mark.promise("L2")
@pytest.mark.parametrize(("mode", "attempts"), [("once", 1), ("v1", 6), ("ladder", 10)])
async def test_at_the_end_of_its_ladder_a_webhook_is_parked(
    store: Store,
    receiver: Receiver,
    deliverer: Deliverer,
    database_url: str,
    mode: str,
    attempts: int,
) -> None:
    receiver.then = 500
    delivery_id = await laid(store, receiver, webhook_mode=mode)
    for _ in range(12):
        assert await open_tasks(store, delivery_id) == (
            [TaskKind.WEBHOOK_PARKED] if len(receiver.told) == attempts else []
        ), f"after {len(receiver.told)} attempts"
        await deliverer.deliver(delivery_id)
        await make_due(database_url)
    assert len(receiver.told) == attempts
    delivery, _ = await look(store, delivery_id)
    assert delivery.state == "parked"

    # Whoever sends it again with success has ended what people were told of.
    receiver.then = 200
    assert await resend(store, delivery_id, delivery.merchant_id)
    await deliverer.deliver(delivery_id)
    assert await open_tasks(store, delivery_id) == []


@pytest.mark.fault("D2_WD")
async def test_410_parks_at_once(store: Store, receiver: Receiver, deliverer: Deliverer) -> None:
    receiver.then = 410
    delivery_id = await laid(store, receiver)
    await deliverer.deliver(delivery_id)
    assert (await look(store, delivery_id))[0].state == "parked"


@pytest.mark.fault("D2_WD")
async def test_a_redirect_is_a_failure_and_is_not_followed(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    receiver.then = 302
    delivery_id = await laid(store, receiver)
    await deliverer.deliver(delivery_id)
    assert [told.path for told in receiver.told] == ["/hook"]
    assert (await look(store, delivery_id))[0].state == "waiting"


@pytest.mark.fault("D2_LQ")
async def test_a_server_that_is_down_is_kept_as_not_sent(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    merchant = await make_merchant(store, webhook_url="http://127.0.0.1:1/hook?token=hush")
    delivery_id = await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
    await deliverer.deliver(delivery_id)
    delivery, [attempt] = await look(store, delivery_id)
    assert delivery.state == "waiting"
    assert attempt.error is not None
    assert attempt.error.startswith("not sent: no connection")
    assert "hush" not in attempt.error


async def test_a_guarded_wire_refuses_a_private_address_and_says_so(
    store: Store, receiver: Receiver
) -> None:
    delivery_id = await laid(store, receiver)
    async with Wire(ports=None) as guarded:
        await Deliverer(store, guarded).deliver(delivery_id)
    assert receiver.told == []
    _, [attempt] = await look(store, delivery_id)
    assert attempt.error == "not sent: the address lies in a forbidden network"


async def test_a_secret_that_cannot_be_read_is_a_failure_with_a_reason(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    delivery_id = await laid(store, receiver, webhook_secret="whsec_ä")
    await deliverer.deliver(delivery_id)
    assert receiver.told == []
    _, [attempt] = await look(store, delivery_id)
    assert attempt.error == "not sent: the merchant's webhook secret cannot be read"


@pytest.mark.fault("D2_RO")
@pytest.mark.promise("P4")
async def test_first_tries_keep_the_order_of_the_payments_changes(
    store: Store, receiver: Receiver, deliverer: Deliverer, database_url: str
) -> None:
    """n+1 waits until n is delivered, however often it is asked for; then it is woken."""
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")
    payment = await make_payment(store, merchant)
    ready = await lay(store, merchant, payment, Step.WAITING_DEPOSIT, 3)
    paid = await lay(store, merchant, payment, Step.PAID, 4)
    receiver.answers = [500]
    await deliverer.deliver(paid)
    await deliverer.deliver(ready)
    await deliverer.deliver(paid)
    assert [told.headers["naru-sequence"] for told in receiver.told] == ["3"]
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM jobs")
    await make_due(database_url)
    await deliverer.deliver(ready)
    woken = await connection.fetch("SELECT convert_from(payload, 'UTF8') AS id FROM jobs")
    await connection.close()
    assert [row["id"] for row in woken] == [str(paid)]
    await deliverer.deliver(paid)
    assert [told.headers["naru-sequence"] for told in receiver.told] == ["3", "3", "4"]


async def test_a_parked_webhook_lets_the_following_one_go(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook", webhook_mode="once")
    payment = await make_payment(store, merchant)
    ready = await lay(store, merchant, payment, Step.WAITING_DEPOSIT, 3)
    paid = await lay(store, merchant, payment, Step.PAID, 4)
    receiver.answers = [500]
    await deliverer.deliver(ready)
    await deliverer.deliver(paid)
    assert (await look(store, paid))[0].state == "delivered"


async def test_one_payments_dead_address_does_not_hold_up_its_other_address(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    merchant = await make_merchant(store)
    payment = await make_payment(
        store, merchant, webhook_urls=("http://127.0.0.1:1/", f"{receiver.url}/hook")
    )
    for version, step in ((3, Step.WAITING_DEPOSIT), (4, Step.PAID)):
        await lay(store, merchant, payment, step, version)
    async with store.direct() as session:
        everything = await session.outbox.of_merchant(merchant.id)
    for delivery in reversed(everything):
        await deliverer.deliver(delivery.id)
    assert [told.headers["naru-sequence"] for told in receiver.told] == ["3", "4"]


@pytest.mark.fault("D1_SL", "D3_SL")
async def test_a_sender_that_slept_past_its_lease_cannot_undo_what_another_decided(
    store: Store, receiver: Receiver, deliverer: Deliverer, database_url: str
) -> None:
    delivery_id = await laid(store, receiver)
    async with store.direct() as session:
        sleeper = await session.outbox.claim(delivery_id, LEASE)
        assert sleeper is not None
        assert await session.outbox.claim(delivery_id, LEASE) is None, "one lease at a time"
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE webhook_deliveries SET leased_until = now()")
    await connection.close()
    await deliverer.deliver(delivery_id)
    delivered, [attempt] = await look(store, delivery_id)
    assert delivered.state == "delivered"
    async with store.direct() as session:
        assert not await session.outbox.renew(sleeper, LEASE)
        await session.outbox.failed(
            sleeper, replace(attempt, answer_status=None, answer_body=None, error="late"), None
        )
    delivery, attempts = await look(store, delivery_id)
    assert (delivery.state, len(attempts)) == ("delivered", 2), "kept, but it decides nothing"


async def test_a_resent_webhook_has_the_same_body_and_id_and_the_original_address(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    delivery_id = await laid(store, receiver)
    await deliverer.deliver(delivery_id)
    first, _ = await look(store, delivery_id)
    async with store.begin() as session:
        merchant = await session.merchants.get(first.merchant_id)
        assert merchant is not None
        await session.merchants.change(replace(merchant, webhook_url="http://127.0.0.1:1/"))
    assert await resend(store, delivery_id, merchant.id)
    await deliverer.deliver(delivery_id)
    one, two = receiver.told
    assert (one.body, one.path, one.headers["webhook-id"]) == (
        two.body,
        two.path,
        two.headers["webhook-id"],
    )


async def test_nobody_resends_what_is_not_there_or_not_theirs(
    store: Store, receiver: Receiver
) -> None:
    delivery_id = await laid(store, receiver)
    assert not await resend(store, 10**15)
    assert not await resend(store, delivery_id, 10**15)


@pytest.mark.promise("L7")
async def test_an_ill_address_gets_two_attempts_at_a_time_and_no_more(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    """So that a dead server of one merchant cannot fill all places of the worker."""
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")
    at_once = most = 0
    answer = asyncio.Event()
    receiver.then = 500
    for _ in range(3):
        await deliverer.deliver(
            await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
        )

    async def slow(told: Told) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await answer.wait()
        at_once -= 1
        return web.Response(status=500)

    receiver.reply = slow
    ids = [
        await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
        for _ in range(12)
    ]
    running = {asyncio.create_task(deliverer.deliver(each)) for each in ids}
    # Two stay with the ill address; all the others are put off at once.
    while len(running) > 2:
        ended, running = await asyncio.wait(
            running, timeout=20, return_when=asyncio.FIRST_COMPLETED
        )
        assert ended
    answer.set()
    await asyncio.gather(*running)
    assert most == 2
    states = [(await look(store, each)) for each in ids]
    assert sum(len(attempts) for _, attempts in states) == 2
    assert all(delivery.state == "waiting" for delivery, _ in states)


async def test_one_webhook_that_fails_among_many_that_do_not_keeps_to_its_ladder(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    """Ten attempts are meant to last for days, however much else succeeds at that address."""
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")
    receiver.answers = [503]
    failing = await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
    await deliverer.deliver(failing)
    before, _ = await look(store, failing)
    for _ in range(12):
        other = await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
        await deliverer.deliver(other)
        await deliverer.deliver(failing)

    after, attempts = await look(store, failing)
    assert (after.attempts, after.next_at, len(attempts)) == (1, before.next_at, 1)


async def test_a_try_that_is_brought_forward_uses_no_rung(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")
    receiver.then = 503
    delivery_id = await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
    await deliverer.deliver(delivery_id)
    before, _ = await look(store, delivery_id)
    async with store.direct() as session:
        assert await session.outbox.hasten(before) == [delivery_id]
    await deliverer.deliver(delivery_id)

    after, attempts = await look(store, delivery_id)
    assert len(attempts) == 2
    assert after.attempts == before.attempts == 1
    assert abs((after.next_at - before.next_at).total_seconds()) < 2


async def test_an_address_that_refuses_some_webhooks_is_not_ill(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    """A shop answers 400 to what is not its order; its next order must not wait for that."""
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")
    receiver.then = 400
    ids = [
        await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
        for _ in range(8)
    ]
    await asyncio.gather(*(deliverer.deliver(each) for each in ids))

    attempts = [len((await look(store, each))[1]) for each in ids]
    assert attempts == [1] * 8


@pytest.mark.promise("L2", "L7")
async def test_when_an_address_answers_again_its_whole_line_becomes_due(
    store: Store, receiver: Receiver, deliverer: Deliverer, database_url: str
) -> None:
    merchant = await make_merchant(store, webhook_url=f"{receiver.url}/hook")
    receiver.answers = [500, 500, 500]
    ids = [
        await lay(store, merchant, await make_payment(store, merchant), Step.PAID, 3)
        for _ in range(3)
    ]
    for each in ids:
        await deliverer.deliver(each)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE webhook_deliveries SET next_at = now() + '20 hours'")
    await connection.execute("UPDATE webhook_deliveries SET next_at = now() WHERE id = $1", ids[0])
    await deliverer.deliver(ids[0])
    due = await connection.fetchval(
        "SELECT next_at <= now() FROM webhook_deliveries WHERE id = $1", ids[1]
    )
    await connection.close()
    assert due


@pytest.mark.promise("L2")
async def test_a_silent_address_is_probed_before_its_rung_but_not_all_the_time(
    store: Store, receiver: Receiver, deliverer: Deliverer, database_url: str
) -> None:
    delivery_id = await laid(store, receiver)
    receiver.then = 500
    await deliverer.deliver(delivery_id)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE webhook_deliveries SET next_at = now() + '20 hours'")
    await connection.close()
    async with store.direct() as session:
        assert await session.outbox.probe(timedelta(minutes=4)) == []
        assert delivery_id in await session.outbox.probe(timedelta(0))


def test_an_answer_is_kept_readable_and_without_long_numbers() -> None:
    assert scrub(b"fine\x00\x1b[31m \xff") == "fine[31m \ufffd"
    assert scrub(b"card 4092-0230-1234-1234 order 12345678") == "card [number] order 12345678"
    assert len(scrub(b"x" * 5000)) == 1024

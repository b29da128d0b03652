"""Which changes earn a webhook and where it goes, for naru/webhooks/announce.py."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import asyncpg
import pytest

from naru.domain.money import Money
from naru.domain.payment import Cancellation, Step
from naru.store import Store
from naru.store.outbox import Delivery
from naru.webhooks.announce import announce
from tests.support.house import at, make_merchant, make_payment

URL = "https://shop.example/hook"
GIVEN_BACK = Cancellation("c1", Money(4), "변심", "tid", datetime.now(UTC))


async def laid(store: Store, merchant_id: int) -> list[Delivery]:
    async with store.direct() as session:
        return list(reversed(await session.outbox.of_merchant(merchant_id)))


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (Step.PAID, "paid"),
        (Step.WAITING_DEPOSIT, "ready"),
        (Step.FAILED, None),
        (Step.OPENED, None),
        (Step.APPROVING, None),
    ],
)
async def test_success_and_an_issued_account_are_announced_and_failure_is_not(
    store: Store, step: Step, status: str | None
) -> None:
    merchant = await make_merchant(store, webhook_url=URL)
    payment = await make_payment(store, merchant)
    async with store.begin() as session:
        count = await announce(session, merchant, at(payment, step, 3))
    found = await laid(store, merchant.id)
    assert [row.status for row in found] == ([status] if status else [])
    assert count == len(found)
    for row in found:
        assert json.loads(row.body) == {
            "imp_uid": payment.imp_uid,
            "merchant_uid": payment.merchant_uid,
            "status": status,
        }


@pytest.mark.parametrize("step", [Step.PAID, Step.CANCELLED])
@pytest.mark.parametrize("asked", [True, False])
async def test_money_given_back_is_announced_only_when_the_merchant_asks(
    store: Store, step: Step, asked: bool
) -> None:
    merchant = await make_merchant(store, webhook_url=URL)
    payment = at(await make_payment(store, merchant), step, 4)
    async with store.begin() as session:
        await announce(session, merchant, payment, cancellation=GIVEN_BACK, enable_webhook=asked)
    found = await laid(store, merchant.id)
    assert [(row.status, row.cancellation_id) for row in found] == (
        [("cancelled", "c1")] if asked else []
    )


async def test_without_an_address_nothing_is_laid(store: Store) -> None:
    merchant = await make_merchant(store)
    payment = await make_payment(store, merchant)
    async with store.begin() as session:
        assert await announce(session, merchant, at(payment, Step.PAID, 3)) == 0


async def test_the_payments_own_addresses_replace_the_merchants_one(store: Store) -> None:
    merchant = await make_merchant(store, webhook_url=URL)
    urls = ("https://a.example/", "https://b.example/", "https://a.example/")
    payment = await make_payment(store, merchant, webhook_urls=urls)
    async with store.begin() as session:
        await announce(session, merchant, at(payment, Step.PAID, 3))
    found = await laid(store, merchant.id)
    assert [row.url for row in found] == ["https://a.example/", "https://b.example/"]
    assert len({row.webhook_id for row in found}) == 2


async def test_the_same_change_is_announced_once(store: Store) -> None:
    merchant = await make_merchant(store, webhook_url=URL)
    payment = at(await make_payment(store, merchant), Step.PAID, 3)
    async with store.begin() as session:
        await announce(session, merchant, payment)
    async with store.begin() as session:
        assert await announce(session, merchant, payment) == 0
    assert len(await laid(store, merchant.id)) == 1


async def test_a_change_that_is_rolled_back_is_not_announced(
    store: Store, database_url: str
) -> None:
    merchant = await make_merchant(store, webhook_url=URL)
    payment = at(await make_payment(store, merchant), Step.PAID, 3)
    connection = await asyncpg.connect(database_url)
    jobs_before = await connection.fetchval("SELECT count(*) FROM jobs")

    async def announce_and_stumble() -> None:
        async with store.begin() as session:
            assert await announce(session, merchant, payment) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await announce_and_stumble()
    assert await laid(store, merchant.id) == []
    assert await connection.fetchval("SELECT count(*) FROM jobs") == jobs_before
    await connection.close()


async def test_the_merchants_format_and_mode_are_kept_with_the_delivery(store: Store) -> None:
    merchant = await make_merchant(store, webhook_url=URL, webhook_format="form", webhook_mode="v1")
    payment = at(await make_payment(store, merchant), Step.PAID, 3)
    async with store.begin() as session:
        await announce(session, merchant, payment)
    [row] = await laid(store, merchant.id)
    assert (row.content_type, row.mode) == ("application/x-www-form-urlencoded", "v1")


async def test_an_address_of_any_length_never_fails_the_payment(store: Store) -> None:
    """What is announced shares the payment's transaction: it must always be possible to lay it."""
    merchant = await make_merchant(store)
    noise = random.Random(1)
    urls = tuple(
        "https://shop.example/" + "".join(noise.choices(letters, k=9000))
        for letters in ("abcdefghijklmnopqrstuvwxyz0123456789", "가나다라마바사아자차카타파하")
    )
    payment = await make_payment(store, merchant, webhook_urls=urls)
    async with store.begin() as session:
        assert await announce(session, merchant, at(payment, Step.PAID, 3)) == 2
    assert [row.url for row in await laid(store, merchant.id)] == list(urls)

"""Which changes earn a webhook and where it goes, for naru/webhooks/announce.py."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import asyncpg
import pytest

from naru.domain.money import Money
from naru.domain.outcome import EscrowChanged
from naru.domain.payment import Cancellation, Status, Step
from naru.store import Store
from naru.store.outbox import Delivery
from naru.webhooks.announce import announce, announce_escrow
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


@pytest.mark.parametrize("written", ["json", "form"])
async def test_what_became_of_escrowed_goods_is_told_once_for_each_notice_of_kg_inicis(
    store: Store, written: str
) -> None:
    merchant = await make_merchant(store, webhook_url=URL, webhook_format=written)
    payment = at(await make_payment(store, merchant), Step.PAID, 3)
    inicis = replace(payment, pg_code="html5_inicis")
    when = datetime.fromtimestamp(112_312_323, UTC)
    shipped = EscrowChanged("n1", payment.pg_order_no, "tid", "2", when)
    rejected = EscrowChanged("n2", payment.pg_order_no, "tid", "4", when, "구매 거절 사유")
    for about, told, laid_then in [
        (payment, shipped, 0),  # what other PGs are announced as, nobody knows
        (inicis, shipped, 1),
        (inicis, shipped, 0),
        (replace(inicis, version=4), shipped, 0),  # whatever the payment's version is by now
        (inicis, rejected, 1),
    ]:
        async with store.begin() as session:
            assert (
                await announce_escrow(session, merchant, about, Status.PAID, told) == laid_then
            ), told
    names = {"imp_uid": payment.imp_uid, "merchant_uid": payment.merchant_uid, "status": "paid"}
    event, extra = {"event": "Inicis.Escrow.Changed"}, {"changed_at": 112_312_323}
    wanted = [
        {"escrow_status": "2", **extra},
        {"escrow_status": "4", **extra, "denied_reason": "구매 거절 사유"},
    ]
    found = await laid(store, merchant.id)
    if written == "json":
        said = [json.loads(row.body) for row in found]
        assert said == [event | names | {"extra": each} for each in wanted]
    else:
        in_form = [{f"extra[{name}]": str(value) for name, value in e.items()} for e in wanted]
        forms = [dict(parse_qsl(row.body.decode())) for row in found]
        assert forms == [event | names | each for each in in_form]


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

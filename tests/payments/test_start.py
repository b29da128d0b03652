"""Opening a payment, for naru/payments/start.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from naru.domain.errors import (
    AlreadyClaimed,
    BadAmount,
    BadRequest,
    PgRefused,
    Refused,
    TestChannelRefused,
)
from naru.domain.ids import ImpUid, RandomIds, hash_secret
from naru.domain.money import Money
from naru.domain.payment import Buyer, Step, Surface
from naru.domain.window import Redirect
from naru.payments.abandon import abandon
from naru.payments.start import enter_window, start
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg


async def test_a_window_is_known_by_its_secret_and_only_the_hash_is_kept(house: House) -> None:
    payment, secret = await start(house.gateway, house.opening())
    async with house.gateway.store.direct() as session:
        found = await session.payments.get_by_window(payment.imp_uid, hash_secret(secret))
        other = await session.payments.get_by_window(payment.imp_uid, hash_secret("other"))
    assert found == payment
    assert other is None
    assert payment.imp_uid.startswith("imp_")
    api, _ = await start(house.gateway, house.opening(surface=Surface.API))
    assert api.imp_uid.startswith("imps_")


class StubbornIds(RandomIds):
    """Gives the same imp_uid three times before it thinks of another one."""

    def __init__(self) -> None:
        self.left = 3

    def imp_uid(self) -> ImpUid:
        self.left -= 1
        return ImpUid("imp_777777777777") if self.left >= 0 else super().imp_uid()


async def test_a_name_that_is_taken_is_tried_again(house: House) -> None:
    house.gateway.ids = StubbornIds()
    first, second = await house.open(), await house.open()
    assert first.imp_uid == "imp_777777777777"
    assert second.imp_uid != first.imp_uid


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\udfff end"])
async def test_words_that_cannot_be_kept_are_refused_by_their_name(house: House, text: str) -> None:
    wrong: list[dict[str, Any]] = [
        {"name": text},
        {"custom_data": text},
        {"user_agent": text},
        {"buyer": Buyer(addr=text)},
        {"return_url": text},
        {"webhook_urls": (text,)},
        {"request": {"display": {"card_quota": [text]}}},
        {"request": {text: 1}},
        {"merchant_uid": text},
    ]
    for given in wrong:
        with pytest.raises(BadRequest):
            await start(house.gateway, house.opening(**given))


async def test_amounts_that_are_none_are_refused_and_nothing_is_written(house: House) -> None:
    wrong: list[tuple[int, dict[str, Any]]] = [
        (0, {}),
        (1000, {"tax_free": Money(1001)}),
        (1000, {"tax_free": Money(600), "vat": Money(401)}),
        (1000, {"request": {"vbank_due": "yesterday"}}),
    ]
    for amount, given in wrong:
        with pytest.raises(Refused):
            await start(house.gateway, house.opening(amount, **given))
    with pytest.raises(BadAmount):
        await start(house.gateway, house.opening(1000, tax_free=Money(1001)))
    async with house.gateway.store.direct() as session:
        assert await session.payments.many_of_merchant(house.merchant.id, [], ["order-1"]) == []


async def test_a_live_merchant_does_not_take_a_browsers_word_for_a_test_channel(
    house: House,
) -> None:
    await house.set_merchant(live=True, allow_test_channels=False)
    with pytest.raises(TestChannelRefused):
        await start(house.gateway, house.opening())


async def test_a_currency_that_the_pg_refuses_does_not_open(house: House) -> None:
    house.channel = replace(house.channel, pg_code="paypal")
    with pytest.raises(BadRequest, match="paypal"):
        await start(house.gateway, house.opening(1000))


async def test_the_window_of_a_pg_is_entered_once_it_says_where_it_is(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    plan = await enter_window(house.gateway, payment, house.merchant)
    assert plan == Redirect(f"{pg.url}/window/{payment.pg_order_no}")
    ended = await abandon(house.gateway, payment.imp_uid, "U", "그만")
    assert ended is not None
    with pytest.raises(AlreadyClaimed):
        await enter_window(house.gateway, ended, house.merchant)


async def test_a_pg_that_cannot_open_a_window_fails_the_payment_in_its_words(
    house: House, pg: StandInPg
) -> None:
    for answer, code in (
        ({"result": "error", "code": "DOWN", "message": "점검 중"}, "DOWN"),
        (b"<html>", "WINDOW_FAILED"),
    ):
        payment = await house.open()
        pg.answer("orders", answer)
        with pytest.raises(PgRefused):
            await enter_window(house.gateway, payment, house.merchant)
        failed = await house.payment(payment.imp_uid)
        assert (failed.step, failed.fail_code) == (Step.FAILED, code)

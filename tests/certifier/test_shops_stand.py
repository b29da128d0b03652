"""The small shops are shops: an order that is honestly paid is paid there, and its goods leave once.

What the broken ones do wrong is for the certifier to find (test_verdicts.py); here it is made sure that
nothing else is wrong with them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from naru.certifier.adapter import read_adapter
from naru.certifier.shop import Shop, Visitor
from naru.certifier.tape import Tape
from naru.testing.imp import Imp
from tests.certifier.express import express
from tests.certifier.shops import HERE, SmallShop, small_shops
from tests.clients.install import CannotInstall


@pytest.fixture(params=small_shops(), ids=lambda each: each.name)
def small_shop(request: pytest.FixtureRequest) -> SmallShop:
    chosen: SmallShop = request.param
    if chosen.needs_node:
        try:
            express()
        except CannotInstall as error:
            pytest.skip(f"{chosen.name} is a shop in Node: {error}")
    return chosen


@pytest.fixture
def shop(small_shop: SmallShop, imp: Imp) -> Iterator[Shop]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = {
        "imp_url": imp.url,
        "imp_key": imp.imp_key,
        "imp_secret": imp.imp_secret,
        "user_code": imp.user_code,
        "webhook_secret": imp.webhook_secret,
    }
    shop = Shop(read_adapter(small_shop.adapter), f"http://127.0.0.1:{port}", names, Tape(()))
    try:
        shop.start()
        yield shop
    finally:
        shop.stop()


def test_an_honest_payment_is_finished_once(shop: Shop, imp: Imp) -> None:
    buyer = Visitor("buyer")
    number, amount = shop.place(buyer, 12_000)
    other, _ = shop.place(buyer, 12_000)
    before = shop.read(number)
    assert (before.status, before.fulfilled) == ("unpaid", 0)

    assert shop.adapter.webhook_path is not None
    imp.webhooks.to(shop.url + shop.adapter.webhook_path)
    window = imp.pay(number, amount)
    imp.approve(window)
    told = {
        "imp_uid": window.imp_uid,
        "merchant_uid": number,
        "amount": amount,
        "success": "true",
    }
    if shop.read(number).status != "paid":
        assert shop.callback(buyer, told).accepted

    after = shop.read(number)
    assert (after.status, after.fulfilled) == ("paid", 1)
    assert after.paid_amount in (None, amount)
    assert shop.read(other).fulfilled == 0
    assert [status for _, status in imp.webhooks.told] == [200]


def test_the_table_names_every_shop() -> None:
    folders = {path.parent.name for path in HERE.glob("*/shop.toml")}
    assert {each.name for each in small_shops()} == folders

"""Webhooks come to the shop as the test wants: in process or over HTTP, held, lost, twice, turned round."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from naru.kit import BadWebhook, read_webhook
from naru.testing.async_imp import AsyncImp
from naru.testing.imp import Imp
from naru.testing.postman import PostTrouble
from naru.testing.private_gateway import PrivateGateway
from tests.testing.shops import Books, fastapi_shop, flask_shop


def paid(imp: Imp, books: Books, *orders: str) -> None:
    """Buyers pay these orders."""
    for order in orders:
        books.orders.place(order, 1000)
        imp.pay(order, 1000)
        assert imp.approve().success


def test_a_shop_is_told_in_the_thread_of_the_test(imp: Imp) -> None:
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    paid(imp, books, "order-1")
    assert books.fulfilled == {"order-1": 1}
    assert books.heard_in == [threading.current_thread().name]


def test_an_asgi_shop_of_a_blocking_test_has_one_loop(imp: Imp) -> None:
    """What it opened for the first webhook (a pool of connections) is good for the second."""
    heard: list[tuple[asyncio.AbstractEventLoop, str, bytes]] = []

    async def shop(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        heard.append((asyncio.get_running_loop(), threading.current_thread().name, body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    imp.webhooks.to(shop, "/hook")
    imp.pay("order-1", 1000)
    imp.approve()
    imp.cancel()
    assert [letter.body for letter, _ in imp.webhooks.told] == [body for _, _, body in heard]
    assert len({(loop, name) for loop, name, _ in heard}) == 1
    assert heard[0][1] == threading.current_thread().name
    assert [answered for _, answered in imp.webhooks.told] == [204, 204]


def test_a_shop_with_an_address_is_told_over_http(imp: Imp) -> None:
    app, books = flask_shop(imp)

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, name="the shop", daemon=True).start()
        imp.webhooks.to(f"http://127.0.0.1:{server.server_port}")
        paid(imp, books, "order-1")
        server.shutdown()
    assert (books.fulfilled, books.heard_in) == ({"order-1": 1}, ["the shop"])


def test_held_webhooks_come_when_and_in_which_order_the_test_says(imp: Imp) -> None:
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    imp.webhooks.hold()
    paid(imp, books, "order-1", "order-2", "order-3")
    assert (books.fulfilled, len(imp.webhooks.held)) == ({}, 3)

    first, second, _ = imp.webhooks.held
    imp.webhooks.drop(second)
    imp.webhooks.release(*reversed(imp.webhooks.held))
    assert [letter.merchant_uid for letter, _ in imp.webhooks.told] == ["order-3", "order-1"]
    assert books.fulfilled == {"order-1": 1, "order-3": 1}
    with pytest.raises(PostTrouble, match="not held"):
        imp.webhooks.release(first)

    # It still holds, until release() or drop() without a name.
    paid(imp, books, "order-4")
    imp.webhooks.release()
    paid(imp, books, "order-5")
    assert (books.fulfilled["order-4"], books.fulfilled["order-5"]) == (1, 1)
    # The gateway believes that all of them arrived: it sends none a second time.
    imp.advance("3d")
    assert len(imp.webhooks.arrived) == 5


def test_a_webhook_that_comes_twice_fulfils_once(imp: Imp) -> None:
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    imp.webhooks.duplicate(3)
    paid(imp, books, "order-1")
    assert len(imp.webhooks.told) == 3
    assert books.fulfilled == {"order-1": 1}
    with pytest.raises(PostTrouble):
        imp.webhooks.duplicate(0)


def test_a_webhook_comes_late_with_a_signature_of_its_own_time(imp: Imp) -> None:
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    imp.webhooks.hold()
    paid(imp, books, "order-1")
    imp.advance("31m")
    paid(imp, books, "order-2")
    [_, of_later] = imp.webhooks.held
    # Control: as the gateway stamped it, it is of the shop's future, and refused.
    with pytest.raises(BadWebhook):
        read_webhook(of_later.body, of_later.headers, secret=imp.webhook_secret)
    imp.webhooks.release()
    assert [answered for _, answered in imp.webhooks.told] == [200, 200]
    assert books.fulfilled == {"order-1": 1, "order-2": 1}


def test_a_shop_that_answers_500_is_told_again_in_the_gateways_time(imp: Imp) -> None:
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    with imp.weather("down", path="/payments/"):
        paid(imp, books, "order-1")
    assert [answered for _, answered in imp.webhooks.told] == [503]
    imp.advance("20s")
    assert [letter.again for letter in imp.webhooks.arrived] == [1, 2]
    assert books.fulfilled == {"order-1": 1}


def test_a_shop_that_is_away_is_told_when_it_is_back(imp: Imp) -> None:
    app, books = flask_shop(imp)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    imp.webhooks.to(nobody)
    paid(imp, books, "order-1")
    assert [answered for _, answered in imp.webhooks.told] == [502]
    imp.webhooks.to(app)
    imp.advance("20s")
    assert books.fulfilled == {"order-1": 1}


def test_what_the_shop_raises_is_raised_in_the_test(imp: Imp) -> None:
    def broken(environ: object, start: object) -> list[bytes]:
        raise ZeroDivisionError("in the shop")

    imp.webhooks.to(broken)
    imp.pay("order-1", 1000)
    with pytest.raises(ZeroDivisionError, match="in the shop"):
        imp.approve()
    assert {answered for _, answered in imp.webhooks.told} == {500}


def test_a_shop_that_hears_forms_is_told_in_forms(private_gateway: PrivateGateway) -> None:
    imp = private_gateway.open_shop(webhook_format="form")
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    paid(imp, books, "order-1")
    [letter] = imp.webhooks.arrived
    assert letter.headers["content-type"] == "application/x-www-form-urlencoded"
    assert (letter.merchant_uid, letter.status) == ("order-1", "paid")
    assert books.fulfilled == {"order-1": 1}
    imp.close()


def test_one_webhook_is_brought_by_many_at_once(imp: Imp) -> None:
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    imp.webhooks.hold()
    paid(imp, books, "order-1")
    [letter] = imp.webhooks.held
    with ThreadPoolExecutor(4) as crowd:
        assert list(crowd.map(imp.webhooks.bring, [letter] * 4)) == [200] * 4
    assert books.fulfilled == {"order-1": 1}
    assert len(set(books.heard_in) & {threading.current_thread().name}) == 0
    assert (imp.webhooks.told, imp.webhooks.held) == ([(letter, 200)] * 4, [letter])

    # What was dropped may still be told; what never came may not.
    imp.webhooks.drop()
    assert imp.webhooks.bring(letter) == 200
    with pytest.raises(PostTrouble, match="did not arrive"):
        imp.webhooks.bring(replace(letter, imp_uid="imp_000000000000"))


def test_who_brings_a_webhook_hears_what_the_shop_raised(imp: Imp) -> None:
    def broken(environ: object, start: object) -> list[bytes]:
        raise ZeroDivisionError("in the shop")

    imp.webhooks.hold()
    imp.pay("order-1", 1000)
    imp.approve()
    [letter] = imp.webhooks.held
    imp.webhooks.to(broken)
    with pytest.raises(ZeroDivisionError):
        imp.webhooks.bring(letter)
    imp.settle()  # It was heard once, and is not raised again.
    assert imp.webhooks.told == [(letter, 500)]


@pytest.mark.parametrize("shop", ["localhost:8000", "ftp://shop", 7])
def test_what_is_no_shop_is_refused(imp: Imp, shop: Any) -> None:
    with pytest.raises(PostTrouble, match="address"):
        imp.webhooks.to(shop)


def test_many_buyers_at_once(imp: Imp) -> None:
    """Attackers come in crowds: verbs may be called from many threads, each about its own window."""
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    orders = [f"order-{number}" for number in range(12)]
    for order in orders:
        books.orders.place(order, 1000)

    def buy(order: str) -> bool | None:
        return imp.approve(imp.pay(order, 1000)).success

    with ThreadPoolExecutor(6) as crowd:
        assert list(crowd.map(buy, orders)) == [True] * 12
    imp.settle()
    assert books.fulfilled == dict.fromkeys(orders, 1)


async def test_an_async_shop_is_told_in_the_loop_of_the_test(async_imp: AsyncImp) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    async with fastapi_shop(async_imp.sync) as (app, books):

        async def shop(scope: Any, receive: Any, send: Any) -> None:
            loops.append(asyncio.get_running_loop())
            await app(scope, receive, send)

        async_imp.webhooks.to(shop)
        books.orders.place("order-1", 1000)
        await async_imp.pay("order-1", 1000)
        assert (await async_imp.approve()).success
        assert books.fulfilled == {"order-1": 1}

        async_imp.webhooks.hold()
        await async_imp.cancel(300)
        await async_imp.cancel()
        await async_imp.release(times=2)
    assert books.status("order-1") == "cancelled"
    assert loops == [asyncio.get_running_loop()] * 5


async def test_the_blocking_fixture_says_so_in_an_async_test(imp: Imp) -> None:
    async def shop(scope: Any, receive: Any, send: Any) -> None:
        """Never told."""

    imp.webhooks.to(shop)
    imp.pay("order-1", 1000)
    with pytest.raises(PostTrouble, match="async_imp"):
        imp.approve()

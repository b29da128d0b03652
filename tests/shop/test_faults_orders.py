"""The shop's order under faults: rows E1 (told), E2 (asks) and E3 (commits), with a shop that is killed.

The shop is a process of its own: SIGKILL at four moments of one webhook, restarted on its file. What
was not committed is brought by the webhook that comes again; what was, is not done a second time.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from naru.kit import Paid
from naru.shop.orders import Orders
from tests.shop.conftest import RunningShop, Till
from tests.shop.test_app import tip
from tests.support.stand_in_gateway import API_KEY, API_SECRET, StandInGateway, send


def until(look: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + 30
    while not look():
        assert time.monotonic() < give_up_at, what
        time.sleep(0.01)


class Process:
    """A shop as a process; `again` starts it anew on the same file and port."""

    def __init__(self, gateway: StandInGateway, folder: Path) -> None:
        self.database = folder / "shop.sqlite3"
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self._command = [
            *(sys.executable, "-m", "naru.shop", "--port", str(self.port)),
            *("--database", str(self.database), "--gateway-url", gateway.url),
            *("--imp-key", API_KEY, "--user-code", "imp00000000", "--allow-sandbox"),
        ]
        self.running: subprocess.Popen[bytes] | None = None

    def again(self) -> RunningShop:
        self.kill()
        self.running = subprocess.Popen(
            self._command, env=os.environ | {"NARU_SHOP_IMP_SECRET": API_SECRET}
        )
        url = f"http://127.0.0.1:{self.port}"

        def answers() -> bool:
            try:
                return urllib3.request("GET", url, retries=False, timeout=5).status == 200
            except urllib3.exceptions.HTTPError:
                return False

        until(answers, "the shop did not start")
        return RunningShop(url, Orders(self.database), inbox=None)  # type: ignore[arg-type]

    def tell(self, signal_: signal.Signals) -> None:
        assert self.running is not None
        self.running.send_signal(signal_)

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait()


@pytest.fixture
def process(gateway: StandInGateway, tmp_path: Path) -> Iterator[Process]:
    process = Process(gateway, tmp_path)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def unheard(shop: RunningShop, imp_uid: str, order: str) -> Iterator[None]:
    """Send the webhook over a line of its own; the answer is never read."""
    host, port = shop.url.removeprefix("http://").split(":")
    raw = json.dumps({"imp_uid": imp_uid, "merchant_uid": order, "status": "paid"}).encode()
    with closing(socket.create_connection((host, int(port)))) as line:
        line.sendall(
            f"POST /payments/webhook HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
            + raw
        )
        yield


def paid_once(shop: RunningShop, imp_uid: str, order: str) -> None:
    """The webhook comes again and again, is answered 200, and the order is paid by this payment."""
    for _ in range(3):
        assert tip(shop, imp_uid, order, "paid") == 200
    stored = shop.orders.find(order)
    assert stored is not None
    assert (stored.status, stored.imp_uid) == ("paid", imp_uid)
    assert shop.orders.parcels(order) == 1


@pytest.mark.fault("E1_CB", "E1_CA", "E2_CB", "E2_CA", "E3_CB", "E3_CA", "E3_LR", "E1_LR")
@pytest.mark.promise("L3", "P11")
def test_a_shop_that_is_killed_at_any_moment_of_a_webhook_pays_its_order_once(
    gateway: StandInGateway, process: Process
) -> None:
    shop = process.again()

    # E1xCB: the webhook lies in the queue of a process that never wakes up.
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)
    process.tell(signal.SIGSTOP)
    with unheard(shop, imp_uid, order):
        process.kill()
    shop = process.again()
    assert shop.orders.find(order).status == "placed"  # type: ignore[union-attr]
    paid_once(shop, imp_uid, order)

    # E1xCA, E2xCB: it was read, the gateway is being asked and has not answered.
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)
    asked, go_on = threading.Event(), threading.Event()

    def thinks(handler: Any) -> None:
        asked.set()
        go_on.wait(20)
        handler.close_connection = True

    gateway.faults = [thinks]
    with unheard(shop, imp_uid, order):
        assert asked.wait(20)
        process.kill()
    go_on.set()
    shop = process.again()
    assert shop.orders.find(order).status == "placed"  # type: ignore[union-attr]
    paid_once(shop, imp_uid, order)

    # E2xCA, E3xCB: the gateway has answered, and nothing can be committed while we hold the file.
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)
    with closing(sqlite3.connect(process.database, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        answered = gateway.count("GET", f"/payments/{imp_uid}")
        with unheard(shop, imp_uid, order):
            until(
                lambda: gateway.count("GET", f"/payments/{imp_uid}") > answered,
                "the gateway was not asked",
            )
            process.kill()
    shop = process.again()
    assert shop.orders.find(order).status == "placed"  # type: ignore[union-attr]
    paid_once(shop, imp_uid, order)

    # E3xCA, E3xLR, E1xLR: committed, and nobody hears of it.
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)
    with unheard(shop, imp_uid, order):
        until(
            lambda: shop.orders.find(order).status == "paid",  # type: ignore[union-attr]
            "the order was not paid",
        )
        process.kill()
    shop = process.again()
    paid_once(shop, imp_uid, order)


@pytest.mark.fault("E1_SL", "E2_RO", "E3_SL", "E3_RO")
def test_an_old_answer_of_the_gateway_that_arrives_late_takes_nothing_back(till: Till) -> None:
    """One caller asked while the window was open, and reads the answer when the order is paid."""
    order, asked, go_on = till.place(), threading.Event(), threading.Event()
    imp_uid = till.gateway.pay(order, 64_900, status="ready")
    till.finalise("imp_000000000000")  # the token is fetched before the fault
    old = dict(till.gateway.payments[imp_uid])

    def late(handler: Any) -> None:
        asked.set()
        go_on.wait(20)
        send(handler, 200, {"code": 0, "message": None, "response": old})

    till.gateway.faults = [late]
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(till.finalise, imp_uid, order)
        assert asked.wait(20)
        till.gateway.payments[imp_uid]["status"] = "paid"
        assert isinstance(till.finalise(imp_uid, order), Paid)
        go_on.set()
        assert isinstance(slow.result(20), Paid)
    assert till.status(order) == "paid"

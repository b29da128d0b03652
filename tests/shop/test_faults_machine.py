"""The shop on a machine that is ill: rows E1 (told), E2 (asks) and E3 (commits) with a disk that is full,
a network that is parted, a clock that jumps, and a gateway whose database is away."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import BinaryIO

import pytest
import standardwebhooks

from tests.shop.conftest import RunningShop, serve_shop, settings_for
from tests.shop.test_app import SECRET, tip
from tests.shop.test_faults_orders import until
from tests.support.stand_in_gateway import StandInGateway, answers, hangs_up


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file: BinaryIO, size: int) -> None:
    while True:
        file.write(b"x" * size)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte is left on this disk inside the block."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with pytest.raises(OSError, match="No space left"):
                fill(file, size)
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.fault("E1_DF", "E2_DF", "E3_DF")
def test_a_shop_whose_disk_is_full_says_come_again_and_pays_its_order_once(
    gateway: StandInGateway, small_disk: Path
) -> None:
    with serve_shop(settings_for(gateway.url, small_disk)) as shop:
        order = shop.place()
        imp_uid = gateway.pay(order, 64_900)
        with full(small_disk):
            for _ in range(3):
                assert tip(shop, imp_uid, order, "paid") == 503
            # The gateway was asked and has answered all the same: only the order cannot be kept.
            assert gateway.count("GET", f"/payments/{imp_uid}") == 3
            assert shop.ask("GET", f"/orders/{order}").status == 503
        assert tip(shop, imp_uid, order, "paid") == 200
        stored = shop.orders.find(order)
        assert stored is not None
        assert (stored.status, stored.imp_uid) == ("paid", imp_uid)


@pytest.mark.fault("E2_DB")
def test_a_gateway_without_its_database_is_asked_again_later(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    """In the gateway's own words (tests/rest/test_door.py): 503, and nothing is known."""
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)
    gateway.faults = [
        answers(503, {"code": -1, "message": "잠시 후 다시 시도해주세요.", "response": None})
    ] * 30
    assert tip(shop, imp_uid, order, "paid") == 503
    assert shop.report(imp_uid, order)[0] == 202
    assert shop.status(order) == "placed"
    gateway.faults = []
    assert tip(shop, imp_uid, order, "paid") == 200
    assert shop.status(order) == "paid"


class Line:
    """A line to a shop. While it is parted, bytes are taken and lie somewhere on the way."""

    def __init__(self, shop: RunningShop) -> None:
        self._there = int(shop.url.rpartition(":")[2])
        self.whole = threading.Event()
        self.whole.set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.near = RunningShop(
            f"http://127.0.0.1:{self._server.getsockname()[1]}", shop.orders, shop.inbox
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._there))
            for source, target in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while piece := source.recv(65_536):
                self.whole.wait()
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()

    def close(self) -> None:
        self.whole.set()
        self._server.close()


def send_and_leave(shop: RunningShop, imp_uid: str, order: str) -> None:
    """A webhook whose sender waits for half a second and goes, as a gateway's does after its own time."""
    host, port = shop.url.removeprefix("http://").split(":")
    raw = json.dumps({"imp_uid": imp_uid, "merchant_uid": order, "status": "paid"}).encode()
    with closing(socket.create_connection((host, int(port)))) as sending:
        sending.settimeout(0.5)
        sending.sendall(
            b"POST /payments/webhook HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(raw)}\r\n\r\n".encode()
            + raw
        )
        with pytest.raises(TimeoutError):
            sending.recv(1)


@pytest.mark.fault("E1_NP", "E3_NP")
def test_a_shop_that_was_cut_off_hears_it_again_and_what_was_on_its_way_changes_nothing(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    line = Line(shop)
    try:
        # Parted before it arrives: nothing happens; and with the network the old bytes arrive, too.
        order = shop.place()
        imp_uid = gateway.pay(order, 64_900)
        line.whole.clear()
        send_and_leave(line.near, imp_uid, order)
        assert gateway.count("GET", f"/payments/{imp_uid}") == 0
        assert shop.status(order) == "placed"
        line.whole.set()
        assert tip(line.near, imp_uid, order, "paid") == 200

        # Parted when it has arrived: the order is paid, and nobody hears of it until they ask again.
        other = shop.place()
        paid = gateway.pay(other, 64_900)

        def part(handler: BaseHTTPRequestHandler) -> None:
            line.whole.clear()
            hangs_up(handler)  # the shop asks once more, and hears the truth

        gateway.faults = [part]
        send_and_leave(line.near, paid, other)
        assert not line.whole.is_set(), "the control: it was on its way"
        until(lambda: shop.status(other) == "paid", "the order was not paid")
    finally:
        line.close()
    for each, uid in ((order, imp_uid), (other, paid)):
        assert tip(shop, uid, each, "paid") == 200
        stored = shop.orders.find(each)
        assert stored is not None
        assert (stored.status, stored.imp_uid) == ("paid", uid)


@pytest.mark.fault("E1_CJ", "E2_CJ", "E3_CJ")
@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_jumps_by_a_day_pays_the_same_order_once(
    gateway: StandInGateway, tmp_path: Path, hours: int
) -> None:
    """Gateway and shop differ by a day from now on: signatures look stale, tokens look dead or eternal."""
    with serve_shop(settings_for(gateway.url, tmp_path, webhook_secret=SECRET)) as shop:

        def signed(imp_uid: str, order: str, ahead: timedelta) -> int:
            body = json.dumps({"imp_uid": imp_uid, "merchant_uid": order, "status": "paid"})
            moment = datetime.now(UTC) + ahead
            signature = standardwebhooks.Webhook(SECRET).sign("msg_1", moment, body)
            return shop.ask(
                "POST",
                "/payments/webhook",
                body.encode(),
                Content_Type="application/json",
                webhook_id="msg_1",
                webhook_timestamp=str(int(moment.timestamp())),
                webhook_signature=signature,
            ).status

        ahead = timedelta(hours=hours)
        first, second = shop.place(), shop.place()
        for order, doors in ((first, "webhook"), (second, "report")):
            imp_uid = gateway.pay(order, 64_900)
            gateway.clock_skew_seconds = hours * 3600
            # It might be an old one that a thief kept: refused, and the gateway sends it again.
            assert signed(imp_uid, order, ahead) == 401
            if doors == "report":
                # The browser's report needs no clock: the shop asks the gateway.
                assert shop.report(imp_uid, order)[0] == 200
                assert shop.status(order) == "paid"
            gateway.clock_skew_seconds = 0
            for _ in range(2):
                assert signed(imp_uid, order, timedelta()) == 200
            stored = shop.orders.find(order)
            assert stored is not None
            assert (stored.status, stored.imp_uid) == ("paid", imp_uid)

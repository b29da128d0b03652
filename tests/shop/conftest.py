"""A running shop and a running stand-in gateway, both on real sockets."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
import uvicorn

from naru.kit import Client, Finaliser, Verdict
from naru.shop.app import Settings, create_app
from naru.shop.finalise import open_till
from naru.shop.orders import Buyer, Orders, StoredOrder
from naru.shop.sms import Inbox, Sender
from tests.support.stand_in_gateway import API_KEY, API_SECRET, StandInGateway

BUYER = Buyer("홍길동", "010-4242-4242", "gildong@example.com", "서울특별시 강남구", "01181")
FORM = {
    "product": "chair",
    "quantity": "1",
    "name": BUYER.name,
    "tel": BUYER.tel,
    "email": BUYER.email,
    "addr": BUYER.addr,
    "postcode": BUYER.postcode,
}


@pytest.fixture
def gateway() -> Iterator[StandInGateway]:
    with StandInGateway() as stand_in:
        yield stand_in


@dataclass
class Till:
    """The shop without its web pages: its orders, its inbox, and the one path."""

    gateway: StandInGateway
    orders: Orders
    inbox: Inbox
    client: Client

    def open(
        self, sender: Sender | None = None, *, allow_sandbox: bool = True
    ) -> Finaliser[sqlite3.Connection]:
        return open_till(
            self.client, self.orders, sender or self.inbox, allow_sandbox=allow_sandbox
        )

    def finalise(self, imp_uid: str, claimed: str | None = None) -> Verdict:
        return self.open().finalise(imp_uid, claimed)

    def place(self, product: str = "chair", amount: int = 64_900, currency: str = "KRW") -> str:
        return self.orders.place(
            visitor="v" * 24,
            product_key=product,
            quantity=1,
            amount_minor=amount,
            currency=currency,
            buyer=BUYER,
        )

    def order(self, merchant_uid: str) -> StoredOrder:
        order = self.orders.find(merchant_uid)
        assert order is not None
        return order

    def status(self, merchant_uid: str) -> str:
        return self.order(merchant_uid).status


@pytest.fixture
def till(gateway: StandInGateway, tmp_path: Path) -> Iterator[Till]:
    orders, inbox = Orders(tmp_path / "shop.sqlite3"), Inbox()
    with Client(API_KEY, API_SECRET, base_url=gateway.url, timeout_seconds=5) as client:
        yield Till(gateway, orders, inbox, client)


@dataclass
class RunningShop:
    """The shop as its visitors see it: an address. Cookies are kept, as a browser would."""

    url: str
    orders: Orders
    inbox: Inbox
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        answer = urllib3.request(
            method,
            self.url + path,
            body=body,
            headers={
                "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
            redirect=False,
            retries=False,
            timeout=20,
        )
        for cookie in answer.headers.getlist("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def form(self, path: str, **fields: str) -> urllib3.BaseHTTPResponse:
        content_type = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urlencode(fields).encode(), Content_Type=content_type)

    def place(self, **changes: str) -> str:
        answer = self.form("/orders", **(FORM | changes))
        assert answer.status == 303
        return answer.headers["location"].removeprefix("/orders/")

    def report(self, imp_uid: str, merchant_uid: str) -> tuple[int, dict[str, Any]]:
        """As the document's jQuery sample really sends it: a form under a JSON header."""
        body = urlencode({"imp_uid": imp_uid, "merchant_uid": merchant_uid}).encode()
        answer = self.ask("POST", "/payments/complete", body, Content_Type="application/json")
        return answer.status, answer.json()

    def status(self, merchant_uid: str) -> str:
        answer = self.ask("GET", f"/orders/{merchant_uid}/state")
        return str(answer.json()["status"])


def settings_for(gateway_url: str, folder: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "database": folder / "shop.sqlite3",
        "gateway_url": gateway_url,
        "api_key": API_KEY,
        "api_secret": API_SECRET,
        "user_code": "imp00000000",
        "allow_sandbox": True,
        "gateway_timeout_seconds": 2.0,
    }
    return Settings(**(given | changes))


class serve_shop:  # noqa: N801
    """`with serve_shop(settings) as shop:` a real server on a port of its own."""

    def __init__(self, settings: Settings) -> None:
        self.inbox = Inbox()
        app = create_app(settings, self.inbox)
        self.server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
        )
        self.orders = Orders(settings.database)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> RunningShop:
        self.thread.start()
        give_up_at = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < give_up_at, "the shop did not start"
            time.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return RunningShop(f"http://127.0.0.1:{port}", self.orders, self.inbox)

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.server.force_exit = True
        self.thread.join(10)


@pytest.fixture
def shop(gateway: StandInGateway, tmp_path: Path) -> Iterator[RunningShop]:
    with serve_shop(settings_for(gateway.url, tmp_path)) as running:
        yield running

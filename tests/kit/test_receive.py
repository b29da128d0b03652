"""The receivers, mounted in each framework: what comes in any spelling, what is bad, what is answered."""

from __future__ import annotations

import asyncio
import base64
import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest
import standardwebhooks
from fastapi import FastAPI
from flask import Flask

from naru.kit import AsyncClient, AsyncFinaliser, Client, Finaliser, Forged, Paid, Verdict
from naru.kit.orders.memory import AsyncMemoryOrders, MemoryOrders
from naru.kit.receive import IMPORT_SOURCES, Incoming, Receiver, own_path
from naru.kit.receive.fastapi import router
from naru.kit.receive.flask import blueprint
from naru.kit.webhook import BODY_BYTES_MAX
from tests.kit.stores import django_shop
from tests.support.stand_in_gateway import API_KEY, API_SECRET, StandInGateway, hangs_up

CHAIR = 64_900
SECRET = "whsec_" + base64.b64encode(b"a secret of this test only, 32 b").decode()
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FRAMEWORKS = ("bare", "flask", "fastapi", "fastapi-async", "django")


@dataclass
class Heard:
    """What a caller gets back."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def word(self) -> str:
        return str(json.loads(self.body)["status"])


class Send(Protocol):
    """One request to the mounted receivers."""

    def __call__(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = ..., /
    ) -> Heard: ...


@dataclass
class Shop:
    """A shop with its receivers mounted, and how to speak to it."""

    orders: MemoryOrders | AsyncMemoryOrders
    parcels: list[str]
    send: Send
    options: dict[str, Any] = field(default_factory=dict)

    def complete(self, **fields: str) -> Heard:
        return self.send("POST", "/payments/complete", json.dumps(fields).encode(), JSON)

    def webhook(self, imp_uid: str, merchant_uid: str, status: str = "paid") -> Heard:
        told = {"imp_uid": imp_uid, "merchant_uid": merchant_uid, "status": status}
        return self.send("POST", "/payments/webhook", json.dumps(told).encode(), JSON)


Open = Callable[..., Shop]


@pytest.fixture(params=FRAMEWORKS)
def open_shop(request: pytest.FixtureRequest, gateway: StandInGateway) -> Iterator[Open]:
    """Opens a shop in one framework, with the receivers' own arguments."""
    ends: list[Callable[[], Any]] = []

    def open_it(**options: Any) -> Shop:
        parcels: list[str] = []
        ask: dict[str, Any] = {"base_url": gateway.url}
        own: dict[str, Any] = {
            "fulfil": lambda order, payment, session: parcels.append(order.merchant_uid),
            "allow_sandbox": True,
            "patience_seconds": 2.0,
        }
        orders: MemoryOrders | AsyncMemoryOrders
        if request.param == "fastapi-async":
            orders = AsyncMemoryOrders()
            waiting = AsyncClient(API_KEY, API_SECRET, **ask)
            till: Any = AsyncFinaliser(waiting, orders, **own)
        else:
            orders = MemoryOrders()
            client = Client(API_KEY, API_SECRET, **ask)
            ends.append(client.close)
            till = Finaliser(client, orders, **own)
        orders.place("order-1", CHAIR)
        orders.place("주문/2?&", CHAIR)
        return Shop(orders, parcels, MOUNTED[request.param](till, options, ends))

    yield open_it
    for end in reversed(ends):
        end()


def _bare(till: Any, options: dict[str, Any], ends: list[Callable[[], Any]]) -> Send:
    receiver = Receiver(till, **options)

    def send(
        method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON, /
    ) -> Heard:
        path, _, query = path.partition("?")
        asked = Incoming(method, headers, body, query, "127.0.0.1")
        if path.endswith("webhook"):
            answer = receiver.webhook(asked)
        else:
            answer = receiver.redirect(asked) if method == "GET" else receiver.complete(asked)
        return Heard(answer.status, answer.body, answer.headers)

    return send


def _flask(till: Any, options: dict[str, Any], ends: list[Callable[[], Any]]) -> Send:
    app = Flask("shop")
    app.register_blueprint(blueprint(till, **options))

    def send(
        method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON, /
    ) -> Heard:
        done = app.test_client().open(path, method=method, data=body, headers=dict(headers))
        return Heard(done.status_code, done.data, done.headers)  # type: ignore[arg-type]

    return send


def _fastapi(till: Any, options: dict[str, Any], ends: list[Callable[[], Any]]) -> Send:
    app = FastAPI()
    app.include_router(router(till, **options))
    # One event loop for all requests of a test, as a server has.
    loop = asyncio.Runner()
    ends.append(loop.close)

    def send(
        method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON, /
    ) -> Heard:
        return loop.run(_ask_asgi(app, method, path, body, headers))

    return send


async def _ask_asgi(
    app: Any,
    method: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    breaks: bool = False,
) -> Heard:
    """One request as a server gives it to an ASGI application, its body in two pieces.

    With `breaks` the caller hangs up instead of the second one.
    """
    path, _, query = path.partition("?")
    half = len(body) // 2
    pieces = [(body[:half], True), (body[half:], False)]
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        piece, more = pieces.pop(0)
        if breaks and not more:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    start, *rest = said
    return Heard(
        start["status"],
        b"".join(each.get("body", b"") for each in rest),
        {name.decode().title(): value.decode() for name, value in start["headers"]},
    )


def _django(till: Any, options: dict[str, Any], ends: list[Callable[[], Any]]) -> Send:
    django_shop()
    from django.test import Client as DjangoClient
    from django.test import override_settings
    from django.urls import include, path

    from naru.kit.receive.django import urls

    shop = types.ModuleType("urls_of_a_shop")
    shop.urlpatterns = [path("payments/", include(urls(till, **options)))]  # type: ignore[attr-defined]
    settings = override_settings(ROOT_URLCONF=shop)
    settings.enable()
    ends.append(settings.disable)
    client = DjangoClient(enforce_csrf_checks=True)

    def send(
        method: str, where: str, body: bytes = b"", headers: Mapping[str, str] = JSON, /
    ) -> Heard:
        kind = {name.lower(): value for name, value in headers.items()}.get("content-type", "")
        done = client.generic(method, where, body, content_type=kind, headers=dict(headers))
        return Heard(done.status_code, done.content, done.headers)

    return send


MOUNTED: dict[str, Callable[[Any, dict[str, Any], list[Callable[[], Any]]], Send]] = {
    "bare": _bare,
    "flask": _flask,
    "fastapi": _fastapi,
    "fastapi-async": _fastapi,
    "django": _django,
}


def test_all_three_ways_end_in_one_fulfilment(open_shop: Open, gateway: StandInGateway) -> None:
    shop = open_shop()
    imp_uid = gateway.pay("order-1", CHAIR)
    done = shop.complete(imp_uid=imp_uid, merchant_uid="order-1")
    assert (done.status, json.loads(done.body)) == (
        200,
        {"status": "success", "message": "일반 결제 성공"},
    )
    assert shop.webhook(imp_uid, "order-1").status == 200
    back = shop.send(
        "GET", f"/payments/complete?imp_uid={imp_uid}&merchant_uid=order-1&imp_success=true"
    )
    assert (back.status, back.headers["Location"]) == (303, "/orders/order-1")
    assert shop.parcels == ["order-1"]


def test_a_form_is_read_whatever_the_header_says(open_shop: Open, gateway: StandInGateway) -> None:
    """The requirement's own jQuery sample sends a form under a JSON header."""
    shop = open_shop()
    told = {"imp_uid": gateway.pay("order-1", CHAIR), "merchant_uid": "order-1", "status": "paid"}
    for headers in (FORM, JSON, {"cOnTeNt-TyPe": "application/json; charset=utf-8"}):
        for where in ("complete", "webhook"):
            form = urlencode(told).encode()
            assert shop.send("POST", f"/payments/{where}", form, headers).status == 200
    assert shop.parcels == ["order-1"]


BAD: tuple[tuple[bytes, dict[str, str], int], ...] = (
    (b"", JSON, 400),
    (b"{", JSON, 400),
    (b"[]", JSON, 400),
    (b"\xff\xfe", FORM, 400),
    (b'{"imp_uid":5,"merchant_uid":"o","status":"paid"}', JSON, 400),
    (b'{"imp_uid":"../users","merchant_uid":"o","status":"paid"}', JSON, 400),
    (b'{"imp_uid":"a","imp_uid":"b","merchant_uid":"o","status":"paid"}', JSON, 400),
    (b"imp_uid=a&merchant_uid=%00&status=paid", FORM, 400),
    (b"{" + b" " * BODY_BYTES_MAX, JSON, 413),
    (b"x", {"Content-Type": "image/png"}, 415),
    (b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
)


def test_what_is_no_report_is_refused_by_its_true_status(
    open_shop: Open, gateway: StandInGateway
) -> None:
    shop = open_shop()
    for body, headers, status in BAD:
        for where in ("complete", "webhook"):
            done = shop.send("POST", f"/payments/{where}", body, headers)
            assert (done.status, done.word) == (status, "error"), body[:60]
    # Nobody asked the gateway about any of them.
    assert gateway.asked == []


def test_a_body_that_breaks_off_is_no_report(gateway: StandInGateway) -> None:
    """Half of a form may look whole: imp_uid=imp_1 of imp_12."""
    app = FastAPI()
    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:
        app.include_router(router(Finaliser(client, MemoryOrders(), fulfil=lambda *_: None)))
        body = b"imp_uid=imp_1&merchant_uid=o&status=paid"
        heard = asyncio.run(_ask_asgi(app, "POST", "/payments/webhook", body, FORM, breaks=True))
        assert (heard.status, heard.word, gateway.asked) == (400, "error", [])
        # WSGI gives what came, and only the length tells.
        receiver = Receiver(Finaliser(client, MemoryOrders(), fulfil=lambda *_: None))
        short = FORM | {"content-LENGTH": str(len(body) + 1)}
        assert receiver.webhook(Incoming("POST", short, body)).status == 400
        assert receiver.complete(Incoming("POST", short, body)).status == 400
        assert gateway.asked == []
        whole = FORM | {"Content-Length": str(len(body))}
        receiver.complete(Incoming("POST", whole, body))
        assert gateway.asked != []


def test_another_method_is_not_understood(open_shop: Open) -> None:
    shop = open_shop()
    assert shop.send("PUT", "/payments/complete", b"{}", JSON).status == 405
    assert shop.send("GET", "/payments/webhook").status == 405


def test_with_a_secret_only_signed_webhooks_count(open_shop: Open, gateway: StandInGateway) -> None:
    shop = open_shop(secret=SECRET)
    imp_uid = gateway.pay("order-1", CHAIR)
    body = json.dumps({"imp_uid": imp_uid, "merchant_uid": "order-1", "status": "paid"}).encode()
    now = datetime.now(UTC)
    signed = JSON | {
        "WEBHOOK-ID": "msg_1",
        "webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-signature": standardwebhooks.Webhook(SECRET).sign("msg_1", now, body.decode()),
    }
    assert shop.send("POST", "/payments/webhook", body, JSON).status == 401
    assert (
        shop.send("POST", "/payments/webhook", body.replace(b"order-1", b"order-2"), signed).status
        == 401
    )
    assert (shop.parcels, gateway.asked) == ([], [])
    assert shop.send("POST", "/payments/webhook", body, signed).status == 200
    # The browser signs nothing.
    assert shop.complete(imp_uid=imp_uid).status == 200


def test_with_a_list_of_addresses_others_are_refused(
    open_shop: Open, gateway: StandInGateway
) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)
    strict = open_shop(sources=IMPORT_SOURCES)
    assert strict.webhook(imp_uid, "order-1").status == 403
    assert strict.complete(imp_uid=imp_uid, merchant_uid="order-1").status == 200
    assert open_shop(sources=["127.0.0.0/8"]).webhook(imp_uid, "order-1").status == 200


@pytest.mark.parametrize(
    ("remote", "known"),
    [
        ("52.78.100.19", True),
        ("::ffff:52.78.100.19", True),
        ("52.78.100.20", False),
        ("52.78.100.19, 1.2.3.4", False),
        ("", False),
        (None, False),
        ("fe80::1%eth0", False),
    ],
)
def test_an_address_is_known_in_every_spelling(
    gateway: StandInGateway, remote: str | None, known: bool
) -> None:
    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:
        till = Finaliser(client, MemoryOrders(), fulfil=lambda *_: None)
        receiver = Receiver(till, sources=IMPORT_SOURCES)
        body = urlencode({"imp_uid": gateway.pay("o", 1), "merchant_uid": "o", "status": "paid"})
        answer = receiver.webhook(Incoming("POST", FORM, body.encode(), remote=remote))
        assert (answer.status == 200, answer.status == 403) == (known, not known)


def test_each_verdict_has_its_answer(open_shop: Open, gateway: StandInGateway) -> None:
    shop = open_shop()
    account = gateway.issue_account("order-1", CHAIR)
    failed = gateway.fail("order-1", CHAIR)
    window = gateway.pay("order-1", CHAIR, status="ready", paid_at=0)
    cheap, alien = gateway.pay("order-1", 1000), gateway.pay("of another shop", 1)
    told = [
        # imp_uid, claimed, complete's status and word, webhook's status
        (account, "order-1", 200, "vbankIssued", 200),
        (failed, "order-1", 400, "failed", 200),
        (window, "order-1", 202, "checking", 503),
        (cheap, "order-1", 400, "forgery", 200),
        (alien, "of another shop", 400, "forgery", 200),
        (cheap, "주문/2?&", 400, "forgery", 400),
        ("imp_unknown", "order-1", 400, "forgery", 400),
    ]
    for imp_uid, claimed, status, word, of_webhook in told:
        done = shop.complete(imp_uid=imp_uid, merchant_uid=claimed)
        assert (done.status, done.word) == (status, word)
        assert shop.webhook(imp_uid, claimed).status == of_webhook
    message = json.loads(shop.complete(imp_uid=failed).body)["message"]
    assert message == "한도초과(3011)"
    assert shop.parcels == []


def test_a_sick_gateway_is_answered_in_time_and_the_webhook_comes_again(
    open_shop: Open, gateway: StandInGateway
) -> None:
    shop = open_shop()
    imp_uid = gateway.pay("order-1", CHAIR)
    gateway.faults += [hangs_up] * 3
    done = shop.webhook(imp_uid, "order-1")
    assert (done.status, done.headers["Retry-After"], done.word) == (503, "30", "checking")
    gateway.faults += [hangs_up] * 3
    assert shop.complete(imp_uid=imp_uid).status == 202
    gateway.faults += [hangs_up] * 3
    back = shop.send("GET", f"/payments/complete?imp_uid={imp_uid}&merchant_uid=order-1")
    assert back.headers["Location"] == "/orders/order-1"
    assert shop.webhook(imp_uid, "order-1").status == 200
    assert shop.parcels == ["order-1"]


LANDINGS = (
    ("merchant_uid=order-1&imp_success=false&error_msg=x", "/orders/order-1"),
    ("imp_uid=&merchant_uid=order-1", "/orders/order-1"),
    ("imp_uid=imp_unknown&merchant_uid=order-1", "/"),
    ("merchant_uid=%2F%2Fevil.example", "/orders/%2F%2Fevil.example"),
    ("merchant_uid=..%2F..%2F", "/orders/..%2F..%2F"),
    ("merchant_uid=a%0D%0ASet-Cookie:x", "/"),
    ("imp_uid=https://evil.example&merchant_uid=order-1", "/"),
    ("imp_uid=a&imp_uid=b&merchant_uid=order-1", "/"),
    ("merchant_uid=%FF", "/"),
    ("", "/"),
)


def test_a_redirect_ends_in_the_shop(open_shop: Open) -> None:
    shop = open_shop()
    for query, where in LANDINGS:
        back = shop.send("GET", f"/payments/complete?{query}")
        assert (back.status, back.headers["Location"]) == (303, where), query
        assert back.headers["Referrer-Policy"] == "no-referrer"


def test_a_redirect_follows_the_gateways_order_not_the_browsers(
    open_shop: Open, gateway: StandInGateway
) -> None:
    shop = open_shop()
    paid = gateway.pay("주문/2?&", CHAIR)
    back = shop.send("GET", f"/payments/complete?imp_uid={paid}")
    assert back.headers["Location"] == "/orders/%EC%A3%BC%EB%AC%B8%2F2%3F%26"
    assert shop.parcels == ["주문/2?&"]
    back = shop.send("GET", f"/payments/complete?imp_uid={paid}&merchant_uid=order-1")
    assert back.headers["Location"] == "/"


def test_the_shop_says_where_to_land_but_not_outside(
    open_shop: Open, gateway: StandInGateway
) -> None:
    heard: list[tuple[type[Verdict], str | None]] = []

    def landing(verdict: Verdict, merchant_uid: str | None) -> str:
        heard.append((type(verdict), merchant_uid))
        return "/thanks?order=" + merchant_uid if merchant_uid else "https://evil.example/"

    shop = open_shop(landing=landing)
    paid = gateway.pay("order-1", CHAIR)
    assert shop.send("GET", f"/payments/complete?imp_uid={paid}").headers["Location"] == (
        "/thanks?order=order-1"
    )
    back = shop.send("GET", f"/payments/complete?imp_uid={paid}&merchant_uid=other")
    assert back.headers["Location"] == "/"
    assert heard == [(Paid, "order-1"), (Forged, None)]


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "\\\\evil",
        "/\\evil",
        "orders",
        "",
        "/a\r\nb",
        "/한",
    ],
)
def test_a_path_that_leaves_the_shop_is_none(path: str, gateway: StandInGateway) -> None:
    assert own_path(path) is None
    assert own_path("/orders/1?a=b") == "/orders/1?a=b"
    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:
        till = Finaliser(client, MemoryOrders(), fulfil=lambda *_: None)
        with pytest.raises(ValueError, match="of the shop's own"):
            Receiver(till, landing=path)

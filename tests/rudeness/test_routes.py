"""Every route of all three servers, every wrong verb, broken path, query and body: a refusal each time.

Routes come from the applications' own tables, so a new one is tried without being named here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import pytest_asyncio
from starlette.routing import Route

from naru import checkout, notices, rest
from naru.cli import seed
from naru.payments.gateway import Gateway
from naru.sandbox.app import ROUTES as SANDBOX_ROUTES
from naru.shop.app import Settings, create_app
from tests.rudeness.raw import Heard, request, send
from tests.rudeness.thief import Thief
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

VERBS = [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "FOO",
    "get",
]
NAMES = [
    *("%00", "%ff", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a%2fb", "%ed%a0%80", "'%22;--", ".", ".."),
    *("%0d%0aX-Evil:1", "%3Cscript%3E", "{}", "%25", "%zz", "-1", "9" * 24, "\udcff", "a;b=c"),
    *("imp_000000000000", "imp_%EF%BC%91%EF%BC%91", "a" * 4000),
]
QUERIES = [
    *("a=%00", "a=%ff", "_token=%ff", "token=%ed%a0%80", "proof=%00", "lang=%ff&lang=ko"),
    *("page=99999999999999999999&limit=-1&from=9e99", "from=99999999999&to=999999999999999"),
    *("imp_uid[]=a&imp_uid[][x]=b", "imp_uid=imp_1&merchant_uid=%00&error_msg=%0d%0aX-Evil:1"),
    *(
        "after=9999999999999999999999999&limit=99999999999999999999",
        "number=%00%ff",
        "&&==&=[" * 90,
    ),
]
BODIES: list[bytes] = [
    *(
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"\x00" * 100,
        b"\xff\xfe" * 50,
        b"\xef\xbb\xbf{}",
    ),
    *(b'{"a":"\\ud800"}', b'{"a":"\\u0000"}', b'{"imp_uid":"a","imp_uid":"b"}', b"<xml/>"),
    *(b"[" * 60_000, b'{"a":' * 12_000, b'{"amount":1e400}', b'{"amount":' + b"9" * 6_000 + b"}"),
    *(b"a=b&" * 5_000, b"a[b][c][d][e][f][g][h][i][j]=1", b"merchant_uid=%00&amount=%ff"),
    b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nzz\r\n--x--',
    b'{"imp_uid":true,"merchant_uid":{},"amount":[],"status":null,"param":{"amount":{}},"token":1}',
]
TYPES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
_PLACE = re.compile(r"\{[^}]+\}")
VALUES: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        0.5,
        1e300,
        2**31,
        2**63,
        10**30,
        "",
        "1e5",
        "１００４",
        "NaN",
        "\x00",
        "\n\r",
    ),
    *("\ud800", "<script>", "a" * 41, "a" * 60_000, [], [[]], {}, {"": {"": []}}, ["a"] * 3_000),
    *("20261301", "00000000", "99991231235959", "http://[::1", "http://a:99999/", "..", "%00"),
]
NEVER_SAID = (b"Traceback", b'File "/', b"asyncpg", b"sqlite3", b"SELECT ", b"object at 0x")


@dataclass
class Bully:
    """Sends, a few at a time, and keeps what should not have been answered."""

    parties: Parties
    headers: dict[str, dict[str, str]]
    sandbox_member: tuple[str, str]
    fill: dict[str, str]
    wrong: list[str] = field(default_factory=list)
    heard: dict[int, int] = field(default_factory=dict)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def hit(
        self, origin: str, method: str, target: str, body: bytes = b"", kind: str | None = None
    ) -> Heard:
        """One request with all the rights that this address asks for, so that it gets far."""
        headers = dict(self.headers[origin])
        if origin == self.parties.sandbox and target.startswith("/v1/"):
            headers |= self._signed(method, target, body)
        if kind:
            headers["Content-Type"] = kind
        async with self._gate:
            heard = await send(origin, request(method, target, body, headers))
        self.heard[heard.status] = self.heard.get(heard.status, 0) + 1
        spoken = heard.body + repr(heard.headers).encode()
        if (
            not 200 <= heard.status < 500
            or any(words in heard.body for words in NEVER_SAID)
            or "x-evil" in heard.headers
            or seed.IMP_SECRET.encode() in spoken
        ):
            self.wrong.append(f"{method} {target[:90]} {body[:60]!r} {kind}: {heard!r:.300}")
        return heard

    def _signed(self, method: str, target: str, body: bytes) -> dict[str, str]:
        mid, secret = self.sandbox_member
        stamp = str(int(time.time()))
        text = f"{stamp}.{method}.{target}.".encode("utf-8", "surrogateescape") + body
        proof = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
        return {
            "X-Sandbox-Mid": mid,
            "X-Sandbox-Timestamp": stamp,
            "X-Sandbox-Signature": proof,
        }

    def routes(self) -> Iterable[tuple[str, str, str]]:
        """(origin, verb, path template) of everything that is served."""
        nobody = cast(
            "Gateway", SimpleNamespace(store=None)
        )  # the tables are read, nothing is called
        shop = create_app(
            Settings(Path(self.parties.home / "x.sqlite"), self.parties.gateway, "k", "s", "imp1")
        )
        for origin, table in (
            (self.parties.gateway, [*checkout.routes(nobody), *notices.routes(nobody)]),
            (self.parties.sandbox, SANDBOX_ROUTES),
            (self.parties.shop, shop.routes),
        ):
            for route in table:
                if isinstance(route, Route):
                    for verb in (route.methods or {"GET"}) - {"HEAD"}:
                        yield origin, verb, route.path
        for operation in rest.operations():
            yield self.parties.gateway, operation.method, operation.path
        yield self.parties.gateway, "GET", "/health"
        yield self.parties.sandbox, "GET", "/static/{file}"
        yield self.parties.shop, "GET", "/static/{file}"

    def good(self, template: str) -> str:
        """The path with names that exist."""
        return re.sub(r"\{(\w+)(?::\w+)?\}", lambda name: self.fill.get(name[1], "x1"), template)


@pytest_asyncio.fixture(loop_scope="session")
async def bully(parties: Parties, thief: Thief) -> AsyncIterator[Bully]:
    window = await thief.open()
    async with thief.http.get(f"{parties.gateway}/users/pg/{seed.USER_CODES[0]}") as answer:
        channel_key = (await answer.json())["data"][0]["channel_key"]
    mid, secret = "rude-" + secrets.token_hex(4), secrets.token_hex(32)
    member = {"secret": secret, "name": "x", "profile": "kcp"}
    async with thief.http.put(f"{parties.sandbox}/v1/members/{mid}", json=member) as answer:
        assert answer.status == 200
    order, _ = await thief.order()
    bully = Bully(
        parties,
        {
            parties.gateway: {"Authorization": thief.access_token, "Origin": thief.origin},
            parties.sandbox: {"Origin": parties.sandbox},
            parties.shop: {},
        },
        (mid, secret),
        {
            "imp_uid": window.imp_uid,
            "window_id": window.pg_url.rsplit("/", 1)[1],
            "channel_key": channel_key,
            "user_code": seed.USER_CODES[0],
            "merchant_uid": order,
            "payment_status": "paid",
            "name": "sample",
            "version": "1.2.0",
        },
    )
    yield bully
    assert bully.wrong == []
    for name, text in parties.logs().items():
        assert "Traceback" not in text, name


async def test_every_verb_and_every_broken_path_and_query_is_refused(bully: Bully) -> None:
    tries = []
    for origin, verb, template in bully.routes():
        good = bully.good(template)
        tries += [bully.hit(origin, each, good) for each in VERBS]
        tries += [bully.hit(origin, verb, f"{good}?{query}") for query in QUERIES]
        if "{" in template:
            named = [_PLACE.sub(name.replace("\\", "\\\\"), template) for name in NAMES]
        else:
            named = [f"{template.rstrip('/')}/{name}" for name in NAMES[:6]]
        tries += [bully.hit(origin, verb, target) for target in named]
    assert len(tries) > 2_000
    await asyncio.gather(*tries)


async def test_every_broken_body_is_refused(bully: Bully) -> None:
    tries = []
    for origin, verb, template in bully.routes():
        good = bully.good(template)
        if verb == "GET":
            tries += [bully.hit(origin, verb, good, body, TYPES[0]) for body in BODIES[:4]]
            continue
        for index, body in enumerate(BODIES):
            # A body that pretends: each meets one content type, and the next route another one.
            kind = TYPES[(index + len(tries)) % len(TYPES)]
            tries.append(bully.hit(origin, verb, good, body, kind))
            tries.append(bully.hit(origin, verb, good, body, TYPES[0]))
    assert len(tries) > 1_000
    await asyncio.gather(*tries)


async def test_every_field_of_every_operation_may_hold_anything(
    bully: Bully, parties: Parties
) -> None:
    usual = {
        "imp_uid": "imp_000000000000",
        "merchant_uid": "rude",
        "amount": 1004,
        "payment_status": "paid",
        "vbank_due": int(time.time()) + 9_999,
        "vbank_code": "04",
        "vbank_holder": "x",
        "imp_key": "a",
        "imp_secret": "b",
    }
    tries = []
    for operation in rest.operations():
        names = [each.encode_name for each in msgspec.structs.fields(operation.request)]
        fields = {name: usual[name] for name in names if name in usual}
        path = re.sub(r"\{(\w+)\}", lambda name: str(usual.get(name[1], "x1")), operation.path)
        for name in names:
            for value in VALUES:
                body = json.dumps(fields | {name: value}).encode()
                tries.append(bully.hit(parties.gateway, operation.method, path, body, TYPES[0]))
    assert len(tries) > 500
    await asyncio.gather(*tries)


ASKED = [
    "pg",
    "channelKey",
    "pay_method",
    "merchant_uid",
    "name",
    "amount",
    "currency",
    "tax_free",
    "vat_amount",
    "language",
    "buyer_name",
    "buyer_tel",
    "buyer_email",
    "notice_url",
    "confirm_url",
    "m_redirect_url",
    "app_scheme",
    "customer_uid",
    "vbank_due",
    "digital",
    "display",
    "card",
    "bypass",
    "custom_data",
    "escrow",
    "popup",
    "__proto__",
]


async def test_every_parameter_of_request_pay_may_hold_anything(
    bully: Bully, parties: Parties, thief: Thief
) -> None:
    """Whatever the gateway takes must also make a window page, and pass the PG's own reading."""

    async def walk(name: str, value: Any) -> None:
        param = {"pay_method": "vbank"} if name == "vbank_due" else {}
        body = json.dumps(thief.ask(param | {name: value})).encode()
        heard = await bully.hit(parties.gateway, "POST", "/checkout/payments", body)
        if heard.status != 200:
            assert json.loads(heard.body)["error"]["imp_uid"] is None
            return
        target = json.loads(heard.body)["window_url"].removeprefix(parties.gateway)
        await bully.hit(parties.gateway, "GET", target)
        enter = target.replace("/checkout/window/", "/checkout/enter/")
        place = (await bully.hit(parties.gateway, "GET", enter)).headers["location"]
        assert place.startswith(f"{parties.sandbox}/window/"), (name, value, place)
        await bully.hit(parties.sandbox, "GET", place.removeprefix(parties.sandbox))

    await asyncio.gather(*(walk(name, value) for name in ASKED for value in VALUES))


async def test_ten_megabytes_are_refused_without_being_read_to_the_end(bully: Bully) -> None:
    body = b"a" * 10_000_000
    targets = [
        (origin, verb, bully.good(template))
        for origin, verb, template in bully.routes()
        # This button has no field; its answer comes before anything is read.
        if verb != "GET" and not template.endswith("/check")
    ]
    for origin, verb, target in targets:
        heard = await bully.hit(origin, verb, target, body, TYPES[0])
        assert 400 <= heard.status < 500, (target, heard.status)


async def test_a_body_that_never_ends_is_given_up(bully: Bully, parties: Parties) -> None:
    """A byte now and then for ever: whoever serves it must not wait for ever."""
    head = "POST {} HTTP/1.1\r\nHost: x\r\nOrigin: {}\r\nContent-Length: 1000\r\n\r\n{{"
    targets = [
        (parties.gateway, "/checkout/payments"),
        (parties.gateway, bully.good("/checkout/return/{imp_uid}")),
        (parties.gateway, bully.good("/checkout/payments/{imp_uid}/abandon")),
        (parties.gateway, bully.good("/notices/{channel_key}")),
        (parties.shop, "/orders"),
        (parties.shop, "/payments/complete"),
        (parties.shop, "/payments/webhook"),
    ]
    heard = await asyncio.gather(
        *(send(origin, head.format(path, origin).encode(), seconds=14) for origin, path in targets)
    )
    assert [each.status for each in heard] == [408] * len(targets)


async def test_a_caller_who_hangs_up_in_the_middle_leaves_no_trace_of_a_stack(
    bully: Bully, parties: Parties
) -> None:
    head = "{} {} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"

    async def hang_up(origin: str, verb: str, path: str) -> None:
        port = int(origin.rsplit(":", 1)[1])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.format(verb, path).encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    for origin, verb, template in bully.routes():
        if verb != "GET":
            await hang_up(origin, verb, bully.good(template))
    # All three still answer; the fixture reads their logs.
    for origin in (parties.gateway, parties.shop, parties.sandbox):
        await bully.hit(origin, "GET", "/nothing")

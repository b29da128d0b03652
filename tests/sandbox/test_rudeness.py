"""Every address of the sandbox under hostile input: a clear refusal, never a 500."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naru.sandbox.app import ROUTES
from naru.sandbox.door import Refusal, read_json
from naru.sandbox.orders import Announcement
from tests.sandbox.stage import Json, Member, Pg

SIGNED = {
    f"{next(iter(route.methods - {'HEAD'}))} {route.path}"
    for route in ROUTES
    if route.methods and route.endpoint.__name__ == "endpoint"
}
ALL = [(method, route.path) for route in ROUTES for method in sorted(route.methods or ())]
POSTS = [(method, path) for method, path in ALL if method in ("POST", "PUT")]

BODIES: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"0",
    b"{",
    b"{}",
    b"\x00",
    b"\xff\xfe\xfd",
    b'{"a":' * 2000,
    b"[" * 60_000,
    b'{"amount":' + b"9" * 5000 + b"}",
    b'{"order_no":"\xff\xfe"}',
    b'{"order_no":"\\ud800"}',
    b'{"order_no":"abc\\u0000def"}',
    b"<xml/>",
    b"a=1&b=2",
]
HOSTILE_VALUES: list[object] = [
    None,
    True,
    -1,
    0,
    0.5,
    1e308,
    10**30,
    "",
    "0",
    "\x00",
    "a\nb",
    "\u2028",
    "가" * 3000,
    "' OR 1=1 --",
    "../../etc/passwd",
    "javascript:alert(1)",
    [],
    {},
    [[[]]],
    {"a": {"b": None}},
]


async def send(
    member: Member, window_id: str, method: str, template: str, body: bytes
) -> tuple[int, bytes]:
    names = {
        "window_id": window_id,
        "order_no": "order-0001",
        "cancel_no": "cancel-0001",
        "mid": "rude-member",
        "card_id": "mpi-nh",
        "notice_id": "ntc_none",
        "tid": "sbx_none",
    }
    path = re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], "none"), template)
    if f"{method} {template}" in SIGNED:
        headers = member.headers(method, path, body)
    else:
        headers = {"Origin": member.url, "Content-Type": "application/json"}
    async with member.http.request(
        method, member.url + path, data=io.BytesIO(body) if body else None, headers=headers
    ) as answer:
        return answer.status, await answer.read()


async def test_bodies_that_are_no_json_object_are_refused(member: Member) -> None:
    window = await member.open()
    for method, path in POSTS:
        for body in BODIES:
            status, content = await send(member, window.window_id, method, path, body)
            assert status < 500, (path, body[:40], content)
            told = json.loads(content)
            assert status == 200 or (told["code"] and told["message"]), (path, told)


async def test_ten_megabytes_are_refused_in_words(member: Member) -> None:
    window = await member.open()
    body = b'{"a":"' + b"x" * 10_000_000 + b'"}'
    for method, path in POSTS:
        status, content = await send(member, window.window_id, method, path, body)
        assert (status, json.loads(content)["code"]) == (413, "TOO_LARGE"), path


GOOD: list[tuple[str, Json]] = [
    (
        "/v1/approvals",
        {"order_no": "order-0001", "auth_token": "t", "amount": 1, "currency": "KRW"},
    ),
    (
        "/v1/cancels",
        {
            "tid": "t",
            "cancel_no": "cancel-0001",
            "amount": 1,
            "balance_before": 1,
            "reason": "",
            "refund_account": {"bank_code": "004", "number": "1", "holder": "x"},
        },
    ),
    (
        "/v1/virtual-accounts",
        {
            "order_no": "order-0001",
            "amount": 1,
            "currency": "KRW",
            "bank_code": "004",
            "holder": "x",
            "due": 4_000_000_000,
            "item_name": "x",
            "merchant_name": "x",
            "merchant_order_no": "x",
            "profile": "kcp",
            "notice_url": None,
            "buyer": None,
        },
    ),
    ("/desk/deposits", {"number": "0000000000", "amount": 1, "depositor": "x"}),
    (
        "/window/{window_id}/mpi",
        {
            "card_number": "4111111111111111",
            "expiry": "1249",
            "cvc": "123",
            "password": "x",
            "installment_months": 0,
        },
    ),
    (
        "/window/{window_id}/isp/enrol",
        {"card_id": "isp-bc", "card_number": None, "public_key": "AA==", "proof": "AA=="},
    ),
    ("/window/{window_id}/isp/challenge", {"certificate_serial": "abc"}),
    (
        "/window/{window_id}/isp/answer",
        {
            "challenge_id": "x",
            "signature": "AA==",
            "certificate_pem": "x",
            "installment_months": 0,
        },
    ),
    ("/window/{window_id}/simple/keypad", {"card_id": "simple-kb"}),
    (
        "/window/{window_id}/simple/pin",
        {"session": "x", "positions": [0, 1, 2, 3, 4, 5], "installment_months": 0},
    ),
    (
        "/window/{window_id}/trans",
        {"bank_code": "004", "account_number": "12345678", "password": "x"},
    ),
    ("/window/{window_id}/phone/code", {"carrier": "SKT", "number": "01012345678"}),
    ("/window/{window_id}/phone/answer", {"code": "000000"}),
    ("/window/{window_id}/vbank", {"bank_code": "004", "holder": "x", "cash_receipt": None}),
    ("/window/{window_id}/scenario", {"scenario": "limit_exceeded"}),
]


async def test_each_field_with_a_hostile_value_is_refused(member: Member) -> None:
    for path, good in GOOD:
        window = await member.open(pay_method="card")
        for name in good:
            for value in HOSTILE_VALUES:
                body = json.dumps(good | {name: value}).encode()
                status, content = await send(member, window.window_id, "POST", path, body)
                assert status < 500, (path, name, value, content)
                assert isinstance(json.loads(content), dict)


async def test_each_field_of_an_order_with_a_hostile_value_is_refused_or_kept_exactly(
    member: Member,
) -> None:
    good = member.order()
    for name in good:
        for value in HOSTILE_VALUES:
            order = member.order() | {name: value}
            status, content = await member.raw("POST", "/v1/orders", json.dumps(order).encode())
            assert status in (200, 400), (name, value, content)
    for url in (
        "javascript:alert(1)",
        "http://",
        "https://user@evil.example/",
        "http://a b/",
        "//evil.example",
        "file:///etc/passwd",
        "http://x/\n",
    ):
        order = member.order(return_url=url)
        assert (await member.raw("POST", "/v1/orders", json.dumps(order).encode()))[0] == 400
    for origin in ("*", "'self'", "https://a.example; script-src *", "https://a.example/path"):
        order = member.order(frame_ancestors=[origin])
        assert (await member.raw("POST", "/v1/orders", json.dumps(order).encode()))[0] == 400
    for change in ({"tax_free": 64901}, {"amount": 10**13}, {"order_no": "abcdef\n"}):
        order = member.order(**change)
        assert (await member.raw("POST", "/v1/orders", json.dumps(order).encode()))[0] == 400


HOSTILE_PATHS = (
    "%00",
    "%FF%FE",
    "a" * 5000,
    "%E2%80%A8",
    "..%2F..%2Fetc",
    "'%20OR%201=1",
    "%F0%9F",
)


async def test_hostile_paths_are_refused(member: Member) -> None:
    for method, path in ALL:
        for value in HOSTILE_PATHS if "{" in path else ():
            raw = re.sub(r"\{\w+\}", lambda _, value=value: value, path)
            body = b"{}" if method in ("POST", "PUT") else b""
            request = "\r\n".join(
                (
                    f"{method} {raw} HTTP/1.1",
                    "Host: x",
                    f"Origin: {member.url}",
                    "Content-Type: application/json",
                    f"Content-Length: {len(body)}",
                    "Connection: close",
                    *(f"{k}: {v}" for k, v in member.headers(method, raw, body).items()),
                    "",
                    "",
                )
            )
            status = await speak(member.url, request.encode() + body)
            assert 400 <= status < 500, (method, raw)


async def speak(url: str, words: bytes) -> int:
    """Raw bytes to the server; the status of its answer."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(words)
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return int(line.split()[1])


async def test_unknown_addresses_and_verbs_are_refused_in_words(pg: Pg) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("PATCH", "/v1/orders", 405),
        ("GET", "/static/../ledger.py", 404),
        ("GET", "/static/%2e%2e/ledger.py", 404),
    ):
        async with pg.http.request(method, pg.url + path) as answer:
            assert answer.status == status
            assert (await answer.json())["code"]


async def test_a_client_that_hangs_up_in_the_middle_harms_nobody(pg: Pg, member: Member) -> None:
    host, port = pg.url.removeprefix("http://").split(":")
    for _ in range(20):
        rude = socket.create_connection((host, int(port)))
        rude.sendall(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        rude.close()
    await member.paid()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
    name=st.sampled_from(["amount", "item_name", "buyer", "installments", "language", "extra"]),
)
def test_announcements_decode_or_are_refused(value: object, name: str) -> None:
    base: dict[str, object] = {
        "order_no": "order-0001",
        "amount": 1,
        "currency": "KRW",
        "item_name": "x",
        "merchant_name": "x",
        "merchant_order_no": "x",
        "pay_method": "card",
        "profile": "kcp",
    }
    body = json.dumps(base | {name: value}).encode()
    try:
        announced = read_json(body, Announcement)
    except Refusal:
        return
    assert announced.offered_months
    assert all(month >= 0 for month in announced.offered_months)

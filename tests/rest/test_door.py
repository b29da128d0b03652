"""naru/rest/door.py: the rules of the transport, asked of every row of the table.

A new operation is covered by being in the table (tests/contract/examples.py). That another merchant's things are nobody's is
tried in tests/contract/test_isolation.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from yarl import URL

from naru.domain.errors import NaruError
from naru.domain.payment import Payment
from naru.rest import Operation, operations
from naru.rest.door import BODY_BYTES_MAX
from naru.store import Store, StoreUnavailable
from tests.contract.examples import right_request
from tests.contract.fuzz import flat
from tests.rest.conftest import Answered, Desk
from tests.support.scale import often

UNAUTHORIZED = (401, -1, "Unauthorized")

# Whose things are meant, beside a payment: nobody's, by the same name each time.
NOBODY = {
    "customer_uid": "nobody",
    "product_order_id": "2026112300000001",
    "member_id": "nobody",
    "tier_code": "ZZZ",
    "channel_key": "channel-key-nobody",
}


def key_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def signed_in() -> Iterator[Operation]:
    return (operation for operation in operations() if operation.verb is not None)


every_operation = pytest.mark.parametrize("operation", operations(), ids=key_of)
every_signed_in_operation = pytest.mark.parametrize("operation", list(signed_in()), ids=key_of)


# What a body or a query is, is read before an operation is asked: a few of them see what all would see.
some_operations = pytest.mark.parametrize("operation", operations()[:: often(6, 1)], ids=key_of)


def about(operation: Operation, payment: Payment) -> tuple[str, dict[str, Any]]:
    """The path and the fields that call this operation about a payment."""
    names = {"imp_uid": str(payment.imp_uid), "merchant_uid": str(payment.merchant_uid)}
    return right_request(operation, NOBODY | names)


def as_form(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """The same fields as PHP writes them into a form or a query."""
    return [pair for name, value in fields.items() for pair in flat(name, value)]


async def call(
    desk: Desk, operation: Operation, payment: Payment, *, tail: str = "", token: str | None = ""
) -> Answered:
    path, fields = about(operation, payment)
    if operation.method == "GET":
        query = f"?{urlencode(as_form(fields))}" if fields else ""
        return await desk.ask("GET", path + tail + query, token=token, allow_redirects=False)
    return await desk.ask(
        operation.method, path + tail, token=token, json=fields, allow_redirects=False
    )


@every_operation
async def test_every_answer_is_an_envelope_in_one_piece(desk: Desk, operation: Operation) -> None:
    payment = await desk.pay()

    answer = await call(desk, operation, payment)

    assert set(answer.body) == {"code", "message", "response"}
    assert (answer.body["code"] == 0) == (answer.body["message"] is None)
    assert isinstance(answer.body["message"], str) or answer.body["code"] == 0
    assert answer.raw.isascii()
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert answer.headers["Content-Length"] == str(len(answer.raw))
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Transfer-Encoding" not in answer.headers
    assert answer.status < 500 or answer.status == 501  # V1: a PG that cannot (REST §8)


@every_operation
async def test_a_trailing_slash_counts_for_nothing(desk: Desk, operation: Operation) -> None:
    first, second = await desk.pay(), await desk.pay()

    plain = await call(desk, operation, first)
    slashed = await call(desk, operation, second, tail="/")

    # Some refusals name the payment that was asked about.
    status, code, message = plain.verdict
    if message is not None:
        message = message.replace(first.imp_uid, second.imp_uid)
    assert slashed.verdict == (status, code, message)


@pytest.mark.fault("J1_WD")
@pytest.mark.promise("P22")
@every_signed_in_operation
async def test_without_a_living_token_nothing_is_told(desk: Desk, operation: Operation) -> None:
    payment = await desk.pay()

    for token in (None, "f" * 40, "Bearer nonsense"):
        assert (await call(desk, operation, payment, token=token)).verdict == UNAUTHORIZED
    # Who asks comes before what is asked.
    path, _ = about(operation, payment)
    garbage = await desk.ask(operation.method, path, token=None, data=b'{"a": \xff')
    assert garbage.verdict == UNAUTHORIZED


@every_signed_in_operation
async def test_the_token_is_taken_from_every_place(desk: Desk, operation: Operation) -> None:
    path, fields = about(operation, await desk.pay())
    token = desk.shop.token
    for headers, query in (
        ({"Authorization": f"BEARER {token}"}, {}),
        ({"Authorization": f"basic {token}"}, {}),
        ({"X-ImpTokenHeader": token}, {}),
        ({}, {"_token": token}),
    ):
        answer = await desk.ask(
            operation.method,
            path,
            token=None,
            headers=headers,
            params={**query},
            data=as_form(fields),
        )
        assert answer.status != 401


@pytest.mark.parametrize(
    "operation", [each for each in signed_in() if each.method == "GET"], ids=key_of
)
async def test_a_get_may_come_as_a_post(desk: Desk, operation: Operation) -> None:
    if operation.path in {each.path for each in operations() if each.method == "POST"}:
        pytest.skip("this path has a POST of its own")
    payment = await desk.pay()
    path, fields = about(operation, payment)
    got = await call(desk, operation, payment)

    for how in ({"data": as_form(fields)}, {"params": as_form(fields)}):
        posted = await desk.ask("POST", path, **how)  # type: ignore[arg-type]
        assert (posted.status, posted.body) == (got.status, got.body)


HOSTILE_BODIES: list[tuple[bytes, str]] = [
    (b"{", "application/json"),
    (b"[]", "application/json"),
    (b"null", "application/json"),
    (b'"text"', "application/json"),
    (
        b'{"imp_uid": "\\u0000", "merchant_uid": "\\u0000", "imp_key": "\\u0000"}',
        "application/json",
    ),
    (b'{"imp_uid": "\\ud800", "merchant_uid": "\\udfff"}', "application/json"),
    (b'{"imp_uid": "\xff", "merchant_uid": "\xc0\xaf"}', "application/json"),
    (b'{"imp_uid": {"$gt": ""}, "merchant_uid": {"a": []}, "imp_key": {}}', "application/json"),
    (b'{"imp_uid": [[[]]], "merchant_uid": [null], "imp_key": [1]}', "application/json"),
    (b'{"imp_uid": true, "merchant_uid": false, "imp_key": true}', "application/json"),
    (b'{"amount": NaN}', "application/json"),
    (b'{"amount": 1e999999999}', "application/json"),
    (b'{"amount": ' + b"9" * 6_000 + b"}", "application/json"),
    (b'{"page": 1e10, "limit": -1, "from": "x", "sorting": []}', "application/json"),
    (b'{"a":' * 50_000, "application/json"),
    (
        b'{"imp_uid": "' + b"x" * 900_000 + b'", "merchant_uid": "' + b"y" * 90_000 + b'"}',
        "application/json",
    ),
    (b"imp_uid=%00&merchant_uid=%00&imp_key=%00", "application/x-www-form-urlencoded"),
    (b"imp_uid=%ff&merchant_uid=%c0%af", "application/x-www-form-urlencoded"),
    (b"imp_uid[a][b]=1&merchant_uid[]=2&amount[]=3", "application/x-www-form-urlencoded"),
    (b"a" + b"[b]" * 5_000 + b"=1", "application/x-www-form-urlencoded"),
    (b"x=1&" * 200_000, "application/x-www-form-urlencoded"),
    (b"imp_uid='; DROP TABLE payments; --", "application/x-www-form-urlencoded"),
    (b"--x\r\n\r\n1\r\n--x--", "multipart/form-data; boundary=x"),
    (b"<a/>", "text/xml"),
    (b"\x00" * 1_000, "application/octet-stream"),
    (bytes(range(256)) * 4, ""),
]


@some_operations
async def test_no_body_breaks_the_door(desk: Desk, operation: Operation) -> None:
    path, _ = about(operation, await desk.pay())

    for body, content_type in HOSTILE_BODIES:
        answer = await desk.ask(
            operation.method, path, headers={"Content-Type": content_type}, data=body
        )
        assert answer.status < 500, body[:60]
        assert set(answer.body) == {"code", "message", "response"}


@some_operations
async def test_no_query_breaks_the_door(desk: Desk, operation: Operation) -> None:
    path, _ = about(operation, await desk.pay())

    for query in (
        "%00",
        "a=%00",
        "a=%ff",
        "imp_uid[]=%00",
        "imp_uid[x][y]=1",
        "page=%ff",
        "_token[]=x",
        "&".join("a[b]" for _ in range(3_000)),
        "%5B%5D=1",
        "=",
        "&&&",
        "imp_uid[999999999]=1",
    ):
        address = URL(f"{desk.address}{path}?{query}", encoded=True)
        headers = {"Authorization": desk.shop.token}
        async with desk.http.request(operation.method, address, headers=headers) as answer:
            assert answer.status < 500, query[:60]
            assert set(await answer.json()) == {"code", "message", "response"}


async def raw(desk: Desk, sent: bytes) -> bytes:
    """What the door writes back to these bytes, until it closes the line."""
    host, port = desk.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_token_answer_arrives_with_its_length_and_not_in_chunks(desk: Desk) -> None:
    body = json.dumps({"imp_key": desk.shop.imp_key, "imp_secret": desk.shop.imp_secret}).encode()

    answer = await raw(
        desk,
        b"POST /users/getToken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
    )

    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(rest) in head.lower()
    assert b"chunked" not in head.lower()
    assert json.loads(rest)["response"]["access_token"] == desk.shop.token


async def test_a_chunked_body_is_read_and_counted(desk: Desk) -> None:
    head = (
        b"POST /payments/prepare HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % desk.shop.token.encode()
    )
    body = b'{"merchant_uid": "chunked", "amount": 1}'

    read = await raw(desk, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    endless = await raw(desk, head + (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 16 + b"0\r\n\r\n")

    assert status_of(read) == 200
    assert status_of(endless) == 413


async def test_a_body_over_one_megabyte_is_refused_and_the_caller_can_read_why(desk: Desk) -> None:
    answer = await raw(
        desk,
        b"POST /payments/cancel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: %s\r\nContent-Length: 10000000\r\n\r\n"
        % desk.shop.token.encode()
        + b"x" * 10_000_000,
    )
    fits = await desk.ask("POST", "/payments/cancel", data=b"a=" + b"x" * (BODY_BYTES_MAX - 2))
    over = await desk.ask("POST", "/payments/cancel", data=b"a=" + b"x" * (BODY_BYTES_MAX - 1))

    assert status_of(answer) == 413
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == -1
    assert (fits.status, over.status) == (200, 413)


async def test_an_unknown_path_and_a_wrong_verb_are_told_in_an_envelope(desk: Desk) -> None:
    unknown = await desk.ask("GET", "/no/such/thing")
    wrong = await desk.ask("DELETE", "/payments/cancel")

    assert (unknown.status, unknown.body["code"]) == (404, -1)
    assert (wrong.status, wrong.body["code"], wrong.headers["Allow"]) == (405, -1, "POST")


async def test_head_is_a_get_without_a_body(desk: Desk) -> None:
    answer = await desk.ask("HEAD", "/cards")

    assert (answer.status, answer.raw) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 1_000


async def test_what_nobody_foresaw_is_logged_under_the_reference_that_is_answered(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def broken_clock() -> None:
        raise ZeroDivisionError("the clock fell off the wall")

    desk.gateway.now = broken_clock  # type: ignore[assignment]

    with caplog.at_level(logging.ERROR, "naru.rest"):
        answer = await desk.ask("GET", f"/users/pg?_token={desk.shop.token}")

    assert (answer.status, answer.body["code"], answer.response) == (500, -1, None)
    [record] = [each for each in caplog.records if each.name == "naru.rest"]
    reference = answer.body["message"].split(" : ")[1].rstrip(")")
    assert reference in record.getMessage()
    assert desk.shop.token not in caplog.text
    assert "clock" not in answer.body["message"]


@pytest.mark.fault("J1_DB")
async def test_a_lost_database_is_a_503_that_says_try_again(desk: Desk) -> None:
    assert issubclass(StoreUnavailable, NaruError)

    # Nobody listens there.
    desk.gateway.store = Store("postgresql://naru@127.0.0.1:1/naru")

    answer = await desk.ask("GET", "/users/pg")

    assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (503, -1, "1")


async def test_a_caller_who_hangs_up_in_the_middle_leaves_no_trace(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = desk.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /payments/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await desk.ask("GET", "/users/pg")).status == 200
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]

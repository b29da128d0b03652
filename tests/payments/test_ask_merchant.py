"""The confirm process against a true server, for naru/payments/ask_merchant.py."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from naru.domain.money import Money
from naru.payments.ask_merchant import TIMEOUTS, Confirmed, Refused, ask_merchant, read_reason
from naru.wire import Timeouts, Wire
from tests.support.receiver import Receiver, Told, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as server:
        yield server


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire(allow_private=True, ports=None) as opened:
        yield opened


async def ask(wire: Wire, url: str, amount: Money | None = None) -> Confirmed | Refused:
    return await ask_merchant(wire, url, "imp_1", "order-1", amount or Money(1004))


async def test_200_lets_the_approval_go_on(wire: Wire, receiver: Receiver) -> None:
    assert await ask(wire, f"{receiver.url}/confirm") == Confirmed()
    [told] = receiver.told
    assert told.headers["Content-Type"] == "application/json"
    assert json.loads(told.body) == {"imp_uid": "imp_1", "merchant_uid": "order-1", "amount": 1004}


async def test_the_amount_is_i_mports_number(wire: Wire, receiver: Receiver) -> None:
    await ask(wire, receiver.url, Money(1250, "USD"))
    assert json.loads(receiver.told[0].body)["amount"] == 12.5


@pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 404, 500, 503])
async def test_anything_else_stops_it(wire: Wire, receiver: Receiver, status: int) -> None:
    receiver.then = status
    assert await ask(wire, receiver.url) == Refused(
        "고객사 요청에 의해 결제를 중단합니다. (상세사유 : 알 수 없음)"
    )
    assert len(receiver.told) == 1


async def test_the_merchants_reason_is_told(wire: Wire, receiver: Receiver) -> None:
    receiver.then = 400
    receiver.text = '{"reason":"재고 부족"}'
    assert await ask(wire, receiver.url) == Refused(
        "고객사 요청에 의해 결제를 중단합니다. (상세사유 : 재고 부족)"
    )


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "ftp://shop.example/", "http://[", "http://x.invalid/"]
)
async def test_a_merchant_that_cannot_be_asked_stops_it(wire: Wire, url: str) -> None:
    assert isinstance(await ask(wire, url), Refused)


async def test_silence_stops_it(wire: Wire, receiver: Receiver) -> None:
    async def never(told: Told) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    receiver.reply = never
    began = time.monotonic()
    said = await ask_merchant(
        wire, receiver.url, "imp_1", "order-1", Money(1004), timeouts=Timeouts(total=0.3)
    )
    assert isinstance(said, Refused)
    assert time.monotonic() - began < 3


def test_the_merchant_has_ten_seconds_in_all() -> None:
    assert TIMEOUTS.total == 10


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "알 수 없음"),
        (b"{", "알 수 없음"),
        (b"[1]", "알 수 없음"),
        (b'{"reason":1}', "알 수 없음"),
        (b'{"reason":""}', "알 수 없음"),
        (b'{"reason":" \\n "}', "알 수 없음"),
        (b'{"reason":"a\\u0000b\\nc"}', "a b c"),
        (b'{"reason":"x\\ud800y"}', "xy"),
        (b"\xff\xfe", "알 수 없음"),
        (b"[" * 100_000, "알 수 없음"),
        ('{"reason":"' + "가" * 5000 + '"}', "가" * 200),
    ],
)
def test_a_reason_is_one_short_line_or_unknown(body: bytes | str, reason: str) -> None:
    assert read_reason(body if isinstance(body, bytes) else body.encode()) == reason

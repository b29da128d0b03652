"""A payment is opened while the disk is full, or late and out of order: rows A2 and A3 under DF and RO."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from naru.checkout.routes import USUAL_PACE
from naru.domain.payment import Step
from tests.checkout.gate import SHOP, Gate
from tests.checkout.test_pace import paced
from tests.killing.test_no_room import no_room

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.fault("A2_DF")
@pytest.mark.parametrize("table", ["payments", "payment_secrets", "payment_events"])
async def test_a_payment_that_finds_no_room_is_not_opened_and_the_page_may_ask_again(
    gate: Gate, table: str
) -> None:
    body, before = gate.body(), await gate.count()
    async with no_room(gate.house, table):
        for _ in range(3):
            status, refused, _ = await gate.post(body)
            assert (status, refused["error"]["error_code"]) == (503, "F500")
    assert await gate.count() == before
    status, opened, _ = await gate.post(body)
    assert status == 200
    await gate.pay(opened)
    assert (await gate.payment(opened)).step is Step.PAID


@pytest.mark.fault("A3_DF")
async def test_a_window_on_a_full_disk_is_closed_and_opens_when_there_is_room(
    own_gate: Gate,
) -> None:
    """The first page only reads; the way to the PG counts who comes, and without counting nobody goes."""
    opened = await own_gate.open()
    async with paced(own_gate, USUAL_PACE) as gate, no_room(gate.house, "limits"):
        path = urlsplit(opened["window_url"].replace("/checkout/window/", "/checkout/enter/"))
        for _ in range(3):
            async with gate.http.get(
                f"{gate.url}{path.path}?{path.query}",
                headers={"X-Forwarded-For": "8.8.8.8"},
                allow_redirects=False,
            ) as answer:
                assert answer.status == 503
                assert "지금은 결제를 진행할 수 없습니다." in await answer.text()
    assert await own_gate.house.history(opened["imp_uid"]) == ["opened"]
    await own_gate.pay(opened)
    assert (await own_gate.payment(opened)).step is Step.PAID


class Late:
    """A request of which the second half is still under way."""

    def __init__(self, gate: Gate, body: dict[str, Any]) -> None:
        self._parts = urlsplit(gate.url)
        self._raw = json.dumps(body).encode()

    async def leaves(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            self._parts.hostname, self._parts.port
        )
        self._writer.write(
            f"POST /checkout/payments HTTP/1.1\r\nHost: {self._parts.netloc}\r\nOrigin: {SHOP}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(self._raw)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + self._raw[:-3]
        )
        await self._writer.drain()

    async def arrives(self) -> tuple[int, dict[str, Any]]:
        self._writer.write(self._raw[-3:])
        answer = await self._reader.read()
        self._writer.close()
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), json.loads(content)


@pytest.mark.fault("A2_RO")
@pytest.mark.promise("P2")
@pytest.mark.parametrize("paid_first", ["the first sent", "the last sent"])
async def test_openings_that_arrive_in_another_order_are_windows_of_an_order_paid_once(
    gate: Gate, paid_first: str
) -> None:
    body = gate.body()
    late, very_late = Late(gate, body), Late(gate, body)
    await late.leaves()
    await very_late.leaves()
    status, overtaking, _ = await gate.post(body)
    assert status == 200
    status, overtaken = await late.arrives()
    assert status == 200
    windows = [overtaken, overtaking]
    if paid_first == "the last sent":
        windows.reverse()
    forms = [await gate.authenticate(window) for window in windows]
    for form in forms:
        await gate.come_back(form)
    payments = [await gate.payment(window) for window in windows]
    assert [payment.step for payment in payments] == [Step.PAID, Step.FAILED]
    assert payments[1].fail_code == "F1002"
    # Hours later nothing is different: the order is paid, and no window opens.
    status, refused = await very_late.arrives()
    assert (status, refused["error"]["error_code"]) == (400, "F1002")
    assert [await gate.payment(window) for window in windows] == payments

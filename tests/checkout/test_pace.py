"""How often browsers may come: per address and per merchant, and what they hear beyond it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from naru import checkout
from naru.checkout.routes import USUAL_PACE, Pace
from naru.domain.limit import Limit
from naru.store.limits import Limiter
from tests.checkout.browser import serve
from tests.checkout.gate import SHOP, Gate, Json

pytestmark = pytest.mark.asyncio(loop_scope="session")

FEW = Limit("few", 5, 60)


@contextlib.asynccontextmanager
async def paced(gate: Gate, pace: Pace) -> AsyncIterator[Gate]:
    """The same door at another pace, behind a proxy that names its clients."""
    app = Starlette(routes=checkout.routes(gate.house.gateway, pace))
    async with serve(ProxyHeadersMiddleware(app, trusted_hosts=["127.0.0.1"])) as url:  # type: ignore[arg-type]
        yield replace(gate, url=url)


async def open_from(gate: Gate, address: str) -> tuple[int, Json, dict[str, str]]:
    headers = {"Origin": SHOP, "X-Forwarded-For": address}
    async with gate.http.post(
        f"{gate.url}/checkout/payments", data=json.dumps(gate.body()), headers=headers
    ) as answer:
        return answer.status, await answer.json(), dict(answer.headers)


async def crowd(gate: Gate, address: str, size: int = 64) -> list[int]:
    answers = await asyncio.gather(*(open_from(gate, address) for _ in range(size)))
    return sorted(status for status, _, _ in answers)


async def test_of_sixty_four_windows_at_once_an_address_opens_its_share(own_gate: Gate) -> None:
    slow = replace(USUAL_PACE, openings_of_address=FEW)
    async with paced(own_gate, slow) as gate:
        assert await crowd(gate, "8.8.8.8") == [200] * 5 + [429] * 59
        assert await gate.count() == 5
        # Another address, another line of IPv6; a neighbour's address is nobody's.
        assert (await open_from(gate, "9.9.9.9"))[0] == 200
        assert await crowd(gate, "10.0.0.1", 8) == [200] * 8
        for host in range(5):
            assert (await open_from(gate, f"2001:4860:4860:1::{host}"))[0] == 200
        assert (await open_from(gate, "2001:4860:4860:1:ffff::1"))[0] == 429
        assert (await open_from(gate, "2001:4860:4860:2::1"))[0] == 200

        _, answer, headers = await open_from(gate, "8.8.8.8")
        assert answer["error"]["success"] is False
        assert answer["error"]["error_code"] == "F429"
        assert 1 <= int(headers["Retry-After"]) <= 60
        assert headers["Access-Control-Allow-Origin"] == "*"

        own_gate.house.clock.advance(seconds=61)
        assert (await open_from(gate, "8.8.8.8"))[0] == 200
    # Control: at the usual pace the same crowd is let in.
    async with paced(own_gate, USUAL_PACE) as gate:
        assert await crowd(gate, "8.8.4.4") == [200] * 64


async def test_a_merchant_opens_its_share_and_no_other_page_uses_it_up(own_gate: Gate) -> None:
    slow = replace(USUAL_PACE, openings_of_merchant=FEW)
    async with paced(own_gate, slow) as gate:
        foreign = [
            await gate.post(gate.body(), origin="https://attacker.example") for _ in range(8)
        ]
        answers = await asyncio.gather(*(gate.post(gate.body()) for _ in range(64)))

    assert {status for status, _, _ in foreign} == {403}
    assert sorted(status for status, _, _ in answers) == [200] * 5 + [429] * 59


async def test_a_merchant_at_a_hundred_a_second_never_waits(own_gate: Gate) -> None:
    """A minute of it, counted as the door counts; control: five hundred a second are too many."""
    kept = Limiter(own_gate.house.gateway.store)
    now = datetime.now(UTC)
    limit = USUAL_PACE.openings_of_merchant

    waits = [await kept.take(limit, "a merchant", now) for _ in range(6_000)]
    beyond = [await kept.take(limit, "a loop", now) for _ in range(limit.most + 1)]

    assert set(waits) == {None}
    assert beyond.index(60) == limit.most


async def test_a_result_is_asked_for_at_a_pace_too(own_gate: Gate) -> None:
    slow = replace(USUAL_PACE, results_of_address=FEW)
    opened = await own_gate.open()
    async with paced(own_gate, slow) as gate:

        async def result(address: str) -> tuple[int, Any]:
            async with gate.http.get(
                f"{gate.url}/checkout/payments/{opened['imp_uid']}/result",
                params={"token": opened["token"]},
                headers={"X-Forwarded-For": address},
            ) as answer:
                assert ("Retry-After" in answer.headers) == (answer.status == 429)
                return answer.status, (await answer.json())["state"]

        answers = await asyncio.gather(*(result("8.8.8.8") for _ in range(64)))
        other = await result("9.9.9.9")

    states = sorted(answers)
    assert [status for status, _ in states] == [200] * 5 + [429] * 59
    # Not final: the page asks again, and never tells the buyer that it failed.
    assert {state for status, state in states if status == 429} == {"unknown"}
    assert other == states[0]


async def test_the_pg_is_asked_for_a_window_at_a_pace(own_gate: Gate) -> None:
    slow = replace(USUAL_PACE, entries_of_address=FEW)
    opened = await own_gate.open()
    async with paced(own_gate, slow) as gate:

        async def enter(address: str) -> int:
            async with gate.http.get(
                f"{gate.url}/checkout/enter/{opened['imp_uid']}",
                params={"token": opened["token"]},
                headers={"X-Forwarded-For": address},
                allow_redirects=False,
            ) as answer:
                assert ("Retry-After" in answer.headers) == (answer.status == 429)
                return answer.status

        answers = [await enter("8.8.8.8") for _ in range(7)]
        other = await enter("9.9.9.9")

    assert answers == [303] * 5 + [429] * 2
    assert other == 303

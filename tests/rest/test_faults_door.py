"""The REST door under faults: rows A1 (an amount is announced) and J1 (a token is asked for).

What the caller's line or our database does to a request: nothing happened, or it happened once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.rest.conftest import NUMBERS, Answered, Desk
from tests.rest.test_authenticate import get_token, pair
from tests.rest.test_idempotency import REPLAYED, key, send
from tests.support.database_away import database_away

PREPARE = "/payments/prepare"


@asynccontextmanager
async def unheard(
    desk: Desk, path: str, fields: dict[str, Any], name: str | None = None, *, whole: bool = True
) -> AsyncIterator[None]:
    """POST over a line of its own and hang up at the end of the block without reading the answer."""
    host, port = desk.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    raw = json.dumps(fields).encode()
    named = f"Idempotency-Key: {name}\r\n" if name else ""
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {desk.shop.token}\r\n{named}"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
        + (raw if whole else raw[:-3])
    )
    await writer.drain()
    try:
        yield
    finally:
        writer.transport.abort()


async def announced(desk: Desk, uid: str) -> Answered:
    return await desk.ask("GET", f"{PREPARE}/{uid}")


def sentence() -> dict[str, Any]:
    return {"merchant_uid": f"fault-{next(NUMBERS)}", "amount": 1004}


@pytest.mark.fault("A1_LQ")
async def test_half_an_announcement_announces_nothing(desk: Desk) -> None:
    fields = sentence()
    for _ in range(3):
        async with unheard(desk, PREPARE, fields, whole=False):
            pass
    assert (await announced(desk, fields["merchant_uid"])).body["code"] != 0
    assert (await send(desk, "POST", PREPARE, None, **fields)).verdict == (200, 0, None)


@pytest.mark.fault("A1_LR")
async def test_an_announcement_whose_answer_was_lost_is_answered_again_under_its_key(
    desk: Desk,
) -> None:
    fields, name = sentence(), key()
    async with unheard(desk, PREPARE, fields, name), asyncio.timeout(10):
        while (await announced(desk, fields["merchant_uid"])).body["code"] != 0:
            await asyncio.sleep(0.01)
    again = await send(desk, "POST", PREPARE, name, **fields)
    assert again.verdict == (200, 0, None)
    assert REPLAYED in {header.lower() for header in again.headers}
    # The control: without the key the repeat hears that somebody was first, and changes nothing.
    bare = await send(desk, "POST", PREPARE, None, **{**fields, "amount": 5})
    assert bare.body["code"] == 1
    assert (await announced(desk, fields["merchant_uid"])).response["amount"] == 1004


@pytest.mark.fault("A1_DB", "A1_DF", "A1_NP", "J1_DB", "J1_DF", "J1_NP")
async def test_without_a_database_the_door_is_closed_and_opens_by_itself(
    desk: Desk, rest_database: str
) -> None:
    fields = sentence()
    async with database_away(rest_database):
        for _ in range(3):
            for answer in (
                await send(desk, "POST", PREPARE, None, **fields),
                await get_token(desk, json=pair(desk.shop)),
                await get_token(desk, json={**pair(desk.shop), "imp_secret": "wrong"}),
                await desk.ask("GET", "/users/pg"),
                await desk.ask("GET", "/users/pg", token="f" * 40),
                await desk.ask("GET", "/users/pg", token=None),
            ):
                assert answer.status in (401, 503), "never an unauthenticated pass"
                assert answer.body["response"] is None
            assert answer.status == 401, "who brings no token needs no database to be refused"
    assert (await get_token(desk, json=pair(desk.shop))).response["access_token"] == desk.shop.token
    assert (await announced(desk, fields["merchant_uid"])).body["code"] != 0
    assert (await send(desk, "POST", PREPARE, None, **fields)).verdict == (200, 0, None)


@pytest.mark.fault("J1_LQ", "J1_LR")
@pytest.mark.promise("P22")
@pytest.mark.parametrize("whole", [False, True])
async def test_a_token_whose_question_or_answer_was_lost_is_one_token(
    desk: Desk, whole: bool
) -> None:
    old = desk.shop.token
    desk.clock.advance(1801)
    for _ in range(3):
        async with unheard(desk, "/users/getToken", pair(desk.shop), whole=whole):
            pass
    tokens = [
        (await get_token(desk, json=pair(desk.shop))).response["access_token"] for _ in range(3)
    ]
    assert len(set(tokens)) == 1
    assert tokens[0] != old

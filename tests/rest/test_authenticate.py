"""naru/rest/authenticate.py: the token's life, and the four places that carry it."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from naru.rest.authenticate import read_token, token_after
from tests.rest.conftest import Answered, Desk, Shop

MISSING = (400, -1, "imp_key, imp_secret 파라메터가 누락되었습니다.")
WRONG = (401, -1, "인증에 실패하였습니다. API키와 secret을 확인하세요.")
UNAUTHORIZED = (401, -1, "Unauthorized")


def pair(shop: Shop) -> dict[str, str]:
    return {"imp_key": shop.imp_key, "imp_secret": shop.imp_secret}


async def get_token(desk: Desk, **how: Any) -> Answered:
    return await desk.ask("POST", "/users/getToken", token=None, **how)


@pytest.mark.operation("POST /users/getToken")
async def test_a_token_has_three_keys_and_half_an_hour(desk: Desk) -> None:
    answer = await get_token(desk, json=pair(desk.shop))

    assert answer.status == 200
    assert set(answer.response) == {"access_token", "now", "expired_at"}
    assert answer.response["now"] == int(desk.clock().timestamp())
    assert answer.response["expired_at"] - answer.response["now"] == 1800
    assert len(answer.response["access_token"]) == 40


async def test_the_pair_may_come_as_a_form_also_under_a_json_header(desk: Desk) -> None:
    for how in (
        {"data": pair(desk.shop)},
        {
            "data": f"imp_key={desk.shop.imp_key}&imp_secret={desk.shop.imp_secret}",
            "headers": {"Content-Type": "application/json"},
        },
    ):
        assert (await get_token(desk, **how)).response["access_token"] == desk.shop.token


@pytest.mark.parametrize(
    "fields", [{}, {"imp_key": "k"}, {"imp_secret": "s"}, {"imp_key": "k", "imp_secret": ""}]
)
async def test_half_a_pair_is_told_in_v1s_words(desk: Desk, fields: dict[str, str]) -> None:
    assert (await get_token(desk, json=fields)).verdict == MISSING
    assert (await get_token(desk, data=fields)).verdict == MISSING


@pytest.mark.fault("J1_WD")
async def test_a_wrong_pair_is_told_in_v1s_words(desk: Desk) -> None:
    for fields in (
        {**pair(desk.shop), "imp_secret": "wrong"},
        {**pair(desk.shop), "imp_key": "nobody"},
        {"imp_key": desk.shop.imp_key, "imp_secret": desk.stranger.imp_secret},
        {"imp_key": "nobody", "imp_secret": ""},
    ):
        expected = WRONG if fields["imp_secret"] else MISSING
        assert (await get_token(desk, json=fields)).verdict == expected


@pytest.mark.fault("J1_LR")
@pytest.mark.promise("P22")
@pytest.mark.operation("POST /users/getToken")
async def test_the_same_token_is_answered_until_its_last_minute(desk: Desk) -> None:
    first = (await get_token(desk, json=pair(desk.shop))).response
    desk.clock.advance(1800 - 61)
    later = (await get_token(desk, json=pair(desk.shop))).response

    assert later["access_token"] == first["access_token"]
    assert later["expired_at"] == first["expired_at"]


@pytest.mark.promise("P22")
async def test_the_last_minute_adds_five_minutes_to_the_same_token(desk: Desk) -> None:
    first = (await get_token(desk, json=pair(desk.shop))).response
    desk.clock.advance(1800 - 30)
    later = (await get_token(desk, json=pair(desk.shop))).response

    assert later["access_token"] == first["access_token"]
    assert later["expired_at"] == first["expired_at"] + 300
    desk.clock.advance(300)
    assert (await desk.ask("GET", "/users/pg")).status == 200


@pytest.mark.promise("P22")
async def test_after_its_end_a_token_is_dead_and_there_is_a_new_one(desk: Desk) -> None:
    desk.clock.advance(1801)

    assert (await desk.ask("GET", "/users/pg")).verdict == UNAUTHORIZED
    assert (await get_token(desk, json=pair(desk.shop))).response["access_token"] != desk.shop.token


@pytest.mark.fault("J1_DU")
async def test_sixty_four_sign_ins_at_once_get_one_token(desk: Desk) -> None:
    desk.clock.advance(1801)

    answers = await asyncio.gather(*(get_token(desk, json=pair(desk.shop)) for _ in range(64)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.response["access_token"] for answer in answers}) == 1


@pytest.mark.promise("P22")
async def test_a_revoked_key_takes_its_token_with_it(desk: Desk) -> None:
    async with desk.gateway.store.direct() as session:
        await session.merchants.revoke_key(desk.shop.imp_key, desk.clock())

    assert (await desk.ask("GET", "/users/pg")).verdict == UNAUTHORIZED
    assert (await get_token(desk, json=pair(desk.shop))).verdict == WRONG


@pytest.mark.promise("P19")
async def test_the_database_never_holds_a_token_or_a_secret(desk: Desk, rest_database: str) -> None:
    connection = await asyncpg.connect(rest_database)
    try:
        rows = await connection.fetch("SELECT * FROM api_keys")
    finally:
        await connection.close()
    everything = repr([dict(row) for row in rows])

    assert desk.shop.token not in everything
    assert desk.shop.imp_secret not in everything


async def test_the_token_is_read_from_each_of_its_places(desk: Desk) -> None:
    token = desk.shop.token
    for how in (
        {"headers": {"Authorization": token}},
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"headers": {"Authorization": f"bEARER   {token} "}},
        {"headers": {"Authorization": f"Basic {token}"}},
        {"headers": {"authorization": f"basic {token}"}},
        {"headers": {"X-ImpTokenHeader": token}},
        {"headers": {"x-imptokenheader": token}},
        {"params": {"_token": token}},
    ):
        answer = await desk.ask("GET", "/users/pg", token=None, **how)
        assert answer.status == 200, how


@pytest.mark.fault("J1_WD")
async def test_anything_else_is_unauthorized(desk: Desk) -> None:
    basic = base64.b64encode(f"{desk.shop.imp_key}:{desk.shop.imp_secret}".encode()).decode()
    for how in (
        {},
        {"headers": {"Authorization": ""}},
        {"headers": {"Authorization": "Bearer"}},
        {"headers": {"Authorization": "Bearer "}},
        {"headers": {"Authorization": f"Token {desk.shop.token}"}},
        {"headers": {"Authorization": f"Basic {basic}"}},
        {"headers": {"Authorization": desk.shop.token[:-1]}},
        {"headers": {"Authorization": desk.shop.token.upper()}},
        {"headers": {"Authorization": "f" * 8_000}},
        {"headers": {"Authorization": "é".encode().decode("latin-1")}},
        {"headers": {"Authorization": desk.shop.token, "Tier": "ABC"}},
        {"params": {"_token[]": desk.shop.token}},
        {"cookies": {"_token": desk.shop.token}},
    ):
        answer = await desk.ask("GET", "/users/pg", token=None, **how)
        assert answer.verdict == UNAUTHORIZED, how


def test_an_empty_place_is_passed_over_for_the_next() -> None:
    assert read_token({b"authorization": b"Bearer ", b"x-imptokenheader": b"t"}, b"") == "t"
    assert read_token({b"x-imptokenheader": b" "}, b"_token=t") == "t"
    assert read_token({b"authorization": b"first", b"x-imptokenheader": b"second"}, b"") == "first"


def test_a_token_life_is_counted_in_whole_seconds() -> None:
    now = datetime.fromisoformat("2026-01-01T00:00:00.999999+00:00")

    _, expires_at = token_after(None, None, now)

    assert expires_at.isoformat() == "2026-01-01T00:30:00+00:00"

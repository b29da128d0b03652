"""Carrier, number, and the code that arrives in the inbox."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.sandbox.stage import Member, Pg

PHONE = {"carrier": "SKT", "number": "010-1234-5678"}


async def latest_code(pg: Pg) -> str:
    async with pg.http.get(f"{pg.url}/inbox/messages") as answer:
        message = (await answer.json())["messages"][0]
    assert message["to"] == "010-****-5678"
    found = re.search(r"\[(\d{6})\]", message["text"])
    assert found is not None
    return found[1]


def other(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


async def test_the_code_of_the_inbox_pays(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="phone")
    assert (await window.ok("/phone/code", PHONE))["sent"] is True
    approval = await window.approve(
        await window.ok("/phone/answer", {"code": await latest_code(pg)})
    )
    assert approval["pay_method"] == "phone"


@pytest.mark.fault("B2_RO")
async def test_a_code_dies_after_three_minutes(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="phone")
    await window.ok("/phone/code", PHONE)
    code = await latest_code(pg)
    pg.clock.ahead += 181
    assert (await window.no("/phone/answer", {"code": code}))["code"] == "CODE_DEAD"


@pytest.mark.fault("B2_WD")
async def test_a_code_of_another_window_is_wrong(pg: Pg, member: Member) -> None:
    window, stranger = await member.open(pay_method="phone"), await member.open(pay_method="phone")
    await window.ok("/phone/code", PHONE)
    code = await latest_code(pg)
    assert (await stranger.no("/phone/answer", {"code": code}))["code"] == "CODE_DEAD"


@pytest.mark.fault("B2_DU")
async def test_sixty_four_guesses_at_once_are_five(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="phone")
    await window.ok("/phone/code", PHONE)
    code = await latest_code(pg)
    answers = await asyncio.gather(
        *(window.no("/phone/answer", {"code": other(code)}) for _ in range(64))
    )
    codes = [answer["code"] for answer in answers]
    assert codes.count("CODE_WRONG") == 5
    assert not (await window.post("/phone/answer", {"code": code}))["ok"]


async def test_codes_are_sent_five_times_at_most_and_only_the_last_counts(
    pg: Pg, member: Member
) -> None:
    window = await member.open(pay_method="phone")
    await window.ok("/phone/code", PHONE)
    first = await latest_code(pg)
    for _ in range(4):
        await window.ok("/phone/code", PHONE)
    last = await latest_code(pg)
    assert (await window.no("/phone/code", PHONE))["code"] == "TOO_MANY_CODES"
    if first != last:
        assert (await window.no("/phone/answer", {"code": first}))["code"] == "CODE_WRONG"
    await window.ok("/phone/answer", {"code": last})


async def test_a_phone_is_rung_ten_times_in_ten_minutes_however_many_windows_ask(
    pg: Pg, member: Member
) -> None:
    for _ in range(2):
        window = await member.open(pay_method="phone")
        for _ in range(5):
            await window.ok("/phone/code", PHONE)
    window = await member.open(pay_method="phone")

    refused = await window.no("/phone/code", PHONE)

    assert refused["code"] == "PHONE_RUNG_OFTEN"
    assert re.search(r"\d\d:\d\d 이후에 다시", refused["message"])
    await window.ok("/phone/code", PHONE | {"number": "01098765432"})
    pg.clock.ahead += 601
    await window.ok("/phone/code", PHONE)

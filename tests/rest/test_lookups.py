"""naru/rest/vbanks_holder.py and kakao.py: old paths that clients still call, against a running sandbox PG."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.rest.conftest import NUMBERS, Desk


@pytest.mark.operation("GET /vbanks/holder")
async def test_the_holder_of_an_account_is_found(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    answer = await desk.ask("GET", "/vbanks/holder?bank_code=004&bank_num=110-123-456789")

    assert answer.verdict == (200, 0, None)
    assert set(answer.response) == {"bank_holder"}
    for spelling in ("BK04", "04"):
        same = await desk.ask("GET", f"/vbanks/holder?bank_code={spelling}&bank_num=110123456789")
        assert same.response == answer.response
    posted = await desk.ask("POST", "/vbanks/holder", data="bank_code=004&bank_num=110123456789")
    assert posted.response == answer.response


async def test_a_virtual_account_is_in_the_name_that_it_was_issued_for(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    body = {
        "merchant_uid": f"holder-{next(NUMBERS)}",
        "amount": 1004,
        "vbank_code": "088",
        "vbank_due": int(desk.clock().timestamp()) + 86_400,
        "vbank_holder": "나루 상점",
    }
    issued = (await desk.ask("POST", "/vbanks", json=body)).response
    found = await desk.ask("GET", f"/vbanks/holder?bank_code=088&bank_num={issued['vbank_num']}")
    assert found.response == {"bank_holder": "나루 상점"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("bank_code=004&bank_num=1100000", 404),
        ("bank_code=004", 400),
        ("bank_num=110123456789", 400),
        ("bank_code=999&bank_num=110123456789", 400),
        ("bank_code=004&bank_num=abc", 400),
        ("bank_code=004&bank_num=" + "1" * 30, 400),
    ],
)
async def test_an_account_of_nobody_has_no_holder(
    desk_with_pg: Desk, query: str, status: int
) -> None:
    answer = await desk_with_pg.ask("GET", f"/vbanks/holder?{query}")
    assert (answer.status, answer.body["code"], answer.response) == (status, -1, None)


async def test_a_pg_that_cannot_be_reached_says_nothing(desk: Desk) -> None:
    answer = await desk.ask("GET", "/vbanks/holder?bank_code=004&bank_num=110123456789")
    assert (answer.status, answer.body["code"], answer.response) == (200, -1, None)


async def kakao_channel(desk: Desk) -> str:
    """The CID of a Kakao Pay channel: the shop's own MID at the sandbox, under another PG code."""
    channel = desk.shop.channel
    async with desk.gateway.store.begin() as tx:
        await tx.channels.add(
            desk.shop.merchant.id,
            f"kakao-{channel.channel_key}",
            "kakaopay",
            channel.mid,
            "sandbox",
            test=True,
            settings=channel.settings,
        )
    return channel.mid


@pytest.mark.operation("GET /kakao/payment/orders")
async def test_the_orders_of_a_day_are_listed(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    cid = await kakao_channel(desk)
    paid = await desk.buy(5000)
    await desk.ask("POST", "/payments/cancel", json={"imp_uid": paid.imp_uid, "amount": 2000})
    whole = await desk.buy(1500)
    day = f"{desk.clock() + timedelta(hours=9):%Y%m%d}"
    path = f"/kakao/payment/orders?payment_request_date={day}&cid={cid}"

    answer = await desk.ask("GET", path)

    assert answer.verdict == (200, 0, None)
    said = answer.response
    assert (said["cid"], said["page"], said["payment_request_date"]) == (cid, 1, day)
    assert [
        (each["partner_order_id"], each["status"], each["amount"]) for each in said["orders"]
    ] == [
        (paid.merchant_uid, "PART_CANCEL_PAYMENT", {"canceled": 2000, "total": 5000}),
        (whole.merchant_uid, "SUCCESS_PAYMENT", {"canceled": 0, "total": 1500}),
    ]
    assert (await desk.ask("GET", f"{path}&page=2")).response["orders"] == []
    yesterday = path.replace(day, "20200101")
    assert (await desk.ask("GET", yesterday)).response["orders"] == []
    foreign = await desk.ask("GET", path, token=desk.stranger.token)
    assert foreign.verdict == (200, 1, "등록 된 PG 설정 정보를 찾을 수 없습니다.")


@pytest.mark.parametrize(
    "query", ["", "payment_request_date=2026", "payment_request_date=20261301", "page=0"]
)
async def test_a_day_that_is_none_is_refused(desk: Desk, query: str) -> None:
    full: Any = query if "page" not in query else f"payment_request_date=20260101&{query}"
    answer = await desk.ask("GET", f"/kakao/payment/orders?{full}")
    assert (answer.status, answer.response) == (400, None)

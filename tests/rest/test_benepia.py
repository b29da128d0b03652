"""naru/rest/benepia.py against a running sandbox PG."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.rest.conftest import NUMBERS, Answered, Desk

ACCOUNT = {"benepia_user": "benepia", "benepia_password": "point1234"}


async def points(desk: Desk, **changes: Any) -> Answered:
    body = {**ACCOUNT, "channel_key": desk.shop.channel.channel_key, **changes}
    return await desk.ask("POST", "/benepia/point", json=body)


async def pay(desk: Desk, amount: Any = 3000, **changes: Any) -> Answered:
    body = {
        **ACCOUNT,
        "benepia_member_code": "1001",
        "channel_key": desk.shop.channel.channel_key,
        "merchant_uid": f"benepia-{next(NUMBERS)}",
        "amount": amount,
        "name": "당근 10kg",
        **changes,
    }
    return await desk.ask("POST", "/benepia/payment", json=body)


@pytest.mark.operation("POST /benepia/point")
async def test_a_persons_points_are_read(desk_with_pg: Desk) -> None:
    answer = await points(desk_with_pg)

    assert answer.verdict == (200, 0, None)
    assert set(answer.response) == {"point"}
    assert type(answer.response["point"]) is int
    poor = await points(desk_with_pg, benepia_user="benepia-poor")
    assert poor.response == {"point": 500}


@pytest.mark.operation("POST /benepia/payment")
async def test_points_pay_at_once_and_come_back_with_a_cancel(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    before = (await points(desk)).response["point"]

    answer = await pay(desk, 3000, custom_data={"색": 1}, buyer_name="홍길동")

    assert answer.verdict == (200, 0, None)
    paid = answer.response
    shown = {name: paid[name] for name in ("status", "pay_method", "channel", "amount")}
    assert shown == {"status": "paid", "pay_method": "point", "channel": "api", "amount": 3000}
    assert paid["imp_uid"].startswith("imps_")
    assert (paid["card_name"], paid["vbank_num"], paid["custom_data"]) == (None, None, '{"색":1}')
    assert (await desk.ask("GET", f"/payments/{paid['imp_uid']}")).response == paid
    assert (await points(desk)).response["point"] == before - 3000

    body = {"imp_uid": paid["imp_uid"], "amount": 1000, "reason": "변심"}
    cancelled = await desk.ask("POST", "/payments/cancel", json=body)
    assert cancelled.response["cancel_amount"] == 1000
    assert (await points(desk)).response["point"] == before - 2000


async def test_a_form_without_a_member_code_is_a_test_that_uses_nothing_up(
    desk_with_pg: Desk,
) -> None:
    before = (await points(desk_with_pg)).response["point"]
    body = (
        "benepia_user=benepia&benepia_password=point1234&amount=700&name=x"
        f"&merchant_uid=form-{next(NUMBERS)}"
    )
    answer = await desk_with_pg.ask("POST", "/benepia/payment/", data=body)
    assert (answer.verdict, answer.response["status"]) == ((200, 0, None), "paid")
    assert (await points(desk_with_pg)).response["point"] == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"benepia_password": "wrong"}, "베네피아 아이디 또는 비밀번호가 올바르지 않습니다."),
        ({"benepia_user": "nobody"}, "베네피아 아이디 또는 비밀번호가 올바르지 않습니다."),
        ({"benepia_user": "benepia-left"}, "사용이 정지된 베네피아 계정입니다."),
        ({"benepia_user": "benepia-poor"}, "보유 포인트가 부족합니다."),
        ({"benepia_member_code": "9999"}, "등록되지 않은 회원사 코드입니다."),
        ({"amount": 900_002}, "잔액부족"),
    ],
)
async def test_what_the_pg_refuses_is_told_in_its_words_and_leaves_a_failed_payment(
    desk_with_pg: Desk, changes: dict[str, Any], words: str
) -> None:
    order = f"refused-{next(NUMBERS)}"
    answer = await pay(desk_with_pg, **{"merchant_uid": order, **changes})
    assert (answer.verdict, answer.response) == ((200, -1, words), None)
    found = await desk_with_pg.ask("GET", f"/payments/find/{order}/failed")
    assert found.response["fail_reason"] == words


async def test_an_order_is_paid_once(desk_with_pg: Desk) -> None:
    order = f"once-{next(NUMBERS)}"
    assert (await pay(desk_with_pg, merchant_uid=order)).body["code"] == 0
    again = await pay(desk_with_pg, merchant_uid=order)
    assert again.verdict == (200, 1, "이미 결제가 이루어진 거래건입니다.")


async def test_a_repeated_key_pays_once(desk_with_pg: Desk) -> None:
    body = {**ACCOUNT, "merchant_uid": f"key-{next(NUMBERS)}", "amount": 400, "name": "x"}
    headers = {"Idempotency-Key": f"benepia-{next(NUMBERS)}"}
    first, second = [
        await desk_with_pg.ask("POST", "/benepia/payment", json=body, headers=headers)
        for _ in range(2)
    ]
    assert first.response["status"] == "paid"
    assert first.response == second.response


async def test_the_password_is_in_no_log_and_no_row(
    desk_with_pg: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "a-password-that-nobody-has"
    await points(desk_with_pg, benepia_password=secret)
    answer = await pay(desk_with_pg, benepia_password=secret)
    assert answer.body["code"] == -1
    assert secret not in caplog.text
    assert secret.encode() not in answer.raw


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 0},
        {"amount": "12.5"},
        {"amount": None},
        {"name": None},
        {"benepia_user": None},
        {"benepia_password": ""},
        {"merchant_uid": "\u0001"},
        {"notice_url": "nowhere"},
    ],
)
async def test_what_cannot_be_is_refused(desk: Desk, changes: dict[str, Any]) -> None:
    answer = await pay(desk, **changes)
    assert (answer.status, answer.response) == (400, None)


async def test_a_pg_that_cannot_be_reached_took_nothing(desk: Desk) -> None:
    assert (await points(desk)).body["code"] == -1
    answer = await pay(desk)
    assert (answer.status, answer.body["code"], answer.response) == (200, -1, None)

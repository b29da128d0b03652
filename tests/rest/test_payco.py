"""PAYCO's order status over the real door and the real sandbox PG."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.conftest import Answered, Desk
from tests.rest.test_naver import buy, channel_of, told_about

NOT_PAYCO = "페이코 결제건이 아닙니다."
REFUSED = "현재 주문상태에서 변경할 수 없는 상태입니다."


async def change(desk: Desk, imp_uid: str, **how: Any) -> Answered:
    return await desk.ask("POST", f"/payco/orders/status/{imp_uid}", **how)


@pytest.mark.operation("POST /payco/orders/status/{imp_uid}")
async def test_the_status_goes_forward_and_moves_no_money(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "payco"), 5_000, ())
    first = await change(desk, payment.imp_uid, data={"status": "DELIVERY_START"})
    assert (first.verdict, first.response) == ((200, 0, None), {"status": "DELIVERY_START"})
    decided = await change(desk, payment.imp_uid, json={"status": "PURCHASE_DECISION"})
    assert decided.response == {"status": "PURCHASE_DECISION"}
    back = await change(desk, payment.imp_uid, json={"status": "CANCELED"})
    assert back.verdict == (200, -1, REFUSED)
    assert await told_about(desk, payment) == [
        ("order-status", "done", None),
        ("order-status", "done", None),
        ("order-status", "refused", "STATUS_REFUSED"),
    ]
    shown = await desk.ask("GET", f"/payments/{payment.imp_uid}")
    assert (shown.response["status"], shown.response["cancel_amount"]) == ("paid", 0)


async def test_a_repeated_key_is_told_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "payco"), 5_000, ())
    asked: dict[str, Any] = {
        "json": {"status": "DELIVERY_START"},
        "headers": {"Idempotency-Key": "k"},
    }
    answers = [await change(desk, payment.imp_uid, **asked) for _ in range(3)]
    assert [each.response for each in answers] == [{"status": "DELIVERY_START"}] * 3
    assert len(await told_about(desk, payment)) == 1


async def test_silence_is_ended_by_a_question(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "payco"), 900_043, ())
    answer = await change(desk, payment.imp_uid, json={"status": "DELIVERY_START"})
    assert answer.verdict == (200, -1, "PG사에 요청이 전달되지 않았습니다.")
    assert await told_about(desk, payment) == [("order-status", "refused", "NEVER_ARRIVED")]


async def test_only_payments_of_payco_have_one(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await desk.buy(5_000)
    told = {"json": {"status": "DELIVERY_START"}}
    assert (await change(desk, payment.imp_uid, **told)).verdict == (404, -1, NOT_PAYCO)
    theirs = await buy(desk, await channel_of(desk, "payco"), 5_000, ())
    foreign = await change(desk, theirs.imp_uid, token=desk.stranger.token, **told)
    unknown = await change(desk, "imp_000000000000", token=desk.stranger.token, **told)
    assert foreign.verdict == unknown.verdict == (404, -1, "존재하지 않는 결제정보입니다.")
    wrong = await change(desk, theirs.imp_uid, json={"status": "LOST"})
    assert (wrong.status, wrong.body["code"]) == (400, -1)
    missing = await change(desk, theirs.imp_uid, json={})
    assert (missing.status, missing.body["code"]) == (400, -1)

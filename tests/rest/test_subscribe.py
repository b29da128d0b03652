"""Payments without a window (naru/rest/subscribe.py) against a running sandbox PG."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.conftest import Answered, Desk

CARD = {
    "card_number": "4518-4212-3456-7811",
    "expiry": "2049-12",
    "birth": "880101",
    "pwd_2digit": "00",
}


async def keep_card(desk: Desk, customer_uid: str = "gildong", **changes: Any) -> Answered:
    return await desk.ask("POST", f"/subscribe/customers/{customer_uid}", json={**CARD, **changes})


async def once(desk: Desk, merchant_uid: str = "order_1", **changes: Any) -> Answered:
    fields = {"merchant_uid": merchant_uid, "amount": 1004, "name": "당근 10kg", **CARD, **changes}
    return await desk.ask("POST", "/subscribe/payments/onetime", json=fields)


async def again(desk: Desk, merchant_uid: str = "order_2", **changes: Any) -> Answered:
    fields = {
        "customer_uid": "gildong",
        "merchant_uid": merchant_uid,
        "amount": 1004,
        "name": "당근 10kg",
        **changes,
    }
    return await desk.ask("POST", "/subscribe/payments/again", json=fields)


@pytest.mark.operation("POST /subscribe/payments/onetime")
async def test_a_card_number_pays_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg

    answer = await once(desk, buyer_name="가" * 20, custom_data={"색": 1})

    assert answer.verdict == (200, 0, None)
    payment = answer.response
    assert payment["imp_uid"].startswith("imps_")
    assert payment["status"] == "paid"
    assert payment["channel"] == "api"
    assert payment["pay_method"] == "card"
    assert payment["card_name"] == "신한카드"
    assert payment["card_number"] == "451842******7811"
    assert payment["buyer_name"] == "가" * 16
    assert payment["custom_data"] == '{"색":1}'
    assert payment["customer_uid"] is None
    assert payment["customer_uid_usage"] is None
    assert "aiohttp" in payment["user_agent"]
    assert (await desk.ask("GET", f"/payments/{payment['imp_uid']}")).response == payment


@pytest.mark.operation("POST /subscribe/payments/again")
@pytest.mark.operation("POST /subscribe/customers/{customer_uid}")
async def test_a_kept_card_pays_again_and_again(desk_with_pg: Desk) -> None:
    desk = desk_with_pg

    kept = await keep_card(desk, customer_name="길동")
    first, second = await again(desk, "order_2"), await again(desk, "order_3")

    assert kept.verdict == (200, 0, None)
    assert kept.response["customer_uid"] == "gildong"
    assert kept.response["card_number"] == "451842******7811"
    assert kept.response["customer_name"] == "길동"
    for answer in (first, second):
        assert answer.verdict == (200, 0, None)
        assert answer.response["status"] == "paid"
        assert answer.response["customer_uid"] == "gildong"
        assert answer.response["customer_uid_usage"] == "payment"

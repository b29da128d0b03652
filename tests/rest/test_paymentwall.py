"""Paymentwall's deliveries over the real door and the real sandbox PG."""

from __future__ import annotations

from typing import Any

import pytest

from naru.domain.payment import Payment
from naru.rest.paymentwall import PHYSICAL_NEEDS
from tests.rest.conftest import Answered, Desk
from tests.rest.test_naver import buy, channel_of, told_about

DIGITAL = {
    "type": "digital",
    "status": "order_placed",
    "estimated_delivery_datetime": 1_700_000_000,
    "estimated_update_datetime": 1_700_000_000,
    "refundable": "yes",
    "shipping_address_email": "buyer@example.com",
}
PHYSICAL = {**DIGITAL, "type": "physical", **dict.fromkeys(PHYSICAL_NEEDS, "N/A")}
TAKEN = {"error": None, "error_code": None, "notices": [], "success": 1}


async def register(desk: Desk, payment: Payment, said: dict[str, Any], **how: Any) -> Answered:
    body = {"imp_uid": payment.imp_uid, "merchant_uid": payment.merchant_uid, **said}
    return await desk.ask("POST", "/paymentwall/delivery", **{"json": body, **how})


@pytest.mark.operation("POST /paymentwall/delivery")
async def test_goods_go_forward_only(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "paymentwall"), 5_000, ())
    form = {"imp_uid": payment.imp_uid, "merchant_uid": payment.merchant_uid, **PHYSICAL}
    data = {name: str(value) for name, value in form.items()}
    placed = await desk.ask("POST", "/paymentwall/delivery", data=data)
    assert (placed.verdict, placed.response) == ((200, 0, None), TAKEN)
    shipped = await register(desk, payment, {**PHYSICAL, "status": "order_shipped"})
    assert shipped.response == TAKEN
    back = await register(desk, payment, PHYSICAL)
    assert back.verdict == (200, -1, "Delivery status cannot go back")
    assert await told_about(desk, payment) == [
        ("delivery", "done", None),
        ("delivery", "done", None),
        ("delivery", "refused", "3102"),
    ]
    # Whom it goes to is told to the PG and kept nowhere here.
    async with desk.gateway.store.direct() as session:
        kept = await session._connection.raw.fetch(
            "SELECT o::text FROM order_acts o WHERE imp_uid = $1", payment.imp_uid
        )
    assert kept
    assert not any("buyer@example.com" in row["o"] for row in kept)


async def test_physical_goods_need_a_carrier_and_an_address(desk_with_pg: Desk) -> None:
    for name in PHYSICAL:
        said = {each: value for each, value in PHYSICAL.items() if each != name}
        body = {"imp_uid": "imp_000000000000", "merchant_uid": "o", **said}
        answer = await desk_with_pg.ask("POST", "/paymentwall/delivery", json=body)
        assert answer.verdict == (400, -1, f"{name} 파라메터가 누락되었습니다.")


MALFORMED: tuple[dict[str, Any], ...] = (
    {"type": "liquid"},
    {"status": "lost"},
    {"refundable": "maybe"},
    {"estimated_delivery_datetime": -1},
    {"estimated_update_datetime": 10**11},
    {"shipping_address_email": "nobody"},
    {"details": "x" * 401},
)


async def test_what_is_malformed_is_refused(desk_with_pg: Desk) -> None:
    for changes in MALFORMED:
        body = {"imp_uid": "imp_000000000000", "merchant_uid": "o", **DIGITAL, **changes}
        answer = await desk_with_pg.ask("POST", "/paymentwall/delivery", json=body)
        assert (answer.status, answer.body["code"]) == (400, -1)
        assert next(iter(changes)) in answer.body["message"]


async def test_only_ones_own_payments_by_paymentwall(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    other = await desk.buy(5_000)
    answer = await register(desk, other, DIGITAL)
    assert answer.verdict == (404, -1, "페이먼트월 결제건이 아닙니다.")
    payment = await buy(desk, await channel_of(desk, "paymentwall"), 5_000, ())
    foreign = await register(desk, payment, DIGITAL, token=desk.stranger.token)
    assert foreign.verdict == (404, -1, "존재하지 않는 결제정보입니다.")
    mixed = await register(desk, payment, {**DIGITAL, "merchant_uid": "another"})
    assert (mixed.status, mixed.body["code"]) == (400, -1)
    assert await told_about(desk, payment) == []

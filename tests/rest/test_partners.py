"""naru/rest/partners.py against a running sandbox PG: who shares a payment stands on its slip."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.cash import add_channel, page, transfer
from tests.rest.conftest import Desk, House

SHOPS = [
    {"business_registration_number": "117-81-78260", "company_name": "당근농장", "amount": 3300},
    {
        "business_registration_number": "1208147521",
        "company_name": "배송나루",
        "amount": 1700,
        "tax_free": 600,
        "vat_amount": 90,
    },
]


@pytest.mark.operation("POST /partners/receipts/{imp_uid}")
async def test_sub_shops_stand_on_the_slip_as_told_last(desk_with_pg: Desk, house: House) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, 5_000, channel=await add_channel(desk, house, "html5_inicis"))
    where = f"/partners/receipts/{payment.imp_uid}"

    told = await desk.ask("POST", where, json={"data": SHOPS})

    assert told.verdict == (200, 0, None)
    slip = await page(desk, told.response["receipt_url"])
    assert "당근농장" in slip
    assert "배송나루" in slip
    assert "1,700원" in slip
    form = {
        "data[0][business_registration_number]": "1208147521",
        "data[0][company_name]": "나루터",
        "data[0][amount]": "5000",
    }
    assert (await desk.ask("POST", where, data=form)).response == told.response
    slip = await page(desk, told.response["receipt_url"])
    assert "나루터" in slip
    assert "당근농장" not in slip

    theirs = await desk.ask("POST", where, token=desk.stranger.token, json={"data": SHOPS})
    assert theirs.verdict == (404, -1, "존재하지 않는 결제정보입니다.")
    too_much = [{**SHOPS[0], "amount": 5001}]
    refused = await desk.ask("POST", where, json={"data": too_much})
    assert refused.verdict == (200, 1, "하위 상점 금액의 합이 결제금액을 초과하였습니다.")

    key = {"Idempotency-Key": f"slip-{payment.imp_uid}"}
    first, second = [
        await desk.ask("POST", where, json={"data": SHOPS}, headers=key) for _ in range(2)
    ]
    assert first.verdict == (200, 0, None)
    assert second.raw == first.raw


async def test_only_html5_inicis_and_only_what_is_paid(desk: Desk, house: House) -> None:
    kcp = await desk.pay()
    inicis = await add_channel(desk, house, "html5_inicis")
    opened = await desk.open(channel_id=inicis.id, pg_code="html5_inicis", mid=inicis.mid)
    body = {"json": {"data": SHOPS}}

    refused = await desk.ask("POST", f"/partners/receipts/{kcp.imp_uid}", **body)
    assert refused.verdict == (501, -1, "하위 상점 거래 등록을 지원하지 않는 PG사입니다.")
    early = await desk.ask("POST", f"/partners/receipts/{opened.imp_uid}", **body)
    assert early.verdict == (400, -1, "결제완료된 결제건이 아닙니다.")
    unknown = await desk.ask("POST", "/partners/receipts/imp_0", **body)
    assert unknown.verdict == (404, -1, "존재하지 않는 결제정보입니다.")


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {"a": 1},
        [{**SHOPS[0], "business_registration_number": "123"}],
        [{**SHOPS[0], "business_registration_number": None}],
        [{**SHOPS[0], "amount": 0}],
        [{**SHOPS[0], "amount": 1.5}],
        [{**SHOPS[0], "tax_free": 3301}],
        [{**SHOPS[0], "vat_amount": 3301}],
        [SHOPS[0]] * 101,
        [[SHOPS[0]]],
    ],
)
async def test_what_is_malformed_is_refused(desk: Desk, data: Any) -> None:
    payment = await desk.pay()

    answer = await desk.ask("POST", f"/partners/receipts/{payment.imp_uid}", json={"data": data})

    assert (answer.status, answer.body["code"], answer.response) == (400, -1, None)

"""naru/rest/escrow_logis.py against a running sandbox PG: told, changed, confirmed or rejected by the buyer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from yarl import URL

from naru.domain.payment import Payment
from naru.payments.run_errand import due_errands, run_again
from tests.rest.cash import add_channel, page, transfer
from tests.rest.conftest import Answered, Desk, House

SENT_AT = 1_644_850_800
SHIPMENT: dict[str, Any] = {
    "sender": {
        "name": "나루 상점",
        "tel": "02-1234-5678",
        "addr": "서울특별시 성동구",
        "postcode": "04783",
        "relationship": "본인",
    },
    "receiver": {
        "name": "홍길동",
        "tel": "010-4242-4242",
        "postcode": "01181",
        "formed_address": {"address_line_1": "서울특별시 강남구", "address_line_2": "삼성동 1"},
    },
    "logis": {"company": "CJGLS", "invoice": "1728384716123", "sent_at": SENT_AT},
}
# What the sandbox PG does with these is on its /magic page.
DECLINED, SILENT_DONE, SILENT_UNDONE = "900000000001", "900000000002", "900000000003"
UNKNOWN = (
    "PG사의 처리 결과를 확인하고 있습니다. 다시 요청하지 마시고 잠시 후 결제 상태를 조회해주세요."
)
IN_PROGRESS = "PG사에 요청한 결과를 확인하고 있습니다. 잠시 후 다시 시도해주세요."
NO_PAYMENT = (404, -1, "존재하지 않는 결제정보입니다.")
NO_SHIPMENT = (409, -1, "등록된 배송정보가 존재하지 않습니다.")
TOLD_ALREADY = (409, -1, "이미 배송정보가 등록된 결제건입니다.")
NOT_POSSIBLE = (409, -1, "배송정보를 등록(수정)할 수 없는 결제건입니다.")
UNSUPPORTED = (400, -1, "에스크로 배송정보 등록(수정)을 지원하지 않는 PG사입니다.")


async def ship(desk: Desk, payment: Payment, method: str = "POST", **logis: Any) -> Answered:
    body = {**SHIPMENT, "logis": {**SHIPMENT["logis"], **logis}}
    return await desk.ask(method, f"/escrows/logis/{payment.imp_uid}", json=body)


async def decide(desk: Desk, payment: Payment, decision: str, pg_url: str) -> int:
    """The buyer's click on the PG's page."""
    where = f"{pg_url}/escrow/{payment.pg_tid}/decision"
    said = {"decision": decision, "reason": "색이 달라요"}
    origin = {"Origin": str(URL(pg_url).origin())}
    async with desk.http.post(where, json=said, headers=origin) as answer:
        return answer.status


@pytest.mark.operation(
    "POST /escrows/logis/{imp_uid}", "GET /escrows/logis/{imp_uid}", "PUT /escrows/logis/{imp_uid}"
)
async def test_a_shipment_is_told_once_and_changed(desk_with_pg: Desk, house: House) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, escrow=True)
    where = f"/escrows/logis/{payment.imp_uid}"
    assert (await desk.ask("GET", where)).verdict == NO_SHIPMENT
    assert (await ship(desk, payment, "PUT")).verdict == NO_SHIPMENT

    told = await ship(desk, payment)

    now = int(desk.clock().timestamp())
    assert told.verdict == (200, 0, None)
    assert told.response == {
        "company": "CJGLS",
        "invoice": "1728384716123",
        "sent_at": SENT_AT,
        "applied_at": now,
    }
    assert list(told.response) == sorted(told.response)
    assert (await desk.ask("GET", where)).response == told.response
    shown = await page(desk, f"{house.pg_url}/escrow/{payment.pg_tid}")
    assert "1728384716123" in shown
    assert "홍길동" in shown
    assert (await ship(desk, payment)).verdict == TOLD_ALREADY

    desk.clock.advance(60)
    changed = await ship(desk, payment, "PUT", company="어느 택배", invoice="99")
    assert changed.response == {
        "company": "ETC",
        "invoice": "99",
        "sent_at": SENT_AT,
        "applied_at": now + 60,
    }
    assert (await desk.ask("GET", where)).response == changed.response
    assert "99" in await page(desk, f"{house.pg_url}/escrow/{payment.pg_tid}")


@pytest.mark.parametrize(
    ("code", "means"),
    [("cjgls", "CJGLS"), ("KOREX", "CJGLS"), ("LOGEN", "KGB"), ("DHL", "ETC"), ("ETC", "ETC")],
)
async def test_couriers_of_every_spelling(desk_with_pg: Desk, code: str, means: str) -> None:
    payment = await transfer(desk_with_pg, escrow=True)
    assert (await ship(desk_with_pg, payment, company=code)).response["company"] == means


async def test_a_form_nests_as_php_does_and_json_text_is_read_too(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    nested, text = [await transfer(desk, escrow=True) for _ in range(2)]

    first = await desk.ask(
        "POST",
        f"/escrows/logis/{nested.imp_uid}/",
        data={
            "sender[name]": "나루",
            "receiver[name]": "홍길동",
            "receiver[formed_address][address_line_1]": "서울",
            "logis[company]": "HANJIN",
            "logis[invoice]": "123",
            "logis[sent_at]": str(SENT_AT),
            "logis[receiving_at]": "20220215",
            "products[0][id]": "p1",
            "products[0][name]": "당근",
            "products[0][amount]": "1004",
            "send_email": "false",
        },
    )
    second = await desk.ask(
        "POST",
        f"/escrows/logis/{text.imp_uid}",
        data={
            "sender": '{"name":"나루"}',
            "receiver": '{"name":"홍길동"}',
            "logis": '{"company":"HANJIN","invoice":"123","sent_at":1644850800}',
        },
    )

    assert first.verdict == (200, 0, None)
    assert first.response["company"] == "HANJIN"
    assert second.response == first.response


async def test_only_escrow_that_was_paid_is_shipped(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    plain = await transfer(desk)
    cancelled = await transfer(desk, escrow=True)
    await desk.ask("POST", "/payments/cancel", json={"imp_uid": cancelled.imp_uid})

    assert (await ship(desk, plain)).verdict == NOT_POSSIBLE
    assert (await ship(desk, cancelled)).verdict == NOT_POSSIBLE
    shown = await desk.ask("GET", f"/escrows/logis/{plain.imp_uid}")
    assert shown.verdict == (400, -1, "에스크로 결제건이 아닙니다.")


async def test_another_merchants_payment_is_none(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, escrow=True)
    await ship(desk, payment)
    where = f"/escrows/logis/{payment.imp_uid}"

    for method in ("GET", "POST", "PUT"):
        body = {} if method == "GET" else {"json": SHIPMENT}
        assert (
            await desk.ask(method, where, token=desk.stranger.token, **body)
        ).verdict == NO_PAYMENT
        assert (await desk.ask(method, "/escrows/logis/imp_0", **body)).verdict == NO_PAYMENT


async def test_what_a_pg_cannot_is_refused(desk_with_pg: Desk, house: House) -> None:
    desk = desk_with_pg
    settle = await transfer(desk, escrow=True, channel=await add_channel(desk, house, "settle"))
    nice = await transfer(desk, escrow=True, channel=await add_channel(desk, house, "nice_v2"))

    assert (await ship(desk, settle)).verdict == UNSUPPORTED
    assert (await ship(desk, nice)).verdict == (200, 0, None)
    assert (await ship(desk, nice, "PUT")).verdict == UNSUPPORTED


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**SHIPMENT, "sender": None},
        {**SHIPMENT, "receiver": "홍길동"},
        {**SHIPMENT, "logis": {"company": "CJGLS", "invoice": "1"}},
        {**SHIPMENT, "logis": {**SHIPMENT["logis"], "sent_at": -1}},
        {**SHIPMENT, "logis": {**SHIPMENT["logis"], "sent_at": "2022-02-15"}},
        {**SHIPMENT, "logis": {**SHIPMENT["logis"], "invoice": " "}},
        {**SHIPMENT, "logis": {**SHIPMENT["logis"], "receiving_at": "20221332"}},
        {**SHIPMENT, "products": [{"id": "p", "name": "n"}]},
        {**SHIPMENT, "products": [{"id": "p", "name": "n", "amount": 1, "quantity": 0}]},
        {**SHIPMENT, "products": []},
        {**SHIPMENT, "receiver": {"formed_address": "서울"}},
    ],
)
async def test_what_is_malformed_is_refused(desk: Desk, body: dict[str, Any]) -> None:
    payment = await desk.pay(escrow=True)

    answer = await desk.ask("POST", f"/escrows/logis/{payment.imp_uid}", json=body)

    assert (answer.status, answer.body["code"], answer.response) == (400, -1, None)
    assert (await desk.ask("GET", f"/escrows/logis/{payment.imp_uid}")).verdict == NO_SHIPMENT


async def test_the_buyer_decides_and_the_merchant_waits_for_it(
    desk_with_pg: Desk, house: House
) -> None:
    desk = desk_with_pg
    welcome = await add_channel(desk, house, "welcome")
    payment = await transfer(desk, escrow=True, channel=welcome)
    cancel = {"json": {"imp_uid": payment.imp_uid}}
    products = [{"id": "p", "name": "당근", "amount": 1004}]
    told = {"json": {**SHIPMENT, "products": products}}
    where = f"/escrows/logis/{payment.imp_uid}"
    without = await desk.ask("POST", where, json=SHIPMENT)
    assert without.verdict == (400, -1, "products 파라메터가 누락되었습니다.")

    early = await desk.ask("POST", "/payments/cancel", **cancel)
    assert early.verdict == (
        200,
        -1,
        "에스크로 거래는 구매자가 구매거절한 뒤에 취소할 수 있습니다.",
    )
    assert await decide(desk, payment, "rejected", house.pg_url) == 409
    assert (await desk.ask("POST", where, **told)).verdict == (200, 0, None)
    assert (await desk.ask("POST", "/payments/cancel", **cancel)).body["code"] == -1
    assert await decide(desk, payment, "rejected", house.pg_url) == 200
    assert await decide(desk, payment, "confirmed", house.pg_url) == 409

    late = await desk.ask("PUT", where, **told)
    assert late.verdict == (200, -1, "구매자가 이미 구매확정 또는 거절한 거래입니다.")
    done = await desk.ask("POST", "/payments/cancel", **cancel)
    assert done.response["status"] == "cancelled"


@pytest.mark.parametrize("invoice", [SILENT_DONE, SILENT_UNDONE])
async def test_a_shipment_that_was_not_answered_is_told_again(
    desk_with_pg: Desk, house: House, invoice: str
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, escrow=True)
    where = f"/escrows/logis/{payment.imp_uid}"

    told = await ship(desk, payment, invoice=invoice)
    assert told.verdict == (200, 1, UNKNOWN)
    assert (await desk.ask("GET", where)).verdict == NO_SHIPMENT
    assert (await ship(desk, payment)).verdict == (200, 1, IN_PROGRESS)
    desk.clock.advance(60)
    for number in await due_errands(desk.gateway):
        await run_again(desk.gateway, number)

    assert (await desk.ask("GET", where)).response["invoice"] == invoice
    assert invoice in await page(desk, f"{house.pg_url}/escrow/{payment.pg_tid}")
    async with desk.gateway.store.direct() as session:
        errand = await session.errands.shipment(desk.shop.merchant.id, payment.imp_uid)
    assert errand is not None
    assert errand.said == {}


async def test_a_pgs_no_is_passed_on_and_may_be_asked_again(desk_with_pg: Desk) -> None:
    payment = await transfer(desk_with_pg, escrow=True)

    refused = await ship(desk_with_pg, payment, invoice=DECLINED)

    assert refused.verdict == (200, -1, "택배사에 등록되지 않은 송장번호입니다.")
    assert (await ship(desk_with_pg, payment)).verdict == (200, 0, None)


async def test_a_pg_that_cannot_be_reached_heard_nothing(desk: Desk) -> None:
    payment = await desk.pay(escrow=True)

    refused = await ship(desk, payment)

    assert (refused.status, refused.body["code"], refused.response) == (200, -1, None)
    assert (await desk.ask("GET", f"/escrows/logis/{payment.imp_uid}")).verdict == NO_SHIPMENT


async def test_many_at_once_tell_it_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, escrow=True)

    answers = await asyncio.gather(*(ship(desk, payment) for _ in range(8)))

    assert sum(each.body["code"] == 0 for each in answers) == 1
    desk.clock.advance(60)
    for number in await due_errands(desk.gateway):
        await run_again(desk.gateway, number)
    assert (await ship(desk, payment)).verdict == TOLD_ALREADY


async def test_a_repeated_request_has_one_answer(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, escrow=True)
    how = {"json": SHIPMENT, "headers": {"Idempotency-Key": f"ship-{payment.imp_uid}"}}
    where = f"/escrows/logis/{payment.imp_uid}"

    first, second = [await desk.ask("POST", where, **how) for _ in range(2)]

    assert first.verdict == (200, 0, None)
    assert second.raw == first.raw

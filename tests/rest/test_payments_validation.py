"""naru/rest/payments_validation.py: an order's amount, announced beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.conftest import Answered, Desk

DUPLICATE = (200, 1, "결제정보 사전등록에 실패하였습니다(이미 등록된 merchant_uid입니다).")
NOT_PREPARED = (404, -1, "사전등록된 결제정보가 존재하지 않습니다.")


async def prepare(desk: Desk, method: str = "POST", **fields: Any) -> Answered:
    return await desk.ask(method, "/payments/prepare", json=fields)


@pytest.mark.operation(
    "POST /payments/prepare", "PUT /payments/prepare", "GET /payments/prepare/{merchant_uid}"
)
async def test_an_amount_is_announced_once_changed_and_read(desk: Desk) -> None:
    announced = await prepare(desk, merchant_uid="M00001", amount=10000)
    again = await prepare(desk, merchant_uid="M00001", amount=10000)
    changed = await prepare(desk, "PUT", merchant_uid="M00001", amount="500")
    read = await desk.ask("GET", "/payments/prepare/M00001/")

    assert announced.verdict == (200, 0, None)
    assert announced.response == {"merchant_uid": "M00001", "amount": 10000, "currency": None}
    assert again.verdict == DUPLICATE
    assert again.response is None
    assert changed.response["amount"] == 500
    assert read.response == changed.response


async def test_a_currency_is_echoed_when_it_was_given(desk: Desk) -> None:
    answer = await prepare(desk, merchant_uid="M00001", amount=12.5, currency="USD")

    assert answer.response == {"merchant_uid": "M00001", "amount": 12.5, "currency": "USD"}


async def test_a_currency_that_was_named_stays_named(desk: Desk) -> None:
    await prepare(desk, merchant_uid="M00001", amount=12.5, currency="USD")

    changed = await prepare(desk, "PUT", merchant_uid="M00001", amount=13)

    assert changed.response == {"merchant_uid": "M00001", "amount": 13, "currency": "USD"}
    assert (await desk.ask("GET", "/payments/prepare/M00001")).response == changed.response


async def test_a_bare_number_may_have_cents(desk: Desk) -> None:
    answer = await prepare(desk, merchant_uid="M00001", amount=12.5)

    assert answer.response == {"merchant_uid": "M00001", "amount": 12.5, "currency": None}


async def test_an_order_that_was_not_announced_is_told_in_v1s_words(desk: Desk) -> None:
    assert (await desk.ask("GET", "/payments/prepare/none")).verdict == NOT_PREPARED
    assert (await prepare(desk, "PUT", merchant_uid="none", amount=1)).verdict == NOT_PREPARED


@pytest.mark.fault("A1_RO")
@pytest.mark.promise("P17")
async def test_a_paid_order_keeps_the_amount_that_was_announced(desk: Desk) -> None:
    payment = await desk.pay()
    await prepare(desk, merchant_uid=payment.merchant_uid, amount=1004)

    changed = await prepare(desk, "PUT", merchant_uid=payment.merchant_uid, amount=1)

    assert changed.verdict == (200, 1, "이미 결제가 이루어진 거래건입니다.")
    read = await desk.ask("GET", f"/payments/prepare/{payment.merchant_uid}")
    assert read.response["amount"] == 1004


@pytest.mark.parametrize("amount", ["1004", "1004.0", "1.004e3", '"1004"', '"1004.00"', '" 1004 "'])
async def test_the_spellings_of_one_amount(desk: Desk, amount: str) -> None:
    body = f'{{"merchant_uid": "M1", "amount": {amount}}}'

    answer = await desk.ask("POST", "/payments/prepare", data=body.encode())

    assert b'"amount":1004,' in answer.raw


@pytest.mark.fault("A1_WD")
@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    "body",
    [
        '{"amount": 1}',
        '{"merchant_uid": "M1"}',
        '{"merchant_uid": "", "amount": 1}',
        '{"merchant_uid": "M1", "amount": ""}',
        '{"merchant_uid": "M1", "amount": null}',
        '{"merchant_uid": "M1", "amount": -1}',
        '{"merchant_uid": "M1", "amount": 1.5, "currency": "KRW"}',
        '{"merchant_uid": "M1", "amount": 1.505}',
        '{"merchant_uid": "M1", "amount": 1e12345}',
        '{"merchant_uid": "M1", "amount": 1, "currency": "XXX"}',
        '{"merchant_uid": "M1", "amount": 1, "currency": "WON!"}',
        '{"merchant_uid": "M1", "amount": 1, "amount": 2}',
        '{"merchant_uid": "12345678901234567890123456789012345678901", "amount": 1}',
        '{"merchant_uid": "a\\u0007b", "amount": 1}',
        '{"merchant_uid": ["M1"], "amount": 1}',
        "merchant_uid=M1",
    ],
)
async def test_what_is_unclear_is_refused_and_not_announced(desk: Desk, body: str) -> None:
    answer = await desk.ask("POST", "/payments/prepare", data=body.encode())

    assert answer.status == 400
    assert answer.body["code"] == -1
    assert (await desk.ask("GET", "/payments/prepare/M1")).verdict == NOT_PREPARED

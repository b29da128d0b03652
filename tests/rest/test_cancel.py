"""`payments/cancel` (naru/rest/payments.py) against a running sandbox PG."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.rest.conftest import Answered, Desk

NOTHING = (200, 1, "취소할 결제건이 존재하지 않습니다.")
ALREADY = (200, 1, "이미 전액취소된 주문입니다.")


async def cancel(desk: Desk, path: str = "/payments/cancel", **fields: Any) -> Answered:
    return await desk.ask("POST", path, json=fields)


@pytest.mark.operation("POST /payments/cancel")
async def test_everything_is_given_back(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await desk.buy(1004)

    answer = await cancel(desk, imp_uid=payment.imp_uid, reason="테스트")

    assert answer.verdict == (200, 0, None)
    assert answer.response["status"] == "cancelled"
    assert answer.response["cancel_amount"] == 1004
    assert answer.response["cancel_reason"] == "테스트"
    [entry] = answer.response["cancel_history"]
    assert entry["amount"] == 1004
    assert entry["reason"] == "테스트"
    assert entry["cancellation_id"]
    assert answer.response["cancel_receipt_urls"] == [entry["receipt_url"]]
    assert (await cancel(desk, imp_uid=payment.imp_uid)).verdict == ALREADY
    assert (await cancel(desk, imp_uid=payment.imp_uid, amount=1)).verdict == ALREADY
    assert (await cancel(desk, imp_uid=payment.imp_uid, checksum=1004)).verdict == ALREADY
    assert (await cancel(desk, merchant_uid=payment.merchant_uid)).verdict == ALREADY


@pytest.mark.operation("POST /payments/cancel")
async def test_a_part_is_given_back_again_and_again_until_nothing_is_left(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    payment = await desk.buy(1000)
    uid = payment.imp_uid

    first = await cancel(desk, imp_uid=uid, amount=300, checksum=1000)
    wrong_checksum = await cancel(desk, imp_uid=uid, amount=300, checksum=1000)
    too_much = await cancel(desk, imp_uid=uid, amount=701)
    # 0 and a missing amount both mean what is left.
    rest = await cancel(desk, imp_uid=uid, amount=0, checksum="700")

    assert first.response["cancel_amount"] == 300
    for refused in (wrong_checksum, too_much):
        assert (refused.status, refused.body["code"], refused.response) == (200, 1, None)
    assert rest.verdict == (200, 0, None)
    assert rest.response["cancel_amount"] == 1000
    assert [entry["amount"] for entry in rest.response["cancel_history"]] == [300, 700]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"imp_uid": "%s", "amount": "300", "checksum": 1000.0}'),
        (
            "application/json",
            '{"imp_uid": "%s", "amount": 3e2, "extra": {"requester": "customer"}}',
        ),
        (
            "application/json",
            '{"imp_uid": "%s", "amount": 300, "enable_webhook": "0", "tax_free": "", "vat_amount": null}',
        ),
        (
            "application/x-www-form-urlencoded",
            "imp_uid=%s&amount=300&checksum=1000&extra[requester]=customer&retain_promotion=true",
        ),
        ("application/json", "imp_uid=%s&amount=300&reason="),
    ],
)
@pytest.mark.parametrize("path", ["/payments/cancel", "/payments/cancel/"])
async def test_the_request_comes_in_every_shape_of_v1(
    desk_with_pg: Desk, path: str, content_type: str, body: str
) -> None:
    payment = await desk_with_pg.buy(1000)

    answer = await desk_with_pg.ask(
        "POST",
        path,
        allow_redirects=False,
        headers={"Content-Type": content_type},
        data=body.replace("%s", payment.imp_uid),
    )

    assert answer.verdict == (200, 0, None)
    assert answer.response["cancel_amount"] == 300


async def test_an_order_number_means_its_paid_payment_and_imp_uid_goes_first(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    await desk.fail(merchant_uid="order_with_two_tries")
    paid = await desk.buy(1000, merchant_uid="order_with_two_tries")

    unknown = await cancel(desk, imp_uid="imp_nothing", merchant_uid="order_with_two_tries")
    answer = await cancel(desk, merchant_uid="order_with_two_tries", amount=1)

    assert unknown.verdict == NOTHING
    assert answer.response["imp_uid"] == paid.imp_uid


async def test_what_was_not_paid_cannot_be_given_back(desk: Desk) -> None:
    for payment in (await desk.open(), await desk.fail(), await desk.wait_for_deposit()):
        assert (await cancel(desk, imp_uid=payment.imp_uid)).verdict == NOTHING
        assert (await cancel(desk, merchant_uid=payment.merchant_uid)).verdict == NOTHING
    assert (await cancel(desk)).verdict == NOTHING
    assert (await cancel(desk, imp_uid="", merchant_uid=None)).verdict == NOTHING
    assert (await cancel(desk, imp_uid="nothing", reason="reason")).verdict == NOTHING


async def test_the_pg_refuses_in_its_own_words(desk_with_pg: Desk) -> None:
    payment = await desk_with_pg.buy(900_031)

    answer = await cancel(desk_with_pg, imp_uid=payment.imp_uid)

    assert answer.verdict == (200, -1, "카드사에서 취소를 거절하였습니다.")
    after = await desk_with_pg.ask("GET", f"/payments/{payment.imp_uid}")
    assert (after.response["status"], after.response["cancel_amount"]) == ("paid", 0)


async def test_a_pg_that_cuts_the_line_is_neither_yes_nor_no(desk_with_pg: Desk) -> None:
    payment = await desk_with_pg.buy(900_035)

    answer = await cancel(desk_with_pg, imp_uid=payment.imp_uid)
    again = await cancel(desk_with_pg, imp_uid=payment.imp_uid)

    for said in (answer, again):
        assert said.status == 200
        assert said.body["code"] == 1
        assert said.response is None


async def test_a_pg_that_cannot_be_reached_has_cancelled_nothing(desk: Desk) -> None:
    payment = await desk.pay()

    answer = await cancel(desk, imp_uid=payment.imp_uid)

    assert answer.status == 200
    assert answer.body["code"] != 0
    after = await desk.ask("GET", f"/payments/{payment.imp_uid}")
    assert after.response["cancel_amount"] == 0


async def test_two_full_cancels_at_once_end_with_one_success(desk_with_pg: Desk) -> None:
    payment = await desk_with_pg.buy(1000)

    answers = await asyncio.gather(
        *(cancel(desk_with_pg, imp_uid=payment.imp_uid) for _ in range(8))
    )

    verdicts = [answer.verdict for answer in answers]
    assert verdicts.count((200, 0, None)) == 1
    assert verdicts.count(ALREADY) == 7


async def test_partial_cancels_at_once_never_exceed_the_balance(desk_with_pg: Desk) -> None:
    payment = await desk_with_pg.buy(1000)

    answers = await asyncio.gather(
        *(cancel(desk_with_pg, imp_uid=payment.imp_uid, amount=300) for _ in range(6))
    )

    assert sum(answer.body["code"] == 0 for answer in answers) == 3
    after = await desk_with_pg.ask("GET", f"/payments/{payment.imp_uid}")
    assert after.response["cancel_amount"] == 900


@pytest.mark.parametrize(
    "amount",
    [
        "-1",
        '"-1"',
        "100.5",
        '"100.5"',
        "1e400",
        "1e-400",
        "10000000000000",
        "1" + "0" * 30,
        "true",
        '"1e3"',
        '"1,000"',
        '"천"',
        "[300]",
        '{"a": 1}',
    ],
)
async def test_what_is_no_amount_is_refused_and_changes_nothing(desk: Desk, amount: str) -> None:
    payment = await desk.pay()

    for name in ("amount", "checksum", "tax_free", "vat_amount"):
        body = f'{{"imp_uid": "{payment.imp_uid}", "{name}": {amount}}}'
        answer = await desk.ask("POST", "/payments/cancel", data=body.encode())
        assert answer.status == 400, name
        assert answer.body["code"] == -1
    after = await desk.ask("GET", f"/payments/{payment.imp_uid}")
    assert after.response["cancel_amount"] == 0


@pytest.mark.parametrize(
    ("bank", "status"), [("88", 200), ("BK88", 200), ("088", 200), ("999", 400), ("x", 400)]
)
async def test_a_refund_bank_is_read_in_the_spelling_of_each_pg(
    desk: Desk, bank: str, status: int
) -> None:
    payment = await desk.pay()

    answer = await cancel(
        desk,
        imp_uid=payment.imp_uid,
        refund_holder="홍길동",
        refund_bank=bank,
        refund_account="56211105948400",
    )

    assert answer.status == status

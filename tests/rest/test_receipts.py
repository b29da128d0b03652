"""naru/rest/receipts.py against a running sandbox PG: what the tax office is told, once, and taken back."""

from __future__ import annotations

import asyncio
import logging

import pytest

from naru.domain.outcome import Approved, Deposited
from naru.domain.payment import Payment
from naru.domain.task import TaskKind
from naru.payments.confirm_deposit import confirm_deposit
from naru.payments.reconcile_receipt import due_receipts, reconcile_receipt
from naru.payments.settle import settle_approval
from tests.rest.cash import add_channel, page, transfer
from tests.rest.conftest import NUMBERS, Answered, Desk, House

PHONE = "010-1234-5678"
# What the sandbox PG does with these is on its /magic page.
DECLINED, SILENT_DONE, SILENT_UNDONE = "01000000001", "01000000002", "01000000003"
GARBAGE, OTHER_AMOUNT = "01000000004", "01000000005"
NO_CANCEL, CANCEL_SILENT_DONE, CANCEL_SILENT_UNDONE = "01000000011", "01000000012", "01000000013"

NO_PAYMENT = (404, -1, "존재하지 않는 결제정보입니다.")
UNSUPPORTED = (501, -1, "현금영수증을 지원하지 않는 PG사입니다.")
ISSUED_ALREADY = (400, -1, "이미 현금영수증이 발급된 결제건입니다.")
NOT_CASH = (
    400,
    -1,
    "결제완료된 현금성 결제건만 현금영수증을 발급할 수 있습니다.",
)
UNKNOWN = (
    "PG사의 처리 결과를 확인하고 있습니다. 다시 요청하지 마시고 잠시 후 결제 상태를 조회해주세요."
)


def no_receipt(imp_uid: str) -> tuple[int, int, str]:
    return (
        404,
        -1,
        f"해당 아임포트 고유 번호({imp_uid})로 현금영수증을 발급 한 내역이 존재하지 않습니다.",
    )


async def issue(desk: Desk, payment: Payment, identifier: str = PHONE, **more: object) -> Answered:
    body = {"identifier": identifier, **more}
    return await desk.ask("POST", f"/receipts/{payment.imp_uid}", json=body)


async def look_again(desk: Desk) -> None:
    """The worker's round over receipts whose time has come."""
    desk.clock.advance(60)
    for number in await due_receipts(desk.gateway):
        await reconcile_receipt(desk.gateway, number)


@pytest.mark.operation("POST /receipts/{imp_uid}", "GET /receipts/{imp_uid}")
async def test_a_receipt_of_what_is_left_is_issued_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, 11_000)
    assert (await desk.ask("GET", f"/receipts/{payment.imp_uid}")).verdict == no_receipt(
        payment.imp_uid
    )

    answer = await issue(desk, payment)

    assert answer.verdict == (200, 0, None)
    receipt = answer.response
    assert receipt["imp_uid"] == payment.imp_uid
    assert (receipt["amount"], receipt["vat"]) == (11_000, 1_000)
    assert (receipt["type"], receipt["cancelled_at"]) == ("person", 0)
    assert receipt["applied_at"] == int(desk.clock().timestamp())
    assert receipt["apply_num"]
    assert receipt["receipt_tid"]
    assert list(receipt) == sorted(receipt)
    assert (await desk.ask("GET", f"/receipts/{payment.imp_uid}")).response == receipt
    shown = await page(desk, receipt["receipt_url"])
    assert "11,000원" in shown
    assert "010****5678" in shown
    assert "01012345678" not in shown
    assert (await issue(desk, payment)).verdict == ISSUED_ALREADY
    shown = [
        (await desk.ask("GET", f"/payments/{payment.imp_uid}")).response,
        (await desk.ask("GET", f"/payments/find/{payment.merchant_uid}")).response,
        *(await desk.ask("GET", f"/payments?imp_uid[]={payment.imp_uid}")).response,
        *(await desk.ask("GET", "/payments/status/paid")).response["list"],
    ]
    assert [each["cash_receipt_issued"] for each in shown] == [True] * 4


async def test_a_form_tells_type_tax_and_a_business_number(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, 10_000)

    answer = await desk.ask(
        "POST",
        f"/receipts/{payment.imp_uid}/",
        data="identifier=117-81-78260&identifier_type=business&type=company&product_type=digital"
        "&tax_free=1000&vat_amount=500&buyer_name=%EA%B9%80",
    )

    assert answer.verdict == (200, 0, None)
    assert answer.response["type"] == "company"
    assert (answer.response["amount"], answer.response["vat"]) == (10_000, 500)


@pytest.mark.operation("DELETE /receipts/{imp_uid}")
async def test_a_receipt_is_taken_back_and_issued_anew(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    where = f"/receipts/{payment.imp_uid}"
    never = await desk.ask("DELETE", where)
    assert never.verdict == (400, -1, "현금영수증이 발급된 내역이 존재하지 않습니다.")
    first = (await issue(desk, payment)).response
    desk.clock.advance(5)

    taken_back = await desk.ask("DELETE", where)
    again = await desk.ask("DELETE", where)

    assert taken_back.verdict == (200, 0, None)
    assert taken_back.response == {**first, "cancelled_at": int(desk.clock().timestamp())}
    assert again.response == taken_back.response
    assert "취소됨" in await page(desk, first["receipt_url"])
    second = (await issue(desk, payment)).response
    assert second["receipt_tid"] != first["receipt_tid"]
    assert (await desk.ask("GET", where)).response == second
    # The money is where it was.
    paid = await desk.ask("GET", f"/payments/{payment.imp_uid}")
    assert paid.response["status"] == "paid"
    await desk.ask("DELETE", where)
    paid = await desk.ask("GET", f"/payments/{payment.imp_uid}")
    assert paid.response["cash_receipt_issued"] is False


async def test_a_payment_of_another_merchant_is_no_payment(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    await issue(desk, payment)
    theirs = {"token": desk.stranger.token}
    where = f"/receipts/{payment.imp_uid}"

    assert (await desk.ask("GET", where, **theirs)).verdict == no_receipt(payment.imp_uid)
    asked = await desk.ask("POST", where, json={"identifier": PHONE}, **theirs)
    assert asked.verdict == NO_PAYMENT
    assert (await desk.ask("POST", "/receipts/imp_0", json={"identifier": PHONE})).verdict == (
        NO_PAYMENT
    )
    deleted = await desk.ask("DELETE", where, **theirs)
    assert deleted.verdict == (await desk.ask("DELETE", "/receipts/imp_0")).verdict
    assert (await desk.ask("GET", where)).response["cancelled_at"] == 0


async def test_only_cash_that_was_paid_has_a_receipt(desk: Desk) -> None:
    card, waiting = await desk.pay(), await desk.wait_for_deposit()

    assert (await issue(desk, card)).verdict == NOT_CASH
    assert (await issue(desk, waiting)).verdict == NOT_CASH


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"identifier": ""},
        {"identifier": "12"},
        {"identifier": "가나다라마바사아자차카"},
        {"identifier": "0101234567８"},
        {"identifier": PHONE, "identifier_type": "business"},
        {"identifier": PHONE, "identifier_type": "passport"},
        {"identifier": PHONE, "type": "nobody"},
        {"identifier": PHONE, "tax_free": 1005},
        {"identifier": PHONE, "tax_free": -1},
        {"identifier": PHONE, "vat_amount": 1005},
        {"identifier": PHONE, "tax_free": 1000, "vat_amount": 5},
        {"identifier": PHONE, "buyer_name": ["a"]},
        {"identifier": {"a": 1}},
    ],
)
async def test_what_is_malformed_is_refused_and_not_repeated(
    desk: Desk, body: dict[str, object]
) -> None:
    payment = await desk.pay(pay_method="trans")

    answer = await desk.ask("POST", f"/receipts/{payment.imp_uid}", json=body)

    assert (answer.status, answer.body["code"], answer.response) == (400, -1, None)
    assert "1234" not in answer.body["message"]
    assert (await desk.ask("GET", f"/receipts/{payment.imp_uid}")).status == 404


@pytest.mark.parametrize(
    ("pg_code", "more", "missing"),
    [
        ("ksnet", {"buyer_name": "홍길동"}, "product_type"),
        ("kicc", {}, "identifier_type"),
        ("nice_v2", {"type": "person"}, "identifier_type"),
        ("smartro_v2", {"type": "person", "buyer_name": "a"}, "buyer_tel"),
        ("daou", {"company_tel": "1", "company_name": "a"}, "corp_reg_no"),
    ],
)
async def test_a_pg_says_what_it_wants_to_know(
    desk_with_pg: Desk, house: House, pg_code: str, more: dict[str, str], missing: str
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, channel=await add_channel(desk, house, pg_code))

    refused = await issue(desk, payment, **more)
    issued = await issue(
        desk,
        payment,
        **more,
        **{
            missing: {"product_type": "real", "identifier_type": "phone"}.get(missing, "0212345678")
        },
    )

    assert refused.verdict == (400, -1, f"{missing} 파라메터가 누락되었습니다.")
    assert issued.verdict == (200, 0, None)


async def test_a_pg_without_the_power_says_501(desk_with_pg: Desk, house: House) -> None:
    desk = desk_with_pg
    without = await transfer(desk, channel=await add_channel(desk, house, "danal_tpay"))
    kicc = await transfer(desk, channel=await add_channel(desk, house, "kicc"))
    await issue(desk, kicc, identifier_type="phone")

    assert (await issue(desk, without)).verdict == UNSUPPORTED
    assert (await desk.ask("DELETE", f"/receipts/{kicc.imp_uid}")).verdict == UNSUPPORTED


async def test_a_pgs_no_is_passed_on_and_may_be_asked_again(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)

    refused = await issue(desk, payment, DECLINED)

    assert refused.verdict == (200, -1, "국세청에 등록되지 않은 식별번호입니다.")
    assert (await desk.ask("GET", f"/receipts/{payment.imp_uid}")).status == 404
    assert (await issue(desk, payment)).verdict == (200, 0, None)


async def test_a_pg_that_cannot_be_reached_issued_nothing(desk: Desk) -> None:
    payment = await desk.pay(pay_method="trans")

    refused = await issue(desk, payment)

    assert (refused.status, refused.body["code"], refused.response) == (200, -1, None)
    assert (await desk.ask("GET", f"/receipts/{payment.imp_uid}")).status == 404


@pytest.mark.parametrize("identifier", [SILENT_DONE, SILENT_UNDONE, GARBAGE])
async def test_doubt_is_told_as_doubt_and_ends_by_the_same_question(
    desk_with_pg: Desk, identifier: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    where = f"/receipts/{payment.imp_uid}"
    caplog.set_level(logging.DEBUG)

    asked = await issue(desk, payment, identifier)

    assert asked.verdict == (200, 1, UNKNOWN)
    assert (await desk.ask("GET", where)).verdict == (200, 1, UNKNOWN)
    meanwhile = await issue(desk, payment)
    assert meanwhile.body["code"] == 1
    assert meanwhile.response is None
    assert (await desk.ask("DELETE", where)).body["code"] == 1

    await look_again(desk)

    known = await desk.ask("GET", where)
    assert known.verdict == (200, 0, None)
    assert (await issue(desk, payment)).verdict == ISSUED_ALREADY
    # The person is forgotten, and was never told to the log.
    assert identifier not in caplog.text
    async with desk.gateway.store.direct() as session:
        receipt = await session.cash_receipts.of_payment(desk.shop.merchant.id, payment.imp_uid)
    assert receipt is not None
    assert receipt.order is None


async def test_a_receipt_of_another_amount_is_taken_back(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)

    asked = await issue(desk, payment, OTHER_AMOUNT)
    assert asked.verdict == (200, 1, UNKNOWN)
    await look_again(desk)

    receipt = (await desk.ask("GET", f"/receipts/{payment.imp_uid}")).response
    assert receipt["cancelled_at"] > 0
    assert "취소됨" in await page(desk, receipt["receipt_url"])
    async with desk.gateway.store.direct() as session:
        kinds = [task.kind for task in await session.tasks.of_payment(payment.imp_uid)]
    assert kinds == ["receipt_amount"]
    assert (await issue(desk, payment)).verdict == (200, 0, None)


async def test_a_full_cancel_takes_the_receipt_back_and_a_partial_one_does_not(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk, 5_000)
    where = f"/receipts/{payment.imp_uid}"
    first = (await issue(desk, payment)).response

    part = {"imp_uid": payment.imp_uid, "amount": 1_000}
    assert (await desk.ask("POST", "/payments/cancel", json=part)).verdict == (200, 0, None)
    await look_again(desk)
    assert (await desk.ask("GET", where)).response == first
    # The receipt is of too much now: a person is told, takes it back, and issues it of the rest.
    async with desk.gateway.store.direct() as session:
        [task] = await session.tasks.of_payment(payment.imp_uid)
    assert (task.kind, task.closed_at) == ("receipt_too_large", None)
    await desk.ask("DELETE", where)
    async with desk.gateway.store.direct() as session:
        [task] = await session.tasks.of_payment(payment.imp_uid)
    assert task.closed_at is not None
    rest = (await issue(desk, payment)).response
    assert rest["amount"] == 4_000

    whole = {"imp_uid": payment.imp_uid}
    assert (await desk.ask("POST", "/payments/cancel", json=whole)).verdict == (200, 0, None)
    await look_again(desk)

    ended = (await desk.ask("GET", where)).response
    assert ended["receipt_tid"] == rest["receipt_tid"]
    assert ended["cancelled_at"] > 0
    assert "취소됨" in await page(desk, rest["receipt_url"])
    assert (await issue(desk, payment)).verdict == NOT_CASH


async def test_money_goes_back_although_its_receipt_does_not(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    await issue(desk, payment, NO_CANCEL)
    where = f"/receipts/{payment.imp_uid}"
    refused = await desk.ask("DELETE", where)
    assert refused.verdict == (200, -1, "국세청 전송이 완료되어 취소할 수 없습니다.")

    whole = await desk.ask("POST", "/payments/cancel", json={"imp_uid": payment.imp_uid})
    await look_again(desk)

    assert whole.response["status"] == "cancelled"
    assert (await desk.ask("GET", where)).response["cancelled_at"] == 0
    async with desk.gateway.store.direct() as session:
        kinds = [task.kind for task in await session.tasks.of_payment(payment.imp_uid)]
    assert kinds == ["receipt_stands"]


@pytest.mark.parametrize("identifier", [CANCEL_SILENT_DONE, CANCEL_SILENT_UNDONE])
async def test_a_cancel_that_was_not_answered_is_asked_again(
    desk_with_pg: Desk, identifier: str
) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    await issue(desk, payment, identifier)
    where = f"/receipts/{payment.imp_uid}"

    assert (await desk.ask("DELETE", where)).verdict == (200, 1, UNKNOWN)
    assert (await desk.ask("GET", where)).response["cancelled_at"] == 0
    assert (await desk.ask("DELETE", where)).body["code"] == 1
    await look_again(desk)

    assert (await desk.ask("GET", where)).response["cancelled_at"] > 0


async def test_many_at_once_make_one_receipt(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)

    answers = await asyncio.gather(*(issue(desk, payment) for _ in range(8)))
    issued = [each.response for each in answers if each.response is not None]

    assert len(issued) == 1
    assert {each.body["code"] for each in answers} <= {0, 1, -1}
    assert (await desk.ask("GET", f"/receipts/{payment.imp_uid}")).response == issued[0]

    taken = await asyncio.gather(
        *(desk.ask("DELETE", f"/receipts/{payment.imp_uid}") for _ in range(4))
    )
    assert len({each.response["cancelled_at"] for each in taken if each.response}) == 1


async def test_a_repeated_request_has_one_answer(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    payment = await transfer(desk)
    key = {"Idempotency-Key": f"receipt-{payment.imp_uid}"}
    how = {"json": {"identifier": PHONE}, "headers": key}
    where = f"/receipts/{payment.imp_uid}"

    first, second = [await desk.ask("POST", where, **how) for _ in range(2)]
    assert first.verdict == (200, 0, None)
    assert second.raw == first.raw
    gone, again = [await desk.ask("DELETE", where, headers=key) for _ in range(2)]
    assert gone.verdict == (200, 0, None)
    assert again.raw == gone.raw


@pytest.mark.operation(
    "POST /receipts/external/{merchant_uid}",
    "GET /receipts/external/{merchant_uid}",
    "DELETE /receipts/external/{merchant_uid}",
)
async def test_an_order_that_was_paid_outside_has_a_receipt_too(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    where = f"/receipts/external/shop_{next(NUMBERS)}"
    body = {
        "channel_key": desk.shop.channel.channel_key,
        "name": "현장 판매",
        "amount": "3300",
        "identifier": "1178178260",
        "type": "company",
    }
    assert (await desk.ask("GET", where)).status == 404
    assert (await desk.ask("DELETE", where)).status == 404

    issued = await desk.ask("POST", where, json=body)

    assert issued.verdict == (200, 0, None)
    receipt = issued.response
    assert receipt["merchant_uid"] == where.rsplit("/", 1)[1]
    assert (receipt["amount"], receipt["vat"], receipt["type"]) == (3_300, 300, "company")
    assert "imp_uid" not in receipt
    assert (await desk.ask("GET", where)).response == receipt
    assert "3,300원" in await page(desk, receipt["receipt_url"])
    twice = await desk.ask("POST", where, json=body)
    assert twice.verdict == (400, -1, "이미 현금영수증이 발급된 merchant_uid 입니다.")
    # Their own order of the same name is theirs.
    assert (await desk.ask("GET", where, token=desk.stranger.token)).status == 404
    theirs = {**body, "channel_key": desk.stranger.channel.channel_key}
    assert (await desk.ask("POST", where, token=desk.stranger.token, json=theirs)).status == 200
    foreign = await desk.ask("POST", where + "x", json=theirs)
    assert foreign.verdict == (200, 1, "등록 된 PG 설정 정보를 찾을 수 없습니다.")

    gone = await desk.ask("DELETE", where)
    assert gone.response == {**receipt, "cancelled_at": int(desk.clock().timestamp())}
    assert (await desk.ask("DELETE", where)).response == gone.response
    assert (await desk.ask("POST", where, json=body)).verdict == (200, 0, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"amount": None},
        {"amount": 0},
        {"amount": -5},
        {"amount": 1.5},
        {"identifier": None},
        {"pay_method": "card"},
    ],
)
async def test_a_bad_order_from_outside_is_refused(desk: Desk, changes: dict[str, object]) -> None:
    body = {"name": "a", "amount": 1000, "identifier": PHONE, **changes}
    where = f"/receipts/external/bad_{next(NUMBERS)}"

    answer = await desk.ask("POST", where, json=body)

    assert (answer.status, answer.body["code"], answer.response) == (400, -1, None)
    assert (await desk.ask("GET", where)).status == 404


TWICE = (400, -1, "이미 현금영수증이 발급된 결제건입니다.")
TWICE_OUTSIDE = (400, -1, "이미 현금영수증이 발급된 merchant_uid 입니다.")
PAID_HERE = (
    400,
    -1,
    "결제창이나 API로 결제된 주문입니다. POST /receipts/{imp_uid} 로 발급해주세요.",
)


async def outside(desk: Desk, merchant_uid: str) -> Answered:
    """The receipt of an order as of one that was paid elsewhere."""
    body = {"name": "당근 10kg", "amount": 1004, "identifier": PHONE}
    return await desk.ask("POST", f"/receipts/external/{merchant_uid}", json=body)


async def account(desk: Desk, merchant_uid: str) -> str:
    due = int(desk.clock().timestamp()) + 86_400
    body = {"merchant_uid": merchant_uid, "amount": 1004, "vbank_code": "004", "vbank_due": due}
    body |= {"vbank_holder": "나루 상점", "name": "당근 10kg"}
    answer = await desk.ask("POST", "/vbanks", json=body)
    assert answer.verdict == (200, 0, None)
    return str(answer.response["imp_uid"])


async def deposit(desk: Desk, imp_uid: str) -> Payment:
    """The buyer pays the account, and the PG's notice arrives."""
    async with desk.gateway.store.direct() as session:
        payment = await session.payments.get(imp_uid)
    assert payment is not None
    assert payment.pg_tid is not None
    assert payment.virtual_account is not None
    pg = desk.shop.channel.settings["url"]
    paid = {"number": payment.virtual_account.number, "amount": 1004, "depositor": "홍길동"}
    async with desk.http.post(f"{pg}/desk/deposits", json=paid, headers={"Origin": pg}) as answer:
        assert answer.status == 200
    key, at = f"d{imp_uid}", desk.clock()
    told = Deposited(key, payment.pg_order_no, payment.pg_tid, payment.amount, "홍길동", at)
    await confirm_deposit(desk.gateway, desk.shop.channel, told)
    return payment


@pytest.mark.promise("P2")
async def test_the_same_cash_is_told_once_whichever_way_it_is_asked_for(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    order = f"order_{next(NUMBERS)}"

    # While its account waits an order is not paid outside.
    waiting = await account(desk, order)
    assert (await outside(desk, order)).verdict == PAID_HERE
    payment = await deposit(desk, waiting)
    assert (await issue(desk, payment)).verdict == (200, 0, None)
    assert (await outside(desk, order)).verdict == PAID_HERE

    # And what was told as paid outside is not told again as paid here.
    other = f"order_{next(NUMBERS)}"
    assert (await outside(desk, other)).verdict == (200, 0, None)
    assert (await outside(desk, other)).verdict == TWICE_OUTSIDE
    paid = await deposit(desk, await account(desk, other))
    assert (await issue(desk, paid)).verdict == TWICE
    assert (await desk.ask("GET", f"/receipts/{paid.imp_uid}")).status == 404
    # Taken back, it makes room.
    assert (await desk.ask("DELETE", f"/receipts/external/{other}")).status == 200
    assert (await issue(desk, paid)).verdict == (200, 0, None)
    assert (await desk.ask("GET", f"/receipts/external/{other}")).response["cancelled_at"] > 0


@pytest.mark.promise("P2", "P12")
async def test_a_buyers_own_receipt_beside_one_from_outside_is_laid_before_a_person(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    order = f"order_{next(NUMBERS)}"
    assert (await outside(desk, order)).verdict == (200, 0, None)

    opened = await desk.open(merchant_uid=order, pay_method="trans")
    now = desk.clock()
    async with desk.gateway.store.begin() as tx:
        claimed = await tx.payments.claim_for_approval(opened.imp_uid, now, now, None, {})
    assert claimed is not None
    told = Approved(claimed.pg_order_no, claimed.amount, "tid_own", now, cash_receipt_issued=True)
    paid = await settle_approval(desk.gateway, claimed, desk.shop.channel, told)

    assert paid.cash_receipt_issued
    async with desk.gateway.store.direct() as session:
        tasks = await session.tasks.of_payment(paid.imp_uid)
    assert [each.kind for each in tasks if each.closed_at is None] == [TaskKind.RECEIPT_TOO_LARGE]
    assert (await desk.ask("DELETE", f"/receipts/external/{order}")).status == 200
    async with desk.gateway.store.direct() as session:
        tasks = await session.tasks.of_payment(paid.imp_uid)
    assert [each.kind for each in tasks if each.closed_at is None] == []

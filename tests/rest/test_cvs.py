"""naru/rest/cvs.py: barcodes, from the order to the till of a running sandbox PG and back by its notice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from yarl import URL

from naru import notices
from naru.payments.expire_virtual_account import expire_virtual_account
from tests.rest.conftest import NUMBERS, Answered, Desk, serving
from tests.support.receiver import Receiver, receiving

NO_PAYMENT = (404, -1, "존재하지 않는 결제정보입니다.")
NOT_WAITING = (400, -1, "수납 대기중인 편의점 결제건이 아닙니다.")


@pytest_asyncio.fixture(loop_scope="session")
async def till(desk_with_pg: Desk) -> AsyncIterator[Desk]:
    """A desk whose gateway hears the PG's notices, as a whole house does."""
    desk = desk_with_pg
    app = Starlette(routes=notices.routes(desk.gateway))
    async with serving(lambda address: app) as address:
        desk.gateway.public_url = address
        yield desk


@pytest_asyncio.fixture(loop_scope="session")
async def merchant() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def issue(desk: Desk, **changes: Any) -> Answered:
    fields = {
        "merchant_uid": f"cvs-{next(NUMBERS)}",
        "amount": 12_000,
        "name": "당근 10kg",
        **changes,
    }
    return await desk.ask("POST", "/cvs", json=fields)


async def pay(desk: Desk, barcode: str, pay_type: str = "cash") -> dict[str, Any]:
    """A person at the till."""
    pg = str(desk.shop.channel.settings["url"])
    async with desk.http.post(
        f"{pg}/till/payments",
        json={"barcode": barcode, "pay_type": pay_type},
        headers={"Origin": str(URL(pg).origin())},
    ) as answer:
        said: dict[str, Any] = await answer.json()
        return said


async def once_it_is(desk: Desk, imp_uid: str, status: str) -> dict[str, Any]:
    """The payment, when the PG's notice has made it so."""
    async with asyncio.timeout(10):
        while True:
            payment: dict[str, Any] = (await desk.ask("GET", f"/payments/{imp_uid}")).response
            if payment["status"] == status:
                return payment
            await asyncio.sleep(0.02)


@pytest.mark.operation("POST /cvs")
async def test_a_barcode_is_issued_and_paid_at_the_till(till: Desk) -> None:
    due = int(till.clock().timestamp()) + 86_400
    answer = await issue(
        till,
        expired_at=due,
        channel_key=till.shop.channel.channel_key,
        buyer_name="가" * 20,
        custom_data={"색": 1},
    )

    assert answer.verdict == (200, 0, None)
    ready = answer.response
    assert ready["imp_uid"].startswith("imps_")
    shown = {name: ready[name] for name in ("status", "pay_method", "channel", "amount")}
    assert shown == {"status": "ready", "pay_method": "cvs", "channel": "api", "amount": 12_000}
    assert (ready["vbank_code"], ready["vbank_name"]) == ("CVS", "편의점")
    assert (ready["vbank_date"], ready["vbank_holder"]) == (due, None)
    assert ready["vbank_num"].isdigit()
    assert (ready["buyer_name"], ready["custom_data"]) == ("가" * 16, '{"색":1}')
    assert (ready["paid_at"], ready["card_name"], ready["card_quota"]) == (0, None, 0)

    assert (await pay(till, ready["vbank_num"]))["ok"] is True

    paid = await once_it_is(till, ready["imp_uid"], "paid")
    assert paid["paid_at"] > 0
    assert paid["pg_tid"] == ready["pg_tid"]
    assert (await pay(till, ready["vbank_num"]))["code"] == "ALREADY_PAID"
    again = await issue(till, merchant_uid=ready["merchant_uid"])
    assert again.verdict == (200, 1, "이미 결제가 이루어진 거래건입니다.")


async def test_a_form_registers_the_merchants_own_barcode(till: Desk) -> None:
    barcode = f"77{next(NUMBERS):010d}"
    body = f"merchant_uid=own-{barcode}&amount=5000&barcode={barcode}&pg=kcp&notice_url[]="
    answer = await till.ask("POST", "/cvs/", data=body + "https://a.example/1")

    assert answer.verdict == (200, 0, None)
    assert answer.response["vbank_num"] == barcode
    assert answer.response["vbank_date"] > till.clock().timestamp()
    second = await issue(till, barcode=barcode)
    assert second.verdict == (200, -1, "이미 등록된 수납번호입니다.")


async def test_the_merchant_is_asked_at_the_till(till: Desk, merchant: Receiver) -> None:
    ready = (await issue(till, confirm_url=f"{merchant.url}/confirm")).response
    merchant.answers = [500, 204, 200]
    for _ in range(2):
        assert (await pay(till, ready["vbank_num"], "card"))["code"] == "NOT_PAYABLE"
    assert (await till.ask("GET", f"/payments/{ready['imp_uid']}")).response["status"] == "ready"

    assert (await pay(till, ready["vbank_num"], "card"))["ok"] is True

    await once_it_is(till, ready["imp_uid"], "paid")
    assert [json.loads(told.body) for told in merchant.told] == [
        {
            "event": "Galaxia.Cvs.Confirm",
            "imp_uid": ready["imp_uid"],
            "merchant_uid": ready["merchant_uid"],
            "status": "ready",
            "extra": {"barcode": ready["vbank_num"], "payType": "card"},
        }
    ] * 3


async def test_a_till_that_may_ask_takes_no_order_twice(till: Desk, merchant: Receiver) -> None:
    first, second = [
        (await issue(till, merchant_uid="twice", confirm_url=merchant.url)).response
        for _ in range(2)
    ]
    assert (await pay(till, first["vbank_num"]))["ok"] is True
    await once_it_is(till, first["imp_uid"], "paid")
    asked = len(merchant.told)

    assert (await pay(till, second["vbank_num"]))["code"] == "NOT_PAYABLE"
    assert len(merchant.told) == asked


async def test_a_question_that_the_pg_did_not_sign_asks_nobody(
    till: Desk, merchant: Receiver
) -> None:
    ready = (await issue(till, confirm_url=merchant.url)).response
    forged = {
        "type": "barcode_read",
        "mid": till.shop.channel.mid,
        "order_no": "n" * 20,
        "barcode": ready["vbank_num"],
        "pay_type": "cash",
        "amount": 12_000,
        "currency": "KRW",
        "read_at": int(till.clock().timestamp()),
    }
    url = f"{till.gateway.public_url}/notices/{till.shop.channel.channel_key}"
    headers = {"X-Sandbox-Timestamp": str(forged["read_at"]), "X-Sandbox-Signature": "0" * 64}
    async with till.http.post(url, json=forged, headers=headers) as answer:
        assert (answer.status, await answer.text()) == (400, "NO")
    assert merchant.told == []


@pytest.mark.operation("DELETE /cvs/{imp_uid}")
async def test_a_barcode_is_revoked_once_and_is_dead_at_the_till(till: Desk) -> None:
    ready = (await issue(till)).response
    path = f"/cvs/{ready['imp_uid']}"
    assert (await till.ask("DELETE", path, token=till.stranger.token)).verdict == NO_PAYMENT
    assert (await till.ask("DELETE", "/cvs/imps_000000000000")).verdict == NO_PAYMENT

    revoked = await till.ask("DELETE", path)

    assert revoked.verdict == (200, 0, None)
    assert revoked.response["status"] == "failed"
    assert revoked.response["fail_reason"] == "수납번호 말소"
    assert (await till.ask("DELETE", path)).verdict == NOT_WAITING
    assert (await pay(till, ready["vbank_num"]))["code"] == "REVOKED"


async def test_accounts_and_barcodes_are_told_apart(till: Desk) -> None:
    account, paid = await till.wait_for_deposit(), await till.pay()
    for payment in (account, paid):
        assert (await till.ask("DELETE", f"/cvs/{payment.imp_uid}")).verdict == NOT_WAITING


async def test_a_barcode_is_no_virtual_account(till: Desk) -> None:
    ready = (await issue(till)).response
    refused = await till.ask("DELETE", f"/vbanks/{ready['imp_uid']}")
    assert (refused.status, refused.body["code"]) == (400, -1)
    assert (await till.ask("GET", f"/payments/{ready['imp_uid']}")).response["status"] == "ready"


async def test_a_barcode_that_nobody_paid_is_ended_by_the_job_that_ends_accounts(
    till: Desk,
) -> None:
    due = int(till.clock().timestamp()) + 3_600
    ready = (await issue(till, expired_at=due)).response
    till.clock.advance(3_601)
    assert (await pay(till, ready["vbank_num"]))["code"] == "DUE_PASSED"
    # Its token has ended by then; the worker needs none.
    await expire_virtual_account(till.gateway, till.shop.merchant.id, ready["imp_uid"])
    async with till.gateway.store.direct() as session:
        expired = await session.payments.get(ready["imp_uid"])
    assert expired is not None
    assert expired.fail_reason == "수납기한이 지나 수납번호가 말소되었습니다."


async def test_a_barcode_that_was_paid_first_is_not_revoked(till: Desk) -> None:
    ready = (await issue(till)).response
    assert (await pay(till, ready["vbank_num"]))["ok"] is True
    answer = await till.ask("DELETE", f"/cvs/{ready['imp_uid']}")
    assert answer.response is None
    assert answer.body["code"] != 0
    assert (await once_it_is(till, ready["imp_uid"], "paid"))["status"] == "paid"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"amount": None}, 400),
        ({"amount": 0}, 400),
        ({"amount": "12.5"}, 400),
        ({"amount": -1}, 400),
        ({"merchant_uid": None}, 400),
        ({"merchant_uid": "x" * 41}, 400),
        ({"barcode": "12-34"}, 400),
        ({"barcode": "1" * 31}, 400),
        ({"expired_at": 1}, 400),
        ({"expired_at": 10**12}, 400),
        ({"expired_at": "soon"}, 400),
        ({"confirm_url": "ftp://a.example"}, 400),
        ({"notice_url": ["not an address"]}, 400),
        ({"channel_key": "channel-key-of-nobody"}, 200),
    ],
)
async def test_what_cannot_be_is_refused(desk: Desk, changes: dict[str, Any], status: int) -> None:
    answer = await issue(desk, **changes)
    assert (answer.status, answer.response) == (status, None)
    assert answer.body["code"] != 0


async def test_a_repeated_key_issues_one_barcode(till: Desk) -> None:
    body = {"merchant_uid": f"once-{next(NUMBERS)}", "amount": 3000}
    headers = {"Idempotency-Key": f"cvs-{next(NUMBERS)}"}
    first, second = [await till.ask("POST", "/cvs", json=body, headers=headers) for _ in range(2)]
    assert first.response == second.response

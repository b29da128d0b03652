"""naru/rest/vbanks.py against a running sandbox PG."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from naru.domain.money import Money
from naru.domain.outcome import Deposited
from naru.payments.change_virtual_account import change_virtual_account
from naru.payments.confirm_deposit import confirm_deposit
from naru.payments.run_errand import due_errands, run_again
from tests.rest.cash import add_channel
from tests.rest.conftest import Answered, Desk, House
from tests.support.dying import dying

NO_PAYMENT = (404, -1, "존재하지 않는 결제정보입니다.")


async def issue(desk: Desk, **changes: Any) -> Answered:
    due = int(desk.clock().timestamp()) + 86_400
    fields = {
        "merchant_uid": "order_v",
        "amount": 1004,
        "vbank_code": "004",
        "vbank_due": due,
        "vbank_holder": "나루 상점",
        "name": "당근 10kg",
        **changes,
    }
    return await desk.ask(
        "POST", "/vbanks", json={name: value for name, value in fields.items() if value is not None}
    )


@pytest.mark.operation("POST /vbanks")
async def test_an_account_is_issued_and_waits(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    due = int(desk.clock().timestamp()) + 86_400

    answer = await issue(
        desk,
        buyer_name="가" * 20,
        custom_data={"색": 1},
        notice_url="http://127.0.0.1:1/webhook",
        channel_key=desk.shop.channel.channel_key,
    )

    assert answer.verdict == (200, 0, None)
    payment = answer.response
    assert payment["imp_uid"].startswith("imps_")
    assert payment["status"] == "ready"
    assert payment["channel"] == "api"
    assert payment["pay_method"] == "vbank"
    assert payment["vbank_code"] == "004"
    assert payment["vbank_num"]
    assert payment["vbank_date"] == due
    assert payment["buyer_name"] == "가" * 16
    assert payment["custom_data"] == '{"색":1}'
    assert "aiohttp" in payment["user_agent"]
    assert payment["paid_at"] == 0
    assert (await desk.ask("GET", f"/payments/{payment['imp_uid']}")).response == payment


async def test_a_form_issues_one_too_also_by_pg_code_and_bank_code_of_inicis(
    desk_with_pg: Desk,
) -> None:
    due = int(desk_with_pg.clock().timestamp()) + 86_400

    answer = await desk_with_pg.ask(
        "POST",
        "/vbanks/?pg_api_key=ignored",
        data=f"merchant_uid=m&amount=5000&vbank_code=04&vbank_due={due}&pg=kcp&vbank_holder=x"
        "&notice_url[]=https://a.example/1&notice_url[]=https://a.example/2",
    )

    assert answer.verdict == (200, 0, None)
    assert answer.response["vbank_code"] == "004"


async def test_several_accounts_may_wait_for_one_order(desk_with_pg: Desk) -> None:
    first, second = await issue(desk_with_pg), await issue(desk_with_pg)

    assert first.response["imp_uid"] != second.response["imp_uid"]
    assert first.response["vbank_num"] != second.response["vbank_num"]


async def test_a_paid_order_gets_no_account(desk: Desk) -> None:
    payment = await desk.pay()

    answer = await issue(desk, merchant_uid=payment.merchant_uid)

    assert answer.verdict == (200, 1, "이미 결제가 이루어진 거래건입니다.")


@pytest.mark.operation("DELETE /vbanks/{imp_uid}")
async def test_an_account_is_closed_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    imp_uid = (await issue(desk)).response["imp_uid"]

    closed = await desk.ask("DELETE", f"/vbanks/{imp_uid}?pg_api_key=ignored")
    again = await desk.ask("DELETE", f"/vbanks/{imp_uid}/")

    assert closed.verdict == (200, 0, None)
    assert closed.response["status"] == "failed"
    assert closed.response["fail_reason"] == "가상계좌 말소"
    assert again.status == 400
    assert again.body["code"] == -1


async def test_only_a_waiting_account_is_closed_or_changed(desk: Desk) -> None:
    paid, waiting = await desk.pay(), await desk.wait_for_deposit()

    for method in ("DELETE", "PUT"):
        assert (await desk.ask(method, "/vbanks/imp_nothing")).verdict == NO_PAYMENT
        assert (await desk.ask(method, f"/vbanks/{paid.imp_uid}")).status == 400
    # Only settle could change one, and it is not among our PGs yet.
    answer = await desk.ask("PUT", f"/vbanks/{waiting.imp_uid}", json={"amount": 5})
    assert (answer.status, answer.body["code"], answer.response) == (400, -1, None)


async def test_a_pg_that_cannot_be_reached_issues_nothing(desk: Desk) -> None:
    answer = await issue(desk)

    assert answer.status == 200
    assert answer.body["code"] != 0
    assert answer.response is None


async def test_an_unknown_channel_key_is_a_business_refusal(desk: Desk) -> None:
    answer = await issue(desk, channel_key=desk.stranger.channel.channel_key)

    assert answer.verdict == (200, 1, "등록 된 PG 설정 정보를 찾을 수 없습니다.")


@pytest.mark.parametrize(
    "changes",
    [
        {"merchant_uid": None},
        {"merchant_uid": "x" * 41},
        {"merchant_uid": "a\nb"},
        {"amount": None},
        {"amount": 0},
        {"amount": -1},
        {"amount": 1.5},
        {"amount": "천원"},
        {"amount": 1004, "tax_free": 1005},
        {"amount": 1004, "vat_amount": 1005},
        {"vbank_code": None},
        {"vbank_code": "999"},
        {"vbank_due": None},
        {"vbank_due": 1},
        {"vbank_due": "2030-01-01"},
        {"vbank_due": 99_999_999_999},
        {"vbank_num": "79959078731512"},
        {"vbank_key": "fixed"},
        {"fixed_unlimited_vbank": "true"},
        {"notice_url": "javascript:alert(1)"},
        {"notice_url": ["https://a.example"] * 11},
        {"currency": "XXX"},
    ],
)
async def test_what_is_unclear_is_refused_and_nothing_is_opened(
    desk: Desk, changes: dict[str, Any]
) -> None:
    answer = await issue(desk, **changes)

    assert answer.status == 400, answer.body
    assert answer.body["code"] == -1
    assert (await desk.ask("GET", "/payments/status/all")).response["total"] == 0


@pytest.mark.parametrize("told", [True, False])
async def test_whether_the_caller_is_told_by_webhook_too_is_a_setting(
    desk_with_pg: Desk, told: bool
) -> None:
    """Unknowns A27. The deposit itself is told either way."""
    desk = desk_with_pg
    desk.gateway.api_account_webhook = told

    issued = (await issue(desk, notice_url="http://127.0.0.1:1/webhook")).response

    async with desk.gateway.store.direct() as session:
        laid = await session.outbox.of_merchant(desk.shop.merchant.id, imp_uid=issued["imp_uid"])
    assert [each.status for each in laid] == (["ready"] if told else [])


@pytest.mark.operation("PUT /vbanks/{imp_uid}")
async def test_a_waiting_account_of_settle_is_changed_and_paid_as_changed(
    desk_with_pg: Desk, house: House
) -> None:
    desk = desk_with_pg
    settle = await add_channel(desk, house, "settle")
    issued = (await issue(desk, channel_key=settle.channel_key)).response
    where, due = f"/vbanks/{issued['imp_uid']}", issued["vbank_date"] + 86_400

    changed = await desk.ask("PUT", where, json={"amount": 2_000, "vbank_due": due})

    assert changed.verdict == (200, 0, None)
    assert changed.response == {**issued, "amount": 2_000, "vbank_date": due}
    assert (await desk.ask("GET", f"/payments/{issued['imp_uid']}")).response == changed.response
    one = await desk.ask("PUT", where, data={"amount": "3000"})
    assert (one.response["amount"], one.response["vbank_date"]) == (3_000, due)

    async with desk.http.get(f"{house.pg_url}/desk/state?number={issued['vbank_num']}") as answer:
        [account] = (await answer.json())["accounts"]
    assert (account["amount"], account["due"]) == (3_000, due)
    async with desk.gateway.store.direct() as session:
        payment = await session.payments.get(issued["imp_uid"])
    assert payment is not None
    paid_in = Deposited(
        "n1", payment.pg_order_no, payment.pg_tid or "", Money(3_000), None, desk.clock()
    )
    await confirm_deposit(desk.gateway, settle, paid_in)
    paid = (await desk.ask("GET", f"/payments/{issued['imp_uid']}")).response
    assert (paid["status"], paid["amount"]) == ("paid", 3_000)
    late = await desk.ask("PUT", where, json={"amount": 4_000})
    assert (late.status, late.body["code"]) == (400, -1)


async def test_changes_at_once_wait_for_one_another_and_never_in_a_circle(
    desk_with_pg: Desk, house: House
) -> None:
    """Who asks and who writes the answer hold the same rows in the same order (simulated seed 100014)."""
    desk = desk_with_pg
    settle = await add_channel(desk, house, "settle")
    issued = (await issue(desk, channel_key=settle.channel_key)).response
    where = f"/vbanks/{issued['imp_uid']}"

    async def change_again_and_again(first: int) -> list[int]:
        answers = [await desk.ask("PUT", where, json={"amount": first + each}) for each in range(5)]
        assert {(each.status, each.body["code"]) for each in answers} <= {(200, 0), (200, 1)}
        return [each.response["amount"] for each in answers if each.body["code"] == 0]

    told = await asyncio.gather(*(change_again_and_again(1_000 * n) for n in range(1, 7)))

    assert sum(map(len, told)) > 5
    ours = (await desk.ask("GET", f"/payments/{issued['imp_uid']}")).response["amount"]
    async with desk.http.get(f"{house.pg_url}/desk/state?number={issued['vbank_num']}") as answer:
        [account] = (await answer.json())["accounts"]
    assert ours == account["amount"]


@pytest.mark.parametrize(("amount", "meaning"), [(2_000, "over"), (500, "short")])
async def test_a_deposit_that_comes_before_we_write_what_the_pg_changed_pays_when_it_is_written(
    desk_with_pg: Desk, house: House, amount: int, meaning: str
) -> None:
    """The PG took the change, and we died before we wrote it; its buyer pays what the bank shows (simulated seed 6)."""
    desk = desk_with_pg
    gateway, settle = desk.gateway, await add_channel(desk, house, "settle")
    issued = (await issue(desk, channel_key=settle.channel_key)).response
    imp_uid, merchant_id = issued["imp_uid"], desk.shop.merchant.id
    with dying("errand.after_pg"):
        await change_virtual_account(gateway, merchant_id, imp_uid, Money(amount), None)
    async with gateway.store.direct() as session:
        payment = await session.payments.get(imp_uid)
    assert payment is not None
    number, tid = payment.pg_order_no, payment.pg_tid or ""
    paid_in = Deposited(f"n-{imp_uid}", number, tid, Money(amount), None, desk.clock())
    assert await confirm_deposit(gateway, settle, paid_in) == meaning

    desk.clock.advance(60)
    for errand in await due_errands(gateway):
        await run_again(gateway, errand)

    async with gateway.store.direct() as session:
        tasks = await session.tasks.of_payment(imp_uid)
    paid = (await desk.ask("GET", f"/payments/{imp_uid}")).response
    assert (paid["status"], paid["amount"]) == ("paid", amount)
    assert [(each.kind, each.closed_by) for each in tasks] == [(f"deposit_{meaning}", "naru")]


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 1.5},
        {"vbank_due": 1},
        {"vbank_due": 99_999_999_999},
    ],
)
async def test_a_bad_change_changes_nothing(
    desk_with_pg: Desk, house: House, body: dict[str, Any]
) -> None:
    desk = desk_with_pg
    settle = await add_channel(desk, house, "settle")
    issued = (await issue(desk, channel_key=settle.channel_key)).response
    where = f"/vbanks/{issued['imp_uid']}"

    refused = await desk.ask("PUT", where, json=body)
    foreign = await desk.ask("PUT", where, token=desk.stranger.token, json={"amount": 5})

    assert (refused.status, refused.body["code"], refused.response) == (400, -1, None)
    assert foreign.verdict == NO_PAYMENT
    assert (await desk.ask("GET", f"/payments/{issued['imp_uid']}")).response == issued

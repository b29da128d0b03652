"""naru/rest/kcpquick.py against a running sandbox PG, where a person joins and enters a PIN."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_asyncio
from yarl import URL

from naru.domain.channel import Channel
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.outcome import Declined
from naru.domain.payment import Payment, Surface
from naru.domain.quick import QuickMember, QuickQuestion
from naru.payments.quick_pay import ask_again, due_members
from naru.payments.start import Opening, enter_window, start
from tests.rest.conftest import NUMBERS, Answered, Desk

CARD = {"card_number": "4092-0230-1234-1234", "expiry": "2030-12", "birth": "900101"}
NO_MEMBER = (404, -1, "유효하지 않은 member_id 입니다.")


@pytest_asyncio.fixture(loop_scope="session")
async def quick(desk_with_pg: Desk) -> Desk:
    """A desk whose shop has a channel of quick pay."""
    desk = desk_with_pg
    await add_quick_channel(desk)
    return desk


async def add_quick_channel(desk: Desk) -> None:
    shop = desk.shop
    settings = {"url": shop.channel.settings["url"], "secret": shop.channel.settings["secret"]}
    mid = f"Q{shop.channel.mid}"
    async with desk.gateway.store.begin() as tx:
        await tx.channels.add(
            shop.merchant.id,
            f"quick-{shop.channel.channel_key}",
            "kcp_quick",
            mid,
            "sandbox",
            test=True,
            settings=settings,
        )
    body = {"secret": settings["secret"], "name": shop.merchant.name, "profile": "kcp_quick"}
    async with desk.http.put(f"{settings['url']}/v1/members/{mid}", json=body) as answer:
        assert answer.status == 200


async def channel_of(desk: Desk) -> Channel:
    async with desk.gateway.store.direct() as session:
        channels = await session.channels.of_merchant(desk.shop.merchant.id)
    return next(each for each in channels if each.pg_code == "kcp_quick")


async def at_the_page(desk: Desk, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A person at the sandbox PG's own page."""
    pg = str(desk.shop.channel.settings["url"])
    origin = {"Origin": str(URL(pg).origin())}
    async with desk.http.post(f"{pg}{path}", json=body, headers=origin) as answer:
        said: dict[str, Any] = await answer.json()
        return said


async def join(desk: Desk, *, money: int = 50_000, fido: bool = True) -> str:
    """A new member of the shop, whose PIN is 246810."""
    member_id = f"m{next(NUMBERS)}"
    mid = (await channel_of(desk)).mid
    body = {"mid": mid, "member_id": member_id, "pin": "246810", "money": money, "fido": fido}
    assert (await at_the_page(desk, "/quick/members", body))["ok"] is True
    return member_id


async def check_pin(desk: Desk, member_id: str, pin: str = "246810") -> tuple[Payment, Any]:
    """A payment of the quick channel for which a member enters the PIN."""
    channel = await channel_of(desk)
    opened, _ = await start(
        desk.gateway,
        Opening(
            merchant=desk.shop.merchant,
            channel=channel,
            merchant_uid=MerchantUid(f"pin-{next(NUMBERS)}"),
            amount=Money(1000),
            surface=Surface.PC,
            pay_method="card",
        ),
    )
    await enter_window(desk.gateway, opened, desk.shop.merchant)
    body = {
        "mid": channel.mid,
        "order_no": opened.pg_order_no,
        "member_id": member_id,
        "pin": pin,
    }
    return opened, await at_the_page(desk, "/quick/pins", body)


async def pay_money(desk: Desk, member_id: str, imp_uid: str, **changes: Any) -> Answered:
    body = {
        "member_id": member_id,
        "channel_key": (await channel_of(desk)).channel_key,
        "merchant_uid": f"money-{next(NUMBERS)}",
        "name": "당근",
        "amount": 12_000,
        "imp_uid": imp_uid,
        **changes,
    }
    return await desk.ask("POST", "/kcpquick/payment/money", json=body)


@pytest.mark.operation("POST /kcpquick/payment/money")
async def test_money_is_taken_for_a_pin_that_was_entered_once(quick: Desk) -> None:
    member = await join(quick, money=20_000)
    pin, said = await check_pin(quick, member)
    assert said["ok"] is True

    answer = await pay_money(quick, member, pin.imp_uid)

    assert answer.verdict == (200, 0, None)
    paid = answer.response
    shown = {name: paid[name] for name in ("status", "pay_method", "amount", "pg_provider")}
    assert shown == {
        "status": "paid",
        "pay_method": "point",
        "amount": 12_000,
        "pg_provider": "kcp_quick",
    }
    assert (await quick.ask("GET", f"/payments/{paid['imp_uid']}")).response == paid
    again = await pay_money(quick, member, pin.imp_uid)
    assert again.verdict == (200, -1, "PIN 인증이 확인되지 않습니다.")
    second, _ = await check_pin(quick, member)
    short = await pay_money(quick, member, second.imp_uid)
    assert short.verdict == (200, -1, "선불머니 잔액이 부족합니다.")


async def test_without_the_right_pin_no_money_is_taken(quick: Desk) -> None:
    member, other = await join(quick), await join(quick)
    wrong, said = await check_pin(quick, member, "111111")
    assert said["code"] == "PIN_WRONG"
    assert (await pay_money(quick, member, wrong.imp_uid)).body["code"] == -1
    right, _ = await check_pin(quick, member)
    assert (await pay_money(quick, other, right.imp_uid)).body["code"] == -1
    for nobody in ("imp_000000000000", (await quick.pay()).imp_uid):
        refused = await pay_money(quick, member, nobody)
        assert refused.verdict == (
            200,
            1,
            "PIN 인증(PinCheck)을 진행한 결제건이 존재하지 않습니다.",
        )
    quick.clock.advance(601)
    late = await pay_money(quick, member, right.imp_uid)
    assert late.verdict == (200, -1, "PIN 인증 유효시간이 지났습니다.")


async def test_a_pin_is_locked_after_five_wrong_ones(quick: Desk) -> None:
    member = await join(quick)
    codes = [(await check_pin(quick, member, "000000"))[1]["code"] for _ in range(6)]
    assert codes == ["PIN_WRONG"] * 5 + ["PIN_LOCKED"]
    assert (await check_pin(quick, member))[1]["code"] == "PIN_LOCKED"


@pytest.mark.operation("DELETE /kcpquick/members/{member_id}")
async def test_a_member_is_forgotten_once(quick: Desk) -> None:
    member = await join(quick)
    channel = await channel_of(quick)
    path = (
        f"/kcpquick/members/{member}?site_code={channel.mid}&partner_type=IX99&partner_subtype=99IX"
    )
    stranger = await quick.ask("DELETE", path, token=quick.stranger.token)
    assert stranger.verdict == NO_MEMBER

    answer = await quick.ask("DELETE", path, headers={"Accept": "application/json"})

    assert answer.verdict == (200, 0, None)
    assert {**answer.response, "inserted": 0, "updated": 0} == {
        "inserted": 0,
        "member_id": member,
        "pg_id": channel.mid,
        "pg_provider": "kcp_quick",
        "updated": 0,
    }
    assert answer.response["inserted"] > 0
    assert (await quick.ask("DELETE", path)).verdict == NO_MEMBER
    _, said = await check_pin(quick, member)
    assert said["code"] == "MEMBER_NOT_FOUND"
    wrong = path.replace(channel.mid, "T0000")
    assert (await quick.ask("DELETE", wrong)).verdict == NO_MEMBER
    assert (await quick.ask("DELETE", f"/kcpquick/members/{member}")).status == 400


async def test_a_member_of_another_merchant_under_the_same_mid_stays(quick: Desk) -> None:
    """Two merchants sell under one MID. Whom a member paid, that one may have them forgotten."""
    channel, stranger = await channel_of(quick), quick.stranger
    async with quick.gateway.store.begin() as tx:
        await tx.channels.add(
            stranger.merchant.id,
            f"shared-{channel.channel_key}",
            "kcp_quick",
            channel.mid,
            "sandbox",
            test=True,
            settings=channel.settings,
        )
    key = {"channel_key": f"shared-{channel.channel_key}"}
    theirs = Desk(**{**vars(quick), "shop": stranger, "stranger": quick.shop})

    async def forget(desk: Desk, member: str) -> tuple[int, int, str | None]:
        path = (
            f"/kcpquick/members/{member}?site_code={channel.mid}&partner_type=a&partner_subtype=b"
        )
        release = await desk.ask(
            "POST",
            f"/kcpquick/members/{member}/fido/release",
            json=key if desk is theirs else {"channel_key": channel.channel_key},
        )
        answer = await desk.ask("DELETE", path)
        assert (release.body["code"] == 0) == (answer.status == 200)
        return answer.verdict

    unpaid, ours, both = await join(quick), await join(quick), await join(quick)
    # Who has paid nobody yet is of the merchant who had the MID first.
    assert await forget(theirs, unpaid) == NO_MEMBER
    pin, _ = await check_pin(quick, ours)
    assert (await pay_money(quick, ours, pin.imp_uid)).verdict == (200, 0, None)
    assert await forget(theirs, ours) == NO_MEMBER
    pin, _ = await check_pin(theirs, both)
    assert (await pay_money(theirs, both, pin.imp_uid)).verdict == (200, 0, None)
    assert await forget(quick, both) == NO_MEMBER
    for desk, member in ((quick, unpaid), (quick, ours), (theirs, both)):
        assert (await forget(desk, member))[0] == 200


@pytest.mark.operation("POST /kcpquick/members/{member_id}/fido/release")
async def test_fido_is_switched_off_and_kcps_own_words_are_told(quick: Desk) -> None:
    member = await join(quick)
    path = f"/kcpquick/members/{member}/fido/release"
    body = {"channel_key": (await channel_of(quick)).channel_key}

    answer = await quick.ask("POST", path, json=body)
    assert (answer.verdict, answer.response) == ((200, 0, None), {"member_id": member})

    again = await quick.ask("POST", path, json=body)
    assert again.body == {
        "code": -1,
        "error": {"code": "C210", "message": "등록된 거래가 없습니다."},
        "message": "등록된 거래가 없습니다.",
        "response": None,
    }
    for key in ("channel-of-nobody", quick.shop.channel.channel_key):
        refused = await quick.ask("POST", path, json={"channel_key": key})
        assert refused.verdict == (400, -1, "KCP 퀵페이 채널을 찾을 수 없습니다.")
    foreign = await quick.ask("POST", path, json=body, token=quick.stranger.token)
    assert foreign.status == 400


async def test_a_question_that_was_not_answered_is_asked_again_by_its_number(
    quick: Desk,
) -> None:
    """The PG forgot the member and its answer was lost: the next call hears the same answer."""
    member = await join(quick)
    channel = await channel_of(quick)
    path = f"/kcpquick/members/{member}?site_code={channel.mid}&partner_type=a&partner_subtype=b"
    answer = await quick.ask("DELETE", path)
    async with quick.gateway.store.direct() as session:
        raw = session._connection.raw
        await raw.execute("ALTER TABLE quick_questions DISABLE TRIGGER quick_question_rules")
        await raw.execute(
            "UPDATE quick_questions SET state = 'asking', ended_at = NULL, inserted_at = NULL,"
            " updated_at = NULL, next_try_at = now() WHERE member_id = $1",
            member,
        )
        await raw.execute("ALTER TABLE quick_questions ENABLE TRIGGER quick_question_rules")

    again = await quick.ask("DELETE", path)

    assert (again.status, again.response) == (200, answer.response)
    assert (await quick.ask("DELETE", path)).verdict == NO_MEMBER


async def test_a_question_that_nobody_repeats_is_ended_by_the_worker(quick: Desk) -> None:
    """The PG is out of reach for hours, and a person is told; then it is asked by the same number."""
    member, gateway = await join(quick), quick.gateway
    channel = await channel_of(quick)
    away = {**channel.settings, "url": "http://127.0.0.1:9"}
    question = QuickQuestion(
        "c" + member * 3, channel.merchant_id, channel.id, "delete_member", member
    )
    async with gateway.store.begin() as tx:
        await tx.channels.change_settings(channel.id, away)
        await tx.quick.ask(question, quick.clock(), quick.clock())

    async def due() -> bool:
        return question.number in await due_members(gateway)

    async def tasks() -> list[str]:
        async with gateway.store.direct() as session:
            return [
                each.kind
                for each in await session.tasks.list_open()
                if each.subject == question.number
            ]

    for hours in (0, 2):
        quick.clock.advance(hours * 3600)
        assert await due()
        await ask_again(gateway, question.number)
        assert not await due(), "the next try has its time"
        assert await tasks() == (["member_unknown"] if hours else [])
    async with gateway.store.begin() as tx:
        await tx.channels.change_settings(channel.id, channel.settings)
    quick.clock.advance(3600)
    await ask_again(gateway, question.number)
    async with gateway.store.direct() as session:
        ended = await session.quick.of_number(question.number)
    assert ended is not None
    assert ended.state in ("done", "refused")
    assert await tasks() == []
    assert not await due()
    _, said = await check_pin(quick, member)
    assert said["code"] == "MEMBER_NOT_FOUND"


async def test_who_could_not_ask_ends_no_question_that_another_one_asks(quick: Desk) -> None:
    """Its line to the PG was down; the other one's question is on its way (simulated seed 100103)."""
    member, gateway = await join(quick), quick.gateway
    channel = await channel_of(quick)

    async def question() -> QuickQuestion:
        number = gateway.ids.cancel_no()
        fresh = QuickQuestion(number, channel.merchant_id, channel.id, "delete_member", member)
        async with gateway.store.begin() as tx:
            return await tx.quick.ask(fresh, quick.clock(), quick.clock())

    one, other = await question(), await question()
    assert one.number == other.number
    unsent = Declined("NOT_SENT", "connection refused")
    async with gateway.store.begin() as tx:
        assert await tx.quick.end(one, unsent, quick.clock()) is None
        # Control: who asked last may say that it was never asked; and a yes is true whoever heard it.
        ended = await tx.quick.end(other, unsent, quick.clock())
    assert (ended and ended.state) == "refused"

    one, _ = await question(), await question()
    async with gateway.store.begin() as tx:
        done = await tx.quick.end(
            one, QuickMember(member, quick.clock(), quick.clock()), quick.clock()
        )
    assert (done and done.state) == "done"


@pytest.mark.operation("POST /kcpquick/payment/autopay")
@pytest.mark.operation("DELETE /kcpquick/autopay/{customer_uid}")
async def test_a_key_of_quick_pay_is_charged_and_deleted(quick: Desk) -> None:
    customer = f"customer-{next(NUMBERS)}"
    channel = await channel_of(quick)
    card = {**demo_card(), "channel_key": channel.channel_key}
    issued = await quick.ask("POST", f"/subscribe/customers/{customer}", json=card)
    assert issued.body["code"] == 0, issued.body
    body = {
        "customer_uid": customer,
        "merchant_uid": f"auto-{next(NUMBERS)}",
        "name": "구독",
        "buyer_name": "홍길동",
        "amount": 9900,
    }

    paid = (await quick.ask("POST", "/kcpquick/payment/autopay", json=body)).response

    assert (paid["status"], paid["amount"], paid["customer_uid"]) == ("paid", 9900, customer)
    twice = await quick.ask("POST", "/kcpquick/payment/autopay", json=body)
    assert twice.verdict == (200, 1, "이미 결제가 이루어진 거래건입니다.")
    path = f"/kcpquick/autopay/{customer}"
    miss = (404, -1, "등록된 자동결제 키를 찾을 수 없습니다.")
    assert (await quick.ask("DELETE", path, token=quick.stranger.token)).verdict == miss
    deleted = await quick.ask("DELETE", path)
    assert (deleted.verdict, deleted.response) == ((200, 0, None), {"customer_uid": customer})
    assert (await quick.ask("DELETE", path)).verdict == miss
    body["merchant_uid"] += "-2"
    gone = await quick.ask("POST", "/kcpquick/payment/autopay", json=body)
    assert gone.verdict == (200, 1, "등록되지 않은 구매자입니다.")


async def test_a_key_of_another_pg_is_no_key_of_quick_pay(quick: Desk) -> None:
    customer = f"customer-{next(NUMBERS)}"
    card = {**demo_card(), "channel_key": quick.shop.channel.channel_key}
    assert (await quick.ask("POST", f"/subscribe/customers/{customer}", json=card)).body[
        "code"
    ] == 0
    body = {
        "customer_uid": customer,
        "merchant_uid": "x",
        "name": "구독",
        "buyer_name": "홍길동",
        "amount": 9900,
    }
    refused = await quick.ask("POST", "/kcpquick/payment/autopay", json=body)
    assert refused.verdict == (200, 1, "등록되지 않은 구매자입니다.")
    assert (await quick.ask("DELETE", f"/kcpquick/autopay/{customer}")).status == 404


def demo_card() -> dict[str, str]:
    from naru.sandbox import cards

    card = next(each for each in cards.CARDS if each.auth == "mpi" and not each.scenario)
    return {
        "card_number": card.number,
        "expiry": f"20{card.expiry[2:]}-{card.expiry[:2]}",
        "birth": "900101",
        "pwd_2digit": "12",
    }


PREPARED = {"btid": "BT0001", "cust_ip": "203.0.113.7", "code_verifier": "v" * 43}


@pytest.mark.operation("POST /kcpquick/prepare/{merchant_uid}")
@pytest.mark.operation("PUT /kcpquick/prepare/{merchant_uid}")
async def test_an_order_is_announced_and_announced_anew(quick: Desk) -> None:
    order = f"prepared-{next(NUMBERS)}"
    path = f"/kcpquick/prepare/{order}"
    missing = (404, -1, "사전등록 정보를 찾을 수 없습니다.")
    assert (await quick.ask("PUT", path, json=PREPARED)).verdict == missing

    answer = await quick.ask("POST", path, json=PREPARED)
    assert (answer.verdict, answer.response) == (
        (200, 0, None),
        {"btid": "BT0001", "merchant_uid": order},
    )
    twice = await quick.ask("POST", path, json=PREPARED)
    assert twice.verdict == (409, -1, "이미 사전등록된 merchant_uid 입니다.")
    foreign = await quick.ask("PUT", path, json=PREPARED, token=quick.stranger.token)
    assert foreign.verdict == missing
    changed = {**PREPARED, "btid": "BT2", "prepaid_auth_yn": "Y", "prepaid_amount": 7000}
    assert (await quick.ask("PUT", path, data=changed)).response["btid"] == "BT2"

    # The announced amount binds the money.
    member = await join(quick)
    pin, _ = await check_pin(quick, member)
    differs = await pay_money(quick, member, pin.imp_uid, merchant_uid=order)
    assert differs.body["code"] == 1
    fits = await pay_money(quick, member, pin.imp_uid, merchant_uid=order, amount=7000)
    assert fits.response["status"] == "paid"


async def test_what_was_announced_is_sealed(quick: Desk) -> None:
    order = f"sealed-{next(NUMBERS)}"
    secret = "a-verifier-that-nobody-else-has"
    body = {**PREPARED, "code_verifier": secret}
    assert (await quick.ask("POST", f"/kcpquick/prepare/{order}", json=body)).status == 200
    async with quick.gateway.store.direct() as session:
        row = await session._connection.raw.fetchrow(
            "SELECT * FROM quick_prepared WHERE merchant_uid = $1", order
        )
        logged = await session._connection.raw.fetch("SELECT after::text FROM audit_log")
        found = await session.quick.prepared(quick.shop.merchant.id, order)
    assert row is not None
    assert secret not in json.dumps([str(value) for value in row.values()])
    assert secret not in str(logged)
    assert found is not None
    assert (found.code_verifier, found.cust_ip) == (secret, "203.0.113.7")
    assert secret not in repr(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"btid": None},
        {"btid": "b" * 21},
        {"cust_ip": "::1"},
        {"cust_ip": "300.1.1.1"},
        {"code_verifier": "v" * 201},
        {"code_verifier": ""},
        {"prepaid_auth_yn": "X"},
        {"prepaid_auth_yn": "Y"},
        {"prepaid_amount": 0},
        {"prepaid_amount": 10**9},
        {"vender_type": "v" * 21},
        {"reward_id": "\u0002"},
    ],
)
async def test_a_bad_announcement_is_refused(desk: Desk, changes: dict[str, Any]) -> None:
    body = {**PREPARED, **changes}
    answer = await desk.ask("POST", f"/kcpquick/prepare/bad-{next(NUMBERS)}", json=body)
    assert (answer.status, answer.response) == (400, None)


async def test_a_pg_that_cannot_be_reached_forgot_nobody(desk: Desk) -> None:
    await_channel = desk.shop.channel
    async with desk.gateway.store.begin() as tx:
        await tx.channels.add(
            desk.shop.merchant.id,
            f"quick-{await_channel.channel_key}",
            "kcp_quick",
            f"Q{await_channel.mid}",
            "sandbox",
            test=True,
            settings=await_channel.settings,
        )
    path = f"/kcpquick/members/m?site_code=Q{await_channel.mid}&partner_type=a&partner_subtype=b"
    answer = await desk.ask("DELETE", path)
    assert (answer.status, answer.body["code"], answer.response) == (200, -1, None)

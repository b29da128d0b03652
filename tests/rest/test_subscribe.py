"""Payments without a window (naru/rest/subscribe.py) against a running sandbox PG."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from naru.kit import AsyncClient, Card, Client, OutcomeUnknown, Refused, Unavailable
from naru.payments.reconcile import reconcile
from tests.rest.conftest import Answered, Desk, House

CARD = {
    "card_number": "4518-4212-3456-7811",
    "expiry": "2049-12",
    "birth": "880101",
    "pwd_2digit": "00",
}


async def keep_card(desk: Desk, customer_uid: str = "gildong", **changes: Any) -> Answered:
    return await desk.ask("POST", f"/subscribe/customers/{customer_uid}", json={**CARD, **changes})


async def once(
    desk: Desk,
    merchant_uid: str = "order_1",
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> Answered:
    fields = {"merchant_uid": merchant_uid, "amount": 1004, "name": "당근 10kg", **CARD, **changes}
    return await desk.ask("POST", "/subscribe/payments/onetime", json=fields, headers=headers)


async def again(
    desk: Desk,
    merchant_uid: str = "order_2",
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> Answered:
    fields = {
        "customer_uid": "gildong",
        "merchant_uid": merchant_uid,
        "amount": 1004,
        "name": "당근 10kg",
        **changes,
    }
    return await desk.ask("POST", "/subscribe/payments/again", json=fields, headers=headers)


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


ALREADY_PAID = (200, 1, "이미 결제가 이루어진 거래건입니다.")
BAD_CARD = "카드정보 인증에 실패하였습니다. "
KEY_NOT_ISSUED = "카드정보 인증 및 빌키 발급에 실패하였습니다. "
BAD_NUMBER = "유효하지않은 카드번호를 입력하셨습니다."
NOBODY = (200, 1, "등록되지 않은 구매자입니다.")


def no_customer(customer_uid: str) -> tuple[int, int, str]:
    return 200, 1, f"요청하신 customer_uid({customer_uid})로 등록된 정보를 찾을 수 없습니다."


async def tries(desk: Desk, merchant_uid: str) -> list[str]:
    """The status of every payment of this order."""
    answer = await desk.ask("GET", f"/payments/findAll/{merchant_uid}")
    return [] if answer.status == 404 else [each["status"] for each in answer.response["list"]]


async def test_a_card_is_charged_and_kept_in_one_go(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    paid = await once(desk, customer_uid="gildong", buyer_name="길동", buyer_tel="010-1234-5678")
    assert paid.response["customer_uid"] == "gildong"
    assert paid.response["customer_uid_usage"] == "issue"
    kept = await desk.ask("GET", "/subscribe/customers/gildong")
    assert kept.response["customer_name"] == "길동"
    assert kept.response["customer_tel"] == "010-1234-5678"
    assert (await again(desk)).response["status"] == "paid"


@pytest.mark.operation("POST /subscribe/payments/foreign")
async def test_the_old_path_for_foreign_cards_is_onetime(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    body = {"merchant_uid": "abroad", "amount": "12.50", "currency": "USD", **CARD}
    answer = await desk.ask("POST", "/subscribe/payments/foreign", json=body)
    assert answer.verdict == (200, 0, None)
    assert (answer.response["amount"], answer.response["currency"]) == (12.5, "USD")
    assert (
        await desk.ask("POST", "/subscribe/payments/foreign", json=body)
    ).verdict == ALREADY_PAID


async def test_php_clients_pay_with_forms_and_trailing_slashes(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    card = "card_number=4518-4212-3456-7811&expiry=2049-12&birth=880101&pwd_2digit=00"
    kept = await desk.ask("POST", "/subscribe/customers/gildong/", data=card)
    first = await desk.ask(
        "POST",
        "/subscribe/payments/onetime/",
        data=f"merchant_uid=form_1&amount=1004&{card}&cvc=&custom_data[색]=1&notice_url[]=https://a.example/1",
    )
    second = await desk.ask(
        "POST",
        "/subscribe/payments/again/",
        data="customer_uid=gildong&merchant_uid=form_2&amount=1004&name=x&extra[naverUseCfm]=20301231",
    )
    for answer in (kept, first, second):
        assert answer.verdict == (200, 0, None)
    assert first.response["custom_data"] == '{"색":"1"}'
    assert second.response["customer_uid"] == "gildong"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"card_number": "4092-0230-1234-1234", "expiry": "2019-03"},
            "[F113]거래거절 카드번호틀림",
        ),
        ({"card_number": "1234-1234-1234-1234"}, "[F113]거래거절 카드번호틀림"),
        ({"card_number": "not a card"}, BAD_NUMBER),
        ({"expiry": "12/49"}, BAD_NUMBER),
        ({"expiry": "2031-01"}, "[F114]유효기간 오류"),
        ({"cvc": "999"}, "[F115]CVC 오류"),
        ({"pwd_2digit": "99"}, "[F116]비밀번호 오류"),
    ],
)
async def test_a_card_that_is_written_wrongly_pays_nothing(
    desk_with_pg: Desk, change: dict[str, Any], words: str
) -> None:
    desk = desk_with_pg
    answer = await once(desk, "refused", customer_uid="gildong", **change)
    assert answer.verdict == (200, -1, BAD_CARD + words)
    assert answer.response is None
    # A refused attempt is kept, and told by nobody (unknowns A17); what is no card at all is none.
    assert await tries(desk, "refused") == ([] if words == BAD_NUMBER else ["failed"])
    assert (await desk.ask("GET", "/subscribe/customers/gildong")).verdict == no_customer("gildong")


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [({"card_number": "4518429000000016"}, "한도초과"), ({"amount": 900_002}, "잔액부족")],
)
async def test_a_charge_that_the_card_company_declines_is_answered_as_the_house_reads_v1(
    desk_with_pg: Desk, change: dict[str, Any], words: str, answered: bool
) -> None:
    """i'mport's sample: `code` 0, and `status` tells; the other reading: `code` -1 and null."""
    desk = desk_with_pg
    desk.gateway.answer_declined = answered
    card = {name: value for name, value in change.items() if name == "card_number"}
    amount = {name: value for name, value in change.items() if name == "amount"}
    await keep_card(desk, **card)
    charges = [
        (once, "by_number", {"customer_uid": "nobody", **change}),
        (again, "by_key", amount),
    ]
    for charge, order, asked in charges:
        key = {"Idempotency-Key": order}
        first = await charge(desk, order, headers=key, **asked)
        repeated = await charge(desk, order, headers=key, **asked)
        assert repeated.raw == first.raw
        if answered:
            assert first.verdict == (200, 0, None)
            assert (first.response["status"], first.response["fail_reason"]) == ("failed", words)
            assert (first.response["paid_at"], first.response["merchant_uid"]) == (0, order)
        else:
            assert (first.verdict, first.response) == ((200, -1, words), None)
        assert await tries(desk, order) == ["failed"]
    assert (await desk.ask("GET", "/subscribe/customers/nobody")).verdict == no_customer("nobody")


@pytest.mark.parametrize("number", ["4092-0230-1234-1234", "1234123412341234", "x"])
async def test_a_card_that_is_refused_gets_no_key(desk_with_pg: Desk, number: str) -> None:
    answer = await keep_card(desk_with_pg, card_number=number)
    assert answer.verdict == (200, -1, KEY_NOT_ISSUED + BAD_NUMBER)
    assert (await desk_with_pg.ask("GET", "/subscribe/customers/gildong")).response is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"merchant_uid": None}, 400),
        ({"amount": None}, 400),
        ({"amount": 0}, 400),
        ({"amount": -5}, 400),
        ({"amount": 10.5}, 400),
        ({"currency": "XXX"}, 400),
        ({"tax_free": 5_000}, 400),
        ({"card_number": None}, 400),
        ({"expiry": ""}, 400),
        ({"notice_url": "ftp://a"}, 400),
        ({"merchant_uid": "m" * 41}, 400),
        ({"customer_uid": "c" * 81}, 400),
        ({"channel_key": "nobody's"}, 200),
        ({"channelGroupId": "a-group"}, 200),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_written(
    desk_with_pg: Desk, change: dict[str, Any], status: int
) -> None:
    desk = desk_with_pg
    fields = {"merchant_uid": "never", "amount": 1004, **CARD, **change}
    body = {name: value for name, value in fields.items() if value is not None}
    answer = await desk.ask("POST", "/subscribe/payments/onetime", json=body)
    assert answer.status == status
    assert answer.body["code"] == (-1 if status == 400 else 1)
    assert answer.response is None
    assert await tries(desk, "never") == []


@pytest.mark.parametrize("name", [" ", "gildong ", "\u200b", "\u3164"])
async def test_a_name_that_nobody_sees_names_no_customer(desk_with_pg: Desk, name: str) -> None:
    desk, quoted = desk_with_pg, quote(name)
    planned = {"merchant_uid": "month", "schedule_at": int(desk.clock().timestamp()) + 86_400}
    answers = (
        await once(desk, "never", customer_uid=name),
        await keep_card(desk, quoted),
        await desk.ask(
            "POST",
            "/subscribe/payments/schedule",
            json={**CARD, "customer_uid": name, "schedules": [{**planned, "amount": 100}]},
        ),
    )
    assert [(each.status, each.body["code"], each.response) for each in answers] == [
        (400, -1, None)
    ] * 3
    assert all("customer_uid" in each.body["message"] for each in answers)
    assert await tries(desk, "never") == []
    assert (await desk.ask("GET", f"/subscribe/customers/{quoted}")).response is None


async def test_a_paid_order_is_charged_no_second_time(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    assert (await once(desk, "twice")).body["code"] == 0
    assert (await once(desk, "twice")).verdict == ALREADY_PAID
    assert (await again(desk, "twice")).verdict == ALREADY_PAID
    assert await tries(desk, "twice") == ["paid"]


async def test_installments_count_from_two_months_and_fifty_thousand_won(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    for number, (amount, months, charged) in enumerate(
        [(50_000, 3, 3), (49_999, 3, 0), (50_000, 1, 0), (60_000, 0, 0)]
    ):
        answer = await once(desk, f"quota_{number}", amount=amount, card_quota=months)
        assert answer.response["card_quota"] == charged


async def test_a_repeated_charge_with_its_key_is_answered_as_the_first(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    body = {"merchant_uid": "keyed", "amount": 1004, **CARD}
    headers = {"Idempotency-Key": "one-charge"}
    path = "/subscribe/payments/onetime"
    first = await desk.ask("POST", path, json=body, headers=headers)
    second = await desk.ask("POST", path, json=body, headers=headers)
    assert first.verdict == (200, 0, None)
    assert second.raw == first.raw
    assert second.headers["idempotent-replayed"] == "true"
    kept = await keep_card(desk)
    for path, body in (
        (
            "/subscribe/payments/again",
            {"customer_uid": "gildong", "merchant_uid": "k2", "amount": 1004, "name": "x"},
        ),
        ("/subscribe/customers/gildong", CARD),
    ):
        first = await desk.ask("POST", path, json=body, headers={"Idempotency-Key": "another"})
        second = await desk.ask("POST", path, json=body, headers={"Idempotency-Key": "another"})
        assert first.verdict == (200, 0, None)
        assert second.raw == first.raw
    assert kept.body["code"] == 0
    headers = {"Idempotency-Key": "gone"}
    first = await desk.ask("DELETE", "/subscribe/customers/gildong", headers=headers)
    assert (
        await desk.ask("DELETE", "/subscribe/customers/gildong", headers=headers)
    ).raw == first.raw


async def test_a_key_of_another_merchant_is_not_there(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    theirs = {"token": desk.stranger.token}
    path = "/subscribe/customers/gildong"
    body = {"customer_uid": "gildong", "merchant_uid": "theft", "amount": 1004, "name": "x"}
    assert (await desk.ask("GET", path, **theirs)).verdict == no_customer("gildong")
    assert (await desk.ask("DELETE", path, **theirs)).verdict == no_customer("gildong")
    assert (await desk.ask("GET", f"{path}/payments", **theirs)).verdict == no_customer("gildong")
    assert (
        await desk.ask("GET", "/subscribe/customers?customer_uid[]=gildong", **theirs)
    ).status == 404
    charged = await desk.ask("POST", "/subscribe/payments/again", json=body, **theirs)
    assert charged.verdict == NOBODY
    assert (await desk.ask("GET", path)).body["code"] == 0


@pytest.mark.operation("GET /subscribe/customers/{customer_uid}")
@pytest.mark.operation("DELETE /subscribe/customers/{customer_uid}")
async def test_a_key_is_shown_and_deleted_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    path = "/subscribe/customers/gildong"
    kept = await keep_card(desk, customer_addr="가" * 300, customer_id="id-1")
    shown = await desk.ask("GET", path)
    assert shown.response == kept.response
    assert set(shown.response) == {
        *(
            "customer_uid",
            "pg_provider",
            "pg_id",
            "sandbox",
            "customer_id",
            "card_name",
            "card_code",
        ),
        *("card_issuer_code", "card_issuer_name", "card_publisher_code", "card_publisher_name"),
        *("card_number", "card_type", "customer_name", "customer_tel", "customer_email"),
        *("customer_addr", "customer_postcode", "inserted", "updated"),
    }
    assert shown.response["customer_addr"] == "가" * 200
    assert shown.response["inserted"] == shown.response["updated"] > 0
    deleted = await desk.ask("DELETE", f"{path}?reason=탈퇴&extra[requester]=customer")
    assert deleted.response == kept.response
    assert (await desk.ask("DELETE", path)).verdict == no_customer("gildong")
    assert (await desk.ask("GET", path)).verdict == no_customer("gildong")
    assert (await again(desk)).verdict == NOBODY


@pytest.mark.operation("GET /subscribe/customers")
async def test_several_keys_are_shown_together(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    for name in ("gildong", "chunhyang"):
        await keep_card(desk, name)
    path = "/subscribe/customers?customer_uid[]=gildong&customer_uid[]="
    both = await desk.ask("GET", path + "chunhyang")
    assert both.status == 200
    assert {each["customer_uid"] for each in both.response} == {"gildong", "chunhyang"}
    one = await desk.ask("GET", path + "nobody")
    assert (one.status, one.body["code"], len(one.response)) == (207, 0, 1)
    none = await desk.ask("GET", "/subscribe/customers?customer_uid[]=nobody")
    assert (none.status, none.body["code"]) == (404, -1)
    assert (await desk.ask("GET", "/subscribe/customers")).status == 400
    many = "&".join(f"customer_uid[]=c{number}" for number in range(101))
    assert (await desk.ask("GET", f"/subscribe/customers?{many}")).status == 400


@pytest.mark.operation("GET /subscribe/customers/{customer_uid}/payments")
async def test_the_payments_of_a_customer_a_page_at_a_time(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    path = "/subscribe/customers/gildong/payments"
    empty = await desk.ask("GET", path)
    assert empty.response == {"total": 0, "previous": 0, "next": 0, "list": []}
    for number in range(21):
        desk.clock.advance(1)
        assert (await again(desk, f"month_{number}")).body["code"] == 0
    first, second = await desk.ask("GET", path), await desk.ask("GET", f"{path}?page=2")
    assert (first.response["total"], first.response["next"]) == (21, 2)
    assert [each["merchant_uid"] for each in first.response["list"]][:2] == ["month_20", "month_19"]
    assert [each["merchant_uid"] for each in second.response["list"]] == ["month_0"]
    assert (await desk.ask("GET", f"{path}?page=3")).status == 400
    assert (await desk.ask("GET", f"{path}?page=0")).status == 400
    # They stay when the key is gone.
    await desk.ask("DELETE", "/subscribe/customers/gildong")
    assert (await desk.ask("GET", path)).response["total"] == 21


async def test_a_pg_that_is_silent_leaves_the_charge_open_and_the_worker_ends_it(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    answer = await once(desk, "cut", amount=900_015, customer_uid="gildong")
    assert (answer.status, answer.body["code"], answer.response) == (200, 1, None)
    assert answer.headers["naru-outcome"] == "unknown"
    assert await tries(desk, "cut") == ["ready"]
    [payment] = (await desk.ask("GET", "/payments/findAll/cut")).response["list"]
    desk.clock.advance(30)
    await reconcile(desk.gateway, payment["imp_uid"])
    assert await tries(desk, "cut") == ["paid"]
    assert (await again(desk)).response["status"] == "paid"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_the_kit_takes_silence_for_a_doubt_and_a_no_for_a_no(
    desk_with_pg: Desk, kind: type[Client | AsyncClient]
) -> None:
    """What may have happened is no refusal: whoever then orders anew would pay twice."""
    desk = desk_with_pg
    merchant = kind(desk.shop.imp_key, desk.shop.imp_secret, base_url=desk.address)

    async def charge(order: str, amount: int, **more: Any) -> Any:
        card = Card(CARD["card_number"], CARD["expiry"], CARD["birth"], CARD["pwd_2digit"])
        if isinstance(merchant, Client):
            return await asyncio.to_thread(merchant.pay_by_card, order, amount, card, **more)
        return await merchant.pay_by_card(order, amount, card, **more)

    try:
        with pytest.raises(Unavailable) as doubt:
            await charge("cut", 900_015)
        assert isinstance(doubt.value, OutcomeUnknown)
        assert doubt.value.may_have_happened
        with pytest.raises(Refused):
            await charge("elsewhere", 1_004, channel_key="nowhere")
    finally:
        closing = merchant.close()
        if closing is not None:
            await closing


async def test_a_pg_that_cannot_be_reached_charges_and_keeps_nothing(desk: Desk) -> None:
    paid, kept = await once(desk, "away"), await keep_card(desk)
    assert (paid.status, paid.body["code"], paid.response) == (200, -1, None)
    assert (kept.status, kept.body["code"], kept.response) == (200, -1, None)
    assert await tries(desk, "away") == ["failed"]


async def test_the_channel_for_cards_by_api_goes_before_the_windows_channel(
    desk_with_pg: Desk, house: House
) -> None:
    desk = desk_with_pg
    settings, name = desk.shop.channel.settings, desk.shop.merchant.name
    async with desk.gateway.store.begin() as tx:
        for pg_code, kind in (("nice", "api_payment"), ("kakaopay", "payment")):
            await tx.channels.add(
                desk.shop.merchant.id,
                f"{pg_code}-{name}",
                pg_code,
                desk.shop.channel.mid,
                "sandbox",
                test=True,
                settings=settings,
                kind=kind,
                name=pg_code,
            )
    used = [
        (await keep_card(desk, f"c{number}", **asked)).response["pg_provider"]
        for number, asked in enumerate(
            [{}, {"pg": "nice"}, {"pg": "kcp"}, {"pg": "nobody"}, {"channel_key": f"nice-{name}"}]
        )
    ]
    assert used == ["nice", "nice", "kcp", "nice", "nice"]
    refused = await keep_card(desk, "c9", pg="kakaopay")
    assert refused.verdict == (200, 1, "API 빌링키 발급을 지원하지 않는 PG사입니다.")

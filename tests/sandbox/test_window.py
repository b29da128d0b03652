"""The window's own endpoints: context, cancel, finish, and who may call them."""

from __future__ import annotations

import asyncio

import pytest

from naru.sandbox.cards import CARD_BY_ID, MPI_PASSWORD, Card
from tests.sandbox.stage import Json, Member, Pg, Window


async def context(window: Window) -> Json:
    member = window.member
    async with member.http.get(f"{member.url}/window/{window.window_id}/context") as answer:
        assert answer.status == 200
        told: Json = await answer.json()
        return told


async def test_the_context_tells_what_the_buyer_must_see(member: Member) -> None:
    window = await member.open(pay_method="card", installments=[3, 6])
    told = await context(window)
    assert told["state"] == "open"
    assert told["return_form"] is None
    assert told["order"]["amount"] == 64900
    assert told["order"]["method_kind"] == "card"
    assert told["order"]["installments"] == [3, 6]
    shinhan = {"code": "366", "name": "신한카드", "auth": ["mpi", "simple"], "months": [3, 6]}
    assert shinhan in told["card_companies"]
    assert all(told["demo_cards"][kind] for kind in ("isp", "mpi", "simple"))
    assert told["magic"]


@pytest.mark.parametrize(
    ("amount", "currency", "installments", "offered"),
    [
        (49_999, "KRW", None, [0]),
        (50_000, "KRW", None, [0, *range(2, 13)]),
        (50_000, "KRW", [], [0]),
        (50_000, "KRW", [1, 3, 3], [0, 3]),
        (5_000_000, "USD", None, [0]),
    ],
)
async def test_installments_begin_at_fifty_thousand_won(
    member: Member, amount: int, currency: str, installments: list[int] | None, offered: list[int]
) -> None:
    window = await member.open(
        pay_method="card", amount=amount, currency=currency, installments=installments
    )
    assert (await context(window))["order"]["installments"] == offered


async def test_a_live_order_shows_no_test_cards(member: Member) -> None:
    told = await context(await member.open(pay_method="card", test=False))
    assert told["magic"] == []
    assert told["demo_cards"] == {"isp": [], "mpi": [], "simple": []}


@pytest.mark.parametrize(
    ("profile", "surface", "code", "message"),
    [
        ("kakaopay", "pc", "USER_CANCEL", "[결제포기] 사용자가 결제를 취소하셨습니다"),
        ("kcp", "mobile", "USER_CANCEL", "[결제포기] 사용자가 결제를 취소하셨습니다"),
        ("html5_inicis", "pc", "USER_CANCEL", "[결제포기] 사용자가 결제를 취소하셨습니다"),
        ("html5_inicis", "mobile", "01", "[01] 사용자가 결제를 취소 하였습니다."),
    ],
)
async def test_a_buyers_cancel_speaks_like_the_orders_pg(
    member: Member, profile: str, surface: str, code: str, message: str
) -> None:
    window = await member.open(profile=profile, surface=surface)
    fields = (await window.ok("/cancel"))["return_form"]["fields"]
    assert fields["status"] == "cancelled"
    assert (fields["code"], fields["message"]) == (code, message)
    assert fields["auth_token"] == ""
    inquiry = await member.inquire(window.order_no)
    assert (inquiry["state"], inquiry["message"]) == ("abandoned", message)
    assert (await window.no("/wallet"))["code"] == "ALREADY_FINISHED"


async def test_a_finished_window_gives_the_same_form_again(member: Member) -> None:
    window = await member.open()
    first = (await window.ok("/wallet"))["return_form"]
    for path in ("/wallet", "/cancel"):
        answer = await window.no(path)
        assert (answer["code"], answer["return_form"]) == ("ALREADY_FINISHED", first)
    assert (await window.ok("/finish"))["return_form"] == first
    told = await context(window)
    assert (told["state"], told["return_form"]) == ("finished", first)


@pytest.mark.fault("B2_DU")
async def test_sixty_four_clicks_at_once_authenticate_once(member: Member) -> None:
    window = await member.open()
    answers = await asyncio.gather(*(window.post("/wallet") for _ in range(64)))
    assert [answer["ok"] for answer in answers].count(True) == 1
    assert len({answer["return_form"]["fields"]["auth_token"] for answer in answers}) == 1


async def test_cancel_and_pay_at_once_have_one_winner(member: Member) -> None:
    for _ in range(8):
        window = await member.open()
        answers = await asyncio.gather(window.post("/cancel"), window.post("/wallet"))
        assert [answer["ok"] for answer in answers].count(True) == 1


async def test_an_open_window_cannot_be_finished(member: Member) -> None:
    window = await member.open()
    assert (await window.no("/finish"))["code"] == "NOT_FINISHED"


async def test_an_expired_window_brings_the_buyer_back_as_failed(pg: Pg, member: Member) -> None:
    window = await member.open()
    pg.clock.ahead += 1801
    assert (await context(window))["state"] == "expired"
    assert (await window.no("/wallet"))["code"] == "SESSION_EXPIRED"
    fields = (await window.ok("/finish"))["return_form"]["fields"]
    assert (fields["status"], fields["code"]) == ("failed", "SESSION_EXPIRED")


async def test_a_method_that_is_not_the_orders_is_refused(member: Member) -> None:
    window = await member.open(pay_method="card")
    assert (await window.no("/wallet"))["code"] == "WRONG_METHOD"
    wallet = await member.open(pay_method="brand-new-pay")
    assert (await wallet.pay_mpi("4518421234567811"))["code"] == "WRONG_METHOD"
    approval = await wallet.approve(await wallet.ok("/wallet"))
    assert approval["wallet"] == "brand-new-pay"


async def test_a_window_is_good_for_twenty_refusals(member: Member) -> None:
    window = await member.open(pay_method="card")
    body = {"card_number": "4111111111111111", "expiry": "1249", "cvc": "123", "password": "x"}
    codes = [(await window.no("/mpi", body))["code"] for _ in range(21)]
    assert codes == ["CARD_UNKNOWN"] * 20 + ["TOO_MANY_TRIES"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "OURS", "Content-Type": "text/plain"}, 415),
        ({"Origin": "OURS", "Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_other_sites_cannot_call(
    pg: Pg, member: Member, headers: dict[str, str], status: int
) -> None:
    window = await member.open()
    sent = {"Content-Type": "application/json"} | headers
    if sent.get("Origin") == "OURS":
        sent["Origin"] = pg.url
    url = f"{pg.url}/window/{window.window_id}/wallet"
    async with pg.http.post(url, data=b"{}", headers=sent) as answer:
        assert answer.status == status
        assert (await answer.json())["ok"] is False
    assert (await member.inquire(window.order_no))["state"] == "registered"


async def test_a_window_nobody_opened_is_not_found(pg: Pg) -> None:
    for path in ("", "/context"):
        async with pg.http.get(f"{pg.url}/window/{'A' * 22}{path}") as answer:
            assert answer.status == 404


async def test_the_page_may_be_framed_only_by_the_orders_ancestors(pg: Pg, member: Member) -> None:
    for ancestors, expected in (
        ([], "frame-ancestors 'none'"),
        (["https://shop.example"], "frame-ancestors https://shop.example"),
    ):
        window = await member.open(frame_ancestors=ancestors)
        async with pg.http.get(f"{pg.url}/window/{window.window_id}") as answer:
            assert answer.status == 200
            policy = answer.headers["Content-Security-Policy"]
            assert policy.endswith(expected)
            assert "default-src 'none'" in policy
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            page = await answer.text()
        nonce = policy.split("'nonce-")[1].split("'")[0]
        assert nonce in page


async def test_a_page_may_narrow_the_cards_and_their_months(member: Member) -> None:
    cards = [{"code": "*", "enabled": False}, {"code": "366", "max_months": 3}, {"code": "090"}]
    window = await member.open(pay_method="card", rules={"cards": cards})
    offered = {each["code"]: each["months"] for each in (await context(window))["card_companies"]}
    assert offered == {"366": [0, 2, 3], "090": [0, *range(2, 13)]}

    hyundai, shinhan = CARD_BY_ID["mpi-hyundai"], CARD_BY_ID["mpi-shinhan"]
    assert (await window.no("/mpi", proof(hyundai)))["code"] == "CARD_NOT_OFFERED"
    six = proof(shinhan) | {"installment_months": 6}
    assert (await window.no("/mpi", six))["code"] == "INSTALLMENT_NOT_OFFERED"
    await window.ok("/mpi", proof(shinhan) | {"installment_months": 3})


async def test_a_page_may_begin_with_one_card_company_and_its_months(member: Member) -> None:
    direct = {"code": "366", "months": 24}
    window = await member.open(pay_method="card", rules={"direct": direct})
    told = await context(window)
    assert [(each["code"], each["months"]) for each in told["card_companies"]] == [("366", [24])]
    shinhan = proof(CARD_BY_ID["mpi-shinhan"])
    assert (await window.no("/mpi", shinhan))["code"] == "INSTALLMENT_NOT_OFFERED"
    await window.ok("/mpi", shinhan | {"installment_months": 24})

    small = await member.open(pay_method="card", amount=49_999, rules={"direct": direct})
    assert (await context(small))["card_companies"][0]["months"] == [0]


async def test_a_page_may_take_app_cards_only(member: Member) -> None:
    window = await member.open(pay_method="card", rules={"app_card_only": True})
    companies = (await context(window))["card_companies"]
    assert companies
    assert all(each["auth"] == ["simple"] for each in companies)
    refused = await window.no("/mpi", proof(CARD_BY_ID["mpi-shinhan"]))
    assert refused["code"] == "CARD_NOT_OFFERED"


async def test_a_page_may_name_the_carriers(member: Member) -> None:
    window = await member.open(pay_method="phone", rules={"carriers": ["KT"]})
    assert [each["code"] for each in (await context(window))["carriers"]] == ["KT"]
    asked = {"carrier": "SKT", "number": "01042424242"}
    assert (await window.no("/phone/code", asked))["code"] == "UNKNOWN_CARRIER"
    await window.ok("/phone/code", asked | {"carrier": "KT"})


def proof(card: Card) -> Json:
    told = {"card_number": card.number, "expiry": card.expiry, "cvc": card.cvc}
    return told | {"password": MPI_PASSWORD}

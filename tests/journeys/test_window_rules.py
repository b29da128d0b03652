"""What a merchant's page asks of the window, as the buyer meets it (flows §16, SDK facts §5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Page, expect

from naru.domain.pg_profile import profile
from naru.sandbox.cards import CARD_BY_ID
from tests.journeys.buyer import Buyer, fill_card
from tests.journeys.test_pg_codes import open_window, param_for, told
from tests.sandbox.stage import Json
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

DETAIL = [
    {"card_code": "*", "enabled": False},
    {"card_code": "366", "enabled": True, "max_month": 3},
    {"card_code": "361", "enabled": True, "max_month": 12},
]


async def enter(page: Page, parties: Parties, pg: str, **asked: Any) -> Json:
    """Open the window with these parameters of request_pay, in a tab of its own."""
    surface = asked.pop("surface", "mobile")
    param = param_for(
        profile(pg), **{"amount": 64_900, "m_redirect_url": f"{parties.shop}/cart", **asked}
    )
    status, opened = await open_window(parties, param, surface=surface)
    assert status == 200, opened
    await page.goto(opened["window_url"].replace("/checkout/window/", "/checkout/enter/"))
    return opened


async def months(page: Page) -> list[str]:
    return await page.locator("#installments option").all_inner_texts()


async def test_only_the_cards_and_months_that_the_page_left_are_offered(
    phone_buyer: Buyer, parties: Parties
) -> None:
    page = phone_buyer.page
    opened = await enter(
        page, parties, "html5_inicis", card={"detail": DETAIL}, display={"card_quota": [6]}
    )
    await expect(page.locator("input[name=company]")).to_have_count(2)
    await page.locator("input[name=company][value='361']").check()
    assert await months(page) == ["일시불", "2개월", "3개월", "4개월", "5개월", "6개월"]
    await page.locator("input[name=company][value='366']").check()
    assert await months(page) == ["일시불", "2개월", "3개월"]
    await page.locator("#installments").select_option("3")
    await page.locator("input[name=way][value=mpi]").check()
    await page.locator("form button[type=submit]").click()
    await fill_card(page, "mpi-shinhan")
    await page.wait_for_url(f"{parties.shop}/cart?**", wait_until="commit")
    result = (await told(parties, opened))["result"]
    assert (result["status"], result["card_quota"]) == ("paid", 3)


async def test_what_is_passed_by_reaches_the_pg_untouched(buyer: Buyer, parties: Parties) -> None:
    page, passed = buyer.page, {"acceptmethod": "noeasypay:SKIN(<b>#C1272C</b>)", "P": [1, None]}
    await enter(page, parties, "html5_inicis", bypass=passed)
    await page.locator("#bypass summary").click()
    shown = await page.locator("#bypass pre").text_content()
    assert json.loads(shown or "") == passed
    for nothing in ({}, {"bypass": "text"}):
        await enter(page, parties, "html5_inicis", **nothing)
        await expect(page.locator("input[name=company]").first).to_be_visible()
        await expect(page.locator("#bypass")).to_be_hidden()


async def test_a_window_can_begin_at_one_card_company(buyer: Buyer, parties: Parties) -> None:
    page = buyer.page
    direct = {"code": "367", "quota": 6}
    await enter(page, parties, "kcp", surface="pc", card={"direct": direct})
    # 현대 has two ways here, so that the buyer still chooses one; months and company are decided.
    await expect(page.locator("input[name=company]")).to_have_count(1)
    assert await months(page) == []
    await page.locator("input[name=way][value=mpi]").check()
    await page.locator("form button[type=submit]").click()
    await fill_card(page, "mpi-hyundai")
    await page.wait_for_url("**/checkout/done/**")

    opened = await enter(
        page, parties, "kcp", surface="pc", card={"direct": direct | {"code": "371"}}
    )
    # NH has one way: nothing is left to choose.
    await expect(page.locator("#card-number")).to_be_visible()
    assert CARD_BY_ID["mpi-nh"].issuer_code == "371"
    await fill_card(page, "mpi-nh")
    await page.wait_for_url("**/checkout/done/**", wait_until="commit")
    assert (await told(parties, opened))["result"]["card_quota"] == 6


async def test_the_buyer_sees_what_is_bought_and_how_it_is_protected(
    phone_buyer: Buyer, parties: Parties
) -> None:
    page = phone_buyer.page
    await enter(
        page,
        parties,
        "kcp",
        company="나루 가구",
        escrow=True,
        period={"from": "20261201", "to": "20261231"},
        useFreeInterestFromMall=True,
        kcpProducts=[
            {"orderNumber": "1", "name": "<b>의자</b>", "quantity": 2, "amount": 20_000},
            {"orderNumber": "2", "name": "책상", "quantity": 1, "amount": 24_900},
        ],
    )
    await expect(page.locator(".merchant")).to_have_text("나루 가구")
    await expect(page.locator("#period")).to_have_text("2026.12.01 ~ 2026.12.31")
    await expect(page.locator("#escrow")).to_be_visible()
    await expect(page.locator("#products li").first).to_contain_text("<b>의자</b> × 2")
    await expect(page.locator("#products li").first).to_contain_text("20,000원")
    await page.locator("input[name=company]").first.check()
    await expect(page.locator("#installments-hint")).to_have_text(
        "가맹점이 할부 이자를 부담합니다."
    )


@pytest.mark.parametrize("escrow", [False, True])
async def test_an_account_fits_into_the_layer_of_a_small_desk(
    escrow: bool, buyer: Buyer, parties: Parties
) -> None:
    """840 by 764, what a screen of 1200 by 850 leaves: the button covers nothing."""
    page = buyer.page
    await page.set_viewport_size({"width": 840, "height": 764})
    asked = {
        "pay_method": "vbank",
        "escrow": escrow,
        "escrowProducts": [
            {"id": "1", "name": "의자", "code": "c", "unitPrice": 64_900, "quantity": 1}
        ],
    }
    await enter(page, parties, "html5_inicis", **asked)
    await expect(page.locator("#bank")).to_be_visible()
    fits = "document.documentElement.scrollHeight <= window.innerHeight"
    assert await page.evaluate(fits), await page.evaluate("document.documentElement.scrollHeight")


@pytest.mark.parametrize(
    ("pg", "asked", "words"),
    [
        ("nice_v2", {"pay_method": "vbank"}, "유효한 입금 기한을 필수로 입력해야 합니다."),
        (
            "nice_v2",
            {"pay_method": "phone", "digital": None},
            "상품 유형 파라미터는 필수 입력입니다.",
        ),
        ("smartro_v2", {"merchant_uid": "with-hyphen"}, "영문자와 숫자만"),
        ("smartro_v2", {"currency": "USD"}, "스마트로가 지원하지 않는 화폐입니다"),
        ("ksnet", {"pay_method": "vbank"}, "vbank_due"),
        ("naverpay", {"amount": 9}, "최소 결제금액은 10원"),
        ("mobilians_v2", {"amount": 99}, "최소 결제금액은 100원"),
        ("welcome", {"useCardPoint": False}, "useCardPoint"),
        ("welcome", {"card": {"direct": {"code": "366"}}}, "quota"),
    ],
)
async def test_what_a_pg_does_not_take_is_said_before_anything_exists(
    pg: str, asked: Json, words: str, parties: Parties
) -> None:
    status, answer = await open_window(parties, param_for(profile(pg), **asked))
    assert status == 400, answer
    assert words in json.dumps(answer["error"], ensure_ascii=False)
    assert not answer["error"].get("imp_uid")

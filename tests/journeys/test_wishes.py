"""IMP.naver_zzim: products kept in mind at the sandbox's mall, from a merchant's page."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Playwright, expect

from naru.domain.pg_profile import profile
from tests.checkout.browser import Pages, serve, shop_page
from tests.journeys.conftest import PHONE
from tests.journeys.test_pg_codes import param_for
from tests.sandbox.stage import Json
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARAM = {"naverProducts": [{"id": "umbrella-1", "name": "<b>나루 우산</b>"}]}


@pytest.mark.parametrize("surface", ["pc", "mobile"])
async def test_a_product_is_kept_in_mind_and_let_go(
    surface: str, browser: Browser, playwright: Playwright, parties: Parties
) -> None:
    device = playwright.devices[PHONE] if surface == "mobile" else {}
    context = await browser.new_context(**device, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    site = Pages()
    async with serve(site.app()) as origin:
        site.html["/shop"] = shop_page(parties.gateway, sdk="/v1/iamport.js")
        page = await context.new_page()
        await page.goto(f"{origin}/shop")
        async with page.expect_popup() as popping:
            await page.evaluate("(param) => IMP.naver_zzim(param)", PARAM)
        popup = await popping.value
        await popup.wait_for_url(re.compile(re.escape(f"{parties.sandbox}/mall/wishes/")))
        await expect(popup.locator("#products li")).to_contain_text("<b>나루 우산</b>")
        await popup.locator("#wish").click()
        await expect(popup.get_by_role("status").first).to_contain_text("찜했습니다")
        await popup.locator("#wish[data-keep=false]").click()
        await expect(popup.locator("#wish[data-keep=true]")).to_be_visible()

        await page.evaluate("IMP.naver_zzim({ pg: 'kcp', naverProducts: [] })")
        await page.evaluate("IMP.naver_zzim({ naverProducts: [] })")
        await page.wait_for_function("alerts.length === 2")
        assert await page.evaluate("alerts") == [
            "네이버페이 주문형으로 다시 시도해주세요.",
            "naverProducts 는 1~50개의 상품 배열이어야 합니다.",
        ]
    await context.close()


@pytest.mark.parametrize(
    ("changes", "origin", "status"),
    [
        ({}, None, 200),
        ({}, "https://stranger.example", 403),
        ({"user_code": "imp99999999"}, None, 400),
        ({"tier_code": "ZZZ"}, None, 400),
        ({"param": {"pg": "kcp", **PARAM}}, None, 400),
        ({"param": {"naverProducts": [{"id": "x"}]}}, None, 400),
        ({"param": {"naverProducts": [{"id": "x", "name": "y"}] * 51}}, None, 400),
        ({"param": {"naverProducts": "x"}}, None, 400),
        ({"surface": "tv"}, None, 400),
    ],
)
async def test_who_may_open_a_wish_list(
    changes: Json, origin: str | None, status: int, parties: Parties
) -> None:
    body: Json = {
        "user_code": "imp00000000",
        "tier_code": None,
        "param": {**param_for(profile("naverco")), **PARAM},
        "page_url": f"{parties.shop}/cart",
        "surface": "pc",
        "mode": None,
        "generation": "new",
        "request_id": "req_1",
        **changes,
    }
    async with parties.http.post(
        f"{parties.gateway}/checkout/wishes",
        json=body,
        headers={"Origin": origin or parties.shop},
    ) as answer:
        told = await answer.json()
        assert answer.status == status, told
    assert ("url" in told) is (status == 200)

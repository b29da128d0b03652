"""IMP.loadModule("toss-brandpay"): a shop's customer looks after their wallet at the sandbox PG, from the merchant's page."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Playwright, expect

from tests.checkout.browser import Pages, serve, shop_page
from tests.journeys.conftest import PHONE
from tests.sandbox.stage import Json
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSWORD = "159753"
CALL = """([act, key, whose]) => {
  window.told = null;
  IMP.loadModule("toss-brandpay", whose, { customerKey: key })
    .then((module) => module[act]())
    .then((result) => { window.told = { result: result === undefined ? "nothing" : result }; },
          (error) => { window.told = { error: error }; });
}"""


async def load(page: Page, act: str, key: str, whose: Json | None = None) -> None:
    await page.evaluate(CALL, [act, key, whose or {"userCode": "imp00000000"}])


async def told(page: Page) -> Any:
    """How the promise ended."""
    handle = await page.wait_for_function("() => window.told")
    return await handle.json_value()


async def go_on(wallet: Page, password: str = PASSWORD) -> None:
    await wallet.locator("#password").fill(password)
    await wallet.locator("#password-form button").click()


async def picture(wallet: Page, name: str) -> None:
    if folder := os.environ.get("NARU_PICTURES"):
        await wallet.screenshot(path=f"{folder}/{name}.png")


@pytest_asyncio.fixture(loop_scope="session", params=["pc", "mobile"])
async def shop(
    request: pytest.FixtureRequest, browser: Browser, playwright: Playwright, parties: Parties
) -> AsyncIterator[Page]:
    """A merchant's page with the SDK, at a desk and on a phone at night."""
    phone = request.param == "mobile"
    device: dict[str, Any] = dict(playwright.devices[PHONE]) if phone else {}
    context = await browser.new_context(
        **device, reduced_motion="reduce", color_scheme="dark" if phone else "light"
    )
    context.set_default_timeout(15_000)
    site = Pages()
    async with serve(site.app()) as origin:
        site.html["/shop"] = shop_page(parties.gateway, sdk="/v1/iamport.js")
        page = await context.new_page()
        await page.goto(f"{origin}/shop")
        yield page
    await context.close()


async def test_a_customer_chooses_a_password_keeps_a_card_and_the_shop_reads_which(
    shop: Page, parties: Parties
) -> None:
    key = f"buyer-{secrets.token_hex(6)}"
    at_pg = re.compile(re.escape(f"{parties.sandbox}/wallets/"))

    async with shop.expect_popup() as popping:
        await load(shop, "setupPassword", key)
    wallet = await popping.value
    await wallet.wait_for_url(at_pg)
    await picture(wallet, f"wallet-choose-{shop.viewport_size['width']}")  # type: ignore[index]
    # A visit from a shop: no way into the sandbox's own pages, and what to type stands there.
    await expect(wallet.get_by_role("link")).to_have_count(0)
    await expect(wallet.locator("#password-hint")).to_contain_text(PASSWORD)
    await go_on(wallet)
    assert await told(shop) == {"result": "nothing"}

    async with shop.expect_popup() as popping:
        await load(shop, "openSettings", key)
    wallet = await popping.value
    await wallet.wait_for_url(at_pg)
    await go_on(wallet, "000000")
    await expect(wallet.locator("#trouble")).to_contain_text("남은 횟수 4회")
    await go_on(wallet)
    await wallet.locator("#card").select_option("mpi-shinhan")
    await wallet.locator("#add button").click()
    await expect(wallet.locator("#methods li[data-card=mpi-shinhan]")).to_contain_text("신한카드")
    await picture(wallet, f"wallet-settings-{shop.viewport_size['width']}")  # type: ignore[index]
    await wallet.locator("#finish button").click()
    assert await told(shop) == {"result": "nothing"}

    async with shop.expect_popup() as popping:
        await load(shop, "getPaymentMethods", key)
    wallet = await popping.value
    await go_on(wallet)
    assert await told(shop) == {
        "result": {
            "selectedMethodId": "mpi-shinhan",
            "cards": [
                {
                    "id": "mpi-shinhan",
                    "type": "CARD",
                    "cardName": "신한카드",
                    "cardNumber": "451842******7811",
                    "issuerCode": "366",
                }
            ],
            "accounts": [],
        }
    }
    # Another customer of the shop, and the same key at another merchant, have nothing of it.
    async with shop.expect_popup() as popping:
        await load(shop, "getPaymentMethods", f"{key}-other")
    wallet = await popping.value
    await go_on(wallet, "111111")
    assert (await told(shop))["result"]["cards"] == []


async def test_who_closes_the_page_has_cancelled_and_what_cannot_be_is_a_bad_request(
    shop: Page, parties: Parties
) -> None:
    async with shop.expect_popup() as popping:
        await load(shop, "openSettings", "buyer-1")
    wallet = await popping.value
    await wallet.wait_for_url(re.compile(re.escape(f"{parties.sandbox}/wallets/")))
    await wallet.close()
    assert (await told(shop))["error"]["code"] == "USER_CANCEL"

    wrong: list[tuple[Json, str]] = [
        ({"type": "kakao"}, "지원하지 않는 모듈 타입(kakao) 입니다."),
        ({"key": ""}, "customerKey 는 필수 입력입니다."),
        ({"user": "imp99999999"}, ""),
    ]
    for changes, words in wrong:
        said = {"type": "toss-brandpay", "key": "buyer-1", "user": "imp00000000"} | changes
        error = await shop.evaluate(
            """(said) => IMP.loadModule(said.type, { userCode: said.user }, { customerKey: said.key })
                 .then(() => null, (error) => error)""",
            said,
        )
        assert error["code"] in ("BadRequest", "UnknownError")
        assert words in error["message"]


@pytest.mark.parametrize(
    ("param", "origin", "status"),
    [
        ({}, None, 200),
        ({}, "https://stranger.example", 403),
        ({}, "null", 403),
        ({"pg": "kcp"}, None, 400),
        ({"customerKey": ""}, None, 400),
        ({"customerKey": ["a"]}, None, 400),
        ({"act": "pay"}, None, 400),
        ({"request_id": None}, None, 400),
    ],
)
async def test_only_the_merchants_own_pages_open_a_wallet(
    parties: Parties, param: Json, origin: str | None, status: int
) -> None:
    asked = {"customerKey": "buyer-1", "act": "openSettings", "request_id": "req_1", **param}
    body = {
        "user_code": "imp00000000",
        "tier_code": None,
        "param": asked,
        "page_url": f"{parties.shop}/cart",
        "surface": "pc",
        "mode": None,
        "generation": "new",
        "request_id": "req_1",
    }
    headers = {"Origin": origin or parties.shop, "Content-Type": "text/plain;charset=UTF-8"}
    url = f"{parties.gateway}/checkout/wallets"
    async with parties.http.post(url, data=json.dumps(body), headers=headers) as answer:
        assert answer.status == status, await answer.text()
        assert ("url" in await answer.json()) == (status == 200)

"""Our own pages in a real browser, between a shop, our SDK and the sandbox PG's window."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import BrowserContext, Frame, Page, expect

from naru.domain.payment import Step
from naru.payments.reconcile import reconcile
from tests.checkout.browser import PHONE, Pages, serve, shop_page
from tests.checkout.gate import Gate

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What the PG's own page does when the buyer presses its button; its looks are its own business.
FINISH = """async (path) => {
  const answer = await fetch(location.pathname + path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
  const form = document.createElement("form");
  const back = (await answer.json()).return_form;
  form.method = "post"; form.action = back.action;
  for (const [name, value] of Object.entries(back.fields)) {
    const field = document.createElement("input");
    field.type = "hidden"; field.name = name; field.value = value; form.append(field);
  }
  document.body.append(form);
  setTimeout(() => HTMLFormElement.prototype.submit.call(form));
}"""


async def at_shop(page: Page, gate: Gate, shop: Pages, shop_url: str, **param: Any) -> None:
    init = (
        f"IMP.init('{gate.house.merchant.user_code}'); Object.assign(param, {json.dumps(param)});"
    )
    shop.html["/shop"] = shop_page(gate.url, pg=str(param.get("pg", "kcp")), init=init)
    await page.goto(f"{shop_url}/shop")
    await page.wait_for_function(
        "performance.getEntriesByType('resource').some((entry) => /users/.test(entry.name))"
    )


async def pg_frame(page: Page, gate: Gate) -> Frame:
    """The frame of this page in which the PG's window has arrived."""
    async with asyncio.timeout(8):
        while True:
            for frame in page.frames:
                if frame.url.startswith(f"{gate.pg.url}/window/"):
                    await frame.wait_for_load_state()
                    return frame
            await page.wait_for_timeout(20)


async def callback_of(page: Page) -> dict[str, Any]:
    await page.wait_for_function("results.length === 1")
    answer: dict[str, Any] = (await page.evaluate("results"))[0]["answer"]
    return answer


@pytest.fixture
def order() -> dict[str, Any]:
    return {
        "merchant_uid": f"o-{secrets.token_hex(5)}",
        "pay_method": "kakaopay",
        "amount": 64_900,
        "name": "나루 우산",
    }


async def test_a_payment_in_a_layer_from_click_to_callback(
    context: BrowserContext, gate: Gate, shop: Pages, shop_url: str, order: dict[str, Any]
) -> None:
    page = await context.new_page()
    problems: list[str] = []
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    await at_shop(page, gate, shop, shop_url, **order)
    await page.click("#pay")
    frame = await pg_frame(page, gate)
    await frame.evaluate(FINISH, "/wallet")

    answer = await callback_of(page)

    assert answer["success"] is True
    assert answer["paid_amount"] == 64_900
    assert (await gate.payment(answer)).step is Step.PAID
    assert [text for text in problems if "Security Policy" in text] == []
    assert await context.cookies() == []


async def test_giving_up_at_the_pg_and_at_the_dialog(
    context: BrowserContext, gate: Gate, shop: Pages, shop_url: str, order: dict[str, Any]
) -> None:
    page = await context.new_page()
    await at_shop(page, gate, shop, shop_url, **order)
    await page.click("#pay")
    await (await pg_frame(page, gate)).evaluate(FINISH, "/cancel")
    assert (await callback_of(page))["success"] is False

    await page.evaluate("results.length = 0")
    await page.click("#pay")
    await pg_frame(page, gate)
    await page.click(".imp-close")
    await page.get_by_role("button", name="그만두기").click()
    answer = await callback_of(page)
    assert answer["error_msg"] == "[결제포기] 사용자가 결제를 취소하셨습니다"
    assert (await gate.payment(answer)).step is Step.FAILED


async def test_paypal_in_a_popup_ends_at_the_return_address(
    context: BrowserContext, gate: Gate, shop: Pages, shop_url: str, order: dict[str, Any]
) -> None:
    page = await context.new_page()
    order |= {"pg": "paypal", "amount": "12.50", "m_redirect_url": f"{shop_url}/done?a=1#x"}
    await at_shop(page, gate, shop, shop_url, **order)
    async with page.expect_popup() as popping:
        await page.click("#pay")
    popup = await popping.value
    await popup.wait_for_url(re.compile(re.escape(gate.pg.url)))
    async with popup.expect_event("close"):
        await popup.evaluate(FINISH, "/wallet")
    await page.wait_for_url(re.compile(re.escape(f"{shop_url}/done?a=1&imp_uid=imp_")))

    query = parse_qs(urlsplit(page.url).query)
    assert query["imp_success"] == ["true"]
    assert query["merchant_uid"] == [order["merchant_uid"]]
    assert urlsplit(page.url).fragment == "x"


async def test_a_popup_whose_shop_is_out_of_reach_says_what_to_do(
    context: BrowserContext, gate: Gate, shop: Pages, order: dict[str, Any]
) -> None:
    shop.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    async with serve(shop.app()) as shop_url:
        page = await context.new_page()
        await at_shop(page, gate, shop, shop_url, **(order | {"pg": "payco"}))
        async with context.expect_page() as popping:
            await page.click("#pay")
        popup = await popping.value
        await popup.wait_for_url(re.compile(re.escape(gate.pg.url)))
        await popup.evaluate(FINISH, "/wallet")
        await expect(popup.get_by_role("status")).to_have_text("결제가 완료되었습니다.")
        await expect(popup.locator("main")).to_contain_text("이 창을 닫고 쇼핑몰로 돌아가 주세요.")

        assert (await callback_of(page))["success"] is True


async def test_a_phone_goes_there_and_comes_back(
    context: BrowserContext, gate: Gate, shop: Pages, shop_url: str, order: dict[str, Any]
) -> None:
    assert context.browser is not None
    phone = await context.browser.new_context(user_agent=PHONE, is_mobile=True)
    page = await phone.new_page()
    order["m_redirect_url"] = f"{shop_url}/done"
    await at_shop(page, gate, shop, shop_url, **order)
    await page.click("#pay")
    await page.wait_for_url(re.compile(re.escape(gate.pg.url)))
    # Back leads to the shop at once: our opening page left no trace in the history.
    await page.go_back()
    assert page.url == f"{shop_url}/shop"
    await page.click("#pay")
    await page.wait_for_url(re.compile(re.escape(gate.pg.url)))
    await page.evaluate(FINISH, "/wallet")
    await page.wait_for_url(re.compile(re.escape(f"{shop_url}/done?imp_uid=")))

    assert parse_qs(urlsplit(page.url).query)["imp_success"] == ["true"]
    await phone.close()


async def test_an_unknown_outcome_is_waited_for_on_the_page(
    context: BrowserContext, own_gate: Gate
) -> None:
    opened = await own_gate.open({"amount": 900_015}, surface="mobile")
    page = await context.new_page()
    await page.goto(await own_gate.pay(opened))
    await expect(page.get_by_role("status")).to_have_text("결제 결과를 확인하고 있습니다.")
    await expect(page.locator("main")).to_contain_text("다시 결제하지 마세요")

    # Later the worker asks the PG, which did take the money before the line was cut.
    own_gate.house.clock.advance(seconds=60)
    await reconcile(own_gate.house.gateway, opened["imp_uid"])
    await expect(page.get_by_role("status")).to_have_text("결제가 완료되었습니다.")
    assert (await own_gate.payment(opened)).step is Step.PAID


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_our_pages_fit_a_narrow_screen_and_can_be_read(
    context: BrowserContext, gate: Gate, scheme: str
) -> None:
    assert context.browser is not None
    narrow = await context.browser.new_context(
        viewport={"width": 320, "height": 640},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = await narrow.new_page()
    paid = await gate.pay(await gate.open({"name": "아주긴상품이름" * 12}, surface="mobile"))
    failed = await gate.pay(await gate.open({"amount": 900_001}, surface="mobile"))
    for url in (paid, failed, f"{gate.url}/checkout/fail"):
        await page.goto(url)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320
        contrast = await page.evaluate(CONTRAST)
        assert contrast >= 4.5
    await narrow.close()


CONTRAST = """() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(Number).slice(0, 3).map((value) => {
      value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$/.test(color)) return light(color);
    }
    return 1;
  };
  const ratios = [...document.querySelectorAll("h1, p, dt, dd, .ribbon")].map((element) => {
    const both = [light(getComputedStyle(element).color), behind(element)].sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
  });
  return Math.min(...ratios);
}"""

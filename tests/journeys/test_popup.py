"""PayPal: a popup at a desk, which ends at m_redirect_url in the shop's own page."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, Playwright, expect

from tests.checkout.browser import CHROMIUM_FLAGS
from tests.journeys.buyer import Buyer, by_wallet, shown
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTEBOOK = 1_250  # $12.50
# Pressed by a script and not by a person: exactly what a popup blocker is there for.
PRESS_WITHOUT_A_HAND = """addEventListener("load", () => {
  const pay = document.getElementById("pay");
  if (pay && !sessionStorage.pressed) { sessionStorage.pressed = "yes"; pay.click(); }
});"""


@pytest_asyncio.fixture(loop_scope="session")
async def strict_context(playwright: Playwright) -> AsyncIterator[BrowserContext]:
    """A browser that blocks popups, as every buyer's does. Playwright's own lets them pass."""
    browser = await playwright.chromium.launch(
        executable_path=_with_a_popup_blocker(),
        args=list(CHROMIUM_FLAGS),
        ignore_default_args=["--disable-popup-blocking"],
    )
    context = await browser.new_context(viewport={"width": 1100, "height": 900}, locale="ko-KR")
    context.set_default_timeout(15_000)
    yield context
    await browser.close()


def _with_a_popup_blocker() -> str | None:
    """A whole Chromium: its headless shell has no windows, and so nothing that blocks them."""
    named = os.environ.get("NARU_CHROMIUM", "")
    if named and "shell" not in named:
        return named
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("NO WHOLE CHROMIUM HERE: only one that cannot block a popup")
    return found


async def at_paypal(popup: Page, parties: Parties) -> None:
    await popup.wait_for_url(re.compile(re.escape(f"{parties.sandbox}/window/")))


async def test_paid_in_a_popup_and_told_at_the_return_address(
    buyer: Buyer, parties: Parties
) -> None:
    number = await buyer.order("notebook")
    asked: list[str] = []
    buyer.page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    async with buyer.page.expect_popup() as popping:
        await buyer.press_pay("paypal")
    popup = await popping.value
    await at_paypal(popup, parties)
    async with popup.expect_event("close"):
        await by_wallet(parties, popup)

    await buyer.sees("paid")
    payment = await parties.see_paid(number, NOTEBOOK, pay_method="paypal")
    landing = f"GET {parties.shop}/payments/complete?imp_uid={payment.imp_uid}"
    assert any(request.startswith(landing) for request in asked)
    assert f"POST {parties.shop}/payments/complete" not in asked


async def test_a_closed_popup_is_a_payment_given_up(buyer: Buyer, parties: Parties) -> None:
    number = await buyer.order("notebook")
    async with buyer.page.expect_popup() as popping:
        await buyer.press_pay("paypal")
    popup = await popping.value
    await at_paypal(popup, parties)
    await popup.close()

    await buyer.sees_trouble("사용자가 결제를 취소하셨습니다")
    await parties.see_unpaid(number)
    [given_up] = await parties.payments(number)
    assert given_up.status == "failed"


async def test_a_blocked_popup_is_opened_again_by_hand(
    strict_context: BrowserContext, parties: Parties
) -> None:
    buyer = Buyer(await strict_context.new_page(), parties)
    number = await order_without_hands(buyer)
    dialog = buyer.page.locator(".imp-dialog")
    await expect(dialog.get_by_role("status")).to_contain_text("팝업이 차단되어")

    async with buyer.page.expect_popup() as popping:
        await dialog.get_by_role("button", name="결제창 열기").click()
    popup = await popping.value
    await at_paypal(popup, parties)
    await by_wallet(parties, popup)

    await buyer.sees("paid")
    await parties.see_paid(number, NOTEBOOK, pay_method="paypal")


async def test_a_blocked_popup_can_go_on_in_the_page_itself(
    strict_context: BrowserContext, parties: Parties
) -> None:
    buyer = Buyer(await strict_context.new_page(), parties)
    number = await order_without_hands(buyer)

    await buyer.page.get_by_role("button", name="이 창에서 계속하기").click()
    await at_paypal(buyer.page, parties)
    await by_wallet(parties, buyer.page)

    await buyer.sees("paid")
    await parties.see_paid(number, NOTEBOOK, pay_method="paypal")
    blocked, paid = await parties.payments(number)
    assert (blocked.status, paid.status) == ("failed", "paid")


async def order_without_hands(buyer: Buyer) -> str:
    """An order whose page has never been touched, so that the browser lets no popup open."""
    number = await buyer.order("notebook")
    fresh = await buyer.page.context.new_page()
    await fresh.add_init_script(PRESS_WITHOUT_A_HAND)
    await fresh.goto(f"{buyer.parties.shop}/orders/{number}")
    buyer.page = fresh
    await expect(shown(fresh)).to_have_attribute("data-status", "placed")
    return number

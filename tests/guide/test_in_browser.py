"""The guide's shop takes money from real browsers, on a PC and on a phone, and is not robbed."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, FrameLocator, Page, expect

from naru.sandbox.cards import CARD_BY_ID, MPI_PASSWORD, SIMPLE_PIN
from naru.testing.async_imp import AsyncImp
from tests.guide.conftest import Shop
from tests.guide.pages import ROOT, files

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAIR = 64_900
LAYER = "iframe.imp-frame"
PHONE = {
    "viewport": {"width": 412, "height": 839},
    "user_agent": (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Mobile Safari/537.36"
    ),
    "is_mobile": True,
    "has_touch": True,
}
VENDOR = ROOT / "naru" / "shop" / "static" / "vendor"
REACT = ("react-18.3.1.production.min.js", "react-dom-18.3.1.production.min.js")
VUE = ("vue-3.5.45.global.prod.js",)


async def order_page(browser: Browser, shop: Shop, **device: object) -> tuple[Page, str]:
    """Somebody orders a chair; the page with the button, and the order's number."""
    context = await browser.new_context(locale="ko-KR", reduced_motion="reduce", **device)  # type: ignore[arg-type]
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"a script of the guide fails: {error}"))
    await page.goto(shop.url)
    await page.locator("button[value=chair]").click()
    await expect(page.locator("#pay")).to_be_enabled()
    return page, urlsplit(page.url).path.rpartition("/")[2]


async def by_mpi(window: Page | FrameLocator, card_id: str) -> None:
    """Number, expiry, CVC and password of one of the sandbox's cards."""
    card = CARD_BY_ID[card_id]
    await window.locator("input[name=company][value='366']").check()
    await window.locator("input[name=way][value='mpi']").check()
    await window.locator("form button[type=submit]").click()
    await window.locator("#card-number").fill(card.number)
    await window.locator("#card-expiry").fill(card.expiry)
    await window.locator("#card-cvc").fill(card.cvc)
    await window.locator("#card-password").fill(MPI_PASSWORD)
    await window.locator("form button[type=submit]").click()


async def by_pin(window: Page | FrameLocator) -> None:
    """Six digits on the shuffled keypad of a card company's own simple pay."""
    await window.locator("input[name=company][value='090']").check()
    await window.locator("form button[type=submit]").click()
    keys = window.locator(".keypad")
    await expect(keys.locator("button:enabled")).to_have_count(12)
    for digit in SIMPLE_PIN:
        await keys.get_by_role("button", name=digit, exact=True).click()


async def test_a_card_on_a_pc(async_imp: AsyncImp, shop: Shop, browser: Browser) -> None:
    """Chapters 1 to 6 by callback: the webhook is held back until the page shows the paid order."""
    async_imp.webhooks.hold()
    page, order = await order_page(browser, shop)
    await page.locator("#pay").click()
    window = page.frame_locator(LAYER)
    await by_mpi(window, "mpi-shinhan")
    await expect(page.locator(".state")).to_contain_text("결제했습니다")
    await expect(page.locator("#pay")).to_have_count(0)
    await async_imp.settle()
    async_imp.webhooks.release(times=2)
    assert shop.sent(order) == 1


async def test_a_card_on_a_phone(async_imp: AsyncImp, shop: Shop, browser: Browser) -> None:
    """Chapter 4-b: the whole page goes to the window and comes back, by redirect alone."""
    async_imp.webhooks.hold()
    page, order = await order_page(browser, shop, **PHONE)
    await page.locator("#pay").click()
    await page.locator("input[name=company]").first.wait_for()
    # Back, whether the browser kept the page with its locked button or not, and once more.
    await page.go_back()
    await expect(page.locator("#pay")).to_be_enabled()
    await page.locator("#pay").click()
    await by_pin(page)
    await expect(page.locator(".state")).to_contain_text("결제했습니다")
    assert page.url == f"{shop.url}/orders/{order}"
    assert shop.sent(order) == 1


async def test_a_popup_on_a_pc(async_imp: AsyncImp, shop: Shop, browser: Browser) -> None:
    """Chapter 4-b: a PG that opens a window of its own reports by one of the two ways that are there."""
    async_imp.webhooks.hold()
    page, order = await order_page(browser, shop)
    await page.evaluate("payment.pg = 'payco'")
    async with page.expect_popup() as opened:
        await page.locator("#pay").click()
    popup = await opened.value
    await popup.locator("form button[type=submit]").click()
    await expect(page.locator(".state")).to_contain_text("결제했습니다")
    assert shop.sent(order) == 1


async def test_a_virtual_account_waits_for_its_deposit(
    async_imp: AsyncImp, shop: Shop, browser: Browser
) -> None:
    """Chapter 6: the page shows the account, and by itself that the money has come."""
    page, order = await order_page(browser, shop)
    await page.locator("input[value=vbank]").check()
    await page.locator("#pay").click()
    window = page.frame_locator(LAYER)
    await window.locator("#bank").select_option("088")
    await window.locator("#holder").fill("홍길동")
    await window.locator("form button[type=submit]").click()
    await expect(page.locator(".state")).to_contain_text("아래 계좌로 입금해 주세요")
    await async_imp.settle()
    payment = async_imp.sync.client.find_payment(order)
    await expect(page.locator(".state")).to_contain_text(f"신한은행 {payment.vbank_num}")
    await expect(page.locator(".state")).to_contain_text("까지")
    assert shop.sent(order) == 0
    await async_imp.deposit(which=payment.imp_uid)
    await expect(page.locator(".state")).to_contain_text("결제했습니다", timeout=15_000)
    assert shop.sent(order) == 1


async def test_a_refused_card_leaves_the_button(
    async_imp: AsyncImp, shop: Shop, browser: Browser
) -> None:
    """The PG's own words, and another try: chapter 6 by the callback, then by the page itself."""
    page, order = await order_page(browser, shop)
    await page.locator("#pay").click()
    window = page.frame_locator(LAYER)
    await by_mpi(window, "mpi-limit")
    await expect(page.locator("#said")).to_contain_text("한도초과")
    await expect(page.locator("#pay")).to_be_enabled()
    await page.reload()
    await expect(page.locator(".state")).to_contain_text("한도초과")
    await page.locator("#pay").click()
    await by_pin(window)
    await expect(page.locator(".state")).to_contain_text("결제했습니다")
    assert shop.sent(order) == 1


async def test_a_page_that_was_changed_opens_no_window(
    async_imp: AsyncImp, shop: Shop, browser: Browser
) -> None:
    """Chapter 3's prepare: the thief changes the price in the page, and no window opens."""
    page, order = await order_page(browser, shop)
    await page.evaluate("payment.amount = 1000")
    await page.locator("#pay").click()
    await expect(page.locator("#said")).to_contain_text("사전등록")
    assert shop.status(order) == "placed"


async def test_an_answer_that_was_lost(async_imp: AsyncImp, shop: Shop, browser: Browser) -> None:
    """Nobody knows whether the card was charged: the phone reads that it must not pay again."""
    page, order = await order_page(browser, shop, **PHONE)
    window = await async_imp.pay(
        order,
        CHAIR,
        surface="mobile",
        m_redirect_url=f"{shop.url}/payments/complete",
        origin=shop.url,
    )
    result = await async_imp.approve(scenario="approve_cut_done")
    assert result.state == "checking"
    query = f"imp_uid={window.imp_uid}&merchant_uid={order}"
    await page.goto(f"{shop.url}/payments/complete?{query}")
    assert page.url == f"{shop.url}/orders/{order}?checking"
    await expect(page.locator(".state")).to_contain_text("다시 결제하지 마세요")
    await expect(page.locator("#pay")).to_have_count(0)
    async_imp.webhooks.hold()
    await async_imp.advance("1m")
    await expect(page.locator(".state")).to_contain_text("결제했습니다", timeout=15_000)
    assert shop.sent(order) == 1


@pytest.mark.parametrize(
    ("script", "libraries"), [("static/pay.react.js", REACT), ("static/pay.vue.js", VUE)]
)
async def test_the_button_in_react_and_in_vue(
    async_imp: AsyncImp, shop: Shop, browser: Browser, script: str, libraries: tuple[str, ...]
) -> None:
    """Chapter 3's other two ways to write pay.js, with the real libraries."""
    texts = [(VENDOR / name).read_text("utf-8") for name in libraries]
    body = "\n".join([*texts, files()[script]])
    context = await browser.new_context(locale="ko-KR", reduced_motion="reduce")
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"a script of the guide fails: {error}"))
    await page.route(
        "**/static/pay.js",
        lambda route: route.fulfill(body=body, content_type="text/javascript; charset=utf-8"),
    )
    order = shop.place()
    await page.goto(f"{shop.url}/orders/{order}")
    await page.locator("#pay:enabled").click()
    await by_pin(page.frame_locator(LAYER))
    await expect(page.locator(".state")).to_contain_text("결제했습니다")
    assert shop.sent(order) == 1

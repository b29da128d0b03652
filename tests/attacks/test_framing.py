"""Who may frame a payment, and what a page's opener policy does to it.

The control takes the headers away in the attacker's browser: then the same click pays.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Frame, Page, Route, expect

from tests.attacks.conftest import MERCHANT, PATIENCE_MS, Site, merchant_page, open_site
from tests.checkout.browser import PHONE
from tests.journeys.buyer import by_wallet
from tests.rudeness.thief import Thief, Window, new_order
from tests.support.parties import Parties, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRANGER = "evil.test"
# The bait lies under a window that nobody can see; the press lands in the window.
OVERLAY = """<!doctype html><body style="margin:0"><button>You have won</button>
<iframe src="{url}" style="position:fixed;inset:0;width:1000px;height:850px;opacity:0.01;border:0">
</iframe></body>"""


async def taken(parties: Parties, merchant_uid: str) -> int:
    """How much money the PG took for this order."""
    return sum(amount for _, amount in await parties.book(merchant_uid))


def is_refused(frame: Frame) -> bool:
    return frame.url.startswith("chrome-error:")


async def frame_for_payments(thief: Thief, site: Site) -> Window:
    """A payment in a layer, opened by the registered merchant's page."""
    return await thief.open(origin=site.origin(MERCHANT))


@pytest.mark.fault("A3_WD")
async def test_no_stranger_frames_a_window_and_an_invisible_one_takes_no_press(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    async with open_site({}) as site:
        window, paid = await frame_for_payments(thief, site), await thief.pay()
        _, done = await thief.bring_back(paid.imp_uid, {})
        assert done == ""
        for address in (window.url, window.url.replace("/window/", "/enter/"), window.pg_url):
            site.pages.html["/"] = OVERLAY.format(url=address)
            page = await context.new_page()
            await page.goto(site.origin(STRANGER), wait_until="load")
            assert is_refused(page.frames[1]), page.frames[1].url
            for spot in ((100, 100), (500, 425), (500, 800)):
                await page.mouse.click(*spot)
            await page.close()
        assert await taken(parties, window.merchant_uid) == 0


async def test_control_without_the_headers_the_same_press_pays(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    async def strip(route: Route) -> None:
        answer = await route.fetch(max_redirects=0)
        guards = ("content-security-policy", "x-frame-options")
        headers = {name: each for name, each in answer.headers.items() if name not in guards}
        await route.fulfill(response=answer, headers=headers)

    async with open_site({}) as site:
        window = await frame_for_payments(thief, site)
        site.pages.html["/"] = OVERLAY.format(url=window.pg_url)
        page = await context.new_page()
        await page.route(f"{parties.sandbox}/window/*", strip)
        await page.goto(site.origin(STRANGER), wait_until="load")
        # A real press of the mouse, at the spot of the screen where the bait seems to be.
        await page.frame_locator("iframe").locator("form button[type=submit]").click()

        async def stolen() -> bool:
            return await taken(parties, window.merchant_uid) == 1004

        await eventually(stolen, "the press of a buyer who saw no window pays")


@pytest.mark.fault("A3_WD")
async def test_a_shop_inside_a_strangers_page_shows_no_window(
    parties: Parties, context: BrowserContext
) -> None:
    order = new_order()
    shop = merchant_page(parties, merchant_uid=order)
    async with open_site({"/shop": shop}) as site:
        nest = f"<!doctype html><iframe src='{site.origin(MERCHANT)}/shop' width=1000 height=850>"
        site.pages.html["/"] = nest + "</iframe>"
        page = await context.new_page()
        await page.goto(site.origin(STRANGER), wait_until="load")
        inner = page.frame_locator("iframe")
        await inner.locator("#pay").click()
        # The SDK says that the window does not come; nobody is charged.
        await inner.locator("iframe.imp-frame").wait_for()

        async def refused() -> bool:
            return any(is_refused(frame) for frame in page.frames)

        await eventually(refused, "the window is refused in a stranger's page")
        [payment] = await parties.rows("SELECT step FROM payments WHERE merchant_uid=$1", order)
        assert payment["step"] == "opened"
        assert await taken(parties, order) == 0


OPENER_POLICIES = ["unsafe-none", "same-origin-allow-popups", "same-origin"]


@pytest.mark.parametrize("policy", OPENER_POLICIES)
async def test_a_payment_finishes_whatever_the_merchants_opener_policy_is(
    parties: Parties, browser: Browser, policy: str
) -> None:
    """In a layer, in a popup (cut off from its opener by `same-origin`), and by redirect."""
    async with open_site({}) as site:
        site.pages.headers["Cross-Origin-Opener-Policy"] = policy
        home = site.origin(MERCHANT)
        for pg, agent in (("kcp", None), ("payco", None), ("kcp", PHONE)):
            order = new_order()
            param = {"pg": pg, "merchant_uid": order, "m_redirect_url": f"{home}/landing"}
            site.pages.html["/shop"] = merchant_page(parties, **param)
            context = await browser.new_context(user_agent=agent, locale="ko-KR")
            context.set_default_timeout(PATIENCE_MS)
            page = await context.new_page()
            await page.goto(f"{home}/shop")
            if agent is not None:
                await page.click("#pay")
                await by_wallet(parties, page)
                await page.wait_for_url(f"{home}/landing**")
                query = parse_qs(urlsplit(page.url).query)
                assert query["imp_success"] == ["true"]
            elif pg == "payco":
                async with context.expect_page() as popping:
                    await page.click("#pay")
                popup: Page = await popping.value
                await popup.wait_for_url(f"{parties.sandbox}/window/**")
                # The control that this policy bites: the window has nobody to speak to.
                cut = await popup.evaluate("window.opener === null")
                assert cut == (policy == "same-origin")
                await by_wallet(parties, popup)
                await page.wait_for_function("results.length === 1")
            else:
                await page.click("#pay")
                await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
                await page.wait_for_function("results.length === 1")
            if agent is None:
                assert (await page.evaluate("results"))[0]["answer"]["success"] is True
            assert await taken(parties, order) == 1004
            await context.close()


async def test_a_layer_on_another_site_needs_no_cookie(
    parties: Parties, context: BrowserContext
) -> None:
    """Shop, gateway and PG are three sites; nobody of us has set a cookie when all is paid."""
    async with open_site({}) as site:
        home, order = site.origin("merchant.test"), new_order()
        site.pages.html["/"] = merchant_page(parties, merchant_uid=order)
        async with parties.merchant_with(allowed_origins=(home,)):
            page = await context.new_page()
            sent: list[str] = []
            page.on(
                "request",
                lambda request: sent.append(request.url) if "cookie" in request.headers else None,
            )
            await page.goto(home)
            await page.click("#pay")
            await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
            await page.wait_for_function("results.length === 1")
        await expect(page.locator(".imp-dialog")).to_have_count(0)
        assert (sent, await context.cookies()) == ([], [])
        assert await taken(parties, order) == 1004

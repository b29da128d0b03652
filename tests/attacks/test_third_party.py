"""A shop, a gateway and a PG are three sites: what is left when browsers keep them apart.

Third-party cookies off, as some browsers have it by themselves, and a shop whose opener policy cuts
the popup off.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.attacks.conftest import MERCHANT, PATIENCE_MS, merchant_page, open_site
from tests.attacks.test_framing import taken
from tests.checkout.browser import serve
from tests.journeys.buyer import by_wallet
from tests.rudeness.thief import new_order
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def block_third_parties(page: Page) -> None:
    """From now on a site inside another site's page neither keeps nor sends cookies."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send(
        "Network.setCookieControls",
        {
            "enableThirdPartyCookieRestriction": True,
            "disableThirdPartyCookieMetadata": True,
            "disableThirdPartyCookieHeuristics": True,
        },
    )


async def stranger(request: Request) -> Response:
    """A site that sets a cookie, and says what it hears of it."""
    answer = HTMLResponse(f"<p id=heard>{request.headers.get('cookie', 'nothing')}</p>")
    answer.headers["Set-Cookie"] = "seen=1; SameSite=None; Secure; Path=/"
    return answer


async def test_the_whole_layer_works_where_third_party_cookies_are_blocked(
    parties: Parties, context: BrowserContext
) -> None:
    page, order = await context.new_page(), new_order()
    await block_third_parties(page)
    async with (
        serve(Starlette(routes=[Route("/{path:path}", stranger)])) as origin,
        open_site({"/pay": merchant_page(parties, merchant_uid=order)}) as site,
    ):
        # The control: alone this site hears its cookie, inside the shop's page it does not.
        alone = f"http://stranger.localhost:{urlsplit(origin).port}/"
        site.pages.html["/"] = f"<iframe src='{alone}'></iframe>"
        for _ in range(2):
            await page.goto(alone)
        assert await page.locator("#heard").inner_text() == "seen=1"
        for _ in range(2):
            await page.goto(site.origin(MERCHANT), wait_until="load")
        inner = page.frame_locator("iframe").locator("#heard")
        assert await inner.inner_text() == "nothing"

        await page.goto(f"{site.origin(MERCHANT)}/pay")
        await page.click("#pay")
        await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
        await page.wait_for_function("results.length === 1")
        assert (await page.evaluate("results"))[0]["answer"]["success"] is True
    assert await taken(parties, order) == 1004


async def test_paypals_popup_ends_at_the_shop_though_it_was_cut_off(
    parties: Parties, browser: Browser
) -> None:
    """The result goes to m_redirect_url: the shop's page asks for it, since nobody can tell it."""
    order = new_order()
    async with open_site({}) as site:
        site.pages.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        home = site.origin(MERCHANT)
        param = {"pg": "paypal", "pay_method": "paypal", "amount": "12.50", "currency": "USD",
                 "merchant_uid": order, "m_redirect_url": f"{home}/landing"}  # fmt: skip
        site.pages.html["/shop"] = merchant_page(parties, **param)
        context = await browser.new_context(locale="ko-KR")
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        await page.goto(f"{home}/shop")
        async with context.expect_page() as popping:
            await page.click("#pay")
        popup = await popping.value
        await popup.wait_for_url(f"{parties.sandbox}/window/**")
        assert await popup.evaluate("window.opener === null")
        # The page behind cannot see the popup any more, and says so.
        await page.get_by_text("다른 창에서 결제를 마치면 자동으로 이어집니다").wait_for()
        await by_wallet(parties, popup)
        await page.wait_for_url(f"{home}/landing**")
        query = parse_qs(urlsplit(page.url).query)
        assert query["imp_success"] == ["true"]
        assert query["merchant_uid"] == [order]
        await context.close()
    assert await taken(parties, order) == 1250

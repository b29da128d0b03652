"""A billing key from the browser: the window registers a card, the server charges it (flows §8)."""

from __future__ import annotations

import secrets

import pytest
from playwright.async_api import Browser, Playwright, expect

from naru.domain.pg_profile import profile
from naru.kit import Refused
from tests.checkout.browser import Pages, serve, shop_page
from tests.journeys.buyer import by_mpi
from tests.journeys.conftest import PHONE
from tests.journeys.test_pg_codes import param_for
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("surface", ["pc", "mobile"])
async def test_a_card_is_registered_in_the_window_and_charged_by_the_server(
    surface: str, browser: Browser, playwright: Playwright, parties: Parties
) -> None:
    device = playwright.devices[PHONE] if surface == "mobile" else {}
    context = await browser.new_context(**device, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    site, customer = Pages(), f"customer-{secrets.token_hex(6)}"
    async with serve(site.app()) as origin:
        param = param_for(
            profile("html5_inicis"),
            amount=0,
            customer_uid=customer,
            m_redirect_url=f"{origin}/landing",
        )
        site.html["/shop"] = shop_page(parties.gateway, pg="html5_inicis")
        page = await context.new_page()
        await page.goto(f"{origin}/shop")
        await page.evaluate("(param) => IMP.request_pay(param, callback)", param)
        if surface == "pc":
            window = page.frame_locator("iframe.imp-frame")
            await expect(window.locator("#amount")).to_have_text("카드 등록")
            await expect(window.locator("#keep")).to_be_visible()
            await by_mpi(parties, window)
            await page.wait_for_function("results.length === 1")
            answer = (await page.evaluate("results"))[0]["answer"]
            assert (answer["success"], answer["customer_uid"]) == (True, customer)
            uid = answer["imp_uid"]
        else:
            await expect(page.locator("#amount")).to_have_text("카드 등록")
            await by_mpi(parties, page)
            await page.wait_for_url(f"{origin}/landing?**")
            uid = page.url.split("imp_uid=")[1].split("&")[0]

    issued = await parties.kit.payment(uid)
    assert (issued.status, issued.customer_uid_usage, issued.amount) == ("paid", "issue", 0)
    key = await parties.kit.billing_key(customer)
    assert key.card_name == "신한카드"
    order = f"again{secrets.token_hex(6)}"
    charged = await parties.kit.pay_by_billing_key(customer, order, 4_900, "구독")
    assert (charged.status, charged.customer_uid) == ("paid", customer)
    assert await parties.book(order) == [("charge", 4_900)]
    await parties.kit.delete_billing_key(customer)
    with pytest.raises(Refused, match="등록되지 않은 구매자입니다"):
        await parties.kit.pay_by_billing_key(customer, f"{order}x", 4_900, "구독")
    await context.close()

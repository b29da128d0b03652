"""A PG's own button in the merchant's page, pressed by a buyer, paid at the sandbox PG (SDK facts §9)."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import Browser, Playwright, expect

from naru.domain.pg_profile import profile
from tests.checkout.browser import Pages, serve, shop_page
from tests.journeys.buyer import by_wallet
from tests.journeys.conftest import PHONE
from tests.journeys.test_pg_codes import param_for
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOLDER = '<div class="portone-ui-container" data-portone-ui-type="paypal-spb"></div>'


@pytest.mark.parametrize("surface", ["pc", "mobile"])
async def test_a_paypal_button_is_paid_in_its_popup(
    surface: str, browser: Browser, playwright: Playwright, parties: Parties
) -> None:
    device = playwright.devices[PHONE] if surface == "mobile" else {}
    context = await browser.new_context(**device, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    site = Pages()
    param = param_for(profile("paypal_v2"), amount=12.5)
    async with serve(site.app()) as origin:
        init = f"""IMP.init('imp00000000');
            IMP.loadUI('paypal-spb', {json.dumps(param | {"amount": 1})}, callback);
            IMP.updateLoadUIRequest('paypal-spb', {json.dumps(param)});"""
        html = shop_page(parties.gateway, sdk="/v1/iamport.js", init=init)
        site.html["/shop"] = html.replace('<main id="shop">', f'<main id="shop">{HOLDER}')
        page = await context.new_page()
        await page.goto(f"{origin}/shop")
        button = page.locator(".portone-ui-container button").first
        await expect(button).to_have_text("PayPal")
        async with page.expect_popup() as popping:
            await button.click()
        popup = await popping.value
        await popup.wait_for_url(re.compile(re.escape(parties.sandbox)))
        await by_wallet(parties, popup)
        await page.wait_for_function("results.length === 1")
        answer = (await page.evaluate("results"))[0]["answer"]
        assert sorted(answer) == ["imp_uid", "merchant_uid"]  # the new file's shape
        payment = await parties.kit.payment(answer["imp_uid"])
        assert (payment.status, payment.currency, str(payment.amount)) == ("paid", "USD", "12.5")
        assert await parties.book(param["merchant_uid"]) == [("charge", 1250)]
        # The button stays for another order.
        await expect(button).to_be_enabled()
    await context.close()

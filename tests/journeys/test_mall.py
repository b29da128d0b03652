"""A naverco payment in a browser: products from request_pay, the buyer at the mall, the merchant by its server."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.async_api import expect

from naru.domain.pg_profile import profile
from tests.journeys.buyer import Buyer
from tests.journeys.test_pg_codes import authenticate, open_window, param_for
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

PRODUCTS = [
    {"id": "umbrella", "name": "<b>나루 우산</b>", "basePrice": 700, "quantity": 1},
    {"id": "cover", "name": "우산 덮개", "basePrice": 152, "quantity": 2},
]


async def test_the_buyer_cancels_one_product_and_keeps_the_other(
    phone_buyer: Buyer, parties: Parties
) -> None:
    param = param_for(profile("naverco"), naverProducts=PRODUCTS)
    status, opened = await open_window(parties, param)
    assert status == 200, opened
    await authenticate(parties, opened)
    imp_uid = opened["imp_uid"]
    umbrella, cover = await parties.kit.naver_product_orders(imp_uid)
    assert (umbrella.product_amount, cover.product_amount) == (700, 304)
    order_no = (await parties.kit.payment(imp_uid)).merchant_uid
    assert order_no == param["merchant_uid"]

    page = phone_buyer.page
    await page.goto(f"{parties.sandbox}/mall")
    await page.locator("#order").fill(param["merchant_uid"])
    await page.locator("form.search button").first.click()
    await page.wait_for_url(re.compile("order="))
    await expect(page.locator("[data-product-order]")).to_have_count(2)
    first = page.locator(f"[data-product-order='{umbrella.product_order_id}']")
    second = page.locator(f"[data-product-order='{cover.product_order_id}']")
    await expect(first.get_by_role("heading")).to_have_text("<b>나루 우산</b>")
    await first.locator("[data-act=ask_cancel]").click()
    await expect(first.locator("[data-claim=CANCEL_REQUEST]")).to_be_visible()
    assert [each.claim_status for each in await parties.kit.naver_product_orders(imp_uid)] == [
        "CANCEL_REQUEST",
        None,
    ]
    await parties.kit.approve_naver_cancel(imp_uid, [umbrella.product_order_id])
    payment = await parties.kit.payment(imp_uid)
    assert (payment.status, payment.cancel_amount) == ("cancelled", 700)
    await expect(first.locator("[data-status=CANCELED]")).to_be_visible()
    await expect(first.get_by_role("button")).to_have_count(0)

    await parties.kit.ship_naver_order(
        imp_uid,
        [cover.product_order_id],
        delivery_method="DELIVERY",
        dispatched_at=datetime.now(UTC),
        delivery_company="CJGLS",
        tracking_number="1234",
    )
    await second.locator("[data-act=receive]").click()
    await second.locator("[data-act=decide]").click()
    await expect(second.locator("[data-status=PURCHASE_DECIDED]")).to_be_visible()
    review = second.locator("[data-review=general]")
    await review.get_by_label(re.compile("제목")).fill("<i>튼튼해요</i>")
    await review.get_by_role("button").click()
    await expect(review).to_have_count(0)
    width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0, "the page is wider than the screen"

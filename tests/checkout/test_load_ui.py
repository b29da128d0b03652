"""IMP.loadUI in a real browser: a PG's buttons in the merchant's page (SDK facts §9)."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.checkout.browser import Pages, StandIn, shop_page
from tests.checkout.test_sdk import callback_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD = "/js/iamport.payment-1.2.0.js"
NEW = "/v1/iamport.js"
HOLDER = '<div class="portone-ui-container" data-portone-ui-type="{}"></div>'
PAYPAL = {"pg": "paypal_v2", "merchant_uid": "order-1", "amount": 10, "currency": "USD"}


@pytest.fixture
def stand_in() -> StandIn:
    codes = ("kcp", "paypal_v2", "toss_brandpay", "danal_tpay", "nice")
    channels = [
        {"pg_provider": pg, "pg_id": pg, "type": "payment", "channel_key": f"channel-key-{pg}"}
        for pg in codes
    ]
    return StandIn(mode="popup", channels=channels)


async def at_shop(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, *holders: str, sdk: str = NEW
) -> Page:
    html = shop_page(core, sdk=sdk)
    places = "".join(HOLDER.format(each) for each in holders)
    shop.html["/shop"] = html.replace('<main id="shop">', f'<main id="shop">{places}')
    page = await context.new_page()
    await page.goto(f"{shop_url}/shop")
    return page


async def load(page: Page, ui_type: Any, param: dict[str, Any]) -> None:
    await page.evaluate("([type, param]) => IMP.loadUI(type, param, callback)", [ui_type, param])


async def test_a_paypal_button_pays_with_what_the_page_gave_last(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, "paypal-spb")
    await load(page, "paypal-spb", PAYPAL)
    buttons = page.locator(".portone-ui-container button")
    await expect(buttons).to_have_text(["PayPal", "직불 또는 신용카드"])
    assert stand_in.opened == []  # nothing exists before the press

    await page.evaluate(
        "(param) => IMP.updateLoadUIRequest('paypal-spb', param)", PAYPAL | {"amount": 12}
    )
    async with page.expect_popup() as popping:
        await buttons.first.click()
    popup = await popping.value
    await popup.locator("#pay").click()
    answer = await callback_of(page)
    assert answer["status"] == "paid"
    assert [each["param"]["amount"] for each in stand_in.opened] == [12]

    # The buttons stay: a second press is a second payment.
    async with page.expect_popup() as popping:
        await buttons.last.click()
    await (await popping.value).locator("#pay").click()
    await callback_of(page, 2)
    assert len(stand_in.opened) == 2


async def test_the_brandpay_widget_listens_to_the_merchants_own_button(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.mode = "iframe"
    page = await at_shop(context, shop, shop_url, core, "toss-brandpay-widget")
    await load(page, "toss-brandpay-widget", PAYPAL | {"pg": "toss_brandpay", "currency": "KRW"})
    await expect(page.locator(".imp-ui-text")).to_be_visible()
    await page.evaluate(
        """() => document.body.insertAdjacentHTML('beforeend',
        '<button id="portone-toss-brandpay-widget-button"><b>pay</b></button>')"""
    )
    await page.locator("#portone-toss-brandpay-widget-button b").click()
    await page.frame_locator(".imp-dialog iframe").locator("#pay").click()
    assert (await callback_of(page))["status"] == "paid"
    assert len(stand_in.opened) == 1


REFUSALS = [
    (None, PAYPAL, [], "UI 타입은 필수 입력입니다."),
    ("paypal-xyz", PAYPAL, [], "지원하지 않는 UI 타입(paypal-xyz)입니다."),
    ("paypal-spb", {"amount": 10}, [], "pg 파라미터는 필수 입력입니다."),
    ("paypal-spb", PAYPAL | {"pg": "nice"}, [], "해당 PG사(nice)는 UI 로딩을 지원하지 않습니다."),
    (
        "toss-brandpay-widget",
        PAYPAL,
        [],
        "해당 PG사(paypal_v2)의 UI 타입은 paypal-spb, paypal-rt만 허용됩니다.",
    ),
    (
        "paypal-spb",
        PAYPAL | {"customer_uid": "c"},
        [],
        "요청하신 UI 타입(paypal-spb)은 빌링키 발급을 지원하지 않습니다.",
    ),
    ("paypal-rt", PAYPAL, [], "요청하신 UI 타입(paypal-rt)은 일반결제를 지원하지 않습니다."),
    ("paypal-spb", PAYPAL, [], "portone-ui-container를 찾을 수 없습니다."),
    (
        "paypal-spb",
        PAYPAL,
        ["paypal-rt"],
        "data-portone-ui-type에 올바른 UI 타입을 입력해주세요.",
    ),
    (
        "paypal-spb",
        PAYPAL,
        ["paypal-spb", "paypal-spb"],
        "동일한 data-portone-ui-type을 갖는 DOM element가 2개 이상 존재합니다.",
    ),
]


@pytest.mark.parametrize("sdk", [OLD, NEW])
async def test_what_cannot_be_shown_is_said_to_the_callback(
    sdk: str, context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    for ui_type, param, holders, words in REFUSALS:
        page = await at_shop(context, shop, shop_url, core, *holders, sdk=sdk)
        await load(page, ui_type, param)
        answer = await callback_of(page)
        assert (answer["error_code"], answer["error_msg"]) == ("F400", words)
        assert answer["imp_uid"] is None
        assert answer.get("success") is (False if sdk == OLD else None)
        await page.close()
    assert stand_in.opened == []


async def test_a_channel_may_be_named_by_its_key_before_the_gateway_has_told_the_channels(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, "paypal-spb")
    await page.evaluate(
        """(param) => { IMP.init('imp00000000'); IMP.loadUI('paypal-spb', param, callback); }""",
        {"channelKey": "channel-key-paypal_v2", "merchant_uid": "order-1", "amount": 10},
    )
    await expect(page.locator(".portone-ui-container button")).to_have_count(2)

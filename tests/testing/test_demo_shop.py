"""The demo shop, on an address of its own, at a private gateway: every way in which news arrives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from naru.shop.app import Settings
from naru.testing.async_imp import AsyncImp
from naru.testing.buyer import Refused
from naru.testing.imp import Imp
from tests.checkout.browser import open_browser
from tests.shop.conftest import RunningShop, serve_shop


@pytest.fixture
def shop(imp: Imp, tmp_path: Path) -> Iterator[RunningShop]:
    settings = Settings(
        database=tmp_path / "shop.sqlite",
        gateway_url=imp.url,
        api_key=imp.imp_key,
        api_secret=imp.imp_secret,
        user_code=imp.user_code,
        webhook_secret=imp.webhook_secret,
        allow_sandbox=True,
    )
    with serve_shop(settings) as running:
        imp.webhooks.to(running.url)
        yield running


def price(shop: RunningShop, order: str) -> int:
    """What the order costs in the shop's own database, in won."""
    found = shop.orders.find(order)
    assert found is not None
    return found.amount_minor


def test_by_webhook_alone(imp: Imp, shop: RunningShop) -> None:
    order = shop.place()
    imp.pay(order, price(shop, order), origin=shop.url)
    assert imp.approve().success
    assert shop.status(order) == "paid"
    imp.cancel()
    assert shop.status(order) == "cancelled"


def test_by_callback_while_the_webhook_is_late(imp: Imp, shop: RunningShop) -> None:
    order = shop.place()
    imp.webhooks.hold()
    imp.pay(order, price(shop, order))
    result = imp.approve()
    assert shop.status(order) == "placed"
    assert shop.report(result.imp_uid, order)[0] == 200
    assert shop.status(order) == "paid"
    imp.webhooks.release(times=2)
    assert [answered for _, answered in imp.webhooks.told] == [200, 200]


def test_by_redirect_on_a_phone(imp: Imp, shop: RunningShop) -> None:
    order = shop.place()
    imp.webhooks.hold()
    back = f"{shop.url}/payments/complete"
    imp.pay(order, price(shop, order), surface="mobile", m_redirect_url=back, origin=shop.url)
    result = imp.approve()
    assert result.redirect_url is not None
    parts = urlsplit(result.redirect_url)
    assert shop.ask("GET", f"{parts.path}?{parts.query}").status == 303
    assert shop.status(order) == "paid"


def test_who_pays_less_gets_nothing(imp: Imp, shop: RunningShop) -> None:
    order = shop.place()
    # The shop announced its price beforehand, so no window opens for another.
    with pytest.raises(Refused, match="사전등록"):
        imp.pay(order, 1000)
    # What was paid for another order is no payment of this one.
    imp.pay("another-order", price(shop, order))
    result = imp.approve()
    assert shop.report(result.imp_uid, order)[0] == 400
    assert shop.status(order) == "placed"


def test_a_deposit_in_two_parts(imp: Imp, shop: RunningShop) -> None:
    order = shop.place()
    imp.pay(order, price(shop, order), pay_method="vbank")
    imp.approve()
    assert shop.status(order) == "waiting_deposit"
    imp.deposit(price(shop, order) - 1)
    assert shop.status(order) == "waiting_deposit"
    imp.deposit(1)
    assert shop.status(order) == "paid"


async def test_in_a_browser(async_imp: AsyncImp, shop: RunningShop) -> None:
    """What only a page does: the SDK of the same gateway, its layer, the PG's window, the callback."""
    async with open_browser() as browser:
        page = await browser.new_page()
        await page.goto(f"{shop.url}/order?product=chair&quantity=1")
        await page.get_by_role("button", name="주문하고 결제하기").click()
        order = await page.get_by_test_id("order").get_attribute("data-order")
        assert order is not None
        await page.locator("input[name=method][value=kakaopay]").check()
        await page.locator("#pay").click()
        await page.frame_locator("iframe.imp-frame").locator("form button[type=submit]").click()
        await expect(page.get_by_test_id("order")).to_have_attribute("data-status", "paid")
    await async_imp.settle()
    assert [letter.status for letter in async_imp.webhooks.arrived] == ["paid"]
    assert async_imp.webhooks.arrived[0].merchant_uid == order
    assert async_imp.sync.client.find_payment(order).status == "paid"

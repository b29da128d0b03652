"""Nobody knows yet: what a buyer reads while an outcome is unknown, wherever the window stands.

The PG did the deed, and the connection was cut before it could say so. The worker, which finds it
out, sleeps until the test has read what the pages say.
"""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.journeys.buyer import Buyer, Window, shown, submit
from tests.journeys.test_races import choose_scenario
from tests.support.parties import Parties, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAIR, NOTEBOOK = 64_900, 1250
CHECKING = "결제 결과를 확인하고 있습니다."
DO_NOT_PAY_AGAIN = "다시 결제하지 마"
FAILURE = ("실패", "완료되지 않았", "결제되지 않았", "오류")
ENDS_MS = 40_000


async def says_checking(window: Window) -> None:
    """The gateway's page: that it is being found out, not to pay again, and not a word of failure."""
    await expect(window.get_by_role("status").first).to_have_text(CHECKING)
    main = window.locator("main")
    await expect(main).to_contain_text(DO_NOT_PAY_AGAIN)
    text = await main.inner_text()
    assert not [word for word in FAILURE if word in text]
    # What it is about stays in sight, and there is nothing to press that pays once more.
    await expect(main).to_contain_text("주문번호")
    await expect(window.locator("button, a")).to_have_count(0)


async def never_failed(page: Page, number: str, parties: Parties) -> None:
    """The shop's page did not call it a failure, and the gateway does not either."""
    assert [each.status for each in await parties.payments(number)] == ["ready"]
    text = await page.inner_text("body")
    assert "결제하지 못했습니다" not in text


@pytest.mark.fault("C2_LR")
@pytest.mark.promise("P12")
async def test_in_a_layer(buyer: Buyer, parties: Parties) -> None:
    number = await buyer.order()
    with parties.sleeping_worker():
        await buyer.press_pay("easy")
        await choose_scenario(buyer.layer, "approve_cut_done")
        await submit(buyer.layer).click()
        await says_checking(buyer.layer)
        # In a second window the order is not paid again either, and nobody is told to try.
        second = await buyer.page.context.new_page()
        await second.goto(f"{parties.shop}/orders/{number}")
        await second.locator("#pay").click()
        await expect(second.get_by_text(DO_NOT_PAY_AGAIN).first).to_be_visible()
        await second.close()
        # Whoever gives up now is told the same by the SDK, and waits with it for the truth.
        await buyer.page.locator(".imp-close").click()
        await buyer.page.get_by_role("button", name="그만두기").click()
        await expect(buyer.page.locator(".imp-text")).to_contain_text(DO_NOT_PAY_AGAIN)
        await never_failed(buyer.page, number, parties)
    await expect(shown(buyer.page)).to_have_attribute("data-status", "paid", timeout=ENDS_MS)
    await parties.see_paid(number, CHAIR, pay_method="samsung")


@pytest.mark.fault("C2_LR")
@pytest.mark.promise("P12")
async def test_on_a_phone(phone_buyer: Buyer, parties: Parties) -> None:
    number = await phone_buyer.order()
    page = phone_buyer.page
    with parties.sleeping_worker():
        await phone_buyer.press_pay("easy")
        await choose_scenario(page, "approve_cut_done")
        await submit(page).click()
        await says_checking(page)
        assert page.url.startswith(parties.gateway)
        assert [each.status for each in await parties.payments(number)] == ["ready"]
        # A buyer who loses patience and loads the page again reads the same.
        await page.reload()
        await says_checking(page)
    await page.wait_for_url(f"{parties.shop}/**", timeout=ENDS_MS)
    await phone_buyer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="samsung")


@pytest.mark.fault("C2_LR")
@pytest.mark.promise("P12")
async def test_in_a_popup(buyer: Buyer, parties: Parties) -> None:
    """The popup says it; a buyer who closes it is told by the page behind it."""
    number = await buyer.order("notebook")
    with parties.sleeping_worker():
        async with buyer.page.expect_popup() as popping:
            await buyer.press_pay("paypal")
        popup = await popping.value
        await choose_scenario(popup, "approve_cut_done")
        await submit(popup).click()
        await says_checking(popup)
        await popup.close()
        layer = buyer.page.locator(".imp-dialog")
        await expect(layer.get_by_role("status")).to_contain_text(DO_NOT_PAY_AGAIN)
        await never_failed(buyer.page, number, parties)
    await expect(shown(buyer.page)).to_have_attribute("data-status", "paid", timeout=ENDS_MS)
    await parties.see_paid(number, NOTEBOOK, pay_method="paypal")


@pytest.mark.fault("F2_LR")
@pytest.mark.promise("P12")
async def test_a_doubtful_cancel_is_no_news_to_the_buyer_until_it_is_known(
    buyer: Buyer, parties: Parties
) -> None:
    """Paid it stays: neither "cancelled" nor "failed", and no button to pay; then it is cancelled."""
    number = await buyer.order()
    await buyer.press_pay("easy")
    await choose_scenario(buyer.layer, "cancel_cut_done")
    await submit(buyer.layer).click()
    await buyer.sees("paid")
    payment = await parties.see_paid(number, CHAIR, pay_method="samsung")

    with parties.sleeping_worker():
        asked = asyncio.create_task(parties.kit.cancel(imp_uid=payment.imp_uid, reason="변심"))
        done, _ = await asyncio.wait({asked}, timeout=40)
        assert done, "the merchant waits for ever"
        assert asked.exception() is not None, "an unknown cancel was called a success"
        assert sorted(await parties.book(number)) == [("cancel", CHAIR), ("charge", CHAIR)]
        await buyer.page.reload()
        await buyer.sees("paid")
        await expect(buyer.page.locator("#pay")).to_have_count(0)
        assert (await parties.kit.payment(payment.imp_uid)).status == "paid"

    async def known() -> bool:
        return (await parties.kit.payment(payment.imp_uid)).status == "cancelled"

    await eventually(known, "the doubt of the cancel ends")
    assert sorted(await parties.book(number)) == [("cancel", CHAIR), ("charge", CHAIR)]

    async def told() -> bool:
        async with parties.http.post(f"{parties.shop}/orders/{number}/check") as answer:
            await answer.read()
        return parties.order(number).status == "cancelled"

    await eventually(told, "the shop hears of the cancel")
    await buyer.page.reload()
    await buyer.sees("cancelled")

"""The ways in which a payment does not happen, and that the order can still be paid afterwards."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from playwright.async_api import Locator, Page, expect

from tests.journeys.buyer import (
    Buyer,
    Window,
    by_mpi,
    by_wallet,
    choose_card,
    fill_card,
    submit,
)
from tests.journeys.conftest import WRONG_PASSWORD
from tests.support.parties import Parties
from tests.support.receiver import Told, receiving

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAIR = 64_900
GIVEN_UP = "[결제포기] 사용자가 결제를 취소하셨습니다"


def view(window: Window, name: str) -> Locator:
    return window.locator(f"[data-view={name}]")


async def with_the_button(page: Page, window: Window) -> None:
    await window.locator("#cancel").click()
    await window.locator("#cancel-yes").click()


async def with_escape(page: Page, window: Window) -> None:
    await window.locator("h2").first.click()
    await page.keyboard.press("Escape")
    await window.locator("#cancel-yes").click()


async def with_the_layers_cross(page: Page, window: Window) -> None:
    """The only one: the PG's window leaves its own out where a layer has one."""
    await expect(window.locator("#cancel")).to_be_hidden()
    await page.locator(".imp-close").click()
    await page.get_by_role("button", name="그만두기").click()


async def with_escape_in_the_layer(page: Page, window: Window) -> None:
    await page.locator(".imp-close").focus()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="그만두기").click()


@pytest.mark.parametrize("give_up", [with_escape, with_the_layers_cross, with_escape_in_the_layer])
async def test_a_buyer_gives_up_and_may_try_again(
    buyer: Buyer, parties: Parties, give_up: object
) -> None:
    number = await buyer.order()
    await buyer.press_pay("card")
    await expect(view(buyer.layer, "choose-card")).to_be_visible()
    assert callable(give_up)
    await give_up(buyer.page, buyer.layer)

    await buyer.sees_trouble(GIVEN_UP)
    await expect(buyer.page.locator(".imp-dialog")).to_have_count(0)
    await parties.see_unpaid(number)
    [given_up] = await parties.payments(number)
    assert (given_up.status, given_up.fail_reason) == ("failed", GIVEN_UP)


async def test_a_page_closes_the_window_by_itself(buyer: Buyer, parties: Parties) -> None:
    number = await buyer.order()
    await buyer.press_pay("card")
    await expect(view(buyer.layer, "choose-card")).to_be_visible()
    await buyer.page.evaluate("IMP.close()")

    await buyer.sees_trouble(GIVEN_UP)
    await parties.see_unpaid(number)


async def test_giving_up_on_a_phone_comes_back_to_the_shop(
    phone_buyer: Buyer, parties: Parties
) -> None:
    number = await phone_buyer.order()
    await phone_buyer.press_pay("card")
    await expect(view(phone_buyer.page, "choose-card")).to_be_visible()
    await with_the_button(phone_buyer.page, phone_buyer.page)

    await phone_buyer.sees_trouble(GIVEN_UP)
    await parties.see_unpaid(number)


async def test_a_refused_card_leaves_the_order_unpaid_and_another_card_pays_it(
    buyer: Buyer, parties: Parties
) -> None:
    number = await buyer.order()
    await buyer.press_pay("card")
    await choose_card(buyer.layer, "366", "mpi")
    await fill_card(buyer.layer, "mpi-refused")  # 4092-0230-1234-1234
    await expect(view(buyer.layer, "refused")).to_contain_text("[CARD_REFUSED]")
    await buyer.layer.get_by_role("button", name="가맹점으로 돌아가기").click()

    await buyer.sees_trouble("카드사에서 거절하였습니다")
    await parties.see_unpaid(number)

    await buyer.pay("card", by_mpi)
    await buyer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="card")


async def test_an_expired_card_is_refused_by_its_company_and_a_wrong_date_where_it_is_typed(
    buyer: Buyer, parties: Parties
) -> None:
    number = await buyer.order()
    await buyer.press_pay("card")
    await choose_card(buyer.layer, "366", "mpi")
    await fill_card(buyer.layer, "mpi-expired")
    await expect(view(buyer.layer, "refused")).to_contain_text("[CARD_EXPIRED]")
    await buyer.layer.get_by_role("button", name="가맹점으로 돌아가기").click()
    await buyer.sees_trouble("유효기간이 지난 카드입니다")
    await parties.see_unpaid(number)

    await buyer.press_pay("card")
    await choose_card(buyer.layer, "366", "mpi")
    await buyer.layer.locator("#card-expiry").fill("0120")
    await submit(buyer.layer).click()
    await expect(buyer.layer.get_by_role("alert")).to_contain_text("유효기간이 지난 카드입니다")
    await with_escape(buyer.page, buyer.layer)
    await buyer.sees_trouble(GIVEN_UP)
    await parties.see_unpaid(number)


async def test_a_wrong_password_thrice_locks_the_card(buyer: Buyer, parties: Parties) -> None:
    number = await buyer.order()
    await buyer.press_pay("card")
    await choose_card(buyer.layer, "368")
    for left in (2, 1):
        await fill_card(buyer.layer, "mpi-lotte", WRONG_PASSWORD)
        await expect(buyer.layer.get_by_role("alert")).to_contain_text(f"{left}번")
    await fill_card(buyer.layer, "mpi-lotte", WRONG_PASSWORD)
    await expect(view(buyer.layer, "refused")).to_contain_text("[CARD_LOCKED]")
    await buyer.layer.get_by_role("button", name="가맹점으로 돌아가기").click()

    await expect(buyer.page.locator("#trouble")).to_be_visible()
    await parties.see_unpaid(number)
    # Also the right password opens nothing any more.
    await buyer.press_pay("card")
    await choose_card(buyer.layer, "368")
    await fill_card(buyer.layer, "mpi-lotte")
    await expect(view(buyer.layer, "refused")).to_contain_text("[CARD_LOCKED]")


@pytest.mark.promise("P18")
async def test_a_merchant_who_is_asked_says_no_and_then_yes(buyer: Buyer, parties: Parties) -> None:
    async with receiving() as shopkeeper:

        async def sold_out(told: Told) -> web.StreamResponse:
            return web.json_response({"reason": "품절되었습니다"}, status=500)

        shopkeeper.reply = sold_out
        async with parties.merchant_with(confirm_url=f"{shopkeeper.url}/confirm"):
            number = await buyer.order()
            await buyer.pay("easy", by_wallet)
            await buyer.sees_trouble(
                "고객사 요청에 의해 결제를 중단합니다. (상세사유 : 품절되었습니다)"
            )
            await parties.see_unpaid(number)
            [refused] = await parties.payments(number)
            [told] = shopkeeper.told
            assert json.loads(told.body) == {
                "imp_uid": refused.imp_uid,
                "merchant_uid": number,
                "amount": CHAIR,
            }

            shopkeeper.reply = None
            await buyer.pay("easy", by_wallet)
            await buyer.sees("paid")
            await parties.see_paid(number, CHAIR, pay_method="samsung")


@pytest.mark.promise("P17")
async def test_a_price_changed_in_the_browser_is_refused_before_the_pg_is_asked(
    buyer: Buyer, parties: Parties
) -> None:
    number = await buyer.order()
    await buyer.page.evaluate(
        """() => { const real = IMP.request_pay;
        IMP.request_pay = (param, told) => real.call(IMP, { ...param, amount: 100 }, told); }"""
    )
    await buyer.press_pay("card")

    await buyer.sees_trouble("사전등록된 결제금액")
    await parties.see_unpaid(number)
    assert await parties.payments(number) == ()

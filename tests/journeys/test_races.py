"""Callback, webhook, lost answers, several windows: in whichever order, an order is paid once."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from playwright.async_api import Error, FrameLocator, Route, expect

from tests.journeys.buyer import Buyer, by_mpi, by_wallet, shown, submit
from tests.support.parties import Parties, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAIR = 64_900
COMPLETE = "**/payments/complete"


async def choose_scenario(window: FrameLocator, name: str) -> None:
    """What the sandbox PG shall do with this order, chosen in the developer's drawer."""
    await window.locator("#developer").click()
    await window.locator("#scenario").select_option(name)
    await expect(window.locator("#scenario-mark")).to_contain_text(name)
    await window.locator("dialog header button").click()


async def paid_in_the_shop(parties: Parties, number: str) -> None:
    async def look() -> bool:
        return parties.order(number).status == "paid"

    await eventually(look, "the order is paid")


@pytest.mark.fault("E1_RO")
@pytest.mark.promise("L3")
async def test_the_webhook_comes_before_the_callback(buyer: Buyer, parties: Parties) -> None:
    number = await buyer.order()
    answers: list[dict[str, Any]] = []

    async def late(route: Route) -> None:
        await paid_in_the_shop(parties, number)
        answer = await route.fetch()
        answers.append(await answer.json())
        await route.fulfill(response=answer)

    await buyer.page.route(COMPLETE, late)
    # The page's own looking must not be faster than the late report.
    await buyer.page.route("**/state", lambda route: route.abort())
    await buyer.pay("easy", by_wallet)

    await buyer.sees("paid")
    assert [answer["status"] for answer in answers] == ["success"]
    await parties.see_paid(number, CHAIR, pay_method="samsung")


@pytest.mark.fault("C4_NP", "E1_LQ")
@pytest.mark.promise("L3")
@pytest.mark.parametrize("place", ["desk", "phone"])
async def test_a_tab_closed_right_after_authentication_is_finished_by_the_webhook_alone(
    place: str, buyer: Buyer, phone_buyer: Buyer, parties: Parties
) -> None:
    payer = buyer if place == "desk" else phone_buyer
    number = await payer.order()
    page = payer.page
    reports: list[str] = []
    page.on("request", lambda r: reports.append(r.url) if "/payments/complete" in r.url else None)

    async def lose(route: Route) -> None:
        await route.fetch(max_redirects=0)
        await page.close()
        with contextlib.suppress(Error):
            await route.abort()

    await page.route("**/checkout/return/**", lose)
    await payer.press_pay("easy")
    window = payer.layer if place == "desk" else page
    async with page.expect_event("close"):
        await submit(window).click(no_wait_after=True)

    await parties.see_paid(number, CHAIR, pay_method="samsung")
    assert reports == []


@pytest.mark.fault("E1_DU")
async def test_webhook_and_callback_at_once_finish_the_order_once(
    buyer: Buyer, parties: Parties
) -> None:
    number = await buyer.order()
    held: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    go = asyncio.Event()

    async def hold(route: Route) -> None:
        held.set_result(route.request.post_data or "")
        await go.wait()
        await route.continue_()

    await buyer.page.route(COMPLETE, hold)
    with parties.sleeping_worker():
        await buyer.pay("easy", by_wallet)
        report = await asyncio.wait_for(held, 15)
        assert parties.order(number).status == "placed"
        assert await parties.webhooks(number) == [("paid", "waiting", None)]

    # The worker is awake and the callback is let go; more of the same arrive beside them.
    async def tell() -> str:
        async with parties.http.post(
            f"{parties.shop}/payments/complete",
            data=report,
            headers={"Content-Type": "application/json"},
        ) as answer:
            return str((await answer.json())["status"])

    go.set()
    said = await asyncio.gather(*(tell() for _ in range(5)))

    assert said == ["success"] * 5
    await buyer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="samsung")


@pytest.mark.fault("C2_LR")
@pytest.mark.promise("P12", "P3")
async def test_a_lost_answer_of_the_pg_is_found_out_and_the_order_is_finished(
    buyer: Buyer, parties: Parties
) -> None:
    number = await buyer.order()
    await buyer.press_pay("easy")
    await choose_scenario(buyer.layer, "approve_cut_done")
    await by_wallet(parties, buyer.layer)

    # The money is gone, and nobody but the PG knows it yet.
    checking = buyer.layer.get_by_role("status")
    await expect(checking).to_have_text("결제 결과를 확인하고 있습니다.")
    await expect(buyer.layer.locator("main")).to_contain_text("다시 결제하지 마세요")
    assert parties.order(number).status == "placed"
    assert await parties.book(number) == [("charge", CHAIR)]

    await expect(shown(buyer.page)).to_have_attribute("data-status", "paid", timeout=20_000)
    await parties.see_paid(number, CHAIR, pay_method="samsung")


@pytest.mark.fault("C2_LQ")
@pytest.mark.promise("P12")
async def test_a_question_that_the_pg_never_did_is_found_out_and_told_as_a_failure(
    buyer: Buyer, parties: Parties
) -> None:
    number = await buyer.order()
    await buyer.press_pay("easy")
    await choose_scenario(buyer.layer, "approve_cut_undone")
    await by_wallet(parties, buyer.layer)
    await expect(buyer.layer.locator("main")).to_contain_text("다시 결제하지 마세요")

    await expect(buyer.page.locator("#trouble")).to_be_visible(timeout=20_000)
    await parties.see_unpaid(number)
    [failed] = await parties.payments(number)
    assert failed.status == "failed"

    await buyer.pay("easy", by_wallet)
    await buyer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="samsung")


@pytest.mark.fault("B1_DU")
async def test_back_and_refresh_on_a_phone_charge_once(
    phone_buyer: Buyer, parties: Parties
) -> None:
    page = phone_buyer.page
    number = await phone_buyer.order()
    await phone_buyer.press_pay("card")
    await expect(page.locator("[data-view=choose-card]")).to_be_visible()
    await page.reload()
    await expect(page.locator("[data-view=choose-card]")).to_be_visible()
    await page.go_back()
    await phone_buyer.sees("placed")

    await phone_buyer.pay("card", by_mpi, window=page)
    await phone_buyer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="card")

    # Back from the shop's thank-you page leads to nothing that charges, and Reload neither.
    await page.go_back()
    await page.reload()
    await page.goto(f"{parties.shop}/orders/{number}")
    await phone_buyer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="card")


async def test_a_refresh_behind_an_open_layer_charges_once(buyer: Buyer, parties: Parties) -> None:
    number = await buyer.order()
    await buyer.press_pay("card")
    await expect(buyer.layer.locator("[data-view=choose-card]")).to_be_visible()
    await buyer.page.reload()

    await buyer.pay("card", by_mpi)
    await buyer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="card")


@pytest.mark.fault("A2_DU")
async def test_a_double_click_on_pay_charges_once(buyer: Buyer, parties: Parties) -> None:
    number = await buyer.order()
    await buyer.page.locator("input[name=method][value=easy]").check()
    await buyer.page.locator("#pay").dblclick()
    await submit(buyer.layer).dblclick(no_wait_after=True)

    await buyer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="samsung")


@pytest.mark.fault("A2_DU")
@pytest.mark.promise("P2")
async def test_two_tabs_that_pay_the_same_order_charge_once(buyer: Buyer, parties: Parties) -> None:
    number = await buyer.order()
    tabs = [buyer, Buyer(await buyer.page.context.new_page(), parties)]
    await tabs[1].page.goto(buyer.page.url)
    for tab in tabs:
        # A tab that looks, and finds the order paid, closes its window; here both press before.
        await tab.page.route("**/state", lambda route: route.abort())
        await tab.press_pay("easy")
        await expect(submit(tab.layer)).to_be_visible()
    await asyncio.gather(*(submit(tab.layer).click(no_wait_after=True) for tab in tabs))

    async def both_ended() -> bool:
        tries = await parties.payments(number)
        return sorted(each.status for each in tries) == ["failed", "paid"]

    await eventually(both_ended, "one tab paid and the other was refused")
    await parties.see_paid(number, CHAIR, pay_method="samsung")
    # The two tabs are on their way to the same page by themselves; a third one looks in peace.
    looker = Buyer(await buyer.page.context.new_page(), parties)
    await looker.page.goto(f"{parties.shop}/orders/{number}")
    await looker.sees("paid")


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
async def test_a_cheap_payment_reported_for_a_dear_order_is_a_forgery(
    buyer: Buyer, parties: Parties
) -> None:
    """The attack on the document's own server sample, which updates the order that the browser names."""
    dear = await buyer.order("chair")
    cheap = await buyer.order("carrots")
    sent: list[str] = []

    async def swap(route: Route) -> None:
        report = json.loads(route.request.post_data or "{}")
        sent.append(report["imp_uid"])
        await route.continue_(post_data=json.dumps(report | {"merchant_uid": dear}))

    await buyer.page.route(COMPLETE, swap)
    with parties.sleeping_worker():
        await buyer.pay("easy", by_wallet)
        await buyer.sees_trouble("위조된 결제시도")
        assert parties.order(dear).status == "placed"
        assert parties.order(cheap).status == "placed"

    # The webhook names the true order; once it is paid, the payment pays for nothing else.
    await parties.see_paid(cheap, 1_004, pay_method="samsung")
    for body in (
        json.dumps({"imp_uid": sent[0], "merchant_uid": dear}),
        f"imp_uid={sent[0]}&merchant_uid={dear}",
    ):
        async with parties.http.post(
            f"{parties.shop}/payments/complete",
            data=body,
            headers={"Content-Type": "application/json"},
        ) as answer:
            assert (answer.status, (await answer.json())["status"]) == (400, "forgery")
    landing = f"{parties.shop}/payments/complete?imp_uid={sent[0]}&merchant_uid={dear}"
    async with parties.http.get(f"{landing}&imp_success=true") as answer:
        assert answer.status == 400
    await parties.see_unpaid(dear)


async def test_a_failed_payment_of_the_right_amount_is_not_a_success(
    buyer: Buyer, parties: Parties
) -> None:
    number = await buyer.order()
    await buyer.press_pay("easy")
    await choose_scenario(buyer.layer, "limit_exceeded")
    await by_wallet(parties, buyer.layer)
    await buyer.sees_trouble("한도초과")

    [failed] = await parties.payments(number)
    assert failed.status == "failed"
    assert failed.amount == CHAIR
    async with parties.http.post(
        f"{parties.shop}/payments/complete",
        json={"imp_uid": failed.imp_uid, "merchant_uid": number, "success": True},
    ) as answer:
        assert (answer.status, (await answer.json())["status"]) == (400, "failed")
    await parties.see_unpaid(number)

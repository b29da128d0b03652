"""Every way to pay, from the shop's front page to a finished order, at a desk and on a phone."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.journeys.buyer import (
    Buyer,
    Way,
    by_account,
    by_bank,
    by_isp,
    by_mpi,
    by_phone,
    by_pin,
    by_wallet,
)
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAIR = 64_900
# (what the shop offers, how the buyer proves who they are, the pay_method that REST tells)
WAYS = [
    pytest.param("card", by_mpi, "card", id="MPI"),
    pytest.param("card", by_isp, "card", id="ISP"),
    pytest.param("card", by_pin, "card", id="PIN"),
    pytest.param("easy", by_wallet, "samsung", id="samsung"),
    pytest.param("trans", by_bank, "trans", id="bank"),
    pytest.param("phone", by_phone, "phone", id="phone"),
]


@pytest.mark.parametrize(("method", "way", "pay_method"), WAYS)
async def test_paid_in_a_layer_at_a_desk(
    buyer: Buyer, parties: Parties, method: str, way: Way, pay_method: str
) -> None:
    number = await buyer.walk_to_order()
    at_the_shop = buyer.page.url
    await buyer.pay(method, way)

    await buyer.sees("paid")
    # By callback: the shop's page never left.
    assert buyer.page.url == at_the_shop
    await expect(buyer.page.get_by_role("heading", name="결제가 완료되었습니다")).to_be_visible()
    await expect(buyer.page.get_by_text("결제처", exact=True)).to_be_visible()
    await expect(buyer.page.locator(".imp-dialog")).to_have_count(0)
    await parties.see_paid(number, CHAIR, pay_method=pay_method)


@pytest.mark.parametrize(("method", "way", "pay_method"), WAYS)
async def test_paid_by_redirect_on_a_phone(
    phone_buyer: Buyer, parties: Parties, method: str, way: Way, pay_method: str
) -> None:
    number = await phone_buyer.order()
    visited: list[str] = []
    phone_buyer.page.on("framenavigated", lambda frame: visited.append(frame.url))
    await phone_buyer.pay(method, way, window=phone_buyer.page)

    await phone_buyer.sees("paid")
    # The whole page went to the PG and came back through the shop's m_redirect_url.
    assert any(url.startswith(f"{parties.sandbox}/window/") for url in visited)
    assert phone_buyer.page.url == f"{parties.shop}/orders/{number}"
    await parties.see_paid(number, CHAIR, pay_method=pay_method)


async def pay_in_at_the_desk(desk: Page, parties: Parties, account: str) -> None:
    """Somebody goes to the bank: the whole amount, at the sandbox PG's deposit desk."""
    await desk.goto(f"{parties.sandbox}/desk?number={account}")
    counter = desk.locator(f"[data-account='{account}']")
    await counter.get_by_role("button", name="입금하기").click()
    await expect(counter.locator("[data-notice] [data-state=delivered]")).to_be_visible()


@pytest.mark.parametrize("place", ["desk", "phone"])
async def test_a_virtual_account_is_paid_when_the_money_arrives(
    place: str, buyer: Buyer, phone_buyer: Buyer, parties: Parties
) -> None:
    payer = buyer if place == "desk" else phone_buyer
    number = await payer.order()
    await payer.pay("vbank", by_account, window=None if place == "desk" else payer.page)

    await payer.sees("waiting_deposit")
    waiting = parties.order(number)
    assert (waiting.status, parties.orders.parcels(number), await parties.book(number)) == (
        "waiting_deposit",
        0,
        [],
    )
    account = waiting.account_number
    assert account is not None
    await expect(payer.page.locator("#account-number")).to_have_text(account)
    [ready] = await parties.payments(number)
    assert (ready.status, ready.vbank_num) == ("ready", account)
    assert ready.amount == CHAIR
    # The buyer reads the account in a text message as well.
    await parties.see_webhooks(number, "ready")
    [message] = [each for each in parties.orders.messages() if each.merchant_uid == number]
    assert account in message.text

    await pay_in_at_the_desk(await payer.page.context.new_page(), parties, account)

    # Nobody touches the shop's page: it turns by itself.
    await payer.sees("paid")
    await parties.see_paid(number, CHAIR, pay_method="vbank", webhooks=("ready", "paid"))

"""A buyer: somebody with a browser who orders in the shop and pays in the PG's window."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from playwright.async_api import FrameLocator, Locator, Page, expect

from naru.sandbox.cards import CARD_BY_ID, DEMO_ACCOUNT, MPI_PASSWORD, SIMPLE_PIN
from tests.support.parties import Parties

Window = FrameLocator | Page
"""The PG's window: a frame in the shop's page, a popup, or the page itself."""

CERTIFICATE_PASSWORD = "demo1234!"
LAYER = "iframe.imp-frame"


@dataclass
class Buyer:
    """One browser at the shop."""

    page: Page
    parties: Parties

    async def walk_to_order(self, product: str = "chair") -> str:
        """From the front page to the order page, as people go. The order's number."""
        await self.page.goto(self.parties.shop)
        await self.page.locator(f"a[href='/products/{product}']").click()
        await self.page.get_by_role("button", name="바로 구매").click()
        return await self._place()

    async def order(self, product: str = "chair") -> str:
        """From a link to the order form to the order page. The order's number."""
        await self.page.goto(f"{self.parties.shop}/order?product={product}&quantity=1")
        return await self._place()

    async def _place(self) -> str:
        await self.page.get_by_role("button", name="주문하고 결제하기").click()
        number = await self.page.get_by_test_id("order").get_attribute("data-order")
        assert number is not None
        return number

    async def press_pay(self, method: str) -> None:
        """Choose a way to pay and press 결제하기."""
        await self.page.locator(f"input[name=method][value={method}]").check()
        await self.page.locator("#pay").click()

    @property
    def layer(self) -> FrameLocator:
        """The window in a layer over the shop's page."""
        return self.page.frame_locator(LAYER)

    async def pay(self, method: str, way: Way, *, window: Window | None = None) -> None:
        """Press 결제하기 and authenticate, in the layer unless a window is named."""
        await self.press_pay(method)
        await way(self.parties, window or self.layer)

    async def sees(self, status: str) -> None:
        """The shop's page shows the order in this state."""
        await expect(shown(self.page)).to_have_attribute("data-status", status)

    async def sees_trouble(self, words: str) -> None:
        """The shop's page says why it was not paid, and lets the buyer try again."""
        await expect(self.page.locator("#trouble")).to_contain_text(words)
        await expect(self.page.locator("#pay")).to_be_enabled()


Way = Callable[[Parties, Window], Awaitable[None]]
"""A way to authenticate: from the PG's first view until the browser leaves it."""


def shown(page: Page) -> Locator:
    """The order as the shop's page shows it."""
    return page.get_by_test_id("order")


def submit(window: Window) -> Locator:
    return window.locator("form button[type=submit]")


async def choose_card(window: Window, issuer_code: str, way: str | None = None) -> None:
    """Whose card, and how to authenticate where its company leaves a choice."""
    await window.locator(f"input[name=company][value='{issuer_code}']").check()
    if way is not None:
        await window.locator(f"input[name=way][value='{way}']").check()
    await submit(window).click()


async def fill_card(window: Window, card_id: str, password: str = MPI_PASSWORD) -> None:
    """Type a card into the MPI form and send it."""
    card = CARD_BY_ID[card_id]
    await window.locator("#card-number").fill(card.number)
    await window.locator("#card-expiry").fill(card.expiry)
    await window.locator("#card-cvc").fill(card.cvc)
    await window.locator("#card-password").fill(password)
    await submit(window).click()


async def by_isp(parties: Parties, window: Window) -> None:
    """A certificate, installed in this browser, signs."""
    await choose_card(window, "361")
    await window.locator("#install-demo").click()
    await window.locator("#certificate-password").fill(CERTIFICATE_PASSWORD)
    await submit(window).click()


async def by_mpi(parties: Parties, window: Window) -> None:
    """Card number, expiry, CVC and password."""
    await choose_card(window, "366", "mpi")
    await fill_card(window, "mpi-shinhan")


async def by_pin(parties: Parties, window: Window) -> None:
    """Six digits on the shuffled keypad."""
    await choose_card(window, "090")
    await expect(window.locator(".keypad button:enabled")).to_have_count(12)
    for digit in SIMPLE_PIN:
        await window.locator(".keypad").get_by_role("button", name=digit, exact=True).click()


async def by_bank(parties: Parties, window: Window) -> None:
    """An account and its password."""
    await window.locator("#bank").select_option(DEMO_ACCOUNT["bank_code"])
    await window.locator("#account-number").fill(DEMO_ACCOUNT["account_number"])
    await window.locator("#account-password").fill(DEMO_ACCOUNT["password"])
    await submit(window).click()


async def by_phone(parties: Parties, window: Window) -> None:
    """Carrier and number, and the code that comes by SMS."""
    await window.locator("input[name=carrier][value=KT]").check()
    await window.locator("#phone-number").fill("01042424242")
    await submit(window).click()
    await expect(window.locator("#sms-code")).to_be_visible()
    await window.locator("#sms-code").fill(await parties.sms_code())
    await submit(window).click()


async def by_account(parties: Parties, window: Window) -> None:
    """A virtual account of one's own; no money moves yet."""
    await window.locator("#bank").select_option("088")
    await window.locator("#holder").fill("홍길동")
    await submit(window).click()


async def by_wallet(parties: Parties, window: Window) -> None:
    """One press in the wallet's own name."""
    await submit(window).click()

"""Take the pictures of docs/window.md: `python docs/screenshots.py [name …]`, or `make screenshots`.

Starts `naru demo` as a user would, walks a real Chromium through every state of the payment window
and of the three parties' pages, and writes what they look like to docs/images/. Every picture has a new
browser profile and, where one is needed, a new order. Without names, all pictures are taken.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.async_api import Browser, FrameLocator, Locator, Page, Route, async_playwright

from naru.bench.demo import Demo, run_demo

FOLDER = Path(__file__).parent / "images"
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")
WEBP_QUALITY = 85
AT_ONCE = 3
# Whatever moves towards an end has reached it; what turns for ever goes on turning.
FINISH_MOVING = """() => document.getAnimations()
    .filter((moving) => moving.effect.getComputedTiming().endTime !== Infinity)
    .forEach((moving) => moving.finish())"""
PATIENCE_MS = 20_000
# The gateway waits for an approval longer than a page does.
APPROVAL_PATIENCE_MS = 60_000

# The sandbox's own test data, printed on its first page.
CARD = ("4518421234567811", "1249", "111", "naru1234")
PIN = "159753"
CERTIFICATE_PASSWORD = "demo1234!"  # noqa: S105
ACCOUNT = ("004", "110123456789", "1234")
PHONE_NUMBER = "010-4242-4242"

PHONE_AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)


@dataclass(frozen=True)
class Look:
    """A screen. `suffix` ends the file's name."""

    suffix: str
    width: int
    height: int
    phone: bool = False
    dark: bool = False
    scale: float = 1

    def context(self) -> dict[str, Any]:
        """What Playwright must be told."""
        asked: dict[str, Any] = {
            "viewport": {"width": self.width, "height": self.height},
            "color_scheme": "dark" if self.dark else "light",
            "device_scale_factor": self.scale,
            "reduced_motion": "reduce",
            "locale": "ko-KR",
        }
        if self.phone:
            asked |= {"user_agent": PHONE_AGENT, "is_mobile": True, "has_touch": True}
        return asked


PC = Look("pc", 1280, 900)
PC_DARK = Look("pc-dark", 1280, 900, dark=True)
PHONE = Look("phone", 390, 844, phone=True)
PHONE_DARK = Look("phone-dark", 390, 844, phone=True, dark=True)
NARROW = Look("narrow", 320, 640, phone=True)
README = Look("pc", 1280, 900, scale=2)
# A layer in a small window on a PC: a phone itself is sent on before it could show such a page.
SMALL = Look("phone", 390, 844)
SMALL_DARK = Look("phone-dark", 390, 844, dark=True)
BOTH = (PC, PHONE)
ALL = (PC, PHONE, PC_DARK, PHONE_DARK)


class Visit:
    """A buyer with a new browser profile; on a PC the window is a layer, on a phone the page."""

    def __init__(self, page: Page, demo: Demo, look: Look) -> None:
        self.page = page
        self.demo = demo
        self.look = look

    @property
    def window(self) -> FrameLocator | Page:
        """Where the payment window is shown."""
        return self.page if self.look.phone else self.page.frame_locator("iframe.imp-frame")

    def at(self, selector: str) -> Locator:
        """A place in the window."""
        return self.window.locator(selector)

    async def order(self, product: str = "chair") -> None:
        """Order at the shop, up to its page with 결제하기."""
        await self.page.goto(f"{self.demo.shop}/order?product={product}&quantity=1")
        await self.page.locator("form.columns button.primary").click()
        await self.page.locator("#pay").wait_for()

    async def press_pay(self, method: str) -> None:
        """Choose a way to pay and press 결제하기."""
        await self.page.locator(f"input[name=method][value={method}]").check()
        await self.page.locator("#pay").click()

    async def open(self, method: str = "card", product: str = "chair") -> None:
        """Order, press 결제하기 and see the PG's first step."""
        await self.order(product)
        await self.press_pay(method)
        await self.at("[data-view]").wait_for()

    async def submit(self) -> None:
        """Press the window's main button."""
        await self.at("form button[type=submit]").click()

    async def card(self, company: str, way: str | None = None) -> None:
        """Choose a card company and, where it leaves a choice, a way to authenticate."""
        await self.open()
        await self.at(f"input[name=company][value='{company}']").check()
        if way:
            await self.at(f"input[name=way][value='{way}']").check()

    async def state(self, name: str) -> None:
        """Wait until the shop shows the order in this state."""
        await self.page.locator(f"[data-status={name}]").wait_for(timeout=APPROVAL_PATIENCE_MS)


Walk = Callable[[Visit], Awaitable[Page | None]]
"""Leads to the state; returns the page to picture when it is not the visit's own."""


async def hold(route: Route) -> None:
    """Leave a request without an answer, so that the state before it stands still."""


# The shop.


async def shop_home(visit: Visit) -> None:
    await visit.page.goto(visit.demo.shop)


async def shop_product(visit: Visit) -> None:
    await visit.page.goto(f"{visit.demo.shop}/products/chair")


async def shop_form(visit: Visit) -> None:
    await visit.page.goto(f"{visit.demo.shop}/order?product=chair&quantity=1")


async def shop_pay(visit: Visit) -> None:
    await visit.order()


async def shop_paid(visit: Visit) -> None:
    await mpi_filled(visit)
    await visit.submit()
    await visit.state("paid")


async def shop_waiting(visit: Visit) -> None:
    await account_form(visit)
    await visit.submit()
    await visit.state("waiting_deposit")


async def shop_failed(visit: Visit) -> None:
    await refused(visit)
    await visit.at("button.quiet").click()
    await visit.page.locator("#trouble").wait_for()


async def shop_cancelled(visit: Visit) -> None:
    await cancel(visit)
    await visit.at("#cancel-yes").click()
    await visit.page.locator("#trouble").wait_for()


async def already_paid(visit: Visit) -> None:
    """A second tab that does not know yet that the order was paid in the first."""
    await visit.order()
    second = await visit.page.context.new_page()
    await second.route("**/state", hold)
    await second.goto(visit.page.url)
    await visit.press_pay("card")
    await fill_mpi(visit)
    await visit.submit()
    await visit.state("paid")
    visit.page = second
    await visit.press_pay("card")
    await second.locator("#trouble").wait_for()


# The layer and the gateway's own pages.


async def layer_loading(visit: Visit) -> None:
    await visit.order()
    await visit.page.route("**/checkout/payments", hold)
    await visit.press_pay("card")
    await visit.page.locator(".imp-notice").wait_for()


async def opening(visit: Visit) -> None:
    await visit.order()
    # The page goes on when it has been painted; without that news it stands still.
    await visit.page.context.add_init_script(
        "if (location.pathname.startsWith('/checkout/window/')) requestAnimationFrame = () => 0"
    )
    await visit.press_pay("card")
    await visit.at("h1[role=status]").wait_for()


async def layer_question(visit: Visit) -> None:
    await visit.open()
    await visit.page.locator(".imp-close").click()
    await visit.page.locator(".imp-ask").wait_for()


async def popup_blocked(visit: Visit) -> None:
    await visit.page.add_init_script("window.open = () => null")
    await visit.order("notebook")
    await visit.press_pay("paypal")
    await visit.page.locator(".imp-notice button").first.wait_for()


async def popup(visit: Visit) -> Page:
    """The popup itself, in the size that it opens with."""
    await visit.order("notebook")
    async with visit.page.expect_popup() as opened:
        await visit.press_pay("paypal")
    shown = await opened.value
    await shown.set_viewport_size({"width": 440, "height": 700})
    await shown.locator("[data-view]").wait_for()
    return shown


async def popup_layer(visit: Visit) -> None:
    await popup(visit)
    await visit.page.bring_to_front()


async def done_page(visit: Visit, status: str) -> None:
    """The gateway's last page, as somebody sees it whose shop page is gone."""
    seen: list[str] = []
    visit.page.on("framenavigated", lambda frame: seen.append(frame.url))
    await visit.submit()
    await visit.state(status)
    await visit.page.goto(next(url for url in seen if "/checkout/done/" in url))


async def account_done(visit: Visit) -> None:
    await account_form(visit)
    await done_page(visit, "waiting_deposit")


async def paid_done(visit: Visit) -> None:
    await mpi_filled(visit)
    await done_page(visit, "paid")


async def doubt(visit: Visit) -> None:
    """However fast the worker finds it out, nobody's page hears of it."""
    await visit.page.context.route("**/result?**", hold)
    await visit.page.context.route("**/state", lambda route: route.abort())


async def checking(visit: Visit) -> None:
    """Approved, but the PG's answer was lost; no page is told yet how it ended."""
    await doubt(visit)
    await visit.open()
    await visit.at("#developer").click()
    await visit.at("#scenario").select_option("approve_silent_done")
    await visit.at("#scenario-mark:not(:empty)").wait_for()
    await visit.at("dialog header button").click()
    await fill_mpi(visit)
    await visit.submit()
    await visit.at(".sign.busy").wait_for(timeout=APPROVAL_PATIENCE_MS)


async def checking_popup(visit: Visit) -> Page:
    """The same in a popup. It pays by one press, so the scenario is all that is chosen."""
    await doubt(visit)
    shown = await popup(visit)
    await shown.locator("#developer").click()
    await shown.locator("#scenario").select_option("approve_silent_done")
    await shown.locator("#scenario-mark:not(:empty)").wait_for()
    await shown.locator("dialog header button").click()
    await shown.locator("form button[type=submit]").click()
    await shown.locator(".sign.busy").wait_for(timeout=APPROVAL_PATIENCE_MS)
    return shown


async def shop_checking(visit: Visit) -> None:
    """The shop asked, and the gateway does not know yet either."""
    await visit.order()
    await visit.page.goto(f"{visit.page.url}?checking=1")


async def gateway_home(visit: Visit) -> None:
    await visit.page.goto(visit.demo.gateway)


# The card.


async def companies(visit: Visit) -> None:
    await visit.open()


async def ways(visit: Visit) -> None:
    await visit.card("366")


async def isp_empty(visit: Visit) -> None:
    await visit.card("361")
    await visit.submit()
    await visit.at("#install-demo").wait_for()


async def isp(visit: Visit) -> None:
    await isp_empty(visit)
    await visit.at("#install-demo").click()
    await visit.at("#certificate-password").wait_for()


async def isp_wrong(visit: Visit) -> None:
    await isp(visit)
    await visit.at("#certificate-password").fill("not-this-one")
    await visit.submit()
    await visit.at("[role=alert]:not([hidden])").first.wait_for()


async def mpi(visit: Visit) -> None:
    await visit.card("366", "mpi")
    await visit.submit()
    await visit.at("#card-number").wait_for()


async def fill_mpi(visit: Visit) -> None:
    await visit.at("input[name=company][value='366']").check()
    await visit.at("input[name=way][value='mpi']").check()
    await visit.submit()
    number, expiry, cvc, password = CARD
    await visit.at("#card-number").fill(number)
    await visit.at("#card-expiry").fill(expiry)
    await visit.at("#card-cvc").fill(cvc)
    await visit.at("#card-password").fill(password)


async def mpi_filled(visit: Visit) -> None:
    await visit.open()
    await fill_mpi(visit)


async def mpi_errors(visit: Visit) -> None:
    await mpi(visit)
    await visit.at("#card-number").fill("4518 42")
    await visit.submit()


async def mpi_wrong(visit: Visit) -> None:
    await mpi_filled(visit)
    await visit.at("#card-password").fill("not-it")
    await visit.submit()
    await visit.at("[role=alert]:not([hidden])").first.wait_for()


async def mpi_sending(visit: Visit) -> None:
    await visit.page.context.route("**/mpi", hold)
    await mpi_filled(visit)
    await visit.submit()
    await visit.at(".working").wait_for()


async def refused(visit: Visit) -> None:
    await visit.open()
    await visit.at("#developer").click()
    await visit.at("[data-card=mpi-refused]").click()
    await visit.submit()
    await visit.at("[data-view=refused]").wait_for()


async def keypad(visit: Visit, company: str = "090") -> None:
    await visit.card(company)
    await visit.submit()
    await visit.at(".keypad button:enabled").first.wait_for()


async def press(visit: Visit, digits: str) -> None:
    await visit.at(".keypad button:enabled").first.wait_for()
    for digit in digits:
        await visit.at(f".keypad button:text-is('{digit}')").click()


async def pin(visit: Visit) -> None:
    await keypad(visit)
    await press(visit, PIN[:3])


async def pin_wrong(visit: Visit) -> None:
    await keypad(visit)
    await press(visit, "000000")
    await visit.at("[role=alert]:not([hidden])").first.wait_for()


async def pin_locked(visit: Visit) -> None:
    """Six wrong PINs at the most; another picture may have locked the card already."""
    await visit.card("092")
    await visit.submit()
    alert, final = visit.at("[role=alert]:not([hidden])"), visit.at("[data-view=refused]")
    for _ in range(6):
        await visit.at(".keypad button:enabled").or_(final).first.wait_for()
        if await final.count():
            return
        await press(visit, "000000")
        await alert.or_(final).first.wait_for()
    await final.wait_for()


async def developer(visit: Visit) -> None:
    await visit.open()
    await visit.at("#developer").click()
    await visit.at("dialog[open]").wait_for()


async def developer_magic(visit: Visit) -> None:
    await developer(visit)
    await visit.at("dialog[open] table").scroll_into_view_if_needed()
    await visit.at("dialog[open] h3").last.evaluate("heading => heading.scrollIntoView()")


# The other ways to pay.


async def transfer(visit: Visit) -> None:
    await visit.open("trans")
    bank, number, _ = ACCOUNT
    await visit.at("#bank").select_option(bank)
    await visit.at("#account-number").fill(number)


async def phone(visit: Visit) -> None:
    await visit.open("phone")
    await visit.at("input[name=carrier][value=KT]").check()
    await visit.at("#phone-number").fill(PHONE_NUMBER)


async def phone_code(visit: Visit) -> None:
    await phone(visit)
    await visit.submit()
    await visit.at("#sms-code").wait_for()


async def inbox(visit: Visit) -> None:
    await phone_code(visit)
    await visit.page.goto(f"{visit.demo.sandbox}/inbox")
    await visit.page.locator("#messages li").first.wait_for()


async def account_form(visit: Visit) -> None:
    await visit.open("vbank")
    await visit.at("#bank").select_option("088")
    await visit.at("#holder").fill("홍길동")


async def desk(visit: Visit) -> None:
    await shop_waiting(visit)
    number = await visit.page.locator("#account-number").inner_text()
    await visit.page.goto(f"{visit.demo.sandbox}/desk?number={number}")
    await visit.page.locator("[data-account] button[type=submit]").click()
    await visit.page.locator("[data-notice] [data-state=delivered]").first.wait_for()


async def wallet(visit: Visit) -> None:
    await visit.open("kakaopay")


# How a visit ends.


async def cancel(visit: Visit) -> None:
    await visit.open()
    # In a layer the only cross is the layer's own; the key works in both.
    await visit.at("[data-view] h2").click()
    await visit.page.keyboard.press("Escape")
    await visit.at("dialog[open]").wait_for()


async def later(visit: Visit, seconds: int) -> None:
    await visit.page.clock.install()
    await visit.open()
    await visit.page.clock.fast_forward(seconds * 1000)


async def warning(visit: Visit) -> None:
    await later(visit, 1_720)
    await visit.at("#time-warning").wait_for()


async def expired(visit: Visit) -> None:
    await later(visit, 1_802)
    await visit.at("[data-view=ending-expired]").wait_for()


async def used(visit: Visit) -> None:
    """Back in a window that was finished in another tab."""
    await mpi_filled(visit)
    frame = visit.page.main_frame if visit.look.phone else visit.page.frames[-1]
    address = frame.url
    await visit.submit()
    await visit.state("paid")
    await visit.page.goto(address)
    await visit.page.locator("[data-view=ending-used]").wait_for()


async def lost(visit: Visit) -> None:
    await mpi_filled(visit)
    await visit.page.context.set_offline(True)
    await visit.submit()
    await visit.at("#notice .note-box").wait_for()


def speaking(language: str, walk: Walk) -> Walk:
    """The same state after the buyer chose another language."""

    async def translated(visit: Visit) -> None:
        await walk(visit)
        await visit.at("#language").select_option(language)
        await visit.at(f"xpath=/html[@lang='{language}']").wait_for()

    return translated


# The sandbox's pages.


async def sandbox_home(visit: Visit) -> None:
    await visit.page.goto(visit.demo.sandbox)


async def sandbox_magic(visit: Visit) -> None:
    await visit.page.goto(f"{visit.demo.sandbox}/magic")


@dataclass(frozen=True)
class Picture:
    """One state in its looks."""

    name: str
    walk: Walk
    looks: tuple[Look, ...] = BOTH


PICTURES = (
    Picture("window", companies, (README,)),
    Picture("shop-home", shop_home, ALL),
    Picture("shop-product", shop_product),
    Picture("shop-form", shop_form),
    Picture("shop-pay", shop_pay, (*BOTH, NARROW)),
    Picture("shop-paid", shop_paid, ALL),
    Picture("shop-waiting", shop_waiting),
    Picture("shop-failed", shop_failed),
    Picture("shop-cancelled", shop_cancelled),
    Picture("already-paid", already_paid, (PC,)),
    Picture("layer-loading", layer_loading),
    Picture("layer-question", layer_question, (PC, PC_DARK)),
    Picture("opening", opening, ALL),
    Picture("popup-blocked", popup_blocked, (PC, PC_DARK)),
    Picture("popup", popup, (PC,)),
    Picture("popup-layer", popup_layer, (PC,)),
    Picture("done-account", account_done, (PC, SMALL, PC_DARK, SMALL_DARK)),
    Picture("done-paid", paid_done, (SMALL,)),
    Picture("checking", checking, ALL),
    Picture("checking-popup", checking_popup, (PC, PC_DARK)),
    Picture("shop-checking", shop_checking, ALL),
    Picture("gateway-home", gateway_home, ALL),
    Picture("card", companies, (*ALL[1:], NARROW)),
    Picture("card-ways", ways),
    Picture("isp-empty", isp_empty),
    Picture("isp", isp, (*BOTH, PHONE_DARK, NARROW)),
    Picture("isp-wrong", isp_wrong),
    Picture("mpi", mpi, (*BOTH, PHONE_DARK, NARROW)),
    Picture("card-en", speaking("en", companies), (PHONE,)),
    Picture("card-zh", speaking("zh", companies), (PHONE,)),
    Picture("card-ja", speaking("ja", companies), (PHONE,)),
    Picture("mpi-errors", mpi_errors),
    Picture("mpi-wrong", mpi_wrong),
    Picture("mpi-sending", mpi_sending),
    Picture("refused", refused),
    Picture("pin", pin, (*BOTH, PHONE_DARK, NARROW)),
    Picture("pin-wrong", pin_wrong),
    Picture("pin-locked", pin_locked),
    Picture("developer", developer, (*BOTH, PHONE_DARK)),
    Picture("developer-magic", developer_magic),
    Picture("transfer", transfer),
    Picture("phone", phone),
    Picture("phone-code", phone_code),
    Picture("inbox", inbox),
    Picture("account", account_form),
    Picture("desk", desk),
    Picture("wallet", wallet, (*BOTH, PHONE_DARK)),
    Picture("cancel", cancel, (*BOTH, PHONE_DARK)),
    Picture("warning", warning, (PHONE,)),
    Picture("expired", expired),
    Picture("used", used),
    Picture("lost", lost),
    Picture("sandbox-home", sandbox_home, (*BOTH, PC_DARK)),
    Picture("sandbox-magic", sandbox_magic),
)


async def take(browser: Browser, demo: Demo, picture: Picture, look: Look) -> None:
    """One state in one look. Raises what went wrong on the way."""
    context = await browser.new_context(**look.context())
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    visit = Visit(page, demo, look)
    try:
        shown = await picture.walk(visit) or visit.page
        # What was clicked last must not look hovered, and fonts must be there.
        with suppress(Exception):
            await shown.mouse.move(0, 0)
        await shown.evaluate("document.fonts.ready.then(() => undefined)")
        name = f"{picture.name}-{look.suffix}"
        for frame in shown.frames:
            await frame.evaluate(FINISH_MOVING)
        if look is README:
            await shown.screenshot(path=FOLDER / f"{name}.png", caret="hide")
            return
        # Playwright writes no WebP, and a hundred PNG files would weigh as much as the house.
        session = await context.new_cdp_session(shown)
        asked = {"format": "webp", "quality": WEBP_QUALITY}
        taken = await session.send("Page.captureScreenshot", asked)
        (FOLDER / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))
    finally:
        await context.unroute_all(behavior="ignoreErrors")
        for each in context.pages:
            await each.unroute_all(behavior="ignoreErrors")
        await context.close()


async def main(only: set[str]) -> int:
    """Take the pictures named in `only`, or all. Returns how many could not be taken."""
    FOLDER.mkdir(exist_ok=True)
    chromium = os.environ.get("NARU_CHROMIUM") or shutil.which("chromium")
    wanted = [
        (picture, look)
        for picture in PICTURES
        if not only or picture.name in only
        for look in picture.looks
    ]
    failed = 0
    async with run_demo() as demo, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))

        async def take_next() -> None:
            nonlocal failed
            while wanted:
                picture, look = wanted.pop(0)
                try:
                    await take(browser, demo, picture, look)
                except Exception as error:  # the other pictures are still wanted
                    failed += 1
                    sys.stderr.write(f"{picture.name}-{look.suffix}: {error}\n")

        await asyncio.gather(*(take_next() for _ in range(AT_ONCE)))
        await browser.close()
    return failed


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main(set(sys.argv[1:]))) else 0)

"""Take pictures of every state of the sandbox's window and pages: `python -m tools.picture_window`.

Starts the real application on a free port, walks a real Chromium through the states, and writes
PNG files to docs/images/window/ (or the folder given as argument).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from naru.sandbox.cards import CARD_BY_ID, MPI_PASSWORD
from tests.sandbox.stage import Member, Pg, running

FOLDER = Path(__file__).parents[1] / "docs" / "images" / "window"
SIZES: dict[str, ViewportSize] = {
    "pc": {"width": 1280, "height": 900},
    "dialog": {"width": 480, "height": 720},
    "phone": {"width": 390, "height": 844},
    "small": {"width": 320, "height": 640},
}
Walk = Callable[[Page], Awaitable[None]]


@dataclass
class Picture:
    """One state: which order, how to get there, and in which sizes and colours to show it."""

    name: str
    walk: Walk
    order: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[str, ...] = ("pc", "phone")
    dark: tuple[str, ...] = ()
    seconds_later: float = 0
    path: str | None = None


async def submit(page: Page) -> None:
    await page.click("form button[type=submit]")


async def see(page: Page) -> None:
    await page.wait_for_selector("[data-view]")


async def choose(page: Page, issuer_code: str, way: str | None = None) -> None:
    await page.check(f"input[name=company][value='{issuer_code}']")
    if way:
        await page.check(f"input[name=way][value='{way}']")


async def never_answer(_: Any) -> None:
    """A route handler that leaves its request hanging."""


async def company(page: Page) -> None:
    await choose(page, "366")


async def mpi(page: Page) -> None:
    await choose(page, "366", "mpi")
    await submit(page)
    card = CARD_BY_ID["mpi-shinhan"]
    await page.fill("#card-number", card.number)
    await page.fill("#card-expiry", card.expiry)


async def mpi_errors(page: Page) -> None:
    await mpi(page)
    await submit(page)


async def mpi_wrong(page: Page) -> None:
    await mpi(page)
    await page.fill("#card-cvc", "111")
    await page.fill("#card-password", "not-it")
    await submit(page)
    await page.get_by_role("alert").wait_for()


async def checking(page: Page) -> None:
    await page.route("**/mpi", never_answer)
    await mpi(page)
    await page.fill("#card-cvc", "111")
    await page.fill("#card-password", MPI_PASSWORD)
    await submit(page)
    await page.wait_for_selector(".working")


async def refused(page: Page) -> None:
    await page.click("#developer")
    await page.click("[data-card=mpi-refused]")
    await submit(page)
    await page.wait_for_selector("[data-view=refused]")


async def pin(page: Page) -> None:
    await choose(page, "090")
    await submit(page)
    await page.wait_for_selector(".keypad button:enabled")
    await page.keyboard.type("159")


async def isp_empty(page: Page) -> None:
    await choose(page, "361")
    await submit(page)
    await page.wait_for_selector("#install-demo")


async def isp(page: Page) -> None:
    await isp_empty(page)
    await page.click("#install-demo")
    await page.wait_for_selector("#certificate-password")


async def phone_code(page: Page) -> None:
    await page.check("input[name=carrier][value=SKT]")
    await page.fill("#phone-number", "01042424242")
    await submit(page)
    await page.wait_for_selector("#sms-code")


async def leaving(page: Page) -> None:
    await page.evaluate(
        "HTMLFormElement.prototype.submit = () => {}"
    )  # stand still for the picture
    await page.evaluate("document.querySelector('form button[type=submit]').click()")
    await page.wait_for_selector("[data-view=ending-leaving]")


async def used(page: Page) -> None:
    await leaving(page)
    await page.reload()
    await page.wait_for_selector("[data-view=ending-used]")


async def cancel(page: Page) -> None:
    await page.keyboard.press("Escape")
    await page.wait_for_selector("dialog[open]")


async def cancelled(page: Page) -> None:
    await page.evaluate(
        "HTMLFormElement.prototype.submit = () => {}"
    )  # stand still for the picture
    await cancel(page)
    await page.evaluate("document.querySelector('#cancel-yes').click()")
    await page.wait_for_selector("[data-view=ending-cancelled]")


async def lost(page: Page) -> None:
    await page.context.set_offline(True)
    await submit(page)
    await page.wait_for_selector("#notice .note-box")


async def drawer(page: Page) -> None:
    await page.click("#developer")
    await page.wait_for_selector("dialog[open]")


async def skeleton(page: Page) -> None:
    await page.route("**/main.js", never_answer)
    await page.reload(wait_until="commit")
    await page.wait_for_selector(".skeleton")


async def nothing(page: Page) -> None:
    await page.wait_for_load_state()


PICTURES = (
    Picture("skeleton", skeleton, sizes=("phone",)),
    Picture("card", see, sizes=("pc", "dialog", "phone", "small"), dark=("pc", "phone")),
    Picture("card-ways", company, sizes=("pc", "phone")),
    Picture("mpi", mpi, sizes=("pc", "dialog", "phone", "small"), dark=("phone",)),
    Picture("mpi-errors", mpi_errors),
    Picture("mpi-wrong", mpi_wrong),
    Picture("checking", checking),
    Picture("refused", refused),
    Picture("pin", pin, sizes=("pc", "dialog", "phone", "small"), dark=("phone",)),
    Picture("isp-empty", isp_empty),
    Picture("isp", isp, sizes=("pc", "dialog", "phone", "small"), dark=("pc",)),
    Picture("transfer", see, {"pay_method": "trans"}),
    Picture("phone", see, {"pay_method": "phone"}),
    Picture("phone-code", phone_code, {"pay_method": "phone"}),
    Picture("virtual-account", see, {"pay_method": "vbank", "vbank_due": 1_893_423_599}),
    Picture("wallet", see, {"pay_method": "kakaopay"}, dark=("phone",)),
    Picture("wallet-paypal", see, {"pay_method": "paypal", "currency": "USD", "language": "en"}),
    Picture("card-zh", see, {"language": "zh"}, sizes=("phone",)),
    Picture("pin-ja", pin, {"language": "ja"}, sizes=("phone",)),
    Picture("leaving", leaving, {"pay_method": "payco"}),
    Picture("used", used, {"pay_method": "payco"}),
    Picture("cancel", cancel, dark=("phone",)),
    Picture("cancelled", cancelled),
    Picture("warning", see, seconds_later=1720, sizes=("phone",)),
    Picture("expired", see, seconds_later=1801),
    Picture("lost", lost, {"pay_method": "payco"}),
    Picture("developer-tools", drawer, dark=("phone",)),
    Picture("page-home", nothing, path="/", dark=("pc",)),
    Picture("page-scenarios", nothing, path="/magic"),
    Picture("page-inbox", nothing, path="/inbox"),
    Picture("page-desk", nothing, path="/desk"),
)


async def take(pg: Pg, member: Member, browser: Browser, picture: Picture, folder: Path) -> None:
    """One state in all its sizes and colours; each time a new order and a new browser profile."""
    looks = [(size, "light") for size in picture.sizes] + [(size, "dark") for size in picture.dark]
    for size, scheme in looks:
        dark = scheme == "dark"
        context = await browser.new_context(
            viewport=SIZES[size],
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="ko-KR",
        )
        page = await context.new_page()
        pg.clock.ahead = 0
        address = pg.url + (picture.path or "")
        if picture.path is None:
            order = {
                "pay_method": "card",
                "item_name": "노르웨이 회전 의자",
                "merchant_name": "나루 가구점",
                "merchant_order_no": "ORD20180131-0000011",
                "return_url": f"{pg.url}/return",
            }
            window = await member.open(**(order | picture.order))
            address = f"{pg.url}/window/{window.window_id}"
        pg.clock.ahead = picture.seconds_later
        await page.goto(address)
        if picture.path is None:
            await see(page)
        await picture.walk(page)
        name = f"{picture.name}-{size}{'-dark' if dark else ''}.png"
        await page.screenshot(path=folder / name, animations="disabled")
        await page.unroute_all(behavior="ignoreErrors")
        await context.close()


async def make_history(pg: Pg, member: Member) -> None:
    """Something to see on the developer pages: an SMS, and an account that got a wrong amount."""
    talk = await member.open(pay_method="phone")
    await talk.ok("/phone/code", {"carrier": "SKT", "number": "01042424242"})
    window = await member.open(
        pay_method="vbank", vbank_due=int(pg.clock()) + 86_400, notice_url=f"{pg.url}/return"
    )
    finished = await window.ok(
        "/vbank", {"bank_code": "088", "holder": "홍길동", "cash_receipt": None}
    )
    account = (await window.approve(finished))["virtual_account"]
    deposit = {
        "number": account["number"],
        "amount": 64_899,
        "depositor": "홍길동",
        "deposited_at": None,
    }
    async with pg.http.post(
        f"{pg.url}/desk/deposits", json=deposit, headers={"Origin": pg.url}
    ) as answer:
        answer.raise_for_status()


async def main(folder: Path, only: set[str]) -> None:
    """Take the pictures named in `only`, or all of them."""
    chromium = os.environ.get("NARU_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as home:
        async with running(Path(home) / "pg.sqlite3") as pg, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            member = await pg.member()
            await make_history(pg, member)
            for picture in PICTURES:
                if not only or picture.name in only:
                    await take(pg, member, browser, picture, folder)
            await browser.close()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target, set(sys.argv[2:])))

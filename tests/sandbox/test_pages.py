"""The face of the sandbox PG in a real Chromium, against the real application."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Request,
    async_playwright,
    expect,
)

from naru.sandbox import signing
from naru.sandbox.cards import CARD_BY_ID, DEMO_ACCOUNT, MPI_PASSWORD, SIMPLE_PIN
from tests.sandbox.stage import Json, Member, Pg, Window, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATIC = Path(__file__).parents[2] / "naru" / "sandbox" / "static"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEMO_CERTIFICATE_PASSWORD = "demo1234!"


@dataclass
class Shop:
    """Where the PG's window sends the buyer back to, on an origin of its own."""

    port: int
    returned: asyncio.Queue[Json]
    notices: asyncio.Queue[Json]
    listens: asyncio.Event  # until it is set, no notice is answered

    @property
    def return_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/return"

    @property
    def foreign_origin(self) -> str:
        """The same shop by another name: to a browser, a different site than the PG's."""
        return f"http://localhost:{self.port}"

    async def form(self) -> Json:
        return await asyncio.wait_for(self.returned.get(), 10)


@dataclass
class Street:
    """Everything a buyer can walk to."""

    pg: Pg
    member: Member
    shop: Shop
    browser: Browser

    async def order(self, pay_method: str = "card", **changes: Any) -> Window:
        while not self.shop.returned.empty():
            self.shop.returned.get_nowait()
        return await self.member.open(
            pay_method=pay_method,
            merchant_order_no="ORD20180131-0000011",
            item_name="노르웨이 회전 의자",
            return_url=self.shop.return_url,
            **changes,
        )

    def address(self, window: Window) -> str:
        return f"{self.pg.url}/window/{window.window_id}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[Shop]:
    returned: asyncio.Queue[Json] = asyncio.Queue()
    notices: asyncio.Queue[Json] = asyncio.Queue()
    listens = asyncio.Event()
    listens.set()

    async def take_back(request: web.Request) -> web.Response:
        returned.put_nowait(dict(await request.post()))
        return web.Response(
            text="<title>shop</title><h1 id=back>shop</h1>", content_type="text/html"
        )

    async def frame(request: web.Request) -> web.Response:
        page = f'<title>shop</title><iframe title="결제창" src="{request.query["src"]}"'
        page += ' style="width:480px;height:720px;border:0"></iframe>'
        return web.Response(text=page, content_type="text/html")

    async def take_notice(request: web.Request) -> web.Response:
        notices.put_nowait(await request.json())
        await listens.wait()
        return web.Response(text="OK")

    app = web.Application()
    app.router.add_post("/return", take_back)
    app.router.add_get("/frame", frame)
    app.router.add_post("/notice", take_notice)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield Shop(runner.addresses[0][1], returned, notices, listens)
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    database = tmp_path_factory.mktemp("pages") / "sandbox.sqlite3"
    chromium = os.environ.get("NARU_CHROMIUM") or shutil.which("chromium")
    async with running(database) as pg, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield Street(pg, await pg.member(), shop, browser)
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def context(street: Street) -> AsyncIterator[BrowserContext]:
    """One browser profile for all tests, so that its cache is warm; each test cleans up."""
    made = await street.browser.new_context(reduced_motion="reduce", locale="ko-KR")
    made.set_default_timeout(8_000)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(street: Street, context: BrowserContext) -> AsyncIterator[Page]:
    """A fresh page whose scripts must not fail."""
    made = await context.new_page()
    await made.set_viewport_size({"width": 480, "height": 820})
    failures: list[str] = []
    made.on("pageerror", lambda error: failures.append(str(error)))
    made.on(
        "console",
        lambda message: (
            failures.append(message.text)
            if message.type == "error" and "Content Security Policy" in message.text
            else None
        ),
    )
    yield made
    street.pg.clock.ahead = 0
    for opened in context.pages:
        if opened is not made:
            await opened.close()
    await made.goto(f"{street.pg.url}/static/mark.svg")
    await made.evaluate(
        "() => { try { localStorage.clear(); indexedDB.deleteDatabase('sandbox-isp'); } catch {} }"
    )
    await made.close()
    assert failures == []


async def came_back(street: Street, page: Page) -> Json:
    """The browser has arrived at the shop; the form that it carried."""
    await expect(page.locator("#back")).to_be_visible()
    return await street.shop.form()


async def arrive(page: Page, address: str) -> None:
    """Open a window and wait until its script has taken over from the skeleton."""
    await page.goto(address)
    await expect(page.locator("[data-view]")).to_be_visible()


def view(page: Page, name: str) -> Locator:
    return page.locator(f"[data-view={name}]")


def submit(page: Page) -> Locator:
    return page.locator("form button[type=submit]")


async def choose(page: Page, issuer_code: str, way: str | None = None) -> None:
    await page.check(f"input[name=company][value='{issuer_code}']")
    if way is not None:
        await page.check(f"input[name=way][value='{way}']")
    await submit(page).click()


async def fill_card(page: Page, card_id: str, password: str = MPI_PASSWORD) -> None:
    card = CARD_BY_ID[card_id]
    await page.fill("#card-number", card.number)
    await page.fill("#card-expiry", card.expiry)
    await page.fill("#card-cvc", card.cvc)
    await page.fill("#card-password", password)


async def press_pin(page: Page, pin: str) -> None:
    await expect(page.locator(".keypad button:enabled")).to_have_count(12)
    for digit in pin:
        await page.locator(".keypad").get_by_role("button", name=digit, exact=True).click()


def is_signed(street: Street, fields: Json) -> bool:
    unsigned = {name: value for name, value in fields.items() if name != "signature"}
    return bool(signing.sign_return(street.member.secret, unsigned) == fields["signature"])


# ISP


async def test_a_demo_certificate_is_installed_and_pays_twice(street: Street, page: Page) -> None:
    order = await street.order()
    await arrive(page, street.address(order))
    await choose(page, "361")
    await page.click("#install-demo")
    await expect(page.locator("#installed-note")).to_contain_text(DEMO_CERTIFICATE_PASSWORD)

    await page.fill("#certificate-password", "not-it")
    await submit(page).click()
    await expect(page.get_by_role("alert")).to_contain_text("인증서 비밀번호가 맞지 않습니다")
    await expect(page.get_by_role("alert")).to_contain_text("4번")

    await page.fill("#certificate-password", DEMO_CERTIFICATE_PASSWORD)
    await submit(page).click()
    fields = await came_back(street, page)
    assert fields["status"] == "authenticated"
    assert is_signed(street, fields)
    approval = await order.approve({"return_form": {"fields": fields}})
    assert approval["card"]["issuer_code"] == "361"

    again = await street.order()
    await arrive(page, street.address(again))
    await choose(page, "361")
    await page.fill("#certificate-password", DEMO_CERTIFICATE_PASSWORD)
    await submit(page).click()
    assert (await came_back(street, page))["order_no"] == again.order_no


async def test_the_private_key_is_stored_wrapped_and_nothing_stored_holds_the_password(
    street: Street, page: Page
) -> None:
    await arrive(page, street.address(await street.order()))
    await choose(page, "361")
    await page.click("#install-demo")
    await expect(page.locator("#certificate-password")).to_be_visible()
    stored = await page.evaluate(
        """async () => {
          const open = indexedDB.open("sandbox-isp", 1);
          await new Promise((done) => (open.onsuccess = done));
          const all = open.result.transaction("certificates").objectStore("certificates").getAll();
          await new Promise((done) => (all.onsuccess = done));
          const { lock, ...rest } = all.result[0];
          const tryKey = crypto.subtle.importKey(
            "pkcs8", lock.wrapped, { name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
          return { fields: Object.keys(lock), rest: JSON.stringify(rest),
                   readable: await tryKey.then(() => true, () => false) };
        }"""
    )
    assert sorted(stored["fields"]) == ["iv", "salt", "wrapped"]
    assert stored["readable"] is False
    assert DEMO_CERTIFICATE_PASSWORD not in stored["rest"]


async def test_the_longest_steps_end_above_the_edge_of_their_window(
    street: Street, page: Page
) -> None:
    """The layer of a PC gives 840 x 764; a phone's PIN step shows its last key and the way back."""
    over = "document.documentElement.scrollHeight - window.innerHeight"
    await page.set_viewport_size({"width": 840, "height": 764})
    await arrive(page, street.address(await street.order()))
    await choose(page, "361")
    await page.click("#install-demo")
    await expect(page.locator("#installed-note")).to_be_visible()
    assert await page.evaluate(over) == 0
    for width, height in ((390, 844), (360, 740)):
        await page.set_viewport_size({"width": width, "height": height})
        await arrive(page, street.address(await street.order()))
        await choose(page, "090")
        await expect(page.locator(".keypad button:enabled")).to_have_count(12)
        await expect(page.locator(".view > .row button")).to_be_in_viewport(ratio=1)
        assert await page.evaluate(over) <= 12


async def test_five_wrong_certificate_passwords_lock_the_certificate(
    street: Street, page: Page
) -> None:
    await arrive(page, street.address(await street.order()))
    await choose(page, "361")
    await page.click("#install-demo")
    await expect(page.locator("#installed-note")).to_be_visible()
    for left in (4, 3, 2, 1, 0):
        # The field is emptied after each answer, which may come later than its words.
        await expect(page.locator("#certificate-password")).to_have_value("")
        await page.fill("#certificate-password", "not-it")
        await expect(page.locator("#certificate-password")).to_have_value("not-it")
        await submit(page).click()
        words = f"{left}번" if left else "잠겼습니다"
        await expect(page.get_by_role("alert")).to_contain_text(words)
    await page.fill("#certificate-password", DEMO_CERTIFICATE_PASSWORD)
    await submit(page).click()
    await expect(page.get_by_role("alert")).to_contain_text("잠겼습니다")
    assert (await street.pg.http.get(street.address(await street.order()))).status == 200


async def test_isp_works_in_a_frame_of_another_site(street: Street, page: Page) -> None:
    order = await street.order(frame_ancestors=[street.shop.foreign_origin])
    await page.goto(f"{street.shop.foreign_origin}/frame?src={street.address(order)}")
    frame = page.frame_locator("iframe")
    await frame.locator("input[name=company][value='381']").check()
    await frame.locator("input[name=way][value='isp']").check()
    await frame.locator("form button[type=submit]").click()
    await frame.locator("#install-demo").click()
    await frame.locator("#certificate-password").fill(DEMO_CERTIFICATE_PASSWORD)
    await frame.locator("form button[type=submit]").click()
    assert (await street.shop.form())["status"] == "authenticated"
    await expect(frame.locator("#back")).to_be_visible()


async def test_where_storage_is_refused_the_certificate_lives_in_memory_and_the_page_says_so(
    street: Street, page: Page
) -> None:
    await page.add_init_script(
        "Object.defineProperty(window, 'indexedDB', { get() { throw new Error('refused') } })"
    )
    await arrive(page, street.address(await street.order()))
    await choose(page, "361")
    await page.click("#install-demo")
    await expect(page.locator("#memory-note")).to_be_visible()
    await page.fill("#certificate-password", DEMO_CERTIFICATE_PASSWORD)
    await submit(page).click()
    assert (await came_back(street, page))["status"] == "authenticated"


# MPI


async def test_a_card_is_paid_by_keyboard_alone(street: Street, page: Page) -> None:
    order = await street.order()
    await arrive(page, street.address(order))
    card = CARD_BY_ID["mpi-samsung"]

    async def tab_to(selector: str) -> None:
        for _ in range(40):
            await page.keyboard.press("Tab")
            if await page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        pytest.fail(f"the keyboard never reaches {selector}")

    await tab_to("input[name=company]")
    for _ in range(12):
        if await page.evaluate("document.activeElement.value") == card.issuer_code:
            break
        await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Space")
    await tab_to("#installments")
    await page.keyboard.press("ArrowDown")
    await tab_to("button[type=submit]")
    await page.keyboard.press("Enter")
    await expect(view(page, "mpi").locator("h2")).to_be_focused()
    for selector, text in (
        ("#card-number", card.number),
        ("#card-expiry", card.expiry),
        ("#card-cvc", card.cvc),
        ("#card-password", MPI_PASSWORD),
    ):
        await tab_to(selector)
        await page.keyboard.type(text)
    await page.keyboard.press("Enter")

    fields = await came_back(street, page)
    approval = await order.approve({"return_form": {"fields": fields}})
    assert approval["card"]["issuer_code"] == "365"
    assert approval["card"]["installment_months"] == 2


async def test_a_card_number_is_grouped_known_and_pasted(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order()))
    await choose(page, "366", "mpi")
    number = page.locator("#card-number")
    await page.evaluate("document.querySelector('#card-number').focus()")
    await page.keyboard.insert_text("4518-4212-3456-7811")
    await expect(number).to_have_value("4518 4212 3456 7811")
    await expect(page.locator("#card-brand")).to_have_text("신한카드 · Visa")
    # The caret stays where the buyer is correcting.
    await number.evaluate("e => e.setSelectionRange(2, 2)")
    await page.keyboard.press("Backspace")
    assert await number.evaluate("e => [e.value, e.selectionStart]") == ["4184 2123 4567 811", 1]
    await page.fill("#card-expiry", "9/30")
    await expect(page.locator("#card-expiry")).to_have_value("09 / 30")


async def test_wrong_fields_are_listed_with_links_and_nothing_is_sent(
    street: Street, page: Page
) -> None:
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if r.method == "POST" else None)
    await arrive(page, street.address(await street.order()))
    await choose(page, "366", "mpi")
    await page.fill("#card-number", "4518421234567812")
    await page.fill("#card-expiry", "0120")
    await submit(page).click()
    summary = page.get_by_role("alert")
    await expect(summary).to_be_focused()
    links = summary.get_by_role("link")
    await expect(links).to_have_text(
        [
            "카드번호를 다시 확인해 주세요",
            "유효기간이 지난 카드입니다",
            "CVC 숫자 3자리를 입력해 주세요",
            "비밀번호를 입력해 주세요",
        ]
    )
    await links.first.click()
    number = page.locator("#card-number")
    await expect(number).to_be_focused()
    await expect(number).to_have_attribute("aria-invalid", "true")
    await expect(number).to_have_accessible_description("카드번호를 다시 확인해 주세요")
    assert sent == []


async def test_three_wrong_passwords_lock_the_card_and_the_shop_hears_why(
    street: Street, page: Page
) -> None:
    await arrive(page, street.address(await street.order()))
    await choose(page, "368")
    for left in (2, 1):
        await fill_card(page, "mpi-lotte", "not-it")
        await submit(page).click()
        await expect(page.get_by_role("alert")).to_contain_text(f"{left}번")
        await expect(page.locator("#card-password")).to_have_value("")
    await fill_card(page, "mpi-lotte", "not-it")
    await submit(page).click()
    await expect(view(page, "refused")).to_contain_text("[CARD_LOCKED]")
    await view(page, "refused").get_by_role("button", name="가맹점으로 돌아가기").click()
    fields = await came_back(street, page)
    assert (fields["status"], fields["code"]) == ("failed", "CARD_LOCKED")
    assert is_signed(street, fields)

    # The first page offers to unlock it.
    await page.goto(street.pg.url)
    await page.click("[data-unlock=mpi-lotte]")
    await expect(page.locator("[data-unlock=mpi-lotte]")).to_have_count(0)
    await page.reload()
    await expect(page.locator("[data-unlock]")).to_have_count(0)


async def test_a_refused_card_leaves_the_way_open_for_another(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order()))
    await page.click("#developer")
    await page.click("[data-card=mpi-refused]")
    await submit(page).click()
    await expect(view(page, "refused")).to_contain_text("[CARD_REFUSED]")
    await page.get_by_role("button", name="다른 카드로 결제하기").click()
    await choose(page, "366", "mpi")
    await fill_card(page, "mpi-shinhan")
    await submit(page).click()
    assert (await came_back(street, page))["status"] == "authenticated"


async def test_a_double_click_sends_one_request(street: Street, page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if r.method == "POST" else None)
    await arrive(page, street.address(await street.order("payco")))
    await submit(page).dblclick(no_wait_after=True)
    assert (await came_back(street, page))["status"] == "authenticated"
    assert [url.rsplit("/", 1)[1] for url in sent] == ["wallet", "return"]


async def test_card_details_go_to_the_pg_alone(street: Street, page: Page) -> None:
    bodies: list[tuple[str, str]] = []
    page.on("request", lambda r: bodies.append((r.url, r.post_data or "")))
    await arrive(page, street.address(await street.order()))
    await choose(page, "366", "mpi")
    await fill_card(page, "mpi-shinhan")
    await submit(page).click()
    await came_back(street, page)
    assert any(MPI_PASSWORD in body for url, body in bodies if url.startswith(street.pg.url))
    elsewhere = [(url, body) for url, body in bodies if not url.startswith(street.pg.url)]
    assert [url for url, _ in elsewhere] == [street.shop.return_url]
    number = CARD_BY_ID["mpi-shinhan"].number
    assert not any(word in elsewhere[0][1] for word in (MPI_PASSWORD, number, number[6:12]))


# Simple pay


async def test_a_pin_is_pressed_by_mouse_and_only_places_are_sent(
    street: Street, page: Page
) -> None:
    bodies: list[Json] = []

    def keep(request: Request) -> None:
        if "/simple/pin" in request.url:
            bodies.append(request.post_data_json or {})

    page.on("request", keep)
    await arrive(page, street.address(await street.order()))
    await choose(page, "090")
    await press_pin(page, SIMPLE_PIN[:2])
    await expect(page.locator("#live")).to_have_text("6자리 중 2자리 입력")
    await page.get_by_role("button", name="지움", exact=True).click()
    await expect(page.locator(".dots .full")).to_have_count(1)
    await press_pin(page, SIMPLE_PIN[1:])
    assert (await came_back(street, page))["status"] == "authenticated"
    assert sorted(bodies[0]) == ["installment_months", "positions", "session"]
    assert len(bodies[0]["positions"]) == 6


async def test_a_pin_is_typed_and_a_wrong_one_shuffles_the_keys(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order()))
    await choose(page, "381", "simple")
    await expect(page.locator(".keypad button:enabled")).to_have_count(12)
    await page.keyboard.type("000000")
    await expect(page.get_by_role("alert")).to_contain_text("4번")
    await expect(page.locator(".dots .full")).to_have_count(0)
    await expect(page.locator(".keypad button:enabled")).to_have_count(12)
    await page.keyboard.type("9")
    await page.keyboard.press("Backspace")
    await page.keyboard.type(SIMPLE_PIN)
    assert (await came_back(street, page))["status"] == "authenticated"


async def test_five_wrong_pins_lock_the_card(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order()))
    await choose(page, "092")
    for left in (4, 3, 2, 1):
        await press_pin(page, "000000")
        await expect(page.get_by_role("alert")).to_contain_text(f"{left}번")
    await press_pin(page, "000000")
    await expect(view(page, "refused")).to_contain_text("[PIN_LOCKED]")


# The other ways


async def test_a_bank_transfer_is_authenticated(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order("trans")))
    await page.select_option("#bank", DEMO_ACCOUNT["bank_code"])
    await page.fill("#account-number", "110-123-456789")
    await page.fill("#account-password", "9999")
    await submit(page).click()
    await expect(page.get_by_role("alert")).to_contain_text("계좌번호나 비밀번호가 맞지 않습니다")
    await page.fill("#account-password", DEMO_ACCOUNT["password"])
    await submit(page).click()
    assert (await came_back(street, page))["status"] == "authenticated"


async def test_a_phone_payment_reads_its_code_in_the_inbox(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order("phone")))
    await page.check("input[name=carrier][value=KT]")
    await page.fill("#phone-number", "01042424242")
    await expect(page.locator("#phone-number")).to_have_value("010-4242-4242")
    async with page.context.expect_page() as opened:
        await submit(page).click()
        await page.click("#inbox-link")
    inbox = await opened.value
    text = await inbox.locator(".messages .text").first.inner_text()
    code = re.search(r"\d{6}", text)
    assert code is not None
    wrong = f"{(int(code[0]) + 1) % 1_000_000:06}"
    await page.fill("#sms-code", wrong)
    await submit(page).click()
    await expect(page.get_by_role("alert")).to_contain_text("인증번호가 맞지 않습니다")
    await page.fill("#sms-code", code[0])
    await submit(page).click()
    assert (await came_back(street, page))["status"] == "authenticated"


async def test_a_virtual_account_waits_for_a_deposit_at_the_desk(
    street: Street, page: Page
) -> None:
    due = int(street.pg.clock()) + 86_400
    order = await street.order(
        "vbank", vbank_due=due, notice_url=street.shop.return_url.replace("return", "notice")
    )
    await arrive(page, street.address(order))
    await expect(page.locator("#vbank-due")).to_contain_text("(KST)")
    await page.select_option("#bank", "088")
    await page.fill("#holder", "홍길동")
    await page.check("input[name=receipt][value=personal]")
    await submit(page).click()
    await expect(page.get_by_role("alert")).to_contain_text("현금영수증 번호")
    await page.fill("#receipt-identifier", "010-4242-4242")
    await submit(page).click()
    fields = await came_back(street, page)
    issued = await order.approve({"return_form": {"fields": fields}})
    number = issued["virtual_account"]["number"]

    await page.goto(f"{street.pg.url}/desk")
    await page.fill("#number", number)
    await page.get_by_role("button", name="계좌 찾기").click()
    desk = page.locator(f"[data-account='{number}']")
    await expect(desk.locator("[data-state=waiting_deposit]")).to_be_visible()
    street.shop.listens.clear()
    await desk.get_by_role("button", name="1 적게").click()
    await desk.get_by_role("button", name="입금하기").click()
    await expect(desk.locator(".total")).to_have_text("64,899원")
    # Nobody has answered yet; nothing was refused either, so no other time is named.
    notice = desk.locator("[data-notice]")
    await expect(notice.locator("[data-state=sending]")).to_contain_text("전달 중…")
    await expect(notice).not_to_contain_text("다음 시도")
    street.shop.listens.set()
    await expect(notice.locator("[data-state=delivered]")).to_be_visible()
    await desk.locator("input[name=amount]").fill("1")
    await desk.locator("input[type=checkbox]").check()
    await desk.get_by_role("button", name="입금하기").click()
    await expect(desk.locator(".total")).to_have_text("64,900원")
    await expect(desk.locator("[data-notice] [data-state=delivered]")).to_have_count(2)
    seen = [await asyncio.wait_for(street.shop.notices.get(), 5) for _ in range(2)]
    assert sorted(notice["amount"] for notice in seen) == [1, 64899]

    await desk.locator("input[name=amount]").fill("-1")
    await desk.get_by_role("button", name="입금하기").click()
    await expect(desk.locator("input[name=amount]")).to_be_focused()


async def test_a_wallet_is_confirmed_in_its_own_name(street: Street, page: Page) -> None:
    order = await street.order("kakaopay", language="en")
    await arrive(page, street.address(order))
    await expect(page.get_by_role("heading", level=2)).to_have_text("Confirm with KakaoPay")
    await expect(submit(page)).to_have_text("Pay ₩64,900")
    await submit(page).click()
    fields = await came_back(street, page)
    approval = await order.approve({"return_form": {"fields": fields}})

    await page.goto(f"{street.pg.url}/receipts/{approval['tid']}")
    await expect(page.locator(".receipt")).to_contain_text("64,900원")
    await expect(page.locator(".receipt")).to_contain_text(approval["approval_number"])


# Leaving, waiting, coming back


async def test_escape_asks_first_and_then_cancels(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order()))
    await page.keyboard.press("Escape")
    question = page.get_by_role("dialog")
    await expect(question.get_by_role("button", name="계속 결제하기")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(question).to_have_count(0)
    await expect(view(page, "choose-card")).to_be_visible()
    await page.click("#cancel")
    await page.click("#cancel-yes")
    fields = await came_back(street, page)
    assert fields["status"] == "cancelled"
    assert fields["message"] == "[결제포기] 사용자가 결제를 취소하셨습니다"


async def test_time_left_is_warned_about_and_then_over(street: Street, page: Page) -> None:
    order = await street.order()
    street.pg.clock.ahead = 30 * 60 - 90
    await arrive(page, street.address(order))
    await expect(page.locator("#time-warning")).to_contain_text("2분")
    street.pg.clock.ahead = 30 * 60 + 1
    # The page has not noticed yet: the PG says no, whatever the buyer's clock shows.
    await choose(page, "090")
    await expect(view(page, "ending-expired")).to_be_visible()
    await page.reload()
    await expect(view(page, "ending-expired")).to_be_visible()
    await page.get_by_role("button", name="가맹점으로 돌아가기").click()
    fields = await came_back(street, page)
    assert (fields["status"], fields["code"]) == ("failed", "SESSION_EXPIRED")


async def test_the_page_ends_by_itself_when_the_time_is_over(street: Street, page: Page) -> None:
    order = await street.order()
    street.pg.clock.ahead = 30 * 60 - 2
    await arrive(page, street.address(order))
    await page.keyboard.press("Escape")
    await expect(view(page, "ending-expired")).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_finished_order_never_shows_a_form_again(street: Street, page: Page) -> None:
    order = await street.order("payco")
    await arrive(page, street.address(order))
    second_tab = await page.context.new_page()
    await arrive(second_tab, street.address(order))
    await submit(page).click()
    first = await came_back(street, page)

    await page.go_back()
    await expect(view(page, "ending-used")).to_be_visible()
    await submit(second_tab).click()
    await expect(view(second_tab, "ending-used")).to_be_visible()
    await second_tab.get_by_role("button", name="가맹점으로 돌아가기").click()
    assert await came_back(street, second_tab) == first


async def test_a_lost_answer_is_asked_about_before_anything_is_sent_again(
    street: Street, page: Page
) -> None:
    await arrive(page, street.address(await street.order("payco")))
    sent: list[str] = []

    async def lose_the_answer(route: Any) -> None:
        sent.append(route.request.url)
        await route.fetch()
        await route.abort("connectionreset")

    await page.route("**/wallet", lose_the_answer)
    await submit(page).click()
    await expect(page.locator("#notice")).to_contain_text("다시 결제하지 말고")
    await expect(view(page, "ending-arrived")).to_be_visible()
    await page.get_by_role("button", name="가맹점으로 돌아가기").click()
    assert (await came_back(street, page))["status"] == "authenticated"
    assert len(sent) == 1


async def test_a_request_that_never_left_can_be_sent_again(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order("payco")))
    await page.context.set_offline(True)
    await submit(page).click()
    await expect(page.locator("#notice")).to_contain_text("연결이 끊어졌습니다")
    await expect(submit(page)).to_be_disabled()
    await page.context.set_offline(False)
    await expect(page.get_by_role("alert")).to_contain_text("다시 시도해 주세요")
    await submit(page).click()
    assert (await came_back(street, page))["status"] == "authenticated"


async def test_a_barcode_is_paid_at_the_till_once(street: Street, page: Page) -> None:
    notices = street.shop.return_url.replace("return", "notice")
    order = street.member.order(notice_url=notices)
    names = ("order_no", "amount", "currency", "item_name", "merchant_name", "merchant_order_no")
    ask = {name: order[name] for name in (*names, "profile", "notice_url")}
    issued = await street.member.ask("POST", "/v1/barcodes", ask)
    barcode = issued["virtual_account"]["number"]
    await page.goto(f"{street.pg.url}/till?barcode={barcode}")
    slip = page.locator(f"[data-barcode='{barcode}']")
    await expect(slip.locator("[data-state=waiting_deposit]")).to_be_visible()
    assert await findings(page) == []

    await slip.locator("[data-pay=cash]").click()

    await expect(slip.locator("[data-state=deposited]")).to_be_visible()
    await expect(slip.locator("[data-pay=cash]")).to_be_hidden()
    async with asyncio.timeout(10):
        notice = await street.shop.notices.get()
    assert (notice["order_no"], notice["amount"]) == (order["order_no"], order["amount"])


async def test_a_person_joins_quick_pay_and_enters_their_pin(street: Street, page: Page) -> None:
    order = await street.order(profile="kcp_quick")
    await page.goto(f"{street.pg.url}/quick")
    await page.fill("#join-mid", street.member.mid)
    await page.fill("#join-member", "haneul")
    await page.fill("#join-pin", "246810")
    await page.check("#join-fido")
    await page.get_by_role("button", name="가입하기").click()
    await expect(page.locator("[data-member=haneul]")).to_contain_text("100,000원")
    row = page.locator(f"[data-order='{order.order['order_no']}']")
    for pin in ("000000", "246810"):
        await row.locator("input[name=member_id]").fill("haneul")
        await row.locator("input[name=pin]").fill(pin)
        await row.get_by_role("button", name="PIN 확인").click()
        if pin == "000000":
            await expect(page.locator("#trouble")).to_contain_text("PIN_WRONG")
    await expect(row).to_contain_text("확인됨")
    assert await findings(page) == []


# The developer's drawer and pages


async def test_the_drawer_sets_a_scenario_that_then_happens(street: Street, page: Page) -> None:
    order = await street.order()
    await arrive(page, street.address(order))
    await page.click("#developer")
    await page.select_option("#scenario", "limit_exceeded")
    await expect(page.locator("#scenario-mark")).to_contain_text("limit_exceeded")
    await page.click("[data-card=mpi-hyundai]")
    await expect(page.locator("#card-number")).to_have_value("9490 1334 5678 9038")
    await submit(page).click()
    fields = await came_back(street, page)
    answer = await order.approve({"return_form": {"fields": fields}})
    assert (answer["result"], answer["code"]) == ("declined", "LIMIT_EXCEEDED")


async def test_an_order_that_is_no_test_has_no_drawer_and_no_ribbon(
    street: Street, page: Page
) -> None:
    await arrive(page, street.address(await street.order(test=False)))
    await expect(view(page, "choose-card")).to_be_visible()
    await expect(page.locator(".ribbon, #developer")).to_have_count(0)


async def test_a_merchants_words_are_text_and_never_markup(street: Street, page: Page) -> None:
    nasty = "</script><img src=x onerror=alert(1)>{{7*7}}"
    order = await street.member.open(
        pay_method="card", item_name=nasty, merchant_name=nasty, return_url=street.shop.return_url
    )
    await arrive(page, street.address(order))
    await expect(view(page, "choose-card")).to_be_visible()
    await expect(page.locator(".item")).to_have_text(nasty)
    await expect(page.locator("img")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/magic", "/desk", "/inbox", "/till", "/quick"])
async def test_the_developer_pages_switch_to_english_and_fit_a_small_phone(
    street: Street, page: Page, path: str
) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.goto(street.pg.url + path)
    await page.click("#switch-language")
    assert await page.evaluate("document.documentElement.lang") == "en"
    assert re.search("[가-힣]", await page.locator("h1").inner_text()) is None
    assert await findings(page) == []
    await page.reload()
    assert await page.evaluate("document.documentElement.lang") == "en"


# Everyone can use it

# What a careful reviewer would look for, in every state of the page.
FINDINGS = """async () => {
  const found = [];
  await Promise.allSettled(document.getAnimations().map((running) => running.finished));
  const seen = (e) => e.checkVisibility({ opacityProperty: false, visibilityProperty: true })
    && e.getClientRects().length > 0;
  const root = document.querySelector("dialog[open]") ?? document;
  if (!["ko", "en", "zh", "ja"].includes(document.documentElement.lang)) found.push("lang");
  if (!document.title.trim()) found.push("title");
  if (document.documentElement.scrollWidth > innerWidth) found.push("horizontal scroll");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push("twice: #" + id);
  for (const e of document.querySelectorAll("[aria-describedby],[aria-labelledby]")) {
    for (const a of ["aria-describedby", "aria-labelledby"]) {
      for (const id of (e.getAttribute(a) ?? "").split(" ").filter(Boolean)) {
        if (!document.getElementById(id)) found.push(a + " to nothing: " + id);
      }
    }
  }
  for (const e of root.querySelectorAll("input:not([type=hidden]), select, button, a")) {
    if (!seen(e)) continue;
    const labels = [...(e.labels ?? [])].map((l) => l.innerText.trim()).join("");
    const name = e.getAttribute("aria-label") || labels || e.innerText.trim();
    if (!name) found.push("no name: " + e.outerHTML);
    const target = e.closest("label") ?? e;
    const box = target.getBoundingClientRect();
    if (!e.matches("a") && (box.height < 43.5 || box.width < 43.5)) {
      found.push(`small ${Math.round(box.width)}x${Math.round(box.height)}: ` + e.outerHTML);
    }
  }
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour, under) => {
    canvas.clearRect(0, 0, 1, 1);
    if (under) { canvas.fillStyle = `rgb(${under.join()})`; canvas.fillRect(0, 0, 1, 1); }
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (c) => {
    const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    const above = [];
    for (let at = e; at; at = at.parentElement) above.unshift(getComputedStyle(at).backgroundColor);
    return above.reduce((under, colour) => rgb(colour, under), [255, 255, 255]);
  };
  const walker = document.createTreeWalker(root === document ? document.body : root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !seen(e) || e.closest("script, .unseen, :disabled, noscript")) continue;
    const under = behind(e);
    const [a, b] = [light(rgb(getComputedStyle(e).color, under)), light(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ` + walker.currentNode.data.trim());
  }
  return found;
}"""


async def findings(page: Page) -> list[str]:
    found: list[str] = await page.evaluate(FINDINGS)
    return found


async def to_mpi_with_errors(page: Page) -> None:
    await choose(page, "366", "mpi")
    await page.fill("#card-number", "4518421234567811")
    await submit(page).click()


async def to_keypad(page: Page) -> None:
    await choose(page, "367", "simple")
    await expect(page.locator(".keypad button:enabled")).to_have_count(12)


async def to_certificate(page: Page) -> None:
    await choose(page, "361")
    await page.click("#install-demo")
    await expect(page.locator("#certificate-password")).to_be_visible()


async def to_question(page: Page) -> None:
    await page.keyboard.press("Escape")


async def to_drawer(page: Page) -> None:
    await page.click("#developer")


async def stay(page: Page) -> None:
    await expect(page.locator("[data-view]")).to_be_visible()


@pytest.mark.parametrize(
    ("pay_method", "language", "go"),
    [
        ("card", "ko", stay),
        ("card", "en", to_mpi_with_errors),
        ("card", "ja", to_keypad),
        ("card", "zh", to_certificate),
        ("card", "ko", to_question),
        ("card", "en", to_drawer),
        ("trans", "ja", stay),
        ("phone", "zh", stay),
        ("vbank", "en", stay),
        ("paypal", "ja", stay),
    ],
)
async def test_every_state_is_named_legible_and_fits_320_pixels(
    street: Street, page: Page, pay_method: str, language: str, go: Callable[..., Any]
) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    order = await street.order(pay_method, language=language, tax_free=100)
    await arrive(page, street.address(order))
    await go(page)
    assert await page.evaluate("document.documentElement.lang") == language
    assert await findings(page) == []
    await page.emulate_media(color_scheme="dark")
    assert await findings(page) == []
    # A key without a sentence would be shown as itself.
    words = await page.locator("body").inner_text()
    assert (
        re.findall(r"\b(?:code|step|way|missing|wrong|dev|ending|isp|mpi|vbank)\.[a-z]", words)
        == []
    )


async def test_the_focus_is_always_seen(street: Street, page: Page) -> None:
    await arrive(page, street.address(await street.order()))
    await expect(view(page, "choose-card")).to_be_visible()
    stops = set()
    for _ in range(8):
        await page.keyboard.press("Tab")
        stop, ring = await page.evaluate(
            """() => {
              const at = document.activeElement;
              const drawn = at.closest(".tile") ?? at;
              if (at === document.body) return [null, "none"];
              return [at.id || at.name, getComputedStyle(drawn).outlineStyle];
            }"""
        )
        if stop is None:  # behind the last stop is the browser's own furniture
            break
        stops.add(stop)
        assert ring == "solid", stop
    assert {"developer", "language", "cancel", "company", "installments"} <= stops


async def test_every_language_has_every_sentence() -> None:
    def keys(language: str) -> set[str]:
        text = (STATIC / "strings" / f"{language}.js").read_text()
        found = set(re.findall(r'^  "?([\w.]+)"?:', text, re.MULTILINE))
        return {key for key in found if key.split(".")[0] not in ("company", "bank", "carrier")}

    assert len(keys("ko")) > 150
    for language in ("en", "zh", "ja"):
        assert keys(language) == keys("ko")


async def test_an_unknown_window_is_a_clear_refusal(street: Street) -> None:
    async with street.pg.http.get(f"{street.pg.url}/window/{secrets.token_urlsafe(16)}") as answer:
        assert answer.status == 404

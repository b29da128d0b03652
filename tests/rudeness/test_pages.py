"""What a real browser does with hostile words, hostile frames and hostile neighbours' scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.checkout.browser import open_browser, serve
from tests.rudeness.thief import Thief, new_order
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Each would call pwn() in one of the places where a page may put a word: text, attribute, script,
# address, template, comment.
WORDS = [
    "<img src=x onerror=pwn()>",
    '"><svg onload=pwn()>',
    "' onmouseover=pwn() autofocus onfocus=pwn() x='",
    "</script><script>pwn()</script>",
    "</title><script>pwn()</script>",
    "--><script>pwn()</script>",
    "javascript:pwn()//",
    "{{pwn()}}${pwn()}#{pwn()}<%=pwn()%>",
    "\\u003cimg src=x onerror=pwn()\\u003e",
    "\u2028pwn()\u2029",
    "<iframe srcdoc='<script>parent.pwn()</script>'>",
    "<a href=javascript:pwn()>x</a>",
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    context.set_default_timeout(15_000)
    await context.add_init_script("window.pwned = 0; window.pwn = () => { window.pwned += 1 }")
    yield context
    await context.close()


@pytest.mark.parametrize("word", WORDS)
async def test_hostile_words_stay_words_on_every_page(
    parties: Parties, thief: Thief, context: BrowserContext, word: str
) -> None:
    param = dict.fromkeys(("name", "buyer_name", "buyer_addr", "custom_data"), word)
    param |= {"merchant_uid": "".join(filter(str.isprintable, word[:30])) + new_order()[-8:]}
    window = await thief.open(param)
    failed = await thief.open(param | {"merchant_uid": new_order()})
    told = await thief.press(failed, "/cancel")
    _, done = await thief.bring_back(failed.imp_uid, told["return_form"]["fields"])
    paid = await thief.pay(param | {"merchant_uid": new_order()})
    _, envelope = await thief.rest("GET", f"/payments/{paid.imp_uid}")
    receipt = envelope["response"]["receipt_url"]
    order, _ = await thief.order()
    shop = parties.shop
    page = await context.new_page()
    for address in (
        window.pg_url,
        done,
        receipt,
        f"{parties.sandbox}/desk?number={quote(word)}",
        f"{shop}/payments/complete?imp_uid=&merchant_uid={order}&error_msg={quote(word)}",
        f"{shop}/orders/{quote(word, safe='')}",
        f"{shop}/?lang={quote(word)}&x={quote(word)}",
        f"{parties.gateway}/checkout/fail?error_msg={quote(word)}",
    ):
        await page.goto(address, wait_until="load")
        assert await page.evaluate("window.pwned") == 0, address
        script = "document.querySelectorAll('[onerror],[onload],[onfocus],[href^=\"javascript:\"]')"
        assert await page.evaluate(f"{script}.length") == 0, address
    # The opening page goes on by itself; it must come as far as the PG.
    await page.goto(window.url)
    await page.wait_for_url(f"{parties.sandbox}/window/**")


@pytest.mark.fault("A3_WD")
async def test_a_stranger_cannot_frame_a_window_nor_hear_its_result(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    window = await thief.open()
    done = (await thief.bring_back(window.imp_uid, await thief.prove(window)))[1]
    other = await thief.open()
    listener = "<script>heard = []; addEventListener('message', (e) => heard.push(e.data))</script>"
    frames = "".join(f"<iframe src='{each}'></iframe>" for each in (done, other.url, other.pg_url))

    async def trap(request: object) -> HTMLResponse:
        return HTMLResponse(listener + frames)

    async with serve(Starlette(routes=[Route("/", trap)])) as stranger:
        page = await context.new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        await page.goto(stranger, wait_until="load")
        for frame in page.frames[1:]:
            assert frame.url.startswith("chrome-error:"), frame.url
        assert sum("frame-ancestors" in text for text in refused) == 3
        assert await page.evaluate("heard") == []
        # Reading it as data is refused as well: the answer names the shop's origin only.
        address = f"{parties.gateway}/checkout/payments/{window.imp_uid}/result"
        read = f"fetch('{address}?token={window.token}').then(() => 'read', () => 'refused')"
        assert await page.evaluate(read) == "refused"

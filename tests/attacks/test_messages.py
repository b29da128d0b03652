"""Twelve attackers speak to a shop's page while a payment window is open; nobody is believed.

Each stands on its own origin, or poisons the page itself. The control is a page that hears messages
without asking who sent them: there the same words give it a payment that never was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page

from tests.attacks.conftest import MERCHANT, Site, merchant_page, open_site
from tests.journeys.buyer import by_wallet
from tests.rudeness.thief import Thief, new_order
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What an attacker who knows everything but the window's secret would say.
SPEAK = """
  const true_words = (facts) => ({ protocol: "naru/1", type: "result", request_id: facts.request_id,
    imp_uid: facts.imp_uid, result: { success: true, imp_uid: "imp_999999999999" }, redirect_url: null });
  addEventListener("message", ({ data }) => {
    if (!data || !data.speak) return;
    const say = (message) => data.home.split(".").reduce((at, name) => at[name], window)
      .postMessage(message, "*");
    const words = true_words(data.facts);
    new Function("say", "words", data.speak)(say, words);
    say("spoken");
  });
"""
STRANGER = f"<!doctype html><script>{SPEAK}</script>stranger"
# The page's own ears: the test must know that a message had arrived before it says "ignored".
EARS = "<script>heard = []; addEventListener('message', (e) => heard.push(e.data));</script>"

ATTACKS = {
    "the true words from a stranger": "say(words);",
    "a hundred times": "for (let i = 0; i < 100; i += 1) say(words);",
    "another page to go to": "say({ ...words, redirect_url: 'http://evil.test/' });",
    "a script to go to": "say({ ...words, redirect_url: 'javascript:pwn()' });",
    "hello": "say({ ...words, type: 'hello' });",
    "closing": "say({ ...words, type: 'closing' });",
    "ended": "say({ ...words, type: 'ended' });",
    "eight million letters": "say({ ...words, padding: 'x'.repeat(8e6) });",
    "a prototype": "say(JSON.parse('{\"__proto__\": ' + JSON.stringify(words) + '}'));",
    "words as text": "say(JSON.stringify(words));",
    "a list": "say(Object.assign(['naru/1'], words));",
}


async def pay_page(
    context: BrowserContext, parties: Parties, site: Site, before: str = ""
) -> tuple[Page, str]:
    order = new_order()
    site.pages.html["/shop"] = merchant_page(parties, EARS + before, merchant_uid=order)
    page = await context.new_page()
    await page.goto(f"{site.origin(MERCHANT)}/shop")
    return page, order


async def facts_of(parties: Parties, order: str) -> dict[str, str]:
    [row] = await parties.rows(
        "SELECT imp_uid, request_id FROM payments WHERE merchant_uid=$1", order
    )
    return dict(row)


async def frame_of(page: Page, origin: str) -> Any:
    await page.evaluate(
        """(url) => new Promise((done) => { const frame = document.createElement("iframe");
           frame.onload = done; frame.src = url; document.body.append(frame); })""",
        f"{origin}/stranger",
    )
    return next(frame for frame in page.frames if frame.url.startswith(origin))


@pytest.mark.fault("A3_WD")
async def test_eleven_strangers_say_that_it_is_paid_and_nobody_believes_them(
    parties: Parties, context: BrowserContext
) -> None:
    async with open_site({"/stranger": STRANGER}) as site:
        page, order = await pay_page(context, parties, site)
        # The control hears everybody, as a careless page does.
        await page.evaluate(
            """() => { believed = []; addEventListener("message", ({ data }) => {
               if (data && data.protocol === "naru/1" && data.type === "result") believed.push(data); }) }"""
        )
        await page.click("#pay")
        window = page.frame_locator("iframe.imp-frame")
        await window.locator("form button[type=submit]").wait_for()
        facts = await facts_of(parties, order)
        for number, (name, speak) in enumerate(ATTACKS.items()):
            stranger = await frame_of(page, site.origin(f"evil{number}.test"))
            await page.evaluate("heard.length = 0")
            # The stranger is told its lines from outside.
            order_to_speak = {"speak": speak, "home": "parent", "facts": facts}
            await stranger.evaluate("(words) => postMessage(words, '*')", order_to_speak)
            await page.wait_for_function("heard.includes('spoken')")
            assert await page.evaluate("results.length") == 0, name
            assert await page.locator(".imp-ask").count() == 0, name
            assert page.url.endswith("/shop"), name
        assert await page.evaluate("believed.length") > 100
        await by_wallet(parties, window)
        await page.wait_for_function("results.length === 1")
        answer = (await page.evaluate("results"))[0]["answer"]
        assert (answer["success"], answer["imp_uid"]) == (True, facts["imp_uid"])
        # What was said a moment ago by the window itself, said again: a session ends once.
        await page.evaluate("heard.forEach((each) => postMessage(each, '*'))")
        await page.evaluate("new Promise((done) => setTimeout(done, 0))")
        assert await page.evaluate("results.length") == 1


@pytest.mark.fault("A3_WD")
async def test_the_window_of_another_payment_and_words_before_the_handshake(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    """From the gateway's own origin, but not from the window that was opened here."""
    async with open_site({"/stranger": STRANGER}) as site:
        page, order = await pay_page(context, parties, site)
        early = await frame_of(page, site.origin("evil.test"))
        await early.evaluate("parent.postMessage({ protocol: 'naru/1', type: 'hello' }, '*')")
        other = await thief.pay(origin=site.origin(MERCHANT))
        await page.click("#pay")
        window = page.frame_locator("iframe.imp-frame")
        await window.locator("form button[type=submit]").wait_for()
        _, told = await thief.result(other.imp_uid, other.token)
        assert told["state"] == "final"
        # A paid payment's own done page, framed beside: it says "paid" to this very page.
        await page.evaluate(
            """(url) => new Promise((done) => { const frame = document.createElement("iframe");
               frame.onload = done; frame.src = url; document.body.append(frame); })""",
            other.url,
        )
        await page.wait_for_function("heard.some((each) => each.type === 'result')", timeout=10_000)
        assert await page.evaluate("results.length") == 0
        await by_wallet(parties, window)
        await page.wait_for_function("results.length === 1")
        answer = (await page.evaluate("results"))[0]["answer"]
        assert answer["imp_uid"] == (await facts_of(parties, order))["imp_uid"]


POISON = """<script>
  // Whoever reads an object's missing field reads these; whoever writes one writes nothing.
  for (const name of ["result", "state", "token", "redirect_url", "imp_uid", "error", "type"])
    Object.defineProperty(Object.prototype, name, { configurable: true,
      get() { return "poisoned"; }, set() {} });
  JSON.stringify = () => "poisoned"; JSON.parse = () => ({ code: 0, state: "final" });
</script>"""


async def test_a_page_with_poisoned_prototypes_and_another_json_pays_what_it_asked(
    parties: Parties, context: BrowserContext
) -> None:
    async with open_site({}) as site:
        page, order = await pay_page(context, parties, site, before=POISON)
        await page.locator("#pay").click()
        await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
        await page.locator(".imp-dialog").wait_for(state="detached")
        assert [kind for kind, _ in await parties.book(order)] == ["charge"]


@pytest.mark.parametrize("registered", [True, False])
async def test_a_page_without_an_origin_hears_ids_only_and_asks_for_the_rest(
    parties: Parties, context: BrowserContext, tmp_path: Path, registered: bool
) -> None:
    """Everybody in such a page may hear what is said to `*`: nothing but names of the payment."""
    order = new_order()
    # A WebView's local file: its origin is null.
    local = tmp_path / "shop.html"
    local.write_text(merchant_page(parties, EARS, merchant_uid=order), encoding="utf-8")
    allowed = ("loopback", "null") if registered else ("loopback",)
    async with parties.merchant_with(allowed_origins=allowed):
        page = await context.new_page()
        await page.goto(local.as_uri())
        await page.locator("#pay").click()
        if registered:
            await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
        await page.wait_for_function("results.length === 1")
        answer = (await page.evaluate("results"))[0]["answer"]
        assert answer["success"] is registered
        heard = await page.evaluate("heard")
    names = {"protocol", "type", "request_id", "imp_uid"}
    assert all(set(each) <= names for each in heard), heard
    assert [each["type"] for each in heard if each["type"] == "ended"] == (
        ["ended"] if registered else []
    )

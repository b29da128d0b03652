"""A buyer edits the page's own call of request_pay, one parameter at a time (RELIABILITY: the V1 hole).

The shop's order, the gateway's payment and the PG's book are asked afterwards. The controls pay
without an announced amount, and into a shop that believes the callback: there the theft works.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from types import ModuleType
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from naru.checkout import read_request, routes
from naru.domain.merchant import Merchant, allows_return
from naru.payments import start
from tests.attacks.conftest import MERCHANT, merchant_page, open_site, watch
from tests.journeys.buyer import by_wallet
from tests.rudeness.thief import Thief, new_order
from tests.support.parties import Parties
from tests.support.receiver import receiving

pytestmark = pytest.mark.asyncio(loop_scope="session")

EDIT = """(edits) => { const real = window.untouched || (window.untouched = IMP.request_pay);
  IMP.request_pay = (param, told) => real.call(IMP, { ...param, ...edits }, told); }"""


async def at_order(
    parties: Parties, thief: Thief, context: BrowserContext
) -> tuple[Page, str, int]:
    """An order of the demo shop, announced to the gateway, on its buyer's screen."""
    order, price = await thief.order()
    page = await context.new_page()
    await page.goto(f"{parties.shop}/orders/{order}")
    return page, order, price


async def press(page: Page, edits: dict[str, Any], method: str = "easy") -> None:
    await page.evaluate(EDIT, edits)
    await page.locator(f"input[name=method][value={method}]").check()
    await page.locator("#pay").click()


# What the buyer writes into the call, and the words with which the window is refused.
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("amount", {"amount": 100}, "사전등록된 결제금액"),
    ("amount", {"amount": "0"}, "금액"),
    ("amount", {"amount": -1004}, "금액"),
    ("currency", {"currency": "VND"}, "사전등록된 결제금액"),
    ("currency", {"currency": "JPY"}, "사전등록된 결제금액"),
    ("tax_free", {"tax_free": 10_000_000}, "금액"),
    ("tax_free", {"tax_free": -1}, "금액"),
    ("vat", {"vat": 10_000_000}, "결제금액보다"),
    ("vat_amount", {"vat_amount": 10_000_000}, "결제금액보다"),
    ("merchant_uid", {"merchant_uid": "x" * 41}, "merchant_uid"),
    ("merchant_uid", {"merchant_uid": "a\u0000b"}, ""),
    ("merchant_uid", {"merchant_uid": "a\nb"}, "merchant_uid"),
    ("channelKey", {"channelKey": "channel-key-of-somebody-else"}, ""),
    ("pay_method", {"pay_method": "gold"}, "지원하지 않는"),
    ("notice_url", {"notice_url": "http://evil.test/"}, "등록된 주소가 아닙니다"),
    ("notice_url", {"notice_url": "http://169.254.169.254/"}, "등록된 주소가 아닙니다"),
    ("notice_url", {"notice_url": ["http://evil.test/"] * 6}, "5개까지"),
    ("confirm_url", {"confirm_url": "http://evil.test/"}, "등록된 주소가 아닙니다"),
    ("m_redirect_url", {"m_redirect_url": "http://evil.test/"}, "등록된 주소가 아닙니다"),
    ("m_redirect_url", {"m_redirect_url": "javascript:alert(1)"}, "등록된 주소가 아닙니다"),
    ("app_scheme", {"app_scheme": "intent"}, "등록되어 있지 않습니다"),
    ("app_scheme", {"app_scheme": "javascript:alert(1)//"}, "등록되어 있지 않습니다"),
    ("customer_uid", {"pg": "kcp", "customer_uid": "x"}, "빌링키 발급을 지원하지 않습니다"),
    ("vbank_due", {"vbank_due": "20990101"}, ""),
    ("vbank_due", {"vbank_due": "20200101"}, ""),
]  # fmt: skip

# What may say anything: it pays what was announced, and nothing else differs.
HARMLESS: list[tuple[str, Any]] = [
    ("name", "<script>pwn()</script>" + "x" * 5000),
    ("buyer_name", "<img src=x onerror=pwn()>"),
    ("buyer_tel", "=HYPERLINK(\"http://evil.test\")\r\nSet-Cookie: a=b"),
    ("buyer_email", "\"><svg onload=pwn()>"),
    ("buyer_addr", "{{7*7}}\u2028${7*7}"),
    ("buyer_postcode", "'; DROP TABLE payments; --"),
    ("custom_data", {"__proto__": {"success": True}, "deep": ["</script><script>pwn()</script>"]}),
    ("language", "../../../etc/passwd"),
    ("locale", "<svg onload=pwn()>"),
    ("escrow", True),
    ("display", {"card_quota": [0, 2, 99, -5, "x", None, 10**30]}),
    ("popup", "yes"),
    ("naverPopupMode", "yes"),
    ("bypass", {"kcpQuick": {"actionType": "<script>"}}),
]  # fmt: skip


@pytest.mark.promise("P17")
@pytest.mark.fault("A3_WD")
async def test_an_edited_call_is_refused_before_the_pg_is_asked(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    page, order, _ = await at_order(parties, thief, context)
    for name, edits, words in REFUSED:
        await press(page, edits)
        trouble = page.locator("#trouble")
        await expect(trouble, f"{name} {edits}"[:200]).to_be_visible()
        assert words in await trouble.inner_text(), edits
        await expect(page.locator("#pay")).to_be_enabled()
    await parties.see_unpaid(order)
    assert await parties.payments(order) == ()


async def test_words_of_the_buyer_change_nothing_but_words(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    page, order, price = await at_order(parties, thief, context)
    watched = await watch(page)
    await page.reload()
    await press(page, dict(HARMLESS))
    await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
    await expect(page.get_by_test_id("order")).to_have_attribute("data-status", "paid")
    payment = await parties.see_paid(order, price, pay_method="samsung")
    assert payment.custom_data is not None
    assert (watched.ran, watched.blocked) == ([], [])


@pytest.mark.promise("P2", "P5")
async def test_the_number_of_another_order_pays_neither_cheaply(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    """A payment under an order's look-alike, and one of another order, finish nothing here."""
    page, order, _ = await at_order(parties, thief, context)
    cheap = new_order()
    await press(page, {"merchant_uid": cheap, "amount": 100})
    await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
    await expect(page.locator("#trouble")).to_be_visible()
    await parties.see_unpaid(order)
    [paid] = await parties.payments(cheap)
    assert (await thief.report(paid.imp_uid, order))[1] == "forgery"
    assert parties.order(order).status == "placed"
    # Byte for byte: capitals, a blank behind, and full-width letters are other orders.
    for twin in (order.upper() + "A", order + " ", order.replace("-", "\uff0d")):
        assert await parties.payments(twin) == ()
        status, told = await thief.try_open({"merchant_uid": twin, "amount": 100})
        assert (status, told.get("merchant_uid")) in ((200, twin), (400, None)), told
    assert await parties.payments(order) == ()


@pytest.mark.promise("P5")
async def test_a_test_channel_is_no_way_to_pay_a_live_merchant(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    page, order, price = await at_order(parties, thief, context)
    async with parties.merchant_with(live=True, allow_test_channels=False):
        await press(page, {})
        await expect(page.locator("#trouble")).to_be_visible()
    await parties.see_unpaid(order)
    # The control: the same press where the merchant allows them. An unknown PG is the default one.
    await page.reload()
    await press(page, {"pg": "nobody"})
    await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
    await parties.see_paid(order, price, pay_method="samsung")


async def test_the_merchants_own_question_cannot_be_dropped(
    parties: Parties, thief: Thief, context: BrowserContext
) -> None:
    """The buyer names another confirm_url, or none: the one of the merchant's settings is asked."""
    async with receiving() as asked, receiving() as dodge:
        async with parties.merchant_with(confirm_url=f"{asked.url}/confirm"):
            for edit in (f"{dodge.url}/yes", ""):
                page, order, price = await at_order(parties, thief, context)
                await press(page, {"confirm_url": edit})
                await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
                await parties.see_paid(order, price, pay_method="samsung")
                assert json.loads(asked.told[-1].body)["merchant_uid"] == order
        assert (len(asked.told), dodge.told) == (2, [])


async def test_a_deadline_and_instalments_stay_within_their_limits(
    parties: Parties, thief: Thief
) -> None:
    """At most a year to pay in; months that do not exist are not offered by the PG's window."""
    status, told = await thief.try_open({"pay_method": "vbank", "vbank_due": "20990101"})
    assert (status, told["error"]["success"]) == (400, False)
    months = {"display": {"card_quota": [99, -5, 3]}, "pay_method": "card", "amount": 100_000}
    window = await thief.open(months)
    async with parties.http.get(f"{window.pg_url}/context") as answer:
        offered = (await answer.json())["order"]["installments"]
    assert offered is None or set(offered) <= {0, 2, 3}, offered


@pytest.mark.promise("P17")
async def test_control_without_an_announced_amount_a_naive_shop_is_robbed(
    parties: Parties, context: BrowserContext
) -> None:
    """A shop that announces nothing and believes the callback sends the goods for 100 won."""
    order = new_order()
    async with open_site({"/": merchant_page(parties, merchant_uid=order)}) as site:
        page = await context.new_page()
        await page.goto(site.origin(MERCHANT))
        for edits in ({"amount": 100}, {"amount": 1004, "currency": "VND"}):
            await page.evaluate(EDIT, edits | {"merchant_uid": order + str(len(edits))})
            await page.evaluate("results.length = 0")
            await page.click("#pay")
            await by_wallet(parties, page.frame_locator("iframe.imp-frame"))
            await page.wait_for_function("results.length === 1")
            # What a naive shop looks at, and no more.
            assert (await page.evaluate("results"))[0]["answer"]["success"] is True
            await page.reload()


ENVELOPE = {"user_code", "tier_code", "surface", "mode", "generation", "request_id", "param"}


def read_names(*modules: ModuleType) -> set[str]:
    """Every parameter whose name stands in code that reads `param` or the request."""
    found: set[str] = set()
    readers = {"get", "_text", "_money", "_cut", "_flag"}
    for module in modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called not in readers:
                continue
            if called == "get" and not re.search(r"param|\.request\b", ast.unparse(node.func)):
                continue
            found |= {
                each.value
                for each in node.args
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            }
    return found | {f"buyer_{name}" for name in read_request.BUYER_LENGTHS}


async def test_every_parameter_that_is_read_has_its_attack() -> None:
    attacked = {name for name, _, _ in REFUSED} | {name for name, _ in HARMLESS}
    attacked.add("pg")  # a channel of the merchant's, whatever is said: see the test channel above
    read = read_names(read_request, start, routes)
    assert len(read) > 20
    assert read - attacked == set()


# Return addresses that some reader somewhere takes for the shop's own.
GOOD = "shop.example"
TRICKS = [
    "http://{e}", "//{e}", "///{e}", "\\\\{e}", "/\\{e}", "https:{e}", "https:/{e}", "https:\\\\{e}",
    "https://{g}@{e}", "https://{g}:x@{e}", "https://{g}%40{e}", "https://{g}\\@{e}", "https://{e}\\@{g}",
    "https://{e}#{g}", "https://{e}?{g}", "https://{e}/{g}", "https://{g}.{e}", "https://{g}{e}",
    "https://{e}%23{g}", "https://{e}%2f{g}", "https://{g}%2f.{e}", "https://{g}%00.{e}",
    "https://{g}\t.{e}", "https://{g}\n.{e}", "https://{g} .{e}", " https://{e}", "\thttps://{e}",
    "ht\ttps://{e}", "https://{e}:443", "https://{g}:8443", "https://{g}:0", "https://{g}:99999",
    "https://{g}:80@{e}", "http://{g}", "https://{g}.", "https://.{g}", "https://xn--{g}", "https://ｓhop.example",
    "https://shop。example", "https://shop．example", "https://[{g}]", "https://[::1]", "https://0x7f000001",
    "ftp://{g}", "file:///etc/passwd", "data:text/html,{g}", "blob:https://{g}/1", "about:blank",
    "javascript:alert(1)//https://{g}", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "vbscript:x",
    "intent://{g}#Intent;scheme=http;end", "market://details?id={e}", "view-source:https://{g}",
    "https://{e}\\.{g}", "http:///{e}", "https:////{e}", "https://{g}:{e}", "https://{g}:@{e}", "http:\\\\{g}",
    "https://user@{g}", "//{g}", "/payments/complete", "{g}", "?next=//{e}", "https://",
    "https://{e};{g}", "https://{e},{g}", "https://{e}&{g}", "https://{g}&.{e}", "https://{g};.{e}",
]  # fmt: skip


async def test_no_return_address_leaves_the_registered_origins(thief: Thief) -> None:
    """At least 120 addresses: tricks x two attackers; the control list is let through."""
    merchant = Merchant(1, "imp00000000", "shop", allowed_return_origins=(f"https://{GOOD}",))
    corpus = {trick.format(g=GOOD, e=e) for trick in TRICKS for e in ("evil.test", "127.1")}
    corpus |= {f"{good}{tail}" for good in ("http://" + GOOD, f"https://{GOOD}x", f"https://x{GOOD}")
               for tail in ("", "/", "/a", "?b", "#c")}  # fmt: skip
    assert len(corpus) >= 120
    assert {url for url in corpus if allows_return(merchant, url)} == set()
    good = [f"https://{GOOD}{tail}" for tail in ("", "/", "/a?b=//evil.test#c", ":443/x")]
    assert all(allows_return(merchant, url) for url in good)
    # And at the door: nothing of the corpus becomes an address that a browser is sent to.
    for url in sorted(corpus)[::6]:
        status, told = await thief.try_open({"m_redirect_url": url}, mode="redirect")
        if status == 200:
            assert url.startswith(("http://127.", "https://127.", "https://[::1]")), url
        else:
            assert told["redirect_url"] is None, url

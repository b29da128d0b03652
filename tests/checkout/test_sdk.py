"""window.IMP in a real browser, on a merchant's page, against the stand-in gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Error, Page, expect

from tests.checkout.browser import PHONE, Pages, StandIn, serve, shop_page

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAMPLE_PARAM = "결제요청 파라메터가 누락되었습니다."
NO_INIT = "판매자 코드가 설정되지 않았습니다. IMP.init()함수를 먼저 호출하세요."
NO_INIT_NEW = (
    "판매자 코드가 설정되지 않았습니다. IMP.init() 또는 IMP.agency() 함수를 먼저 호출하세요."
)


async def at_shop(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, **options: str
) -> Page:
    """A page of the shop, loaded, with the gateway's channels known to the SDK."""
    shop.html["/shop"] = shop_page(core, **options)
    page = await context.new_page()
    await page.goto(f"{shop_url}/shop")
    if options.get("init") != "":
        await page.wait_for_function(
            "performance.getEntriesByType('resource').some((entry) => /users/.test(entry.name))"
        )
    return page


async def callback_of(page: Page, number: int = 1) -> dict[str, Any]:
    """The object that the callback received; exactly `number` callbacks have come."""
    await page.wait_for_function(f"results.length >= {number}")
    await page.wait_for_timeout(300)  # a second callback would come now
    results = await page.evaluate("results")
    assert len(results) == number
    answer: dict[str, Any] = results[-1]["answer"]
    return answer


def window_of(page: Page) -> Any:
    return page.frame_locator(".imp-dialog iframe")


async def test_a_payment_in_the_iframe_ends_in_one_callback_after_the_dialog_is_gone(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await window_of(page).locator("#pay").click()

    answer = await callback_of(page)

    assert answer == {"success": True, "imp_uid": "imp_1", "status": "paid"}
    assert await page.evaluate("results[0].dialogs") == 0
    asked = stand_in.opened[0]
    assert asked["user_code"] == "imp00000000"
    assert asked["generation"] == "old"
    assert asked["surface"] == "pc"
    assert asked["mode"] is None
    assert asked["page_url"] == f"{shop_url}/shop"
    assert asked["param"]["amount"] == "1004"  # a numeric string is the server's to read
    assert asked["param"]["pay_method"] == "card"
    assert await page.evaluate("returned === undefined")

    await page.click("#pay")
    await window_of(page).locator("#pay").click()
    assert (await callback_of(page, 2))["imp_uid"] == "imp_2"


async def test_the_dialog_is_a_dialog(
    context: BrowserContext, shop: Pages, shop_url: str, core: str
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.focus("#pay")
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="결제창")
    await window_of(page).locator("#pay").wait_for()
    await page.wait_for_function("document.activeElement.tagName === 'IFRAME'")

    await expect(dialog).to_have_attribute("aria-modal", "true")
    classes = (await dialog.get_attribute("class") or "").split()
    assert {"imp-dialog", "customizable", "payment-kcp", "pc"} <= set(classes)
    frame = page.locator(".imp-dialog iframe")
    assert await frame.get_attribute("title") == "결제창"
    assert await frame.get_attribute("role") is None
    assert "imp-frame-kcp" in (await frame.get_attribute("class") or "")
    facts = await page.evaluate(
        """() => ({ z: getComputedStyle(document.querySelector(".imp-dialog")).zIndex,
                   inert: document.getElementById("shop").inert,
                   scroll: document.documentElement.style.overflow })"""
    )
    assert facts == {"z": "99999", "inert": True, "scroll": "hidden"}

    visited = []
    for _ in range(8):
        await page.keyboard.press("Tab")
        visited.append(await page.evaluate("document.activeElement.tagName"))
    assert set(visited) <= {"IFRAME", "BUTTON", "SPAN"}
    assert await page.evaluate("document.activeElement.closest('.imp-dialog') !== null")

    await page.focus(".imp-close")
    await page.keyboard.press("Escape")
    await page.get_by_role("alertdialog").wait_for()
    await page.keyboard.press("Escape")
    assert await page.get_by_role("alertdialog").count() == 0
    await page.click(".imp-close")
    await page.get_by_role("button", name="그만두기").click()

    assert (await callback_of(page))["error_msg"] == "[결제포기] 사용자가 결제를 취소하셨습니다"
    facts = await page.evaluate(
        """() => ({ focus: document.activeElement.id, inert: document.getElementById("shop").inert,
                   scroll: document.documentElement.style.overflow })"""
    )
    assert facts == {"focus": "pay", "inert": False, "scroll": ""}


async def test_a_merchants_own_css_wins_over_ours(
    context: BrowserContext, shop: Pages, shop_url: str, core: str
) -> None:
    before = "<style>.imp-header { display: none } .imp-dialog { background: rgb(1, 2, 3) }</style>"
    page = await at_shop(context, shop, shop_url, core, before=before)
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()

    style = await page.evaluate(
        """() => [getComputedStyle(document.querySelector(".imp-header")).display,
                  getComputedStyle(document.querySelector(".imp-dialog")).backgroundColor]"""
    )

    assert style == ["none", "rgb(1, 2, 3)"]


async def test_what_a_page_says_of_all_its_buttons_is_not_meant_for_ours(
    context: BrowserContext, shop: Pages, shop_url: str, core: str
) -> None:
    bare = (
        "button { width: 100%; background: rgb(0, 0, 255); padding: 40px } iframe { height: 90px }"
    )
    page = await at_shop(context, shop, shop_url, core, before=f"<style>{bare}</style>")
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()

    close = await page.locator(".imp-close").bounding_box()
    frame = await page.locator("iframe.imp-frame").bounding_box()
    background = await page.evaluate(
        "() => getComputedStyle(document.querySelector('.imp-close')).backgroundColor"
    )

    assert close is not None
    assert close["width"] == 44
    assert background != "rgb(0, 0, 255)"
    assert frame is not None
    assert frame["height"] > 400


async def test_the_merchants_container_holds_the_dialog_and_anything_else_falls_back(
    context: BrowserContext, shop: Pages, shop_url: str, core: str
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    await page.evaluate("""() => {
      const box = document.createElement("section"); box.id = "box"; document.body.append(box);
      IMP.init("imp00000000", { pgIframeContainer: box }); pay();
    }""")
    await page.locator("#box > .imp-dialog iframe").wait_for()
    await page.evaluate("IMP.close()")
    await callback_of(page)
    await page.evaluate("IMP.init('imp00000000', { pgIframeContainer: 'box' }); pay()")
    await page.locator("body > .imp-dialog iframe").wait_for()

    assert "포트원 컨테이너가 올바른 DOM Element 형식이 아닙니다." in errors


@pytest.mark.parametrize("argument", ["", "undefined, callback", "null, callback"])
async def test_missing_parameters_alert_and_return_false(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, argument: str
) -> None:
    page = await at_shop(context, shop, shop_url, core)

    returned = await page.evaluate(f"IMP.request_pay({argument})")

    assert returned is False
    assert await page.evaluate("alerts") == [SAMPLE_PARAM]
    assert await page.locator(".imp-dialog").count() == 0


async def test_request_pay_before_init_says_so(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    old = await at_shop(context, shop, shop_url, core, init="")
    await old.click("#pay")
    assert await old.evaluate("alerts") == [NO_INIT]

    new = await at_shop(context, shop, shop_url, core, init="", sdk="/v1/iamport.js")
    rejected = await new.evaluate("IMP.request_pay(param, callback).catch((error) => error)")
    assert await new.evaluate("alerts") == [NO_INIT_NEW]
    assert rejected == {"error_msg": NO_INIT_NEW}
    assert stand_in.opened == []


async def test_an_unknown_user_code_is_complained_about_with_the_servers_words(
    context: BrowserContext, shop: Pages, shop_url: str, core: str
) -> None:
    page = await context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    shop.html["/shop"] = shop_page(core, init='IMP.init("imp99999999");')
    await page.goto(f"{shop_url}/shop", wait_until="networkidle")

    assert "no such merchant" in errors


async def test_a_refusal_before_the_window_is_a_callback(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.refusal = {
        "success": False,
        "imp_uid": None,
        "merchant_uid": "order-1",
        "error_code": "F1002",
        "error_msg": "이미 결제가 이루어진 거래건입니다.",
    }
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")

    assert await callback_of(page) == stand_in.refusal


@pytest.mark.parametrize("sdk", ["/js/iamport.payment-1.1.8.js", "/v1/iamport.js"])
async def test_a_gateway_that_cannot_be_reached_is_a_callback_too(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, sdk: str
) -> None:
    page = await at_shop(context, shop, shop_url, core, sdk=sdk)
    await page.route("**/checkout/payments", lambda route: route.abort())
    await page.click("#pay")

    answer = await callback_of(page)

    assert answer["error_code"] == "F500"
    assert answer["merchant_uid"] == "order-1"
    assert ("success" in answer) is sdk.startswith("/js/")  # the minimal object has no such key


async def test_without_an_order_number_one_is_made(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.evaluate("delete param.merchant_uid; pay()")
    await window_of(page).locator("#pay").wait_for()

    assert stand_in.opened[0]["param"]["merchant_uid"].startswith("nobody_1")
    assert (
        await page.evaluate("'merchant_uid' in param") is False
    )  # the merchant's object is theirs


async def test_parameters_without_end_are_refused_and_the_page_lives_on(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.evaluate("param.custom_data = { }; param.custom_data.self = param; pay()")

    assert (await callback_of(page))["error_code"] == "F400"
    assert stand_in.opened == []


POISON = """<script>
  Object.prototype.popup = true; Object.prototype.each = function () {};
  Array.prototype.toJSON = function () { return "poisoned"; };
  String.prototype.toJSON = function () { return "poisoned"; };
  Object.prototype.get = function () {}; Object.prototype.pgIframeContainer = "poisoned";
  JSON.stringify = JSON.parse = function () { return "poisoned"; };
  window.JSON = { stringify: JSON.stringify, parse: JSON.parse };
</script>"""


async def test_a_page_that_poisoned_its_globals_pays_all_the_same(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, before=POISON)
    # Playwright's own bridge needs the page's JSON, so the page is used by its screen alone.
    await page.get_by_role("button", name="결제하기").click()
    await window_of(page).locator("#pay").click()
    await expect(page.locator(".imp-dialog")).to_have_count(0)

    asked = stand_in.opened[0]
    assert asked["param"] == {
        "pg": "kcp",
        "merchant_uid": "order-1",
        "amount": "1004",
        "name": "물건",
        "pay_method": "card",
    }
    assert stand_in.final["imp_1"]["status"] == "paid"


async def test_every_value_arrives_as_json_would_have_sent_it(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.evaluate(r"""() => {
      param.custom_data = { text: '"\\\n\u0000\u2028😀', list: [1, undefined, null, () => 1, NaN],
        when: new Date(0), nothing: undefined, deep: { a: [{ b: -1.5e-7 }] }, yes: new Boolean(false) };
      window.expected = JSON.stringify(param.custom_data);
      pay();
    }""")
    await window_of(page).locator("#pay").wait_for()

    assert stand_in.opened[0]["param"]["custom_data"] == json.loads(await page.evaluate("expected"))


@pytest.mark.fault("A3_WD")
async def test_a_strangers_message_changes_nothing(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()
    request_id = stand_in.opened[0]["request_id"]
    true_message = {
        "protocol": "naru/1",
        "type": "result",
        "request_id": request_id,
        "imp_uid": "imp_1",
        "result": {"success": True, "imp_uid": "imp_evil"},
    }

    async with serve(Pages({"/": "<!doctype html>evil"}).app()) as evil_url:
        # From the page itself, from a frame of a stranger, and from another window of the gateway.
        await page.evaluate("(message) => postMessage(message, '*')", true_message)
        await page.evaluate(
            """(url) => new Promise((done) => { const frame = document.createElement("iframe");
               frame.id = "evil"; frame.onload = done; frame.src = url; document.body.append(frame); })""",
            evil_url,
        )
        evil = next(frame for frame in page.frames if frame.url.startswith(evil_url))
        await evil.evaluate("(message) => parent.postMessage(message, '*')", true_message)
        await page.evaluate(
            """(url) => new Promise((done) => { const frame = document.createElement("iframe");
               frame.onload = done; frame.src = url; document.body.append(frame); })""",
            f"{core}/users/pg/imp00000000",
        )
        other = next(frame for frame in page.frames if "/users/pg/" in frame.url)
        await other.evaluate("(message) => parent.postMessage(message, '*')", true_message)
        # From the window itself, but of another protocol, another request or another payment.
        window = next(frame for frame in page.frames if "/window/" in frame.url)
        for wrong in (
            {**true_message, "protocol": "naru/2"},
            {**true_message, "request_id": "req_1"},
            {**true_message, "imp_uid": "imp_2"},
            "[object Object]",
            None,
            ["naru/1"],
        ):
            await window.evaluate("(message) => parent.postMessage(message, '*')", wrong)
        await page.wait_for_timeout(200)
        assert await page.evaluate("results") == []

    await window_of(page).locator("#pay").click()
    assert (await callback_of(page))["imp_uid"] == "imp_1"


async def test_a_second_window_ends_the_first_as_a_user_cancel(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()
    await page.evaluate("pay()")

    first = await callback_of(page)
    assert first["imp_uid"] == "imp_1"
    assert "취소" in first["error_msg"]
    assert stand_in.abandoned == [("imp_1", "replaced")]
    assert await page.locator(".imp-dialog").count() == 1

    await window_of(page).locator("#pay").click()
    assert (await callback_of(page, 2))["imp_uid"] == "imp_2"


async def test_two_calls_before_the_gateway_answered_still_end_in_two_callbacks(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.slow_seconds = 0.3
    page = await at_shop(context, shop, shop_url, core)
    await page.evaluate("pay(); pay()")
    await window_of(page).locator("#pay").click()

    await callback_of(page, 2)
    uids = await page.evaluate(
        "results.map((result) => [result.answer.imp_uid, result.answer.success])"
    )
    assert sorted(uids) == [["imp_1", False], ["imp_2", True]]


async def test_the_file_loaded_twice_keeps_the_first(
    context: BrowserContext, shop: Pages, shop_url: str, core: str
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()
    await page.evaluate("window.first = IMP")
    await page.add_script_tag(url=f"{core}/js/iamport.payment-1.1.5.js")

    assert await page.evaluate("IMP === first")
    await page.evaluate("IMP.init('imp00000000'); IMP.init('imp00000000')")
    await window_of(page).locator("#pay").click()
    assert (await callback_of(page))["success"] is True


async def test_the_gateway_is_found_from_a_script_that_was_added_later(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    shop.html["/late"] = "<!doctype html><script>results = []</script><button>x</button>"
    page = await context.new_page()
    await page.goto(f"{shop_url}/late")
    await page.evaluate(
        """async (src) => {
          const tag = document.createElement("script"); tag.src = src + "?v=3"; tag.async = true;
          const loaded = new Promise((done) => { tag.onload = done; }); document.head.append(tag); await loaded;
          IMP.init("imp00000000");
          IMP.request_pay({ pg: "kcp", merchant_uid: "o", amount: 100 }, (answer) => results.push({ answer }));
        }""",
        f"{core}/v1/iamport.js",
    )
    await window_of(page).locator("#pay").click()

    assert (await callback_of(page))["imp_uid"] == "imp_1"
    assert stand_in.opened[0]["generation"] == "new"


async def test_a_page_without_an_origin_can_pay(
    context: BrowserContext, core: str, stand_in: StandIn, tmp_path: Path
) -> None:
    page = await context.new_page()
    # A native WebView loads local HTML; such a page has the origin "null".
    local = tmp_path / "local.html"
    local.write_text("<!doctype html><body>local", encoding="utf-8")
    await page.goto(local.as_uri())
    await page.add_script_tag(url=f"{core}/js/iamport.payment-1.2.0.js")
    await page.evaluate("""() => { window.results = []; IMP.init("imp00000000");
      IMP.request_pay({ pg: "kcp", merchant_uid: "o", amount: 100 }, (answer) => results.push({ answer })); }""")
    await window_of(page).locator("#pay").wait_for()

    assert stand_in.opened[0]["page_url"].startswith("file:")
    await window_of(page).locator("#pay").click()
    assert (await callback_of(page))["success"] is True


async def test_closing_while_the_approval_is_under_way_waits_for_the_truth(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.approval_under_way = 2
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await window_of(page).locator("#ask").click()  # the window itself may ask to be closed
    await page.get_by_role("button", name="그만두기").click()
    await expect(page.get_by_role("status")).to_contain_text("다시 결제하지 마세요")

    answer = await callback_of(page)

    assert answer["status"] == "paid"
    assert stand_in.abandoned == [("imp_1", "closed")]


async def test_deinit_takes_everything_away_and_still_answers_the_callback(
    context: BrowserContext, shop: Pages, shop_url: str, core: str
) -> None:
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()
    await page.evaluate("IMP.deinit()")

    assert await page.locator(".imp-dialog").count() == 0
    assert (await callback_of(page))["success"] is False


async def test_a_tier_travels_with_every_call(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, init='IMP.agency("imp00000000", "AB1");')
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()

    assert stand_in.opened[0]["tier_code"] == "AB1"


# --- popup ---


async def test_a_popup_opens_inside_the_click_and_answers_its_opener(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, pg="payco")
    async with page.expect_popup() as popping:
        await page.click("#pay")
    popup = await popping.value
    await popup.wait_for_url("**/window/imp_1")
    assert stand_in.opened[0]["mode"] == "popup"
    await expect(page.get_by_role("dialog")).to_contain_text("새 창에서 결제를 진행해 주세요.")
    async with popup.expect_event("close"):
        await popup.click("#pay")

    assert (await callback_of(page))["status"] == "paid"
    assert stand_in.abandoned == []


async def test_a_popup_that_the_buyer_closes_is_a_cancel(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, pg="payco")
    async with page.expect_popup() as popping:
        await page.click("#pay")
    popup = await popping.value
    await popup.locator("#pay").wait_for()
    await popup.close()

    assert "취소" in (await callback_of(page))["error_msg"]
    assert stand_in.abandoned == [("imp_1", "closed")]


async def test_a_second_popup_takes_the_place_of_the_first(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, pg="payco")
    async with page.expect_popup() as popping:
        await page.click("#pay")
    await (await popping.value).locator("#pay").wait_for()
    async with page.expect_popup() as popping:
        await page.evaluate("pay()")
    second = await popping.value
    await second.wait_for_url("**/window/imp_2")
    assert "취소" in (await callback_of(page))["error_msg"]
    await second.click("#pay")

    assert (await callback_of(page, 2))["imp_uid"] == "imp_2"


async def test_paypal_sends_the_merchants_page_to_its_return_address(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.result_redirect_url = f"{shop_url}/done?imp_uid=imp_1"
    page = await at_shop(context, shop, shop_url, core, pg="paypal")
    async with page.expect_popup() as popping:
        await page.click("#pay")
    popup = await popping.value
    await popup.click("#pay")
    await page.wait_for_url(f"{shop_url}/done?imp_uid=imp_1")

    assert any("/done?imp_uid=imp_1" in url for url in shop.visited)


BLOCK = """<script>
  window.realOpen = window.open; window.blocked = 1;
  window.open = function () { return window.blocked-- > 0 ? null : realOpen.apply(window, arguments); };
</script>"""


async def test_a_blocked_popup_is_opened_by_the_buyers_own_click(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, pg="payco", before=BLOCK)
    await page.click("#pay")
    await expect(page.get_by_role("status")).to_contain_text("팝업이 차단되어")
    assert await page.get_by_role("button", name="이 창에서 계속하기").count() == 0
    async with page.expect_popup() as popping:
        await page.get_by_role("button", name="결제창 열기").click()
    await (await popping.value).click("#pay")

    assert (await callback_of(page))["imp_uid"] == "imp_1"


async def test_a_blocked_popup_can_go_on_in_the_same_page(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, pg="payco", before=BLOCK)
    await page.evaluate("(url) => { param.m_redirect_url = url; }", f"{shop_url}/done")
    await page.click("#pay")
    await page.get_by_role("button", name="이 창에서 계속하기").click()
    await page.wait_for_url("**/window/imp_2")

    assert stand_in.abandoned == [("imp_1", "popup_blocked")]
    assert stand_in.opened[1]["mode"] == "redirect"


async def test_a_blocked_popup_can_be_given_up(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    page = await at_shop(context, shop, shop_url, core, pg="payco", before=BLOCK)
    await page.click("#pay")
    await page.get_by_role("button", name="결제창 열기").wait_for()
    await page.click(".imp-close")
    await page.get_by_role("button", name="그만두기").click()

    assert (await callback_of(page))["success"] is False


async def test_a_popup_that_was_cut_off_from_its_opener_is_asked_about(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    shop.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    async with serve(shop.app()) as other_url:
        # COOP counts on trustworthy addresses; 127.0.0.1 is one.
        page = await at_shop(context, shop, other_url, core, pg="payco")
        async with context.expect_page() as popping:
            await page.click("#pay")
        popup = await popping.value
        await popup.locator("#pay").wait_for()
        assert await popup.evaluate("window.opener") is None
        await expect(page.get_by_role("status")).to_contain_text("다른 창에서 결제를 마치면")
        await popup.click("#pay")

        assert (await callback_of(page))["status"] == "paid"
        assert stand_in.abandoned == []


# --- mobile ---


async def test_on_a_phone_the_whole_page_goes_to_the_window(
    browser: Browser, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.mode = "redirect"
    context = await browser.new_context(user_agent=PHONE, is_mobile=True)
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await page.wait_for_url("**/window/imp_1")
    assert stand_in.opened[0]["surface"] == "mobile"

    await page.go_back()
    await page.click("#pay")
    await page.wait_for_url("**/window/imp_2")
    await context.close()


async def test_an_iframe_on_a_phone_fills_the_screen(
    browser: Browser, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    context = await browser.new_context(
        user_agent=PHONE, is_mobile=True, viewport={"width": 320, "height": 640}
    )
    page = await at_shop(context, shop, shop_url, core, pg="danal")
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()

    box = await page.locator(".imp-dialog iframe").bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (0, 320)
    assert box["height"] >= 590
    assert "imp-payment-progress" in (await page.locator("body").get_attribute("class") or "")
    await window_of(page).locator("#pay").click()
    assert (await callback_of(page))["success"] is True
    assert "imp-payment-progress" not in (await page.locator("body").get_attribute("class") or "")
    await context.close()


@pytest.mark.parametrize(
    ("given", "path", "kept", "fragment"),
    [
        ("/done", "/done", {}, ""),
        ("/done?a=1&b=2#top", "/done", {"a": ["1"], "b": ["2"]}, "top"),
        ("/done?name=한글", "/done", {"name": ["한글"]}, ""),
    ],
)
async def test_a_failure_on_a_phone_without_a_callback_goes_to_the_return_address(
    browser: Browser,
    shop: Pages,
    shop_url: str,
    core: str,
    given: str,
    path: str,
    kept: dict[str, list[str]],
    fragment: str,
) -> None:
    context = await browser.new_context(user_agent=PHONE, is_mobile=True)
    page = await at_shop(context, shop, shop_url, core)
    await page.route("**/checkout/payments", lambda route: route.abort())
    await page.evaluate(
        "(url) => { param.m_redirect_url = url; IMP.request_pay(param) }", shop_url + given
    )
    await page.wait_for_url(f"{shop_url}{path}?*")

    parts = urlsplit(page.url)
    query = parse_qs(parts.query)
    assert {key: query[key] for key in kept} == kept
    assert query["merchant_uid"] == ["order-1"]
    assert query["imp_success"] == ["false"]
    assert query["error_msg"][0].startswith("결제 창 호출에 실패")
    assert parts.fragment == fragment
    await context.close()


async def test_a_failure_on_a_phone_with_nowhere_to_go_ends_at_the_gateway(
    browser: Browser, shop: Pages, shop_url: str, core: str
) -> None:
    context = await browser.new_context(user_agent=PHONE, is_mobile=True)
    page = await at_shop(context, shop, shop_url, core)
    await page.route("**/checkout/payments", lambda route: route.abort())
    await page.evaluate("param.m_redirect_url = 'javascript:alert(1)'; IMP.request_pay(param)")
    await page.wait_for_url(f"{core}/checkout/fail?*")
    await context.close()


async def test_a_refusal_in_redirect_mode_follows_the_servers_address(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.refusal = {"imp_uid": None, "error_code": "NOT_READY", "error_msg": "x"}
    stand_in.refusal_redirect_url = f"{shop_url}/done?imp_success=false"
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await page.wait_for_url(f"{shop_url}/done?imp_success=false")


async def test_the_channels_decide_a_popup_when_no_pg_is_named(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.channels = [
        {"pg_provider": "paypal", "pg_id": "x", "type": "payment", "channel_key": "channel-key-1"},
        {"pg_provider": "kcp", "pg_id": "T0000", "type": "payment", "channel_key": "channel-key-2"},
    ]
    page = await at_shop(context, shop, shop_url, core, pg="")
    async with page.expect_popup() as popping:
        await page.click("#pay")
    await (await popping.value).wait_for_url("**/window/imp_1")

    await page.evaluate("param.channelKey = 'channel-key-2'; pay()")
    await window_of(page).locator("#pay").wait_for()
    assert [asked["mode"] for asked in stand_in.opened] == ["popup", None]


@pytest.mark.parametrize("under_way", [0, 2], ids=["still open", "being approved"])
async def test_a_gateway_that_dies_under_the_window_leaves_words_and_not_an_error_page(
    context: BrowserContext, shop: Pages, shop_url: str, under_way: int
) -> None:
    """Killed while the frame waits for it. The buyer is told within seconds, and then how it stands."""
    stand_in = StandIn()
    async with serve(stand_in.app()) as core:
        page = await at_shop(context, shop, shop_url, core)
        await page.click("#pay")
        await window_of(page).locator("#pay").wait_for()
        # A page of the PG, while the gateway lives: nothing is laid over it.
        frame = page.frames[-1]
        await frame.goto(f"{shop_url}/pg")
        await page.wait_for_timeout(500)
        await expect(page.get_by_role("status")).to_have_count(0)
        stand_in.approval_under_way = under_way
    with pytest.raises(Error, match="ERR_"):
        await frame.goto(f"{core}/checkout/return/imp_1")
    await expect(page.get_by_role("status")).to_contain_text("다시 결제하지 마세요", timeout=4000)
    assert await page.evaluate("results.length") == 0
    async with serve(stand_in.app(), int(core.rpartition(":")[2])):
        if under_way:
            assert (await callback_of(page))["status"] == "paid"
        else:
            # Nothing was begun: the window is the buyer's again.
            await expect(page.get_by_role("status")).to_have_count(0, timeout=4000)


async def test_a_gateway_that_is_back_before_the_buyer_looks_leaves_no_error_page_either(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    """Killed under an approval and started again at once: whoever asks is answered, the frame is dead."""
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()
    stand_in.approval_under_way = 3
    async with serve(stand_in.app()) as dies:
        pass
    with pytest.raises(Error, match="ERR_"):
        await page.frames[-1].goto(f"{dies}/checkout/return/imp_1")
    await expect(page.get_by_role("status")).to_contain_text("다시 결제하지 마세요", timeout=4000)
    assert (await callback_of(page))["status"] == "paid"


async def test_a_page_of_ours_that_says_so_itself_is_left_in_sight(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    """The done page waits for an outcome: it says hello, and nothing is laid over it."""
    page = await at_shop(context, shop, shop_url, core)
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for()
    stand_in.approval_under_way = 1_000
    await page.frames[-1].goto(f"{core}/window/imp_1?waits")
    await window_of(page).locator("#pay").wait_for()
    await page.wait_for_timeout(1500)
    await expect(page.get_by_role("status")).to_have_count(0)


async def test_a_window_that_never_speaks_is_offered_again(
    context: BrowserContext, shop: Pages, shop_url: str, core: str, stand_in: StandIn
) -> None:
    stand_in.mute = True
    page = await context.new_page()
    await page.clock.install()
    shop.html["/shop"] = shop_page(core)
    await page.goto(f"{shop_url}/shop", wait_until="networkidle")
    await page.click("#pay")
    await window_of(page).locator("#pay").wait_for(state="attached")
    await page.clock.run_for(21_000)
    await expect(page.get_by_role("status")).to_contain_text("결제창이 열리지 않고 있습니다")
    stand_in.mute = False
    await page.get_by_role("button", name="다시 시도").click()
    await window_of(page).locator("#pay").click()
    # The page's clock stands still; the message from the frame arrives in its own time.
    for _ in range(300):
        if await page.evaluate("results.length"):
            break
        await page.clock.run_for(100)

    assert (await page.evaluate("results[0].answer"))["imp_uid"] == "imp_1"

"""IMP.certification in a real browser, with the real gateway, database and identity company."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from naru.domain.certification import Certification, Stage
from tests.checkout.browser import PHONE, Pages, shop_page
from tests.checkout.gate import SHOP, Gate, open_gate
from tests.sandbox.stage import Member
from tests.support.postgres import Databases

pytestmark = pytest.mark.asyncio(loop_scope="session")

NARU = {"name": "김나루", "birth": "900720", "digit": "2", "carrier": "SKT", "phone": "01010000001"}
CHILD = {
    "name": "박소년",
    "birth": "120505",
    "digit": "3",
    "carrier": "LGT",
    "phone": "01010000004",
}
CERTIFY = "window.returned = IMP.certification(param, callback)"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def certifiers(
    databases: Databases, pg_first_start: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gate]:
    """A door whose merchant may have people certified by danal (by default) and by inicis_unified."""
    path = tmp_path_factory.mktemp("certifiers") / "sandbox.sqlite3"
    shutil.copy(pg_first_start, path)
    async with open_gate(databases.new(), path) as gate:
        async with gate.house.gateway.store.begin() as tx:
            for pg_code in ("danal", "inicis_unified"):
                member = Member(gate.pg.url, gate.pg.http, gate.pg.clock, f"id-{pg_code}", "s" * 32)
                await member.join()
                await tx.channels.add(
                    gate.house.merchant.id,
                    f"channel-key-id-{pg_code}",
                    pg_code,
                    member.mid,
                    "sandbox",
                    test=True,
                    settings={"url": gate.pg.url, "secret": member.secret},
                    kind="certification",
                    is_default=pg_code == "danal",
                )
        yield gate


async def certification(gate: Gate, imp_uid: str) -> Certification:
    async with gate.house.gateway.store.direct() as session:
        found = await session.certifications.get(imp_uid)
    assert found is not None
    return found


async def at_shop(
    context: BrowserContext, shop: Pages, shop_url: str, gate: Gate, **param: Any
) -> Page:
    given = {"merchant_uid": "who-1", "pg": "danal"} | param
    shop.html["/shop"] = shop_page(gate.url, init=f"IMP.init('{gate.house.merchant.user_code}');")
    page = await context.new_page()
    await page.goto(f"{shop_url}/shop")
    await page.wait_for_function(
        "performance.getEntriesByType('resource').some((entry) => /users/.test(entry.name))"
    )
    await page.evaluate(
        f"param = {json.dumps(given)}; document.getElementById('pay').onclick = () => {{ {CERTIFY} }}; 0"
    )
    return page


async def popup_of(page: Page) -> Page:
    async with page.expect_popup() as popping:
        await page.click("#pay")
    popup = await popping.value
    await popup.wait_for_url(re.compile("/identity/"))
    return popup


async def say_who(window: Page, person: dict[str, str], how: str = "sms") -> None:
    await window.fill("#person-name", person["name"])
    await window.fill("#birth", person["birth"])
    await window.fill("#gender-digit", person["digit"])
    await window.check(f"input[name=carrier][value={person['carrier']}]", force=True)
    await window.fill("#person-phone", person["phone"])
    await window.check(f"input[name=how][value={how}]", force=True)
    await window.click("#send")


async def last_message(gate: Gate) -> str:
    async with gate.http.get(f"{gate.pg.url}/inbox/messages") as answer:
        text: str = (await answer.json())["messages"][0]["text"]
    return text


async def enter_code(window: Page, gate: Gate) -> None:
    await window.locator("#code").wait_for()
    code = re.search(r"\[(\d{6})\]", await last_message(gate))
    assert code is not None
    await window.fill("#code", code[1])
    await window.click("#confirm")


async def callback_of(page: Page) -> dict[str, Any]:
    await page.wait_for_function("results.length >= 1")
    await page.wait_for_timeout(200)  # a second callback would come now
    results = await page.evaluate("results")
    assert len(results) == 1
    assert results[0]["dialogs"] == 0
    answer: dict[str, Any] = results[0]["answer"]
    return answer


async def test_certified_in_a_popup_at_a_desk(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers, popup=False)
    popup = await popup_of(page)
    dialog = page.get_by_role("dialog", name="본인인증")
    await expect(dialog).to_have_class(re.compile("certification-danal"))
    await say_who(popup, NARU)
    async with popup.expect_event("close"):
        await enter_code(popup, certifiers)

    answer = await callback_of(page)

    assert answer == {
        "success": True,
        "imp_uid": answer["imp_uid"],
        "merchant_uid": "who-1",
        "pg_provider": "danal",
        "pg_type": "certification",
    }
    assert await page.evaluate("returned === undefined")
    found = await certification(certifiers, answer["imp_uid"])
    assert found.stage is Stage.CERTIFIED
    assert found.person is not None
    assert (found.person.name, found.origin) == ("김나루", f"{shop_url}/shop")


async def test_certified_by_the_app_and_unified_certifiers_tell_no_key_of_the_site(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers, pg="inicis_unified")
    popup = await popup_of(page)
    await say_who(popup, NARU, "app")
    await popup.locator(".waiting").wait_for()
    inbox = await context.new_page()
    await inbox.goto(f"{certifiers.pg.url}/inbox")
    async with inbox.expect_popup() as opening:
        await inbox.locator("#messages a").first.click()
    app = await opening.value
    async with popup.expect_event("close"):
        await app.click("[data-agree=true]")
        await expect(app.locator("#said")).to_be_visible()

    answer = await callback_of(page)

    assert answer["success"] is True
    found = await certification(certifiers, answer["imp_uid"])
    assert found.person is not None
    assert found.person.ci is not None
    assert found.person.di is None


async def test_a_phone_leaves_the_page_and_comes_back(
    browser: Browser, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, user_agent=PHONE, has_touch=True, is_mobile=True
    )
    context.set_default_timeout(8000)
    try:
        back = f"{shop_url}/back?keep=1#here"
        page = await at_shop(context, shop, shop_url, certifiers, m_redirect_url=back)
        await page.click("#pay")
        await page.wait_for_url(re.compile("/identity/"))
        await say_who(page, NARU)
        await enter_code(page, certifiers)
        await page.wait_for_url(re.compile(r"/back\?"))

        landed = re.fullmatch(
            re.escape(f"{shop_url}/back?keep=1&imp_uid=")
            + r"(imp_\d{12})&merchant_uid=who-1&success=true#here",
            page.url,
        )

        assert landed is not None, page.url
        assert (await certification(certifiers, landed[1])).stage is Stage.CERTIFIED
    finally:
        await context.close()


async def test_who_cancels_in_the_window_is_told_so(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers, name="김나루", phone="010-1000-0001",
                         carrier="SKT")  # fmt: skip
    popup = await popup_of(page)
    # danal heeds what the page fills in beforehand.
    await expect(popup.locator("#person-name")).to_have_value("김나루")
    await expect(popup.locator("#person-phone")).to_have_value("01010000001")
    await expect(popup.locator("input[name=carrier][value=SKT]")).to_be_checked()
    async with popup.expect_event("close"):
        await popup.click("#cancel")

    answer = await callback_of(page)

    assert (answer["success"], answer["error_code"]) == (False, "USER_CANCEL")
    assert answer["error_msg"] == "사용자가 본인인증을 취소하였습니다."
    found = await certification(certifiers, answer["imp_uid"])
    assert (found.stage, found.prefill, found.origin) == (Stage.FAILED, {}, None)


async def test_who_closes_the_popup_gives_up(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers)
    popup = await popup_of(page)
    await popup.close()

    answer = await callback_of(page)

    assert (answer["success"], answer["error_code"]) == (False, "F400")
    assert (await certification(certifiers, answer["imp_uid"])).stage is Stage.FAILED


async def test_who_closes_the_popup_after_the_last_word_is_certified_all_the_same(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers)
    popup = await popup_of(page)
    # The browser loses the way back: the company has certified, and nobody carries its word.
    await popup.route("**/checkout/certified/**", lambda route: route.abort())
    await say_who(popup, NARU)
    async with popup.expect_event("requestfailed"):
        await enter_code(popup, certifiers)
    await popup.close()

    answer = await callback_of(page)

    assert answer["success"] is True
    assert (await certification(certifiers, answer["imp_uid"])).stage is Stage.CERTIFIED


async def test_five_wrong_codes_end_it(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers)
    popup = await popup_of(page)
    await say_who(popup, NARU)
    await popup.locator("#code").wait_for()
    right = re.search(r"\[(\d{6})\]", await last_message(certifiers))
    assert right is not None
    wrong = f"{(int(right[1]) + 1) % 10**6:06d}"
    for left in (4, 3, 2, 1):
        await popup.fill("#code", wrong)
        await popup.click("#confirm")
        await expect(popup.locator("#trouble [lang=ko]")).to_have_text(
            f"인증번호가 일치하지 않습니다. (남은 횟수 {left}회)"
        )
    await popup.fill("#code", wrong)
    await popup.click("#confirm")
    await expect(popup.locator("#ending")).to_contain_text("5회")
    async with popup.expect_event("close"):
        await popup.click("#back")

    answer = await callback_of(page)

    assert (answer["success"], answer["error_code"]) == (False, "TOO_MANY_TRIES")


@pytest.mark.parametrize("pg", ["danal", "inicis_unified"])
async def test_min_age_is_danals(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate, pg: str
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers, pg=pg, min_age=19)
    popup = await popup_of(page)
    await say_who(popup, CHILD)
    if pg == "danal":
        await expect(popup.locator("#ending [lang=ko]")).to_have_text(
            "만 19세 이상만 인증할 수 있습니다."
        )
        await popup.click("#back")
    else:
        await enter_code(popup, certifiers)

    answer = await callback_of(page)

    assert answer["success"] is (pg != "danal")
    assert answer.get("error_code") == ("UNDER_AGE" if pg == "danal" else None)


async def test_a_blocked_popup_is_opened_by_a_press_or_left_for_a_redirect(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers, m_redirect_url=f"{shop_url}/back")
    await page.evaluate("window.realOpen = window.open; window.open = () => null; 0")
    await page.click("#pay")
    dialog = page.get_by_role("dialog", name="본인인증")
    await expect(dialog).to_contain_text("팝업이 차단되어")
    await page.evaluate("window.open = window.realOpen; 0")
    async with page.expect_popup() as popping:
        await dialog.get_by_role("button", name="인증창 열기").click()
    popup = await popping.value
    await popup.wait_for_url(re.compile("/identity/"))
    await popup.close()
    assert (await callback_of(page))["success"] is False

    await page.evaluate("results.length = 0; window.open = () => null; 0")
    await page.click("#pay")
    await dialog.get_by_role("button", name="이 창에서 계속하기").click()
    await page.wait_for_url(re.compile("/identity/"))
    await page.click("#cancel")
    await page.wait_for_url(re.compile(r"/back\?imp_uid=imp_\d+&merchant_uid=who-1&success=false"))


async def test_without_parameters_there_is_an_alert_and_false(
    context: BrowserContext, shop: Pages, shop_url: str, certifiers: Gate
) -> None:
    page = await at_shop(context, shop, shop_url, certifiers)

    assert await page.evaluate("IMP.certification()") is False
    assert await page.evaluate("alerts") == ["결제요청 파라메터가 누락되었습니다."]


# Without a browser: what strangers send.


def body(gate: Gate, **param: Any) -> dict[str, Any]:
    asked = gate.body({})
    asked["param"] = {"merchant_uid": "who-1"} | param
    return asked | {"page_url": f"{SHOP}/join?step=2"}


async def post(
    gate: Gate, asked: dict[str, Any], origin: str | None = SHOP
) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "text/plain"} | ({} if origin is None else {"Origin": origin})
    async with gate.http.post(
        f"{gate.url}/checkout/certifications", data=json.dumps(asked), headers=headers
    ) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("changes", "param", "origin", "status", "code"),
    [
        ({}, {}, "https://evil.example", 403, "F400"),
        ({}, {}, None, 403, "F400"),
        ({"user_code": "imp99999999"}, {}, SHOP, 404, "NOT_READY"),
        ({}, {"channelKey": "channel-key-nobody"}, SHOP, 400, "NOT_READY"),
        ({}, {"merchant_uid": "x" * 41}, SHOP, 400, "F400"),
        ({}, {"min_age": "old"}, SHOP, 400, "F400"),
        ({}, {"m_redirect_url": "https://evil.example/"}, SHOP, 400, "F400"),
        ({"surface": "mobile"}, {}, SHOP, 400, "F400"),
        ({"param": None}, {}, SHOP, 400, "F400"),
    ],
)
async def test_what_is_refused_leaves_no_row(
    certifiers: Gate,
    changes: dict[str, Any],
    param: dict[str, Any],
    origin: str | None,
    status: int,
    code: str,
) -> None:
    before = await count(certifiers)
    asked = body(certifiers, **param) | changes

    got, answer = await post(certifiers, asked, origin)

    assert (got, answer["error"]["error_code"]) == (status, code)
    assert answer["error"]["success"] is False
    assert answer["error"]["error_msg"]
    assert await count(certifiers) == before


async def count(gate: Gate) -> int:
    connection = await asyncpg.connect(gate.house.dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM certifications"))
    finally:
        await connection.close()


async def opened(gate: Gate, **param: Any) -> dict[str, Any]:
    status, answer = await post(gate, body(gate, **param))
    assert status == 200, answer
    return answer


async def identity_window(gate: Gate, opened_: dict[str, Any]) -> str:
    url = opened_["window_url"].replace("/certification/", "/certification-enter/")
    async with gate.http.get(url, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]


async def certify(gate: Gate, opened_: dict[str, Any]) -> dict[str, Any]:
    """A person in the company's window; the form that the company gives to the browser."""
    window = await identity_window(gate, opened_)
    headers = {"Origin": gate.pg.url}
    person = {"name": "김나루", "birth": "900720", "gender_digit": "2", "carrier": "SKT",
              "mvno": False, "phone": "01010000001", "how": "sms"}  # fmt: skip
    async with gate.http.post(f"{window}/person", json=person, headers=headers) as answer:
        assert (await answer.json())["ok"]
    code = re.search(r"\[(\d{6})\]", await last_message(gate))
    assert code is not None
    async with gate.http.post(f"{window}/code", json={"code": code[1]}, headers=headers) as answer:
        form: dict[str, Any] = (await answer.json())["return_form"]
    return form


async def result(gate: Gate, opened_: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    url = f"{gate.url}/checkout/certifications/{opened_['imp_uid']}/result"
    async with gate.http.get(url, params={"token": token or opened_["token"]}) as answer:
        told: dict[str, Any] = await answer.json()
        return told


async def test_a_forged_or_borrowed_return_changes_nothing(certifiers: Gate) -> None:
    mine, other = await opened(certifiers), await opened(certifiers)
    form = await certify(certifiers, mine)
    stolen = f"{certifiers.url}/checkout/certified/{other['imp_uid']}"
    forged = [
        (form["action"], form["fields"] | {"status": "certified", "signature": "0" * 64}),
        (form["action"], form["fields"] | {"code": "X"}),
        (form["action"], {}),
        (stolen, form["fields"]),
    ]

    for action, fields in forged:
        async with certifiers.http.post(action, data=fields, allow_redirects=False) as answer:
            assert answer.status == 400
    assert (await result(certifiers, mine))["state"] == "open"
    assert (await result(certifiers, other))["state"] == "open"
    async with certifiers.http.post(
        form["action"], data=form["fields"], allow_redirects=False
    ) as answer:
        assert answer.status == 303
    assert (await result(certifiers, mine))["result"]["success"] is True


async def test_only_who_opened_it_hears_how_it_stands(certifiers: Gate) -> None:
    one, other = await opened(certifiers), await opened(certifiers)

    assert (await result(certifiers, one))["state"] == "open"
    assert (await result(certifiers, one, other["token"]))["state"] == "unknown"
    assert (await result(certifiers, one, "x"))["state"] == "unknown"


async def test_a_company_that_is_silent_leaves_doubt_and_not_failure(certifiers: Gate) -> None:
    mine = await opened(certifiers)
    form = await certify(certifiers, mine)
    house, key = certifiers.house, "channel-key-id-danal"
    async with house.gateway.store.direct() as session:
        channel = await session.channels.by_key(key)
    assert channel is not None
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    silent = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with house.gateway.store.begin() as tx:
        await tx.channels.change_settings(channel.id, dict(channel.settings) | {"url": silent})
    try:
        async with certifiers.http.post(form["action"], data=form["fields"]) as answer:
            page = await answer.text()
        assert "본인인증 결과를 확인하고 있습니다" in page
        assert (await result(certifiers, mine))["state"] == "checking"
    finally:
        async with house.gateway.store.begin() as tx:
            await tx.channels.change_settings(channel.id, dict(channel.settings))
        listener.close()

    assert (await result(certifiers, mine))["result"]["success"] is True


async def test_the_page_that_asked_is_believed_as_far_as_the_browser_agrees(
    certifiers: Gate,
) -> None:
    true = await opened(certifiers)
    asked = body(certifiers) | {"page_url": "https://other.example/page"}
    _, lying = await post(certifiers, asked)

    assert (await certification(certifiers, true["imp_uid"])).origin == f"{SHOP}/join?step=2"
    assert (await certification(certifiers, lying["imp_uid"])).origin == SHOP


async def test_a_window_that_nobody_finishes_is_over_after_half_an_hour(certifiers: Gate) -> None:
    mine = await opened(certifiers)
    window = await identity_window(certifiers, mine)
    certifiers.pg.clock.ahead += 1_801
    certifiers.house.clock.advance(seconds=1_801)
    try:
        async with certifiers.http.post(
            f"{window}/code", json={"code": "123456"}, headers={"Origin": certifiers.pg.url}
        ) as answer:
            said = await answer.json()
    finally:
        certifiers.pg.clock.ahead -= 1_801
        certifiers.house.clock.advance(seconds=-1_801)

    assert said["code"] == "SESSION_EXPIRED"
    assert said["return_form"]["fields"]["status"] == "failed"

"""Every `pg` code in existing code just works: window mode, currency, and the shape of the answer.

The loop speaks HTTP for the browser, to go through all codes; a browser pays by one of each kind.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Playwright, expect

from naru.domain.pg_profile import PROFILES, Mode, PgProfile, Shape
from naru.sandbox.cards import CARD_BY_ID, DEMO_ACCOUNT, MPI_PASSWORD
from tests.checkout.browser import Pages, serve, shop_page
from tests.journeys.buyer import Way, by_mpi, by_phone, by_pin, by_wallet
from tests.journeys.conftest import PHONE
from tests.sandbox.stage import Json, Member, Window
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

RETURN = "http://127.0.0.1:9/landing"
NEEDED = {"digital": False, "buyer_tel": "010-4242-4242", "buyer_name": "홍길동"}
NEEDED |= {"buyer_email": "gildong@example.com"}


def param_for(manners: PgProfile, **changes: Any) -> Json:
    """What a merchant of this PG gives to request_pay."""
    return {
        "pg": f"{manners.pg_code}.{manners.mid}",
        "pay_method": manners.methods[0],
        "merchant_uid": f"code{secrets.token_hex(8)}",
        "name": "나루 우산",
        "amount": 1004,
        "m_redirect_url": RETURN,
        **NEEDED,
        **changes,
    }


async def open_window(
    parties: Parties, param: Json, *, surface: str = "pc", generation: str = "old"
) -> tuple[int, Json]:
    """What the SDK asks of the gateway."""
    body = {
        "user_code": "imp00000000",
        "tier_code": None,
        "param": param,
        "page_url": f"{parties.shop}/cart",
        "surface": surface,
        "mode": None,
        "generation": generation,
        "request_id": f"req_{secrets.token_hex(4)}",
    }
    async with parties.http.post(
        f"{parties.gateway}/checkout/payments",
        data=json.dumps(body),
        headers={"Origin": parties.shop, "Content-Type": "text/plain;charset=UTF-8"},
    ) as answer:
        return answer.status, await answer.json()


async def authenticate(parties: Parties, opened: Json) -> str:
    """Go through the PG's window as its page does; where the browser is sent in the end."""
    enter = opened["window_url"].replace("/checkout/window/", "/checkout/enter/")
    async with parties.http.get(enter, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        window_id = answer.headers["Location"].rsplit("/", 1)[1]
    async with parties.http.get(f"{parties.sandbox}/window/{window_id}/context") as answer:
        kind = (await answer.json())["order"]["method_kind"]
    pg = Member(parties.sandbox, parties.http, lambda: 0.0, "", "")
    window = Window(pg, {}, window_id)
    if kind == "card":
        card = CARD_BY_ID["mpi-shinhan"]
        proof = {"card_number": card.number, "expiry": card.expiry, "cvc": card.cvc}
        finished = await window.ok("/mpi", proof | {"password": MPI_PASSWORD})
    elif kind == "trans":
        finished = await window.ok("/trans", dict(DEMO_ACCOUNT))
    elif kind == "phone":
        await window.ok("/phone/code", {"carrier": "KT", "number": "01042424242"})
        finished = await window.ok("/phone/answer", {"code": await parties.sms_code()})
    else:
        finished = await window.ok("/wallet")
    form = finished["return_form"]
    async with parties.http.post(
        form["action"], data=form["fields"], allow_redirects=False
    ) as answer:
        assert answer.status == 303, await answer.text()
        done = answer.headers["Location"]
    async with parties.http.get(done, allow_redirects=False) as answer:
        return answer.headers.get("Location", "")


async def told(parties: Parties, opened: Json) -> Json:
    url = f"{parties.gateway}/checkout/payments/{opened['imp_uid']}/result"
    async with parties.http.get(url, params={"token": opened["token"]}) as answer:
        content: Json = await answer.json()
        return content


@pytest.mark.parametrize("manners", PROFILES.values(), ids=PROFILES.keys())
async def test_a_pg_code_has_the_manners_of_its_pg(manners: PgProfile, parties: Parties) -> None:
    for surface, expected in (("pc", manners.pc), ("mobile", manners.mobile)):
        status, opened = await open_window(parties, param_for(manners), surface=surface)
        assert status == 200, opened
        if surface == "mobile" and manners.mobile_by_redirect_url:
            expected = Mode.REDIRECT  # an m_redirect_url is given
        assert opened["mode"] == expected

    for generation in ("old", "new"):
        param = param_for(manners)
        _, opened = await open_window(parties, param, generation=generation)
        left_for = await authenticate(parties, opened)
        ended = await told(parties, opened)
        result = ended["result"]
        payment = await parties.kit.payment(opened["imp_uid"])

        assert (payment.status, payment.pg_provider) == ("paid", manners.pg_code)
        assert payment.currency == manners.currency
        assert payment.amount == 1004
        if generation == "new" and manners.shape is Shape.MINIMAL:
            assert sorted(result) == ["imp_uid", "merchant_uid"]
        else:
            assert (result["success"], result["paid_amount"]) == (True, 1004)
            assert result["pg_provider"] == manners.pg_code
        assert result["merchant_uid"] == param["merchant_uid"]
        goes = manners.redirect_result or manners.pc is Mode.REDIRECT
        assert bool(ended["redirect_url"]) == goes
        assert bool(left_for) == (manners.pc is Mode.REDIRECT)
        if goes:
            query = parse_qs(urlsplit(ended["redirect_url"]).query)
            assert query["imp_uid"] == [opened["imp_uid"]]


@pytest.mark.parametrize(
    ("pg_code", "currency"),
    [(each.pg_code, currency) for each in PROFILES.values() for currency in each.refuses_currency],
)
async def test_a_pg_that_cannot_take_a_currency_refuses_it(
    pg_code: str, currency: str, parties: Parties
) -> None:
    param = param_for(PROFILES[pg_code], currency=currency)
    status, answer = await open_window(parties, param)
    assert status == 400
    assert currency in answer["error"]["error_msg"]
    assert await parties.payments(param["merchant_uid"]) == ()


@pytest.mark.parametrize(
    ("pg_code", "name"),
    [(each.pg_code, name) for each in PROFILES.values() for name in each.required],
)
async def test_a_parameter_that_a_pg_needs_is_asked_for_by_name(
    pg_code: str, name: str, parties: Parties
) -> None:
    param = param_for(PROFILES[pg_code])
    del param[name]
    status, answer = await open_window(parties, param)
    assert status == 400
    assert name in answer["error"]["error_msg"]


# (pg in the merchant's code, device, SDK file, how the buyer proves who they are)
OLD, NEW = "/js/iamport.payment-1.1.8.js", "/v1/iamport.js"
KINDS = [
    pytest.param("html5_inicis.INIpayTest", "pc", OLD, by_pin, id="iframe"),
    pytest.param("tosspayments", "pc", NEW, by_mpi, id="iframe, minimal answer"),
    pytest.param("payco", "pc", OLD, by_wallet, id="popup"),
    pytest.param("naverpay", "pc", OLD, by_wallet, id="redirect at a desk"),
    pytest.param("danal", "mobile", OLD, by_phone, id="iframe on a phone"),
    pytest.param("paypal_v2", "mobile", NEW, by_wallet, id="popup on a phone"),
]


@pytest.mark.parametrize(("pg", "surface", "sdk", "way"), KINDS)
async def test_existing_code_pays_in_the_window_that_its_pg_opens(
    browser: Browser,
    playwright: Playwright,
    parties: Parties,
    pg: str,
    surface: str,
    sdk: str,
    way: Way,
) -> None:
    manners = PROFILES[pg.partition(".")[0]]
    mode = manners.pc if surface == "pc" else manners.mobile
    device = playwright.devices[PHONE] if surface == "mobile" else {}
    context = await browser.new_context(**device, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    site = Pages()
    async with serve(site.app()) as origin:
        param = param_for(manners, pg=pg, m_redirect_url=f"{origin}/landing")
        init = f"IMP.init('imp00000000'); Object.assign(param, {json.dumps(param)});"
        site.html["/shop"] = shop_page(parties.gateway, sdk=sdk, pg=pg, init=init)
        page = await context.new_page()
        async with page.expect_response(re.compile("/users/pg/")):
            await page.goto(f"{origin}/shop")
        if mode is Mode.POPUP:
            async with page.expect_popup() as popping:
                await page.click("#pay")
            popup = await popping.value
            await popup.wait_for_url(re.compile(re.escape(parties.sandbox)))
            await way(parties, popup)
        else:
            await page.click("#pay")
            layer = page.frame_locator("iframe.imp-frame")
            await way(parties, page if mode is Mode.REDIRECT else layer)

        if mode is Mode.REDIRECT:
            await page.wait_for_url(re.compile(re.escape(f"{origin}/landing?imp_uid=")))
            answer: Json = {k: v[0] for k, v in parse_qs(urlsplit(page.url).query).items()}
            assert answer.pop("imp_success") == "true"
        else:
            await page.wait_for_function("results.length === 1")
            answer = (await page.evaluate("results"))[0]["answer"]
            await expect(page.locator(".imp-dialog")).to_have_count(0)
        if mode is Mode.REDIRECT or (sdk == NEW and manners.shape is Shape.MINIMAL):
            assert sorted(answer) == ["imp_uid", "merchant_uid"]
        else:
            assert (answer["success"], answer["paid_amount"]) == (True, 1004)
        assert answer["merchant_uid"] == param["merchant_uid"]
        payment = await parties.kit.payment(answer["imp_uid"])
        assert (payment.status, payment.pg_provider) == ("paid", manners.pg_code)
        minor = 1004 * (100 if manners.currency == "USD" else 1)
        assert await parties.book(param["merchant_uid"]) == [("charge", minor)]
    await context.close()

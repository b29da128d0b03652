"""The door itself: what it opens, what it refuses, what it sends along."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from yarl import URL

from naru import checkout
from naru.domain.payment import Step
from naru.store import Store
from tests.checkout.browser import serve
from tests.checkout.gate import SHOP, Gate
from tests.support.postgres import Databases

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_opened_payment_is_answered_to_its_own_site_only(gate: Gate) -> None:
    body = gate.body({"amount": "1004", "channelKey": None})
    status, answer, headers = await gate.post(body)

    assert status == 200
    assert sorted(answer) == ["imp_uid", "merchant_uid", "mode", "token", "window_url"]
    assert answer["mode"] == "iframe"
    assert headers["Access-Control-Allow-Origin"] == SHOP
    assert headers["Vary"] == "Origin"
    payment = await gate.payment(answer)
    assert payment.step is Step.OPENED
    assert payment.page_origin == SHOP
    assert payment.amount.minor == 1004
    assert payment.request_id == "req_1_abc"


async def test_the_opening_page_says_who_sells_what_for_how_much(gate: Gate) -> None:
    opened = await gate.open({"name": "<script>alert(1)</script>"})
    async with gate.http.get(opened["window_url"]) as answer:
        html, headers = await answer.text(), answer.headers

    assert "당근상점" in html
    assert "1,004원" in html
    assert "테스트 결제" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert f"frame-ancestors {SHOP}" in policy
    assert "'unsafe-inline'" not in policy
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Taking you to the payment window."),
        ("zh", "正在前往支付窗口。"),
        ("ja", "決済画面へ移動しています。"),
        ("jp", "決済画面へ移動しています。"),
        ("fr", "결제창으로 이동하고 있습니다."),
        (7, "결제창으로 이동하고 있습니다."),
    ],
)
async def test_the_pages_speak_the_language_that_was_asked(
    gate: Gate, language: Any, words: str
) -> None:
    opened = await gate.open({"language": language})
    async with gate.http.get(opened["window_url"]) as answer:
        assert words in await answer.text()


@pytest.mark.fault("A3_WD")
async def test_only_a_layers_page_may_be_framed(gate: Gate) -> None:
    popup = await gate.open({"pg": "payco"}, mode="popup")
    redirect = await gate.open(surface="mobile")
    for opened in (popup, redirect):
        async with gate.http.get(opened["window_url"]) as answer:
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Frame-Options"] == "DENY"
    async with gate.http.get(popup["window_url"]) as answer:
        assert "Cross-Origin-Opener-Policy" not in answer.headers  # it must reach its opener
    async with gate.http.get(redirect["window_url"]) as answer:
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"


async def test_a_page_without_an_origin_may_pay_when_the_merchant_allows_it(own_gate: Gate) -> None:
    status, answer, headers = await own_gate.post(own_gate.body(), origin="null")
    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == "null"
    async with own_gate.http.get(answer["window_url"]) as page:
        assert "frame-ancestors" not in page.headers["Content-Security-Policy"]
        assert '"page_origin": "*"' in await page.text()

    await own_gate.house.set_merchant(allowed_origins=("loopback",))
    status, answer, _ = await own_gate.post(own_gate.body(), origin="null")
    assert status == 403


@pytest.mark.fault("A2_WD")
@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "https://evil.example",
        "http://localhost.evil.example",
        "http://localhost:80; frame-ancestors *",
        "http://localhost@evil.example",
        "http://localhost/",
        "javascript:alert(1)",
        "http://127.0.0.1:1 http://evil.example",
        "HTTP://LOCALHOST",
    ],
)
async def test_a_site_that_is_not_registered_opens_nothing(gate: Gate, origin: str | None) -> None:
    before = await gate.count()
    status, answer, _ = await gate.post(gate.body(), origin=origin)

    assert status == 403
    assert answer["error"]["error_code"] == "F400"
    assert "등록되어" in answer["error"]["error_msg"]
    assert await gate.count() == before


BAD_PARAMS: list[tuple[dict[str, Any], str]] = [
    ({"amount": None}, "결제금액"),
    ({"amount": 0}, "결제금액"),
    ({"amount": -1}, "결제금액"),
    ({"amount": "-100"}, "결제금액"),
    ({"amount": 100.5}, "소수"),
    ({"amount": "１００"}, "결제금액"),
    ({"amount": "1e3"}, "결제금액"),
    ({"amount": "0x10"}, "결제금액"),
    ({"amount": ""}, "결제금액"),
    ({"amount": "NaN"}, "결제금액"),
    ({"amount": True}, "숫자"),
    ({"amount": [100]}, "숫자"),
    ({"amount": {"minor": 1}}, "숫자"),
    ({"amount": 10**13}, "결제금액"),
    ({"amount": 10**30}, "읽을 수 없습니다"),
    ({"tax_free": 2000}, "결제금액"),
    ({"vat_amount": 2000}, "vat_amount"),
    ({"currency": "XXX"}, "통화"),
    ({"currency": 410}, "currency"),
    ({"currency": "KR\x00"}, "읽을 수 없습니다"),
    ({"merchant_uid": ""}, "merchant_uid"),
    ({"merchant_uid": "x" * 41}, "merchant_uid"),
    ({"merchant_uid": "a\nb"}, "merchant_uid"),
    ({"merchant_uid": {"$ne": 1}}, "merchant_uid"),
    ({"merchant_uid": None}, "merchant_uid"),
    ({"pay_method": "cash"}, "결제수단"),
    ({"pay_method": "pinpay"}, "PG사(kcp)에서 지원하지 않는 결제수단(pinpay)"),
    ({"pay_method": ["card"]}, "pay_method"),
    ({"pg": {"a": 1}}, "pg"),
    ({"pg": "kcp'; drop table"}, "pg"),
    ({"channelKey": 7}, "channelKey"),
    ({"name": {"toString": "x"}}, "name"),
    ({"buyer_tel": [1]}, "buyer_tel"),
    ({"buyer_email": True}, "buyer_email"),
    ({"m_redirect_url": "https://evil.example/"}, "m_redirect_url"),
    ({"m_redirect_url": "javascript:alert(1)"}, "m_redirect_url"),
    ({"m_redirect_url": "//evil.example"}, "m_redirect_url"),
    ({"m_redirect_url": "http://localhost@evil.example/"}, "m_redirect_url"),
    ({"m_redirect_url": "http://localhost\\@evil.example/"}, "m_redirect_url"),
    ({"m_redirect_url": "http://localhost/\r\nSet-Cookie: a=b"}, "m_redirect_url"),
    ({"m_redirect_url": "http://localhost/" + "x" * 3000}, "m_redirect_url"),
    ({"m_redirect_url": ["http://localhost/"]}, "m_redirect_url"),
    ({"notice_url": "https://evil.example/hook"}, "notice_url"),
    ({"notice_url": ["https://hook.example/a", "http://10.0.0.1/"]}, "notice_url"),
    ({"notice_url": ["https://hook.example/a"] * 6}, "notice_url"),
    ({"notice_url": {"url": 1}}, "notice_url"),
    ({"confirm_url": "https://evil.example/yes"}, "confirm_url"),
    ({"app_scheme": "intent"}, "app_scheme"),
    ({"app_scheme": "javascript:alert(1)"}, "app_scheme"),
    ({"customer_uid": "c" * 81}, "customer_uid"),
    ({"customer_uid": ["someone"]}, "customer_uid"),
    ({"customer_uid": "some\none"}, "customer_uid"),
    ({"customer_uid": "someone", "pg": "ksnet"}, "빌링키"),
    ({"vbank_due": "tomorrow"}, "vbank_due"),
    ({"vbank_due": "20200101"}, "vbank_due"),
    ({"pg": "danal", "pay_method": "phone"}, "digital"),
    ({"custom_data": "nul\x00"}, "읽을 수 없습니다"),
    ({"name": "\ud800"}, "읽을 수 없습니다"),
    ({"unknown\x00key": 1}, "읽을 수 없습니다"),
    ({"custom_data": json.loads("[" * 40 + "]" * 40)}, "읽을 수 없습니다"),
]


@pytest.mark.fault("A2_WD")
@pytest.mark.promise("P9")
@pytest.mark.parametrize(("param", "word"), BAD_PARAMS)
async def test_bad_parameters_are_refused_in_one_sentence(
    gate: Gate, param: dict[str, Any], word: str
) -> None:
    error = await gate.refuse(param)

    assert error["success"] is False
    assert error["imp_uid"] is None
    assert error["error_code"] == "F400"
    assert word in error["error_msg"]


@pytest.mark.parametrize(
    "changes",
    [
        {"user_code": None},
        {"user_code": "imp\x00"},
        {"user_code": "x" * 100},
        {"param": None},
        {"param": []},
        {"param": "x"},
        {"surface": "tv"},
        {"surface": ["pc"]},
        {"mode": "window"},
        {"mode": {}},
        {"generation": None},
        {"generation": []},
        {"request_id": None},
        {"request_id": "<script>"},
        {"request_id": 7},
        {"tier_code": 7},
        {"tier_code": "ABC"},
    ],
)
async def test_a_bad_envelope_is_refused(gate: Gate, changes: dict[str, Any]) -> None:
    assert (await gate.refuse(None, **changes))["error_code"] == "F400"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b"{", 400),
        (b'{"param":{"amount":1,"amount":2}}', 400),
        (b'{"param":{"amount":NaN}}', 400),
        (b'{"param":{"amount":1e999}}', 400),
        (b'{"param":{"amount":' + b"9" * 6000 + b"}}", 400),
        (b"[" * 60_000, 400),
        (b'{"a":"' + b"x" * 70_000 + b'"}', 413),
        (b"x" * 10_000_000, 413),
    ],
)
async def test_a_body_that_is_no_json_is_refused(gate: Gate, raw: bytes, expected: int) -> None:
    status, answer, _ = await gate.post_raw(raw)

    assert status == expected
    assert answer["error"]["error_code"] == "F400"


async def test_long_fields_are_cut_and_unknown_ones_are_kept(gate: Gate) -> None:
    opened = await gate.open(
        {
            "buyer_name": "가" * 50,
            "buyer_tel": 1012345678,
            "buyer_email": "e" * 100,
            "buyer_addr": "주소\n" * 100,
            "buyer_postcode": "0" * 20,
            "name": "이름\x07" + "n" * 200,
            "brand_new_key": {"kept": [1, "둘"]},
            "notice_url": ["https://hook.example/a", "https://hook.example/a"],
            "confirm_url": "https://hook.example/confirm",
            "m_redirect_url": "http://detectchangingwebview/iamport/rn",
            "app_scheme": "narushop://",
            "escrow": "true",
            "custom_data": {"a": [1]},
        }
    )
    payment = await gate.payment(opened)

    buyer = payment.buyer
    assert buyer.name == "가" * 16
    assert buyer.tel == "1012345678"
    assert buyer.email is not None
    assert len(buyer.email) == 64
    assert buyer.addr is not None
    assert len(buyer.addr) <= 128
    assert "\n" not in buyer.addr
    assert buyer.postcode == "0" * 8
    assert payment.name is not None
    assert payment.name.startswith("이름 nnn")
    assert payment.request["brand_new_key"] == {"kept": [1, "둘"]}
    assert payment.webhook_urls == ("https://hook.example/a",)
    assert payment.confirm_url == "https://hook.example/confirm"
    assert payment.return_url == "http://detectchangingwebview/iamport/rn"
    assert payment.app_scheme == "narushop"
    assert payment.escrow is True
    assert payment.custom_data == '{"a":[1]}'


async def test_an_order_is_paid_once(gate: Gate) -> None:
    opened = await gate.open({"merchant_uid": "once"})
    second = await gate.open({"merchant_uid": "once"})  # two windows may be open
    await gate.pay(opened)

    status, answer, _ = await gate.post(gate.body({"merchant_uid": "once"}))
    assert status == 400
    assert answer["error"]["error_code"] == "F1002"
    assert answer["error"]["error_msg"] == "이미 결제가 이루어진 거래건입니다."
    await gate.pay(second)
    assert (await gate.result(second))["result"]["error_code"] == "F1002"
    assert (await gate.payment(second)).step is Step.FAILED


async def test_a_refusal_in_redirect_mode_names_the_return_address(gate: Gate) -> None:
    body = gate.body(
        {"amount": -1, "m_redirect_url": "http://localhost:7001/done?a=1#f"}, surface="mobile"
    )
    status, answer, _ = await gate.post(body)
    assert status == 400
    url = URL(answer["redirect_url"])
    assert url.query["imp_success"] == "false"
    assert url.query["error_code"] == "F400"
    assert url.query["a"] == "1"
    assert url.fragment == "f"

    body["param"]["m_redirect_url"] = "https://evil.example/"
    status, answer, _ = await gate.post(body)
    assert (status, answer["redirect_url"]) == (400, None)
    status, answer, _ = await gate.post(body, origin="https://evil.example")
    assert (status, answer["redirect_url"]) == (403, None)


async def test_no_channel_and_no_merchant_are_not_ready(gate: Gate) -> None:
    status, answer, _ = await gate.post(gate.body(user_code="imp00000042x"))
    assert (status, answer["error"]["error_code"]) == (404, "NOT_READY")
    error = await gate.refuse({"channelKey": "channel-key-of-nobody"})
    assert error["error_code"] == "NOT_READY"
    assert error["error_msg"] == "등록 된 PG 설정 정보를 찾을 수 없습니다."


async def test_the_new_file_speaks_the_minimal_shape_for_new_modules(gate: Gate) -> None:
    status, answer, _ = await gate.post(
        gate.body({"pg": "tosspayments", "amount": 0}, generation="new")
    )
    assert status == 400
    assert sorted(answer["error"]) == ["error_code", "error_msg", "imp_uid", "merchant_uid"]


async def test_the_mode_is_the_pgs_and_the_devices(gate: Gate) -> None:
    async def mode(param: dict[str, Any], **changes: Any) -> str:
        found: str = (await gate.open(param, **changes))["mode"]
        return found

    back = {"m_redirect_url": "http://localhost:7001/done"}
    assert await mode({"pg": "kcp"}) == "iframe"
    assert await mode({"pg": "kcp"}, surface="mobile") == "redirect"
    assert await mode({"pg": "payco"}) == "popup"
    assert await mode({"pg": "payco"}, surface="mobile") == "iframe"
    assert await mode({"pg": "payco", "popup": True}, surface="mobile") == "popup"
    assert await mode({"pg": "payco", "popup": "true"}, surface="mobile") == "iframe"
    assert await mode({"pg": "payco"} | back, mode="redirect") == "redirect"
    assert await mode({"pg": "payco"}, mode="redirect") == "popup"
    assert await mode({"pg": "no-such-pg"}) == "iframe"


@pytest.mark.parametrize("reason", ["closed", "replaced"])
async def test_abandoning_is_a_user_cancel(gate: Gate, reason: str) -> None:
    opened = await gate.open()
    assert (await gate.result(opened))["state"] == "open"
    told = await gate.abandon(opened, reason)

    assert told["state"] == "final"
    assert told["result"]["error_msg"] == "[결제포기] 사용자가 결제를 취소하셨습니다"
    assert (await gate.payment(opened)).step is Step.FAILED
    assert await gate.abandon(opened, reason) == told


async def test_a_blocked_popup_is_said_in_i_mports_words(gate: Gate) -> None:
    opened = await gate.open({"pg": "payco"}, mode="popup")
    told = await gate.abandon(opened, "popup_blocked")

    assert told["result"]["error_code"] == "NOT READY"
    assert told["result"]["error_msg"] == "팝업을 호출하는데 실패하였습니다."


async def test_a_paid_payment_cannot_be_abandoned(gate: Gate) -> None:
    opened = await gate.open()
    await gate.pay(opened)
    told = await gate.abandon(opened)

    assert told["state"] == "final"
    assert told["result"]["success"] is True
    assert (await gate.payment(opened)).step is Step.PAID


@pytest.mark.fault("B1_RO")
async def test_an_abandoned_payment_is_not_approved_any_more(gate: Gate) -> None:
    opened = await gate.open()
    form = await gate.authenticate(opened)
    await gate.abandon(opened)
    await gate.come_back(form)

    assert (await gate.payment(opened)).step is Step.FAILED
    assert "approved" not in await gate.house.history(opened["imp_uid"])


@pytest.mark.parametrize("token", ["", "x", "0" * 40, "가", "\x00", "x" * 5000])
async def test_without_the_windows_token_nothing_is_told_and_nothing_changes(
    gate: Gate, token: str
) -> None:
    opened, other = await gate.open(), await gate.open()

    for wrong in (token, other["token"]):
        assert (await gate.result(opened, wrong))["state"] == "unknown"
        assert (await gate.abandon(opened, token=wrong))["state"] == "unknown"
        url = URL(opened["window_url"]).with_query(token=wrong)
        assert (await gate.http.get(url)).status == 404
    assert (await gate.payment(opened)).step is Step.OPENED


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x",
        b"[]",
        b'{"token":7,"reason":"closed"}',
        b'{"reason":"closed"}',
        b"\xff",
        b"{" * 70_000,
    ],
)
async def test_a_bad_abandon_changes_nothing(gate: Gate, raw: bytes) -> None:
    opened = await gate.open()
    url = f"{gate.url}/checkout/payments/{opened['imp_uid']}/abandon"
    assert (await gate.http.post(url, data=raw)).status == 400
    told = await gate.abandon(opened, "because")
    assert told["state"] == "unknown"
    assert (await gate.payment(opened)).step is Step.OPENED


async def test_the_channels_are_v1s_own(gate: Gate) -> None:
    async with gate.http.get(f"{gate.url}/users/pg/{gate.house.merchant.user_code}") as answer:
        content = await answer.json()
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert content["code"] == 0
    assert content["msg"] is None
    first = content["data"][0]
    assert first["pg_provider"] == "kcp"
    assert sorted(first) == [
        "channel_key",
        "pg_id",
        "pg_provider",
        "sandbox",
        "store_id",
        "type",
    ]
    assert "secret" not in json.dumps(content)
    for unknown in ("imp99999999", "%00", "x" * 200, f"{gate.house.merchant.user_code}?tier=AAA"):
        url = URL(f"{gate.url}/users/pg/{unknown}", encoded=True)
        async with gate.http.get(url) as answer:
            content = await answer.json()
            assert (answer.status, content["code"], content["data"]) == (404, -1, [])


SDK_PATHS = {
    "/js/iamport.payment-1.1.2.js": "old",
    "/js/iamport.payment-1.1.8.js": "old",
    "/js/iamport.payment-1.2.0.js": "old",
    "/js/iamport.payment-1.2.0-anything.js": "old",
    "/v1/iamport.js": "new",
}


@pytest.mark.parametrize(("path", "generation"), SDK_PATHS.items())
async def test_the_sdk_is_served_on_every_path_of_i_mport(
    gate: Gate, path: str, generation: str
) -> None:
    async with gate.http.get(gate.url + path, headers={"Accept-Encoding": "identity"}) as answer:
        plain, headers = await answer.text(), answer.headers
    assert f'var GENERATION = "{generation}";' in plain
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Cache-Control"] == "public, max-age=300"
    again = {"If-None-Match": headers["ETag"]}
    assert (await gate.http.get(gate.url + path, headers=again)).status == 304


async def test_the_sdk_stays_small_and_arrives_compressed(gate: Gate) -> None:
    headers = {"Accept-Encoding": "gzip"}
    async with gate.http.get(f"{gate.url}/v1/iamport.js", headers=headers) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert int(answer.headers["Content-Length"]) < 15 * 1024
        assert (await answer.text()).startswith("// Naru")


async def test_every_page_is_strict_and_sets_no_cookie(gate: Gate) -> None:
    opened = await gate.open()
    done_url = await gate.pay(opened)
    other = await gate.open()
    pages = [
        other["window_url"],
        done_url,
        f"{gate.url}/checkout/fail?error_msg=<b>anybody</b>",
        f"{gate.url}/checkout/done/imp_000000000000?proof=x",
        f"{gate.url}/checkout/return/{other['imp_uid']}",
    ]
    for url in pages:
        async with gate.http.get(url, allow_redirects=False) as answer:
            html = await answer.text()
            headers = answer.headers
            assert "anybody" not in html
            assert "Set-Cookie" not in headers
            assert headers["Cache-Control"] == "no-store"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["X-Content-Type-Options"] == "nosniff"
            policy = headers["Content-Security-Policy"]
            for source in (
                "default-src 'none'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors ",
            ):
                assert source in policy
            assert 'name="viewport"' in html
            assert '<html lang="ko">' in html


async def test_two_pages_never_share_a_nonce(gate: Gate) -> None:
    opened = await gate.open()
    policies = {
        (await gate.http.get(opened["window_url"])).headers["Content-Security-Policy"]
        for _ in range(3)
    }
    assert len(policies) == 3


@pytest.mark.fault("A2_DB", "A2_NP", "A3_DB", "A3_NP")
async def test_without_a_database_the_door_says_so(own_gate: Gate, databases: Databases) -> None:
    opened = await own_gate.open()
    databases.drop(own_gate.house.dsn)

    status, answer, _ = await own_gate.post(own_gate.body())
    assert status == 503
    assert answer["error"]["error_code"] == "F500"
    async with own_gate.http.get(opened["window_url"]) as page:
        assert page.status == 503
        assert "지금은 결제를 진행할 수 없습니다." in await page.text()


async def test_a_person_who_opens_the_gateway_is_told_where_it_is_spoken_to(gate: Gate) -> None:
    async with gate.http.get(f"{gate.url}/") as answer:
        html, headers = await answer.text(), answer.headers

    assert answer.status == 200
    public = gate.house.gateway.public_url
    for address in (
        f"{public}/v1/iamport.js",
        f"{public}/js/iamport.payment-1.2.0.js",
        public,
    ):
        assert f">{address}</code>" in html.replace("<wbr>", "")
    # Whose gateway it is and which merchants it serves is nobody's business.
    assert gate.house.merchant.name not in html
    assert gate.house.merchant.user_code not in html
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


async def test_the_front_page_says_so_when_the_database_is_away(gate: Gate) -> None:
    nowhere = Store("postgresql://nobody@127.0.0.1:1/none", 1)
    routes = checkout.routes(replace(gate.house.gateway, store=nowhere))
    async with serve(Starlette(routes=routes)) as url, gate.http.get(f"{url}/") as answer:
        html = await answer.text()

    assert answer.status == 503
    assert "데이터베이스에 닿지 못하고 있습니다" in html

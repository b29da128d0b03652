"""The shop over real HTTP: its three doors for payments, its pages, and rude visitors."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks

from tests.shop.conftest import FORM, RunningShop, serve_shop, settings_for
from tests.support.stand_in_gateway import StandInGateway, hangs_up

SUCCESS = {"status": "success", "message": "일반 결제 성공"}
ACCOUNT = {"status": "vbankIssued", "message": "가상계좌 발급 성공"}
FORGERY = {"status": "forgery", "message": "위조된 결제시도"}
SECRET = "whsec_" + base64.b64encode(b"a secret of this test only, 32 b").decode()


def tip(shop: RunningShop, imp_uid: str, merchant_uid: str, status: str, **headers: str) -> int:
    body = json.dumps({"imp_uid": imp_uid, "merchant_uid": merchant_uid, "status": status})
    headers = {"Content_Type": "application/json"} | headers
    return shop.ask("POST", "/payments/webhook", body.encode(), **headers).status


def land(shop: RunningShop, query: str) -> tuple[int, str]:
    answer = shop.ask("GET", f"/payments/complete?{query}")
    return answer.status, answer.headers.get("location", "")


def test_the_order_number_is_ours_and_the_price_too(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    number = shop.place(quantity="2", amount="1", price="1", merchant_uid="mine")

    order = shop.orders.find(number)
    assert order is not None
    assert (order.amount_minor, order.currency) == (129_800, "KRW")
    assert re.fullmatch(r"NR-[0-9A-HJKMNP-TV-Z]{26}", number)
    assert gateway.prepared[number]["amount"] == 129_800


def test_order_numbers_are_never_the_same_and_grow_with_time(shop: RunningShop) -> None:
    numbers = [shop.place() for _ in range(3)]

    assert len(set(numbers)) == 3


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_report_in_json_or_form_is_answered_in_the_documents_words(
    gateway: StandInGateway, shop: RunningShop, content_type: str
) -> None:
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)
    body = (
        json.dumps({"imp_uid": imp_uid, "merchant_uid": order})
        if content_type == "application/json"
        else f"imp_uid={imp_uid}&merchant_uid={order}"
    )

    answer = shop.ask("POST", "/payments/complete", body.encode(), Content_Type=content_type)

    assert (answer.status, answer.json()) == (200, SUCCESS)
    assert shop.status(order) == "paid"


def test_the_documents_jquery_report_is_understood(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    order = shop.place()

    assert shop.report(gateway.pay(order, 64_900), order) == (200, SUCCESS)


def test_a_virtual_account_is_stored_shown_and_told_by_text_message(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    order = shop.place()
    imp_uid = gateway.issue_account(order, 64_900)

    assert shop.report(imp_uid, order) == (200, ACCOUNT)
    assert tip(shop, imp_uid, order, "ready") == 200

    page = shop.ask("GET", f"/orders/{order}").data.decode()
    assert all(part in page for part in ("신한은행", "56211105948400", "2029-12-31 (월) 23:59 KST"))
    assert len(shop.inbox.sent) == 1
    assert "56211105948400" in shop.ask("GET", "/inbox").data.decode()


def test_the_robbery_of_the_documents_own_server_fails_here(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    """Pay 1,004 for carrots, then tell the shop that it was for the chair."""
    carrots, chair = shop.place(product="carrots"), shop.place()
    imp_uid = gateway.pay(carrots, 1_004)

    assert shop.report(imp_uid, chair) == (400, FORGERY)
    assert tip(shop, imp_uid, chair, "paid") == 400
    assert land(shop, f"imp_uid={imp_uid}&merchant_uid={chair}&imp_success=true")[0] == 400
    assert (shop.status(carrots), shop.status(chair)) == ("placed", "placed")


@pytest.mark.promise("P5")
def test_a_webhook_of_a_payment_that_the_shop_did_not_order_is_heard_and_a_forged_one_refused(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    """The merchant's server charges by billing key, too: its webhooks come to the same address."""
    order = shop.place()
    theirs = gateway.pay("again-by-the-server", 64_900)

    assert tip(shop, theirs, "again-by-the-server", "paid") == 200
    assert tip(shop, theirs, order, "paid") == 400
    assert tip(shop, "imp_000000000000", "again-by-the-server", "paid") == 400
    assert shop.report(theirs, "again-by-the-server")[0] == 400
    assert shop.status(order) == "placed"


def test_a_failed_payment_of_the_right_amount_is_not_success_at_any_door(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    order = shop.place()
    imp_uid = gateway.fail(order, 64_900)

    status, told = shop.report(imp_uid, order)
    landed = land(shop, f"imp_uid={imp_uid}&merchant_uid={order}&imp_success=true")

    assert (status, told) == (400, {"status": "failed", "message": "한도초과(3011)"})
    assert tip(shop, imp_uid, order, "paid") == 200
    assert landed == (303, f"/orders/{order}")
    assert shop.status(order) == "placed"
    assert "한도초과(3011)" in shop.ask("GET", f"/orders/{order}").data.decode()


@pytest.mark.fault("E2_WD")
@pytest.mark.promise("P5")
def test_another_price_is_a_forgery(gateway: StandInGateway, shop: RunningShop) -> None:
    order = shop.place()

    assert shop.report(gateway.pay(order, 100), order) == (400, FORGERY)
    assert shop.status(order) == "placed"


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
def test_a_browser_cannot_borrow_a_strangers_payment(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    """The stranger's order number does not leak into the answer either."""
    theirs, mine = shop.place(), shop.place()
    imp_uid = gateway.pay(theirs, 64_900)

    answer = shop.ask("GET", f"/payments/complete?imp_uid={imp_uid}&merchant_uid={mine}")

    assert answer.status == 400
    assert theirs not in answer.data.decode()
    assert shop.status(mine) == "placed"


@pytest.mark.fault("E1_DU", "E1_RO")
def test_webhook_first_report_first_or_all_at_once_ends_the_same(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)

    with ThreadPoolExecutor(9) as threads:
        reports = [threads.submit(shop.report, imp_uid, order) for _ in range(3)]
        tips = [threads.submit(tip, shop, imp_uid, order, "paid") for _ in range(3)]
        query = f"imp_uid={imp_uid}&merchant_uid={order}&imp_success=true"
        landings = [threads.submit(land, shop, query) for _ in range(3)]

    assert {one.result()[0] for one in reports} == {200}
    assert {one.result() for one in tips} == {200}
    assert {one.result() for one in landings} == {(303, f"/orders/{order}")}
    stored = shop.orders.find(order)
    assert stored is not None
    assert (stored.status, stored.imp_uid) == ("paid", imp_uid)


@pytest.mark.fault("E2_NP", "E2_LQ")
@pytest.mark.promise("L3")
def test_a_gateway_that_is_down_is_a_503_and_the_webhook_brings_it_later(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)
    gateway.faults = [hangs_up] * 9

    assert tip(shop, imp_uid, order, "paid") == 503
    assert shop.report(imp_uid, order)[0] == 202
    landed = land(shop, f"imp_uid={imp_uid}&merchant_uid={order}&imp_success=true")
    assert landed == (303, f"/orders/{order}?checking=1")
    assert "다시 결제하지 마세요" in shop.ask("GET", landed[1]).data.decode()
    assert shop.status(order) == "placed"

    assert tip(shop, imp_uid, order, "paid") == 200
    assert shop.status(order) == "paid"


def test_a_tip_that_knows_more_than_the_gateway_is_asked_to_come_again(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900, status="ready")

    assert tip(shop, imp_uid, order, "paid") == 503
    assert shop.report(imp_uid, order)[0] == 202


@pytest.mark.fault("E1_LQ")
@pytest.mark.promise("L3")
def test_a_lost_callback_is_found_by_asking(gateway: StandInGateway, shop: RunningShop) -> None:
    order = shop.place()
    gateway.pay(order, 64_900)

    answer = shop.ask("POST", f"/orders/{order}/check")

    assert (answer.status, answer.headers["location"]) == (303, f"/orders/{order}")
    assert shop.status(order) == "paid"


def test_a_window_that_never_opened_lands_in_the_shops_own_words_with_a_way_back(
    shop: RunningShop,
) -> None:
    order = shop.place()
    query = (
        f"imp_uid=&merchant_uid={order}&imp_success=false&error_msg=%3Cb%3EPG%20%EC%98%A4%EB%A5%98"
    )

    answer = shop.ask("GET", f"/payments/complete?{query}")

    page = answer.data.decode()
    assert answer.status == 200
    assert "결제가 완료되지 않았습니다" in page
    assert 'id="trouble">' in page
    # Whoever made this link wrote its words: they are shown to nobody.
    assert "PG 오류" not in page.replace("&lt;b&gt;", "")
    assert 'id="pay"' in page


def test_an_order_that_another_window_is_paying_is_checked_and_not_tried_again(
    shop: RunningShop,
) -> None:
    order = shop.place()
    query = f"imp_uid=&merchant_uid={order}&imp_success=false&error_code=F1002&error_msg=x"

    assert land(shop, query) == (303, f"/orders/{order}?checking=1")


def test_a_redirect_with_only_the_order_number_goes_to_the_order(shop: RunningShop) -> None:
    order = shop.place()

    assert land(shop, f"merchant_uid={order}") == (303, f"/orders/{order}?checking=1")


def test_play_money_is_refused_by_a_shop_that_is_not_a_demo(
    gateway: StandInGateway, tmp_path: Path
) -> None:
    with serve_shop(settings_for(gateway.url, tmp_path, allow_sandbox=False)) as strict:
        order = strict.place()
        assert strict.report(gateway.pay(order, 64_900, sandbox=True), order) == (400, FORGERY)
        assert strict.report(gateway.pay(order, 64_900, sandbox=False), order) == (200, SUCCESS)
        assert strict.ask("GET", "/inbox").status == 404


@pytest.mark.fault("E1_WD")
def test_with_a_secret_only_a_signed_webhook_is_obeyed(
    gateway: StandInGateway, tmp_path: Path
) -> None:
    with serve_shop(settings_for(gateway.url, tmp_path, webhook_secret=SECRET)) as shop:
        order = shop.place()
        imp_uid = gateway.pay(order, 64_900)
        body = json.dumps({"imp_uid": imp_uid, "merchant_uid": order, "status": "paid"})
        now = datetime.now(UTC)
        signature = {
            "webhook_id": "msg_1",
            "webhook_timestamp": str(int(now.timestamp())),
            "webhook_signature": standardwebhooks.Webhook(SECRET).sign("msg_1", now, body),
        }

        assert tip(shop, imp_uid, order, "paid") == 401
        assert shop.status(order) == "placed"
        assert tip(shop, imp_uid, order, "paid", **signature) == 200
        assert shop.status(order) == "paid"


HOSTILE_BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"\x00",
    b'{"imp_uid": 7}',
    b'{"imp_uid": "imp_1\\u0000", "merchant_uid": "x"}',
    b'{"imp_uid": "../../x", "merchant_uid": "x"}',
    b'{"imp_uid": "imp_1", "merchant_uid": "\\ud800"}',
    b'{"imp_uid": ["imp_1"], "merchant_uid": {}}',
    b"[" * 50_000,
    b"imp_uid=%FF",
    b"imp_uid=imp_1&imp_uid=imp_2",
]


@pytest.mark.parametrize("door", ["/payments/complete", "/payments/webhook"])
@pytest.mark.parametrize("body", HOSTILE_BODIES)
def test_a_hostile_body_is_a_clear_400(shop: RunningShop, door: str, body: bytes) -> None:
    answer = shop.ask("POST", door, body, Content_Type="application/json")

    assert answer.status == 400
    assert answer.json()["status"] == "error"


@pytest.mark.parametrize("door", ["/payments/complete", "/payments/webhook", "/orders"])
def test_ten_megabytes_are_refused(shop: RunningShop, door: str) -> None:
    assert shop.ask("POST", door, b"a" * 10_000_000).status == 413


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/products/gold", 404),
        ("/orders/NR-UNKNOWN", 404),
        ("/orders/%FF%00", 404),
        ("/orders/x/state", 404),
        ("/order?product=gold", 404),
        ("/order?product=chair&quantity=0", 400),
        ("/order?product=chair&quantity=-1", 400),
        ("/order?product=chair&quantity=1e9", 400),
        ("/order?product=chair&quantity=%D9%A3", 400),
        ("/order?product=chair&quantity=999999999999999999999", 400),
        ("/payments/complete", 400),
        ("/payments/complete?imp_uid=imp_1", 400),
        ("/payments/complete?imp_uid=%00&merchant_uid=%FF", 400),
        ("/payments/complete?imp_uid=..%2F..&merchant_uid=x", 400),
        ("/samples/../app.html", 404),
        ("/samples/base.html", 404),
        ("/static/../app.py", 404),
        ("/?lang=xx", 200),
        ("/?lang=en&next=//evil.example", 200),
    ],
)
def test_strange_addresses_are_answered_plainly(shop: RunningShop, path: str, status: int) -> None:
    assert shop.ask("GET", path).status == status


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "x" * 17},
        {"name": "a\x00b"},
        {"tel": "call me"},
        {"tel": "0" * 40},
        {"email": "nobody"},
        {"addr": "x" * 129},
        {"postcode": "123456789"},
    ],
)
def test_a_wrong_field_keeps_the_form_and_names_the_field(
    shop: RunningShop, changes: dict[str, str]
) -> None:
    answer = shop.form("/orders", **(FORM | changes))

    (field,) = changes
    assert answer.status == 422
    assert f'href="#field-{field}"' in answer.data.decode()


def test_what_a_buyer_types_is_text_and_never_markup(shop: RunningShop) -> None:
    order = shop.place(addr="</script><script>alert(1)</script>")

    assert "<script>alert" not in shop.ask("GET", f"/orders/{order}").data.decode()


def test_another_browser_sees_the_order_but_not_who_ordered(shop: RunningShop) -> None:
    order = shop.place()
    mine = shop.ask("GET", f"/orders/{order}").data.decode()
    shop.cookies.clear()

    theirs = shop.ask("GET", f"/orders/{order}").data.decode()

    assert "010-4242-4242" in mine
    assert not any(secret in theirs for secret in ("010-4242-4242", "홍길동", "gildong"))
    assert order not in shop.ask("GET", "/orders").data.decode()


def test_my_orders_lists_what_this_browser_ordered(shop: RunningShop) -> None:
    orders = [shop.place(), shop.place(product="notebook")]

    page = shop.ask("GET", "/orders").data.decode()

    assert all(order in page for order in orders)
    assert "$12.50" in page


def test_english_is_one_click_away_and_stays(shop: RunningShop) -> None:
    assert 'lang="en"' in shop.ask("GET", "/?lang=en").data.decode()[:60]
    assert "Norwegian swivel chair" in shop.ask("GET", "/products/chair").data.decode()
    assert 'lang="ko"' in shop.ask("GET", "/?lang=ko").data.decode()[:60]


@pytest.mark.fault("E1_DB", "E3_DB")
def test_a_database_that_refuses_is_a_503_and_not_a_crash(
    gateway: StandInGateway, shop: RunningShop, tmp_path: Path
) -> None:
    order = shop.place()
    imp_uid = gateway.pay(order, 64_900)
    with sqlite3.connect(tmp_path / "shop.sqlite3") as database:
        database.execute("ALTER TABLE orders RENAME TO hidden")

    assert tip(shop, imp_uid, order, "paid") == 503
    assert shop.ask("GET", f"/orders/{order}").status == 503

    with sqlite3.connect(tmp_path / "shop.sqlite3") as database:
        database.execute("ALTER TABLE hidden RENAME TO orders")
    assert tip(shop, imp_uid, order, "paid") == 200


def test_every_page_forbids_foreign_scripts_and_frames(shop: RunningShop) -> None:
    policy = shop.ask("GET", "/").headers["content-security-policy"]

    assert "'unsafe-inline'" not in policy
    assert "frame-ancestors 'none'" in policy


# The requirement's sample.html, with its two addresses cut out (each left as an empty src).
SAMPLE_SHA256 = "9cc31d618e6e71f61e92630a443d2e594f1fce2e03453e74bf081de3c75689f1"


def test_the_documents_sample_is_served_as_written_but_for_two_addresses(
    gateway: StandInGateway, shop: RunningShop
) -> None:
    page = shop.ask("GET", "/samples/sample.html").data.decode()

    scripts = re.findall(r'src="([^"]*)"', page)
    bare = re.sub(r'src="[^"]*"', 'src=""', page)
    assert hashlib.sha256(bare.encode()).hexdigest() == SAMPLE_SHA256
    assert scripts == [
        "/static/vendor/jquery-1.12.4.min.js",
        f"{gateway.url}/js/iamport.payment-1.2.0.js",
    ]


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("jquery-1.12.4.min.js", b"jquery.org/license"),
        ("react-18.3.1.production.min.js", b"MIT license"),
        ("react-dom-18.3.1.production.min.js", b"MIT license"),
        ("vue-3.5.45.global.prod.js", b"@license MIT"),
    ],
)
def test_a_vendored_library_is_served_with_its_licence(
    shop: RunningShop, name: str, licence: bytes
) -> None:
    answer = shop.ask("GET", f"/static/vendor/{name}")

    assert answer.status == 200
    assert licence in answer.data[:400]

"""The shop in a real browser, with the stand-in's SDK: what a buyer sees and does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.shop.conftest import RunningShop
from tests.support.stand_in_gateway import StandInGateway, hangs_up

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The machine's own browser when it has one, else the one Playwright brought.
        named = os.environ.get("NARU_CHROMIUM")
        own = named or shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=own, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.set_default_timeout(15_000)
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    yield page
    context.close()
    assert mistakes == []


def order(page: Page, shop: RunningShop, product: str = "chair") -> str:
    """From the front page to the order, as a buyer goes. Returns the order number."""
    page.goto(shop.url)
    page.locator(f"a[href='/products/{product}']").click()
    page.get_by_role("button", name="바로 구매").click()
    page.get_by_role("button", name="주문하고 결제하기").click()
    number = page.get_by_test_id("order").get_attribute("data-order")
    assert number is not None
    return number


def test_a_buyer_pays_and_reads_that_it_is_paid(
    gateway: StandInGateway, shop: RunningShop, page: Page
) -> None:
    number = order(page, shop)
    page.get_by_role("button", name="64,900원 결제하기").click()

    expect(page.get_by_role("heading", name="결제가 완료되었습니다")).to_be_visible()
    assert shop.status(number) == "paid"
    page.get_by_role("link", name="내 주문").click()
    expect(page.get_by_text("결제 완료")).to_be_visible()


def test_a_refused_card_shows_the_pgs_words_and_the_next_try_pays(
    gateway: StandInGateway, shop: RunningShop, page: Page
) -> None:
    order(page, shop)
    gateway.window = "failed"
    page.locator("#pay").click()
    expect(page.get_by_role("alert")).to_contain_text("한도초과(3011)")

    gateway.window = "paid"
    page.get_by_label("카카오페이").check()
    page.locator("#pay").click()

    expect(page.get_by_role("heading", name="결제가 완료되었습니다")).to_be_visible()


def test_a_window_that_does_not_open_says_why(
    gateway: StandInGateway, shop: RunningShop, page: Page
) -> None:
    order(page, shop)
    gateway.window = "closed"
    page.locator("#pay").click()

    expect(page.get_by_role("alert")).to_contain_text("결제창을 열 수 없습니다.")
    expect(page.locator("#pay")).to_be_enabled()


def test_a_tampered_amount_is_told_and_not_paid(
    gateway: StandInGateway, shop: RunningShop, page: Page
) -> None:
    number = order(page, shop)
    gateway.window = "tampered"
    page.locator("#pay").click()

    expect(page.get_by_role("alert")).to_contain_text("위조된 결제시도")
    assert shop.status(number) == "placed"


def test_an_account_is_shown_and_the_page_turns_by_itself_when_money_comes(
    gateway: StandInGateway, shop: RunningShop, page: Page
) -> None:
    number = order(page, shop)
    page.get_by_label("가상계좌").check()
    page.locator("#pay").click()
    expect(page.locator("#account-number")).to_have_text("56211105948400")
    (imp_uid,) = gateway.payments

    gateway.deposit(imp_uid)
    assert shop.report(imp_uid, number)[0] == 200  # stands for the webhook

    expect(page.get_by_role("heading", name="결제가 완료되었습니다")).to_be_visible()


def test_while_the_gateway_is_away_the_page_says_do_not_pay_again_and_then_knows(
    gateway: StandInGateway, shop: RunningShop, page: Page
) -> None:
    order(page, shop)
    # Any request after the window's own: the token is cached, so these are the questions.
    page.route("**/payments/complete", lambda route: (arm(gateway), route.continue_()))
    page.locator("#pay").click()

    expect(page.get_by_text("다시 결제하지 마세요")).to_be_visible()
    gateway.faults = []
    expect(page.get_by_role("heading", name="결제가 완료되었습니다")).to_be_visible(timeout=15_000)


def arm(gateway: StandInGateway) -> None:
    gateway.faults = [hangs_up] * 100


def test_a_foreign_price_is_paid_in_dollars(
    gateway: StandInGateway, shop: RunningShop, page: Page
) -> None:
    order(page, shop, "notebook")
    expect(page.get_by_label("PayPal")).to_be_checked()
    page.get_by_role("button", name="$12.50").click()

    expect(page.get_by_role("heading", name="결제가 완료되었습니다")).to_be_visible()
    (payment,) = gateway.payments.values()
    assert (payment["amount"], payment["currency"]) == (12.5, "USD")


@pytest.mark.parametrize("language", ["ko", "en"])
def test_nothing_is_cut_off_at_320_pixels(
    gateway: StandInGateway, shop: RunningShop, page: Page, language: str
) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    number = order(page, shop)
    page.get_by_label("가상계좌").check()
    page.locator("#pay").click()
    expect(page.locator("#account-number")).to_be_visible()
    page.goto(f"{shop.url}/?lang={language}")
    paths = ("/", "/products/chair", "/order?product=chair", "/orders", "/inbox", "/samples")

    widths = {}
    for path in (*paths, f"/orders/{number}"):
        page.goto(shop.url + path)
        widths[path] = page.evaluate("document.documentElement.scrollWidth")

    assert max(widths.values()) <= 320, widths


@pytest.mark.parametrize(
    ("sample", "merchant_uid", "amount"),
    [
        ("sample", "57008833-33004", 1004),
        ("react", "ORD20180131-0000011", 64_900),
        ("vue", "ORD20180131-0000011", 64_900),
    ],
)
def test_the_documents_samples_pay_with_the_real_libraries(
    gateway: StandInGateway,
    shop: RunningShop,
    page: Page,
    sample: str,
    merchant_uid: str,
    amount: int,
) -> None:
    page.goto(f"{shop.url}/samples/{sample}.html")
    with page.expect_console_message(lambda message: message.type == "log") as said:
        page.get_by_role("button", name="결제하기").click()

    result = said.value.args[0].json_value()
    assert result["success"] is True
    assert gateway.payments[result["imp_uid"]]["merchant_uid"] == merchant_uid
    assert gateway.payments[result["imp_uid"]]["amount"] == amount
    assert {"sample": "jQuery", "react": "React", "vue": "Vue"}[sample] in page.evaluate(
        "['jQuery', 'React', 'Vue'].filter(name => window[name])"
    )

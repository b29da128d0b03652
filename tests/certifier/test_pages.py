"""The shop's own page in a real browser: what holds, what breaks, and what cannot be tried.

Every attack has a shop here that it breaks, beside one that it does not.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from naru.certifier import browser
from naru.certifier.attacks.pages import PAGES
from naru.certifier.certify import Certifier
from naru.testing.private_gateway import PrivateGateway
from tests.certifier.odd_stage import broken_in, certifying, odd
from tests.support.scale import often

PAID = {
    "page-honest": {"A"},
    "page-honest-phone": {"A"},
    "page-order-cheaper": {"B"},
    "page-double-click": {"A"},
    "page-gone": {"A"},
    "page-closed-window": {"A"},
}
ATTACKS = {attack.name: attack for attack in PAGES.attacks}


@pytest.fixture(scope="module")
def correct(private_gateway: PrivateGateway) -> Iterator[Certifier]:
    with certifying(private_gateway, "by_hand_flask") as certifier:
        yield certifier


# Correct shops with a page meet every attack in test_verdicts.py, too.
@pytest.mark.parametrize("name", list(ATTACKS)[: often(2, len(ATTACKS))])
def test_a_correct_shop_holds(correct: Certifier, name: str) -> None:
    outcome = correct.attack(ATTACKS[name])
    assert broken_in(outcome) == set()
    assert outcome.warnings == ()
    assert {order.name for order in outcome.orders if order.status == "paid"} == PAID.get(
        name, set()
    )
    told = [each.title for each in outcome.tape if each.title.endswith("/payments/complete")]
    # The page itself told the server; on a phone the browser came back; or nobody did.
    by = {"page-honest-phone": "GET", "page-gone": "nobody"}.get(name, "POST")
    assert set(told) == ({f"{by} /payments/complete"} if by != "nobody" else set())


def test_a_shop_that_believes_its_page(private_gateway: PrivateGateway) -> None:
    lies = {
        "page-amount-changed": "A",
        "page-currency-changed": "A",
        "page-order-cheaper": "A",
        "page-order-dearer": "A",
    }
    with certifying(private_gateway, "trusts_browser") as certifier:
        for name in list(lies)[: often(2, 4)]:
            outcome = certifier.attack(ATTACKS[name], shorten=False)
            assert broken_in(outcome) == {(lies[name], "paid-in-full")}, name


def test_a_page_that_writes_failures_down_for_good(correct: Certifier) -> None:
    with odd(correct, kind="hasty") as certifier:
        twice = certifier.attack(ATTACKS["page-double-click"], shorten=False)
        assert broken_in(twice) == {("A", "money-gets-goods")}
        # Two windows were opened: one was paid, and the page was told that the other one failed.
        assert sum(each.title == "let go" for each in twice.tape) == 1
        closed = certifier.attack(ATTACKS["page-closed-window"], shorten=False)
        assert broken_in(closed) == {("A", "money-gets-goods")}
        assert broken_in(certifier.attack(ATTACKS["page-honest"])) == set()


def test_a_shop_that_waits_for_its_page(private_gateway: PrivateGateway) -> None:
    with certifying(private_gateway, "callback_only") as certifier:
        gone = certifier.attack(ATTACKS["page-gone"], shorten=False)
        assert broken_in(gone) == {("A", "money-gets-goods")}


def test_nothing_of_a_browser_that_is_gone_reaches_the_shop(correct: Certifier) -> None:
    def heard_for(name: str) -> float:
        """How long after the approval the page sent the last word that the shop has heard, in s."""
        approved: list[float] = []
        ended = threading.Event()

        def answered() -> set[tuple[str, str]]:
            had = correct.stage._browser
            visitors = list(had._contexts.values()) if had is not None else []
            return {each.approval for each in visitors if each.approval in each.answered}

        before = answered()

        def watch() -> None:
            while not approved and not ended.wait(0.001):
                if answered() - before:
                    approved.append(time.time())

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            with odd(correct, kind="loud") as certifier:
                certifier.attack(ATTACKS[name], shorten=False)
        finally:
            ended.set()
            watching.join()
        last = urllib3.request("GET", f"{correct.stage.shop.url}/odd/heard", timeout=5).json()
        return float(last["at"]) / 1000 - approved[0]

    # The control: a page that lives on is heard.
    assert heard_for("page-honest") > 0
    for _ in range(often(1, 10)):
        assert heard_for("page-gone") <= 0


@pytest.mark.parametrize(
    ("kind", "name"),
    [("silent", "page-honest"), ("no-return", "page-honest-phone")][: often(1, 2)],
)
def test_a_page_that_tells_nobody(
    correct: Certifier, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    # Nothing comes, however long one waits.
    monkeypatch.setattr(browser, "REPORT_SECONDS", 1.0)
    with odd(correct, kind=kind, webhook=False) as certifier:
        outcome = certifier.attack(ATTACKS[name], shorten=False)
    assert broken_in(outcome) == {("A", "money-gets-goods")}
    assert "did not tell its server" in outcome.warnings[0].en


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("no-button", "page-honest", "shows no button #pay"),
        ("outside", "page-honest", "the page asked for cdn.example.com"),
        ("own", "page-amount-changed", "does not call IMP.request_pay of window.IMP"),
    ],
)
def test_a_page_that_cannot_be_tried_does_not_pass(
    correct: Certifier, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, words: str
) -> None:
    monkeypatch.setattr(browser, "PAGE_SECONDS", 2.0)
    with odd(correct, kind=kind) as certifier:
        outcome = certifier.attack(ATTACKS[name])
    assert outcome.verdict == "trouble"
    assert outcome.why is not None
    assert words in outcome.why.en


def test_the_browser_goes_nowhere_else(correct: Certifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "PAGE_SECONDS", 2.0)
    visits: list[str] = []

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visits.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, args=(0.05,), daemon=True).start()
        there = f"http://127.0.0.1:{stranger.server_port}"
        # Playwright asks nobody about the hops of a redirect.
        with odd(correct, kind=f"away&to={there}/by-redirect") as certifier:
            outcome = certifier.attack(ATTACKS["page-honest"])
        assert outcome.verdict == "trouble"
        assert urllib3.request("GET", f"{there}/by-hand", retries=False, timeout=5).status == 200
        stranger.shutdown()
    assert visits == ["/by-hand"]


def test_a_browser_that_died_is_started_again(correct: Certifier) -> None:
    assert broken_in(correct.attack(ATTACKS["page-honest"])) == set()
    had = correct.stage._browser
    assert had is not None
    had._wait(had._browser.close(), 10)
    assert broken_in(correct.attack(ATTACKS["page-honest"])) == set()


@pytest.mark.parametrize(
    ("lacks", "words"),
    [("playwright.async_api", "pip install playwright"), ("", "apt-get install chromium")],
)
def test_without_a_browser_it_is_skipped(
    correct: Certifier, monkeypatch: pytest.MonkeyPatch, lacks: str, words: str
) -> None:
    if lacks:
        monkeypatch.setitem(sys.modules, lacks, None)
    monkeypatch.setenv("NARU_CHROMIUM", "/nowhere/chromium")
    had, correct.stage._browser = correct.stage._browser, None
    try:
        outcome = correct.attack(ATTACKS["page-honest"])
    finally:
        correct.stage._browser = had
    assert outcome.verdict == "skipped"
    assert outcome.why is not None
    assert words in outcome.why.en
    assert words in outcome.why.ko

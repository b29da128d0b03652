"""All parties as in `naru demo`, a browser in which `*.test` are sites of their own, and their pages."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from tests.checkout.browser import CHROMIUM_FLAGS, Pages, serve
from tests.rudeness.thief import Thief, new_order
from tests.support.parties import Parties, open_parties
from tests.support.postgres import Databases

PATIENCE_MS = 15_000


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parties(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Parties]:
    async with open_parties(databases.new(), tmp_path_factory.mktemp("attacks")) as parties:
        yield parties


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def thief(parties: Parties) -> Thief:
    return await Thief.arrive(parties)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ.get("NARU_CHROMIUM") or shutil.which("chromium"),
            args=[
                *CHROMIUM_FLAGS,
                "--host-resolver-rules=MAP *.test 127.0.0.1",
                # An answer that a test changed on its way counts as one from the Internet.
                "--disable-features=LocalNetworkAccessChecks",
            ],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1100, "height": 900}, locale="ko-KR")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@dataclass
class Site:
    """Somebody's web server, and the name under which the browser knows it."""

    pages: Pages
    port: str

    def origin(self, host: str) -> str:
        """`merchant.localhost` is registered with the demo's merchant; no name of `.test` is."""
        return f"http://{host}:{self.port}"


OpenSite = Callable[[dict[str, str]], AbstractAsyncContextManager[Site]]


@contextlib.asynccontextmanager
async def open_site(html: dict[str, str]) -> AsyncIterator[Site]:
    """Serve these pages, by path; whatever else is asked for is a plain landing page."""
    pages = Pages(html)
    async with serve(pages.app()) as origin:
        yield Site(pages, origin.rsplit(":", 1)[1])


MERCHANT = "merchant.localhost"


def merchant_page(parties: Parties, before: str = "", **param: Any) -> str:
    """A shop's page that pays by one press at the sandbox PG. `before` stands before the SDK."""
    from tests.checkout.browser import shop_page

    page = shop_page(parties.gateway, before=before)
    wanted = {"pg": "kcp", "pay_method": "kakaopay", "merchant_uid": new_order()} | param
    return page.replace("window.pay =", f"Object.assign(param, {json.dumps(wanted)}); window.pay =")


@dataclass
class Watched:
    """What scripts of attackers did in a page, seen from outside."""

    ran: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        text = message.text
        if text.startswith("PWN"):
            self.ran.append(text)
        elif text.startswith("CSP "):
            self.blocked.append(text)


WATCHER = """
  window.pwn = function (where) { console.log("PWN " + where); };
  document.addEventListener("securitypolicyviolation", function (event) {
    console.log("CSP " + event.effectiveDirective + " " + event.blockedURI + " " + event.sample);
  });
"""


async def watch(page: Page, attacker: str = "evil.test") -> Watched:
    """From now on: calls of pwn(), dialogs, and requests to the attacker; and what the CSP stopped."""
    watched = Watched()

    async def dismiss(dialog: Any) -> None:
        watched.ran.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    await page.add_init_script(WATCHER)
    page.on("console", watched.hear)
    page.on("dialog", dismiss)
    # Nobody answers at the attacker's; what the policy stopped has failed for that reason.
    page.on(
        "requestfailed",
        lambda request: (
            watched.ran.append(request.url)
            if attacker in urlsplit(request.url).netloc and request.failure != "csp"
            else None
        ),
    )
    return watched

"""The parties and the browser are started once per pytest process; every test has its own context."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright, expect

from tests.checkout.browser import CHROMIUM_FLAGS
from tests.journeys.buyer import CERTIFICATE_PASSWORD, Buyer
from tests.support.canary import cells, hits, lines, typed_secrets
from tests.support.parties import Parties, open_parties
from tests.support.postgres import Databases

PATIENCE_MS = 15_000
PHONE = "Pixel 7"
WRONG_PASSWORD = "wrong-horse-9"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parties(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Parties]:
    home = tmp_path_factory.mktemp("parties")
    async with open_parties(databases.new(), home) as parties:
        yield parties
        # After all that buyers typed in this process.
        assert await search(parties) == set()


async def search(parties: Parties) -> set[tuple[str, str]]:
    """Where the gateway's database or the log of any of us holds what buyers typed at the PG."""
    secrets = typed_secrets(parties.codes_used, (CERTIFICATE_PASSWORD, WRONG_PASSWORD))
    connection = await asyncpg.connect(parties.dsn)
    try:
        found = hits(await cells(connection), secrets)
    finally:
        await connection.close()
    logs = {name: text for name, text in parties.logs().items() if name != "sandbox"}
    return found | hits(lines(logs), secrets)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    # Nothing waits this long on a machine that has time; one with ten neighbours may.
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        yield playwright


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(playwright: Playwright) -> AsyncIterator[Browser]:
    browser = await playwright.chromium.launch(
        executable_path=os.environ.get("NARU_CHROMIUM") or shutil.which("chromium"),
        args=list(CHROMIUM_FLAGS),
    )
    yield browser
    await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(
        viewport={"width": 1100, "height": 900}, locale="ko-KR", reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def buyer(context: BrowserContext, parties: Parties) -> AsyncIterator[Buyer]:
    """Somebody at a desk. No page that they see may have a script that fails."""
    page = await context.new_page()
    mistakes = watch(page)
    yield Buyer(page, parties)
    assert mistakes == []


@pytest_asyncio.fixture(loop_scope="session")
async def phone_buyer(
    browser: Browser, playwright: Playwright, parties: Parties
) -> AsyncIterator[Buyer]:
    """Somebody with a phone: small screen, touch, and a phone's user agent."""
    context = await browser.new_context(
        **playwright.devices[PHONE], locale="ko-KR", reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    mistakes = watch(page)
    yield Buyer(page, parties)
    await context.close()
    assert mistakes == []


def watch(page: Page) -> list[str]:
    """What goes wrong in the scripts of this page, from now on."""
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on(
        "console",
        lambda message: (
            mistakes.append(message.text) if "Content Security Policy" in message.text else None
        ),
    )
    return mistakes

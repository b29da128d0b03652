"""One browser for this folder's session; servers of their own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from tests.checkout.browser import Pages, StandIn, open_browser, serve


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1100, "height": 900})
    context.set_default_timeout(8000)
    yield context
    await context.close()


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def shop() -> Pages:
    return Pages()


@pytest_asyncio.fixture(loop_scope="session")
async def core(stand_in: StandIn) -> AsyncIterator[str]:
    """The stand-in gateway's address."""
    async with serve(stand_in.app()) as origin:
        yield origin


@pytest_asyncio.fixture(loop_scope="session")
async def shop_url(shop: Pages) -> AsyncIterator[str]:
    async with serve(shop.app()) as origin:
        yield origin

"""One browser for this folder's session; servers of their own for each test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from tests.checkout.browser import Pages, StandIn, open_browser, serve
from tests.checkout.gate import Gate, open_gate
from tests.sandbox.stage import running
from tests.support.postgres import Databases


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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pg_first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sandbox PG after its first start: making keys and hashing PINs once is enough."""
    path = tmp_path_factory.mktemp("pg") / "sandbox.sqlite3"
    async with running(path):
        pass
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gate(
    databases: Databases, pg_first_start: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gate]:
    """The real door, with the real sandbox PG behind it; shared by tests that leave it as it was."""
    path = tmp_path_factory.mktemp("gate") / "sandbox.sqlite3"
    shutil.copy(pg_first_start, path)
    async with open_gate(databases.new(), path) as gate:
        yield gate


@pytest_asyncio.fixture(loop_scope="session")
async def own_gate(database_url: str, pg_first_start: Path, tmp_path: Path) -> AsyncIterator[Gate]:
    """A door that a test may break."""
    path = tmp_path / "sandbox.sqlite3"
    shutil.copy(pg_first_start, path)
    async with open_gate(database_url, path) as gate:
        yield gate

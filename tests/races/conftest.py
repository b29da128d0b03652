"""One arena for the races of this room, and one to break for each control."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.races.arena import Arena, open_arena
from tests.support.scale import often

if TYPE_CHECKING:
    from tests.support.postgres import Databases


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(databases: Databases) -> AsyncIterator[Arena]:
    """Shared by the races: every race begins with payments of its own. By night two processes."""
    dsn = databases.new()
    async with open_arena(dsn, processes=bool(often(0, 1))) as opened:
        yield opened
    databases.drop(dsn)


@pytest_asyncio.fixture(loop_scope="module")
async def broken(database_url: str) -> AsyncIterator[Arena]:
    """An arena of this test's own, whose guards it may take away."""
    async with open_arena(database_url) as opened:
        yield opened


@pytest.fixture
def rounds() -> int:
    """How often each race is run."""
    return often(2, 20)

"""A store on a database of the test's own, and a merchant with payments in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from naru.store import Store
from tests.support.gateway import ROOT_KEY


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, root_key=ROOT_KEY)
    yield opened
    await opened.close()


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A hand that writes its own SQL."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()

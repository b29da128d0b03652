"""One gateway with everybody beside it for all clients, as `naru demo` runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.parties import Parties, open_parties
from tests.support.postgres import Databases


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parties(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Parties]:
    async with open_parties(databases.new(), tmp_path_factory.mktemp("clients")) as parties:
        yield parties

"""All parties run once for the whole folder: gateway, worker, sandbox PG, shop, as in `naru demo`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.rudeness.thief import Thief
from tests.support.parties import Parties, open_parties
from tests.support.postgres import Databases


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parties(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Parties]:
    async with open_parties(databases.new(), tmp_path_factory.mktemp("rudeness")) as parties:
        yield parties


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def thief(parties: Parties) -> Thief:
    return await Thief.arrive(parties)

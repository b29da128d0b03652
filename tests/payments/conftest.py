"""A gateway beside a PG: the stand-in for faults, the sandbox for life as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.gateway import House, open_house
from tests.support.receiver import Receiver, receiving
from tests.support.stand_in_pg import SECRET, StandInPg, standing_in


@pytest.fixture
async def pg() -> AsyncIterator[StandInPg]:
    async with standing_in() as standing:
        yield standing


@pytest.fixture
async def house(database_url: str, pg: StandInPg) -> AsyncIterator[House]:
    async with open_house(database_url, pg.url, secret=SECRET) as opened:
        yield opened


@pytest.fixture
async def merchant_server() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from naru.sandbox.isp import open_authorities
from naru.sandbox.ledger import Ledger
from naru.sandbox.vault import open_vault
from tests.sandbox.stage import Member, Pg, running


@pytest.fixture(scope="session")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger after its first start: hashing PINs and making keys once is enough."""
    path = tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3"

    async def start() -> None:
        ledger = Ledger(path)
        ledger.open()
        await ledger.write(open_vault)
        await ledger.write(open_authorities, int(time.time()))
        ledger.close()

    asyncio.run(start())
    return path


@pytest.fixture
async def pg(first_start: Path, tmp_path: Path) -> AsyncIterator[Pg]:
    database = tmp_path / "sandbox.sqlite3"
    shutil.copy(first_start, database)
    async with running(database) as started:
        yield started


@pytest.fixture
async def member(pg: Pg) -> Member:
    return await pg.member()

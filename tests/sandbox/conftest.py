from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sandbox.stage import Member, Pg, running


@pytest.fixture
async def pg(tmp_path: Path) -> AsyncIterator[Pg]:
    async with running(tmp_path / "sandbox.sqlite3") as started:
        yield started


@pytest.fixture
async def member(pg: Pg) -> Member:
    return await pg.member()

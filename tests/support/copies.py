"""Copies of a database as operators make them."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.postgres import Databases


async def dump(databases: Databases, url: str) -> bytes:
    """What pg_dump writes."""
    words = [str(databases.server.program("pg_dump")), "--no-owner", url]
    return (await _run(words)).stdout


async def restore(databases: Databases, dumped: bytes) -> str:
    """The address of a new database with what was dumped in it."""
    url = await asyncio.to_thread(databases.new, migrated=False)
    psql = str(databases.server.program("psql"))
    await _run([psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", url], dumped)
    return url


async def _run(words: list[str], given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(
        subprocess.run, words, input=given, capture_output=True, timeout=60, check=True
    )

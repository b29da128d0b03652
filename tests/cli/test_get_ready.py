"""A database that is not there yet is waited for, for naru/cli/get_ready.py."""

from __future__ import annotations

import asyncio
import signal
import struct
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from naru.cli import database
from naru.cli.trouble import CliError
from tests.support.processes import naru

NOWHERE = "postgresql://u:hunter2@127.0.0.1:1/naru"


async def test_serve_and_worker_started_before_postgresql_wait_for_it(
    database_url: str, tmp_path: Path
) -> None:
    """As when a machine boots: the house is there first, and the server's socket comes later."""
    socket = parse_qs(urlsplit(database_url).query)["host"][0]
    later = tmp_path / "later"
    url = database_url.replace(socket, str(later))
    async with (
        naru("serve", url, tmp_path, NARU_PROCESSES="2") as gateway,
        naru("worker", url, tmp_path) as worker,
    ):
        for each in (gateway, worker):
            await each.says("waiting for the database, 30 s: ")
        later.symlink_to(socket)
        for each in (gateway, worker):
            await each.says("the database is there")
            assert each.said().count("waiting for the database") == 1
        await gateway.serves()
        for each in (gateway, worker):
            each.send(signal.SIGTERM)
        assert [await each.ends() for each in (gateway, worker)] == [0, 0]


async def test_sigterm_ends_the_wait_and_a_wait_of_no_seconds_is_none(tmp_path: Path) -> None:
    async with AsyncExitStack() as running:
        waiting = [
            await running.enter_async_context(naru(command, NOWHERE, tmp_path))
            for command in ("serve", "worker")
        ]
        hasty = await running.enter_async_context(
            naru("worker", NOWHERE, tmp_path, NARU_START_WAIT="0")
        )
        for each in waiting:
            await each.says("waiting for the database")
            each.send(signal.SIGTERM)
            began = time.monotonic()
            assert await each.ends(5) == 0
            assert time.monotonic() - began < 3
            assert each.said().count("\n") == 1, "one line, no traceback"
        assert await hasty.ends() == 1
        assert hasty.said().startswith("naru: Nothing answers at the database's address")
        assert "hunter2" not in hasty.said() + waiting[0].said()


@asynccontextmanager
async def refusing(code: bytes) -> AsyncIterator[str]:
    """A PostgreSQL that answers every caller with this SQLSTATE, as its protocol says it."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        fields = b"SFATAL\x00C" + code + b"\x00Mno\x00\x00"
        writer.write(b"E" + struct.pack("!I", len(fields) + 4) + fields)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://u:p@127.0.0.1:{port}/naru?sslmode=disable"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("code", "away"),
    [
        (b"57P03", True),  # starting up, or shutting down
        (b"57P01", True),  # an administrator ends everybody
        (b"53300", True),  # too many connections
        (b"28P01", False),  # wrong password
        (b"28000", False),  # pg_hba.conf knows nobody of that name
        (b"3D000", False),  # no such database
    ],
)
async def test_what_ends_by_itself_is_told_from_what_does_not(code: bytes, away: bool) -> None:
    async with refusing(code) as url:
        with pytest.raises(CliError) as refused:
            await database.check_ready(url)
    assert database.is_away(refused.value) is away


@pytest.mark.parametrize(
    ("url", "away"),
    [
        (NOWHERE, True),
        ("postgresql://u@no-such-host.invalid/naru", True),
        ("postgresql://u@127.0.0.1:port/naru", False),
    ],
)
async def test_nobody_there_is_waited_for_and_an_address_that_makes_no_sense_is_not(
    url: str, away: bool
) -> None:
    with pytest.raises(CliError) as refused:
        await database.check_ready(url)
    assert database.is_away(refused.value) is away


async def test_missing_migrations_and_a_database_that_does_not_exist_are_not_waited_for(
    empty_database_url: str, database_url: str
) -> None:
    with pytest.raises(CliError, match="run `naru migrate`") as refused:
        await database.check_ready(empty_database_url)
    assert not database.is_away(refused.value)
    name = urlsplit(database_url).path
    with pytest.raises(CliError, match="does not exist") as refused:
        await database.check_ready(database_url.replace(name, "/nobody_made_this"))
    assert not database.is_away(refused.value)


async def test_a_standby_is_waited_for(database_url: str) -> None:
    """In a fail-over the address leads to a standby until one is promoted."""
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched) as refused:
        # A primary for who asks for a standby is the same answer as a standby for who asks for a
        # primary.
        await asyncpg.connect(database_url, target_session_attrs="standby")
    assert database.is_away(refused.value)
    assert "standby" in database.explain(refused.value)

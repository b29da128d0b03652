"""A PIN is typed while the PG's disk is full, its file is held, or nobody reaches it: row B2 under DF, DB and NP.

Nothing is counted and nothing finishes; the same keypad is good once the cause has ended.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager

import aiohttp
import pytest

from tests.sandbox.stage import Clock, Member
from tests.sandbox.test_faults_window import RIGHT, WRONG, Process, finished_once, tries_left
from tests.sandbox.test_faults_window import process as process
from tests.sandbox.test_simple_pay import keypad, typed
from tests.support.scale import often


@contextmanager
def no_room(process: Process) -> Iterator[None]:
    """Not one byte more fits into any file of this process, until the block ends."""
    assert process.running is not None
    _, most = resource.prlimit(process.running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.running.pid, resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.prlimit(process.running.pid, resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def held(process: Process) -> Iterator[None]:
    """Somebody else writes in the PG's file and does not end; whoever waits for it gives up."""
    with closing(sqlite3.connect(process.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def is_closed_and_opens_again(process: Process, trouble: str) -> None:
    await process.again()
    member = await process.member()
    window = await member.open(pay_method="card")
    pad = await keypad(window)
    with no_room(process) if trouble == "full" else held(process):
        for pin in (WRONG, RIGHT):
            refused = await window.post("/simple/pin", typed(pad, pin), status=503)
            assert not refused["ok"]
            assert "return_form" not in refused
    assert await tries_left(member) == 5
    assert (await window.no("/finish"))["code"] == "NOT_FINISHED"
    await window.ok("/simple/pin", typed(pad, RIGHT))
    await finished_once(member, window)


@pytest.mark.fault("B2_DF")
async def test_a_pin_that_finds_no_room_counts_for_nothing_and_pays_when_there_is_room(
    process: Process,
) -> None:
    await is_closed_and_opens_again(process, "full")


@pytest.mark.fault("B2_DB")
@pytest.mark.skipif(not often(0, 1), reason="NIGHTLY: the PG waits ten seconds for its file, twice")
async def test_a_pin_that_cannot_be_written_counts_for_nothing_and_pays_when_it_can(
    process: Process,
) -> None:
    await is_closed_and_opens_again(process, "held")


@asynccontextmanager
async def parted(port: int) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """An address that leads to `port` while the event is set; else all that is said is swallowed."""
    whole = asyncio.Event()
    whole.set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65_536):
            if whole.is_set():
                writer.write(said)
        writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)

    relay = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{relay.sockets[0].getsockname()[1]}", whole
    finally:
        relay.close()


@pytest.mark.fault("B2_NP")
async def test_a_pin_typed_while_the_pg_is_out_of_reach_counts_for_nothing_and_pays_later(
    process: Process,
) -> None:
    async with parted(process.port) as (url, whole):
        await process.again("--public-url", url)
        # A connection for each question: what was swallowed is not repeated by anybody.
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=10),
            connector=aiohttp.TCPConnector(force_close=True),
        ) as http:
            member = Member(url, http, Clock(), "naru-test")
            await member.join()
            window = await member.open(pay_method="card")
            pad = await keypad(window)
            whole.clear()
            for pin in (WRONG, RIGHT, RIGHT):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await window.post("/simple/pin", typed(pad, pin))
            whole.set()
            assert await tries_left(member) == 5
            assert (await window.no("/finish"))["code"] == "NOT_FINISHED"
            await window.ok("/simple/pin", typed(pad, RIGHT))
            await finished_once(member, window)

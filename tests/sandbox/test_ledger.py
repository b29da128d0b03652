"""The ledger: whole deeds or none, shared commits, restarts, tables that only grow."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from naru.sandbox.ledger import Book, Ledger, LedgerClosed
from tests.sandbox.stage import Clock, Member, Pg, running


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.open()
    return ledger


def join_and_fail(book: Book, mid: str) -> None:
    book.join(mid, "s" * 32, "name", "kcp", 1)
    raise ValueError(mid)


async def test_a_deed_that_fails_leaves_nothing_and_spares_its_neighbours(ledger: Ledger) -> None:
    outcomes = await asyncio.gather(
        *(
            ledger.write(join_and_fail, f"bad{n}")
            if n % 3 == 0
            else ledger.write(Book.join, f"good{n}", "s" * 32, "name", "kcp", 1)
            for n in range(300)
        ),
        return_exceptions=True,
    )
    for n, outcome in enumerate(outcomes):
        if n % 3 == 0:
            assert isinstance(outcome, ValueError)
            assert ledger.read(Book.member, f"bad{n}") is None
        else:
            assert ledger.read(Book.member, f"good{n}") is not None
    ledger.close()


async def test_a_caller_that_goes_away_does_not_stop_its_deed(ledger: Ledger) -> None:
    writing = asyncio.create_task(ledger.write(Book.join, "gone", "s" * 32, "n", "kcp", 1))
    await asyncio.sleep(0)
    writing.cancel()
    await ledger.write(Book.join, "next", "s" * 32, "n", "kcp", 1)
    assert ledger.read(Book.member, "gone") is not None
    ledger.close()
    with pytest.raises(LedgerClosed):
        await ledger.write(Book.join, "late", "s" * 32, "n", "kcp", 1)
    with pytest.raises(LedgerClosed):
        ledger.read(Book.member, "gone")


async def test_reading_cannot_change_the_book(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.OperationalError):
        ledger.read(Book.join, "mid", "s" * 32, "n", "kcp", 1)
    ledger.close()


async def test_nobody_else_on_the_machine_may_read_the_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "ledger.sqlite3")
    ledger.open()
    ledger.close()
    mode = stat.S_IMODE((tmp_path / "deep" / "ledger.sqlite3").stat().st_mode)
    assert mode == 0o600


@pytest.mark.parametrize("table", ["book", "approvals", "cancels"])
async def test_what_happened_cannot_be_rewritten(pg: Pg, member: Member, table: str) -> None:
    approval = await member.paid(amount=1000)
    await member.cancel(approval, 400, 1000)
    with closing(sqlite3.connect(pg.database, isolation_level=None)) as thief:
        for sql in (f"UPDATE {table} SET at = 0", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="only grow"):
                thief.execute(sql)
        with pytest.raises(sqlite3.IntegrityError):
            thief.execute("UPDATE charges SET returned = taken + 1")


async def test_a_restart_keeps_the_book(pg: Pg, member: Member, tmp_path: Path) -> None:
    approval = await member.paid()
    window = await member.open()
    finished = await window.ok("/wallet")
    rows = await member.ask("GET", "/v1/book")
    # The file is opened once more while the first process still has it, as after a kill.
    async with running(pg.database) as again:
        same = Member(again.url, again.http, again.clock, member.mid, member.secret)
        assert await same.ask("GET", "/v1/book") == rows
        assert (await same.inquire(approval["order_no"]))["approval"] == approval
        late = await same.ask("POST", "/v1/approvals", window.approval(finished))
        assert late["result"] == "approved"


async def test_a_killed_process_has_lost_nothing_it_answered(
    first_start: Path, tmp_path: Path
) -> None:
    database = tmp_path / "killed.sqlite3"
    database.write_bytes(first_start.read_bytes())
    command = [sys.executable, "-m", "naru.sandbox", "--database", str(database)]
    answered: list[str] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*command, "--port", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as http:
            member = Member(url, http, Clock(), "killed")
            async with asyncio.timeout(10):
                while True:
                    try:
                        await member.join()
                        break
                    except aiohttp.ClientConnectionError:
                        await asyncio.sleep(0.05)

            async def pay() -> None:
                while True:
                    approval = await member.paid()
                    answered.append(approval["order_no"])

            payers = [asyncio.create_task(pay()) for _ in range(8)]
            async with asyncio.timeout(10):
                while len(answered) < 40:
                    await asyncio.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.gather(*payers, return_exceptions=True)
    finally:
        process.kill()
        process.wait()
    ledger = Ledger(database)
    ledger.open()
    charged = {row["order_no"] for row in ledger.read(Book.rows, "killed", 0, 10_000)}
    ledger.close()
    assert set(answered) <= charged

"""A PIN, a password, a code: row B2 of the fault matrix, in the PG's own window.

The PG is a process of its own here where it dies or sleeps: SIGKILL and SIGSTOP, restarted on its file.
A try is counted once whatever becomes of its answer, and a right one finishes the window once.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.sandbox.stage import Clock, Json, Member, Pg, Window
from tests.sandbox.test_simple_pay import CARD, keypad, typed

RIGHT, WRONG = "159753", "000000"


@dataclass
class Process:
    """A sandbox PG as a process; `again` starts it anew on the same file and port."""

    database: Path
    port: int
    http: aiohttp.ClientSession
    running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def again(self, *orders: str) -> None:
        self.kill()
        command = [sys.executable, "-m", "naru.sandbox", "--port", str(self.port)]
        self.running = subprocess.Popen([*command, "--database", str(self.database), *orders])
        async with asyncio.timeout(30):
            while True:
                try:
                    async with self.http.get(f"{self.url}/cards") as answer:
                        await answer.read()
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.02)

    def tell(self, signal_: signal.Signals) -> None:
        assert self.running is not None
        self.running.send_signal(signal_)

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    async def dead(self) -> None:
        """Until it has died of what it was started with."""
        assert self.running is not None
        assert await asyncio.to_thread(self.running.wait, 20) == -signal.SIGKILL

    async def member(self) -> Member:
        member = Member(self.url, self.http, Clock(), "naru-test")
        await member.join()
        return member


@pytest.fixture
async def process(first_start: Path, tmp_path: Path) -> AsyncIterator[Process]:
    database = tmp_path / "sandbox.sqlite3"
    database.write_bytes(first_start.read_bytes())
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    async with aiohttp.ClientSession() as http:
        process = Process(database, port, http)
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def unheard(
    window: Window, path: str, body: Json, *, whole: bool = True
) -> AsyncIterator[None]:
    """Send this question over a line of its own, and hang up without reading its answer."""
    raw = json.dumps(body).encode()
    parts = urlsplit(window.member.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"POST /window/{window.window_id}{path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Origin: {window.member.url}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(raw)}\r\n\r\n".encode()
        + (raw if whole else raw[:-3])
    )
    await writer.drain()
    try:
        yield
    finally:
        writer.transport.abort()


async def tries_left(member: Member) -> int:
    other = await member.open(pay_method="card")
    left: int = (await keypad(other))["attempts_left"]
    return left


async def finished_once(member: Member, window: Window) -> None:
    """The window has one form; it is given again and again, and is worth one approval."""
    first = (await window.ok("/finish"))["return_form"]
    again = await window.no("/cancel")
    assert (again["code"], again["return_form"]) == ("ALREADY_FINISHED", first)
    assert first["fields"]["status"] == "authenticated"
    approvals = [await window.approve({"return_form": first}) for _ in range(2)]
    assert approvals[0] == approvals[1]
    rows = (await member.ask("GET", "/v1/book"))["rows"]
    assert [row["order_no"] for row in rows] == [window.order_no]


@pytest.mark.fault("B2_CB")
async def test_a_pin_that_was_not_looked_at_when_the_pg_died_counts_for_nothing(
    process: Process,
) -> None:
    """The process is stopped, the PIN arrives in its queue, and it never wakes up."""
    await process.again()
    member = await process.member()
    window = await member.open(pay_method="card")
    for pin in (WRONG, RIGHT):
        pad = await keypad(window)
        process.tell(signal.SIGSTOP)
        async with unheard(window, "/simple/pin", typed(pad, pin)):
            process.kill()
        await process.again()
        assert (await window.no("/finish"))["code"] == "NOT_FINISHED"
        assert await tries_left(member) == 5
        if pin == RIGHT:
            await window.ok("/simple/pin", typed(pad, pin))  # the same keypad is still good
    await finished_once(member, window)


@pytest.mark.fault("B2_CA")
async def test_a_pin_that_was_right_when_the_pg_died_has_finished_the_window(
    process: Process,
) -> None:
    """Dies when the second answer below /window/ is ready: the PIN's, after the keypad's."""
    await process.again("--die-before-answer", "/window/:2")
    member = await process.member()
    window = await member.open(pay_method="card")
    pad = await keypad(window)
    with pytest.raises(aiohttp.ClientError):
        await window.ok("/simple/pin", typed(pad, RIGHT))
    await process.dead()
    await process.again()
    repeated = await window.no("/simple/pin", typed(pad, RIGHT))
    assert repeated["code"] == "ALREADY_FINISHED"
    await finished_once(member, window)


@pytest.mark.fault("B2_CA", "B2_DU")
async def test_a_pin_that_was_wrong_when_the_pg_died_stays_counted(process: Process) -> None:
    await process.again("--die-before-answer", "/window/:2")
    member = await process.member()
    window = await member.open(pay_method="card")
    pad = await keypad(window)
    with pytest.raises(aiohttp.ClientError):
        await window.no("/simple/pin", typed(pad, WRONG))
    await process.dead()
    await process.again()
    assert await tries_left(member) == 4
    assert (await window.no("/simple/pin", typed(pad, RIGHT)))["code"] == "KEYPAD_DEAD"
    await window.ok("/simple/pin", typed(await keypad(window), RIGHT))
    await finished_once(member, window)


@pytest.mark.fault("B2_SL")
async def test_a_pg_that_sleeps_with_a_pin_in_its_hands_goes_on_with_it(process: Process) -> None:
    await process.again()
    member = await process.member()
    window = await member.open(pay_method="card")
    for pin in (WRONG, RIGHT):
        pad = await keypad(window)
        process.tell(signal.SIGSTOP)
        answering = asyncio.ensure_future(window.post("/simple/pin", typed(pad, pin)))
        done, _ = await asyncio.wait({answering}, timeout=0.5)
        assert not done, "the control: it sleeps"
        process.tell(signal.SIGCONT)
        assert (await answering)["ok"] == (pin == RIGHT)
    await finished_once(member, window)


@pytest.mark.fault("B2_SL")
async def test_a_buyer_who_takes_four_minutes_pays_with_the_same_keypad(
    pg: Pg, member: Member
) -> None:
    window = await member.open(pay_method="card")
    pad = await keypad(window)
    pg.clock.ahead += 240
    await window.ok("/simple/pin", typed(pad, RIGHT))
    await finished_once(member, window)


@pytest.mark.fault("B2_LQ")
async def test_a_pin_of_which_only_half_arrived_counts_for_nothing(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="card")
    pad = await keypad(window)
    for pin in (WRONG, RIGHT):
        async with unheard(window, "/simple/pin", typed(pad, pin), whole=False):
            pass
    assert await tries_left(member) == 5
    await window.ok("/simple/pin", typed(pad, RIGHT))
    await finished_once(member, window)


@pytest.mark.fault("B2_LR")
async def test_a_pin_whose_answer_was_lost_is_answered_again(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="card")
    pad = await keypad(window)
    async with unheard(window, "/simple/pin", typed(pad, RIGHT)), asyncio.timeout(10):
        while not (await window.post("/finish"))["ok"]:
            await asyncio.sleep(0.01)
    repeated = await window.no("/simple/pin", typed(pad, RIGHT))
    assert repeated["code"] == "ALREADY_FINISHED"
    assert repeated["return_form"]["fields"]["status"] == "authenticated"
    await finished_once(member, window)


@pytest.mark.fault("B2_LR", "B2_DU")
async def test_a_wrong_pin_whose_answer_was_lost_is_counted_once(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="card")
    pad = await keypad(window)
    async with unheard(window, "/simple/pin", typed(pad, WRONG)), asyncio.timeout(10):
        while await tries_left(member) == 5:
            await asyncio.sleep(0.01)
    assert (await window.no("/simple/pin", typed(pad, WRONG)))["code"] == "KEYPAD_DEAD"
    assert await tries_left(member) == 4


@pytest.mark.fault("B2_RO")
async def test_a_pin_that_comes_after_its_window_ended_or_its_keypad_died_is_refused(
    pg: Pg, member: Member
) -> None:
    given_up, old = [await member.open(pay_method="card") for _ in range(2)]
    pads = [await keypad(window) for window in (given_up, old)]
    await given_up.ok("/cancel")
    assert (await given_up.no("/simple/pin", typed(pads[0], RIGHT)))["code"] == "ALREADY_FINISHED"
    pg.clock.ahead += 301
    assert (await old.no("/simple/pin", typed(pads[1], RIGHT)))["code"] == "KEYPAD_DEAD"
    assert (await member.inquire(given_up.order_no))["state"] == "abandoned"
    assert (await old.no("/finish"))["code"] == "NOT_FINISHED"


@pytest.mark.fault("B2_WD")
async def test_positions_of_anything_but_a_pin_finish_nothing_and_tell_nothing(
    pg: Pg, member: Member
) -> None:
    """Malformed ones are refused at the door (400) and cost no try; a strange keypad is a dead one."""
    window, stranger = [await member.open(pay_method="card") for _ in range(2)]
    pad = await keypad(window)
    good = typed(pad, RIGHT)
    for positions in (
        None,
        "159753",
        [],
        [1] * 5,
        [1] * 7,
        [-1] * 6,
        [10] * 6,
        [0.5] * 6,
        [[1]] * 6,
    ):
        async with pg.http.post(
            f"{pg.url}/window/{window.window_id}/simple/pin",
            json={**good, "positions": positions},
            headers={"Origin": pg.url},
        ) as answer:
            assert answer.status == 400, positions
            assert CARD not in await answer.text()
    for session in ("", "x" * 32, pad["session"][::-1]):
        assert not (await window.post("/simple/pin", {**good, "session": session}))["ok"]
    assert not (await stranger.post("/simple/pin", good))["ok"]
    assert await tries_left(member) == 5
    assert (await window.no("/finish"))["code"] == "NOT_FINISHED"
    await window.ok("/simple/pin", good)
    await finished_once(member, window)

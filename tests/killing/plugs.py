"""`python -m tests.killing.plugs power|full`: payments on a disk that loses power, or is full.

    power --cuts 60              fsync on: nothing acknowledged may be lost
    power --cuts 1 --forgetful   the control, fsync off: it must lose
    full                         no room in the tables: no PG call without a durable intent, 503, then
                                 all comes back; what became of whom is told by cell of the matrix
    full --log                   no room in PostgreSQL's own log: it falls, and all is as above
    full --planted               the control: a full table is taken for a mistake of ours

Exit status: 0 every book agrees, 1 something is broken, 77 this machine has no such disks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from naru.cli.postgres import PostgresError
from tests.killing.audit import Books, Finding, read
from tests.killing.disk import NoDisk, PowerDisk, SmallDisk, own_namespace
from tests.killing.house import House, open_house
from tests.killing.load import PAID, Load
from tests.killing.load import Book as Told
from tests.killing.plants import NO_ROOM_IS_OUR_MISTAKE, plant
from tests.killing.storm import Report, finish

NO_DISKS = 77
LEAVE_MEGABYTES = 12
FULL_SECONDS = 20.0
# Buyers who return to a house that has been full for a while, and try so long that room comes.
LATE_BUYERS = 12
LATE_SECONDS = FULL_SECONDS - 6.0
# The events with which an approval ends.
ENDINGS = ("approved", "account_issued", "declined", "undone")


def main() -> int:
    """Ride what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.killing.plugs", description=__doc__)
    parser.add_argument("what", choices=("power", "full"))
    parser.add_argument("--cuts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=4.0, help="journeys per second")
    parser.add_argument("--forgetful", action="store_true", help="fsync off: the control")
    parser.add_argument("--log", action="store_true", help="it is the log that has no room")
    parser.add_argument("--planted", action="store_true", help="full: a defect that must be seen")
    given = parser.parse_args()
    try:
        own_namespace()
        with _home() as home:
            if given.what == "power":
                report = asyncio.run(
                    _power(home, given.seed, given.cuts, given.rate, not given.forgetful)
                )
            else:
                report = asyncio.run(_full(home, given.seed, given.log, given.planted))
    except NoDisk as why:
        print(f"no such disk here: {why}")
        return NO_DISKS
    print(report.line() if report.clean else report.story())
    return 0 if report.clean else 1


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix=f"naru-killing-{os.getpid()}-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _power(home: Path, seed: int, cuts: int, rate: float, durable: bool) -> Report:
    chance = random.Random(seed)
    disk = PowerDisk(home / "postgres")
    disk.mount()
    load, report = Load(random.Random(seed + 1)), Report(seed)
    try:
        async with load.receive(), open_house(load.origin, home=home, durable=durable) as house:
            # What was there before the first payment is not what is asked about.
            disk.flush()
            stop = asyncio.Event()
            buying = asyncio.create_task(load.run(house.public, house.sandbox_url, rate, stop))
            began = time.monotonic()
            try:
                for _ in range(cuts):
                    await asyncio.sleep(chance.uniform(4.0, 8.0))
                    await house.database.lose_power(disk)
                    # The control asks about payments, not about the files of a server that started.
                    if not durable:
                        disk.flush()
                    report.kills += 1
                    report.by["power cut"] += 1
            finally:
                stop.set()
                await buying
            report.storm_seconds = time.monotonic() - began
            return await finish(house, load, report, time.monotonic(), 300.0)
    finally:
        disk.unmount()


async def _full(home: Path, seed: int, of_log: bool, planted: bool) -> Report:
    """A disk that fills under payments. `of_log`: PostgreSQL's log has no room, and it falls; else
    its tables have none, and it says so to whoever writes (SQLSTATE 53100)."""
    disk = SmallDisk(home / "postgres")
    load, report = Load(random.Random(seed + 1)), Report(seed)
    load.wanted = lambda: ["slow"]  # Half of the payments are being asked for at the PG.
    try:
        tree = plant(NO_ROOM_IS_OUR_MISTAKE, home) if planted else None
        async with load.receive(), open_house(load.origin, home=home, tree=tree) as house:
            if not of_log:
                await house.database.keep_log_in(home / "log")
                await asyncio.gather(*(program.ready() for program in house.gateways))
            stop = asyncio.Event()
            buying = asyncio.create_task(load.run(house.public, house.sandbox_url, 5.0, stop))
            began = time.monotonic()
            late = asyncio.Event()
            buyers = [asyncio.create_task(load.come_back_at(late)) for _ in range(LATE_BUYERS)]
            try:
                await asyncio.sleep(6.0)
                disk.fill(LEAVE_MEGABYTES if of_log else 0)
                if of_log:
                    await _fill_log(house, disk)
                full = time.time()
                asyncio.get_running_loop().call_later(LATE_SECONDS, late.set)
                await _stay_full(house)
                room = time.time()
                disk.empty()
                await house.database.bring_back()
                await asyncio.sleep(4.0)
                await asyncio.gather(*buyers)
            finally:
                stop.set()
                await buying
            report.by["seconds full"] = int(room - full)
            report.by["requests refused with 503"] = len(load.book.closed)
            report.storm_seconds = time.monotonic() - began
            report = await finish(house, load, report, time.monotonic(), 300.0)
            books = await read(house, load.book)
            for cell, (rows, broken) in witness(books, load.book, full, room).items():
                print(f"{cell}: {rows}")
                report.findings += [Finding(cell, each) for each in broken]
            return report
    finally:
        disk.unmount()


def witness(
    books: Books, told: Told, full: float, room: float
) -> dict[str, tuple[dict[str, int], list[str]]]:
    """What exactly became of the payments that met the full disk, by cell of the fault matrix.

    `full` and `room` are UNIX times. For each cell: numbers for a person, and what is not as the
    matrix requires. A cell that no payment met is broken: it would prove nothing.
    """
    asked = {
        line["order_no"]: line["at"]
        for line in reversed(books.requests)
        if line["path"] == "/v1/approvals"
    }
    charged = {row["order_no"] for row in books.pg if row["kind"] == "charge"}
    undone = {row["order_no"] for row in books.pg if row["kind"] == "net_cancel"}
    refused = {
        path.rpartition("/")[2]
        for path, at in told.closed
        if path.startswith("/checkout/return/") and full <= at < room
    }
    closed, held, forward = Counter[str](), Counter[str](), Counter[str]()
    wrong: dict[str, list[str]] = {"C1_DF": [], "C2_DF": [], "C3_DF": []}
    for imp_uid, payment in books.by_uid.items():
        number, step = payment["pg_order_no"], payment["step"]
        intent = books.intents.get(("approve", number), math.inf)
        ended = min(
            (row["at"].timestamp() for row in books.events[imp_uid] if row["event"] in ENDINGS),
            default=math.inf,
        )
        if imp_uid in refused and intent >= room:
            closed["returns refused with 503"] += 1
            closed["paid by the same return, later"] += step in PAID
            if asked.get(number, math.inf) < room:
                wrong["C1_DF"].append(f"{imp_uid}: the PG was asked without an intent")
        if intent < room and asked.get(number, math.inf) < room <= ended:
            held["asked at the PG, no result written while the disk was full"] += 1
            if full <= asked[number]:
                held["of them asked while it was full"] += 1
            forward[f"the PG {_truth(number, charged, undone)}, {step} here"] += 1
            if (step in PAID) != (number in charged - undone):
                wrong["C3_DF"].append(f"{imp_uid}: {step}, not what the PG says")
    for cell, numbers in (("C1_DF", closed), ("C2_DF", held), ("C3_DF", forward)):
        if not numbers:
            wrong[cell].append("no payment met the full disk there")
    return {
        "C1_DF": (dict(closed), wrong["C1_DF"]),
        "C2_DF": (dict(held), wrong["C2_DF"]),
        "C3_DF": (dict(forward), wrong["C3_DF"]),
    }


def _truth(number: str, charged: set[str], undone: set[str]) -> str:
    if number not in charged:
        return "took nothing"
    return "undid it" if number in undone else "took it"


async def _fill_log(house: House, disk: SmallDisk) -> None:
    """Wait until PostgreSQL's log has no room and it fell."""
    deadline = time.monotonic() + 120
    while disk.free_megabytes > 1 and house.database.server.pid is not None:
        if time.monotonic() > deadline:
            raise NoDisk("the disk never became full")
        # Payments write little; a checkpoint and a switch of the log write much.
        await house.database.write_log()
        await asyncio.sleep(0.2)


async def _stay_full(house: House) -> None:
    """For a while: whoever looks after the database starts it in vain."""
    began = time.monotonic()
    while time.monotonic() - began < FULL_SECONDS:
        with contextlib.suppress(PostgresError):
            await house.database.start_again()
        await asyncio.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main())

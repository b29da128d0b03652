"""`python -m tests.killing.plugs power|full`: payments on a disk that loses power, or is full.

    power --cuts 60              fsync on: nothing acknowledged may be lost
    power --cuts 1 --forgetful   the control, fsync off: it must lose
    full                         no room: no PG call without a durable intent, 503, then all comes back

Exit status: 0 every book agrees, 1 something is broken, 77 this machine has no such disks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from naru.cli.postgres import PostgresError
from tests.killing.disk import NoDisk, PowerDisk, SmallDisk, own_namespace
from tests.killing.house import House, open_house
from tests.killing.load import Load
from tests.killing.storm import Report, finish

NO_DISKS = 77
LEAVE_MEGABYTES = 12
FULL_SECONDS = 20.0


def main() -> int:
    """Ride what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.killing.plugs", description=__doc__)
    parser.add_argument("what", choices=("power", "full"))
    parser.add_argument("--cuts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forgetful", action="store_true", help="fsync off: the control")
    given = parser.parse_args()
    try:
        own_namespace()
        with _home() as home:
            if given.what == "power":
                report = asyncio.run(_power(home, given.seed, given.cuts, not given.forgetful))
            else:
                report = asyncio.run(_full(home, given.seed))
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


async def _power(home: Path, seed: int, cuts: int, durable: bool) -> Report:
    chance = random.Random(seed)
    disk = PowerDisk(home / "postgres")
    disk.mount()
    load, report = Load(random.Random(seed + 1)), Report(seed)
    try:
        async with load.receive(), open_house(load.origin, home=home, durable=durable) as house:
            # What was there before the first payment is not what is asked about.
            disk.flush()
            stop = asyncio.Event()
            buying = asyncio.create_task(load.run(house.public, house.sandbox_url, 4.0, stop))
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


async def _full(home: Path, seed: int) -> Report:
    disk = SmallDisk(home / "postgres")
    load, report = Load(random.Random(seed + 1)), Report(seed)
    try:
        async with load.receive(), open_house(load.origin, home=home) as house:
            stop = asyncio.Event()
            buying = asyncio.create_task(load.run(house.public, house.sandbox_url, 4.0, stop))
            began = time.monotonic()
            try:
                await asyncio.sleep(4.0)
                disk.fill(LEAVE_MEGABYTES)
                full_for = await _until_stopped(house, disk)
                report.by["seconds full"] = int(full_for)
                report.by["requests refused with 503"] = load.book.refused
                disk.empty()
                await house.database.bring_back()
                await asyncio.sleep(4.0)
            finally:
                stop.set()
                await buying
            report.storm_seconds = time.monotonic() - began
            return await finish(house, load, report, time.monotonic(), 300.0)
    finally:
        disk.unmount()


async def _until_stopped(house: House, disk: SmallDisk) -> float:
    """Wait until the database has no room, then for a while: its supervisor tries in vain."""
    deadline = time.monotonic() + 120
    while disk.free_megabytes > 1 and house.database.server.pid is not None:
        if time.monotonic() > deadline:
            raise NoDisk("the disk never became full")
        # Payments write little; a checkpoint and a switch of the log write much.
        await house.database.write_log()
        await asyncio.sleep(0.2)
    began = time.monotonic()
    while time.monotonic() - began < FULL_SECONDS:
        with contextlib.suppress(PostgresError):
            await house.database.start_again()
        await asyncio.sleep(1.0)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())

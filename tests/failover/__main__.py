"""`python -m tests.failover --kills 10`: the primary lost again and again, then the control."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.failover.cluster import missing_packages
from tests.failover.drill import Drill, drill

CASES = ("switchover", "postgres_killed", "standbys_gone", "primary_paused", "etcd_gone")


def main() -> int:
    """1 when anything acknowledged was lost, a book is broken, or the control lost nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.failover", description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="machines lost, synchronous strict")
    parser.add_argument("--control", type=int, default=2, help="machines lost, asynchronous")
    parser.add_argument(
        "--cases", default=",".join(CASES), help="other drills, separated by commas"
    )
    parser.add_argument("--rate", type=float, default=3.0, help="journeys per second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-logs", action="store_true")
    given = parser.parse_args()
    if missing := missing_packages():
        print(f"SKIPPED: nothing was tried. Install first: apt-get install {' '.join(missing)}")
        return 0
    failed = 0
    cases = [case for case in given.cases.split(",") if case]
    if unknown := set(cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")

    async def strict(running: Drill) -> None:
        for _ in range(given.kills):
            await running.machine_lost()
        for case in cases:
            await getattr(running, case)()

    async def lossy(running: Drill) -> None:
        for _ in range(given.control):
            await running.machine_lost()

    if given.kills or cases:
        print("synchronous, strict:", flush=True)
        result = asyncio.run(
            drill(strict, rate=given.rate, seed=given.seed, keep_logs=given.keep_logs)
        )
        print(f"  {result.line()}", flush=True)
        if result.lost or not result.report.clean:
            print(result.report.story())
            failed = 1
    if given.control:
        print("control, asynchronous:", flush=True)
        result = asyncio.run(
            drill(
                lossy,
                synchronous=False,
                rate=given.rate,
                seed=given.seed,
                quiet_seconds=45.0,
                keep_logs=given.keep_logs,
            )
        )
        print(f"  {result.line()}", flush=True)
        if not result.lost:
            print("  THE CONTROL LOST NOTHING: this run proves nothing")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())

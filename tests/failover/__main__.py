"""`python -m tests.failover --kills 10`: the primary lost again and again, then the control."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.failover.cluster import missing_packages
from tests.failover.drill import GAP_SECONDS_MAX, Drill, drill
from tests.failover.network import NoNetwork
from tests.killing.disk import NoDisk

CASES = (
    "switchover",
    "postgres_killed",
    "primary_paused",
    "house_paused",
    "late_buyers",
    "candidate_lost",
    "successor_lost",
    "primary_parted",
    "others_parted",
    "naru_parted",
    "standbys_gone",
    "etcd_gone",
    "primary_full",
    "clocks_apart",
    "clock_back",
)
# The control goes through these, too.
SPLITS = {"others_parted"}
# These have the cluster's disks in memory.
ON_SMALL_DISKS = {"primary_full"}
# These have a clock for each machine.
BY_OWN_CLOCKS = {"clocks_apart", "clock_back"}
NOTHING_TRIED = 77


def main() -> int:
    """1 when anything acknowledged was lost, a book is broken, or the control lost nothing.

    77 when this machine cannot try: packages are missing, or root's rights.
    """
    try:
        return _main()
    except (NoNetwork, NoDisk) as error:
        print(f"SKIPPED: nothing was tried. {error}")
        return NOTHING_TRIED


def _main() -> int:
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
        return NOTHING_TRIED
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
        for case in cases:
            if case in SPLITS:
                await getattr(running, case)()

    if given.kills or cases:
        print("synchronous, strict:", flush=True)
        result = asyncio.run(
            drill(
                strict,
                rate=given.rate,
                seed=given.seed,
                keep_logs=given.keep_logs,
                small_disks=not ON_SMALL_DISKS.isdisjoint(cases),
                own_clocks=not BY_OWN_CLOCKS.isdisjoint(cases),
            )
        )
        print(f"  {result.line()}", flush=True)
        if slow := [gap for gap in result.gaps if gap > GAP_SECONDS_MAX]:
            # One may have waited for the third machine to be rewound; not half of them.
            print(f"  LONGER THAN {GAP_SECONDS_MAX:.0f} s: {len(slow)} of {len(result.gaps)}")
            failed = int(2 * len(slow) > len(result.gaps))
        if result.lost or result.alone or not result.report.clean:
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

"""`python -m tests.killing --kills 1000 --seed 1`: storms until so many kills are counted."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter

from naru.domain.points import POINTS
from tests.killing.storm import PG_POINTS, ride


def main() -> int:
    """Ride one storm after the other; 1 when one of them left a broken book."""
    parser = argparse.ArgumentParser(prog="python -m tests.killing", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600.0, help="of one storm at the most")
    parser.add_argument("--per-storm", type=int, default=100, help="kills of one storm")
    parser.add_argument("--points", type=int, default=0, help="deaths at each named point")
    parser.add_argument("--rate", type=float, default=4.0, help="journeys per second")
    parser.add_argument("--gap", type=float, default=1.5, help="mean seconds between two faults")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds of the longest SIGSTOP")
    given = parser.parse_args()
    left, seed, broken = given.kills, given.seed, 0
    names = [*POINTS, *PG_POINTS]
    points = [name for name in names for _ in range(given.points)]
    reached: Counter[str] = Counter()
    while left > 0:
        report = asyncio.run(
            ride(
                seed,
                kills=min(left, given.per_storm),
                points=points,
                seconds=given.seconds,
                rate=given.rate,
                gap=given.gap,
                pause=given.pause,
            )
        )
        print(report.line() if report.clean else report.story(), flush=True)
        reached += report.points
        points = []
        broken += not report.clean
        left, seed = left - report.kills, seed + 1
    if given.points:
        print(f"points never reached: {sorted(set(names) - set(reached)) or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.killing --kills 1000 --seed 1`: storms until so many kills are counted.

A thousand kills take longer than a machine may be busy at once: `--table FILE` keeps a line of every
storm, so that a run goes on with another seed and the sum is over all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from tests.killing.deaths import ALL_POINTS, add_deaths
from tests.killing.storm import Report, ride, spread


def main() -> int:
    """Ride one storm after the other; 1 when one of them left a broken book."""
    parser = argparse.ArgumentParser(prog="python -m tests.killing", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600.0, help="of one storm at the most")
    parser.add_argument("--per-storm", type=int, default=100, help="kills of one storm")
    parser.add_argument("--points", type=int, default=0, help="deaths at each named point")
    parser.add_argument("--only", default="", help="points whose name begins so")
    parser.add_argument("--rate", type=float, default=4.0, help="journeys per second")
    parser.add_argument("--gap", type=float, default=1.5, help="mean seconds between two faults")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds of the longest SIGSTOP")
    parser.add_argument("--hold", action="store_true", help="cancels the PG never saw need not end")
    parser.add_argument("--table", type=Path, help="keep a line of every storm here, and add up")
    parser.add_argument("--write", action="store_true", help="keep the deaths in deaths.tsv")
    given = parser.parse_args()
    left, seed, broken = given.kills, given.seed, 0
    names = [name for name in ALL_POINTS if name.startswith(given.only)]
    points = Counter(dict.fromkeys(names, given.points))
    while left > 0 or points.total() > 0:
        report = asyncio.run(
            ride(
                seed,
                kills=max(0, min(left, given.per_storm)),
                points=sorted(points.elements()),
                seconds=given.seconds,
                rate=given.rate,
                gap=given.gap,
                pause=given.pause,
                hold=given.hold,
            )
        )
        print(report.line() if report.clean else report.story(), flush=True)
        if given.table:
            _keep(given.table, report)
        if given.write and report.clean:
            add_deaths(report.points)
        broken += not report.clean
        left, seed = left - report.kills, seed + 1
        points -= report.points
        if not report.kills:
            break
    if given.table:
        print(_sum(given.table))
    if given.points:
        print(f"points not reached {given.points} times: {dict(points) or 'none'}")
    return 1 if broken or points.total() > 0 else 0


def _keep(table: Path, report: Report) -> None:
    line = {
        "seed": report.seed,
        "kills": report.kills,
        "by": report.by,
        "points": report.points,
        "journeys": sum(report.journeys.values()),
        "counts": report.counts,
        "findings": Counter(each.rule for each in report.findings),
        "seconds": {
            name: [round(each, 3) for each in times] for name, times in report.back.items()
        },
    }
    with table.open("a") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _sum(table: Path) -> str:
    """All the storms of a table as one, and which seeds they had."""
    storms: list[dict[str, Any]] = [json.loads(line) for line in table.read_text().splitlines()]
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, list[float]] = defaultdict(list)
    for storm in storms:
        for name in ("by", "points", "counts", "findings"):
            sums[name].update(storm[name])
        for name, times in storm["seconds"].items():
            seconds[name] += times
    back = ", ".join(f"{name} {spread(times)}" for name, times in seconds.items() if times)
    fewest = min(sums["points"].values(), default=0)
    return (
        f"{len(storms)} storms, seeds {' '.join(str(storm['seed']) for storm in storms)}: "
        f"{sum(storm['kills'] for storm in storms)} kills {dict(sums['by'])}; "
        f"{len(sums['points'])} named points, each {fewest} times or more; "
        f"{sum(storm['journeys'] for storm in storms)} journeys, {dict(sums['counts'])}; "
        f"seconds p50/p99/max (n): {back}; findings {dict(sums['findings'])}"
    )


if __name__ == "__main__":
    sys.exit(main())

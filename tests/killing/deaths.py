"""How often a process has died at each named point, over all runs that were written down (`--write`).

By day a part of the points has its turn. A point that is new has no row, and a test says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from naru.domain.points import POINTS
from tests.killing.storm import PG_POINTS

DEATHS = Path(__file__).with_name("deaths.tsv")
ALL_POINTS = (*POINTS, *PG_POINTS)


def read_deaths() -> Counter[str]:
    """Point -> deaths."""
    lines = DEATHS.read_text("utf-8").splitlines() if DEATHS.exists() else []
    return Counter({name: int(times) for name, times in (line.split("\t") for line in lines)})


def add_deaths(points: Mapping[str, int]) -> None:
    """Write these down with all that are known; points that are no more lose their row."""
    known = read_deaths()
    known.update(points)
    rows = [f"{name}\t{known[name]}\n" for name in ALL_POINTS if known[name]]
    DEATHS.write_text("".join(rows), "utf-8")

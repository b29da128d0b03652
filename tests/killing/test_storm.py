"""A storm over the whole house, and what three books say afterwards.

By day 20 kills and a part of the named points that changes with the seed (NARU_SEED repeats one);
by night 1,000 kills and every point ten times. The line of numbers is printed at the end.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import random
from collections import Counter

import pytest

from naru.domain.points import POINTS
from tests.killing.audit import COUNTED
from tests.killing.deaths import ALL_POINTS, read_deaths
from tests.killing.house import ROOT
from tests.killing.load import BY_PAYING
from tests.killing.services import FullLoad
from tests.killing.storm import PG_POINTS, Report, ride
from tests.support.scale import often

KILLS = often(20, 1_000)
KILLS_PER_STORM = 100
DEATHS_PER_POINT = often(1, 10)
POINTS_BY_DAY = 9
# What needs the PG's staff, and patience until a doubt has ended, has its turn by night.
RARE = ("compare.", "deposit.early")

# What dying there proves (fault-matrix.tsv): before a step's effect (CB), after it (CA).
CELLS = {
    "start.before_open": ("A2_CB",),
    "start.after_open": ("A2_CA",),
    "prepare.before_commit": ("A1_CB",),
    "prepare.after_commit": ("A1_CA",),
    "return.before_proof": ("B1_CB",),
    "return.after_proof": ("B1_CA",),
    "confirm.before_ask": ("B3_CB",),
    "confirm.after_ask": ("B3_CA",),
    "claim.before_commit": ("C1_CB",),
    "claim.after_commit": ("C1_CA", "C2_CB"),
    "approve.after_pg": ("C2_CA",),
    "settle.before_commit": ("C3_CB",),
    "settle.after_commit": ("C3_CA", "C4_CB"),
    "cancel.before_reserve": ("F1_CB",),
    "cancel.after_reserve": ("F1_CA", "F2_CB"),
    "cancel.after_pg": ("F2_CA",),
    "cancel.before_commit": ("F3_CB",),
    "cancel.after_commit": ("F3_CA",),
    "account.after_pg": ("I1_CA",),
    "notice.before_book": ("I2_CB",),
    "deposit.after_commit": ("I2_CA",),
    "webhook.before_claim": ("D1_CB",),
    "webhook.after_claim": ("D1_CA", "D2_CB"),
    "webhook.after_send": ("D2_CA", "D3_CB"),
    "webhook.after_book": ("D3_CA",),
    "reconcile.before_lease": ("K1_CB",),
    "reconcile.after_pg": ("K1_CA",),
}
# The sandbox PG dies when its deed is on the disk and before it answers.
PG_CELLS = dict.fromkeys(PG_POINTS, ()) | {
    "pg /v1/approvals": ("C2_LR",),
    "pg /v1/cancels": ("F2_LR",),
    "pg /v1/virtual-accounts": ("I1_LR",),
}


def todays_seed() -> int:
    """Another one every day, so that in a fortnight every point has had its turn by day, too."""
    return int(
        os.environ.get("NARU_SEED") or datetime.datetime.now(datetime.UTC).date().toordinal()
    )


SEED = todays_seed()


def chosen_points(seed: int) -> list[str]:
    """Every point by night; by day the slice of the table that this seed has come to."""
    if often(0, 1):
        return list(ALL_POINTS)
    names = [name for name in POINTS if not name.startswith(RARE)]
    first = seed * POINTS_BY_DAY
    return [PG_POINTS[seed % len(PG_POINTS)]] + [
        names[(first + step) % len(names)] for step in range(POINTS_BY_DAY)
    ]


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    """The storms of this run. What one has not reached, the next one begins with."""
    seed, kills, done = SEED, KILLS, []
    left = Counter(dict.fromkeys(chosen_points(SEED), DEATHS_PER_POINT))
    while kills > 0 or (left and len(done) < 2 * KILLS // KILLS_PER_STORM):
        some = sorted(left.elements())
        random.Random(seed).shuffle(some)
        report = asyncio.run(
            ride(
                seed,
                kills=min(max(kills, 1), KILLS_PER_STORM),
                points=some[:KILLS_PER_STORM],
                seconds=often(90, 600),
                gap=often(1, 2),
                pause=often(2, 30),
                hold=not often(0, 1),
            )
        )
        print(f"\nkilling: {report.line()}")
        done.append(report)
        kills -= report.kills
        left -= report.points
        seed += 1
        if not report.clean:
            break
    return done


@pytest.mark.promise("P11")
@pytest.mark.parametrize("rule", COUNTED)
def test_nothing_is_lost_taken_for_nothing_taken_twice_or_asked_without_a_journal(
    reports: list[Report], rule: str
) -> None:
    for report in reports:
        assert report.counts[rule] == 0, report.story()
        # A storm that nobody bought in would prove nothing.
        assert report.counts["charges at the PG"] > 0
        assert report.counts["acknowledged"] > report.counts["payments"]


@pytest.mark.promise("P3", "P13", "L1", "L2")
def test_all_ends_and_every_book_agrees(reports: list[Report]) -> None:
    for report in reports:
        assert report.clean, report.story()
    assert sum(report.kills for report in reports) >= KILLS


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(name, marks=pytest.mark.fault(*cells) if cells else ())
        for name, cells in (
            *((name, CELLS.get(name, ())) for name in POINTS),
            *PG_CELLS.items(),
        )
    ],
)
def test_a_process_died_at_the_point_and_nothing_came_of_it(
    reports: list[Report], point: str
) -> None:
    if point not in chosen_points(SEED):
        pytest.skip("by day a part of the points has its turn, by night all of them")
    deaths = sum(report.points[point] for report in reports)
    assert deaths >= DEATHS_PER_POINT, f"died there {deaths} times"
    assert all(report.clean for report in reports)


def test_every_cell_names_a_point() -> None:
    assert set(CELLS) <= set(POINTS)


def test_every_point_is_in_the_house_and_somebody_leads_to_it() -> None:
    code = "".join(file.read_text("utf-8") for file in (ROOT / "naru").rglob("*.py"))
    assert [name for name in POINTS if f'reach("{name}")' not in code] == []
    load = FullLoad(random.Random(1))
    load.ledger = ROOT
    led = BY_PAYING | load._leads().keys()
    assert [name for name in ALL_POINTS if not {name, name.partition(".")[0]} & led] == []


def test_a_process_has_died_at_every_point() -> None:
    """For one that is missing: `python -m tests.killing --kills 0 --points 1 --only POINT --write`."""
    assert set(read_deaths()) == set(ALL_POINTS)

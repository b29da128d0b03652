"""The storm's own measure: it finds what is planted. A number without this is only a number.

One defect by day, which needs no kill to be seen; all of them by night, under kills.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.killing.plants import NO_ROOM_IS_OUR_MISTAKE, PLANTS, Plant, ill, plant
from tests.killing.storm import ride
from tests.support.scale import often

# Points between the two commits of an approval, where the planted defects lose.
POINTS = (
    "claim.before_commit",
    "claim.after_commit",
    "settle.before_commit",
    "settle.after_commit",
)


@pytest.mark.parametrize("defect", PLANTS, ids=lambda defect: defect.name)
def test_a_planted_defect_is_found(defect: Plant, tmp_path: Path) -> None:
    if defect is not PLANTS[0] and not often(0, 1):
        pytest.skip("one control by day, all of them by night")
    tmp_path.chmod(0o755)
    report = asyncio.run(
        ride(
            1,
            kills=often(0, 25),
            points=often(0, 6) * POINTS,
            seconds=often(5, 120),
            each=often(1, 2),
            rate=6.0,
            tree=plant(defect, tmp_path),
            quiet_seconds=often(1, 60),
            hold=True,
        )
    )
    rules = Counter(each.rule for each in report.findings)
    print(f"\nkilling, control ({defect.name}): {dict(rules)}")
    assert defect.found_by & set(rules), report.story()


@pytest.mark.parametrize(
    "defect", [*PLANTS, NO_ROOM_IS_OUR_MISTAKE], ids=lambda defect: defect.name
)
def test_every_plant_still_has_its_place(defect: Plant) -> None:
    compile(ill(defect), defect.file, "exec")

"""The storm's own measure: it finds what is planted. A number without this is only a number.

One defect by day, which needs no kill to be seen; all of them by night.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.killing.plants import NO_ROOM_IS_OUR_MISTAKE, PLANTS, Plant, ill, look_for, plant
from tests.killing.storm import ride
from tests.support.scale import often


@pytest.mark.parametrize("defect", PLANTS, ids=lambda defect: defect.name)
def test_a_planted_defect_is_found(defect: Plant, tmp_path: Path) -> None:
    if defect is not PLANTS[0] and not often(0, 1):
        pytest.skip("one control by day, all of them by night")
    tmp_path.chmod(0o755)
    tree = plant(defect, tmp_path)
    if often(0, 1):
        report = asyncio.run(look_for(defect, tree))
    else:
        report = asyncio.run(
            ride(1, kills=0, seconds=5, each=1, rate=6.0, tree=tree, quiet_seconds=1, hold=True)
        )
    rules = Counter(each.rule for each in report.findings)
    print(f"\nkilling, control ({defect.name}): {dict(rules)}")
    assert defect.found_by & set(rules), report.story()


@pytest.mark.parametrize(
    "defect", [*PLANTS, NO_ROOM_IS_OUR_MISTAKE], ids=lambda defect: defect.name
)
def test_every_plant_still_has_its_place(defect: Plant) -> None:
    compile(ill(defect), defect.file, "exec")

"""The drills of `python -m tests.failover`, by night, as root, with Debian's packages: else skipped, loudly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.failover.__main__ import NOTHING_TRIED
from tests.killing.house import ROOT
from tests.support.scale import often

pytestmark = pytest.mark.skipif(
    not often(0, 1), reason="NIGHTLY: needs minutes, root, and etcd, Patroni and HAProxy"
)


def _drill(*, kills: int = 0, control: int = 0, cases: str = "") -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.failover"),
            *("--kills", str(kills), "--control", str(control), "--cases", cases),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1_500,
    )
    if done.returncode == NOTHING_TRIED:
        pytest.skip(f"NOT PROVEN HERE: {done.stdout.strip()}")
    print(f"\n{done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]


@pytest.mark.fault("L3_DU")
@pytest.mark.promise("P11", "L6")
def test_a_machine_is_lost_and_nothing_that_was_acknowledged() -> None:
    """Half of all that is posted meanwhile is posted twice at once; writes again within 30 s."""
    _drill(kills=2)


def test_without_strict_mode_the_same_loses_something() -> None:
    """The control: it fails when nothing was lost."""
    _drill(control=1)


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(
            "candidate_lost,successor_lost", marks=pytest.mark.fault("L3_CB", "L3_CA"), id="twice"
        ),
        pytest.param("late_buyers", marks=pytest.mark.fault("L3_RO"), id="late"),
        pytest.param("house_paused,primary_paused", marks=pytest.mark.fault("L3_SL"), id="paused"),
        pytest.param(
            "primary_parted,others_parted,naru_parted",
            marks=pytest.mark.fault("L3_NP"),
            id="parted",
        ),
        pytest.param("standbys_gone,etcd_gone", marks=pytest.mark.fault("L3_DB"), id="alone"),
        pytest.param("primary_full", marks=pytest.mark.fault("L3_DF"), id="full"),
    ],
)
@pytest.mark.promise("P11")
def test_nothing_is_lost_when_the_fail_over_itself_is_disturbed(cases: str) -> None:
    _drill(cases=cases)

"""Power cut and full disk, by night and as root: elsewhere they are skipped, and say so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.killing.house import ROOT
from tests.killing.plugs import NO_DISKS
from tests.support.scale import often

CUTS = 60
CUTS_OF_CONTROL = 2

nightly = pytest.mark.skipif(not often(0, 1), reason="NIGHTLY: needs minutes and a disk of its own")


def _plugs(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.killing.plugs", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3_000,
    )
    if done.returncode == NO_DISKS:
        pytest.skip(f"NOT PROVEN HERE: {done.stdout.strip()}")
    print(f"\nkilling, {' '.join(words)}: {done.stdout.splitlines()[:1]}{done.stderr[-300:]}")
    return done.returncode, done.stdout + done.stderr


@nightly
@pytest.mark.promise("P11")
def test_a_power_cut_loses_nothing_that_was_acknowledged() -> None:
    status, said = _plugs("power", "--cuts", str(CUTS))
    assert status == 0, said


@nightly
def test_the_power_cut_would_show_what_is_lost() -> None:
    status, said = _plugs("power", "--cuts", str(CUTS_OF_CONTROL), "--forgetful")
    assert status == 1
    assert "acknowledged and lost" in said or "PostgresError" in said


@nightly
@pytest.mark.fault("C1_DF", "C2_DF", "C3_DF", "F1_DF")
def test_a_full_disk_stops_the_taking_of_money_and_loses_none() -> None:
    status, said = _plugs("full")
    assert status == 0, said

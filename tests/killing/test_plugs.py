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
# The lines for a person; below them lies what a failure needs.
TOLD = ("seed ", "C1_DF", "C2_DF", "C3_DF")

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
    told = "\n".join(line for line in done.stdout.splitlines() if line.startswith(TOLD))
    print(f"\nkilling, {' '.join(words)}: {told}{done.stderr[-300:]}")
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
    assert "acknowledged and lost=0" not in said
    assert "acknowledged and lost: " in said


@pytest.fixture(scope="module", params=["tables", "log"])
def full(request: pytest.FixtureRequest) -> str:
    """What a run on a full disk said: no room in the tables, or in PostgreSQL's own log."""
    status, said = _plugs("full", *(["--log"] if request.param == "log" else []))
    assert status == 0, said
    return said


@nightly
@pytest.mark.parametrize(
    ("cell", "words"),
    [
        pytest.param("C1_DF", "paid by the same return, later", marks=pytest.mark.fault("C1_DF")),
        pytest.param("C2_DF", "no result written while", marks=pytest.mark.fault("C2_DF")),
        pytest.param("C3_DF", "the PG took it, paid here", marks=pytest.mark.fault("C3_DF")),
    ],
)
def test_a_full_disk_loses_nobody_and_guesses_nothing(full: str, cell: str, words: str) -> None:
    [row] = [line for line in full.splitlines() if line.startswith(f"{cell}: {{")]
    assert words in row


@nightly
def test_a_full_disk_would_show_an_answer_500() -> None:
    status, said = _plugs("full", "--planted")
    assert status == 1
    assert "HTTP 500" in said

"""Where the time goes. For naru/bench/cpu.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from naru.bench.cpu import per_deed, used

BURN = """
import sys, time
while time.process_time() < 0.2:
    pass
print("burnt", flush=True)
sys.stdin.read()
"""

linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")


@linux_only
def test_the_cpu_of_a_child_is_booked_on_its_party() -> None:
    before = used()
    assert before is not None
    with subprocess.Popen(
        [sys.executable, "-c", BURN, "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"burnt\n"
        after = used()
        assert after is not None
        child.communicate()
    spent = per_deed(before, after, 10)
    # Ten deeds share 0.2 s, counted in ticks of a hundredth of a second.
    assert 18_000 <= spent["worker"] < 100_000
    assert "gateway" not in spent
    assert spent["stopwatch"] < spent["worker"]


@linux_only
def test_a_process_that_is_nobody_we_know_is_booked_nowhere() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()", "baker"], stdin=subprocess.PIPE) as one:
        after = used()
        one.communicate(b"\n")
    assert after is not None
    assert set(after) == {"stopwatch"}


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert per_deed(None, {"gateway": 1.0}, 10) == {}
    assert per_deed({"gateway": 1.0}, {"gateway": 2.0}, 0) == {}

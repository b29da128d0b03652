"""Where the time goes. For naru/bench/cpu.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from naru.bench.cpu import per_deed

# In a process of its own: beside us other tests have children that are parties, too.
WATCH = """
import json, subprocess, sys
from naru.bench.cpu import used
before = used()
with subprocess.Popen(
    [sys.executable, "-c", sys.argv[1], sys.argv[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
) as child:
    child.stdout.readline()
    after = used()
    child.communicate()
print(json.dumps([before, after]))
"""
BURN = """
import sys, time
while time.process_time() < 0.2:
    pass
print("burnt", flush=True)
sys.stdin.read()
"""

linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")


def watch(name: str) -> Any:
    """What was used before and after a child of that name had burnt 0.2 s."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, BURN, name], capture_output=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


@linux_only
def test_the_cpu_of_a_child_is_booked_on_its_party() -> None:
    spent = per_deed(*watch("worker"), 10)

    # Ten deeds share 0.2 s, counted in ticks of a hundredth of a second.
    assert 18_000 <= spent["worker"] < 100_000
    assert set(spent) == {"stopwatch", "worker"}


@linux_only
def test_a_process_that_is_nobody_we_know_is_booked_nowhere() -> None:
    _, after = watch("baker")

    assert set(after) == {"stopwatch"}


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert per_deed(None, {"gateway": 1.0}, 10) == {}
    assert per_deed({"gateway": 1.0}, {"gateway": 2.0}, 0) == {}

"""Thousands of payments on a virtual clock, every promise checked after every run."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.campaign import campaign
from tests.simulation.loop import VirtualLoop
from tests.simulation.planted import CATALOGUE, Planted
from tests.simulation.run import Simulation, command, explain, shrink, simulate
from tests.simulation.schema import schema
from tests.simulation.world import Plan
from tests.support.scale import often

ROOT = Path(__file__).parents[2]
PROMISES = ("P1", "P2", "P3", "P4", "P7", "P8", "P12", "P13", "P14", "P16", "P17", "P23", "P24")


@pytest.mark.promise(*PROMISES, "L1", "L2", "L3")
def test_no_promise_breaks_whatever_goes_wrong() -> None:
    payments = often(5_000, 1_000_000)
    done, counts, failed = campaign(1, payments, often(1, 2))
    print(f"{done} payments;", ", ".join(f"{what}: {n:.0f}" for what, n in sorted(counts.items())))
    assert done >= payments or failed
    assert [str(each.first) for each in failed] == [], explain(failed[0])
    # A world in which nothing goes wrong proves nothing.
    for fault in ("kills", "pauses", "statements lost", "late requests", "garbage"):
        assert counts[fault], fault


def test_twenty_seeds_run_the_same_in_two_processes() -> None:
    """Whatever the hash seed: a failing seed must fail again on another machine."""
    program = (
        "from tests.simulation.run import simulate; from tests.simulation.world import Plan; import json;"
        f"print(json.dumps([simulate(Plan(s, tuple(range(12)))).hash for s in range({often(20, 60)})]))"
    )
    said = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "4711")
    ]
    first, second = (json.loads(each.communicate(timeout=280)[0]) for each in said)
    assert first == second
    assert len(set(first)) == len(first), "another seed is another run"


PLANTED_SEEDS = often(8, 100)
PLANTED_BUYERS = 60
# In `make test`: a few that are found within the first seeds.
QUICK = {
    *("silence is a refusal", "two approvals of one order", "the PG is asked before the claim"),
    *("another merchant's payment", "only the last deposit counts"),
}


@pytest.mark.parametrize(
    "planted",
    [each for each in CATALOGUE if often(0, 1) or each.name in QUICK],
    ids=lambda each: each.name,
)
def test_a_planted_defect_is_found(planted: Planted) -> None:
    found, broken = 0, Counter[str]()
    with planted.apply():
        for seed in range(PLANTED_SEEDS):
            result = simulate(Plan(seed, tuple(range(PLANTED_BUYERS)), sleeps=planted.sleeps))
            names = {each.promise for each in result.broken}
            broken.update(names)
            found += bool(names & set(planted.promises))
            if found and not often(0, 1):
                break
    print(f"{planted.name}: found in {found} of {seed + 1} seeds {dict(broken)}")
    assert found


def test_every_defect_of_the_catalogue_still_fits() -> None:
    """A defect whose text is gone would be found in no seed, and nobody would know why."""
    for planted in CATALOGUE:
        with planted.apply():
            pass


def test_a_failure_repeats_and_shrinks() -> None:
    [planted] = [each for each in CATALOGUE if each.name == "two approvals of one order"]
    with planted.apply():
        # The first seed in which it shows: which one that is changes with every statement of the house.
        tried = (simulate(Plan(seed, tuple(range(40)))) for seed in range(PLANTED_SEEDS))
        result = next(each for each in tried if each.first is not None)
        assert result.first is not None
        again = simulate(result.plan)
        assert (again.hash, again.broken) == (result.hash, result.broken)
        small = shrink(result)
        assert any(each.promise == result.first.promise for each in small.broken)
        assert len(small.plan.buyers) < 10
        assert len(small.plan.faults) <= len(result.plan.faults)
        text = explain(replace(small))
    assert result.first.promise in text
    assert command(small.plan) in text
    assert "told" in text or "payments: authenticated" in text


@contextmanager
def collector() -> Iterator[list[str]]:
    """What the garbage collector is told while it tidies up: of tasks that nobody ended."""
    told: list[str] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda of: told.append(str(of.exc_value))
    try:
        yield told
        gc.collect()
    finally:
        sys.unraisablehook = hook


def left_of(loop: VirtualLoop) -> list[object]:
    """Tasks of this loop that still exist."""
    # Not isinstance: a lazy object of somebody else's would wake up when it is asked what it is.
    return [
        each
        for each in gc.get_objects()
        if issubclass(type(each), asyncio.Task) and each._loop is loop
    ]


async def _dies_hard(ended_in: list[object]) -> None:
    """A process that has something to say in its end, as a transaction has: ROLLBACK."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        ended_in.append(asyncio._get_running_loop())
        await asyncio.sleep(1)


def test_a_run_ends_its_own_tasks() -> None:
    """Nothing is left for the collector: it would run ends of this world in another test's middle."""
    simulation = Simulation(Plan(0, tuple(range(25))))
    with collector() as told:
        simulation.run()
        loop = simulation.world.loop
        del simulation
    assert loop.buried > 100, "a world whose processes were killed has something to bury"
    assert (told, left_of(loop)) == ([], [])
    print(f"{loop.buried} tasks ended by the world, 0 by the collector")


def test_control_a_loop_that_is_only_let_go_leaves_its_tasks_to_the_collector() -> None:
    async def main(ended_in: list[object]) -> None:
        for _ in range(3):
            asyncio.get_running_loop().create_task(_dies_hard(ended_in))
        await asyncio.sleep(0)

    buried, dropped = VirtualLoop(), VirtualLoop()
    by_world: list[object] = []
    by_collector: list[object] = []
    with collector() as told:
        buried.run(main(by_world))
        buried.bury()
    assert (by_world, buried.buried, left_of(buried), told) == ([buried] * 3, 3, [], [])
    with collector() as told:
        dropped.run(main(by_collector))
        dropped._kept.clear()
        dropped.close()
    print(f"let go: {len(by_collector)} ended outside every loop, {len(told)} complaints")
    assert by_collector == [None] * 3
    assert told


def test_the_triggers_are_those_that_were_read() -> None:
    """rules.py says once more what these functions say: who changes one changes the other."""
    from tests.simulation.rules import ELSEWHERE, RULES, RULES_AFTER, WRITTEN_FROM

    marks = {name: mark for name, mark in schema().functions.items() if name not in ELSEWHERE}
    assert marks == WRITTEN_FROM, "read the trigger again, mend rules.py, then take the new mark"
    written = {*RULES, *RULES_AFTER} - {"refuse_change_by_delete"}
    assert written <= set(WRITTEN_FROM)

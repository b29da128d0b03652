"""The gateway does what V1's model says, step by step; and a deviation is found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from naru.store.audit import audit
from tests.model.bench import Bench
from tests.model.machine import Gateways
from tests.support.scale import often

if TYPE_CHECKING:
    from tests.support.postgres import Databases

STEPS_OF_EXAMPLE = 50
STEPS = often(5_000, 500_000)


@pytest.fixture(scope="module")
def bench(databases: Databases) -> Iterator[Bench]:
    dsn = databases.new()
    opened = Bench(dsn)
    yield opened
    opened.close()
    databases.drop(dsn)


def how(examples: int, **more: Any) -> settings:
    """By day the same examples every time, by night others."""
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS_OF_EXAMPLE,
        deadline=None,
        database=None,
        derandomize=bool(often(1, 0)),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        verbosity=Verbosity.normal,
        **more,
    )


@pytest.mark.promise("P1", "P4", "P6", "P7", "P8", "P10", "P14", "P16", "P17", "P22", "P24")
def test_the_gateway_is_the_model(bench: Bench) -> None:
    class Run(Gateways):
        """This run's own count of steps."""

    Run.bench = bench
    began = time.monotonic()
    run_state_machine_as_test(Run, settings=how(STEPS // STEPS_OF_EXAMPLE))  # type: ignore[no-untyped-call]
    seconds = time.monotonic() - began
    print(f"\n{Run.steps} steps in {seconds:.1f} s, {Run.steps / seconds:.0f} steps/s")
    assert Run.steps >= STEPS
    report = bench.run(audit(bench.dsn))
    # The webhooks of the model are owed and never sent: nobody works here, and years go by.
    late = ("webhooks_leave", "questions_end")
    assert [each for each in report.checks if each.broken and each.name not in late] == []

"""The gateway does what V1's model says, step by step; and a deviation is found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
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
        **more,
    )


@pytest.mark.promise("P1", "P4", "P6", "P7", "P8", "P10", "P14", "P16", "P17", "P22", "P24")
def test_the_gateway_is_the_model(bench: Bench) -> None:
    class Run(Gateways):
        """This run's own count of steps."""

    Run.bench = bench
    began = time.monotonic()
    while Run.steps < STEPS:
        # An example may be shorter than its limit, so a round may fall a little short.
        left = STEPS - Run.steps
        run_state_machine_as_test(Run, settings=how(left // STEPS_OF_EXAMPLE + 8))  # type: ignore[no-untyped-call]
    seconds = time.monotonic() - began
    print(f"\n{Run.steps} steps in {seconds:.1f} s, {Run.steps / seconds:.0f} steps/s")
    report = bench.run(audit(bench.dsn))
    # The webhooks of the model are owed and never sent: nobody works here, and years go by.
    late = ("webhooks_leave", "questions_end")
    assert [each for each in report.checks if each.broken and each.name not in late] == []


# --- controls: a deviation of the code or of the model is found ---------------------------------


def _doubt_is_failure(patch: pytest.MonkeyPatch) -> None:
    """P12: an approval whose answer is lost is called failed."""
    from naru.domain.outcome import Declined, Unknown
    from naru.payments import approve

    settle = approve.settle_approval

    async def hasty(gateway: Any, payment: Any, channel: Any, outcome: Any, **more: Any) -> Any:
        if isinstance(outcome, Unknown):
            outcome = Declined("SILENT", "응답 없음")
        return await settle(gateway, payment, channel, outcome, **more)

    patch.setattr(approve, "settle_approval", hasty)


@pytest.mark.parametrize(
    "plant",
    [
        _doubt_is_failure,
    ],
    ids=lambda plant: plant.__name__.strip("_"),
)
def test_control_a_deviation_is_found(
    bench: Bench, plant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = 0

    class Run(Gateways):
        """Counts its examples; the clean-up after a found deviation may find it again."""

        def __init__(self) -> None:
            nonlocal examples
            examples += 1
            super().__init__()

    Run.bench = bench
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)) as found:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            Run, settings=how(200, phases=[Phase.generate], report_multiple_bugs=False)
        )
    print(f"\n{plant.__name__.strip('_')}: found in {examples} examples")
    # What is printed is a program that a person can read and run.
    assert "state = Run()" in "\n".join(getattr(found.value, "__notes__", []))

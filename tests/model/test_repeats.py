"""An example that is repeated is the same example: Hypothesis needs that to repeat and to shrink.

What decides which rules may come next must not hang on the time of day, on the names that chance
gives to payments, or on what an earlier example left open.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import Phase
from hypothesis.stateful import invariant, run_state_machine_as_test

from naru.payments.reconcile import due
from tests.model.bench import Bench
from tests.model.machine import TIER_CODE
from tests.model.people import PeopleRules
from tests.model.runs import DOUBTED, how
from tests.support.scale import often


@pytest.fixture(autouse=True)
def wall(bench: Bench) -> Iterator[None]:
    """The clock on the wall is put right again."""
    real = bench.clock.wall
    yield
    bench.clock.wall = real


def trace(bench: Bench) -> list[Any]:
    """What decides which rules may come next, after every step of the same examples."""

    class Run(PeopleRules):
        """Notes what it sees."""

        noted: ClassVar[list[Any]] = []

        @invariant()
        def note(self) -> None:
            """Steps of payments, in their order, and what is open."""
            told = sum(each.told for each in self.v1.codes)
            planned = sum(each.state == "scheduled" for each in self.v1.plans)
            steps = [(each.step, len(each.events)) for each in self.v1.payments]
            self.noted.append((steps, len(self._open()), told, planned))

    Run.bench = bench
    some = how(often(4, 60), 40, phases=[Phase.generate])
    run_state_machine_as_test(Run, settings=some)  # type: ignore[no-untyped-call]
    return Run.noted


def test_examples_are_the_same_at_another_time_of_day(bench: Bench) -> None:
    first = trace(bench)
    bench.clock.wall = lambda: datetime.now(UTC) + timedelta(hours=11, minutes=40)
    again = trace(bench)
    print(f"{len(first)} steps, the same at another time of day")
    assert len(first) > 20
    assert first == again


def test_an_example_begins_at_noon_whenever_it_is(bench: Bench) -> None:
    for hour in (0, 11, 12, 23):
        bench.clock.wall = lambda hour=hour: datetime(2026, 3, 1, hour, 59, 59, tzinfo=UTC)
        bench.clock.reset()
        assert bench.clock() == datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_what_a_failed_example_left_open_is_ended_before_the_next(bench: Bench) -> None:
    class Run(PeopleRules):
        """Breaks off where a PG did not answer."""

    Run.bench = bench
    left = Run()
    left.two_merchants()
    for name, given in DOUBTED:
        getattr(left, name)(**given)
    bench.clock.advance(61)
    assert len(bench.run(due(bench.gateway))) == 1, "the control: there is something to meet"

    bench.run(bench.fresh(TIER_CODE))

    bench.clock.advance(3_600)
    assert bench.run(due(bench.gateway)) == []


def test_names_go_up(bench: Bench) -> None:
    names = [bench.gateway.ids.imp_uid() for _ in range(20)]
    assert names == sorted(names)

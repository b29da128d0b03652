"""What is left of a breaking program breaks, and nothing of it can be left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from naru.certifier.shrink import shrink
from naru.certifier.steps import (
    Approve,
    Callback,
    Calm,
    Open,
    Place,
    Program,
    Step,
    Sweep,
    Together,
    Weather,
    Webhook,
)
from tests.support.scale import often

PLENTY = 10_000
NAMES = st.sampled_from("abc")
PLAIN: st.SearchStrategy[Step] = st.one_of(
    st.builds(Place, st.sampled_from("AB"), st.just(1_000)),
    st.builds(Open, NAMES, st.sampled_from("AB")),
    st.builds(Approve, NAMES),
    st.builds(Callback, NAMES, st.sampled_from((None, "A", "B"))),
    st.builds(Webhook, NAMES),
    st.sampled_from((Weather("down"), Calm(), Sweep())),
)
# Never a `Together` of one: that is the step itself.
STEPS: st.SearchStrategy[Step] = st.recursive(
    PLAIN,
    lambda inner: st.builds(Together, st.lists(inner, min_size=2, max_size=4).map(tuple)),
    max_leaves=6,
)
PROGRAMS: st.SearchStrategy[Program] = st.lists(STEPS, min_size=1, max_size=12).map(tuple)
TIMES = settings(max_examples=often(50, 5_000), deadline=None)


def leaves(program: Program) -> Iterator[Step]:
    for step in program:
        if isinstance(step, Together):
            yield from leaves(step.steps)
        else:
            yield step


def one_step_less(program: Program) -> Iterator[Program]:
    """Every program that is this one without one of its steps, also from inside of a `Together`."""
    for place, step in enumerate(program):
        before, after = program[:place], program[place + 1 :]
        if not isinstance(step, Together):
            yield before + after
            continue
        for inner in one_step_less(step.steps):
            kept = inner[0] if len(inner) == 1 else Together(inner)
            yield (*before, kept, *after)


class Asked:
    """A predicate that counts, and remembers what it was asked and said."""

    def __init__(self, breaks: Callable[[Program], bool]) -> None:
        self.breaks, self.answers = breaks, list[tuple[Program, bool]]()

    def __call__(self, program: Program) -> bool:
        self.answers.append((program, self.breaks(program)))
        return self.answers[-1][1]


def needing(needed: Counter[Step]) -> Callable[[Program], bool]:
    """Breaks as long as these steps are in it, wherever they stand: monotone."""
    return lambda program: not needed - Counter(leaves(program))


@TIMES
@given(PROGRAMS, st.data())
def test_what_is_needed_is_left_and_nothing_else(program: Program, data: st.DataObject) -> None:
    all_steps = list(leaves(program))
    chosen = data.draw(st.lists(st.sampled_from(range(len(all_steps))), min_size=1, unique=True))
    needed = Counter(all_steps[number] for number in chosen)
    shortest = shrink(program, needing(needed), tries=PLENTY)
    assert Counter(leaves(shortest)) == needed


@TIMES
@example((Sweep(), Together((Sweep(), Sweep())), Sweep()), 3)
@given(PROGRAMS, st.integers(0, 2**32))
def test_no_step_can_be_left_out_whatever_the_rule(program: Program, seed: int) -> None:
    """The predicate is chance itself, told by the program: neither monotone nor sensible."""

    def breaks(candidate: Program) -> bool:
        return candidate == program or Random(f"{seed} {candidate}").random() < 0.4

    asked = Asked(breaks)
    shortest = shrink(program, asked, tries=PLENTY)
    assert breaks(shortest)
    assert shortest == program or (shortest, True) in asked.answers
    assert not any(breaks(less) for less in one_step_less(shortest) if less)
    assert len(list(leaves(shortest))) <= len(list(leaves(program)))
    assert shrink(program, breaks, tries=PLENTY) == shortest


@TIMES
@given(PROGRAMS, st.integers(0, 30), st.randoms(use_true_random=False))
def test_tries_are_all_it_takes(program: Program, tries: int, chance: Random) -> None:
    """A race: what breaks, breaks one time in three. What is shown was seen to break."""
    asked = Asked(lambda candidate: chance.random() < 1 / 3)
    shortest = shrink(program, asked, tries=tries)
    assert len(asked.answers) <= tries
    seen = [candidate for candidate, broke in asked.answers if broke]
    assert shortest == (seen[-1] if seen else program)
    assert all(candidate for candidate, _ in asked.answers)


def test_a_long_storm_is_short_within_the_tries_that_a_run_has() -> None:
    """Four payments of three orders, and a robbery in the middle of it: 24 tries are a run's."""
    strangers = [
        step
        for number, name in enumerate("bcd")
        for step in (Open(name, "BCC"[number]), Approve(name), Webhook(name), Callback(name))
    ]
    needed = [Place("A", 64_900), Open("a", "A", amount=1_000), Approve("a"), Callback("a")]
    program = (
        *needed[:1],
        Place("B", 1_000),
        Place("C", 2_900),
        *strangers[:5],
        *needed[1:3],
        *strangers[5:9],
        Together((Callback("b"), needed[3], Webhook("c"))),
        *strangers[9:],
        Sweep(),
    )
    asked = Asked(needing(Counter(needed)))
    assert shrink(program, asked, tries=24) == tuple(needed)
    print(f"{len(list(leaves(program)))} steps to {len(needed)} in {len(asked.answers)} tries")


def test_a_program_of_one_step_stays() -> None:
    asked = Asked(lambda _: True)
    assert shrink((Sweep(),), asked, tries=PLENTY) == (Sweep(),)
    assert asked.answers == []

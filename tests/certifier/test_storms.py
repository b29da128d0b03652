"""Storms hit no correct shop, and sooner or later every broken one."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naru.certifier.attacks.storms import STORMS, storm
from naru.certifier.judge import judge
from naru.certifier.shrink import shrink
from naru.certifier.steps import (
    Advance,
    Approve,
    Callback,
    Calm,
    Change,
    Close,
    Decline,
    Deposit,
    Forge,
    Lose,
    Open,
    Place,
    Program,
    Redirect,
    Refund,
    Sweep,
    Together,
    Weather,
    Webhook,
)
from naru.testing.private_gateway import PrivateGateway
from tests.certifier.test_shrink import leaves
from tests.certifier.test_stage import stage_for
from tests.support.scale import often


@settings(max_examples=often(150, 5_000), deadline=None)
@given(st.integers(0, 10**9))
def test_what_a_storm_is(seed: int) -> None:
    program = storm(Random(seed))
    assert program == storm(Random(seed))
    steps = list(leaves(program))
    assert len(steps) <= 80
    # Time goes on for all that run after it: no storm moves it.
    assert not any(isinstance(step, Advance) for step in steps)
    placed: set[str] = set()
    opened: set[str] = set()
    for step in steps:
        match step:
            case Place():
                placed.add(step.order)
            case Open():
                assert step.order in placed
                opened.add(step.payment)
            case _ if (payment := getattr(step, "payment", None)) is not None:
                assert payment in opened
    # One buyer at least is honest, and pays.
    assert any(
        step == Open("a", "A", method=step.method, surface=step.surface)
        for step in steps
        if isinstance(step, Open)
    )
    assert Approve("a") in steps
    bad = [number for number, step in enumerate(program) if isinstance(step, Weather)]
    assert len(bad) == sum(isinstance(step, Calm) for step in program) <= 1


def test_every_kind_of_event_is_dealt() -> None:
    storms = [storm(Random(seed)) for seed in range(300)]
    dealt = {type(step) for program in storms for step in (*program, *leaves(program))}
    assert dealt == {
        Place,
        Change,
        Open,
        Approve,
        Decline,
        Close,
        Deposit,
        Refund,
        Callback,
        Redirect,
        Webhook,
        Lose,
        Forge,
        Together,
        Weather,
        Calm,
        Sweep,
    }


def test_a_run_has_its_own_storms() -> None:
    programs = {
        attack.program(Random(f"{seed} {attack.name}"))
        for attack in STORMS.attacks
        for seed in (1, 2)
    }
    assert len(programs) == 2 * len(STORMS.attacks)


NIGHTLY = bool(often(0, 1))
CORRECT = ["by_hand_flask"]
if NIGHTLY:
    CORRECT += ["kit_flask", "kit_fastapi", "kit_django", "demo_shop"]


@pytest.mark.parametrize("name", CORRECT)
def test_no_storm_accuses_a_correct_shop(name: str, private_gateway: PrivateGateway) -> None:
    count = often(3, 100)
    paid = 0
    with stage_for(name, private_gateway) as stage:
        for seed in range(count):
            program = storm(Random(f"correct {seed}"))
            scene = stage.perform(program)
            orders, breaches = judge(stage, scene)
            shown = "\n".join(map(repr, program))
            assert breaches == [], f"seed {seed}:\n{shown}\n{orders}"
            paid += any(order.fulfilled for order in orders)
    print(f"{name}: {count} storms held, goods left in {paid} of them")
    assert paid


# The rule that each of them breaks.
BROKEN = {"sample_python": "once"}
if NIGHTLY:
    BROKEN |= {
        "no_amount": "paid-in-full",
        "replay": "paid-in-full",
        "refund_ignored": "given-back",
    }


@pytest.mark.parametrize("name", BROKEN)
def test_a_storm_finds_a_broken_shop_and_is_shortened(
    name: str, private_gateway: PrivateGateway
) -> None:
    rule = BROKEN[name]
    with stage_for(name, private_gateway) as stage:

        def breaks(program: Program) -> bool:
            _, breaches = judge(stage, stage.perform(program))
            return any(breach.rule.id == rule for breach in breaches)

        for seed in range(60):
            program = storm(Random(f"broken {seed}"))
            if breaks(program):
                break
        else:
            pytest.fail(f"60 storms, and {name} stands")
        shortest = shrink(program, breaks, tries=often(10, 60))
    print(
        f"{name}: storm {seed}, {len(list(leaves(program)))} steps, {len(shortest)} of them do it:"
    )
    print("\n".join(map(repr, shortest)))
    assert len(list(leaves(shortest))) < len(list(leaves(program)))

"""Each family of operations alone, from where it begins: the model in short, for what the whole run meets seldom."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.model.bench import Bench
from tests.model.runs import DEPOSITED, JOINED, KEPT, NOTHING, SETTLES, Begun, how, narrow
from tests.support.scale import often

FAMILIES: dict[str, tuple[Begun, tuple[str, ...]]] = {
    "receipts": (
        DEPOSITED,
        ("issue_receipt", "revoke_receipt", "look_at_receipt", "cancel", "deposit", "work"),
    ),
    "receipts outside": (
        DEPOSITED,
        ("issue_receipt_outside", "revoke_receipt_outside", "look_at_receipt_outside", "work"),
    ),
    "accounts that change": (
        SETTLES,
        ("change_account", "deposit", "deposit_as_changed", "close", "work", "advance"),
    ),
    "cards that are checked": (
        KEPT,
        ("plan", "keep_card", "delete_card", "unplan", "work", "look_at_plan"),
    ),
    "charges that are planned": (
        KEPT,
        ("plan", "run_plans", "try_plan_again", "move_plan", "keep_card", "work"),
    ),
    "people who prove who they are": (
        NOTHING,
        ("ask_for_code", "confirm_code", "look_at_person", "forget_person", "work", "advance"),
    ),
    "members of quick pay": (
        JOINED,
        ("pay_money", "enter_pin", "ask_about_member", "announce_quick", "join", "work"),
    ),
}


@pytest.mark.promise("P6", "P10", "P12", "P15", "P16")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_the_model(bench: Bench, family: str) -> None:
    run = narrow(*FAMILIES[family])
    run.bench = bench
    run_state_machine_as_test(run, settings=how(often(4, 1_000), 30))  # type: ignore[no-untyped-call]

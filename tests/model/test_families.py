"""Each family of operations alone, from where it begins: the model in short, for what the whole run meets seldom."""

from __future__ import annotations

import pytest
from hypothesis import Phase
from hypothesis.stateful import run_state_machine_as_test

from tests.model.bench import Bench
from tests.model.runs import (
    ACCOUNT,
    CHECKED,
    JOINED,
    LEFT,
    MOVED,
    NOTHING,
    SETTLES,
    Begun,
    how,
    narrow,
)
from tests.support.scale import often


def is_the_model(bench: Bench, begun: Begun, *rules: str) -> None:
    """The gateway and its model agree, whatever of these rules is done in whatever order."""
    run = narrow(begun, rules)
    run.bench = bench
    few = how(often(5, 1_000), 25, phases=[Phase.generate], report_multiple_bugs=False)
    run_state_machine_as_test(run, settings=few)  # type: ignore[no-untyped-call]


@pytest.mark.promise("P6", "P10", "P12")
def test_cash_receipts_tell_of_no_more_than_is_left(bench: Bench) -> None:
    rules = ("issue_receipt", "revoke_receipt", "look_at_receipt", "cancel", "work")
    is_the_model(bench, LEFT, *rules)


@pytest.mark.promise("P6", "P10", "P12")
@pytest.mark.parametrize("begun", [LEFT, ACCOUNT], ids=["of paid money", "of a waiting account"])
def test_receipts_of_orders_that_were_paid_outside(bench: Bench, begun: Begun) -> None:
    rules = ("issue_receipt_outside", "revoke_receipt_outside", "look_at_receipt_outside", "work")
    is_the_model(bench, begun, *rules, "deposit")


@pytest.mark.promise("P6", "P10", "P16")
def test_accounts_that_wait_for_something_else(bench: Bench) -> None:
    rules = ("change_account", "deposit", "deposit_as_changed", "close", "work", "advance")
    is_the_model(bench, SETTLES, *rules)


@pytest.mark.promise("P1", "P6", "P10")
def test_cards_that_are_kept_and_checked(bench: Bench) -> None:
    is_the_model(
        bench, CHECKED, "plan", "keep_card", "delete_card", "unplan", "work", "look_at_card"
    )


@pytest.mark.promise("P2", "P6", "P15")
def test_orders_that_are_charged_later(bench: Bench) -> None:
    is_the_model(bench, MOVED, "run_plans", "try_plan_again", "move_plan", "plan", "work")


@pytest.mark.promise("P6", "P10")
def test_people_who_prove_who_they_are(bench: Bench) -> None:
    rules = ("ask_for_code", "confirm_code", "look_at_person", "forget_person", "work", "advance")
    is_the_model(bench, NOTHING, *rules)


@pytest.mark.promise("P1", "P6", "P10")
def test_members_of_quick_pay_and_their_money(bench: Bench) -> None:
    rules = ("pay_money", "enter_pin", "ask_about_member", "announce_quick", "join", "work")
    is_the_model(bench, JOINED, *rules)

"""What the launch checklist asks: each attack fails a shop that lacks it, and a correct one passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from naru.certifier import stage
from naru.certifier.attacks import ATTACKS as ALL
from naru.certifier.attacks import honest
from naru.certifier.attacks.launch import LAUNCH
from naru.certifier.certify import Certifier
from naru.testing.private_gateway import PrivateGateway
from tests.certifier.odd_stage import broken_in, certifying, odd
from tests.support.scale import often

ATTACKS = {attack.name: attack for attack in LAUNCH.attacks}
HONEST = {attack.name: attack for attack in honest.HONEST.attacks}
# By which mistake of odd_shop.py each is failed, and what it costs.
MISTAKES = {
    "launch-webhook-fields": ("fields", {("A", "money-gets-goods")}),
    "launch-webhook-event": ("event", {("A", "money-gets-goods")}),
    "launch-webhook-headers": ("headers", {("A", "money-gets-goods")}),
    "launch-webhook-address": ("address", {("A", "paid-in-full")}),
    "launch-methods": ("cards", {("B", "money-gets-goods"), ("C", "money-gets-goods")}),
    "launch-account-closed": ("dead", {("A", "money-gets-goods")}),
    "launch-deposit-refunded": ("deposits", {("A", "given-back")}),
}


@pytest.fixture(scope="module")
def shop(private_gateway: PrivateGateway) -> Iterator[Certifier]:
    with certifying(private_gateway, "by_hand_flask") as certifier:
        yield certifier


# Correct shops meet every attack in test_verdicts.py, too.
@pytest.mark.parametrize("name", list(ATTACKS)[: often(2, len(ATTACKS))])
def test_a_correct_shop_holds(shop: Certifier, name: str) -> None:
    outcome = shop.attack(ATTACKS[name])
    assert broken_in(outcome) == set()
    assert outcome.warnings == ()
    assert outcome.verdict == "held"


@pytest.mark.parametrize("name", list(MISTAKES)[: often(5, len(MISTAKES))])
def test_a_shop_that_lacks_it_is_found_out(shop: Certifier, name: str) -> None:
    mistake, breaches = MISTAKES[name]
    with odd(shop, mistake=mistake) as odd_one:
        assert broken_in(odd_one.attack(ATTACKS[name], shorten=False)) == breaches
        # It is this attack that finds it: honest buyers with cards do not.
        assert broken_in(odd_one.attack(HONEST["honest-callback"])) == set()


@pytest.mark.parametrize(
    ("mistake", "words"), [("no-content", "answered 204"), ("slow", "not answered within")]
)
def test_bad_manners_at_the_webhook_are_told(
    shop: Certifier, monkeypatch: pytest.MonkeyPatch, mistake: str, words: str
) -> None:
    monkeypatch.setattr(stage, "WEBHOOK_SECONDS", 0.2 if mistake == "slow" else 15.0)
    with odd(shop, mistake=mistake) as odd_one:
        outcome = odd_one.attack(ATTACKS["launch-webhook-answer"])
    assert outcome.verdict == "held"
    assert [words in warning.en for warning in outcome.warnings] == [True]


def test_one_number_for_two_orders_is_no_pass(shop: Certifier) -> None:
    with odd(shop, number="ORD-20261123") as odd_one:
        outcome = odd_one.attack(ATTACKS["launch-order-numbers"])
    assert outcome.verdict == "trouble"
    assert outcome.why is not None
    assert "two orders have one number, 'ORD-20261123'" in outcome.why.en


@pytest.mark.parametrize("number", [f"ORD-{'9' * 30}-{{}}", "주문-{}"])
def test_a_number_that_not_every_pg_takes_is_told(shop: Certifier, number: str) -> None:
    with odd(shop, number=number) as odd_one:
        outcome = odd_one.attack(ATTACKS["launch-order-numbers"])
    assert broken_in(outcome) == set()
    assert {"some PGs refuse" in warning.en for warning in outcome.warnings} == {True}


def test_a_console_that_says_form(private_gateway: PrivateGateway) -> None:
    with certifying(private_gateway, "kit_flask", webhook_format="form") as certifier:
        for name in ("launch-webhook-fields", "launch-webhook-event", "launch-webhook-headers"):
            outcome = certifier.attack(ATTACKS[name])
            assert broken_in(outcome) == set()
            sent = [each.request for each in outcome.tape if each.sender == "gateway"]
            assert any("application/x-www-form-urlencoded" in request for request in sent)


def test_a_shop_that_reads_json_alone_and_a_console_that_says_form(
    private_gateway: PrivateGateway,
) -> None:
    # It checks the signature with a library that reads the body as JSON when it has checked it.
    with certifying(private_gateway, "by_hand_flask", webhook_format="form") as certifier:
        outcome = certifier.attack(HONEST["honest-webhook"], shorten=False)
        assert broken_in(outcome) == {("A", "money-gets-goods")}


def rows(page: str) -> list[list[str]]:
    """The cells of every line of the page's tables, without the heads."""
    text = (Path("docs/reference") / page).read_text("utf-8")
    lines = re.findall(r"^\| (.+) \|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [
        row
        for row, below in zip(cells, [*cells[1:], [""]], strict=True)
        if "---" not in (row[0], below[0])
    ]


def names_in(row: list[str]) -> list[str]:
    return [name for cell in row[1:] for name in re.findall("`([a-z]+(?:-[a-z0-9]+)+)`", cell)]


def test_the_table_names_attacks_that_there_are() -> None:
    korean, english = rows("launch-checklist.ko.md"), rows("launch-checklist.md")
    known = {attack.name for attack in ALL}
    assert [names_in(row) for row in korean] == [names_in(row) for row in english]
    assert len(english) == 40
    for row in [*korean, *english]:
        assert set(names_in(row)) <= known, row
        assert names_in(row) or row[2].endswith("."), f"{row[0]}: neither an attack nor a reason"
    named = {name for row in english for name in names_in(row)}
    assert set(ATTACKS) <= named

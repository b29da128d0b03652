"""The mall: how what was paid is shared out, and what a buyer may do when."""

from __future__ import annotations

import pytest

from naru.sandbox import product_orders as goods
from naru.sandbox.ledger import Row
from naru.sandbox.orders import Announcement, MallLine, Order


def order(amount: int, *lines: MallLine) -> Order:
    announced = Announcement(
        order_no="n00000",
        amount=amount,
        currency="KRW",
        item_name="채소",
        merchant_name="나루",
        merchant_order_no="o",
        pay_method="naverpay",
        profile="naverco",
        mall=lines,
    )
    return Order(1, "m", "n00000", "w", announced, "approved", 0, 0, None, 0, None, 0, 0, "", "")


def line(amount: int | None, quantity: int = 1, delivery: int = 0) -> MallLine:
    return MallLine(
        product_id="p", name="p", quantity=quantity, amount=amount, delivery_amount=delivery
    )


@pytest.mark.parametrize(
    ("amount", "lines", "shares"),
    [
        (1_000, (), [(1_000, 0)]),
        (1_500, (line(500), line(700, delivery=300)), [(500, 0), (700, 300)]),
        (1_000, (line(999), line(2)), [(500, 0), (500, 0)]),  # The prices do not add up.
        (1_000, (line(None, 1), line(None, 2)), [(334, 0), (666, 0)]),
        (2, (line(None), line(None), line(None)), [(1, 0), (1, 0)]),  # Nothing is for nothing.
        (10, (line(None, 9_999), line(None)), [(9, 0), (1, 0)]),
        (500, (line(500), line(0)), [(250, 0), (250, 0)]),
    ],
)
def test_all_that_was_paid_is_shared_out(
    amount: int, lines: tuple[MallLine, ...], shares: list[tuple[int, int]]
) -> None:
    shared = goods.share_out(order(amount, *lines), amount)
    assert [(product, delivery) for _, product, delivery in shared] == shares
    assert sum(map(sum, shares)) == amount


def row(status: str, claim: goods.Claim | None = None, withheld: str | None = None) -> Row:
    claim_type, claim_status = claim or (None, None)
    return {
        "status": status,
        "claim_type": claim_type,
        "claim_status": claim_status,
        "placed_at": None,
        "withheld": withheld,
    }


STATES = [
    row(status, claim)
    for status in (
        "PAYED",
        "DELIVERING",
        "DELIVERED",
        "PURCHASE_DECIDED",
        "EXCHANGED",
        "CANCELED",
        "RETURNED",
    )
    for claim in (
        *goods.FREE,
        *goods.ASKED_TO_CANCEL,
        *goods.SENDING_BACK,
        *goods.EXCHANGING,
        ("EXCHANGE", "COLLECT_DONE"),
        ("EXCHANGE", "EXCHANGE_REDELIVERING"),
        ("CANCEL", "CANCEL_DONE"),
        ("RETURN", "RETURN_DONE"),
        ("ADMIN_CANCEL", "ADMIN_CANCEL_DONE"),
    )
]


@pytest.mark.parametrize("status", ["CANCELED", "RETURNED", "PURCHASE_DECIDED", "EXCHANGED"])
def test_what_has_ended_stays_so(status: str) -> None:
    for state in (each for each in STATES if each["status"] == status):
        for rules in (goods.RULES, goods.BUYERS_RULES):
            assert [act for act in rules if goods.why_not(state, act, rules) is None] == []


def test_money_goes_back_by_one_way_in_every_state() -> None:
    """No state lets the merchant choose between two acts that give the money back."""
    ways = [
        [
            act
            for act in ("cancel", "approve-cancel", "approve-return")
            if goods.why_not(state, act) is None
        ]
        for state in STATES
    ]
    assert max(map(len, ways)) == 1
    assert {way for each in ways for way in each} == {"cancel", "approve-cancel", "approve-return"}


def test_nothing_is_shipped_while_its_buyer_waits_for_a_word() -> None:
    asked = row("PAYED", ("CANCEL", "CANCEL_REQUEST"))
    assert goods.why_not(asked, "ship") == goods.WRONG_STATE
    assert goods.why_not(row("PAYED"), "ship") is None


def test_a_withheld_return_is_not_approved_before_it_is_resolved() -> None:
    back = ("RETURN", "RETURN_REQUEST")
    assert goods.why_not(row("DELIVERED", back, "{}"), "approve-return") == goods.WITHHELD
    assert goods.why_not(row("DELIVERED", back, "{}"), "resolve-return") is None
    assert goods.why_not(row("DELIVERED", back), "resolve-return") == goods.NOT_WITHHELD

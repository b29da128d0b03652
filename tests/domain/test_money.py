"""Money: exact, whole, and suspicious of every number, for naru/domain/money.py."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.domain.errors import AmountTooFine, BadAmount, UnknownCurrency
from naru.domain.money import MINOR_DIGITS, MINOR_MAX, Money

CURRENCIES = st.sampled_from(sorted(MINOR_DIGITS))
MINORS = st.integers(0, MINOR_MAX)


@given(MINORS, CURRENCIES)
def test_every_amount_survives_the_wire_as_json_and_as_text(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    number = money.to_wire()
    assert Money.from_wire(number, currency) == money
    assert Money.from_wire(json.loads(json.dumps(number)), currency) == money
    exact = Decimal(minor).scaleb(-MINOR_DIGITS[currency])
    assert Money.from_wire(exact, currency.lower()) == money
    assert Money.from_wire(f"{exact:f}", currency) == money


@pytest.mark.parametrize(
    ("number", "minor"),
    [
        (1004, 1004),
        (1004.0, 1004),
        (1e3, 1000),
        ("1004", 1004),
        (" 1004 ", 1004),
        ("1004.00", 1004),
        ("0001", 1),
        ("1.", 1),
        (0, 0),
        (-0.0, 0),
        (Decimal("1E+3"), 1000),
        (MINOR_MAX, MINOR_MAX),
    ],
)
def test_whole_numbers_of_won_are_read(number: Any, minor: int) -> None:
    assert Money.from_wire(number) == Money(minor)


HOSTILE: list[Any] = [
    *(True, False, None, "", " ", ".", "-1", "+1", "1e3", "1,000", "1_000", "0x10", "1.2.3"),
    *("١٢٣", "１００", "Infinity", "NaN", "1\x00", "1\n2", "9" * 21, "9" * 10_000),
    *(-1, -0.5, float("nan"), float("inf"), float("-inf"), 1e300, 10**13, 10**400),
    *([1], [0, [1, 2], 0], (0, (1, 2), 0), {"minor": 1}, b"1", Decimal("sNaN"), Ellipsis),
]


@pytest.mark.parametrize("number", HOSTILE, ids=lambda each: repr(each)[:24])
@pytest.mark.parametrize("currency", ["KRW", "USD"])
def test_everything_else_is_refused(number: Any, currency: str) -> None:
    with pytest.raises(BadAmount):
        Money.from_wire(number, currency)


@pytest.mark.parametrize(
    ("number", "currency"),
    [
        (100.5, "KRW"),
        ("0.1", "KRW"),
        (5e-324, "KRW"),
        (0.001, "USD"),
        ("12.345", "USD"),
        (0.1 + 0.2, "USD"),
        (Decimal("1." + "0" * 40 + "1"), "KRW"),
    ],
)
def test_more_decimals_than_the_currency_has_are_refused(number: Any, currency: str) -> None:
    with pytest.raises(BadAmount):
        Money.from_wire(number, currency)


def test_a_decimal_too_fine_is_told_as_such() -> None:
    with pytest.raises(AmountTooFine):
        Money.from_wire("12.345", "USD")
    with pytest.raises(AmountTooFine):
        Money.from_wire(Decimal("1." + "0" * 28 + "1"))


@pytest.mark.parametrize("currency", ["", "WON", "KR", "KRW ", "ĸrw", "ıdr", "X" * 9999, None, 5])
def test_a_currency_that_is_not_known_is_not_guessed(currency: Any) -> None:
    with pytest.raises(UnknownCurrency):
        Money.from_wire(1, currency)


@given(MINORS, MINORS)
def test_sums_and_differences_are_exact_and_ordered(a: int, b: int) -> None:
    assert Money(a) + Money(b) - Money(b) == Money(a)
    assert (Money(a) < Money(b)) == (a < b)
    assert (Money(a) > Money(b)) == (a > b)
    assert (Money(a) <= Money(b)) == (a <= b)
    assert bool(Money(a)) == (a != 0)


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__lt__", "__gt__", "__le__"])
def test_currencies_do_not_mix(operator: str) -> None:
    with pytest.raises(ValueError, match="do not mix"):
        getattr(Money(1, "KRW"), operator)(Money(1, "USD"))


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(64_900), "64,900원"),
        (Money(1250, "USD"), "$12.50"),
        (Money(1000, "JPY"), "1,000 JPY"),
        (Money(7, "XAU"), "7 XAU (minor units)"),
    ],
)
def test_people_read_it_as_they_write_it(money: Money, text: str) -> None:
    assert money.text() == text

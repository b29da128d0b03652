"""The announced amount, for naru/domain/prepared.py."""

from __future__ import annotations

import pytest

from naru.domain.errors import AmountTooFine, PreparedDiffers
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.prepared import Prepared, check_prepared, read_announced

ORDER = MerchantUid("o1")


@pytest.mark.parametrize(
    ("announced", "fixed", "asked"),
    [
        (Money(1004), True, Money(1004)),
        (Money(1004), False, Money(1004)),
        (Money(1200, "USD"), True, Money(1200, "USD")),
    ],
)
def test_the_same_price_passes(announced: Money, fixed: bool, asked: Money) -> None:
    check_prepared(None, asked)
    check_prepared(Prepared(ORDER, announced, fixed), asked)


@pytest.mark.parametrize(
    ("announced", "fixed", "asked"),
    [
        (Money(1004), True, Money(1003)),
        (Money(1004), False, Money(1005)),
        (Money(1004), True, Money(1004, "JPY")),
        (Money(1200), True, Money(1200, "USD")),
        (Money(1200), False, Money(1200, "USD")),
        (Money(12), False, Money(1250, "USD")),
    ],
)
def test_another_price_does_not(announced: Money, fixed: bool, asked: Money) -> None:
    with pytest.raises(PreparedDiffers):
        check_prepared(Prepared(ORDER, announced, fixed), asked)


@pytest.mark.promise("P17")
def test_a_bare_number_is_of_won_or_of_what_the_pg_assumes() -> None:
    announced = read_announced(ORDER, 10_000, None)

    check_prepared(announced, Money(10_000))
    check_prepared(announced, Money(10_000), "USD")
    check_prepared(announced, Money(1_000_000, "USD"), "USD")
    for currency, assumed in (("VND", "USD"), ("JPY", "USD"), ("USD", "KRW"), ("VND", "KRW")):
        asked = Money.from_wire(10_000, currency)
        with pytest.raises(PreparedDiffers, match="10,000"):
            check_prepared(announced, asked, assumed)
        check_prepared(announced, asked, None)  # As V1, where the operator wants it.


def test_a_bare_number_may_have_cents_and_is_compared_as_a_number() -> None:
    announced = read_announced(ORDER, "12.5", None)

    assert (announced.amount.to_wire(), announced.currency_fixed) == (12.5, False)
    check_prepared(announced, Money(1250, "USD"))
    with pytest.raises(PreparedDiffers, match=r"12\.5"):
        check_prepared(announced, Money(1200, "USD"))


def test_an_amount_finer_than_its_currency_is_refused() -> None:
    with pytest.raises(AmountTooFine):
        read_announced(ORDER, "12.5", "KRW")

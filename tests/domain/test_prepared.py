"""The announced amount, for naru/domain/prepared.py."""

from __future__ import annotations

import pytest

from naru.domain.errors import PreparedDiffers
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.prepared import Prepared, check_prepared

ORDER = MerchantUid("o1")


@pytest.mark.parametrize(
    ("announced", "fixed", "asked"),
    [
        (Money(1004), True, Money(1004)),
        (Money(1004), False, Money(1004)),
        (Money(12), False, Money(1200, "USD")),
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

"""Money: an integer and its currency. The only arithmetic on amounts.

Amounts change shape at the wire only: i'mport speaks major units (KRW 1004 is `1004`,
USD 12.50 is `12.5`), everything inside speaks the smallest unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from naru.domain.errors import AmountTooFine, BadAmount, UnknownCurrency

# ISO 4217 minor units of the currencies that the PGs of i'mport take.
MINOR_DIGITS: dict[str, int] = {
    "KRW": 0,
    "JPY": 0,
    "VND": 0,
    "USD": 2,
    "EUR": 2,
    "GBP": 2,
    "CNY": 2,
    "HKD": 2,
    "TWD": 2,
    "SGD": 2,
    "THB": 2,
    "MYR": 2,
    "PHP": 2,
    "IDR": 2,
    "AUD": 2,
    "CAD": 2,
    "NZD": 2,
    "CHF": 2,
    "SEK": 2,
    "NOK": 2,
    "DKK": 2,
    "PLN": 2,
    "CZK": 2,
    "HUF": 2,
    "ILS": 2,
    "MXN": 2,
    "BRL": 2,
    "RUB": 2,
    "INR": 2,
    "MNT": 2,
    "KZT": 2,
}
MINOR_MAX = 10**12


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the currency's smallest unit: KRW 1004 is 1004, USD 12.50 is 1250."""

    minor: int
    currency: str = "KRW"

    @classmethod
    def from_wire(cls, number: int | str | float | Decimal, currency: str = "KRW") -> Money:
        """Read i'mport's number (major units, also as a numeric string).

        Raises UnknownCurrency, BadAmount (not a finite number, negative, beyond 10^12 minor units)
        and AmountTooFine (100.5 won). Booleans are not numbers. 0 is read; who needs more says so.
        """
        # Only ASCII: other letters may have an ASCII capital (dotless i).
        currency = currency.upper() if isinstance(currency, str) and currency.isascii() else ""
        digits = MINOR_DIGITS.get(currency)
        if digits is None:
            raise UnknownCurrency
        if isinstance(number, int) and not isinstance(number, bool) and digits == 0:
            minor = number
        else:
            minor = _scaled(number, digits)
        if not 0 <= minor <= MINOR_MAX:
            raise BadAmount
        return cls(minor, currency)

    def to_wire(self) -> int | float:
        """i'mport's number: an int where the amount is whole (always for KRW), else a float of at most two decimals."""
        digits = MINOR_DIGITS[self.currency]
        if digits == 0:
            return self.minor
        whole, rest = divmod(self.minor, 10**digits)
        return whole if rest == 0 else float(Decimal(self.minor).scaleb(-digits))

    def text(self) -> str:
        """For people: `64,900원`, `$12.50`, `1,000 JPY`."""
        digits = MINOR_DIGITS.get(self.currency)
        if digits is None:
            # A PG may speak of a currency that we do not take; its words must still be logged.
            return f"{self.minor} {self.currency} (minor units)"
        number = f"{Decimal(self.minor).scaleb(-digits):,.{digits}f}"
        if self.currency == "KRW":
            return f"{number}원"
        if self.currency == "USD":
            return f"${number}"
        return f"{number} {self.currency}"

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.minor > self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")
        return other.minor


def _scaled(number: int | str | float | Decimal, digits: int) -> int:
    # Decimal() also reads booleans, tuples and lists of digits.
    if isinstance(number, bool) or not isinstance(number, int | str | float | Decimal):
        raise BadAmount
    if isinstance(number, str):
        text = number.strip()
        # Decimal() also reads full-width digits, underscores and "Infinity"; a price is plain ASCII.
        if not text or len(text) > 20 or not set(text) <= set("0123456789."):
            raise BadAmount
        number = text
    elif isinstance(number, float):
        # repr gives the shortest text that is this float: 12.1 is 12.1 and not 12.0999…
        number = repr(number)
    try:
        value = Decimal(number)
    except (InvalidOperation, TypeError, ValueError):
        raise BadAmount from None
    if not value.is_finite() or not -30 < value.adjusted() <= 15:
        raise BadAmount
    # Exact for any number of digits; the decimal context would round what is very fine.
    scaled = Fraction(value) * 10**digits
    if scaled.denominator != 1:
        raise AmountTooFine
    return int(scaled)

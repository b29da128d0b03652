"""An amount announced beforehand for an order (사전등록)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from naru.domain.errors import AmountTooFine, PreparedDiffers
from naru.domain.ids import MerchantUid
from naru.domain.money import Money


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an order should cost. `currency_fixed` is False when the merchant named no currency:
    then `amount` is a bare number, kept as won (or as dollars where it has cents)."""

    merchant_uid: MerchantUid
    amount: Money
    currency_fixed: bool = False


def check_prepared(prepared: Prepared | None, asked: Money, assumed: str | None = "KRW") -> None:
    """Refuse a window whose amount differs from what the merchant's server announced (P17).

    A bare number is i'mport's number in the currency that it is kept in, or in the one that the paying PG
    assumes where nobody names any (`assumed`): 10,000 is no 10,000 dong. None: in any currency, as V1.
    """
    if prepared is None:
        return
    if prepared.currency_fixed:
        same = prepared.amount == asked
    else:
        meant = assumed is None or asked.currency in (prepared.amount.currency, assumed)
        same = meant and prepared.amount.to_wire() == asked.to_wire()
    if not same:
        named = prepared.currency_fixed or prepared.amount.currency == asked.currency
        announced = prepared.amount.text() if named else f"{prepared.amount.to_wire():,}"
        raise PreparedDiffers(
            f"사전등록된 결제금액({announced})과 요청한 결제금액({asked.text()})이 다릅니다."
        )


def read_announced(
    merchant_uid: MerchantUid, number: int | str | float | Decimal, currency: str | None
) -> Prepared:
    """Read what a merchant announces. Without a currency it is a bare number, cents allowed.

    Raises UnknownCurrency, BadAmount, AmountTooFine.
    """
    if currency is not None:
        return Prepared(merchant_uid, Money.from_wire(number, currency), currency_fixed=True)
    try:
        return Prepared(merchant_uid, Money.from_wire(number, "KRW"))
    except AmountTooFine:
        # 12.5 can only be meant for a currency that has cents; any such currency keeps the number.
        return Prepared(merchant_uid, Money.from_wire(number, "USD"))

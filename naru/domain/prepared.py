"""An amount announced beforehand for an order (사전등록)."""

from __future__ import annotations

from dataclasses import dataclass

from naru.domain.errors import PreparedDiffers
from naru.domain.ids import MerchantUid
from naru.domain.money import Money


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an order should cost. `currency_fixed` is False when the merchant named no currency."""

    merchant_uid: MerchantUid
    amount: Money
    currency_fixed: bool = False


def check_prepared(prepared: Prepared | None, asked: Money) -> None:
    """Refuse a window whose amount differs from what the merchant's server announced (P17).

    An amount announced without a currency is compared as i'mport's number, whatever currency is asked.
    """
    if prepared is None:
        return
    if prepared.currency_fixed:
        same = prepared.amount == asked
    else:
        # Without a currency the merchant fixed a bare number; it was read in won.
        same = asked.to_wire() == prepared.amount.minor
    if not same:
        raise PreparedDiffers(
            f"사전등록된 결제금액({prepared.amount.text()})과 요청한 결제금액({asked.text()})이 다릅니다."
        )

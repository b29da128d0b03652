"""An order as a wallet company lists it for the merchant. Amounts in the smallest unit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class WalletOrder:
    """One order of a day; `tid` is None until it was paid."""

    order_no: str
    tid: str | None
    state: str
    merchant_order_no: str
    item_name: str
    amount_minor: int
    returned_minor: int
    created_at: datetime

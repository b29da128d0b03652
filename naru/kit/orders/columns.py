"""Which columns of the shop's own table hold what, and how its amounts are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, cast

from naru.kit.orders import STATUSES, StoredOrder


@dataclass(frozen=True)
class Columns:
    """The names of the columns. Defaults are those of the ready mixins, and of i'mport's own words.

    `currency` is a column's name, or None when every order is in `only_currency`. `digits` says for
    which currencies the table counts in a smaller unit than the wire: {"USD": 2} for a table in
    cents; what is not named is stored as the wire has it (KRW 1004 is 1004).
    """

    merchant_uid: str = "merchant_uid"
    amount: str = "amount"
    currency: str | None = None
    status: str = "payment_status"
    imp_uid: str = "imp_uid"
    cancelled: str = "cancelled_amount"
    tried_at: str = "payment_tried_at"
    untold: str = "payment_untold"
    only_currency: str = "KRW"
    digits: Mapping[str, int] = field(default_factory=dict)

    @property
    def of_orders(self) -> dict[str, str]:
        """Each field of `StoredOrder` that has a column, and the column."""
        named = {each.name: getattr(self, each.name) for each in fields(StoredOrder)}
        return {name: column for name, column in named.items() if column is not None}

    def read(self, row: Mapping[str, Any]) -> StoredOrder:
        """A row, by the fields' names. Raises ValueError for a status that is none."""
        currency = row["currency"] if self.currency else self.only_currency
        status = row["status"]
        if status not in STATUSES:
            raise ValueError(f"an order has the payment status {status!r}")
        return StoredOrder(
            merchant_uid=str(row["merchant_uid"]),
            amount=self._amount(row["amount"], currency),
            currency=currency,
            status=cast("Any", status),
            imp_uid=row["imp_uid"],
            cancelled=self._amount(row["cancelled"], currency),
            tried_at=row["tried_at"],
            untold=bool(row["untold"]),
        )

    def whole(self, order: StoredOrder) -> dict[str, Any]:
        """Every field that has a column, as the table holds it: what a row must still be."""
        row = {name: getattr(order, name) for name in self.of_orders}
        for name in ("amount", "cancelled"):
            row[name] = self._stored(row[name], order.currency)
        return row

    def kits(self, order: StoredOrder) -> dict[str, Any]:
        """The fields that the kit writes; price and number are the shop's own."""
        own = ("merchant_uid", "amount", "currency")
        return {name: value for name, value in self.whole(order).items() if name not in own}

    def _amount(self, stored: Any, currency: str) -> Decimal:
        if isinstance(stored, float):
            raise TypeError("the shop's table holds money as a float")
        return Decimal(stored).scaleb(-self.digits.get(currency, 0))

    def _stored(self, amount: Decimal | int, currency: str) -> Decimal | int:
        scaled = Decimal(amount).scaleb(self.digits.get(currency, 0))
        return int(scaled) if scaled == scaled.to_integral_value() else scaled

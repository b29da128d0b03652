"""What the sandbox PG lets its members look up. Source: docs/reference/sandbox-wire.md, "Look-ups"."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import quote

from naru.connectors.sandbox.line import Line, Unreadable, read_no, time_of
from naru.domain.channel import Channel
from naru.domain.outcome import Declined, NotFound, Unknown
from naru.domain.text import clean
from naru.domain.wallet_order import WalletOrder


class Lookups(Line):
    """Whose account a number is, and the orders of a day at a wallet company."""

    async def account_holder(
        self, channel: Channel, bank_code: str, number: str
    ) -> str | NotFound | Declined | Unknown:
        path = f"/v1/banks/{quote(bank_code, safe='')}/accounts/{quote(number, safe='')}"
        match await self.ask(channel, "GET", path):
            case {"result": "holder", "number": str(found), "holder": str(holder)} if (
                found == number and clean(holder)
            ):
                return clean(holder)
            case {"result": "error", "code": "NOT_FOUND"}:
                return NotFound()
            case answer:
                return read_no(answer)

    async def wallet_orders(
        self, channel: Channel, wallet: str, day: date, page: int
    ) -> tuple[WalletOrder, ...] | Declined | Unknown:
        path = f"/v1/wallets/{quote(wallet, safe='')}/orders?date={day:%Y%m%d}&page={page}"
        match await self.ask(channel, "GET", path):
            case {"result": "orders", "orders": list(rows)}:
                try:
                    return tuple(_order(row) for row in rows)
                except Unreadable as error:
                    return Unknown(str(error))
            case answer:
                return read_no(answer)


def _order(row: Any) -> WalletOrder:
    match row:
        case {
            "order_no": str(order_no),
            "state": str(state),
            "merchant_order_no": str(merchant_order_no),
            "item_name": str(item_name),
            "amount": int(amount),
            "taken": int(taken),
            "returned": int(returned),
            "created_at": int(created_at),
            **rest,
        } if not isinstance(amount, bool) and amount >= 0 and 0 <= returned <= taken:
            tid = rest.get("tid")
            return WalletOrder(
                order_no=clean(order_no),
                tid=clean(tid) if isinstance(tid, str) else None,
                state=clean(state),
                merchant_order_no=clean(merchant_order_no),
                item_name=clean(item_name),
                amount_minor=amount,
                returned_minor=returned,
                created_at=time_of(created_at),
            )
        case _:
            raise Unreadable("an order that is none")

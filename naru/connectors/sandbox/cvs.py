"""Convenience stores at the sandbox PG. Source: docs/reference/sandbox-wire.md, "Barcodes"."""

from __future__ import annotations

from naru.connectors import BarcodeOrder
from naru.connectors.sandbox.line import (
    Line,
    Unreadable,
    money_of,
    name_of,
    order_of,
    proven_json,
)
from naru.connectors.sandbox.payments import read_account
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn
from naru.domain.outcome import AccountIssued, BarcodeRead, Declined, Unknown


class Cvs(Line):
    """Barcodes: issued as an account is, and asked about at the till."""

    async def issue_barcode(
        self, channel: Channel, order: BarcodeOrder
    ) -> AccountIssued | Declined | Unknown:
        body = {
            **order_of(channel, order),
            "barcode": order.barcode,
            "due": None if order.due is None else int(order.due.timestamp()),
            "ask_before": order.ask_before,
            "notice_url": order.notice_url,
        }
        answer = await self.ask(channel, "POST", "/v1/barcodes", body)
        return read_account(answer, order.order_no)

    def read_scan(
        self, channel: Channel, headers: dict[str, str], body: bytes
    ) -> BarcodeRead | None:
        match proven_json(channel, headers, body, self._now()):
            case {
                "type": "barcode_read",
                "mid": str(mid),
                "order_no": str(order_no),
                "barcode": str(barcode),
                "pay_type": "cash" | "card" as pay_type,
                "amount": int(amount),
                "currency": str(currency),
            } if mid == channel.mid:
                try:
                    return BarcodeRead(
                        name_of(order_no), name_of(barcode), money_of(amount, currency), pay_type
                    )
                except Unreadable as error:
                    raise ForgedReturn(str(error)) from None
            case {"type": "barcode_read"}:
                raise ForgedReturn("unreadable")
            case _:
                return None

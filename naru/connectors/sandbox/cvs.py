"""Convenience stores at the sandbox PG. Source: docs/reference/sandbox-wire.md, "Barcodes"."""

from __future__ import annotations

from naru.connectors import BarcodeOrder
from naru.connectors.sandbox.line import (
    Line,
    Unreadable,
    money_of,
    name_of,
    proven_json,
)
from naru.connectors.sandbox.payments import read_approval
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn
from naru.domain.outcome import AccountIssued, Approved, BarcodeRead, Declined, Unknown


class Cvs(Line):
    """Barcodes: issued as an account is, and asked about at the till."""

    async def issue_barcode(
        self, channel: Channel, order: BarcodeOrder
    ) -> AccountIssued | Declined | Unknown:
        body = {
            "order_no": order.order_no,
            "amount": order.amount.minor,
            "currency": order.amount.currency,
            "barcode": order.barcode,
            "due": None if order.due is None else int(order.due.timestamp()),
            "ask_before": order.ask_before,
            "item_name": order.name or order.merchant_uid,
            "merchant_name": order.merchant_name,
            "merchant_order_no": order.merchant_uid,
            "profile": channel.pg_code,
            "notice_url": order.notice_url,
            "buyer": {
                "name": order.buyer.name,
                "email": order.buyer.email,
                "tel": order.buyer.tel,
            },
            "test": channel.test,
        }
        outcome = read_approval(
            await self.ask(channel, "POST", "/v1/barcodes", body), order.order_no
        )
        if isinstance(outcome, Approved):
            return Unknown("an approval in answer to a barcode")
        return outcome

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

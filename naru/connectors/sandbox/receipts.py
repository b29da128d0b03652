"""Cash receipts at the sandbox PG. Source: docs/reference/sandbox-wire.md."""

from __future__ import annotations

from naru.connectors.sandbox.line import (
    Line,
    Unreadable,
    money_of,
    name_of,
    read_no,
    text_of,
    time_of,
)
from naru.domain.cash_receipt import CashReceipt, ReceiptIssued, ReceiptOrder, ReceiptRevoked
from naru.domain.channel import Channel
from naru.domain.outcome import Declined, Unknown


class Receipts(Line):
    """What is told to the tax office."""

    async def issue_receipt(
        self, channel: Channel, order: ReceiptOrder, *, again: bool = False
    ) -> ReceiptIssued | Declined | Unknown:
        tax = order.tax
        body = {
            "number": order.number,
            "tid": order.pg_tid,
            "amount": tax.amount.minor,
            "tax_free": tax.tax_free.minor,
            "vat": tax.vat.minor,
            "type": order.type.value,
            "identifier_type": order.identifier.type.value,
            "identifier": order.identifier.digits,
            "merchant_name": order.merchant_name,
            "merchant_order_no": order.merchant_uid,
            "item_name": order.order_name,
            "product_type": order.product_type,
            "buyer": {
                "name": order.buyer.name,
                "email": order.buyer.email,
                "tel": order.buyer.tel,
            },
        }
        answer = await self.ask(channel, "POST", "/v1/cash-receipts", body)
        match answer:
            case {
                "result": "issued",
                "number": str(number),
                "receipt_tid": str(receipt_tid),
                "apply_no": str(apply_num),
                "amount": int(amount),
                "issued_at": int(issued_at),
                **rest,
            }:
                try:
                    return ReceiptIssued(
                        number=name_of(number),
                        receipt_tid=name_of(receipt_tid),
                        apply_num=name_of(apply_num),
                        amount=money_of(amount, tax.amount.currency),
                        issued_at=time_of(issued_at),
                        receipt_url=text_of(rest.get("receipt_url")),
                    )
                except Unreadable as error:
                    return Unknown(str(error))
            case _:
                return read_no(answer, order.number, again=again)

    async def revoke_receipt(
        self, channel: Channel, receipt: CashReceipt, *, again: bool = False
    ) -> ReceiptRevoked | Declined | Unknown:
        body = {"number": receipt.cancel_number}
        path = f"/v1/cash-receipts/{receipt.receipt_tid}/cancel"
        answer = await self.ask(channel, "POST", path, body)
        match answer:
            case {"result": "cancelled", "number": str(number), "cancelled_at": int(cancelled_at)}:
                try:
                    return ReceiptRevoked(name_of(number), time_of(cancelled_at))
                except Unreadable as error:
                    return Unknown(str(error))
            case _:
                return read_no(answer, receipt.cancel_number, again=again)

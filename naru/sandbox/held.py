"""What holds the money of an escrow order: its buyer, who has not said yet whether it may go back."""

from __future__ import annotations

from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import Order

# Whose contract leaves it to the buyer: no cancel by the member before the buyer rejects.
BUYER_DECIDES = ("welcome",)


def shipment(book: Book, tid: str) -> Row | None:
    """What the member told of the goods of this charge, and what the buyer said to them."""
    return book.one("SELECT * FROM shipments WHERE tid = ?", tid)


def why_not_cancel(book: Book, order: Order | None, tid: str) -> tuple[str, str] | None:
    """Why the member may not give this money back by itself, if so."""
    if order is None or not order.announced.rules.escrow:
        return None
    known = shipment(book, tid)
    if order.announced.profile not in BUYER_DECIDES or (
        known is not None and known["decision"] == "rejected"
    ):
        return None
    return "ESCROW_HELD", "에스크로 거래는 구매자가 구매거절한 뒤에 취소할 수 있습니다."

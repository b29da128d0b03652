"""Tell of a cash receipt that says more than is left of its money.

PGs leave receipts that were issued by API alone when a part is given back (V1, receipts), and for whom
it was issued is not kept here: so a person takes it back and issues it anew of the rest.
"""

from __future__ import annotations

from naru.domain.payment import Payment, Step
from naru.domain.task import TaskKind
from naru.payments.gateway import Gateway
from naru.store import Session


async def tell_of_receipt(gateway: Gateway, tx: Session, payment: Payment) -> None:
    """Lay it before a person, once. `payment` is held by `tx`; what went back whole is the worker's."""
    if payment.step is not Step.PAID:
        return
    receipt = await tx.cash_receipts.of_payment(payment.merchant_id, payment.imp_uid)
    if receipt is None or receipt.state != "issued" or receipt.tax.amount <= payment.balance:
        return
    await tx.tasks.open(
        TaskKind.RECEIPT_TOO_LARGE,
        receipt.number,
        f"a receipt of {receipt.tax.amount.text()}, and {payment.balance.text()} is left",
        gateway.now(),
        imp_uid=payment.imp_uid,
    )

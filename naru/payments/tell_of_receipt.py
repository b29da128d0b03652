"""Tell of a cash receipt that says more than is left of its money, or tells of it a second time.

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
    receipt = await tx.cash_receipts.living(payment.merchant_id, payment.merchant_uid)
    if receipt is None or receipt.state != "issued":
        return
    said = f"a receipt of {receipt.tax.amount.text()}, and "
    if receipt.imp_uid == payment.imp_uid and receipt.tax.amount > payment.balance:
        said += f"{payment.balance.text()} is left"
    elif receipt.imp_uid is None and payment.cash_receipt_issued:
        # Its buyer asked the PG for one, which nobody could refuse.
        said += f"one of {payment.amount.text()} that the PG issued with the payment"
    else:
        return
    await tx.tasks.open(
        TaskKind.RECEIPT_TOO_LARGE,
        receipt.number,
        said,
        gateway.now(),
        imp_uid=payment.imp_uid,
    )

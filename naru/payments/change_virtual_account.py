"""Give a virtual account that still waits another amount and due date (가상계좌 수정). No money moves."""

from __future__ import annotations

from datetime import datetime

from naru.connectors import Can
from naru.domain.deadline import check_due
from naru.domain.errors import BadAmount, CancelInProgress, NoSuchPayment, NotSupported
from naru.domain.money import Money
from naru.domain.once import Once
from naru.domain.payment import Payment, Step
from naru.payments.close_virtual_account import NotWaiting
from naru.payments.gateway import Gateway
from naru.payments.run_errand import ask, run

# Whose accounts may be changed (REST §3).
CHANGES = frozenset(["settle"])
UNSUPPORTED = "가상계좌 정보 수정을 지원하지 않는 PG사입니다."
PAID_IN_PART = "이미 입금된 내역이 있는 가상계좌는 수정할 수 없습니다."


async def change_virtual_account(
    gateway: Gateway,
    merchant_id: int,
    imp_uid: str,
    amount: Money | None,
    due: datetime | None,
    once: Once | None = None,
) -> Payment:
    """The payment, which waits for this amount until this time, as far as they are told.

    Raises NoSuchPayment, NotWaiting (also for one with a deposit of a wrong amount), NotSupported,
    BadAmount, BadRequest (the time), CancelInProgress (it is being closed), ErrandInProgress, Superseded;
    PgRefused with the PG's words; OutcomeUnknown when the PG did not answer: the worker tells it again.
    """
    async with gateway.store.begin() as tx:
        payment = await tx.payments.lock(imp_uid, merchant_id)
        if payment is None:
            raise NoSuchPayment
        account = payment.virtual_account
        if payment.step is not Step.WAITING_DEPOSIT or account is None:
            raise NotWaiting
        channel = await tx.channels.get(payment.channel_id)
        assert channel is not None, "a payment's channel is never deleted"
        if (
            Can.CHANGE_ACCOUNT not in gateway.connector_of(channel).can
            or channel.pg_code not in CHANGES
        ):
            raise NotSupported(UNSUPPORTED)
        amount, due = amount or payment.amount, due or account.due
        check_due(due, gateway.now())
        taxes = payment.tax_free + (payment.vat or Money(0, payment.amount.currency))
        if amount.currency != payment.amount.currency or taxes > amount:
            raise BadAmount
        if await tx.intents.of_payment(imp_uid) is not None:
            raise CancelInProgress
        if await tx.deposits.of_payment(imp_uid):
            raise NotWaiting(PAID_IN_PART)
        said = {
            "order_no": payment.pg_order_no,
            "amount": amount.minor,
            "due": int(due.timestamp()),
        }
        errand = await ask(gateway, tx, payment, "change_account", said, once)
    await run(gateway, channel, errand)
    async with gateway.store.direct() as session:
        changed = await session.payments.get_of_merchant(imp_uid, merchant_id)
    assert changed is not None, "payments are never deleted"
    return changed

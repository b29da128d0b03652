"""Close a virtual account that still waits (가상계좌 말소)."""

from __future__ import annotations

import logging
from datetime import datetime

from naru.connectors import Can
from naru.domain.channel import Channel
from naru.domain.errors import BadRequest, NoSuchPayment, OutcomeUnknown, PgRefused
from naru.domain.once import Once
from naru.domain.outcome import Declined, Undone, Unknown
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.claim import FIRST_LOOK
from naru.payments.doubt import doubt, told_by_itself
from naru.payments.gateway import Gateway
from naru.store.intents import Intent

log = logging.getLogger("naru.payments")

CLOSED = "가상계좌 말소"  # unknowns.md A29
EXPIRED = "입금기한이 지나 가상계좌가 말소되었습니다."


class NotWaiting(BadRequest):
    """Not a virtual account, or not waiting any more."""

    sentence = "입금 대기 중인 가상계좌가 아닙니다."


BARCODE_CLOSED = "수납번호 말소"
BARCODE_EXPIRED = "수납기한이 지나 수납번호가 말소되었습니다."


async def close_virtual_account(
    gateway: Gateway,
    merchant_id: int,
    imp_uid: str,
    once: Once | None = None,
    *,
    barcode: bool | None = False,
) -> Payment:
    """waiting_deposit -> failed, once the PG has closed the account.

    `barcode` says which kind the caller means: False an account of a bank, True a till's barcode,
    None either.
    Raises NoSuchPayment, NotWaiting, CancelInProgress, PgRefused (deposited already), OutcomeUnknown;
    Superseded when another try of the same Idempotency-Key has the word.
    """
    async with gateway.store.begin() as tx:
        payment = await tx.payments.lock(imp_uid, merchant_id)
        if payment is None:
            raise NoSuchPayment
        if payment.step is not Step.WAITING_DEPOSIT:
            raise NotWaiting
        if barcode is not None and barcode != (payment.pay_method == "cvs"):
            raise NotWaiting
        channel = await tx.channels.get(payment.channel_id)
        assert channel is not None
        connector = gateway.connector_of(channel)
        if Can.CLOSE_ACCOUNT not in connector.can:
            raise BadRequest("가상계좌 말소를 지원하지 않는 PG사입니다.")
        now = gateway.now()
        number = gateway.ids.cancel_no()
        intent_id = await tx.intents.open_close_account(
            imp_uid, number, payment.amount.minor, now, now + FIRST_LOOK
        )
        await tx.idempotency.bind(once, number)
        reach("close.before_reserve")
    reach("close.after_reserve")

    outcome = await connector.close_account(channel, payment.pg_order_no)
    reach("close.after_pg")

    intent = Intent(
        id=intent_id,
        imp_uid=imp_uid,
        kind="close_account",
        number=number,
        amount=payment.amount.minor,
        balance_before=0,
        request={},
        state="open",
        tries=0,
        opened_at=now,
        next_try_at=now + FIRST_LOOK,
    )
    settled = await settle_close(gateway, payment, channel, intent, outcome)
    match outcome:
        case Declined(code=code, message=message):
            raise PgRefused(code, message)
        case Unknown():
            raise OutcomeUnknown
        case Undone() if settled.step is not Step.FAILED:
            # The deposit came first: the account is gone, the money is not.
            raise NotWaiting
    return settled


async def settle_close(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    intent: Intent,
    outcome: Undone | Declined | Unknown,
) -> Payment:
    """Write down how the closing ended. Returns the payment as it stands."""
    now = gateway.now()
    async with gateway.store.begin() as tx:
        current = await tx.payments.lock(payment.imp_uid, payment.merchant_id) or payment
        match outcome:
            case Undone():
                if await tx.intents.end(intent.id, "done", now, None):
                    # A deposit that was booked meanwhile wins: it is a fact.
                    why = _why_closed(current, now)
                    current = await tx.payments.close_account(current, now, why) or current
                    await told_by_itself(gateway, tx, intent, "closed")
            case Declined(code=code):
                if await tx.intents.end(intent.id, "refused", now, code):
                    await told_by_itself(gateway, tx, intent, code)
            case Unknown(why=why):
                log.warning("%s: closing the account not answered: %s", payment.imp_uid, why)
                await doubt(gateway, tx, gateway.connector_of(channel), intent, why)
        reach("close.before_commit")
    reach("close.after_commit")
    return current


def _why_closed(payment: Payment, now: datetime) -> str:
    """The reason that the merchant reads: it asked, or the due date had passed."""
    account = payment.virtual_account
    expired = account is not None and now > account.due
    if payment.pay_method == "cvs":
        return BARCODE_EXPIRED if expired else BARCODE_CLOSED
    return EXPIRED if expired else CLOSED

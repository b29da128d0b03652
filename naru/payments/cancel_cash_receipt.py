"""Take a cash receipt back. The money is not touched; a cancel of the money does this by itself."""

from __future__ import annotations

import logging

from naru.connectors import Can
from naru.domain.cash_receipt import (
    REVOKE,
    REVOKE_EXTERNAL,
    CashReceipt,
    NeverIssued,
    ReceiptInProgress,
    ReceiptRevoked,
)
from naru.domain.channel import Channel
from naru.domain.errors import NotSupported, OutcomeUnknown, PgBusy, PgRefused
from naru.domain.once import Once
from naru.domain.outcome import Declined, Unknown
from naru.domain.payment import Step
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.claim import FIRST_LOOK
from naru.payments.gateway import Gateway
from naru.payments.issue_cash_receipt import AFTER_A_DOUBT, UNSUPPORTED
from naru.payments.tell_of_receipt import tell_of_receipt

log = logging.getLogger("naru.payments")


async def cancel_cash_receipt(
    gateway: Gateway, receipt: CashReceipt | None, once: Once | None = None
) -> CashReceipt:
    """issued -> cancelled, once the PG has done it. One that is cancelled already is answered as it stands.

    Raises NeverIssued, NotSupported, ReceiptInProgress, Superseded; PgRefused with the PG's words;
    OutcomeUnknown when the PG did not answer: the worker finds out.
    """
    if receipt is None:
        raise NeverIssued
    if receipt.state == "cancelled":
        return receipt
    now = gateway.now()
    async with gateway.store.begin() as tx:
        channel = await tx.channels.get(receipt.channel_id)
        assert channel is not None, "a receipt's channel is never deleted"
        able = REVOKE if receipt.imp_uid is not None else REVOKE_EXTERNAL
        if Can.CASH_RECEIPT not in gateway.connector_of(channel).can or channel.pg_code not in able:
            raise NotSupported(UNSUPPORTED)
        asked = await tx.cash_receipts.revoke(receipt.number, now, now + FIRST_LOOK)
        if asked is None:
            raise ReceiptInProgress
        await tx.idempotency.bind(once, receipt.number)
        reach("receipt.before_ask")
    reach("receipt.after_ask")

    outcome: ReceiptRevoked | Declined | Unknown
    try:
        with gateway.pg_load.asking(channel.id):
            outcome = await gateway.connector_of(channel).revoke_receipt(channel, asked)
    except PgBusy:
        outcome = Declined("F500", "PG사가 응답하지 않습니다. 잠시 후 다시 시도해주세요.")
    reach("receipt.after_pg")

    settled = await settle_revocation(gateway, channel, asked, outcome)
    if settled.state == "issued":
        raise PgRefused(settled.fail_code or "", settled.fail_reason or "")
    if settled.state != "cancelled":
        raise OutcomeUnknown
    return settled


async def settle_revocation(
    gateway: Gateway,
    channel: Channel,
    receipt: CashReceipt,
    outcome: ReceiptRevoked | Declined | Unknown,
) -> CashReceipt:
    """Write down what became of it. Returns the receipt as it stands.

    A receipt that the PG will not take back stands; where its money is gone a person is told.
    """
    now = gateway.now()
    if isinstance(outcome, ReceiptRevoked) and outcome.number != receipt.cancel_number:
        outcome = Unknown("the PG answered about another cancel")
    async with gateway.store.begin() as tx:
        payment = None
        if receipt.imp_uid is not None:
            payment = await tx.payments.lock(receipt.imp_uid, receipt.merchant_id)
        current = await tx.cash_receipts.of_number(receipt.number, hold=True)
        assert current is not None, "rows of receipts stay"
        if current.state != "cancelling" or current.cancels != receipt.cancels:
            return current
        settled: CashReceipt | None = None
        match outcome:
            case ReceiptRevoked():
                settled = await tx.cash_receipts.revoked(receipt.number, outcome.revoked_at)
                note = "ended by itself: the receipt was taken back"
                await tx.tasks.end_by_itself(
                    [TaskKind.RECEIPT_TOO_LARGE], receipt.number, note, now
                )
            case Declined() if current.fence == receipt.fence:
                settled = await tx.cash_receipts.keep_issued(current, outcome)
                if payment is not None:
                    await tell_of_receipt(gateway, tx, payment)
                if payment is not None and payment.step is not Step.PAID:
                    await tx.tasks.open(
                        TaskKind.RECEIPT_STANDS,
                        receipt.number,
                        f"{payment.imp_uid} was given back, its receipt was not taken back:"
                        f" {outcome.code}",
                        now,
                        imp_uid=payment.imp_uid,
                    )
            case _:
                why = outcome.why if isinstance(outcome, Unknown) else "somebody else asks by now"
                log.warning("cancel of cash receipt %s not known: %s", receipt.number, why)
                await tx.cash_receipts.later(receipt, now + AFTER_A_DOUBT)
        if settled is not None and receipt.tries:
            await tx.tasks.end_by_itself(
                [TaskKind.RECEIPT_UNKNOWN],
                receipt.number,
                f"ended by itself: {settled.state}",
                now,
            )
        reach("receipt.before_commit")
    reach("receipt.after_commit")
    return settled or current

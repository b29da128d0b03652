"""A deposit arrived: a fact of the PG. It is always booked; what it means is decided after.

Money that is exact and in time pays. Everything else is laid before a person, in the same
transaction: who deposited is not asked again, so nothing that was told may be lost (P16).
"""

from __future__ import annotations

import logging

from naru.domain.channel import Channel
from naru.domain.outcome import Deposited
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.gateway import Gateway
from naru.payments.pay_from_deposits import pay_from_deposits
from naru.store import Session

log = logging.getLogger("naru.payments")


async def confirm_deposit(gateway: Gateway, channel: Channel, deposited: Deposited) -> str:
    """Book a deposit once, and pay the payment when what arrived is exact and in time.

    Returns what it meant: `exact`, or (booked, and a person must look) `short`, `over`, `late`,
    `early` (its account is not written here yet; it pays when it is), `after_end`,
    `other_account`, `other_currency`, `unknown_order`; or `repeated` (this notice was booked before).
    """
    reach("notice.before_book")
    now = gateway.now()
    async with gateway.store.begin() as tx:
        found = await tx.payments.get_by_pg_order(deposited.order_no)
        payment = None
        if found is not None and found.channel_id == channel.id:
            # Deposits of one payment are booked one after the other, so that their sum is true.
            payment = await tx.payments.lock(found.imp_uid, found.merchant_id)
        imp_uid = None if payment is None else payment.imp_uid
        meaning = await _meaning(tx, payment, deposited)
        if not await tx.deposits.book(channel.id, deposited, imp_uid, meaning, now):
            await _compare_with_first(gateway, tx, channel, deposited)
            return "repeated"
        if meaning == "exact":
            assert payment is not None
            await pay_from_deposits(gateway, tx, payment)
        else:
            sentence = (
                f"Notice {deposited.notice_key} of channel {channel.channel_key}:"
                f" {deposited.amount.text()} for PG order {deposited.order_no}."
            )
            log.error("%s %s: a person must look", sentence, meaning)
            await tx.tasks.open(
                TaskKind(f"deposit_{meaning}"),
                task_subject(channel.id, deposited.notice_key),
                sentence,
                now,
                imp_uid=imp_uid,
            )
        reach("deposit.before_commit")
    reach("deposit.after_commit")
    return meaning


def task_subject(channel_id: int, notice_key: str) -> str:
    """What the task about this notice is called: two PGs may use one number."""
    return f"{channel_id}/{notice_key}"


async def _meaning(tx: Session, payment: Payment | None, deposited: Deposited) -> str:
    """What this deposit means. `payment` is held by `tx`."""
    if payment is None:
        return "unknown_order"
    if payment.step in (Step.OPENED, Step.APPROVING):
        # The PG issued an account and its answer has not reached our books.
        return "early"
    account = payment.virtual_account
    if payment.step is not Step.WAITING_DEPOSIT or account is None:
        return "after_end"
    if payment.pg_tid != deposited.pg_tid or deposited.account_number not in (None, account.number):
        return "other_account"
    if deposited.amount.currency != payment.amount.currency:
        return "other_currency"
    # The PG's two times are compared, never our clock: it may be wrong.
    if deposited.deposited_at > account.due:
        return "late"
    total = (await tx.deposits.arrived(payment))[0] + deposited.amount.minor
    if total == payment.amount.minor:
        return "exact"
    return "short" if total < payment.amount.minor else "over"


async def _compare_with_first(
    gateway: Gateway, tx: Session, channel: Channel, deposited: Deposited
) -> None:
    """A notice comes again and again, and says the same; if it does not, one of them is not true."""
    first = await tx.deposits.find([channel.id], deposited.notice_key)
    assert first is not None, "the insert met it"
    said = (deposited.order_no, deposited.amount.minor, deposited.amount.currency)
    if said == (first["order_no"], first["amount"], first["currency"]):
        return
    log.error("notice %r was told twice with different words", deposited.notice_key)
    await tx.tasks.open(
        TaskKind.ANSWERS_CONTRADICT,
        task_subject(channel.id, deposited.notice_key),
        f"Notice {deposited.notice_key} of channel {channel.channel_key}: booked as {first['amount']}"
        f" {first['currency']} for PG order {first['order_no']}, and now it says"
        f" {deposited.amount.text()} for PG order {deposited.order_no}.",
        gateway.now(),
        imp_uid=first["imp_uid"],
    )

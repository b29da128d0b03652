"""Take over from the PG what a restored copy lacks: how windows and approvals went on after it was made.

Nothing is undone here, and no PG is asked to move money. What the PG says stands is a fact, so it is
booked as the house that was lost had booked it, and announced; the webhook may have been sent before.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from naru.connectors import Can
from naru.domain.channel import Channel
from naru.domain.errors import AlreadyPaid, AnswerMismatch, PreparedDiffers
from naru.domain.outcome import AccountIssued, Approved, Ticket, Unknown, check_answer
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.claim import FIRST_LOOK
from naru.payments.gateway import Gateway
from naru.payments.settle import write_approval

log = logging.getLogger("naru.payments")

PAGE = 500
# A PG that said nothing so often, one after the other, is not asked about the rest.
SILENCES_ARE_ENOUGH = 3


@dataclass(slots=True)
class TakenOver:
    """What one contract's PG said about windows and approvals that may have gone on."""

    asked: int = 0
    booked: int = 0
    silent: int = 0  # the PG did not answer, or was asked no more
    cannot_ask: int = 0  # this PG cannot be asked; what it lists in its book is found there


async def take_over_contract(gateway: Gateway, contract: Sequence[Channel]) -> TakenOver:
    """Ask the PG about every payment of these channels that may have gone on after the copy was made."""
    result = TakenOver()
    connector = gateway.connector_of(contract[0])
    in_a_row = 0
    async for imp_uid in _windows(gateway, contract):
        if Can.INQUIRE_ORDER not in connector.can:
            result.cannot_ask += 1
            continue
        if in_a_row == SILENCES_ARE_ENOUGH:
            result.silent += 1
            continue
        async with gateway.store.direct() as session:
            payment = await session.payments.get(imp_uid)
        assert payment is not None
        channel = next(each for each in contract if each.id == payment.channel_id)
        found = await connector.inquire(channel, payment.pg_order_no)
        result.asked += 1
        in_a_row = in_a_row + 1 if isinstance(found, Unknown) else 0
        if isinstance(found, Unknown):
            result.silent += 1
        elif isinstance(found, Approved | AccountIssued):
            result.booked += await take_over(gateway, channel, payment, found) is not None
    return result


async def take_over(
    gateway: Gateway, channel: Channel, payment: Payment, stands: Approved | AccountIssued
) -> Payment | None:
    """opened or approving -> paid or waiting_deposit, because that is what stands at the PG.

    None: it cannot be booked, and a person is told; or its undoing was decided before the copy was
    made, and goes on.
    """
    connector = gateway.connector_of(channel)
    try:
        check_answer(Ticket(payment.pg_order_no, payment.amount, ""), stands)
    except AnswerMismatch as mismatch:
        await _tell(gateway, payment, stands, str(mismatch))
        return None
    now = gateway.now()
    try:
        async with gateway.store.begin() as tx:
            current = await tx.payments.lock(payment.imp_uid, payment.merchant_id)
            assert current is not None, "payments are never deleted"
            if current.step is Step.OPENED:
                current = await tx.payments.claim_for_approval(
                    payment.imp_uid, now, now + FIRST_LOOK, None, {}
                )
            if current is None or current.step is not Step.APPROVING:
                return None
            intent = await tx.intents.of_payment(payment.imp_uid)
            if intent is None or intent.state == "undoing":
                return None
            settled = await write_approval(gateway, tx, connector, current, intent, stands)
            reach("settle.before_commit")
        reach("settle.after_commit")
    except (AlreadyPaid, PreparedDiffers) as refused:
        await _tell(gateway, payment, stands, refused.sentence)
        return None
    return settled


async def _tell(
    gateway: Gateway, payment: Payment, stands: Approved | AccountIssued, why: str
) -> None:
    log.error("%s: stands at the PG and cannot be booked: %s", payment.imp_uid, why)
    async with gateway.store.begin() as tx:
        await tx.tasks.open(
            TaskKind.BOOK_CHARGE_UNKNOWN,
            payment.imp_uid,
            f"{stands.amount.text()} of PG order {payment.pg_order_no}, the PG's {stands.pg_tid},"
            f" after a restore: {why}",
            gateway.now(),
            imp_uid=payment.imp_uid,
        )


async def _windows(gateway: Gateway, contract: Sequence[Channel]) -> AsyncIterator[str]:
    async with gateway.store.direct() as session:
        newest: datetime = await session.house.newest() or gateway.now()
    after = ""
    while True:
        async with gateway.store.direct() as session:
            page = await session.house.windows([each.id for each in contract], newest, after, PAGE)
        for imp_uid in page:
            yield imp_uid
        if len(page) < PAGE:
            return
        after = page[-1]

"""Doubt: nobody here knows what the PG did. Written down, tried again, and told in time."""

from __future__ import annotations

from naru.connectors import Connector
from naru.domain.deadline import KST
from naru.domain.outcome import Declined, Unknown
from naru.payments.gateway import Gateway
from naru.payments.recovery import TASK_OF, needs_operator, next_try
from naru.store import Session
from naru.store.intents import Intent
from naru.store.queue import SETTLE_PAYMENT


async def doubt(
    gateway: Gateway, tx: Session, connector: Connector, intent: Intent, why: str
) -> None:
    """The answer is not known: again later, and a person is told when that is due.

    Whoever leased the question since then knows better; then nothing is written.
    """
    now = gateway.now()
    again = next_try(connector, intent, now)
    if not await tx.intents.doubt(intent.id, intent.fence, "unknown", again, why):
        return
    if intent.fence == 0:
        # The worker's tries write their own lines; this was the call itself.
        await tx.intents.tried(intent, now, "answered", f"unknown: {why}")
    await tx.queue.ask(SETTLE_PAYMENT, intent.imp_uid, after=again - now)
    if needs_operator(connector, intent, now):
        await tell_operator(gateway, tx, intent, why)


async def still_a_no(tx: Session, intent: Intent, fence: int, said: Declined) -> Declined | Unknown:
    """A "no" as it may be believed: whoever leased the question since may have heard a "yes".

    That it was not sent, or refused, is only the whole truth about one's own request.
    """
    if await tx.intents.superseded(intent.id, fence):
        return Unknown(f"declined ({said.code}), but somebody else asked since")
    return said


async def tell_operator(gateway: Gateway, tx: Session, intent: Intent, why: str) -> None:
    """Lay this doubt before a person, once."""
    await tx.tasks.open(
        TASK_OF[intent.kind],
        intent.number,
        f"unknown since {intent.opened_at.astimezone(KST).isoformat(' ', 'seconds')}, {intent.tries} tries: {why}",
        gateway.now(),
        imp_uid=intent.imp_uid,
    )


async def told_by_itself(gateway: Gateway, tx: Session, intent: Intent, ending: str) -> None:
    """The doubt ended: what people were asked about it is closed in the house's name."""
    if intent.tries == 0 and intent.state == "open":
        return  # nobody was asked about a question that was answered at once
    await tx.tasks.end_by_itself(
        [TASK_OF[intent.kind]], intent.number, f"ended by itself: {ending}", gateway.now()
    )

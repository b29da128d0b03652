"""Tell the PG something about an order: place, ship, take back, and where that moves money, cancel.

Written down and committed first, under a number of ours, with no transaction open while the PG is
told. Of an answer that never came the PG is asked by that number: it was done, or it never will be.
What even then nobody knows stays open and is asked about by the worker, and by whoever comes next to
the same product.

An act that gives money back is a cancel of the payment (`cancel.py`) with the same number: the PG ends
the product order and returns the money in one deed, and the money has one book only. Such an act is
planned first; the transaction that reserves the cancel takes it up, so that a planned act which
somebody wrote off is never asked, and one that was taken up is never written off.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from naru.connectors import Can
from naru.domain.cancellation import CancelRequest
from naru.domain.channel import Channel
from naru.domain.errors import OutcomeUnknown, PgBusy, PgRefused, Refused
from naru.domain.mall import Acted, AskedBefore, MallAct, NoMall, OrderAct
from naru.domain.money import Money
from naru.domain.once import Once
from naru.domain.outcome import Declined, Goods, Unknown
from naru.domain.payment import Payment
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.cancel import cancel
from naru.payments.claim import FIRST_LOOK
from naru.payments.gateway import Gateway
from naru.payments.recovery import TELL_AFTER, again_at
from naru.store import Session
from naru.store.order_acts import KeptAct

log = logging.getLogger("naru.payments")

LEASE = timedelta(seconds=20)
IN_PROGRESS = (
    "IN_PROGRESS",
    "이 상품주문에 대한 다른 요청을 처리하고 있습니다. 잠시 후 다시 시도해주세요.",
)
NEVER_ASKED = ("NOT_SENT", "PG사에 요청이 전달되지 않았습니다. 다시 시도해주세요.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done about one subject. `refund` is what it gives back, where it does."""

    subject: str
    said: dict[str, str | int] = field(default_factory=dict)
    refund: Money | None = None


async def act_on_order(
    gateway: Gateway,
    payment: Payment,
    channel: Channel,
    act: MallAct,
    wanted: Sequence[Wanted],
    once: Once | None = None,
) -> list[KeptAct]:
    """Do this about every subject, one after the other. How each ended: done, refused, or still asking.

    Raises NoMall, PgBusy, and Superseded (another try of the same Idempotency-Key has the word).
    """
    if Can.MALL not in gateway.connector_of(channel).can:
        raise NoMall
    if not gateway.pg_load.has_room(channel.id):
        raise PgBusy
    fingerprints = {each.subject: _fingerprint(gateway, act, each.said) for each in wanted}
    ended: dict[str, KeptAct] = {}
    for each in wanted:
        async with gateway.store.direct() as session:
            before = await session.order_acts.open_of(payment.imp_uid, each.subject)
        if before is None:
            continue
        before = await what_became(gateway, payment, channel, before)
        same = before.act is act and hmac.compare_digest(
            before.fingerprint, fingerprints[each.subject]
        )
        # The same thing asked for again while nobody knew is answered by what became of the first.
        if before.state == "asking" or (same and before.state == "done"):
            ended[each.subject] = before

    round_no = gateway.ids.cancel_no()
    opened: list[tuple[Wanted, KeptAct]] = []
    async with gateway.store.begin() as tx:
        now = gateway.now()
        # In one order for everybody: two calls about the same products cannot wait for each other.
        for each in sorted(wanted, key=lambda one: one.subject):
            if each.subject in ended:
                continue
            kept = KeptAct(
                imp_uid=payment.imp_uid,
                round=round_no,
                number=gateway.ids.cancel_no(),
                subject=each.subject,
                act=act,
                fingerprint=fingerprints[each.subject],
                state="planned" if act.gives_money_back else "asking",
            )
            new = await tx.order_acts.open(kept, now, now + FIRST_LOOK)
            if new is None:
                ended[each.subject] = _refused(kept, *IN_PROGRESS)
            else:
                opened.append((each, new))
        if opened:
            await tx.idempotency.bind(once, round_no)
        reach("act.before_commit")
    reach("act.after_commit")
    for each, kept in opened:
        ended[each.subject] = await _carry_out(gateway, payment, channel, kept, each)
    return [ended[each.subject] for each in wanted]


async def acts_of_round(
    gateway: Gateway, payment: Payment, channel: Channel, round_no: str
) -> list[KeptAct]:
    """How the acts of one request stand by now, in its order."""
    async with gateway.store.direct() as session:
        acts = await session.order_acts.of_round(payment.imp_uid, round_no)
    return [await what_became(gateway, payment, channel, each) for each in acts]


async def what_became(
    gateway: Gateway, payment: Payment, channel: Channel, act: KeptAct
) -> KeptAct:
    """Find out about an open act; one that was only planned is written off."""
    if act.state == "planned":
        async with gateway.store.begin() as tx:
            act = await _end(gateway, tx, act, "refused", *NEVER_ASKED)
    if act.state != "asking":
        return act
    if act.act.gives_money_back:
        return await _as_its_cancel_ended(gateway, act)
    try:
        with gateway.pg_load.asking(channel.id):
            return await _ask_about(gateway, channel, act)
    except PgBusy:
        return act  # Not even asked about.


async def due_acts(gateway: Gateway, most: int = 100) -> list[str]:
    """Numbers of acts that should be looked at now, oldest first."""
    now = gateway.now()
    async with gateway.store.direct() as session:
        return await session.order_acts.due(now, now - FIRST_LOOK, most)


async def end_open_act(gateway: Gateway, number: str) -> None:
    """One try to find out about an act that nobody may come back to. Nothing when it is not due. For the worker."""
    now = gateway.now()
    with ExitStack() as places:
        try:
            async with gateway.store.begin() as tx:
                act = await tx.order_acts.lease(number, now + LEASE, now)
                if act is None:
                    return
                payment = await tx.payments.get(act.imp_uid)
                assert payment is not None, "payments are never deleted"
                channel = await tx.channels.get(payment.channel_id)
                assert channel is not None, "a payment's channel is never deleted"
                places.enter_context(gateway.pg_load.looking(channel.id))
        except PgBusy:
            return  # It stays due, and nothing was leased.
        if act.state == "asking" and not act.act.gives_money_back:
            act = await _ask_about(gateway, channel, act)
        else:
            act = await what_became(gateway, payment, channel, act)
    if act.state == "asking":
        await _later(gateway, act)


async def _ask_about(gateway: Gateway, channel: Channel, act: KeptAct) -> KeptAct:
    return await _settle(
        gateway, act, await gateway.connector_of(channel).end_act(channel, act.number)
    )


async def _later(gateway: Gateway, act: KeptAct) -> None:
    now, opened_at = gateway.now(), act.opened_at
    assert opened_at is not None, "it was read from its row"
    async with gateway.store.begin() as tx:
        if act.act.gives_money_back:
            # Its cancel has the ladder, and tells a person; this asks nobody but our own books.
            await tx.order_acts.later(act, now + LEASE)
            return
        await tx.order_acts.later(act, again_at(act.tries, opened_at, now))
        if now - opened_at > TELL_AFTER:
            await tx.tasks.open(
                TaskKind.ERRAND_UNKNOWN,
                act.number,
                f"{act.act} of {act.subject} since {opened_at:%Y-%m-%d %H:%M:%S}Z, {act.tries} tries",
                now,
                imp_uid=act.imp_uid,
            )


async def _carry_out(
    gateway: Gateway, payment: Payment, channel: Channel, act: KeptAct, wanted: Wanted
) -> KeptAct:
    if act.act.gives_money_back:
        return await _give_back(gateway, payment, act, wanted)
    connector = gateway.connector_of(channel)
    told = OrderAct(act.number, payment.pg_order_no, act.subject, act.act, wanted.said)
    outcome: Acted | Declined | Unknown
    try:
        with gateway.pg_load.asking(channel.id):
            outcome = await connector.act_on_order(channel, told)
            reach("act.after_pg")
            if isinstance(outcome, Unknown):
                # The PG knows whether it was done; if it was not, it never will be.
                outcome = await connector.end_act(channel, act.number)
    except PgBusy as busy:
        outcome = Declined("F500", busy.sentence)  # Not asked, so nothing was done.
    return await _settle(gateway, act, outcome)


async def _settle(gateway: Gateway, act: KeptAct, outcome: Acted | Declined | Unknown) -> KeptAct:
    if isinstance(outcome, Unknown):
        log.warning("%s: %s not answered: %s", act.imp_uid, act.act, outcome.why)
        return act
    async with gateway.store.begin() as tx:
        if isinstance(outcome, Declined):
            return await _end(gateway, tx, act, "refused", outcome.code, outcome.message)
        return await _end(gateway, tx, act, "done")


async def _give_back(gateway: Gateway, payment: Payment, act: KeptAct, wanted: Wanted) -> KeptAct:
    """The act as a cancel of its payment. What was reserved ends by the cancel's own book."""
    reason, memo = str(wanted.said.get("reason", "")), str(wanted.said.get("memo", ""))
    request = CancelRequest(
        amount=wanted.refund,
        reason=reason or act.act,
        goods=Goods(act.subject, act.act, reason, memo),
        act_no=act.number,
    )
    said: tuple[str, str] = NEVER_ASKED
    try:
        await cancel(gateway, payment.merchant_id, payment.imp_uid, request)
    except PgRefused as refused:
        said = (refused.pg_code or "PG", refused.sentence)
    except Refused as refused:
        said = (type(refused).__name__, refused.sentence)
    except (AskedBefore, OutcomeUnknown) as doubt:
        log.info("%s: %s of %s: %s", act.imp_uid, act.act, act.subject, type(doubt).__name__)
    async with gateway.store.begin() as tx:
        # Refused before it was reserved: then it is planned still, and is written off.
        standing = await _end(gateway, tx, act, "refused", *said)
    if standing.state != "asking":
        return standing
    return await _as_its_cancel_ended(gateway, standing, said)


async def _as_its_cancel_ended(
    gateway: Gateway, act: KeptAct, said: tuple[str, str] | None = None
) -> KeptAct:
    """The end of an act whose cancel was reserved: that of its intent, and `asking` until it has one."""
    async with gateway.store.begin() as tx:
        intent = await tx.intents.of_number("cancel", act.number)
        assert intent is not None, "an act is taken up together with its cancel's intent"
        if intent.state == "done":
            return await _end(gateway, tx, act, "done")
        if intent.state == "refused":
            code, message = said or (intent.outcome or "PG", "PG사에서 취소를 거절하였습니다.")
            return await _end(gateway, tx, act, "refused", code, message)
    return act


async def _end(
    gateway: Gateway,
    tx: Session,
    act: KeptAct,
    state: Literal["done", "refused"],
    code: str | None = None,
    message: str | None = None,
) -> KeptAct:
    """Write the end down; what people were asked about it is closed in the house's name."""
    now = gateway.now()
    ended = await tx.order_acts.end(act, state, now, code, message)
    if ended.tries:
        await tx.tasks.end_by_itself(
            [TaskKind.ERRAND_UNKNOWN], act.number, f"ended by itself: {ended.state}", now
        )
    return ended


def _refused(act: KeptAct, code: str, message: str) -> KeptAct:
    """An act that was never written down."""
    return KeptAct(
        act.imp_uid, act.round, act.number, act.subject, act.act, act.fingerprint, "refused",
        code, message,
    )  # fmt: skip


def _fingerprint(gateway: Gateway, act: MallAct, said: dict[str, str | int]) -> bytes:
    """What is told, to be compared and never to be read."""
    text = json.dumps([act, said], sort_keys=True, ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    return hmac.new(gateway.root_key, b"order act\n" + text, hashlib.sha256).digest()

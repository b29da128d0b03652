"""Quick pay (KCP 퀵페이): a member's prepaid money is taken, and members are forgotten at the PG."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from naru.connectors import Can, ChargeOrder
from naru.domain.channel import Channel
from naru.domain.errors import NoSuchPayment, NotSupported, OutcomeUnknown, PgBusy, PgRefused
from naru.domain.once import Once
from naru.domain.outcome import Declined, Outcome, Unknown
from naru.domain.payment import Payment
from naru.domain.points import reach
from naru.domain.quick import QuickMember, QuickQuestion
from naru.domain.task import TaskKind
from naru.payments.charge import charge
from naru.payments.claim import FIRST_LOOK
from naru.payments.gateway import Gateway
from naru.payments.recovery import TELL_AFTER, again_at
from naru.payments.start import Opening
from naru.store import Session

LEASE = timedelta(seconds=20)

UNSUPPORTED = "KCP 퀵페이를 지원하지 않는 PG사입니다."
# As the PG says it of a member that it does not know.
NOT_THEIRS = {
    "delete_member": ("MEMBER_NOT_FOUND", "등록된 회원이 없습니다."),
    "release_fido": ("C210", "등록된 거래가 없습니다."),
}
NO_PIN = "PIN 인증(PinCheck)을 진행한 결제건이 존재하지 않습니다."


async def pay_by_money(
    gateway: Gateway,
    opening: Opening,
    member_id: str,
    pin_imp_uid: str,
    once: Once | None = None,
) -> Payment:
    """Take this order's money from a member's wallet, whose PIN was entered for the payment `pin_imp_uid`.

    Raises what `charge` raises, NotSupported, and NoSuchPayment for a PIN of another merchant or channel.
    """
    channel = opening.channel
    connector = gateway.connector_of(channel)
    if Can.QUICK_PAY not in connector.can:
        raise NotSupported(UNSUPPORTED)
    async with gateway.store.direct() as session:
        checked = await session.payments.get_of_merchant(pin_imp_uid, opening.merchant.id)
    if checked is None or checked.channel_id != channel.id:
        raise NoSuchPayment(NO_PIN)
    pin_order_no = checked.pg_order_no

    async def ask(order: ChargeOrder) -> Outcome:
        return await connector.approve_by_money(channel, order, member_id, pin_order_no)

    async def bind(tx: Session, imp_uid: str) -> None:
        await tx.quick.remember(imp_uid, member_id)

    # i'mport ties the announced amount to request_pay alone.
    mine = replace(opening, announced_binds=False)
    return await charge(gateway, mine, ask, once=once, bind=bind)


async def ask_about_member(
    gateway: Gateway,
    channel: Channel,
    kind: str,
    member_id: str,
    *,
    partner_type: str = "",
    partner_subtype: str = "",
    once: Once | None = None,
) -> QuickMember:
    """Have the PG forget a member (`delete_member`), or switch their FIDO off (`release_fido`).

    The question is written before it is asked. One that was never answered is asked again by the worker,
    or by whoever comes next, by its own number, so it is done once. Raises NotSupported, PgBusy, PgRefused (also for
    a member of another merchant, whom the PG does not hear of), Superseded, and OutcomeUnknown.
    """
    connector = gateway.connector_of(channel)
    if Can.QUICK_PAY not in connector.can:
        raise NotSupported(UNSUPPORTED)
    if not await _is_their_member(gateway, channel, member_id):
        raise PgRefused(*NOT_THEIRS[kind])
    fresh = QuickQuestion(
        number=gateway.ids.cancel_no(),
        merchant_id=channel.merchant_id,
        channel_id=channel.id,
        kind=kind,
        member_id=member_id,
        partner_type=partner_type,
        partner_subtype=partner_subtype,
    )
    now = gateway.now()
    async with gateway.store.begin() as tx:
        question = await tx.quick.ask(fresh, now, now + FIRST_LOOK)
        await tx.idempotency.bind(once, question.number)
        reach("member.before_ask")
    reach("member.after_ask")

    again = question.number != fresh.number
    with gateway.pg_load.asking(channel.id):
        outcome = await connector.ask_about_member(channel, question, again=again)
    reach("member.after_pg")
    if isinstance(outcome, Unknown):
        raise OutcomeUnknown
    ended = await _end(gateway, question, outcome)
    if isinstance(outcome, QuickMember):
        return outcome
    if not ended:
        raise OutcomeUnknown  # Another one asks it by now, and hears what the PG did.
    raise PgRefused(outcome.code, outcome.message)


async def due_members(gateway: Gateway, most: int = 100) -> list[str]:
    """Numbers of questions about members that should be asked again now, oldest first."""
    async with gateway.store.direct() as session:
        return await session.quick.due(gateway.now(), most)


async def ask_again(gateway: Gateway, number: str) -> None:
    """One try to end a question about a member that was not answered. Nothing when it is not due."""
    now = gateway.now()
    with ExitStack() as places:
        try:
            async with gateway.store.begin() as tx:
                question = await tx.quick.lease(number, now + LEASE, now)
                if question is None:
                    return
                channel = await tx.channels.get(question.channel_id)
                assert channel is not None, "a question's channel is never deleted"
                places.enter_context(gateway.pg_load.looking(channel.id))
        except PgBusy:
            return  # It stays due, and nothing was leased.
        connector = gateway.connector_of(channel)
        outcome = await connector.ask_about_member(channel, question, again=True)
    reach("member.after_pg")
    if not isinstance(outcome, Unknown):
        await _end(gateway, question, outcome)
        return
    now, asked_at = gateway.now(), question.asked_at
    assert asked_at is not None, "it was read from its row"
    async with gateway.store.begin() as tx:
        await tx.quick.later(question, again_at(question.tries, asked_at, now))
        if now - asked_at > TELL_AFTER:
            await tx.tasks.open(
                TaskKind.MEMBER_UNKNOWN,
                number,
                f"{question.kind} since {asked_at:%Y-%m-%d %H:%M:%S}Z, {question.tries} tries",
                now,
            )


async def _end(gateway: Gateway, question: QuickQuestion, outcome: QuickMember | Declined) -> bool:
    """Write down what the PG said. False: it had ended before, or another one holds the question."""
    now = gateway.now()
    async with gateway.store.begin() as tx:
        ended = await tx.quick.end(question, outcome, now)
        if ended is not None and ended.tries:
            note = f"ended by itself: {ended.state}"
            await tx.tasks.end_by_itself([TaskKind.MEMBER_UNKNOWN], question.number, note, now)
    return ended is not None


async def _is_their_member(gateway: Gateway, channel: Channel, member_id: str) -> bool:
    """Is this a member of this channel's merchant?

    A PG keeps one list of members for a MID. Where several merchants sell under it, a member belongs to
    the one they paid first, with their PIN; and before that to the one who had the MID first.
    """
    async with gateway.store.direct() as session:
        sharing = await session.channels.sharing(channel)
        owner = sharing[0].merchant_id
        if any(each.merchant_id != owner for each in sharing):
            owner = await session.quick.first_paid(sharing, member_id) or owner
    return owner == channel.merchant_id

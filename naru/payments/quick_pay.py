"""Quick pay (KCP 퀵페이): a member's prepaid money is taken, and members are forgotten at the PG."""

from __future__ import annotations

from dataclasses import replace

from naru.connectors import Can, ChargeOrder
from naru.domain.channel import Channel
from naru.domain.errors import NoSuchPayment, NotSupported, OutcomeUnknown, PgRefused
from naru.domain.once import Once
from naru.domain.outcome import Declined, Outcome, Unknown
from naru.domain.payment import Payment
from naru.domain.points import reach
from naru.domain.quick import QuickMember, QuickQuestion
from naru.payments.charge import charge
from naru.payments.gateway import Gateway
from naru.payments.start import Opening

UNSUPPORTED = "KCP 퀵페이를 지원하지 않는 PG사입니다."
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

    # i'mport ties the announced amount to request_pay alone.
    return await charge(gateway, replace(opening, announced_binds=False), ask, once=once)


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

    The question is written before it is asked. One that was never answered is asked again by whoever
    comes next, by its own number, so it is done once. Raises NotSupported, PgBusy, PgRefused,
    Superseded, and OutcomeUnknown.
    """
    connector = gateway.connector_of(channel)
    if Can.QUICK_PAY not in connector.can:
        raise NotSupported(UNSUPPORTED)
    fresh = QuickQuestion(
        number=gateway.ids.cancel_no(),
        merchant_id=channel.merchant_id,
        channel_id=channel.id,
        kind=kind,
        member_id=member_id,
        partner_type=partner_type,
        partner_subtype=partner_subtype,
    )
    async with gateway.store.begin() as tx:
        question = await tx.quick.ask(fresh, gateway.now())
        await tx.idempotency.bind(once, question.number)
        reach("member.before_ask")
    reach("member.after_ask")

    again = question.number != fresh.number
    with gateway.pg_load.asking(channel.id):
        outcome = await connector.ask_about_member(channel, question, again=again)
    reach("member.after_pg")
    if isinstance(outcome, Unknown):
        raise OutcomeUnknown
    async with gateway.store.begin() as tx:
        await tx.quick.end(question.number, outcome, gateway.now())
    if isinstance(outcome, Declined):
        raise PgRefused(outcome.code, outcome.message)
    return outcome

"""What operations share that tell a PG something of a payment: which payment, by which channel, and what came of it."""

from __future__ import annotations

from naru.connectors import Can, Connector
from naru.domain.channel import Channel
from naru.domain.errors import OutcomeUnknown, PgRefused
from naru.domain.mall import WHOLE_ORDER, MallAct
from naru.domain.payment import Payment, Step
from naru.domain.shipping import Errand
from naru.payments.act_on_order import Wanted, act_on_order, acts_of_round
from naru.rest import messages
from naru.rest.envelope import HttpRefusal
from naru.rest.operation import Call
from naru.store.order_acts import KeptAct


async def paid_by(
    call: Call, imp_uid: str, pg_code: str, sentence: str, *, status: int = 404
) -> tuple[Payment, Channel]:
    """The merchant's payment, paid by this PG. Raises HttpRefusal: 404 for none, `status` for another PG's."""
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(imp_uid, call.merchant_id)
        channel = None if payment is None else await session.channels.get(payment.channel_id)
    if payment is None or channel is None:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    if payment.pg_code != pg_code or payment.step not in (Step.PAID, Step.CANCELLED):
        raise HttpRefusal(status, sentence)
    if Can.MALL not in call.gateway.connector_of(channel).can:
        raise HttpRefusal(status, sentence)
    return payment, channel


def connector_of(call: Call, channel: Channel) -> Connector:
    """Who speaks for this channel."""
    return call.gateway.connector_of(channel)


async def tell(
    call: Call, payment: Payment, channel: Channel, act: MallAct, said: dict[str, str | int]
) -> None:
    """Tell the PG this about the order as a whole. Raises PgRefused with its words, and OutcomeUnknown."""
    wanted = [Wanted(WHOLE_ORDER, said)]
    [told] = await act_on_order(call.gateway, payment, channel, act, wanted, call.once)
    check(told)


async def recall(call: Call, payment: Payment, channel: Channel, round_no: str) -> None:
    """What became of `tell`. Raises as it does."""
    [told] = await acts_of_round(call.gateway, payment, channel, round_no)
    check(told)


def check(told: KeptAct) -> None:
    """Raises PgRefused when it was refused, and OutcomeUnknown while nobody knows."""
    if told.state == "refused":
        raise PgRefused(told.code or "", told.message or "")
    if told.state != "done":
        raise OutcomeUnknown


async def errand_of(call: Call, number: str) -> Errand:
    """The errand that an Idempotency-Key is bound to. Raises PgRefused when it was refused."""
    async with call.gateway.store.direct() as session:
        errand = await session.errands.of_number(number)
    assert errand is not None, "a key is bound together with its errand"
    if errand.state == "refused":
        raise PgRefused(errand.fail_code or "", errand.fail_reason or "")
    return errand

"""Charge: money without a window, asked for by the merchant's server. What key and card payments share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext

from naru.connectors import ChargeOrder
from naru.domain.errors import (
    AlreadyClaimed,
    AlreadyPaid,
    BadAmount,
    OutcomeUnknown,
    PgBusy,
    PgRefused,
    Refused,
)
from naru.domain.once import Once
from naru.domain.outcome import Declined, Outcome, Unknown
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.abandon import abandon
from naru.payments.claim import Bind, Moment, claim, moment, still_ours
from naru.payments.gateway import Gateway
from naru.payments.settle import settle_approval
from naru.payments.start import Opening, start
from naru.payments.turns import looks

INSTALLMENTS_FROM_MINOR = 50_000
INSTALLMENT_MONTHS_MAX = 60

Ask = Callable[[ChargeOrder], Awaitable[Outcome]]


async def charge(
    gateway: Gateway,
    opening: Opening,
    ask: Ask,
    *,
    keep_card: bool = False,
    once: Once | None = None,
    bind: Bind | None = None,
) -> Payment:
    """Take the money of this order, once. Returns the paid payment.

    Raises what `start` raises; PgRefused with the PG's words, when a failed payment is left behind;
    Superseded; OutcomeUnknown when the PG did not answer: the worker finds out, and the order takes
    no second payment meanwhile; TooManyAtOnce when a hundred ask for this order already. `bind` as in
    `claim`; what it raises is raised, and nothing was asked.
    """
    if not opening.amount:
        raise BadAmount
    async with gateway.turns.take("order", opening.merchant.id, opening.merchant_uid):
        await _wait_for_others(gateway, opening)
        return await _charge(gateway, opening, ask, keep_card=keep_card, once=once, bind=bind)


async def _charge(
    gateway: Gateway,
    opening: Opening,
    ask: Ask,
    *,
    keep_card: bool,
    once: Once | None,
    bind: Bind | None,
) -> Payment:
    payment, _ = await start(gateway, opening)
    before = moment(gateway)
    try:
        claimed = await claim(
            gateway, payment, None, {}, once, announced_binds=opening.announced_binds, bind=bind
        )
    except Refused as refused:
        # Something was faster by a moment; nobody else will end this payment.
        code = "F1002" if isinstance(refused, AlreadyPaid) else "F400"
        await abandon(gateway, payment.imp_uid, code, refused.sentence)
        raise
    if claimed is None:
        raise AlreadyClaimed

    settled = await ask_for_it(gateway, opening, claimed, ask, before, keep_card=keep_card)
    if settled.step is Step.FAILED:
        raise PgRefused(settled.fail_code or "", settled.fail_reason or "", settled.imp_uid)
    if settled.step is not Step.PAID:
        raise OutcomeUnknown
    return settled


async def ask_for_it(
    gateway: Gateway,
    opening: Opening,
    claimed: Payment,
    ask: Ask,
    before: Moment,
    *,
    keep_card: bool = False,
    place_taken: bool = False,
) -> Payment:
    """Ask the PG for the money of a payment that was claimed after `before`. Returns it as it then stands.

    `place_taken`: the caller has a place at the PG (`pg_load`) already.
    """
    channel = opening.channel
    order = charge_order(opening, claimed, keep_card=keep_card)
    outcome: Outcome
    if not await still_ours(gateway, "approve", claimed.pg_order_no, before):
        outcome = Unknown("the process slept before it asked")
    else:
        try:
            with nullcontext() if place_taken else gateway.pg_load.asking(channel.id):
                outcome = await ask(order)
            gateway.pg_load.heard(channel.id, outcome)
        except PgBusy as busy:
            outcome = Declined("F500", busy.sentence)  # Not asked, so nothing was taken.
    reach("approve.after_pg")

    return await settle_approval(gateway, claimed, channel, outcome)


def charge_order(opening: Opening, claimed: Payment, *, keep_card: bool = False) -> ChargeOrder:
    """What the PG is asked: the same for the same payment, however often it is asked."""
    return ChargeOrder(
        order_no=claimed.pg_order_no,
        amount=claimed.amount,
        tax_free=claimed.tax_free,
        name=claimed.name,
        merchant_name=opening.merchant.name,
        merchant_uid=claimed.merchant_uid,
        buyer=claimed.buyer,
        installment_months=installment_months(opening),
        interest_free=opening.request.get("interest_free_by_merchant") is True,
        use_card_point=opening.request.get("use_card_point") is True,
        customer_uid=claimed.customer_uid if keep_card else None,
    )


def installment_months(opening: Opening) -> int:
    """card_quota: from two months and from 50,000 won; anything else is a lump sum (rest.md §5)."""
    months = opening.request.get("card_quota")
    amount = opening.amount
    if (
        not isinstance(months, int)
        or not 2 <= months <= INSTALLMENT_MONTHS_MAX
        or amount.currency != "KRW"
        or amount.minor < INSTALLMENTS_FROM_MINOR
    ):
        return 0
    return months


async def _wait_for_others(gateway: Gateway, opening: Opening) -> None:
    """Another process charges this order already: how that ends decides what may be done.

    Raises AlreadyPaid, and OutcomeUnknown while nobody knows.
    """
    async for _ in looks():
        async with gateway.store.direct() as session:
            taken = await session.payments.taken(opening.merchant.id, opening.merchant_uid)
        if taken is None:
            return
        if taken is not Step.APPROVING:
            raise AlreadyPaid
        if await _is_in_doubt(gateway, opening):
            break
    raise OutcomeUnknown


async def _is_in_doubt(gateway: Gateway, opening: Opening) -> bool:
    """Is the question about this order's payment in the worker's hands? That may take hours."""
    async with gateway.store.direct() as session:
        tries = await session.payments.many_of_merchant(
            opening.merchant.id, [], [opening.merchant_uid]
        )
        for payment in tries:
            if payment.step is Step.APPROVING:
                intent = await session.intents.of_payment(payment.imp_uid)
                if intent is not None and intent.state != "open":
                    return True
    return False

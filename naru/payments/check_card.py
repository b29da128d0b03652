"""Check a card: charge it and give the money back at once (`checking_amount` of a schedule).

That this payment is only a check is written in the transaction of its claim. Whoever dies between
the two, or is not answered, leaves it to the worker, which gives back whatever was taken.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta

from naru.domain.billing_key import BillingKey
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import BeingChecked, NaruError, OutcomeUnknown, PgRefused
from naru.domain.payment import Payment, Step
from naru.payments.cancel import cancel
from naru.payments.claim import Bind
from naru.payments.gateway import Gateway
from naru.payments.pay_by_billing_key import pay_by_billing_key
from naru.payments.start import Opening
from naru.payments.turns import looks
from naru.store import Session

log = logging.getLogger("naru.payments")

REASON = "카드 확인 결제 자동취소"
# Longer than the charge and its cancel take together.
FIRST_LOOK = timedelta(seconds=40)
LOOK_AGAIN = timedelta(minutes=1)


async def check_card(gateway: Gateway, opening: Opening, key: BillingKey) -> None:
    """Charge this key and give the money back. Raises what `pay_by_billing_key` raises.

    Of many who check one key at once, one charges it, and all hear what that found. When the cancel is
    refused or not answered nothing is raised: the card can be charged, and the worker gives the money
    back.
    """
    came = gateway.now()

    async def bind(tx: Session, imp_uid: str) -> None:
        await tx.schedules.keep_check(imp_uid, key.number, gateway.now() + FIRST_LOOK)
        # The place is ours; another one's check may have begun and ended since we looked.
        if await tx.schedules.last_check(key.number, came, beside=imp_uid) is not None:
            raise BeingChecked

    async with gateway.turns.take("check", key.number):
        async for _ in looks():
            async with gateway.store.direct() as session:
                others = await session.schedules.last_check(key.number, came)
            if others is not None and others.step is Step.FAILED:
                raise PgRefused(others.fail_code, others.fail_reason)
            if others is not None and others.step is not Step.APPROVING:
                return
            if others is None:
                with suppress(BeingChecked):  # Another process was faster by a moment.
                    await _check(gateway, opening, key, bind)
                    return
    raise OutcomeUnknown


async def _check(gateway: Gateway, opening: Opening, key: BillingKey, bind: Bind) -> None:
    try:
        payment = await pay_by_billing_key(gateway, opening, key, bind=bind)
    except PgRefused as refused:
        # It has ended: those who waited hear of it, and whoever comes later asks anew.
        if refused.imp_uid is not None:
            await give_back_check(gateway, refused.imp_uid)
        raise
    await give_back_check(gateway, payment.imp_uid)


async def due_checks(gateway: Gateway, most: int = 100) -> list[str]:
    """imp_uids of checks whose money may not have been given back."""
    async with gateway.store.direct() as session:
        return await session.schedules.due_checks(gateway.now(), most)


async def give_back_check(gateway: Gateway, imp_uid: str) -> Payment:
    """Give back what this check took, if it took anything. Safe to call again, by anybody."""
    async with gateway.store.direct() as session:
        payment = await session.payments.get(imp_uid)
    assert payment is not None, "payments are never deleted"
    if payment.step is Step.PAID:
        try:
            payment = await cancel(
                gateway, payment.merchant_id, imp_uid, CancelRequest(reason=REASON)
            )
        except NaruError as error:
            # Whatever it was: the money is looked for again until it is back.
            log.warning("%s: the check of a card is not given back yet: %s", imp_uid, error)
    now = gateway.now()
    async with gateway.store.direct() as session:
        if payment.step in (Step.CANCELLED, Step.FAILED):
            await session.schedules.end_check(imp_uid, now)
        else:
            await session.schedules.put_off_check(imp_uid, now + LOOK_AGAIN)
    return payment

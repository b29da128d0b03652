"""Schedule: orders of one customer, written down to be charged when their time comes. No money moves here.

Made, moved and revoked they are one row each; the run (run_schedule.py) takes the same row, so that
of a revocation and the run one wins, whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from naru.connectors import Can
from naru.domain.billing_key import BillingKey
from naru.domain.errors import (
    AlreadyPaid,
    AlreadyScheduled,
    BadRequest,
    NoBillingKey,
    NothingScheduled,
    NotRetryable,
    NotSupported,
    ScheduleEnded,
)
from naru.domain.money import Money
from naru.domain.once import Once
from naru.domain.payment import Step
from naru.domain.points import reach
from naru.domain.schedule import Schedule, ScheduleState, may_begin_at
from naru.payments.gateway import Gateway
from naru.payments.pay_by_billing_key import UNSUPPORTED
from naru.payments.start import Opening, check_opening
from naru.store import Session

TOO_EARLY = "schedule_at 은 현재 시각 이후여야 합니다."
SCHEDULES_AT_ONCE_MAX = 100


@dataclass(frozen=True, slots=True)
class Planned:
    """One order to be charged at `schedule_at`."""

    opening: Opening
    schedule_at: datetime


def check_planned(gateway: Gateway, planned: Sequence[Planned], now: datetime) -> None:
    """Could all of these be charged at their times? Without asking anybody.

    Raises what `check_opening` raises, and NotSupported, BadRequest (a time that is past, or decades
    ahead), AlreadyScheduled (the same order twice).
    """
    for each in planned:
        if Can.BILLING not in gateway.connector_of(each.opening.channel).can:
            raise NotSupported(UNSUPPORTED)
        check_opening(each.opening)
        if not may_begin_at(each.schedule_at, now):
            raise BadRequest(TOO_EARLY)
    if len({each.opening.merchant_uid for each in planned}) != len(planned):
        raise AlreadyScheduled


async def schedule(
    gateway: Gateway,
    key: BillingKey,
    planned: Sequence[Planned],
    *,
    customer_id: str | None = None,
    once: Once | None = None,
) -> list[Schedule]:
    """Write down all of these orders, or none. Their channel must be the key's.

    Raises what `check_planned` raises, and NoBillingKey, AlreadyScheduled, AlreadyPaid, Superseded.
    """
    now = gateway.now()
    if key.state != "live":
        raise NoBillingKey
    owner = (key.merchant_id, key.channel_id)
    if any((each.opening.merchant.id, each.opening.channel.id) != owner for each in planned):
        raise ValueError("a customer is charged through the channel of its key")
    check_planned(gateway, planned, now)
    names = [each.opening.merchant_uid for each in planned]
    async with gateway.store.begin() as tx:
        added = []
        # In one order, so that two requests for the same orders wait for each other, and never both.
        for each in sorted(planned, key=lambda each: each.opening.merchant_uid):
            opening = each.opening
            if await tx.payments.taken(key.merchant_id, opening.merchant_uid) is not None:
                raise AlreadyPaid
            added.append(
                await tx.schedules.add(
                    Schedule(
                        id=0,
                        merchant_id=key.merchant_id,
                        merchant_uid=opening.merchant_uid,
                        customer_uid=key.customer_uid,
                        channel_id=key.channel_id,
                        number=gateway.ids.pg_order_no(),
                        state=ScheduleState.SCHEDULED,
                        amount=opening.amount,
                        tax_free=opening.tax_free or Money(0, opening.amount.currency),
                        schedule_at=each.schedule_at,
                        asked_at=now,
                        vat=opening.vat,
                        name=opening.name,
                        buyer=opening.buyer,
                        custom_data=opening.custom_data,
                        customer_id=customer_id,
                        webhook_urls=opening.webhook_urls,
                        request=opening.request,
                    )
                )
            )
        await tx.idempotency.bind(once, added[0].number)
        reach("schedule.before_change")
    reach("schedule.after_change")
    return sorted(added, key=lambda each: names.index(each.merchant_uid))


async def unschedule(
    gateway: Gateway,
    merchant_id: int,
    customer_uid: str | None,
    merchant_uids: Sequence[str] | None,
    *,
    once: Once | None = None,
) -> list[Schedule]:
    """scheduled -> revoked: all of a customer, or these orders. Returns what this call revoked.

    Raises NothingScheduled when nothing of that waits (any more), and Superseded.
    """
    now = gateway.now()
    async with gateway.store.begin() as tx:
        waiting = await tx.schedules.hold_waiting(merchant_id, customer_uid, merchant_uids)
        revoked = [done for each in waiting if (done := await tx.schedules.revoke(each, now))]
        if not revoked:
            raise NothingScheduled
        await tx.idempotency.bind(once, " ".join(each.number for each in revoked))
        reach("schedule.before_change")
    reach("schedule.after_change")
    return revoked


async def change_time(
    gateway: Gateway,
    merchant_id: int,
    merchant_uid: str,
    schedule_at: datetime,
    *,
    once: Once | None = None,
) -> Schedule | None:
    """Move a schedule that waits. None: this merchant has none of that name.

    Raises BadRequest (not in the future), ScheduleEnded (executed, revoked or due by now), Superseded.
    """
    now = gateway.now()
    async with gateway.store.begin() as tx:
        held = await tx.schedules.hold(merchant_id, merchant_uid)
        if held is None:
            return None
        _must_be_future(schedule_at, now)
        if held.state is not ScheduleState.SCHEDULED or held.schedule_at <= now:
            raise ScheduleEnded
        return await _move(tx, held, schedule_at, once)


async def reschedule(
    gateway: Gateway,
    merchant_id: int,
    merchant_uid: str,
    schedule_at: datetime,
    *,
    once: Once | None = None,
) -> Schedule | None:
    """Schedule anew what has failed or was revoked. None: this merchant has none of that name.

    Raises BadRequest (not in the future), NotRetryable, AlreadyPaid (by another payment of the
    order), Superseded.
    """
    now = gateway.now()
    async with gateway.store.begin() as tx:
        held = await tx.schedules.hold(merchant_id, merchant_uid)
        if held is None:
            return None
        _must_be_future(schedule_at, now)
        if held.state is not ScheduleState.REVOKED:
            await must_have_failed(tx, held)
        if await tx.payments.taken(merchant_id, held.merchant_uid) is not None:
            raise AlreadyPaid
        return await _move(tx, held, schedule_at, once)


async def must_have_failed(tx: Session, held: Schedule) -> None:
    """Raises NotRetryable unless the last attempt of this schedule, which `tx` holds, has failed."""
    payment = None
    if held.state is ScheduleState.EXECUTED and held.imp_uid is not None:
        payment = await tx.payments.lock(held.imp_uid, held.merchant_id)
    if payment is None or payment.step is not Step.FAILED:
        raise NotRetryable


async def _move(tx: Session, held: Schedule, schedule_at: datetime, once: Once | None) -> Schedule:
    moved = await tx.schedules.move(held, schedule_at)
    await tx.idempotency.bind(once, moved.number)
    reach("schedule.before_change")
    return moved


def _must_be_future(schedule_at: datetime, now: datetime) -> None:
    if schedule_at <= now or not may_begin_at(schedule_at, now):
        raise BadRequest(TOO_EARLY)

"""Scheduled payments: orders that a customer's card is charged for later. Source: protocol facts, REST §6 and models §5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from naru.domain.billing_key import BillingKey
from naru.domain.channel import Channel, choose_api_channel
from naru.domain.errors import (
    AlreadyScheduled,
    BadCard,
    NoBillingKey,
    OutcomeUnknown,
    PgRefused,
    Refused,
)
from naru.domain.ids import MerchantUid
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.payment import Buyer, Payment, Status, Step, Surface, public_status
from naru.domain.schedule import Schedule, ScheduleState
from naru.payments.check_card import check_card
from naru.payments.issue_billing_key import issue_billing_key
from naru.payments.run_schedule import retry_schedule
from naru.payments.schedule import (
    SCHEDULES_AT_ONCE_MAX,
    Planned,
    change_time,
    check_planned,
    reschedule,
    schedule,
    unschedule,
)
from naru.payments.start import Opening
from naru.rest import messages
from naru.rest.annotations import Amount, PaymentAnnotation, unix
from naru.rest.coerce import Number, Seconds, Text, coerce, malformed, number, texts, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.opening import annotated, given, merchant_and_channels, payment_of
from naru.rest.operation import Call, Operation
from naru.rest.read_fields import Field, as_list
from naru.rest.subscribe import (
    Charge,
    NewCustomer,
    SubscribeExtra,
    read_card,
    read_charge,
    read_customer,
)

# Three months, whichever they are.
WINDOW_MAX = timedelta(days=92)
LIMIT_MAX = 1_000
PAGE_ROWS = 20


class ScheduleItem(Charge, kw_only=True):
    """One order to be charged at `schedule_at` (unix seconds). What it says of its buyer goes before `customer_*`."""

    schedule_at: Annotated[int, Seconds(0)]
    cash_receipt_type: Annotated[str, Text(20)] | None = None
    extra: SubscribeExtra = msgspec.field(default_factory=SubscribeExtra)


def orders(name: str, value: Field) -> tuple[ScheduleItem, ...]:
    """A coercion rule: a JSON array of orders, or `schedules[0][merchant_uid]=…` as PHP sends it."""
    items = as_list(value)
    if not items or len(items) > SCHEDULES_AT_ONCE_MAX:
        raise malformed(name)
    read = []
    for item in items:
        if not isinstance(item, dict):
            raise malformed(name)
        read.append(coerce(ScheduleItem, item))
    return tuple(read)


class PlanSchedules(NewCustomer, kw_only=True):
    """What `POST /subscribe/payments/schedule` takes. A card is needed when the customer has none yet."""

    schedules: Annotated[tuple[ScheduleItem, ...], orders]
    checking_amount: Annotated[Number, number] = 0


class RevokeSchedules(msgspec.Struct):
    """What `POST /subscribe/payments/unschedule` takes: a customer (all that waits), orders, or both."""

    customer_uid: Annotated[str, Text()] | None = None
    merchant_uid: Annotated[tuple[str, ...], texts] = ()


class OneSchedule(msgspec.Struct):
    """The schedule of one order."""

    merchant_uid: Annotated[str, Text()]


class MoveSchedule(msgspec.Struct):
    """Another time for the schedule of one order, unix seconds."""

    merchant_uid: Annotated[str, Text()]
    schedule_at: Annotated[int, Seconds(0)]


class SchedulesOfTime(
    msgspec.Struct,
    kw_only=True,
    rename={"since": "from", "until": "to", "status_with_hyphen": "schedule-status"},
):
    """Schedules within a window of at most three months, unix seconds: from it, and before its end.

    Clients spell its ends and the status in two ways each.
    """

    schedule_from: Annotated[int, Seconds(0)] | None = None
    schedule_to: Annotated[int, Seconds(0)] | None = None
    since: Annotated[int, Seconds(0)] | None = None
    until: Annotated[int, Seconds(0)] | None = None
    schedule_status: Annotated[str, Text(20)] | None = None
    status_with_hyphen: Annotated[str, Text(20)] | None = None
    page: Annotated[int, whole] = 1
    limit: Annotated[int, whole] = PAGE_ROWS
    sorting: Annotated[str, Text(20)] = "-scheduled"


class SchedulesOfCustomer(SchedulesOfTime, kw_only=True):
    """The same, of one customer."""

    customer_uid: Annotated[str, Text()]


class ScheduleResultAnnotation(msgspec.Struct, frozen=True):
    """A schedule, and what became of it. `payment_status` is null until that is known."""

    amount: Amount
    buyer_addr: str | None
    buyer_email: str | None
    buyer_name: str | None
    buyer_postcode: str | None
    buyer_tel: str | None
    currency: str
    custom_data: str | None
    customer_id: str | None
    customer_uid: str
    executed_at: int
    fail_reason: str | None
    imp_uid: str | None
    merchant_uid: str
    name: str | None
    payment_status: Status | None
    pg_id: str | None
    pg_provider: str | None
    promotion_id: str | None
    revoked_at: int
    schedule_at: int
    schedule_status: ScheduleState


class PagedScheduleAnnotation(msgspec.Struct, frozen=True):
    """A page of schedules; `previous` and `next` are page numbers, 0 where there is none."""

    list: list[ScheduleResultAnnotation]
    next: int
    previous: int
    total: int


def schedule_annotation(
    schedule: Schedule, payment: Payment | None, partial_cancel: Status
) -> ScheduleResultAnnotation:
    """A schedule in i'mport's words. How it was paid is read from its payment."""
    buyer, status, fail_reason = schedule.buyer, None, None
    if payment is not None:
        known = public_status(payment, partial_cancel=partial_cancel)
        status = None if known is Status.READY else known
        fail_reason = payment.fail_reason if payment.step is Step.FAILED else None
    promotion_id = schedule.request.get("promotion_id")
    return ScheduleResultAnnotation(
        amount=schedule.amount.to_wire(),
        buyer_addr=buyer.addr,
        buyer_email=buyer.email,
        buyer_name=buyer.name,
        buyer_postcode=buyer.postcode,
        buyer_tel=buyer.tel,
        currency=schedule.amount.currency,
        custom_data=schedule.custom_data,
        customer_id=schedule.customer_id,
        customer_uid=schedule.customer_uid,
        executed_at=unix(schedule.executed_at),
        fail_reason=fail_reason,
        imp_uid=schedule.imp_uid,
        merchant_uid=schedule.merchant_uid,
        name=schedule.name,
        payment_status=status,
        pg_id=None if payment is None else payment.mid,
        pg_provider=None if payment is None else payment.pg_code,
        promotion_id=promotion_id if isinstance(promotion_id, str) else None,
        revoked_at=unix(schedule.revoked_at),
        schedule_at=unix(schedule.schedule_at),
        schedule_status=schedule.state,
    )


async def plan(call: Call, request: PlanSchedules) -> Answer:
    """Schedule all of these orders, or none. A customer who is new is given a key for the card first."""
    if request.channel_group_id:
        raise Refused(messages.NO_CHANNEL_GROUP)
    merchant, channels = await merchant_and_channels(call)
    names = [each.merchant_uid for each in request.schedules]
    async with call.gateway.store.direct() as session:
        key = await session.billing_keys.get(call.merchant_id, request.customer_uid)
        if await session.schedules.many(call.merchant_id, names):
            raise AlreadyScheduled
    channel = _channel_of(request, key, channels)
    planned = [_planned(call, request, each, merchant, channel) for each in request.schedules]
    checking = Money.from_wire(request.checking_amount, planned[0].opening.amount.currency)
    # Everything that can be refused without a PG is refused before a PG is asked.
    check_planned(call.gateway, planned, call.now)
    try:
        if key is None:
            key = await issue_billing_key(
                call.gateway,
                merchant,
                channel,
                request.customer_uid,
                read_card(request),
                read_customer(request),
                customer_id=request.customer_id,
            )
        if checking:
            await check_card(call.gateway, _checking(call, merchant, channel, key, checking), key)
    except (BadCard, PgRefused) as refused:
        raise Refused(f"{messages.BAD_CARD_TO_SCHEDULE} {refused.sentence}") from None
    added = await schedule(
        call.gateway, key, planned, customer_id=request.customer_id, once=call.once
    )
    return await _answer(call, added)


async def revoke(call: Call, request: RevokeSchedules) -> Answer:
    """Revoke what waits: everything of a customer, or these orders."""
    if not request.customer_uid and not request.merchant_uid:
        raise HttpRefusal(400, messages.missing("customer_uid"))
    revoked = await unschedule(
        call.gateway,
        call.merchant_id,
        request.customer_uid,
        request.merchant_uid or None,
        once=call.once,
    )
    return await _answer(call, revoked)


async def show(call: Call, request: OneSchedule) -> Answer:
    """The schedule of one order; 404 when it has none."""
    async with call.gateway.store.direct() as session:
        found = await session.schedules.get(call.merchant_id, request.merchant_uid)
    return await _one(call, found)


async def show_many(call: Call, request: SchedulesOfTime) -> Answer:
    """Schedules within a window, newest first, or oldest first with `sorting=scheduled`."""
    return await _page(call, request, None)


async def show_of_customer(call: Call, request: SchedulesOfCustomer) -> Answer:
    """The same, of one customer. One that nobody knows has none."""
    return await _page(call, request, request.customer_uid)


async def move(call: Call, request: MoveSchedule) -> Answer:
    """Another time for what still waits. 404 unknown; 400 executed, revoked, due by now, or not in the future."""
    found = await change_time(
        call.gateway,
        call.merchant_id,
        request.merchant_uid,
        _moment(request.schedule_at),
        once=call.once,
    )
    return await _one(call, found)


async def plan_again(call: Call, request: MoveSchedule) -> Answer:
    """Schedule anew what failed or was revoked. 404 unknown; 400 for anything else."""
    found = await reschedule(
        call.gateway,
        call.merchant_id,
        request.merchant_uid,
        _moment(request.schedule_at),
        once=call.once,
    )
    return await _one(call, found)


async def retry(call: Call, request: OneSchedule) -> Answer:
    """Attempt a failed schedule again, now. The payment, whose status says how it went; 404 without schedule or key."""
    try:
        payment = await retry_schedule(
            call.gateway, call.merchant_id, request.merchant_uid, once=call.once
        )
    except NoBillingKey as refused:
        raise HttpRefusal(404, refused.sentence) from None
    if payment is None:
        raise HttpRefusal(404, messages.NO_SCHEDULE)
    if payment.step is Step.APPROVING:
        raise OutcomeUnknown
    return success(annotated(call, payment))


async def recall_plan(call: Call, request: PlanSchedules, effect: str) -> Answer:
    """The schedules that the first of these requests made, as they are now."""
    names = [each.merchant_uid for each in request.schedules]
    async with call.gateway.store.direct() as session:
        found = await session.schedules.many(call.merchant_id, names)
    return await _answer(call, sorted(found, key=lambda each: names.index(each.merchant_uid)))


async def recall_revoke(call: Call, request: RevokeSchedules, numbers: str) -> Answer:
    """What the first of these requests revoked, as it is now."""
    async with call.gateway.store.direct() as session:
        found = [await session.schedules.of_number(each) for each in numbers.split()]
    return await _answer(call, [each for each in found if each is not None])


async def recall_move(call: Call, request: MoveSchedule, schedule_number: str) -> Answer:
    """The schedule that was moved, as it is now."""
    async with call.gateway.store.direct() as session:
        return await _one(call, await session.schedules.of_number(schedule_number))


async def recall_retry(call: Call, request: OneSchedule, imp_uid: str) -> Answer:
    """What became of the attempt."""
    payment = await payment_of(call, imp_uid)
    if payment.step is Step.APPROVING:
        return not_known_yet(annotated(call, payment))
    return success(annotated(call, payment))


def _channel_of(
    request: PlanSchedules, key: BillingKey | None, channels: Sequence[Channel]
) -> Channel:
    if key is not None:
        return next(each for each in channels if each.id == key.channel_id)
    if request.card_number is None or request.expiry is None:
        raise Refused(messages.NO_CUSTOMER_TO_SCHEDULE)
    return choose_api_channel(channels, channel_key=request.channel_key, pg=request.pg)


def _planned(
    call: Call, request: PlanSchedules, item: ScheduleItem, merchant: Merchant, channel: Channel
) -> Planned:
    opening = read_charge(call, item, merchant, channel)
    buyer, customer = opening.buyer, read_customer(request)
    more = given(
        {
            "cash_receipt_type": item.cash_receipt_type,
            "naver_use_cfm": item.extra.naver_use_cfm,
            "customer_id": request.customer_id,
        }
    )
    opening = replace(
        opening,
        buyer=Buyer(
            buyer.name or customer.name,
            buyer.email or customer.email,
            buyer.tel or customer.tel,
            buyer.addr or customer.addr,
            buyer.postcode or customer.postcode,
        ),
        request=opening.request | more,
    )
    return Planned(opening, _moment(item.schedule_at))


def _checking(
    call: Call, merchant: Merchant, channel: Channel, key: BillingKey, amount: Money
) -> Opening:
    """The charge that finds out whether the card can be charged; an order of its own."""
    return Opening(
        merchant=merchant,
        channel=channel,
        merchant_uid=MerchantUid(f"check_{call.gateway.ids.pg_order_no()}"),
        amount=amount,
        surface=Surface.API,
        pay_method="card",
        name=messages.CARD_CHECK_NAME,
        buyer=key.buyer,
        user_agent=call.user_agent,
    )


async def _page(call: Call, request: SchedulesOfTime, customer_uid: str | None) -> Answer:
    begin = request.since if request.schedule_from is None else request.schedule_from
    end = request.until if request.schedule_to is None else request.schedule_to
    if begin is None or end is None:
        raise HttpRefusal(400, messages.missing("schedule_from, schedule_to"))
    since, until = _moment(begin), _moment(end)
    if not since <= until <= since + WINDOW_MAX:
        raise HttpRefusal(400, messages.BAD_SCHEDULE_WINDOW)
    if request.page < 1:
        raise malformed("page")
    if not 1 <= request.limit <= LIMIT_MAX:
        raise malformed("limit")
    if request.sorting not in ("scheduled", "-scheduled"):
        raise HttpRefusal(400, messages.BAD_SORTING)
    wanted = request.schedule_status or request.status_with_hyphen
    try:
        state = None if wanted is None else ScheduleState(wanted)
    except ValueError:
        raise HttpRefusal(400, messages.BAD_STATUS) from None
    async with call.gateway.store.direct() as session:
        page = await session.schedules.page(
            call.merchant_id,
            since,
            until,
            customer_uid,
            state,
            oldest_first=request.sorting == "scheduled",
            limit=request.limit,
            offset=(request.page - 1) * request.limit,
        )
    if not page.schedules and request.page > 1:
        raise HttpRefusal(400, messages.PAGE_PAST_THE_END)
    return success(
        PagedScheduleAnnotation(
            list=await _annotations(call, page.schedules),
            next=request.page + 1 if request.page * request.limit < page.total else 0,
            previous=request.page - 1,
            total=page.total,
        )
    )


async def _one(call: Call, found: Schedule | None) -> Answer:
    if found is None:
        raise HttpRefusal(404, messages.NO_SCHEDULE)
    return success((await _annotations(call, [found]))[0])


async def _answer(call: Call, schedules: Sequence[Schedule]) -> Answer:
    return success(await _annotations(call, schedules))


async def _annotations(call: Call, schedules: Sequence[Schedule]) -> list[ScheduleResultAnnotation]:
    imp_uids = [each.imp_uid for each in schedules if each.imp_uid is not None]
    payments: dict[str, Payment] = {}
    if imp_uids:
        async with call.gateway.store.direct() as session:
            found = await session.payments.many_of_merchant(call.merchant_id, imp_uids, [])
        payments = {each.imp_uid: each for each in found}
    return [
        schedule_annotation(
            each, payments.get(each.imp_uid or ""), call.gateway.partial_cancel_status
        )
        for each in schedules
    ]


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_SCHEDULE = "/subscribe/payments/schedule"

OPERATIONS = (
    Operation(
        "POST",
        _SCHEDULE,
        PlanSchedules,
        "결제 예약",
        "subscribe",
        plan,
        recall=recall_plan,
        answer=list[ScheduleResultAnnotation],
        english="Schedule charges of a customer's card",
    ),
    Operation(
        "POST",
        "/subscribe/payments/unschedule",
        RevokeSchedules,
        "결제 예약 취소",
        "subscribe",
        revoke,
        recall=recall_revoke,
        answer=list[ScheduleResultAnnotation],
        english="Revoke scheduled charges",
    ),
    Operation(
        "GET",
        _SCHEDULE,
        SchedulesOfTime,
        "결제 예약 목록",
        "subscribe",
        show_many,
        answer=PagedScheduleAnnotation,
        english="List the schedules of a window of time",
    ),
    Operation(
        "GET",
        f"{_SCHEDULE}/customers/{{customer_uid}}",
        SchedulesOfCustomer,
        "빌링키의 결제 예약 목록",
        "subscribe",
        show_of_customer,
        answer=PagedScheduleAnnotation,
        english="List the schedules of a customer",
    ),
    Operation(
        "GET",
        "/subscribe/customers/{customer_uid}/schedules",
        SchedulesOfCustomer,
        "빌링키의 결제 예약 목록",
        "subscribe.customer",
        show_of_customer,
        answer=PagedScheduleAnnotation,
        english="List the schedules of a customer",
    ),
    Operation(
        "GET",
        f"{_SCHEDULE}/{{merchant_uid}}",
        OneSchedule,
        "결제 예약 조회",
        "subscribe",
        show,
        answer=ScheduleResultAnnotation,
        english="Look up the schedule of an order",
    ),
    Operation(
        "PUT",
        f"{_SCHEDULE}/{{merchant_uid}}",
        MoveSchedule,
        "결제 예약 시각 변경",
        "subscribe",
        move,
        recall=recall_move,
        answer=ScheduleResultAnnotation,
        english="Move a schedule that waits to another time",
    ),
    Operation(
        "POST",
        f"{_SCHEDULE}/{{merchant_uid}}/reschedule",
        MoveSchedule,
        "실패·취소된 예약 재등록",
        "subscribe",
        plan_again,
        recall=recall_move,
        answer=ScheduleResultAnnotation,
        english="Schedule anew what failed or was revoked",
    ),
    Operation(
        "POST",
        f"{_SCHEDULE}/{{merchant_uid}}/retry",
        OneSchedule,
        "실패한 예약 즉시 재시도",
        "subscribe",
        retry,
        recall=recall_retry,
        answer=PaymentAnnotation,
        english="Attempt a failed schedule again, at once",
    ),
)

"""Billing keys, payments without a window, planned charges. Source: V1, REST facts §4-§6."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Unpack

from naru.kit.operations.asked import Card, Charge, Customer, Money, begin, wired
from naru.kit.operations.call import (
    Call,
    list_of,
    money_of,
    query_of,
    segment_of,
    text_of,
    the_payment,
    unix_seconds,
)
from naru.kit.records import BillingKey, Schedule, SchedulePage
from naru.kit.types import Page, Payment

ScheduleStatus = Literal["scheduled", "executed", "revoked"]


def billing_key(customer_uid: str) -> Call[BillingKey]:
    """The card kept under this name. Raises Refused (HTTP 200, as i'mport does) for an unknown one."""
    return Call("GET", _customer(customer_uid), BillingKey.read, question=True)


def billing_keys(customer_uids: Iterable[str]) -> Call[list[BillingKey]]:
    """Those of these names that are known; Raises NotFound when none is."""
    query = tuple(("customer_uid[]", text_of("customer_uid", each)) for each in customer_uids)
    if not query:
        raise ValueError("name at least one customer_uid")
    return Call("GET", "/subscribe/customers", list_of(BillingKey.read), query, question=True)


def issue_billing_key(
    customer_uid: str,
    card: Card,
    *,
    channel_key: str | None = None,
    channel_group_id: str | None = None,
    pg: str | None = None,
    **customer: Unpack[Customer],
) -> Call[BillingKey]:
    """Keep a card under a name of yours; a name that exists gets the new card. No money moves.

    Raises Refused with the PG's words for a bad card. With `channel_group_id` it becomes a super key.
    """
    own = {
        "channel_key": channel_key,
        "channel_group_id": channel_group_id,
        "pg": pg,
        **card.fields(),
    }
    return Call("POST", _customer(customer_uid), BillingKey.read, fields=wired(customer, **own))


def delete_billing_key(
    customer_uid: str,
    *,
    reason: str | None = None,
    requester: Literal["customer", "admin"] | None = None,
) -> Call[BillingKey]:
    """Forget a card for good. Planned charges of it stay, and will fail."""
    query = query_of(reason=reason, **{"extra[requester]": requester})
    return Call("DELETE", _customer(customer_uid), BillingKey.read, query)


def payments_of_billing_key(customer_uid: str, *, page: int | None = None) -> Call[Page]:
    """What was charged to this card, newest first."""
    path = f"{_customer(customer_uid)}/payments"
    return Call("GET", path, Page.read, query_of(page=page), question=True)


def schedules_of_billing_key(
    customer_uid: str,
    since: datetime,
    until: datetime,
    *,
    status: ScheduleStatus | None = None,
    page: int | None = None,
) -> Call[SchedulePage]:
    """What is planned for this card from `since` up to `until` (not included), at most three months."""
    path = f"{_customer(customer_uid)}/schedules"
    return Call("GET", path, SchedulePage.read, _span(since, until, status, page), question=True)


def pay_by_card(
    merchant_uid: str,
    amount: Money,
    card: Card,
    *,
    name: str | None = None,
    customer_uid: str | None = None,
    pg: str | None = None,
    channel_key: str | None = None,
    channel_group_id: str | None = None,
    secure_3d_charge_id: str | None = None,
    secure_3d_token: str | None = None,
    **charge: Unpack[Charge],
) -> Call[Payment]:
    """Charge a card by its number, without a window; with `customer_uid` the card is kept, too.

    Judge by the payment's `status`: a card that its company declines is answered, `failed` with its
    `fail_reason`. Raises Refused with the PG's words for a card that is written wrongly. After Unavailable with `may_have_happened` look with
    `find_payment(merchant_uid)` before asking again: one order is never paid twice, but yours to see.
    """
    own = {
        "name": name,
        "customer_uid": customer_uid,
        "pg": pg,
        "channel_key": channel_key,
        "channelGroupId": channel_group_id,
        "secure_3d_charge_id": secure_3d_charge_id,
        "secure_3d_token": secure_3d_token,
        **card.fields(),
    }
    return begin("/subscribe/payments/onetime", merchant_uid, amount, charge, **own)


def pay_by_billing_key(
    customer_uid: str,
    merchant_uid: str,
    amount: Money,
    name: str,
    *,
    channel_key: str | None = None,
    product_count: int | None = None,
    cash_receipt_type: Literal["person", "company", "anonymous"] | None = None,
    extra: Mapping[str, Any] | None = None,
    **charge: Unpack[Charge],
) -> Call[Payment]:
    """Charge a kept card again. As `pay_by_card`."""
    return begin(
        "/subscribe/payments/again",
        merchant_uid,
        amount,
        charge,
        customer_uid=text_of("customer_uid", customer_uid),
        name=name,
        channel_key=channel_key,
        product_count=product_count,
        cash_receipt_type=cash_receipt_type,
        extra=extra,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """One charge to plan: `at` is an aware time in the future, `more` any other field of V1 (§6.1)."""

    merchant_uid: str
    at: datetime
    amount: Money
    name: str | None = None
    currency: str = "KRW"
    more: Mapping[str, Any] = field(default_factory=dict)


def schedule_payments(
    customer_uid: str,
    plans: Sequence[Plan],
    *,
    card: Card | None = None,
    checking_amount: int | None = None,
    channel_key: str | None = None,
    pg: str | None = None,
    **customer: Unpack[Customer],
) -> Call[list[Schedule]]:
    """Plan charges of a card: all of them or none. A `card` is kept first when the name is unknown.

    `checking_amount` is charged and cancelled at once, to see whether the card works.
    """
    if not plans:
        raise ValueError("plan at least one charge")
    items = [
        wired(
            plan.more,
            merchant_uid=text_of("merchant_uid", plan.merchant_uid),
            schedule_at=unix_seconds(plan.at),
            amount=money_of(plan.amount),
            name=plan.name,
            currency=plan.currency,
        )
        for plan in plans
    ]
    own = {
        "customer_uid": text_of("customer_uid", customer_uid),
        "schedules": items,
        "checking_amount": checking_amount,
        "channel_key": channel_key,
        "pg": pg,
        **({} if card is None else card.fields()),
    }
    return Call(
        "POST",
        "/subscribe/payments/schedule",
        list_of(Schedule.read),
        fields=wired(customer, **own),
    )


def unschedule_payments(
    customer_uid: str | None = None, merchant_uids: Iterable[str] = ()
) -> Call[list[Schedule]]:
    """Take plans back: these orders', or all of the customer's. Raises Refused when there is none."""
    orders = [text_of("merchant_uid", each) for each in merchant_uids]
    if customer_uid is None and not orders:
        raise ValueError("name the customer or the orders")
    fields = wired({}, customer_uid=customer_uid, merchant_uid=orders or None)
    return Call("POST", "/subscribe/payments/unschedule", list_of(Schedule.read), fields=fields)


def schedules(
    since: datetime,
    until: datetime,
    *,
    status: ScheduleStatus | None = None,
    page: int | None = None,
    limit: int | None = None,
    oldest_first: bool = False,
) -> Call[SchedulePage]:
    """What is planned from `since` up to `until` (not included), at most three months."""
    query = query_of(
        schedule_from=unix_seconds(since),
        schedule_to=unix_seconds(until),
        schedule_status=status,
        page=page,
        limit=limit,
        sorting="scheduled" if oldest_first else None,
    )
    return Call("GET", "/subscribe/payments/schedule", SchedulePage.read, query, question=True)


def schedule(merchant_uid: str) -> Call[Schedule]:
    """The plan of this order. Raises NotFound."""
    return Call("GET", _plan(merchant_uid), Schedule.read, question=True)


def move_schedule(merchant_uid: str, at: datetime) -> Call[Schedule]:
    """Another time for a plan that waits. Raises Refused when it was executed or taken back."""
    return Call("PUT", _plan(merchant_uid), Schedule.read, fields={"schedule_at": unix_seconds(at)})


def reschedule(merchant_uid: str, at: datetime) -> Call[Schedule]:
    """Plan anew what failed or was taken back."""
    fields = {"schedule_at": unix_seconds(at)}
    return Call("POST", f"{_plan(merchant_uid)}/reschedule", Schedule.read, fields=fields)


def retry_schedule(merchant_uid: str) -> Call[Payment]:
    """Try a failed plan now. Judge by the payment's `status`: a refusal is an answer, not an error."""
    path = f"{_plan(merchant_uid)}/retry"
    return Call("POST", path, the_payment("merchant_uid", merchant_uid), fields={})


def schedules_of_customer(
    customer_uid: str,
    since: datetime,
    until: datetime,
    *,
    status: ScheduleStatus | None = None,
    page: int | None = None,
) -> Call[SchedulePage]:
    """The same as `schedules_of_billing_key`, at i'mport's other address for it."""
    path = f"/subscribe/payments/schedule/customers/{segment_of('customer_uid', customer_uid)}"
    return Call("GET", path, SchedulePage.read, _span(since, until, status, page), question=True)


def _customer(customer_uid: str) -> str:
    return f"/subscribe/customers/{segment_of('customer_uid', customer_uid)}"


def _plan(merchant_uid: str) -> str:
    return f"/subscribe/payments/schedule/{segment_of('merchant_uid', merchant_uid)}"


def _span(
    since: datetime, until: datetime, status: str | None, page: int | None
) -> tuple[tuple[str, str], ...]:
    fields: dict[str, Any] = {
        "from": unix_seconds(since),
        "to": unix_seconds(until),
        "schedule-status": status,
        "page": page,
    }
    return query_of(**fields)

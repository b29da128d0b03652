"""Billing keys: a customer's card, kept by the PG. Source: protocol facts, REST §4 and models §4."""

from __future__ import annotations

from typing import Annotated

import msgspec

from naru.domain.billing_key import BillingKey
from naru.domain.channel import choose_api_channel
from naru.domain.errors import BadCard, NoBillingKey, PgRefused, Refused
from naru.payments.delete_billing_key import delete_billing_key
from naru.payments.issue_billing_key import issue_billing_key
from naru.rest import messages
from naru.rest.annotations import PagedPaymentAnnotation, page_annotation, unix
from naru.rest.coerce import Text, malformed, texts, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.opening import merchant_and_channels
from naru.rest.operation import Call, Operation
from naru.rest.subscribe import NewCustomer, read_card, read_customer

IDS_MAX = 100
PAGE_ROWS = 20


class OneCustomer(msgspec.Struct):
    """A customer by its name."""

    customer_uid: Annotated[str, Text()]


class ManyCustomers(msgspec.Struct):
    """Customers by their names, at most 100."""

    customer_uid: Annotated[tuple[str, ...], texts] = ()


class CustomersPayments(msgspec.Struct):
    """A customer's payments, twenty on a page."""

    customer_uid: Annotated[str, Text()]
    page: Annotated[int, whole] = 1


class DeleteExtra(msgspec.Struct):
    """Who asked for the deletion; Naver Pay wants to know."""

    requester: Annotated[str, Text(20)] = "admin"


class DeleteCustomer(msgspec.Struct):
    """What `DELETE /subscribe/customers/{customer_uid}` takes."""

    customer_uid: Annotated[str, Text()]
    reason: Annotated[str, Text(1_000, cut=True)] = ""
    extra: DeleteExtra = msgspec.field(default_factory=DeleteExtra)


class KeepCard(NewCustomer, kw_only=True):
    """What `POST /subscribe/customers/{customer_uid}` takes."""

    card_number: Annotated[str, Text(40)]
    expiry: Annotated[str, Text(10)]


class CustomerAnnotation(msgspec.Struct, frozen=True):
    """A billing key in i'mport's words."""

    card_code: str | None
    card_issuer_code: str | None
    card_issuer_name: str | None
    card_name: str | None
    card_number: str | None
    card_publisher_code: str | None
    card_publisher_name: str | None
    card_type: int | None
    customer_addr: str | None
    customer_email: str | None
    customer_id: str | None
    customer_name: str | None
    customer_postcode: str | None
    customer_tel: str | None
    customer_uid: str
    inserted: int
    pg_id: str
    pg_provider: str
    sandbox: bool
    updated: int


def customer_annotation(key: BillingKey) -> CustomerAnnotation:
    """A billing key, without what charges it."""
    card = key.card
    return CustomerAnnotation(
        card_code=card.issuer_code if card else None,
        # As with payments: our PGs tell one card company.
        card_issuer_code=None,
        card_issuer_name=None,
        card_name=card.issuer_name if card else None,
        card_number=card.number if card else None,
        card_publisher_code=None,
        card_publisher_name=None,
        card_type=card.type if card else None,
        customer_addr=key.addr,
        customer_email=key.email,
        customer_id=key.customer_id,
        customer_name=key.name,
        customer_postcode=key.postcode,
        customer_tel=key.tel,
        customer_uid=key.customer_uid,
        inserted=unix(key.inserted_at),
        pg_id=key.mid,
        pg_provider=key.pg_code,
        sandbox=key.sandbox,
        updated=unix(key.updated_at),
    )


async def show(call: Call, request: OneCustomer) -> Answer:
    """One billing key. A miss is a business answer, HTTP 200 and code 1 (unknowns A6)."""
    async with call.gateway.store.direct() as session:
        key = await session.billing_keys.get(call.merchant_id, request.customer_uid)
    if key is None:
        raise _no_customer(request.customer_uid)
    return success(customer_annotation(key))


async def show_many(call: Call, request: ManyCustomers) -> Answer:
    """Several billing keys; 207 when some of the names are unknown, 404 when all are."""
    names = set(request.customer_uid)
    if not names:
        raise HttpRefusal(400, messages.missing("customer_uid"))
    if len(names) > IDS_MAX:
        raise HttpRefusal(400, messages.CUSTOMERS_MAX)
    async with call.gateway.store.direct() as session:
        keys = await session.billing_keys.many(call.merchant_id, sorted(names))
    if not keys:
        raise HttpRefusal(404, messages.no_customer(", ".join(request.customer_uid)))
    return success(
        [customer_annotation(key) for key in keys], 200 if len(keys) == len(names) else 207
    )


async def keep(call: Call, request: KeepCard) -> Answer:
    """Have the PG keep this card under a key. A key of this customer that lives already is replaced."""
    if request.channel_group_id:
        raise Refused(messages.NO_CHANNEL_GROUP)
    merchant, channels = await merchant_and_channels(call)
    try:
        key = await issue_billing_key(
            call.gateway,
            merchant,
            choose_api_channel(channels, channel_key=request.channel_key, pg=request.pg),
            request.customer_uid,
            read_card(request),
            read_customer(request),
            customer_id=request.customer_id,
            once=call.once,
        )
    except BadCard as bad:
        raise _not_issued("", bad.sentence) from None
    except PgRefused as refused:
        raise _not_issued(refused.pg_code, refused.sentence) from None
    return success(customer_annotation(key))


async def recall_keep(call: Call, request: KeepCard, number: str) -> Answer:
    """What became of the question for the key with this number."""
    key = await _of_number(call, number)
    if key.state == "asking":
        return not_known_yet(None)
    if key.state == "refused":
        raise _not_issued("", key.reason or "")
    return success(customer_annotation(key))


async def delete(call: Call, request: DeleteCustomer) -> Answer:
    """Delete a billing key, for good. Its schedules stay, and fail at their time (unknowns A22)."""
    try:
        key = await delete_billing_key(
            call.gateway, call.merchant_id, request.customer_uid, request.reason, once=call.once
        )
    except NoBillingKey:
        raise _no_customer(request.customer_uid) from None
    return success(customer_annotation(key))


async def recall_delete(call: Call, request: DeleteCustomer, number: str) -> Answer:
    """The key that was deleted; what the PG has forgotten by now is not known here, either."""
    return success(customer_annotation(await _of_number(call, number)))


async def show_payments(call: Call, request: CustomersPayments) -> Answer:
    """A customer's payments, newest first: those that were charged by the key, and those that made one."""
    if request.page < 1:
        raise malformed("page")
    async with call.gateway.store.direct() as session:
        keys = session.billing_keys
        page = await keys.payments(call.merchant_id, request.customer_uid, request.page, PAGE_ROWS)
        if not page.total and await keys.get(call.merchant_id, request.customer_uid) is None:
            raise _no_customer(request.customer_uid)
    if not page.payments and request.page > 1:
        raise HttpRefusal(400, messages.PAGE_PAST_THE_END)
    return success(
        page_annotation(
            page.payments,
            total=page.total,
            page=request.page,
            limit=PAGE_ROWS,
            partial_cancel=call.gateway.partial_cancel_status,
        )
    )


async def _of_number(call: Call, number: str) -> BillingKey:
    async with call.gateway.store.direct() as session:
        key = await session.billing_keys.of_number(number)
    assert key is not None, "an Idempotency-Key is bound together with its question"
    assert key.merchant_id == call.merchant_id
    return key


def _no_customer(customer_uid: str) -> Refused:
    return Refused(messages.no_customer(customer_uid))


def _not_issued(pg_code: str, words: str) -> PgRefused:
    return PgRefused(pg_code, f"{messages.KEY_NOT_ISSUED} {words}".strip())


_CUSTOMER = "/subscribe/customers/{customer_uid}"

OPERATIONS = (
    Operation(
        "GET",
        "/subscribe/customers",
        ManyCustomers,
        "빌링키 복수조회",
        "subscribe.customer",
        show_many,
        answer=list[CustomerAnnotation],
        partial=True,
        english="Several billing keys",
    ),
    Operation(
        "GET",
        _CUSTOMER,
        OneCustomer,
        "빌링키 단건조회",
        "subscribe.customer",
        show,
        answer=CustomerAnnotation,
        english="One billing key",
    ),
    Operation(
        "POST",
        _CUSTOMER,
        KeepCard,
        "빌링키 발급",
        "subscribe.customer",
        keep,
        recall=recall_keep,
        answer=CustomerAnnotation,
        english="Issue a billing key for a card",
    ),
    Operation(
        "DELETE",
        _CUSTOMER,
        DeleteCustomer,
        "빌링키 삭제",
        "subscribe.customer",
        delete,
        recall=recall_delete,
        answer=CustomerAnnotation,
        english="Delete a billing key",
    ),
    Operation(
        "GET",
        f"{_CUSTOMER}/payments",
        CustomersPayments,
        "빌링키 결제내역 조회",
        "subscribe.customer",
        show_payments,
        answer=PagedPaymentAnnotation,
        english="The payments of a customer",
    ),
)

"""Payments, prepared amounts, virtual accounts and channels. Source: V1, REST facts §2, §3, §9."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from naru.kit.operations.call import (
    Call,
    given,
    imp_uid_of,
    list_of,
    money_of,
    query_of,
    segment_of,
    tail_of,
    text_of,
    the_payment,
    unix_seconds,
)
from naru.kit.types import Balance, Page, Payment, PgSetting, Prepared, Sorting, Status


def payment(imp_uid: str) -> Call[Payment]:
    """One payment by its number. Raises NotFound for a stranger's or unknown number."""
    return Call(
        "GET", f"/payments/{imp_uid_of(imp_uid)}", the_payment("imp_uid", imp_uid), question=True
    )


def payments(
    *, imp_uids: Iterable[str] = (), merchant_uids: Iterable[str] = ()
) -> Call[list[Payment]]:
    """Up to 100 payments at once; those the gateway does not know are left out.

    Raises NotFound when it knows none of them.
    """
    query = (
        *(("imp_uid[]", imp_uid_of(uid)) for uid in imp_uids),
        *(("merchant_uid[]", text_of("merchant_uid", uid)) for uid in merchant_uids),
    )
    if not 1 <= len(query) <= 100:
        raise ValueError("ask for 1 to 100 payments at once")
    return Call("GET", "/payments", list_of(Payment.read), query, question=True)


def find_payment(
    merchant_uid: str, *, status: Status | None = None, sorting: Sorting | None = None
) -> Call[Payment]:
    """The first payment of an order number, newest first unless `sorting` says otherwise."""
    return Call(
        "GET",
        f"/payments/find/{segment_of('merchant_uid', merchant_uid)}{tail_of(status)}",
        the_payment("merchant_uid", merchant_uid),
        query_of(sorting=sorting),
        question=True,
    )


def find_payments(
    merchant_uid: str,
    *,
    status: Status | None = None,
    page: int | None = None,
    limit: int | None = None,
    sorting: Sorting | None = None,
) -> Call[Page]:
    """All payments of an order number, page by page (`limit` 1 to 1000, 20 when not given)."""
    return Call(
        "GET",
        f"/payments/findAll/{segment_of('merchant_uid', merchant_uid)}{tail_of(status)}",
        Page.read,
        query_of(page=page, limit=limit, sorting=sorting),
        question=True,
    )


def payments_by_status(
    status: Status,
    *,
    page: int | None = None,
    limit: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    sorting: Sorting | None = None,
) -> Call[Page]:
    """Payments of one status, or `all`, in a window of at most 90 days. Times must be aware."""
    return Call(
        "GET",
        f"/payments/status/{segment_of('status', status)}",
        Page.read,
        query_of(
            page=page,
            limit=limit,
            **{"from": unix_seconds(since), "to": unix_seconds(until)},
            sorting=sorting,
        ),
        question=True,
    )


def balance(imp_uid: str) -> Call[Balance]:
    """What is left of a payment, by where the money came from."""
    return Call("GET", f"/payments/{imp_uid_of(imp_uid)}/balance", Balance.read, question=True)


def prepare(
    merchant_uid: str, amount: Decimal | int, currency: str | None = None
) -> Call[Prepared]:
    """Announce what an order must cost before the window opens. Refused when already announced."""
    return Call(
        "POST", "/payments/prepare", Prepared.read, fields=_price(merchant_uid, amount, currency)
    )


def change_prepared(
    merchant_uid: str, amount: Decimal | int, currency: str | None = None
) -> Call[Prepared]:
    """Announce another price. Raises NotFound when none was announced."""
    return Call(
        "PUT", "/payments/prepare", Prepared.read, fields=_price(merchant_uid, amount, currency)
    )


def prepared(merchant_uid: str) -> Call[Prepared]:
    """The announced price of an order number."""
    return Call(
        "GET",
        f"/payments/prepare/{segment_of('merchant_uid', merchant_uid)}",
        Prepared.read,
        question=True,
    )


def cancel(
    *,
    imp_uid: str | None = None,
    merchant_uid: str | None = None,
    amount: Decimal | int | None = None,
    tax_free: Decimal | int | None = None,
    vat_amount: Decimal | int | None = None,
    checksum: Decimal | int | None = None,
    reason: str | None = None,
    refund_holder: str | None = None,
    refund_bank: str | None = None,
    refund_account: str | None = None,
    refund_tel: str | None = None,
    enable_webhook: bool | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Call[Payment]:
    """Give money back: `amount`, or all that is left when it is None.

    `checksum` is what you believe may still be given back: the gateway refuses when it knows
    better, so a repeated cancel cannot give back twice. Always send it with a partial cancel.
    Raises Refused with the gateway's or the PG's own words. After Unavailable with
    `may_have_happened` look at `payment(imp_uid)` first: the kit never repeats a cancel by itself.
    """
    if imp_uid is None and merchant_uid is None:
        raise ValueError("name the payment by imp_uid or merchant_uid")
    return Call(
        "POST",
        "/payments/cancel",
        # With both given the gateway obeys imp_uid, so that is what the answer must be about.
        the_payment("merchant_uid", merchant_uid)
        if imp_uid is None
        else the_payment("imp_uid", imp_uid),
        fields=given(
            imp_uid=None if imp_uid is None else imp_uid_of(imp_uid),
            merchant_uid=None if merchant_uid is None else text_of("merchant_uid", merchant_uid),
            amount=money_of(amount),
            tax_free=money_of(tax_free),
            vat_amount=money_of(vat_amount),
            checksum=money_of(checksum),
            reason=reason,
            refund_holder=refund_holder,
            refund_bank=refund_bank,
            refund_account=refund_account,
            refund_tel=refund_tel,
            enable_webhook=enable_webhook,
            extra=None if extra is None else dict(extra),
        ),
    )


def issue_virtual_account(
    merchant_uid: str,
    amount: Decimal | int,
    *,
    vbank_code: str,
    vbank_due: datetime,
    vbank_holder: str | None = None,
    channel_key: str | None = None,
    pg: str | None = None,
    name: str | None = None,
    buyer_name: str | None = None,
    buyer_email: str | None = None,
    buyer_tel: str | None = None,
    notice_url: str | list[str] | None = None,
    custom_data: str | None = None,
    pg_api_key: str | None = None,
) -> Call[Payment]:
    """Open an account that waits for one deposit. `vbank_code` is the bank's standard 3 digits."""
    return Call(
        "POST",
        "/vbanks",
        the_payment("merchant_uid", merchant_uid),
        query_of(pg_api_key=pg_api_key),
        given(
            merchant_uid=text_of("merchant_uid", merchant_uid),
            amount=money_of(amount),
            vbank_code=vbank_code,
            vbank_due=unix_seconds(vbank_due),
            vbank_holder=vbank_holder,
            channel_key=channel_key,
            pg=pg,
            name=name,
            buyer_name=buyer_name,
            buyer_email=buyer_email,
            buyer_tel=buyer_tel,
            notice_url=notice_url,
            custom_data=custom_data,
        ),
    )


def change_virtual_account(
    imp_uid: str, *, amount: Decimal | int | None = None, vbank_due: datetime | None = None
) -> Call[Payment]:
    """Another amount or deadline for an account that waits (settle only). Raises Refused (400) elsewhere."""
    fields = given(amount=money_of(amount), vbank_due=unix_seconds(vbank_due))
    return Call(
        "PUT", f"/vbanks/{imp_uid_of(imp_uid)}", the_payment("imp_uid", imp_uid), fields=fields
    )


def close_virtual_account(imp_uid: str, *, pg_api_key: str | None = None) -> Call[Payment]:
    """Close an account nobody has paid into; the payment becomes failed."""
    return Call(
        "DELETE",
        f"/vbanks/{imp_uid_of(imp_uid)}",
        the_payment("imp_uid", imp_uid),
        query_of(pg_api_key=pg_api_key),
    )


def pg_settings() -> Call[list[PgSetting]]:
    """The channels of this merchant."""
    return Call("GET", "/users/pg", list_of(PgSetting.read), question=True)


def _price(merchant_uid: str, amount: Decimal | int, currency: str | None) -> dict[str, Any]:
    return given(
        merchant_uid=text_of("merchant_uid", merchant_uid),
        amount=money_of(amount),
        currency=currency,
    )

"""The V1 operations a merchant's server calls, each written once for both clients.

A function here only describes a call: method, path, fields, and how to read the answer. The class
`Operations` turns each into a method that returns `T` on `Client` and a coroutine of `T` on
`AsyncClient`, with the same signature and docstring.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload
from urllib.parse import quote, urlencode

from naru.kit.errors import MalformedAnswer
from naru.kit.types import Balance, Page, Payment, PgSetting, Prepared, Sorting, Status

if TYPE_CHECKING:
    from naru.kit.client import AsyncClient, Client

P = ParamSpec("P")
T = TypeVar("T")

_IMP_UID = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Call(Generic[T]):
    """What to ask and how to read the answer. `question` marks calls that change nothing."""

    method: str
    path: str
    read: Callable[[Any], T]
    query: tuple[tuple[str, str], ...] = ()
    fields: Mapping[str, Any] | None = None
    question: bool = field(default=False)

    @property
    def target(self) -> str:
        """Path and query, already escaped."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


class _Operation(Generic[P, T]):
    """Binds a description to a client: the sync one sends it, the async one promises to."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> _Operation[P, T]: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self._describe)
        def ask(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.send(self._describe(*args, **kwargs))

        return ask


def payment(imp_uid: str) -> Call[Payment]:
    """One payment by its number. Raises NotFound for a stranger's or unknown number."""
    return Call(
        "GET", f"/payments/{_imp_uid(imp_uid)}", _the_payment("imp_uid", imp_uid), question=True
    )


def payments(
    *, imp_uids: Iterable[str] = (), merchant_uids: Iterable[str] = ()
) -> Call[list[Payment]]:
    """Up to 100 payments at once; those the gateway does not know are left out.

    Raises NotFound when it knows none of them.
    """
    query = (
        *(("imp_uid[]", _imp_uid(uid)) for uid in imp_uids),
        *(("merchant_uid[]", _text("merchant_uid", uid)) for uid in merchant_uids),
    )
    if not 1 <= len(query) <= 100:
        raise ValueError("ask for 1 to 100 payments at once")
    return Call("GET", "/payments", _list_of(Payment.read), query, question=True)


def find_payment(
    merchant_uid: str, *, status: Status | None = None, sorting: Sorting | None = None
) -> Call[Payment]:
    """The first payment of an order number, newest first unless `sorting` says otherwise."""
    return Call(
        "GET",
        f"/payments/find/{_segment('merchant_uid', merchant_uid)}{_tail(status)}",
        _the_payment("merchant_uid", merchant_uid),
        _query(sorting=sorting),
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
        f"/payments/findAll/{_segment('merchant_uid', merchant_uid)}{_tail(status)}",
        Page.read,
        _query(page=page, limit=limit, sorting=sorting),
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
        f"/payments/status/{_segment('status', status)}",
        Page.read,
        _query(
            page=page,
            limit=limit,
            **{"from": _unix_seconds(since), "to": _unix_seconds(until)},
            sorting=sorting,
        ),
        question=True,
    )


def balance(imp_uid: str) -> Call[Balance]:
    """What is left of a payment, by where the money came from."""
    return Call("GET", f"/payments/{_imp_uid(imp_uid)}/balance", Balance.read, question=True)


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
        f"/payments/prepare/{_segment('merchant_uid', merchant_uid)}",
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
        _the_payment("merchant_uid", merchant_uid)
        if imp_uid is None
        else _the_payment("imp_uid", imp_uid),
        fields=_given(
            imp_uid=None if imp_uid is None else _imp_uid(imp_uid),
            merchant_uid=None if merchant_uid is None else _text("merchant_uid", merchant_uid),
            amount=_money(amount),
            tax_free=_money(tax_free),
            vat_amount=_money(vat_amount),
            checksum=_money(checksum),
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
        _the_payment("merchant_uid", merchant_uid),
        _query(pg_api_key=pg_api_key),
        _given(
            merchant_uid=_text("merchant_uid", merchant_uid),
            amount=_money(amount),
            vbank_code=vbank_code,
            vbank_due=_unix_seconds(vbank_due),
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


def close_virtual_account(imp_uid: str, *, pg_api_key: str | None = None) -> Call[Payment]:
    """Close an account nobody has paid into; the payment becomes failed."""
    return Call(
        "DELETE",
        f"/vbanks/{_imp_uid(imp_uid)}",
        _the_payment("imp_uid", imp_uid),
        _query(pg_api_key=pg_api_key),
    )


def pg_settings() -> Call[list[PgSetting]]:
    """The channels of this merchant."""
    return Call("GET", "/users/pg", _list_of(PgSetting.read), question=True)


class Operations:
    """What both clients can do."""

    payment = _Operation(payment)
    payments = _Operation(payments)
    find_payment = _Operation(find_payment)
    find_payments = _Operation(find_payments)
    payments_by_status = _Operation(payments_by_status)
    balance = _Operation(balance)
    prepare = _Operation(prepare)
    change_prepared = _Operation(change_prepared)
    prepared = _Operation(prepared)
    cancel = _Operation(cancel)
    issue_virtual_account = _Operation(issue_virtual_account)
    close_virtual_account = _Operation(close_virtual_account)
    pg_settings = _Operation(pg_settings)


def _imp_uid(value: str) -> str:
    # Checked here because it becomes a part of the path, and often comes from a browser.
    if not isinstance(value, str) or not _IMP_UID.fullmatch(value):
        raise ValueError("an imp_uid is 1 to 32 letters, digits, hyphens or underscores")
    return value


def _text(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text")
    if not value or any(character < " " or character == "\x7f" for character in value):
        raise ValueError(f"{name} must not be empty or hold control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} is not valid Unicode") from None
    return value


def _segment(name: str, value: str) -> str:
    if _text(name, value) in (".", ".."):
        raise ValueError(f"{name} must not be a dot segment")
    return quote(value, safe="")


def _tail(status: str | None) -> str:
    return "" if status is None else "/" + _segment("status", status)


def _money(value: Decimal | int | None) -> Decimal | int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError("money is an int or a Decimal, never a float")
    if not Decimal(value).is_finite() or value < 0:
        raise ValueError("money must be finite and not negative")
    return value


def _unix_seconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("a time must say its zone")
    return int(moment.timestamp())


def _price(merchant_uid: str, amount: Decimal | int, currency: str | None) -> dict[str, Any]:
    return _given(
        merchant_uid=_text("merchant_uid", merchant_uid), amount=_money(amount), currency=currency
    )


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _query(**fields: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in _given(**fields).items())


def _the_payment(key: str, asked: str | None) -> Callable[[Any], Payment]:
    """Reads a payment and checks that the answer is about the question."""

    def read(value: Any) -> Payment:
        answered = Payment.read(value)
        if getattr(answered, key) != asked:
            raise MalformedAnswer(f"the answer is about another {key}")
        return answered

    return read


def _list_of(read: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    def read_list(value: Any) -> list[T]:
        if not isinstance(value, list):
            raise MalformedAnswer("the answer is not a list")
        return [read(item) for item in value]

    return read_list

"""The sandbox PG: a pretend company that behaves like any PG of i'mport.

Source: docs/reference/sandbox-wire.md. Registered order, window on the PG's side, signed browser
return, approval server to server, net-cancel and inquiry by our own order number, signed notices.
A channel's settings: `url` (the PG's address for us), `secret` (shared), both kept with the channel.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from naru.connectors import AccountOrder, Can, Connector, WindowOrder
from naru.domain.book import BookPage, BookRow, Movement
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn, NoAnswer, NotSent, UnreadableNotice
from naru.domain.merchant import NULL_ORIGIN
from naru.domain.money import MINOR_DIGITS, MINOR_MAX, Money
from naru.domain.outcome import (
    Abandoned,
    AccountIssued,
    Approved,
    Authenticated,
    Cancelled,
    CancelOrder,
    CancelOutcome,
    Declined,
    Deposited,
    Inquired,
    NotFound,
    Outcome,
    Return,
    Ticket,
    TooLate,
    Undone,
    Unknown,
)
from naru.domain.payment import Bank, Card, Payment, VirtualAccount
from naru.domain.text import clean
from naru.domain.window import Redirect, WindowPlan
from naru.wire import Answer, Timeouts, Wire

log = logging.getLogger("naru.connectors.sandbox")

TIMEOUTS = Timeouts(connect=5.0, read=10.0, total=10.0)
# A notice is booked once by its number, so an old one that is sent again changes nothing. The limit
# refuses ancient recordings only, and loses no deposit to a clock that is an hour off.
NOTICE_SKEW_SECONDS = 7_200
NAME_CHARACTERS_MAX = 100
BOOK_ROWS = 200  # a page of them fits into the answer that naru/wire.py reads
SECONDS_MAX = 253_402_300_800  # the year 10000, where datetime ends


class Sandbox(Connector):
    """The sandbox PG. Everything can be looked up and undone, as with the best of PGs."""

    can = frozenset(Can)
    auth_token_seconds = 600

    def __init__(self, wire: Wire, now: Callable[[], datetime]) -> None:
        self._wire = wire
        self._now = now

    # --- window -------------------------------------------------------------------------------

    async def prepare(self, channel: Channel, order: WindowOrder) -> WindowPlan | Declined:
        payment = order.payment
        body = {
            "order_no": payment.pg_order_no,
            "amount": payment.amount.minor,
            "currency": payment.amount.currency,
            "tax_free": payment.tax_free.minor,
            "item_name": payment.name or payment.merchant_uid,
            "merchant_name": order.merchant_name,
            "merchant_order_no": payment.merchant_uid,
            "pay_method": payment.pay_method,
            "profile": payment.pg_code,
            "surface": "mobile" if payment.surface == "mobile" else "pc",
            "language": payment.language,
            "return_url": order.return_url,
            "notice_url": order.notice_url,
            "frame_ancestors": None
            if NULL_ORIGIN in order.frame_ancestors
            else list(order.frame_ancestors),
            "buyer": {
                "name": payment.buyer.name,
                "email": payment.buyer.email,
                "tel": payment.buyer.tel,
            },
            "installments": None if order.installments is None else list(order.installments),
            "vbank_due": None if order.account_due is None else int(order.account_due.timestamp()),
            "test": channel.test,
        }
        answer = await self._ask(channel, "POST", "/v1/orders", body)
        match answer:
            case {"result": "registered", "window_url": str(url)}:
                return Redirect(url)
            case {"code": str(code), "message": str(message)}:
                return Declined(clean(code), clean(message))
            case _:
                # No money question was asked yet: a window that cannot open is a plain failure.
                return Declined("WINDOW_FAILED", "결제 창 호출에 실패하였습니다.")

    # --- return -------------------------------------------------------------------------------

    def read_return(self, channel: Channel, payment: Payment, fields: dict[str, str]) -> Return:
        order = (
            "mid",
            "order_no",
            "status",
            "auth_token",
            "amount",
            "currency",
            "pay_method",
            "code",
            "message",
            "expires_at",
        )
        signed = "return\n" + "\n".join(fields.get(name, "") for name in order)
        expected = _hmac(channel, signed.encode("utf-8", "surrogatepass"))
        if not hmac.compare_digest(
            expected.encode(), fields.get("signature", "").encode("utf-8", "surrogatepass")
        ):
            raise ForgedReturn("signature")
        ours = (
            channel.mid,
            payment.pg_order_no,
            str(payment.amount.minor),
            payment.amount.currency,
        )
        theirs = tuple(fields.get(name) for name in ("mid", "order_no", "amount", "currency"))
        if ours != theirs:
            raise ForgedReturn("it speaks of another order, amount or currency")
        if fields.get("status") != "authenticated":
            return Abandoned(clean(fields.get("code", "")), clean(fields.get("message", "")))
        # How long it lives is the PG's to say, by its own clock, when the money is asked for: ours may
        # have been set meanwhile.
        return Authenticated(
            fields.get("auth_token", ""), clean(fields.get("pay_method", "")) or None
        )

    # --- approve ------------------------------------------------------------------------------

    async def approve(self, channel: Channel, ticket: Ticket) -> Outcome:
        return await self._approve(channel, ticket, again=False)

    async def _approve(self, channel: Channel, ticket: Ticket, *, again: bool) -> Outcome:
        body = {
            "order_no": ticket.order_no,
            "auth_token": ticket.token,
            "amount": ticket.amount.minor,
            "currency": ticket.amount.currency,
        }
        answer = await self._ask(channel, "POST", "/v1/approvals", body)
        if again and _not_taken_up(answer):
            return Unknown(_why(answer))
        return _read_approval(answer, ticket.order_no)

    async def repeat(self, channel: Channel, ticket: Ticket) -> Outcome:
        # The number of an order is its key: the PG answers what it answered first.
        return await self._approve(channel, ticket, again=True)

    # --- cancel -------------------------------------------------------------------------------

    async def cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        return await self._cancel(channel, order, again=False)

    async def _cancel(self, channel: Channel, order: CancelOrder, *, again: bool) -> CancelOutcome:
        account = order.refund_account
        body = {
            "tid": order.pg_tid,
            "cancel_no": order.cancel_no,
            "amount": order.amount.minor,
            "balance_before": order.balance_before.minor,
            "reason": order.reason,
            "refund_account": account
            and {
                "bank_code": account.bank_code,
                "number": account.number,
                "holder": account.holder,
            },
        }
        answer = await self._ask(channel, "POST", "/v1/cancels", body)
        if again and _not_taken_up(answer):
            return Unknown(_why(answer))
        return _read_cancel(answer, order.amount.currency)

    async def repeat_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        return await self._cancel(channel, order, again=True)

    async def inquire_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome | None:
        answer = await self._ask(channel, "GET", f"/v1/cancels/{order.cancel_no}")
        match answer:
            case {"result": "error", "code": "NOT_FOUND"}:
                return None
            case {"result": "cancelled" | "refused"}:
                return _read_cancel(answer, order.amount.currency)
            case _:
                # A question that failed, even one that never left us, says nothing about the cancel.
                return Unknown(_why(answer))

    # --- net-cancel ---------------------------------------------------------------------------

    async def net_cancel(
        self, channel: Channel, order_no: str, reason: str
    ) -> Undone | TooLate | Unknown:
        path = f"/v1/approvals/{order_no}/net-cancel"
        match await self._ask(channel, "POST", path, {"reason": reason}):
            case {"result": "undone", "order_no": str(undone)} if undone == order_no:
                return Undone()
            case {"result": "refused", "code": "TOO_LATE" | "PARTLY_CANCELLED" as code}:
                return TooLate(code)
            case answer:
                return Unknown(_why(answer))

    # --- inquire ------------------------------------------------------------------------------

    async def inquire(self, channel: Channel, order_no: str) -> Inquired:
        answer = await self._ask(channel, "GET", f"/v1/orders/{order_no}")
        match answer:
            case {"result": "error", "code": "NOT_FOUND"}:
                return NotFound()
            case {"result": "order", "state": "undone" | "cancelled"}:
                # Undone by us, or given back whole by the PG's own staff: no approval stands.
                return Undone()
            case {"result": "order", "state": "registered" | "authenticated"}:
                # The question may still be on its way to them.
                return NotFound()
            case {
                "result": "order",
                "state": "approved" | "deposited" | "waiting_deposit",
                "approval": dict(approval),
            }:
                return _read_approval(approval, order_no)
            case {
                "result": "order",
                "state": "declined" | "failed" | "abandoned" | "closed",
                "code": str(code),
                "message": str(message),
            }:
                return Declined(clean(code), clean(message))
            case _:
                return Unknown(_why(answer))

    # --- virtual account ----------------------------------------------------------------------

    async def issue_account(
        self, channel: Channel, order: AccountOrder
    ) -> AccountIssued | Declined | Unknown:
        body = {
            "order_no": order.order_no,
            "amount": order.amount.minor,
            "currency": order.amount.currency,
            "bank_code": order.bank_code,
            "holder": order.holder or order.merchant_name,
            "due": int(order.due.timestamp()),
            "item_name": order.name or order.merchant_uid,
            "merchant_name": order.merchant_name,
            "merchant_order_no": order.merchant_uid,
            "profile": channel.pg_code,
            "notice_url": order.notice_url,
            "buyer": {
                "name": order.buyer.name,
                "email": order.buyer.email,
                "tel": order.buyer.tel,
            },
            "test": channel.test,
        }
        answer = await self._ask(channel, "POST", "/v1/virtual-accounts", body)
        outcome = _read_approval(answer, order.order_no)
        if isinstance(outcome, Approved):
            return Unknown("an approval in answer to a virtual account")
        return outcome

    async def close_account(self, channel: Channel, order_no: str) -> Undone | Declined | Unknown:
        match await self._ask(channel, "DELETE", f"/v1/virtual-accounts/{order_no}"):
            case {"result": "closed"}:
                return Undone()
            case {"result": "refused", "code": str(code), "message": str(message)}:
                return Declined(clean(code), clean(message))
            case answer:
                return Unknown(_why(answer))

    # --- book ---------------------------------------------------------------------------------

    async def book(
        self, channel: Channel, since: datetime, until: datetime, after: str | None
    ) -> BookPage | Unknown:
        asked_from = int(after or 0)
        path = (
            f"/v1/book?after={asked_from}&since={int(since.timestamp())}"
            f"&until={int(until.timestamp())}&limit={BOOK_ROWS}"
        )
        match await self._ask(channel, "GET", path):
            case {"result": "book", "rows": list(rows), "more": bool(more)}:
                try:
                    return _read_book(rows, more, asked_from)
                except _Unreadable as error:
                    return Unknown(str(error))
            case answer:
                return Unknown(_why(answer))

    # --- notice -------------------------------------------------------------------------------

    def read_notice(
        self, channel: Channel, headers: dict[str, str], body: bytes
    ) -> Deposited | None:
        stamp = headers.get("x-sandbox-timestamp", "")
        signature = headers.get("x-sandbox-signature", "")
        expected = _hmac(channel, stamp.encode("utf-8", "replace") + b"." + body)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise ForgedReturn("signature")
        if abs(self._now().timestamp() - _seconds(stamp)) > NOTICE_SKEW_SECONDS:
            raise ForgedReturn("the notice is too old or too new")
        match _read_json(body):
            case {
                "type": "deposited",
                "notice_id": str(notice_key),
                "mid": str(mid),
                "order_no": str(order_no),
                "tid": str(tid),
                "amount": int(amount),
                "currency": str(currency),
                "deposited_at": int(deposited_at),
                **rest,
            } if mid == channel.mid and amount > 0:
                try:
                    return Deposited(
                        notice_key=_name(notice_key),
                        order_no=_name(order_no),
                        pg_tid=_name(tid),
                        amount=_money(amount, currency),
                        depositor=_text(rest.get("depositor")),
                        deposited_at=_time(deposited_at),
                    )
                except _Unreadable as error:
                    raise UnreadableNotice(str(error)) from None
            case {"type": str(other)} if other != "deposited":
                return None
            case _:
                raise UnreadableNotice("unreadable")

    def acknowledge(self, stored: bool) -> tuple[int, str, bytes]:
        return (200, "text/plain", b"OK") if stored else (400, "text/plain", b"NO")

    # --- the one call -------------------------------------------------------------------------

    async def _ask(
        self, channel: Channel, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Any:
        """The PG's signed JSON; `result: not_sent` when it never left us; Unknown when nobody knows."""
        if not {"url", "secret"} <= channel.settings.keys():
            return _not_sent("the channel has no address or no secret of its PG")
        raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        base = str(channel.settings["url"]).rstrip("/")
        stamp = str(int(self._now().timestamp()))
        signed_path = urlsplit(base).path + path
        headers = {
            "X-Sandbox-Mid": channel.mid,
            "X-Sandbox-Timestamp": stamp,
            "X-Sandbox-Signature": _hmac(
                channel, f"{stamp}.{method}.{signed_path}.".encode() + raw
            ),
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = await self._wire.request(
                method, base + path, headers=headers, body=raw, timeouts=TIMEOUTS
            )
        except NotSent as error:
            # It never left us: nothing can have happened over there.
            return _not_sent(str(error))
        except NoAnswer as error:
            return Unknown(str(error))
        return _signed_json(channel, answer)


_SILENT = "PG사와 통신할 수 없습니다. 잠시 후 다시 시도해주세요."


def _not_sent(why: str) -> dict[str, str]:
    return {"result": "not_sent", "code": "NOT_SENT", "message": _SILENT, "why": why}


def connector(wire: Wire, now: Callable[[], datetime]) -> Connector:
    """The connector of this file, for the finder."""
    return Sandbox(wire, now)


# --- readers ----------------------------------------------------------------------------------


class _Unreadable(ValueError):
    """The PG's words have the right shape and an impossible content."""


def _read_approval(answer: Any, asked: str) -> Outcome:
    """What became of the order `asked`. A refusal of another order says nothing about ours."""
    try:
        return _approval(answer, asked)
    except _Unreadable as error:
        return Unknown(str(error))


def _approval(answer: Any, asked: str) -> Outcome:
    match answer:
        case {
            "result": "approved",
            "order_no": str(order_no),
            "tid": str(tid),
            "amount": int(amount),
            "currency": str(currency),
            "approved_at": int(approved_at),
            **rest,
        }:
            return Approved(
                order_no=_name(order_no),
                amount=_money(amount, currency),
                pg_tid=_name(tid),
                approved_at=_time(approved_at),
                pay_method=_text(rest.get("pay_method")),
                hub_pg_code=_text(rest.get("wallet")),
                approval_number=_text(rest.get("approval_number")),
                card=_read_card(rest.get("card")),
                bank=_read_bank(rest.get("bank")),
                receipt_url=_text(rest.get("receipt_url")),
                cash_receipt_issued=rest.get("cash_receipt_issued") is True,
            )
        case {
            "result": "account_issued",
            "order_no": str(order_no),
            "tid": str(tid),
            "amount": int(amount),
            "currency": str(currency),
            "virtual_account": {
                "bank_code": str(bank_code),
                "bank_name": str(bank_name),
                "number": str(number),
                "due": int(due),
                "issued_at": int(issued_at),
                **account,
            },
        }:
            return AccountIssued(
                order_no=_name(order_no),
                amount=_money(amount, currency),
                pg_tid=_name(tid),
                account=VirtualAccount(
                    bank_code=clean(bank_code),
                    bank_name=clean(bank_name),
                    number=_name(number),
                    holder=_text(account.get("holder")),
                    due=_time(due),
                    issued_at=_time(issued_at),
                ),
            )
        case {"result": "error", "code": "CONFLICT"}:
            # The number was asked before with other content; what became of that is the question.
            return Unknown(_why(answer))
        case {
            "result": "declined" | "not_sent" | "error",
            "code": str(code),
            "message": str(message),
            **rest,
        } if rest.get("order_no", asked) == asked:
            return Declined(clean(code), clean(message))
        case _:
            return Unknown(_why(answer))


def _read_cancel(answer: Any, currency: str) -> CancelOutcome:
    match answer:
        case {
            "result": "cancelled",
            "cancel_no": str(cancel_no),
            "cancel_tid": str(cancel_tid),
            "amount": int(amount),
            "cancelled_at": int(cancelled_at),
            **rest,
        }:
            try:
                return Cancelled(
                    cancel_no=_name(cancel_no),
                    amount=_money(amount, currency),
                    pg_tid=_name(cancel_tid),
                    cancelled_at=_time(cancelled_at),
                    receipt_url=_text(rest.get("receipt_url")),
                )
            except _Unreadable as error:
                return Unknown(str(error))
        case {"result": "error", "code": "CONFLICT"}:
            return Unknown(_why(answer))
        case {
            "result": "refused" | "not_sent" | "error",
            "code": str(code),
            "message": str(message),
        }:
            return Declined(clean(code), clean(message))
        case _:
            return Unknown(_why(answer))


def _read_book(rows: list[Any], more: bool, after: int) -> BookPage:
    read: list[BookRow] = []
    last = after
    for row in rows:
        match row:
            case {
                "seq": int(seq),
                "at": int(at),
                "kind": "charge" | "deposit" | "cancel" | "net_cancel" as kind,
                "order_no": str(order_no),
                "tid": str(tid),
                "reference": str(reference),
                "amount": int(amount),
                "currency": str(currency),
            } if seq > last:
                last = seq
                read.append(
                    BookRow(
                        Movement(kind),
                        _name(order_no),
                        _name(tid),
                        _name(reference),
                        _money(amount, currency),
                        _time(at),
                    )
                )
            case _:
                raise _Unreadable("a row of the book that is none, or out of order")
    if more and not rows:
        raise _Unreadable("a book that goes on with nothing")
    return BookPage(tuple(read), str(last) if more else None)


def _read_card(card: Any) -> Card | None:
    if not isinstance(card, dict):
        return None
    months = card.get("installment_months")
    kind = card.get("type")
    return Card(
        issuer_code=_text(card.get("issuer_code")),
        issuer_name=_text(card.get("issuer_name")),
        number=_text(card.get("number")),
        installment_months=months if isinstance(months, int) and 0 <= months <= 99 else 0,
        type=int(kind) if kind in (0, 1) else None,
    )


def _read_bank(bank: Any) -> Bank | None:
    if not isinstance(bank, dict):
        return None
    return Bank(_text(bank.get("code")), _text(bank.get("name")))


def _text(value: Any) -> str | None:
    return clean(value) if isinstance(value, str) else None


def _name(text: str) -> str:
    """A number or id of the PG, as it is: cleaning would make another one of it."""
    if not text or clean(text) != text or len(text) > NAME_CHARACTERS_MAX:
        raise _Unreadable("an id that is none")
    return text


def _money(minor: int, currency: str) -> Money:
    if isinstance(minor, bool) or not 0 < minor <= MINOR_MAX or currency not in MINOR_DIGITS:
        raise _Unreadable("an amount that is none")
    return Money(minor, currency)


def _time(seconds: int) -> datetime:
    if isinstance(seconds, bool) or not 0 < seconds < SECONDS_MAX:
        raise _Unreadable("a time that is none")
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(text: str) -> int:
    """UNIX seconds in digits; 0, which is long ago, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0


def _hmac(channel: Channel, message: bytes) -> str:
    return hmac.new(str(channel.settings["secret"]).encode(), message, hashlib.sha256).hexdigest()


def _read_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _signed_json(channel: Channel, answer: Answer) -> Any:
    """The JSON of an answer that carries the PG's signature; else Unknown: it may be anybody's."""
    stamp = answer.headers.get("X-Sandbox-Timestamp", "")
    expected = _hmac(channel, stamp.encode("utf-8", "surrogateescape") + b"." + answer.body)
    signature = answer.headers.get("X-Sandbox-Signature", "")
    if not answer.whole or not hmac.compare_digest(
        expected.encode(), signature.encode("utf-8", "surrogateescape")
    ):
        return Unknown(f"HTTP {answer.status} without the PG's signature")
    read = _read_json(answer.body)
    if answer.status >= 500 or not isinstance(read, dict):
        return Unknown(f"HTTP {answer.status}, unreadable")
    return read


def _not_taken_up(answer: Any) -> bool:
    """Of a repetition: it never left, or was refused at the door. Of the first question it says nothing."""
    return isinstance(answer, dict) and answer.get("result") in ("not_sent", "error")


def _why(answer: Any) -> str:
    if isinstance(answer, Unknown):
        return answer.why
    if isinstance(answer, dict):
        return f"{answer.get('result')} {answer.get('code')} with keys {sorted(map(str, answer))}"
    return "unreadable answer"

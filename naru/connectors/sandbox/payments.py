"""Payments at the sandbox PG: window, approval, cancel, virtual account, book and notices.

Source: docs/reference/sandbox-wire.md.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any

from naru.connectors import AccountOrder, WindowOrder
from naru.connectors.sandbox.goods import products_of
from naru.connectors.sandbox.line import (
    Line,
    Unreadable,
    hmac_of,
    money_of,
    name_of,
    order_of,
    proven_json,
    read_no,
    text_of,
    time_of,
    why,
)
from naru.domain.billing_key import IssuedKey
from naru.domain.book import BookPage, BookRow, Movement
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn, UnreadableNotice
from naru.domain.merchant import NULL_ORIGIN
from naru.domain.money import MINOR_DIGITS, Money
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
    EscrowChanged,
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
from naru.domain.window_rules import WindowRules

BOOK_ROWS = 200  # a page of them fits into the answer that naru/wire.py reads


class Payments(Line):
    """What every PG can do."""

    # --- window -------------------------------------------------------------------------------

    async def prepare(self, channel: Channel, order: WindowOrder) -> WindowPlan | Declined:
        payment = order.payment
        bypass = payment.request.get("bypass")
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
            "installments": None if order.rules.months is None else list(order.rules.months),
            "rules": _rules(order.rules, payment.escrow),
            "keep_card": payment.customer_uid_usage == "issue",
            "vbank_due": None if order.account_due is None else int(order.account_due.timestamp()),
            "mall": products_of(payment),
            "bypass": bypass if isinstance(bypass, dict) else None,
            "test": channel.test,
        }
        answer = await self.ask(channel, "POST", "/v1/orders", body)
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
        expected = hmac_of(channel, signed.encode("utf-8", "surrogatepass"))
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
        answer = await self.ask(channel, "POST", "/v1/approvals", body)
        return read_approval(answer, ticket.order_no, again=again)

    async def repeat(self, channel: Channel, ticket: Ticket) -> Outcome:
        # The number of an order is its key: the PG answers what it answered first.
        return await self._approve(channel, ticket, again=True)

    # --- cancel -------------------------------------------------------------------------------

    async def cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        return await self._cancel(channel, order, again=False)

    async def _cancel(self, channel: Channel, order: CancelOrder, *, again: bool) -> CancelOutcome:
        account, goods = order.refund_account, order.goods
        body: dict[str, Any] = {
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
        if goods is not None:
            body["product_order"] = {
                "id": goods.product_order_id,
                "act": goods.act,
                "reason": goods.reason,
                "memo": goods.memo,
            }
        answer = await self.ask(channel, "POST", "/v1/cancels", body)
        return _read_cancel(answer, order, again=again)

    async def repeat_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        return await self._cancel(channel, order, again=True)

    async def inquire_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome | None:
        answer = await self.ask(channel, "GET", f"/v1/cancels/{order.cancel_no}")
        match answer:
            case {"result": "error", "code": "NOT_FOUND"}:
                return None
            case {"result": "cancelled" | "refused"}:
                return _read_cancel(answer, order)
            case _:
                # A question that failed, even one that never left us, says nothing about the cancel.
                return Unknown(why(answer))

    # --- net-cancel ---------------------------------------------------------------------------

    async def net_cancel(
        self, channel: Channel, order_no: str, reason: str
    ) -> Undone | TooLate | Unknown:
        path = f"/v1/approvals/{order_no}/net-cancel"
        match await self.ask(channel, "POST", path, {"reason": reason}):
            case {"result": "undone", "order_no": str(undone)} if undone == order_no:
                return Undone()
            case {"result": "refused", "code": "TOO_LATE" | "PARTLY_CANCELLED" as code}:
                return TooLate(code)
            case answer:
                return Unknown(why(answer))

    # --- inquire ------------------------------------------------------------------------------

    async def inquire(self, channel: Channel, order_no: str) -> Inquired:
        answer = await self.ask(channel, "GET", f"/v1/orders/{order_no}")
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
                return read_approval(approval, order_no)
            case {
                "result": "order",
                "state": "declined" | "failed" | "abandoned" | "closed",
                "code": str(code),
                "message": str(message),
            }:
                return Declined(clean(code), clean(message))
            case _:
                return Unknown(why(answer))

    # --- virtual account ----------------------------------------------------------------------

    async def issue_account(
        self, channel: Channel, order: AccountOrder
    ) -> AccountIssued | Declined | Unknown:
        body = {
            **order_of(channel, order),
            "bank_code": order.bank_code,
            "holder": order.holder or order.merchant_name,
            "due": int(order.due.timestamp()),
            "notice_url": order.notice_url,
        }
        answer = await self.ask(channel, "POST", "/v1/virtual-accounts", body)
        return read_account(answer, order.order_no)

    async def close_account(self, channel: Channel, order_no: str) -> Undone | Declined | Unknown:
        match await self.ask(channel, "DELETE", f"/v1/virtual-accounts/{order_no}"):
            case {"result": "closed"}:
                return Undone()
            case {"result": "refused", "code": str(code), "message": str(message)}:
                return Declined(clean(code), clean(message))
            case answer:
                return Unknown(why(answer))

    # --- book ---------------------------------------------------------------------------------

    async def book(
        self, channel: Channel, since: datetime, until: datetime, after: str | None
    ) -> BookPage | Unknown:
        asked_from = int(after or 0)
        path = (
            f"/v1/book?after={asked_from}&since={int(since.timestamp())}"
            f"&until={int(until.timestamp())}&limit={BOOK_ROWS}"
        )
        match await self.ask(channel, "GET", path):
            case {"result": "book", "rows": list(rows), "more": bool(more)}:
                try:
                    return _read_book(rows, more, asked_from)
                except Unreadable as error:
                    return Unknown(str(error))
            case answer:
                return Unknown(why(answer))

    # --- notice -------------------------------------------------------------------------------

    def read_notice(
        self, channel: Channel, headers: dict[str, str], body: bytes
    ) -> Deposited | EscrowChanged | None:
        match proven_json(channel, headers, body, self._now()):
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
                        notice_key=name_of(notice_key),
                        order_no=name_of(order_no),
                        pg_tid=name_of(tid),
                        amount=money_of(amount, currency),
                        depositor=text_of(rest.get("depositor")),
                        deposited_at=time_of(deposited_at),
                    )
                except Unreadable as error:
                    raise UnreadableNotice(str(error)) from None
            case {
                "type": "escrow_changed",
                "notice_id": str(notice_key),
                "mid": str(mid),
                "order_no": str(order_no),
                "tid": str(tid),
                "status": str(status),
                "changed_at": int(changed_at),
                **rest,
            } if mid == channel.mid:
                try:
                    return EscrowChanged(
                        notice_key=name_of(notice_key),
                        order_no=name_of(order_no),
                        pg_tid=name_of(tid),
                        status=name_of(status),
                        changed_at=time_of(changed_at),
                        reason=text_of(rest.get("reason")),
                    )
                except Unreadable as error:
                    raise UnreadableNotice(str(error)) from None
            case {"type": str(other)} if other not in ("deposited", "escrow_changed"):
                return None
            case _:
                raise UnreadableNotice("unreadable")

    def acknowledge(self, stored: bool) -> tuple[int, str, bytes]:
        return (200, "text/plain", b"OK") if stored else (400, "text/plain", b"NO")


def _rules(rules: WindowRules, escrow: bool) -> dict[str, Any]:
    """What the merchant's page asks of the window, in the PG's words."""
    return {
        "cards": [
            {"code": each.code, "enabled": each.enabled, "max_months": each.max_months}
            for each in rules.cards
        ],
        "direct": rules.direct and {"code": rules.direct.code, "months": rules.direct.months},
        "free_interest": rules.free_interest,
        "app_card_only": rules.app_card_only,
        "carriers": None if rules.carriers is None else list(rules.carriers),
        "phone": rules.phone,
        "company": rules.company,
        "period": rules.period,
        "escrow": escrow,
        "products": [
            {"name": each.name, "quantity": each.quantity, "unit_price": each.unit_price}
            for each in rules.products
        ],
    }


def read_issued_key(answer: Any, asked: str) -> IssuedKey | None:
    """The key of the number `asked` that an answer carries, if it does. Raises Unreadable."""
    match answer:
        case None:
            return None
        case {"key_no": str(number), "billing_key": str(key), **rest} if number == asked:
            return IssuedKey(name_of(number), name_of(key), _read_card(rest.get("card")))
        case _:
            raise Unreadable("a billing key that is none")


def read_approval(answer: Any, asked: str, *, again: bool = False) -> Outcome:
    """What became of the order `asked`. A refusal of another order says nothing about ours."""
    try:
        return _approval(answer, asked, again)
    except Unreadable as error:
        return Unknown(str(error))


def read_charge(answer: Any, asked: str) -> Outcome:
    """The same, where only money will do."""
    outcome = read_approval(answer, asked)
    if isinstance(outcome, AccountIssued):
        return Unknown("a virtual account in answer to a charge")
    return outcome


def read_account(answer: Any, asked: str) -> AccountIssued | Declined | Unknown:
    """The same, where only an account will do."""
    outcome = read_approval(answer, asked)
    if isinstance(outcome, Approved):
        return Unknown("an approval in answer to a virtual account")
    return outcome


def _approval(answer: Any, asked: str, again: bool) -> Outcome:
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
            key = read_issued_key(rest.get("issued_key"), order_no)
            # Keeping a card takes nothing; whatever else is approved takes something.
            nothing = key is not None and amount == 0 and currency in MINOR_DIGITS
            return Approved(
                order_no=name_of(order_no),
                amount=Money(0, currency) if nothing else money_of(amount, currency),
                pg_tid=name_of(tid),
                approved_at=time_of(approved_at),
                pay_method=text_of(rest.get("pay_method")),
                hub_pg_code=text_of(rest.get("wallet")),
                approval_number=text_of(rest.get("approval_number")),
                card=_read_card(rest.get("card")),
                bank=_read_bank(rest.get("bank")),
                receipt_url=text_of(rest.get("receipt_url")),
                cash_receipt_issued=rest.get("cash_receipt_issued") is True,
                issued_key=key,
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
                order_no=name_of(order_no),
                amount=money_of(amount, currency),
                pg_tid=name_of(tid),
                account=VirtualAccount(
                    bank_code=clean(bank_code),
                    bank_name=clean(bank_name),
                    number=name_of(number),
                    holder=text_of(account.get("holder")),
                    due=time_of(due),
                    issued_at=time_of(issued_at),
                ),
            )
        case _:
            return read_no(answer, asked, "order_no", again=again)


def _read_cancel(answer: Any, order: CancelOrder, *, again: bool = False) -> CancelOutcome:
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
                    cancel_no=name_of(cancel_no),
                    amount=money_of(amount, order.amount.currency),
                    pg_tid=name_of(cancel_tid),
                    cancelled_at=time_of(cancelled_at),
                    receipt_url=text_of(rest.get("receipt_url")),
                )
            except Unreadable as error:
                return Unknown(str(error))
        case _:
            return read_no(answer, order.cancel_no, "cancel_no", again=again)


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
                        name_of(order_no),
                        name_of(tid),
                        name_of(reference),
                        money_of(amount, currency),
                        time_of(at),
                    )
                )
            case _:
                raise Unreadable("a row of the book that is none, or out of order")
    if more and not rows:
        raise Unreadable("a book that goes on with nothing")
    return BookPage(tuple(read), str(last) if more else None)


def _read_card(card: Any) -> Card | None:
    if not isinstance(card, dict):
        return None
    months = card.get("installment_months")
    kind = card.get("type")
    return Card(
        issuer_code=text_of(card.get("issuer_code")),
        issuer_name=text_of(card.get("issuer_name")),
        number=text_of(card.get("number")),
        installment_months=months if isinstance(months, int) and 0 <= months <= 99 else 0,
        type=int(kind) if kind in (0, 1) else None,
    )


def _read_bank(bank: Any) -> Bank | None:
    if not isinstance(bank, dict):
        return None
    return Bank(text_of(bank.get("code")), text_of(bank.get("name")))

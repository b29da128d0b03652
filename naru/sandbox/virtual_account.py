"""Virtual accounts: chosen in the window or ordered by a member, paid at the deposit desk.

The desk stands in for every bank of the country: it pays any amount into any account, twice or
late, as buyers do. Each deposit is a fact; it is booked whatever the order's state, and a notice
to the member is written in the same deed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from naru.sandbox import cards, window
from naru.sandbox.company import company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.ledger import Book, Row, new_notice_id
from naru.sandbox.orders import (
    Amount,
    Means,
    Order,
    OrderAsk,
    ShortText,
    Time,
    Word,
)

DEFAULT_DUE_DAYS = 7
ACCOUNTS_SHOWN = 20

_KST = timedelta(hours=9)

Holder = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]


class AccountAsk(OrderAsk, frozen=True, kw_only=True):
    """The body of `POST /v1/virtual-accounts`."""

    bank_code: Word
    holder: Holder
    due: Time


class CashReceipt(msgspec.Struct):
    type: Literal["personal", "business"]
    identifier: Annotated[str, Meta(pattern=r"^[0-9-]{8,20}\Z")]


class AccountChoice(msgspec.Struct):
    """The body of the window's `/vbank`."""

    bank_code: Word
    holder: Holder
    cash_receipt: CashReceipt | None = None


def means_of(bank_code: str, holder: str, cash_receipt: bool = False) -> Means:
    return Means(
        bank_code=bank_code,
        bank_name=cards.BANKS[bank_code],
        holder=holder,
        cash_receipt=cash_receipt,
    )


def why_not(ask: AccountAsk, now: int) -> tuple[str, str] | None:
    """The code and words with which an account is declined."""
    if ask.bank_code not in cards.BANKS:
        return "UNKNOWN_BANK", "지원하지 않는 은행입니다."
    if ask.due <= now:
        return "DUE_PASSED", "입금기한이 이미 지났습니다."
    return None


def default_due(now: int) -> int:
    """23:59:59 in Korea, seven days from now."""
    day = datetime.fromtimestamp(now, UTC) + _KST + timedelta(days=DEFAULT_DUE_DAYS)
    end = day.replace(hour=23, minute=59, second=59, microsecond=0)
    return int((end - _KST).timestamp())


# Deeds


def issue(
    book: Book, order: Order, tid: str, now: int, new_number: Callable[[str], str] | None = None
) -> dict[str, Any]:
    """Deed: open an account for an authenticated order; answers `account_issued`."""
    means = order.means
    assert means is not None
    assert means.bank_code is not None
    new_number = new_number or _new_number
    due = order.announced.vbank_due or default_due(now)
    book.add_charge(tid, order, 0, "", now)
    number = new_number(means.bank_code)
    while not book.open_account(number, order, tid, means.bank_code, means.holder or "", due, now):
        number = new_number(means.bank_code)
    book.advance(order, ("authenticated",), "waiting_deposit", "", "")
    return {
        "result": "account_issued",
        "order_no": order.order_no,
        "tid": tid,
        "amount": order.amount,
        "currency": order.currency,
        "virtual_account": {
            "bank_code": means.bank_code,
            "bank_name": means.bank_name,
            "number": number,
            "holder": means.holder,
            "due": due,
            "issued_at": now,
        },
    }


def _new_number(bank_code: str) -> str:
    return f"{bank_code}9{secrets.randbelow(10**10):010d}"


def close(book: Book, mid: str, order_no: str) -> dict[str, Any]:
    """Deed: no deposit is awaited any more. Raises Refusal 404 when there is no such account."""
    account = book.account_of(mid, order_no)
    order = book.order(mid, order_no)
    if account is None or order is None:
        raise Refusal(404, "NOT_FOUND", "no virtual account has this order number")
    charge = book.charge(account["tid"])
    if charge is not None and charge["taken"]:
        return {
            "result": "refused",
            "order_no": order_no,
            "code": "ALREADY_DEPOSITED",
            "message": "이미 입금된 가상계좌입니다.",
        }
    book.advance(order, ("waiting_deposit",), "closed", "CLOSED", "해지된 가상계좌입니다.")
    return {"result": "closed", "order_no": order_no}


# The window


async def choose(request: Request) -> Response:
    company, window_id, choice = await window.read_window(request, AccountChoice)
    verdict = await company.ledger.write(_choose, window_id, choice, company.now())
    return window.answer(company, verdict, window_id)


def _choose(book: Book, window_id: str, choice: AccountChoice, now: int) -> window.Verdict:
    order = window.open_order(book, window_id, "vbank", now)
    if isinstance(order, window.Refused):
        return order
    if choice.bank_code not in cards.BANKS:
        return window.Refused("UNKNOWN_BANK", "지원하지 않는 은행입니다.")
    due = order.announced.vbank_due
    if due is not None and due <= now:
        return window.refuse(
            book, order, window.Refused("DUE_PASSED", "입금기한이 이미 지났습니다.")
        )
    means = means_of(choice.bank_code, choice.holder, choice.cash_receipt is not None)
    return window.accept(book, order, means, now)


# The deposit desk


class DepositAsk(msgspec.Struct):
    number: Annotated[str, Meta(pattern=r"^[0-9]{6,20}\Z")]
    amount: Amount
    depositor: ShortText
    deposited_at: Time | None = None


async def show_desk(request: Request) -> Response:
    company = company_of(request)
    return render(company, "desk.html", _desk(request))


async def read_desk(request: Request) -> Response:
    return json_response(_desk(request))


def _desk(request: Request) -> dict[str, Any]:
    company = company_of(request)
    read, now = company.ledger.read, company.now()
    number = "".join(d for d in request.query_params.get("number", "") if d in "0123456789")[:20]
    if number:
        account = read(Book.account, number)
        known = account is not None and account["bank_code"] in cards.BANKS
        accounts = [account] if account is not None and known else []
    else:
        accounts = read(Book.latest_accounts, ACCOUNTS_SHOWN)
    return {
        "number": number or None,
        "accounts": [_account_view(read_account, company, now) for read_account in accounts],
        "server_time": now,
    }


def _account_view(account: Row, company: Any, now: int) -> dict[str, Any]:
    read = company.ledger.read
    order: Order = read(Book.order, account["mid"], account["order_no"])
    deposits = read(Book.deposits, account["number"])
    notices = read(Book.notices_of, account["mid"], account["order_no"])
    return {
        "number": account["number"],
        "bank_code": account["bank_code"],
        "bank_name": cards.BANKS[account["bank_code"]],
        "holder": account["holder"],
        "merchant_name": order.announced.merchant_name,
        "item_name": order.announced.item_name,
        "order_no": account["order_no"],
        "state": order.state,
        "amount": account["amount"],
        "currency": order.currency,
        "total": sum(deposit["amount"] for deposit in deposits),
        "issued_at": account["issued_at"],
        "due": account["due"],
        "overdue": now > account["due"],
        "deposits": [
            {
                "amount": deposit["amount"],
                "depositor": deposit["depositor"],
                "deposited_at": deposit["deposited_at"],
                "late": deposit["deposited_at"] > account["due"],
            }
            for deposit in deposits
        ],
        "notices": [
            {
                "notice_id": notice["notice_id"],
                "state": notice["state"],
                "next_at": notice["next_at"],
                "amount": notice["amount"],
                "attempts": notice["tries"],
            }
            for notice in notices
            if notice["amount"]  # of escrow is told at its own page
        ],
    }


async def pay_in(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, DepositAsk)
    now = company.now()
    notice_id = await company.ledger.write(_pay_in, ask, now)
    company.notices_waiting.set()
    account = company.ledger.read(Book.account, ask.number)
    assert account is not None
    view = _account_view(account, company, now)
    return json_response({"ok": True, "account": view, "notice_id": notice_id})


def _pay_in(book: Book, ask: DepositAsk, now: int) -> str | None:
    account = book.account(ask.number)
    if account is None or account["bank_code"] not in cards.BANKS:
        # What is paid at another party's till (a barcode) is no account of a bank.
        raise Refusal(404, "ACCOUNT_NOT_FOUND", "없는 계좌번호입니다.")
    return take_in(book, ask, now)


def take_in(book: Book, ask: DepositAsk, now: int) -> str | None:
    """Deed: this much arrived, whatever was awaited; answers the number of the notice about it."""
    account = book.account(ask.number)
    assert account is not None
    order = book.order(account["mid"], account["order_no"])
    assert order is not None
    at = now if ask.deposited_at is None else ask.deposited_at
    notice_id = new_notice_id(now)
    total = book.deposit(account, notice_id, ask.amount, ask.depositor, at, now)
    if total >= account["amount"]:
        book.advance(order, ("waiting_deposit",), "deposited", "", "")
    return book.add_notice(
        order,
        notice_id,
        "deposited",
        now,
        tid=account["tid"],
        amount=ask.amount,
        total=total,
        currency=order.currency,
        depositor=ask.depositor,
        deposited_at=at,
    )


async def send_notice_again(request: Request) -> Response:
    company = company_of(request)
    await read_page_json(request, window.Nothing)
    notice_id = request.path_params["notice_id"]
    if not await company.ledger.write(Book.send_again, notice_id, company.now()):
        raise Refusal(404, "NOT_FOUND", "없는 통지입니다.")
    company.notices_waiting.set()
    return json_response({"ok": True})

"""Convenience stores: a barcode that a member orders, and the till where a person pays it.

A barcode is an account number of a bank that is a shop: one order, one due date, one deposit. The
till takes the exact amount, once, in time; what it took is told in the same deed as any deposit is.
A member may want to be asked at the till, before the money is taken: then no answer is a no.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

import aiohttp
import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import signing, virtual_account
from naru.sandbox import wire as w
from naru.sandbox.company import Company, company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import Means, Order, OrderAsk, Time

STORE = "CVS"
STORE_NAME = "편의점"
BARCODES_SHOWN = 20
ANSWER_SECONDS_MAX = 12

Barcode = Annotated[str, Meta(pattern=r"^[0-9]{6,30}\Z")]


class BarcodeAsk(OrderAsk, frozen=True, kw_only=True):
    """The body of `POST /v1/barcodes`. Without a barcode one is made; without `due` ours holds."""

    barcode: Barcode | None = None
    due: Time | None = None
    ask_before: bool = False


# The members' side


async def issue(call: w.Call) -> w.Answer:
    ask = call.read(BarcodeAsk)
    return await call.company.ledger.write(_issue, call.member.mid, ask, call.company.now())


def _issue(book: Book, mid: str, ask: BarcodeAsk, now: int) -> w.Answer:
    """Deed: the one answer to this order number."""
    due = ask.due or virtual_account.default_due(now)

    def look() -> tuple[str, str] | None:
        return _why_not_issue(book, ask, due, now)

    def new_number(_: str) -> str:
        return ask.barcode or _new_barcode()

    def take(order: Order) -> w.Answer:
        means = Means(bank_code=STORE, bank_name=STORE_NAME)
        order = w.authenticated(book, order, means, now)
        answer = virtual_account.issue(book, order, w.new_tid(now), now, new_number)
        number = answer["virtual_account"]["number"]
        book.do(
            "INSERT INTO barcodes (number, ask_before) VALUES (?, ?)", number, int(ask.ask_before)
        )
        return answer

    announced = ask.announcement("cvs", vbank_due=due)
    return w.answer_order(book, mid, announced, w.fingerprint(ask), look, take, now)


def _why_not_issue(book: Book, ask: BarcodeAsk, due: int, now: int) -> tuple[str, str] | None:
    if due <= now:
        return "DUE_PASSED", "수납기한이 이미 지났습니다."
    if ask.currency != "KRW":
        return "CURRENCY_REFUSED", "편의점에서는 원화만 받습니다."
    if ask.barcode is not None and book.account(ask.barcode) is not None:
        return "BARCODE_TAKEN", "이미 등록된 수납번호입니다."
    return None


def _new_barcode() -> str:
    return f"88{secrets.randbelow(10**14):014d}"


# The till


class Payment(msgspec.Struct):
    """The body of `POST /till/payments`: a barcode was read and the customer pays."""

    barcode: Barcode
    pay_type: Literal["cash", "card"]


async def show_till(request: Request) -> Response:
    return render(company_of(request), "till.html", _till(request))


async def read_till(request: Request) -> Response:
    return json_response(_till(request))


def _till(request: Request) -> dict[str, Any]:
    company = company_of(request)
    number = "".join(d for d in request.query_params.get("barcode", "") if d in "0123456789")[:30]
    if number:
        row = company.ledger.read(_barcode, number)
        rows = [] if row is None else [row]
    else:
        rows = company.ledger.read(_latest)
    return {
        "barcode": number or None,
        "barcodes": [_view(company, row) for row in rows],
        "server_time": company.now(),
    }


def _barcode(book: Book, number: str) -> Row | None:
    return book.one("SELECT * FROM accounts JOIN barcodes USING (number) WHERE number = ?", number)


def _latest(book: Book) -> list[Row]:
    return book.all(
        "SELECT * FROM accounts JOIN barcodes USING (number) ORDER BY issued_at DESC, number LIMIT ?",
        BARCODES_SHOWN,
    )


def _view(company: Company, row: Row) -> dict[str, Any]:
    order = company.ledger.read(Book.order, row["mid"], row["order_no"])
    assert order is not None
    return {
        "barcode": row["number"],
        "state": order.state,
        "merchant_name": order.announced.merchant_name,
        "item_name": order.announced.item_name,
        "amount": row["amount"],
        "currency": order.currency,
        "due": row["due"],
        "overdue": company.now() > row["due"],
        "asks": bool(row["ask_before"]),
        "pay_type": row["pay_type"],
        "paid_at": row["paid_at"],
    }


async def pay(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, Payment)
    row, order = company.ledger.read(_payable, ask.barcode, company.now())
    if row["ask_before"] and not await _may_be_paid(company, order, ask):
        raise Refusal(409, "NOT_PAYABLE", "가맹점이 지금은 이 수납번호를 받지 않습니다.")
    await company.ledger.write(_take, ask, company.now())
    company.notices_waiting.set()
    paid = company.ledger.read(_barcode, ask.barcode)
    assert paid is not None
    return json_response({"ok": True, "barcode": _view(company, paid)})


def _payable(book: Book, number: str, now: int) -> tuple[Row, Order]:
    """The barcode and its order. Raises Refusal when the till does not take it."""
    row = _barcode(book, number)
    order = None if row is None else book.order(row["mid"], row["order_no"])
    if row is None or order is None:
        raise Refusal(404, "BARCODE_NOT_FOUND", "없는 수납번호입니다.")
    if order.state == "deposited" or row["paid_at"] is not None:
        raise Refusal(409, "ALREADY_PAID", "이미 수납된 번호입니다.")
    if order.state != "waiting_deposit":
        raise Refusal(409, "REVOKED", "사용할 수 없는 수납번호입니다.")
    if now > row["due"]:
        raise Refusal(409, "DUE_PASSED", "수납기한이 지난 번호입니다.")
    return row, order


def _take(book: Book, ask: Payment, now: int) -> None:
    """Deed: the money lies in the till. Looked at again here: two tills may read one barcode."""
    row, _ = _payable(book, ask.barcode, now)
    book.do(
        "UPDATE barcodes SET pay_type = ?, paid_at = ? WHERE number = ? AND paid_at IS NULL",
        *(ask.pay_type, now, ask.barcode),
    )
    depositor = {"cash": "편의점 현금", "card": "편의점 카드"}[ask.pay_type]
    virtual_account.take_in(
        book, virtual_account.DepositAsk(ask.barcode, row["amount"], depositor), now
    )


async def _may_be_paid(company: Company, order: Order, ask: Payment) -> bool:
    """Ask the member, signed as a notice is. Only 200 and OK in time is a yes."""
    member, url = company.member(order.mid), order.announced.notice_url
    if member is None or url is None:
        return False
    now = company.now()
    body = msgspec.json.encode(
        {
            "type": "barcode_read",
            "mid": order.mid,
            "order_no": order.order_no,
            "barcode": ask.barcode,
            "pay_type": ask.pay_type,
            "amount": order.amount,
            "currency": order.currency,
            "read_at": now,
        }
    )
    headers = {
        "Content-Type": "application/json",
        "X-Sandbox-Mid": order.mid,
        "X-Sandbox-Timestamp": str(now),
        "X-Sandbox-Signature": signing.sign_answer(member.secret, now, body),
    }
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            text = await answer.content.read(10)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False
    return answer.status == 200 and text.strip() == b"OK"


ROUTES = [
    Route("/v1/barcodes", w.signed(issue), methods=["POST"]),
    Route("/till", show_till, methods=["GET"]),
    Route("/till/state", read_till, methods=["GET"]),
    Route("/till/payments", pay, methods=["POST"]),
]

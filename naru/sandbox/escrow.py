"""Escrow: the money of an order stays with this PG until its buyer confirms what was shipped.

The member tells the shipment; the buyer confirms or rejects it at `/escrow/{tid}`. Until then a
member whose contract says so (welcome) cannot give the money back by itself.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import magic
from naru.sandbox.company import company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.held import shipment
from naru.sandbox.ledger import Book, Row, new_notice_id
from naru.sandbox.orders import Amount, CancelNo, LongText, Order, OrderNo, ShortText, Time, Word
from naru.sandbox.receipts import Tid, answer_once, declined
from naru.sandbox.wire import Answer, Call, signed

ORDERS_SHOWN = 20
# The numbers of KG Inicis for what became of the goods.
ESCROW_STATUS = {"shipped": "2", "confirmed": "3", "rejected": "4"}


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends, or who receives."""

    name: ShortText | None = None
    tel: ShortText | None = None
    addr: LongText | None = None
    postcode: ShortText | None = None
    relationship: ShortText | None = None


class ShipmentAsk(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/escrow/shipments`; `change` replaces a shipment that was told before."""

    number: CancelNo
    tid: Tid
    change: bool
    company: Word
    invoice: ShortText
    sent_at: Time
    sender: Party
    receiver: Party
    receiving_at: ShortText | None = None
    address: LongText | None = None
    products: Annotated[tuple[dict[str, Any], ...], Meta(max_length=100)] = ()
    send_email: bool = True


class Decision(msgspec.Struct, frozen=True):
    """What the buyer decides, and why when it is a no."""

    decision: Literal["confirmed", "rejected"]
    reason: ShortText = ""


async def ship(call: Call) -> Answer | Response:
    ask = call.read(ShipmentAsk)
    means = magic.IDENTIFIERS.get(ask.invoice)
    if means is None or means.stage != "shipment":
        answer = await answer_once(call, ask, _ship)
        call.company.notices_waiting.set()
        return answer
    if means.code is not None:
        return declined(ask.number, means.code, means.message)
    return await answer_once(call, ask, _ship, manner=means.manner)


def _ship(book: Book, mid: str, ask: ShipmentAsk, now: int) -> Answer:
    refusal = _why_not_ship(book, mid, ask)
    if refusal is not None:
        return declined(ask.number, *refusal)
    book.do(
        "INSERT INTO shipments (tid, mid, company, invoice, receiver, sent_at, registered_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tid) DO UPDATE SET company = excluded.company,"
        " invoice = excluded.invoice, receiver = excluded.receiver, sent_at = excluded.sent_at,"
        " registered_at = excluded.registered_at",
        *(ask.tid, mid, ask.company, ask.invoice, ask.receiver.name or "", ask.sent_at, now),
    )
    _tell(book, ask.tid, "shipped", "", now)
    return {
        "result": "registered",
        "number": ask.number,
        "company": ask.company,
        "invoice": ask.invoice,
        "sent_at": ask.sent_at,
        "registered_at": now,
    }


def _why_not_ship(book: Book, mid: str, ask: ShipmentAsk) -> tuple[str, str] | None:
    charge = book.charge(ask.tid)
    order = None if charge is None else book.order(mid, charge["order_no"])
    if charge is None or charge["mid"] != mid or order is None:
        return "TID_NOT_FOUND", "존재하지 않는 거래입니다."
    if not order.announced.rules.escrow:
        return "NOT_ESCROW", "에스크로 거래가 아닙니다."
    if charge["taken"] == charge["returned"]:
        return "CANCELLED", "취소된 거래입니다."
    known = shipment(book, ask.tid)
    if known is not None and known["decision"] is not None:
        return "DECIDED", "구매자가 이미 구매확정 또는 거절한 거래입니다."
    if ask.change and known is None:
        return "NOT_SHIPPED", "등록된 배송정보가 없습니다."
    if not ask.change and known is not None:
        return "ALREADY_SHIPPED", "이미 배송정보가 등록된 거래입니다."
    return None


# The buyer's pages


async def show_all(request: Request) -> Response:
    company = company_of(request)
    orders = [_view(company.ledger.read, row) for row in company.ledger.read(_latest, ORDERS_SHOWN)]
    return render(company, "escrow.html", {"orders": orders})


async def show(request: Request) -> Response:
    company = company_of(request)
    row = company.ledger.read(_of_tid, request.path_params["tid"])
    if row is None:
        raise Refusal(404, "NOT_FOUND", "에스크로 거래를 찾을 수 없습니다.")
    return render(company, "escrow.html", {"orders": [_view(company.ledger.read, row)]})


_ESCROW = (
    "SELECT c.tid, c.mid, c.order_no, c.taken, c.returned FROM charges c JOIN orders o"
    " USING (mid, order_no) WHERE json_extract(o.announced, '$.rules.escrow') = 1"
)


def _latest(book: Book, limit: int) -> list[Row]:
    return book.all(f"{_ESCROW} AND c.taken > 0 ORDER BY o.id DESC LIMIT ?", limit)


def _of_tid(book: Book, tid: str) -> Row | None:
    return book.one(f"{_ESCROW} AND c.tid = ?", tid)


def _view(read: Any, row: Row) -> dict[str, Any]:
    order: Order = read(Book.order, row["mid"], row["order_no"])
    known = read(shipment, row["tid"])
    return {
        "tid": row["tid"],
        "merchant_name": order.announced.merchant_name,
        "item_name": order.announced.item_name,
        "amount": row["taken"],
        "cancelled": row["returned"],
        "currency": order.currency,
        "shipment": None
        if known is None
        else {name: value for name, value in known.items() if name not in ("mid", "tid")},
    }


async def decide(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, Decision)
    await company.ledger.write(_decide, request.path_params["tid"], ask, company.now())
    company.notices_waiting.set()
    return json_response({"ok": True})


def _decide(book: Book, tid: str, ask: Decision, now: int) -> None:
    known = shipment(book, tid)
    if known is None:
        raise Refusal(409, "NOT_SHIPPED", "아직 배송되지 않은 거래입니다.")
    changed = book.do(
        "UPDATE shipments SET decision = ?, reason = ?, decided_at = ?"
        " WHERE tid = ? AND decision IS NULL",
        *(ask.decision, ask.reason, now, tid),
    )
    if changed:
        _tell(book, tid, ask.decision, ask.reason, now)
    elif known["decision"] != ask.decision:
        raise Refusal(409, "DECIDED", "이미 구매확정 또는 거절한 거래입니다.")


def _tell(book: Book, tid: str, event: str, reason: str, now: int) -> None:
    """Deed: the member is told what became of the goods, when it gave an address."""
    charge = book.charge(tid)
    order = None if charge is None else book.order(charge["mid"], charge["order_no"])
    assert order is not None
    book.add_notice(
        order,
        new_notice_id(now),
        "escrow_changed",
        now,
        tid=tid,
        status=ESCROW_STATUS[event],
        changed_at=now,
        reason=reason or None,
    )


# Another amount, another due date of an account that waits


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/virtual-accounts/changes`."""

    number: CancelNo
    order_no: OrderNo
    amount: Amount
    due: Time


async def change_account(call: Call) -> Answer | Response:
    return await answer_once(call, call.read(AccountChange), _change_account)


def _change_account(book: Book, mid: str, ask: AccountChange, now: int) -> Answer:
    account, order = book.account_of(mid, ask.order_no), book.order(mid, ask.order_no)
    if account is None or order is None or order.state != "waiting_deposit":
        return declined(ask.number, "NOT_WAITING", "입금 대기 중인 가상계좌가 아닙니다.")
    charge = book.charge(account["tid"])
    if charge is not None and charge["taken"]:
        return declined(ask.number, "DEPOSITED", "이미 입금된 내역이 있는 가상계좌입니다.")
    if ask.due <= now:
        return declined(ask.number, "DUE_PASSED", "입금기한이 이미 지났습니다.")
    book.do(
        "UPDATE accounts SET amount = ?, due = ? WHERE number = ?",
        *(ask.amount, ask.due, account["number"]),
    )
    return {"result": "registered", "number": ask.number, "registered_at": now}


ROUTES = [
    Route("/v1/virtual-accounts/changes", signed(change_account), methods=["POST"]),
    Route("/v1/escrow/shipments", signed(ship), methods=["POST"]),
    Route("/escrow", show_all, methods=["GET"]),
    Route("/escrow/{tid}", show, methods=["GET"]),
    Route("/escrow/{tid}/decision", decide, methods=["POST"]),
]

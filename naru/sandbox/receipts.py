"""Cash receipts (현금영수증) and the rows of sub-shops on a sales slip: what this PG tells the tax office.

A question is named by the member's own number. Asked again with the same content it has the same
answer and no second effect; with other content it is refused. A magic identifier misbehaves when its
question is asked first; asked again, the PG tells the truth.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import magic
from naru.sandbox.company import company_of
from naru.sandbox.door import Refusal, render
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import Amount, Buyer, CancelNo, LongText, ShortText, Word
from naru.sandbox.wire import Answer, Call, fingerprint, misbehave, same_answer, signed

Minor = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Digits = Annotated[str, Meta(pattern=r"^[0-9]{8,20}\Z")]
BusinessNumber = Annotated[str, Meta(pattern=r"^[0-9]{10}\Z")]
Tid = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,60}\Z")]

CASH_METHODS = ("trans", "vbank", "point", "naverpay_point", "tosspay_money", "ssgpay_bank")


class ReceiptAsk(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/cash-receipts`; without `tid` the money was paid somewhere else."""

    number: CancelNo
    tid: Tid | None = None
    amount: Amount
    tax_free: Minor = 0
    vat: Minor
    type: Literal["person", "company"]
    identifier_type: Literal["person", "business", "phone", "taxcard"]
    identifier: Digits
    merchant_name: LongText
    merchant_order_no: LongText
    item_name: LongText
    product_type: Word | None = None
    buyer: Buyer | None = None


class RevokeAsk(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/cash-receipts/{receipt_tid}/cancel`."""

    number: CancelNo
    reason: LongText = ""


class SubShop(msgspec.Struct, frozen=True, kw_only=True):
    business_number: BusinessNumber
    name: ShortText
    amount: Amount
    tax_free: Minor = 0
    vat: Minor


class SlipAsk(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/partner-slips`."""

    number: CancelNo
    tid: Tid
    shops: Annotated[tuple[SubShop, ...], Meta(min_length=1, max_length=100)]


# Questions named by the member's own number


async def answer_once(
    call: Call,
    ask: ReceiptAsk | RevokeAsk | SlipAsk | Any,
    deed: Callable[..., Answer],
    *values: object,
    manner: magic.Manner = magic.PLAIN,
) -> Answer | Response:
    """Do the deed of this number once. Raises Refusal 409 when the number had other content."""
    company, mid = call.company, call.member.mid
    content = fingerprint([type(ask).__name__, call.request.url.path, ask])

    def once(book: Book) -> Answer:
        row = _question(book, mid, ask.number, content, company.now())
        if row["answer"] is not None:
            return same_answer(row, content)
        answer = deed(book, mid, ask, *values, company.now())
        book.do(
            "UPDATE questions SET answer = ? WHERE mid = ? AND number = ?",
            *(msgspec.json.encode(answer).decode(), mid, ask.number),
        )
        return answer

    async def do() -> Answer:
        return await company.ledger.write(once)

    if manner is not magic.PLAIN:
        row = await company.ledger.write(_question, mid, ask.number, content, company.now())
        if row["tries"] == 1:
            return await misbehave(call, manner, do)
    return await do()


def _question(book: Book, mid: str, number: str, content: str, now: int) -> Row:
    row = book.one(
        "INSERT INTO questions (mid, number, content, tries, at) VALUES (?, ?, ?, 1, ?)"
        " ON CONFLICT (mid, number) DO UPDATE SET tries = tries + 1 RETURNING *",
        *(mid, number, content, now),
    )
    assert row is not None
    if row["content"] != content:
        raise Refusal(409, "CONFLICT", "this number was used with other content")
    return row


def declined(number: str, code: str, message: str) -> Answer:
    return {"result": "declined", "number": number, "code": code, "message": message}


# POST /v1/cash-receipts


async def issue(call: Call) -> Answer | Response:
    ask = call.read(ReceiptAsk)
    if ask.tax_free + ask.vat > ask.amount:
        raise Refusal(400, "BAD_REQUEST", "tax_free and vat are more than amount")
    means = magic.IDENTIFIERS.get(ask.identifier)
    manner = magic.PLAIN if means is None or means.stage != "receipt" else means.manner
    return await answer_once(call, ask, _issue, call.company.address, means, manner=manner)


def _issue(
    book: Book,
    mid: str,
    ask: ReceiptAsk,
    address: str,
    means: magic.MagicIdentifier | None,
    now: int,
) -> Answer:
    refusal = _why_not_issue(book, mid, ask)
    if means is not None and means.stage == "receipt" and means.code is not None:
        refusal = refusal or (means.code, means.message)
    if refusal is not None:
        return declined(ask.number, *refusal)
    receipt_tid, apply_no = f"rcp{secrets.token_hex(12)}", f"{secrets.randbelow(10**9):09d}"
    book.do(
        "INSERT INTO cash_receipts (receipt_tid, mid, tid, merchant_name, merchant_order_no, item_name,"
        " amount, tax_free, vat, type, masked, apply_no, on_cancel, issued_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(receipt_tid, mid, ask.tid, ask.merchant_name, ask.merchant_order_no, ask.item_name),
        *(ask.amount, ask.tax_free, ask.vat, ask.type, _mask(ask.identifier), apply_no),
        *(None if means is None or means.stage != "revoke" else means.identifier, now),
    )
    amount_off = 0 if means is None else means.manner.amount_off
    return {
        "result": "issued",
        "number": ask.number,
        "receipt_tid": receipt_tid,
        "apply_no": apply_no,
        "amount": ask.amount + amount_off,
        "issued_at": now,
        "receipt_url": f"{address}/cash-receipts/{receipt_tid}",
    }


def _why_not_issue(book: Book, mid: str, ask: ReceiptAsk) -> tuple[str, str] | None:
    if ask.tid is None:
        return None
    charge = book.charge(ask.tid)
    order = None if charge is None else book.order(mid, charge["order_no"])
    if charge is None or charge["mid"] != mid or order is None:
        return "TID_NOT_FOUND", "존재하지 않는 거래입니다."
    if order.announced.pay_method not in CASH_METHODS:
        return "NOT_CASH", "현금성 결제가 아닙니다."
    live = "SELECT 1 FROM cash_receipts WHERE tid = ? AND cancelled_at IS NULL"
    by_buyer = order.means is not None and order.means.cash_receipt
    if by_buyer or book.one(live, ask.tid) is not None:
        return "ALREADY_ISSUED", "이미 현금영수증이 발급된 거래입니다."
    if ask.amount > charge["taken"] - charge["returned"]:
        return "EXCEEDS_BALANCE", "발급 금액이 거래 잔액보다 큽니다."
    return None


def _mask(identifier: str) -> str:
    return identifier[:3] + "*" * (len(identifier) - 7) + identifier[-4:]


# POST /v1/cash-receipts/{receipt_tid}/cancel


async def revoke(call: Call) -> Answer | Response:
    ask, receipt_tid = call.read(RevokeAsk), call.path("receipt_tid")
    receipt = call.company.ledger.read(_receipt, receipt_tid)
    means = None if receipt is None else magic.IDENTIFIERS.get(receipt["on_cancel"] or "")
    manner = magic.PLAIN if means is None else means.manner
    return await answer_once(call, ask, _revoke, receipt_tid, means, manner=manner)


def _revoke(
    book: Book,
    mid: str,
    ask: RevokeAsk,
    receipt_tid: str,
    means: magic.MagicIdentifier | None,
    now: int,
) -> Answer:
    receipt = _receipt(book, receipt_tid)
    if receipt is None or receipt["mid"] != mid:
        return declined(ask.number, "RECEIPT_NOT_FOUND", "발급된 현금영수증이 없습니다.")
    if means is not None and means.code is not None:
        return declined(ask.number, means.code, means.message)
    book.do(
        "UPDATE cash_receipts SET cancelled_at = coalesce(cancelled_at, ?) WHERE receipt_tid = ?",
        *(now, receipt_tid),
    )
    receipt = _receipt(book, receipt_tid)
    assert receipt is not None
    return {
        "result": "cancelled",
        "number": ask.number,
        "receipt_tid": receipt_tid,
        "cancelled_at": receipt["cancelled_at"],
    }


def _receipt(book: Book, receipt_tid: str) -> Row | None:
    return book.one("SELECT * FROM cash_receipts WHERE receipt_tid = ?", receipt_tid)


# GET /cash-receipts/{receipt_tid}: what its holder may see; its random number is all they need to know


async def show(request: Request) -> Response:
    company = company_of(request)
    receipt = company.ledger.read(_receipt, request.path_params["receipt_tid"])
    if receipt is None:
        raise Refusal(404, "NOT_FOUND", "없는 현금영수증입니다.")
    shown = {name: value for name, value in receipt.items() if name not in ("mid", "on_cancel")}
    return render(company, "cash_receipt.html", shown)


# POST /v1/partner-slips


async def split_slip(call: Call) -> Answer | Response:
    return await answer_once(call, call.read(SlipAsk), _split_slip, call.company.address)


def _split_slip(book: Book, mid: str, ask: SlipAsk, address: str, now: int) -> Answer:
    charge = book.charge(ask.tid)
    if charge is None or charge["mid"] != mid or not charge["taken"]:
        return declined(ask.number, "TID_NOT_FOUND", "존재하지 않는 거래입니다.")
    if sum(shop.amount for shop in ask.shops) > charge["taken"] - charge["returned"]:
        return declined(ask.number, "EXCEEDS_AMOUNT", "하위 상점 금액의 합이 거래 금액보다 큽니다.")
    if any(shop.tax_free + shop.vat > shop.amount for shop in ask.shops):
        return declined(ask.number, "BAD_TAX", "면세금액과 부가세가 금액보다 큽니다.")
    # What is registered last is what the slip shows.
    book.do("DELETE FROM sub_shops WHERE tid = ?", ask.tid)
    for place, shop in enumerate(ask.shops):
        book.do(
            "INSERT INTO sub_shops (tid, place, business_number, name, amount, tax_free, vat)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(ask.tid, place, shop.business_number, shop.name),
            *(shop.amount, shop.tax_free, shop.vat),
        )
    return {
        "result": "registered",
        "number": ask.number,
        "receipt_url": f"{address}/receipts/{ask.tid}",
        "registered_at": now,
    }


def sub_shops(book: Book, tid: str) -> list[Row]:
    """The sub-shops on this slip, as they were registered."""
    return book.all("SELECT * FROM sub_shops WHERE tid = ? ORDER BY place", tid)


ROUTES = [
    Route("/v1/cash-receipts", signed(issue), methods=["POST"]),
    Route("/v1/cash-receipts/{receipt_tid}/cancel", signed(revoke), methods=["POST"]),
    Route("/v1/partner-slips", signed(split_slip), methods=["POST"]),
    Route("/cash-receipts/{receipt_tid}", show, methods=["GET"]),
]

"""The sandbox's pages for developers: index, magic table, test cards, SMS inbox, receipts.

Each page is rendered with the template variables `context` (one of the dicts below) and `nonce`.

    GET  /                     index.html    IndexContext
    GET  /magic                magic.html    MagicContext       (GET /v1/magic: the same as JSON)
    GET  /inbox                inbox.html    InboxContext       (GET /inbox/messages: as JSON)
    GET  /desk                 desk.html     DeskContext        (GET /desk/state?number=…: as JSON)
    GET  /receipts/{tid}       receipt.html  ReceiptContext
    GET  /cards                JSON {"cards": [DemoCard]}
    POST /cards/{id}/unlock    {} -> {"ok": true}    forget the wrong tries of a test card
    POST /desk/deposits        {"number", "amount", "depositor", "deposited_at": int | null}
                               -> {"ok": true, "account": DeskAccount, "notice_id"} or a refusal
    POST /desk/notices/{notice_id}/resend    {} -> {"ok": true}
    POST answers follow the rules of `window.py` (JSON, own Origin, ok / code / message).
"""

from __future__ import annotations

from typing import Literal, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from naru.sandbox import identity, magic, window
from naru.sandbox.company import Company, company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import Means
from naru.sandbox.receipts import sub_shops
from naru.sandbox.window import DemoCard, MagicRow

MESSAGES_SHOWN = 50


class IndexContext(TypedDict):
    public_url: str
    cards: list[DemoCard]
    locked_card_ids: list[str]
    magic: list[MagicRow]


class IdentifierRow(TypedDict):
    identifier: str
    ko: str
    en: str
    code: str | None


class MagicContext(TypedDict):
    magic: list[MagicRow]
    cards: list[DemoCard]
    identifiers: list[IdentifierRow]  # of cash receipts
    persons: list[identity.PersonRow]  # of the identity company


class InboxMessage(TypedDict):
    id: int
    at: int  # UNIX seconds
    to: str  # the phone number, middle digits hidden
    text: str


class InboxContext(TypedDict):
    messages: list[InboxMessage]  # newest first, at most 50


class DeskDeposit(TypedDict):
    amount: int
    depositor: str
    deposited_at: int
    late: bool


class DeskAttempt(TypedDict):
    at: int
    outcome: Literal["ok", "refused", "no_answer"]
    http_status: int | None
    detail: str  # the beginning of the answer, or what went wrong
    duration_ms: int


class DeskNotice(TypedDict):
    notice_id: str
    state: Literal["waiting", "delivered", "given_up"]
    next_at: int | None
    amount: int
    attempts: list[DeskAttempt]


class DeskAccount(TypedDict):
    number: str
    bank_code: str
    bank_name: str
    holder: str
    merchant_name: str
    item_name: str
    order_no: str
    state: str  # waiting_deposit, deposited, cancelled, closed, undone
    amount: int
    currency: str
    total: int  # all deposits so far
    issued_at: int
    due: int
    overdue: bool
    deposits: list[DeskDeposit]
    notices: list[DeskNotice]


class DeskContext(TypedDict):
    number: str | None  # the account that was looked for
    accounts: list[DeskAccount]  # that one, or the latest 20
    server_time: int


class ReceiptContext(TypedDict):
    tid: str
    merchant_name: str
    item_name: str
    merchant_order_no: str
    amount: int
    cancelled: int
    currency: str
    pay_method: str
    means: str  # "신한카드 409202******1234"
    approval_number: str
    approved_at: int
    shops: list[Row]  # sub-shops that share the slip: name, business_number, amount


async def show_index(request: Request) -> Response:
    company = company_of(request)
    context: IndexContext = {
        "public_url": company.address,
        "cards": window.all_demo_cards(),
        "locked_card_ids": company.ledger.read(Book.locked_cards),
        "magic": window.all_magic_rows(),
    }
    return render(company, "index.html", context)


async def show_magic(request: Request) -> Response:
    return render(company_of(request), "magic.html", _magic())


async def read_magic(request: Request) -> Response:
    return json_response(_magic())


def _magic() -> MagicContext:
    return {
        "magic": window.all_magic_rows(),
        "cards": window.all_demo_cards(),
        "persons": identity.persons(),
        "identifiers": [
            {"identifier": each.identifier, "ko": each.ko, "en": each.en, "code": each.code}
            for each in magic.IDENTIFIERS.values()
        ],
    }


async def show_inbox(request: Request) -> Response:
    company = company_of(request)
    return render(company, "inbox.html", _inbox(company))


async def read_inbox(request: Request) -> Response:
    return json_response(_inbox(company_of(request)))


def _inbox(company: Company) -> InboxContext:
    rows = company.ledger.read(Book.latest_messages, MESSAGES_SHOWN)
    return {
        "messages": [
            {"id": row["id"], "at": row["at"], "to": row["to"], "text": row["text"]} for row in rows
        ]
    }


async def read_cards(request: Request) -> Response:
    return json_response({"cards": window.all_demo_cards()})


async def unlock_card(request: Request) -> Response:
    company = company_of(request)
    await read_page_json(request, window.Nothing)
    await company.ledger.write(_unlock, request.path_params["card_id"])
    return json_response({"ok": True})


def _unlock(book: Book, card_id: str) -> None:
    if book.card(card_id) is None:
        raise Refusal(404, "NOT_FOUND", "없는 카드입니다.")
    book.forget_wrong_passwords(card_id)
    book.forget_wrong_pins(card_id)


async def show_receipt(request: Request) -> Response:
    company = company_of(request)
    context = _receipt(company, request.path_params["tid"])
    if context is None:
        raise Refusal(404, "NOT_FOUND", "없는 영수증입니다.")
    return render(company, "receipt.html", context)


def _receipt(company: Company, tid: str) -> ReceiptContext | None:
    """What a buyer may see of a charge; its random tid is all they need to know."""
    read = company.ledger.read
    charge = read(Book.charge, tid)
    if charge is None:
        return None
    order = read(Book.order, charge["mid"], charge["order_no"])
    approval = read(Book.approval, charge["mid"], charge["order_no"])
    if order is None or approval is None:
        return None
    return {
        "tid": tid,
        "merchant_name": order.announced.merchant_name,
        "item_name": order.announced.item_name,
        "merchant_order_no": order.announced.merchant_order_no,
        "amount": charge["taken"],
        "cancelled": charge["returned"],
        "currency": charge["currency"],
        "pay_method": order.announced.pay_method,
        "means": _means_in_words(order.means),
        "approval_number": msgspec.json.decode(approval["answer"]).get("approval_number", ""),
        "approved_at": approval["at"],
        "shops": read(sub_shops, tid),
    }


def _means_in_words(means: Means | None) -> str:
    if means is None:
        return ""
    words = (means.issuer_name, means.masked, means.bank_name, means.wallet, means.carrier)
    return " ".join(word for word in words if word)

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

from naru.sandbox.window import DemoCard, MagicRow


class IndexContext(TypedDict):
    public_url: str
    cards: list[DemoCard]
    locked_card_ids: list[str]
    magic: list[MagicRow]


class MagicContext(TypedDict):
    magic: list[MagicRow]
    cards: list[DemoCard]


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

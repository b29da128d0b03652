"""The buyer's window: what it is told, and the questions that every way of authenticating shares.

`GET /window/{window_id}` renders `window.html` with two template variables: `context` (a
`WindowContext`, JSON-able as it stands) and `nonce` (for the page's own script and style tags).
`GET /window/{window_id}/context` answers the same `WindowContext` as JSON.

Every other endpoint is `POST /window/{window_id}/...` with a JSON body and an `Origin` header that
is the sandbox's own; the unguessable window id is the buyer's capability, no cookie is involved.
An answer is a `WindowAnswer`: a business refusal is HTTP 200 with `ok: false`; 4xx (same shape)
means that the request itself could not be understood. Answers per path are named below.

    /scenario         {"scenario": str | null}                  {"ok", "scenario"}
    /cancel           {}                                        Finished (status "cancelled")
    /finish           {}                                        Finished (whatever the order came to;
                      after a refusal or an expiry: status "failed" with that code and sentence;
                      an order that is still open answers code NOT_FINISHED)
    /wallet           {}                                        Finished
    /isp/enrol        {"card_id" | "card_number", "public_key", "proof"}
                                                  {"ok", "serial", "certificate_pem", "chain_pem",
                                                   "card_id", "masked", "issuer_code", "not_after"}
                      public_key: SPKI, base64. proof: base64 of the raw (r||s) P-256/SHA-256
                      signature over the UTF-8 bytes
                      "naru-sandbox-isp-enrol/1\\n" + window_id + "\\n" + card + "\\n" + public_key
                      where card is the card_id or card_number sent, public_key the base64 sent.
    /isp/challenge    {"certificate_serial"}                    {"ok", "challenge_id", "bytes"}
    /isp/answer       {"challenge_id", "signature", "certificate_pem", "installment_months"}
                      signature: base64 raw (r||s) over the decoded `bytes`         Finished
    /mpi              {"card_number", "expiry" (MMYY), "cvc", "password", "installment_months"}
                                                                Finished
    /simple/cards     {}                          {"ok", "cards": [SimpleCard]}
    /simple/keypad    {"card_id"}                 {"ok", "session", "layout": [10 digits as shown],
                                                   "attempts_left"}
    /simple/pin       {"session", "positions": [6 x 0..9], "installment_months"}    Finished
    /trans            {"bank_code", "account_number", "password"}                   Finished
    /phone/code       {"carrier", "number"}       {"ok", "sent": true, "expires_at"}
    /phone/answer     {"code"}                                                      Finished
    /vbank            {"bank_code", "holder",
                       "cash_receipt": {"type": "personal"|"business", "identifier"} | null}
                                                                Finished

A refusal may carry `attempts_left`; an order that is already finished (Back, a second tab, a double
click) answers `ok: false`, code `ALREADY_FINISHED`, with the same `return_form` once more.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class ReturnForm(TypedDict):
    """What the window submits as a top-level form POST to bring the buyer back."""

    action: str
    fields: dict[str, str]


class WindowAnswer(TypedDict):
    """Every answer of a window endpoint. `code`, `message` (Korean) when `ok` is false."""

    ok: bool
    code: NotRequired[str]
    message: NotRequired[str]
    attempts_left: NotRequired[int]
    return_form: NotRequired[ReturnForm]


class OrderView(TypedDict):
    """The order as the buyer sees it; `amount` in the smallest unit, times in UNIX seconds."""

    order_no: str
    amount: int
    currency: str
    tax_free: int
    item_name: str
    merchant_name: str
    merchant_order_no: str
    pay_method: str
    method_kind: Literal["card", "trans", "vbank", "phone", "wallet"]
    profile: str
    surface: Literal["pc", "mobile"]
    language: Literal["ko", "en", "zh", "ja"]
    test: bool
    expires_at: int
    installments: list[int]  # months to offer, 0 is a lump sum; never empty
    vbank_due: int | None


class CardCompany(TypedDict):
    code: str  # 3-digit standard code
    name: str  # "신한카드"
    auth: list[Literal["isp", "mpi", "simple"]]


class Bank(TypedDict):
    code: str
    name: str


class Carrier(TypedDict):
    code: str
    name: str


class MagicRow(TypedDict):
    """One scenario: how to cause it and what happens."""

    scenario: str
    stage: Literal["authentication", "approval", "net_cancel", "cancel"]
    amount: int | None  # an order of this amount (smallest unit) causes it
    card_number: str | None  # a card that causes it
    code: str | None  # the code the PG answers with, when it refuses
    ko: str
    en: str


class DemoCard(TypedDict):
    """A test card. Fields that its way of authenticating does not ask for are null."""

    id: str
    issuer_code: str
    issuer_name: str
    auth: Literal["isp", "mpi", "simple"]
    number: str  # 16 digits
    masked: str
    expiry: str  # MMYY
    cvc: str | None
    password: str | None
    pin: str | None
    note_ko: str
    note_en: str


class SimpleCard(TypedDict):
    id: str
    issuer_code: str
    issuer_name: str
    masked: str


class WindowContext(TypedDict):
    window_id: str
    server_time: int
    order: OrderView
    state: Literal["open", "expired", "finished"]
    return_form: ReturnForm | None  # when finished: where the buyer can go on
    scenario: str | None
    card_companies: list[CardCompany]
    banks: list[Bank]
    carriers: list[Carrier]
    magic: list[MagicRow]  # empty unless order.test
    demo_cards: dict[str, list[DemoCard]]  # "isp", "mpi", "simple"; empty lists unless order.test
    demo_account: dict[str, str]  # {"bank_code", "account_number", "password"}
    inbox_url: str

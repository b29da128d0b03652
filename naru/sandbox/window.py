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

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, TypedDict, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from naru.sandbox import cards, magic, signing
from naru.sandbox.company import Company, company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.ledger import Book
from naru.sandbox.orders import Announcement, Means, MethodKind, Order, Rules

AUTH_TOKEN_SECONDS = 10 * 60
# Refusals of any kind that one window may collect before it is good for nothing but going back.
REFUSALS_PER_WINDOW_MAX = 20

_T = TypeVar("_T")


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
    keep_card: bool  # the card is kept for later payments; an amount of 0: and nothing is taken now
    rules: RulesView
    bypass: dict[str, Any] | None  # what the merchant told this PG, for the eyes of who tests


class CardCompany(TypedDict):
    code: str  # 3-digit standard code
    name: str  # "신한카드"
    auth: list[Literal["isp", "mpi", "simple"]]
    months: list[int]  # to offer with this company's cards; never empty


class ProductView(TypedDict):
    name: str
    quantity: int
    unit_price: float | None  # in major units


class RulesView(TypedDict):
    """What the merchant's page asked for, as far as the buyer's page must know it."""

    direct: str | None  # begin with this card company
    free_interest: bool
    phone: str | None
    company: str | None
    period: str | None
    escrow: bool
    products: list[ProductView]


class Bank(TypedDict):
    code: str
    name: str


class Carrier(TypedDict):
    code: str
    name: str


class MagicRow(TypedDict):
    """One scenario: how to cause it and what happens."""

    scenario: str
    stage: Literal["authentication", "approval", "net_cancel", "cancel", "order"]
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


# What a room answers


@dataclass(frozen=True, slots=True)
class Refused:
    """The buyer's attempt failed for a reason they can read."""

    code: str
    message: str
    attempts_left: int | None = None


Verdict = Order | Refused


def answer(company: Company, verdict: Verdict, window_id: str) -> Response:
    """Tell the window how an attempt to authenticate ended."""
    if isinstance(verdict, Order):
        return json_response({"ok": True, "return_form": return_form(company, verdict)})
    told: WindowAnswer = {"ok": False, "code": verdict.code, "message": verdict.message}
    if verdict.attempts_left is not None:
        told["attempts_left"] = verdict.attempts_left
    order = company.ledger.read(Book.order_of_window, window_id)
    if verdict.code == "ALREADY_FINISHED" and order is not None:
        form = return_form(company, order)
        if form is not None:
            told["return_form"] = form
    return json_response(told)


def refuse_page_call(refusal: Refusal) -> Response:
    return json_response(
        {"ok": False, "code": refusal.code, "message": refusal.message}, refusal.status
    )


async def read_window(request: Request, shape: type[_T]) -> tuple[Company, str, _T]:
    """The window id of the path and what its page says. Raises Refusal when it is no page of ours."""
    company = company_of(request)
    window_id = request.path_params["window_id"]
    return company, window_id, await read_page_json(request, shape)


def find_order(book: Book, window_id: str) -> Order:
    """The order behind a window. Raises Refusal 404; accounts without a window have none."""
    order = book.order_of_window(window_id)
    if order is None or order.announced.return_url is None:
        raise Refusal(404, "NOT_FOUND", "존재하지 않는 결제창입니다.")
    return order


# Verbs of every room; they belong inside a deed


def open_order(book: Book, window_id: str, kind: MethodKind, now: int) -> Order | Refused:
    """The order of a window that may still be authenticated by this kind of method."""
    order = find_order(book, window_id)
    if order.state != "registered":
        return Refused("ALREADY_FINISHED", "이미 처리가 끝난 결제입니다.")
    if now >= order.expires_at:
        return Refused("SESSION_EXPIRED", "결제 가능 시간이 지났습니다.")
    if order.announced.method_kind != kind:
        return Refused("WRONG_METHOD", "이 주문에서 쓸 수 없는 결제수단입니다.")
    if order.wrong_tries >= REFUSALS_PER_WINDOW_MAX:
        return Refused("TOO_MANY_TRIES", "시도 횟수를 초과하였습니다.")
    return order


def refuse(book: Book, order: Order, refused: Refused) -> Refused:
    """Remember why the buyer was refused, so that going back says so."""
    book.remember_refusal(order, refused.code, refused.message)
    return refused


_NOT_OFFERED = Refused("INSTALLMENT_NOT_OFFERED", "선택할 수 없는 할부 개월입니다.")


def months_refusal(order: Order, months: int) -> Refused | None:
    announced = order.announced
    direct = announced.rules.direct
    if months in announced.offered_months or (
        direct and months in announced.months_of(direct.code)
    ):
        return None
    return _NOT_OFFERED


def _card_refusal(order: Order, means: Means) -> Refused | None:
    """Does the merchant's page leave this card out, or these months of it?"""
    if means.issuer_code is None:
        return None
    offered = order.announced.months_of(means.issuer_code)
    card = cards.CARD_BY_ID.get(means.card_id or "")
    wrong_way = order.announced.rules.app_card_only and card is not None and card.auth != "simple"
    if not offered or wrong_way:
        return Refused("CARD_NOT_OFFERED", "이 가맹점에서 사용할 수 없는 카드입니다.")
    return None if means.installment_months in offered else _NOT_OFFERED


def accept(
    book: Book, order: Order, means: Means, now: int, card_scenario: str | None = None
) -> Verdict:
    """The buyer has proved who they are: authenticate the order, unless its scenario refuses."""
    left_out = _card_refusal(order, means)
    if left_out is not None:
        return refuse(book, order, left_out)
    scenario = magic.scenario_of(order.scenario or card_scenario, order.amount)
    words = magic.refusal_at(scenario, "authentication")
    if words is not None:
        return refuse(book, order, Refused(*words))
    if not book.authenticate(order, means, card_scenario, now, now + AUTH_TOKEN_SECONDS):
        return Refused("ALREADY_FINISHED", "이미 처리가 끝난 결제입니다.")
    authenticated = book.order_of_window(order.window_id)
    assert authenticated is not None
    return authenticated


# The way back

# i'mport passes on what each PG says when a buyer gives up.
_USER_CANCEL_WORDS = "[결제포기] 사용자가 결제를 취소하셨습니다"
_USER_CANCEL_WORDS_INICIS_MOBILE = "[01] 사용자가 결제를 취소 하였습니다."


def user_cancel(order: Order) -> tuple[str, str]:
    """The code and words of a buyer's own cancel, in the manner of the order's PG."""
    is_inicis = order.announced.profile in ("html5_inicis", "inicis", "inicis_unified")
    if is_inicis and order.announced.surface == "mobile":
        return "01", _USER_CANCEL_WORDS_INICIS_MOBILE
    return "USER_CANCEL", _USER_CANCEL_WORDS


def return_form(company: Company, order: Order) -> ReturnForm | None:
    """The signed form that brings the buyer back; None while the order is open."""
    if order.state == "registered" or order.announced.return_url is None:
        return None
    if order.authenticated_at is not None:
        status, code, message = "authenticated", "", ""
        token, until = company.vault.auth_token(order), order.auth_expires_at or 0
    else:
        status = "cancelled" if order.state == "abandoned" else "failed"
        code, message, token, until = order.code, order.message, "", 0
    member = company.member(order.mid)
    assert member is not None
    fields = {
        "mid": order.mid,
        "order_no": order.order_no,
        "status": status,
        "auth_token": token,
        "amount": str(order.amount),
        "currency": order.currency,
        "pay_method": order.announced.pay_method,
        "code": code,
        "message": message,
        "expires_at": str(until),
    }
    fields["signature"] = signing.sign_return(member.secret, fields)
    return {"action": order.announced.return_url, "fields": fields}


# Endpoints


class Nothing(msgspec.Struct):
    """An empty body, `{}`."""


class ScenarioChoice(msgspec.Struct):
    scenario: Annotated[str, Meta(max_length=40)] | None


async def show(request: Request) -> Response:
    company = company_of(request)
    order = company.ledger.read(find_order, request.path_params["window_id"])
    framed_by = order.announced.frame_ancestors
    ancestors = None if framed_by is None else " ".join(framed_by) or "'none'"
    return render(company, "window.html", context_of(company, order), ancestors, popup=True)


async def read_context(request: Request) -> Response:
    company = company_of(request)
    return json_response(
        context_of(company, company.ledger.read(find_order, request.path_params["window_id"]))
    )


async def choose_scenario(request: Request) -> Response:
    company, window_id, choice = await read_window(request, ScenarioChoice)
    verdict = await company.ledger.write(_choose, window_id, choice.scenario)
    if verdict is not None:
        return answer(company, verdict, window_id)
    return json_response({"ok": True, "scenario": choice.scenario})


def _choose(book: Book, window_id: str, scenario: str | None) -> Refused | None:
    order = find_order(book, window_id)
    if not order.announced.test:
        return Refused("TEST_ONLY", "테스트 주문에서만 선택할 수 있습니다.")
    if scenario is not None and scenario not in magic.BY_NAME:
        return Refused("UNKNOWN_SCENARIO", "없는 시나리오입니다.")
    if not book.choose_scenario(order, scenario):
        return Refused("ALREADY_FINISHED", "이미 처리가 끝난 결제입니다.")
    return None


async def cancel(request: Request) -> Response:
    company, window_id, _ = await read_window(request, Nothing)
    verdict = await company.ledger.write(_cancel, window_id)
    return answer(company, verdict, window_id)


def _cancel(book: Book, window_id: str) -> Verdict:
    order = find_order(book, window_id)
    if not book.advance(order, ("registered",), "abandoned", *user_cancel(order)):
        return Refused("ALREADY_FINISHED", "이미 처리가 끝난 결제입니다.")
    return book.order_of_window(window_id) or order


async def finish(request: Request) -> Response:
    company, window_id, _ = await read_window(request, Nothing)
    verdict = await company.ledger.write(_finish, window_id, company.now())
    return answer(company, verdict, window_id)


def _finish(book: Book, window_id: str, now: int) -> Verdict:
    order = find_order(book, window_id)
    if order.state == "registered":
        if now >= order.expires_at:
            words = ("SESSION_EXPIRED", "결제 가능 시간이 지났습니다.")
        elif order.code:
            words = (order.code, order.message)
        else:
            return Refused("NOT_FINISHED", "아직 진행 중인 결제입니다.")
        book.advance(order, ("registered",), "failed", *words)
    return book.order_of_window(window_id) or order


async def pay_by_wallet(request: Request) -> Response:
    """A wallet's own app would ask for a PIN; the sandbox's wallet is content with the button."""
    company, window_id, _ = await read_window(request, Nothing)
    verdict = await company.ledger.write(_pay_by_wallet, window_id, company.now())
    return answer(company, verdict, window_id)


def _pay_by_wallet(book: Book, window_id: str, now: int) -> Verdict:
    order = open_order(book, window_id, "wallet", now)
    if isinstance(order, Refused):
        return order
    return accept(book, order, Means(wallet=order.announced.pay_method), now)


# What the window is told


def context_of(company: Company, order: Order) -> WindowContext:
    now = company.now()
    announced = order.announced
    state: Literal["open", "expired", "finished"] = "finished"
    if order.state == "registered":
        state = "open" if now < order.expires_at else "expired"
    demo_cards: dict[str, list[DemoCard]] = {"isp": [], "mpi": [], "simple": []}
    if announced.test:
        for card in all_demo_cards():
            demo_cards[card["auth"]].append(card)
    return {
        "window_id": order.window_id,
        "server_time": now,
        "order": {
            "order_no": order.order_no,
            "amount": order.amount,
            "currency": order.currency,
            "tax_free": announced.tax_free,
            "item_name": announced.item_name,
            "merchant_name": announced.merchant_name,
            "merchant_order_no": announced.merchant_order_no,
            "pay_method": announced.pay_method,
            "method_kind": announced.method_kind,
            "profile": announced.profile,
            "surface": announced.surface,
            "language": announced.language,
            "test": announced.test,
            "expires_at": order.expires_at,
            "installments": announced.offered_months,
            "vbank_due": announced.vbank_due,
            "keep_card": announced.keep_card,
            "rules": _rules_view(announced.rules),
            "bypass": announced.bypass if announced.test else None,
        },
        "state": state,
        "return_form": return_form(company, order),
        "scenario": order.scenario,
        "card_companies": [
            {**each, "months": months, "auth": ways}
            for each in _card_companies()
            if (months := announced.months_of(each["code"])) and (ways := _ways(announced, each))
        ],
        "banks": [{"code": code, "name": name} for code, name in cards.BANKS.items()],
        "carriers": [
            {"code": code, "name": name}
            for code, name in cards.CARRIERS.items()
            if announced.rules.carriers is None or code in announced.rules.carriers
        ],
        "magic": all_magic_rows() if announced.test else [],
        "demo_cards": demo_cards,
        "demo_account": cards.DEMO_ACCOUNT if announced.test else {},
        "inbox_url": f"{company.address}/inbox",
    }


def _ways(announced: Announcement, company: CardCompany) -> list[Literal["isp", "mpi", "simple"]]:
    """An app card is the one that a PIN opens."""
    app_only = announced.rules.app_card_only
    return [way for way in company["auth"] if way == "simple" or not app_only]


def _rules_view(rules: Rules) -> RulesView:
    return {
        "direct": None if rules.direct is None else rules.direct.code,
        "free_interest": rules.free_interest,
        "phone": rules.phone,
        "company": rules.company,
        "period": rules.period,
        "escrow": rules.escrow,
        "products": [
            {"name": each.name, "quantity": each.quantity, "unit_price": each.unit_price}
            for each in rules.products
        ],
    }


@cache
def _card_companies() -> list[CardCompany]:
    companies: dict[str, CardCompany] = {}
    for code, name in cards.ISSUERS.items():
        companies[code] = {"code": code, "name": name, "auth": [], "months": []}
    for card in cards.CARDS:
        ways = companies[card.issuer_code]["auth"]
        if card.auth not in ways:
            ways.append(card.auth)
    return list(companies.values())


@cache
def all_demo_cards() -> list[DemoCard]:
    return [
        {
            "id": card.id,
            "issuer_code": card.issuer_code,
            "issuer_name": card.issuer_name,
            "auth": card.auth,
            "number": card.number,
            "masked": card.masked,
            "expiry": card.expiry,
            "cvc": card.cvc if card.auth == "mpi" else None,
            "password": cards.MPI_PASSWORD if card.auth == "mpi" else None,
            "pin": cards.SIMPLE_PIN if card.auth == "simple" else None,
            "note_ko": magic.BY_NAME[card.scenario].ko if card.scenario else "",
            "note_en": magic.BY_NAME[card.scenario].en if card.scenario else "",
        }
        for card in cards.CARDS
    ]


@cache
def all_magic_rows() -> list[MagicRow]:
    return [
        {
            "scenario": scenario.name,
            "stage": scenario.stage,
            "amount": scenario.amount,
            "card_number": cards.CARD_BY_ID[scenario.card_id].number if scenario.card_id else None,
            "code": scenario.code,
            "ko": scenario.ko,
            "en": scenario.en,
        }
        for scenario in magic.SCENARIOS
    ]

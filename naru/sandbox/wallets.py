"""Wallets of one shop each (BrandPay): a password of six digits, and the cards that it opens.

A page is opened by the shop's gateway for one visit, reached by its unguessable id, and tells the
shop's page, which opened it, how it ended. No money is near it. Whoever comes first chooses the
password: the sandbox believes a shop's word for who its customer is.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import cards
from naru.sandbox import wire as w
from naru.sandbox.company import company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import Origin, ShortText, Word

PAGE_SECONDS = 30 * 60
TRIES = 5

Password = Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")]


class OpenAsk(msgspec.Struct, frozen=True):
    """The body of `POST /v1/wallets`: who comes, what for, and which page hears of it."""

    profile: Word
    customer_key: Annotated[ShortText, Meta(min_length=1)]
    act: Literal["setupPassword", "getPaymentMethods", "openSettings"]
    page_origin: Origin
    request_id: Annotated[ShortText, Meta(min_length=1)]


class Step(msgspec.Struct, frozen=True):
    """The body of `POST /wallets/{id}`: one thing that the person does."""

    do: Literal["enter", "choose", "add", "remove", "finish"]
    password: Password | None = None
    card: Word | None = None


async def open_page(call: w.Call) -> w.Answer:
    ask = call.read(OpenAsk)
    if ask.profile != "toss_brandpay":
        return {
            "result": "refused",
            "code": "WRONG_PROFILE",
            "message": "브랜드페이를 사용하는 가맹점이 아닙니다.",
        }
    page_id = secrets.token_urlsafe(18)
    await call.company.ledger.write(_open, page_id, call.member.mid, ask, call.company.now())
    return {"result": "wallet_opened", "url": f"{call.company.address}/wallets/{page_id}"}


def _open(book: Book, page_id: str, mid: str, ask: OpenAsk, now: int) -> None:
    book.do(
        "INSERT INTO wallets (mid, customer_key) VALUES (?, ?) ON CONFLICT DO NOTHING",
        *(mid, ask.customer_key),
    )
    book.do(
        "INSERT INTO wallet_pages VALUES (?, ?, ?, ?, ?, ?, 'closed', ?)",
        *(page_id, mid, ask.customer_key, ask.act, ask.page_origin, ask.request_id, now),
    )


async def show(request: Request) -> Response:
    company = company_of(request)
    found = company.ledger.read(_read, request.path_params["page_id"], company.now())
    return render(company, "wallet.html", found, popup=True)


async def take_step(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, Step)
    page_id, now = request.path_params["page_id"], company.now()
    page = company.ledger.read(_page, page_id, now)
    mac = company.vault.mac("wallet", page["mid"], page["customer_key"], ask.password or "")
    left = await company.ledger.write(_step, page_id, ask, mac, now)
    if left is not None:
        raise Refusal(403, "PIN_WRONG", f"비밀번호가 올바르지 않습니다. (남은 횟수 {left}회)")
    return json_response({"ok": True})


def _page(book: Book, page_id: str, now: int) -> Row:
    row = book.one(
        "SELECT * FROM wallet_pages JOIN wallets USING (mid, customer_key) WHERE id = ?", page_id
    )
    if row is None or now >= row["opened_at"] + PAGE_SECONDS:
        raise Refusal(404, "NOT_FOUND", "화면의 시간이 지났습니다. 쇼핑몰에서 다시 열어 주세요.")
    return row


def _read(book: Book, page_id: str, now: int) -> dict[str, Any]:
    page = _page(book, page_id, now)
    is_open = page["state"] != "closed"
    methods = [_method(each) for each in _cards(book, page)] if is_open else []
    held = {each["id"] for each in methods}
    return {
        "step": _step_of(page),
        "methods": methods,
        "addable": [
            {"id": each.id, "name": f"{each.issuer_name} {_masked(each.number)}"}
            for each in cards.CARDS
            if is_open and each.scenario is None and each.id not in held
        ],
        "told": {
            "protocol": "naru/1",
            "request_id": page["request_id"],
            "type": "wallet",
            "result": _result(page["act"], methods),
        },
        "page_origin": page["page_origin"],
    }


def _step_of(page: Row) -> str:
    """What the person sees: the password is chosen or entered, cards are looked after, or it is done."""
    if page["state"] == "done":
        return "done"
    if page["state"] == "closed":
        return "choose" if page["mac"] is None else "enter"
    return "choose" if page["act"] == "setupPassword" else "settings"


def _result(act: str, methods: list[dict[str, Any]]) -> dict[str, Any] | None:
    if act != "getPaymentMethods":
        return None
    first = methods[0]["id"] if methods else None
    return {"selectedMethodId": first, "cards": methods, "accounts": []}


def _cards(book: Book, page: Row) -> list[Row]:
    return book.all(
        "SELECT card_id FROM wallet_cards WHERE mid = ? AND customer_key = ? ORDER BY added_at, card_id",
        *(page["mid"], page["customer_key"]),
    )


def _method(row: Row) -> dict[str, Any]:
    card = cards.CARD_BY_ID[row["card_id"]]
    return {
        "id": card.id,
        "type": "CARD",
        "cardName": card.issuer_name,
        "cardNumber": _masked(card.number),
        "issuerCode": card.issuer_code,
    }


def _masked(number: str) -> str:
    return f"{number[:6]}{'*' * (len(number) - 10)}{number[-4:]}"


def _step(book: Book, page_id: str, ask: Step, mac: bytes, now: int) -> int | None:
    """Deed: None when it is done, else the tries that are left."""
    page = _page(book, page_id, now)
    wallet = (page["mid"], page["customer_key"])
    step, act = _step_of(page), page["act"]
    if step == "enter" and ask.do == "enter" and ask.password is not None:
        if page["tries"] >= TRIES:
            raise Refusal(403, "PIN_LOCKED", "비밀번호 5회 오류로 이용할 수 없습니다.")
        if not secrets.compare_digest(page["mac"], mac):
            book.do(
                "UPDATE wallets SET tries = tries + 1 WHERE mid = ? AND customer_key = ?", *wallet
            )
            return int(TRIES - page["tries"] - 1)
        book.do("UPDATE wallets SET tries = 0 WHERE mid = ? AND customer_key = ?", *wallet)
        _become(book, page_id, "done" if act == "getPaymentMethods" else "open")
    elif step == "choose" and ask.do == "choose" and ask.password is not None:
        book.do(
            "UPDATE wallets SET mac = ?, tries = 0 WHERE mid = ? AND customer_key = ?",
            *(mac, *wallet),
        )
        _become(book, page_id, "open" if act == "openSettings" else "done")
    elif step == "settings" and ask.do == "add" and ask.card in cards.CARD_BY_ID:
        book.do("INSERT OR IGNORE INTO wallet_cards VALUES (?, ?, ?, ?)", *wallet, ask.card, now)
    elif step == "settings" and ask.do == "remove":
        book.do(
            "DELETE FROM wallet_cards WHERE mid = ? AND customer_key = ? AND card_id = ?",
            *(*wallet, ask.card),
        )
    elif step == "settings" and ask.do == "finish":
        _become(book, page_id, "done")
    else:
        raise Refusal(409, "NOT_NOW", "지금 할 수 없는 요청입니다. 화면을 새로 고쳐 주세요.")
    return None


def _become(book: Book, page_id: str, state: str) -> None:
    book.do("UPDATE wallet_pages SET state = ? WHERE id = ?", state, page_id)


ROUTES = [
    Route("/v1/wallets", w.signed(open_page), methods=["POST"]),
    Route("/wallets/{page_id}", show, methods=["GET"]),
    Route("/wallets/{page_id}", take_step, methods=["POST"]),
]

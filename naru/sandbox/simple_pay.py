"""Simple pay: a card registered beforehand and a 6-digit PIN on a shuffled keypad.

The server shuffles the keypad and the browser answers with positions, so the digits of a PIN are
in no request. A keypad is good for one answer. Five wrong PINs lock the card; a try is spent in
the ledger before the PIN is looked at, so it does not matter how many guesses arrive at once.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Annotated

import argon2
import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from naru.sandbox import cards, mpi, window
from naru.sandbox.door import json_response
from naru.sandbox.ledger import PIN_TRIES, Book
from naru.sandbox.orders import Months
from naru.sandbox.vault import PIN_HASHER

KEYPAD_SECONDS = 300

Position = Annotated[int, Meta(ge=0, le=9)]


class KeypadAsk(msgspec.Struct):
    card_id: Annotated[str, Meta(max_length=40)]


class PinAsk(msgspec.Struct):
    session: Annotated[str, Meta(max_length=60)]
    positions: Annotated[list[Position], Meta(min_length=6, max_length=6)]
    installment_months: Months = 0


async def list_cards(request: Request) -> Response:
    company, window_id, _ = await window.read_window(request, window.Nothing)
    company.ledger.read(window.find_order, window_id)
    listed: list[window.SimpleCard] = [
        {
            "id": card.id,
            "issuer_code": card.issuer_code,
            "issuer_name": card.issuer_name,
            "masked": card.masked,
        }
        for card in cards.CARDS
        if card.auth == "simple"
    ]
    return json_response({"ok": True, "cards": listed})


async def give_keypad(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, KeypadAsk)
    outcome = await company.ledger.write(_give_keypad, window_id, ask.card_id, company.now())
    if isinstance(outcome, window.Refused):
        return window.answer(company, outcome, window_id)
    return json_response({"ok": True, **outcome})


def _give_keypad(
    book: Book, window_id: str, card_id: str, now: int
) -> dict[str, object] | window.Refused:
    order = window.open_order(book, window_id, "card", now)
    if isinstance(order, window.Refused):
        return order
    row = book.card(card_id)
    if row is None or row["pin_hash"] is None:
        return window.Refused("CARD_UNKNOWN", "등록되지 않은 카드입니다.")
    if row["pin_tries"] >= PIN_TRIES:
        return window.refuse(book, order, _locked())
    session, layout = secrets.token_urlsafe(24), list(range(10))
    secrets.SystemRandom().shuffle(layout)
    text = "".join(map(str, layout))
    book.add_keypad(session, window_id, card_id, text, now + KEYPAD_SECONDS)
    return {"session": session, "layout": layout, "attempts_left": PIN_TRIES - row["pin_tries"]}


def _locked() -> window.Refused:
    return window.Refused("PIN_LOCKED", "비밀번호 5회 오류로 잠긴 카드입니다.", 0)


@dataclass(frozen=True, slots=True)
class _Try:
    """A try that has been paid for."""

    card_id: str
    pin: str
    pin_hash: str
    attempts_left: int


async def enter_pin(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, PinAsk)
    attempt = await company.ledger.write(_reserve, window_id, ask, company.now())
    if isinstance(attempt, window.Refused):
        return window.answer(company, attempt, window_id)
    # argon2id is slow by design; neither the event loop nor the ledger waits for it.
    right = await asyncio.to_thread(_is_right, attempt.pin_hash, attempt.pin)
    verdict = await company.ledger.write(
        _settle, window_id, attempt, right, ask.installment_months, company.now()
    )
    return window.answer(company, verdict, window_id)


def _reserve(book: Book, window_id: str, ask: PinAsk, now: int) -> _Try | window.Refused:
    order = window.open_order(book, window_id, "card", now)
    if isinstance(order, window.Refused):
        return order
    months = window.months_refusal(order, ask.installment_months)
    if months is not None:
        return months
    keypad = book.use_keypad(ask.session, window_id, now)
    if keypad is None:
        return window.Refused("KEYPAD_DEAD", "보안 키패드가 만료되었습니다. 다시 입력해 주세요.")
    left = book.reserve_pin_try(keypad["card_id"])
    if left is None:
        return window.refuse(book, order, _locked())
    row = book.card(keypad["card_id"])
    assert row is not None
    pin = "".join(keypad["layout"][position] for position in ask.positions)
    return _Try(row["id"], pin, row["pin_hash"], left)


def _is_right(pin_hash: str, pin: str) -> bool:
    try:
        return PIN_HASHER.verify(pin_hash, pin)
    except argon2.exceptions.VerifyMismatchError:
        return False


def _settle(
    book: Book, window_id: str, attempt: _Try, right: bool, months: int, now: int
) -> window.Verdict:
    order = window.open_order(book, window_id, "card", now)
    if right:
        book.forget_wrong_pins(attempt.card_id)
    if isinstance(order, window.Refused):
        return order
    if not right:
        left = attempt.attempts_left
        message = f"비밀번호가 올바르지 않습니다. (남은 횟수 {left}회)"
        wrong = window.Refused("PIN_WRONG", message, left) if left else _locked()
        return window.refuse(book, order, wrong)
    card = cards.CARD_BY_ID[attempt.card_id]
    return window.accept(book, order, mpi.means_of(card, months), now, card.scenario)

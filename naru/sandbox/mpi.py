"""MPI: card number, expiry, CVC and the 안심클릭 password; three wrong tries lock the card.

Nothing typed here is stored or logged. What is compared is one keyed hash over everything, in
constant time, so an answer does not tell which part was wrong.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from naru.sandbox import cards, magic, window
from naru.sandbox.ledger import PASSWORD_TRIES, Book
from naru.sandbox.orders import Means, Months
from naru.sandbox.vault import Vault

CardNumber = Annotated[str, Meta(pattern=r"^[0-9][0-9 -]{10,24}[0-9]\Z")]
Expiry = Annotated[str, Meta(pattern=r"^(0[1-9]|1[0-2])[0-9]{2}\Z")]

_KST = timedelta(hours=9)


class MpiAsk(msgspec.Struct):
    card_number: CardNumber
    expiry: Expiry
    cvc: Annotated[str, Meta(pattern=r"^[0-9]{3,4}\Z")]
    password: Annotated[str, Meta(min_length=1, max_length=64)]
    installment_months: Months = 0


def is_expired(expiry: str, now: int) -> bool:
    """Is a card of this MMYY dead? It lives to the end of its month in Korea."""
    today = datetime.fromtimestamp(now, UTC) + _KST
    return (2000 + int(expiry[2:]), int(expiry[:2])) < (today.year, today.month)


async def authenticate(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, MpiAsk)
    verdict = await company.ledger.write(_check, company.vault, window_id, ask, company.now())
    return window.answer(company, verdict, window_id)


def _check(book: Book, vault: Vault, window_id: str, ask: MpiAsk, now: int) -> window.Verdict:
    order = window.open_order(book, window_id, "card", now)
    if isinstance(order, window.Refused):
        return order
    months = window.months_refusal(order, ask.installment_months)
    if months is not None:
        return months
    number = "".join(digit for digit in ask.card_number if digit.isdigit())
    row = book.card_by_number(vault.number_mac(number))
    card = None if row is None else cards.CARD_BY_ID.get(row["id"])
    if is_expired(ask.expiry, now):
        assert magic.EXPIRED.code is not None
        words = (magic.EXPIRED.code, magic.EXPIRED.message)
        return window.refuse(book, order, window.Refused(*words))
    if row is None or card is None or card.auth != "mpi":
        words = ("CARD_UNKNOWN", "카드 정보가 올바르지 않습니다.")
        return window.refuse(book, order, window.Refused(*words))
    if row["password_tries"] >= PASSWORD_TRIES:
        return window.refuse(book, order, _locked())
    proof = vault.card_secret_mac(number, ask.expiry, ask.cvc, ask.password)
    # The card that is always refused is refused whatever else was typed.
    if card.scenario != "refused_card" and not hmac.compare_digest(row["secret_mac"], proof):
        left = book.count_wrong_password(card.id)
        message = f"카드 정보 또는 비밀번호가 올바르지 않습니다. (남은 횟수 {left}회)"
        wrong = window.Refused("CARD_AUTH_FAILED", message, left) if left else _locked()
        return window.refuse(book, order, wrong)
    book.forget_wrong_passwords(card.id)
    return window.accept(book, order, means_of(card, ask.installment_months), now, card.scenario)


def _locked() -> window.Refused:
    return window.Refused("CARD_LOCKED", "비밀번호 3회 오류로 잠긴 카드입니다.", 0)


def means_of(card: cards.Card, installment_months: int) -> Means:
    return Means(
        card_id=card.id,
        issuer_code=card.issuer_code,
        issuer_name=card.issuer_name,
        masked=card.masked,
        debit=card.debit,
        installment_months=installment_months,
    )

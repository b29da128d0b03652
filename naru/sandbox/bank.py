"""Bank transfer (trans): a bank, any account number, and the demo password of cards.py."""

from __future__ import annotations

import hmac
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from naru.sandbox import cards, window
from naru.sandbox.ledger import Book
from naru.sandbox.orders import Means

ACCOUNT_TRIES = 5


class TransferAsk(msgspec.Struct):
    bank_code: Annotated[str, Meta(max_length=3)]
    account_number: Annotated[str, Meta(pattern=r"^[0-9][0-9-]{6,22}[0-9]\Z")]
    password: Annotated[str, Meta(min_length=1, max_length=64)]


async def authenticate(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, TransferAsk)
    verdict = await company.ledger.write(_check, window_id, ask, company.now())
    return window.answer(company, verdict, window_id)


def _check(book: Book, window_id: str, ask: TransferAsk, now: int) -> window.Verdict:
    order = window.open_order(book, window_id, "trans", now)
    if isinstance(order, window.Refused):
        return order
    if ask.bank_code not in cards.BANKS:
        return window.Refused("UNKNOWN_BANK", "지원하지 않는 은행입니다.")
    if order.wrong_tries >= ACCOUNT_TRIES:
        return window.Refused("ACCOUNT_LOCKED", "비밀번호 5회 오류로 이용할 수 없습니다.", 0)
    expected = cards.DEMO_ACCOUNT["password"].encode()
    if not hmac.compare_digest(expected, ask.password.encode()):
        left = ACCOUNT_TRIES - order.wrong_tries - 1
        message = f"계좌 비밀번호가 올바르지 않습니다. (남은 횟수 {left}회)"
        return window.refuse(book, order, window.Refused("ACCOUNT_AUTH_FAILED", message, left))
    means = Means(bank_code=ask.bank_code, bank_name=cards.BANKS[ask.bank_code])
    return window.accept(book, order, means, now)

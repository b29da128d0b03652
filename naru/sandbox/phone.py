"""Phone: a carrier, a number and a code by text message, which arrives in the inbox (/inbox)."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta, timezone
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from naru.sandbox import cards, window
from naru.sandbox.door import json_response
from naru.sandbox.ledger import SMS_TRIES, Book
from naru.sandbox.orders import Means
from naru.sandbox.vault import Vault

CODE_SECONDS = 180
KST = timezone(timedelta(hours=9))


class CodeAsk(msgspec.Struct):
    carrier: Annotated[str, Meta(max_length=10)]
    number: Annotated[str, Meta(pattern=r"^01[016789]-?[0-9]{3,4}-?[0-9]{4}\Z")]


class CodeAnswer(msgspec.Struct):
    code: Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")]


def rung_often(free_at: int) -> str:
    """Why a phone gets no more codes now, and when it does; to whoever reads the page."""
    at = datetime.fromtimestamp(free_at, KST) + timedelta(minutes=1)
    return (
        f"이 번호로 인증번호를 너무 많이 보냈습니다. {at:%H:%M} 이후에 다시 요청해 주세요."
        f" (Too many codes to this number; again after {at:%H:%M} KST.)"
    )


async def send_code(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, CodeAsk)
    code = f"{secrets.randbelow(10**6):06d}"
    now = company.now()
    refused = await company.ledger.write(_send, company.vault, window_id, ask, code, now)
    if refused is not None:
        return window.answer(company, refused, window_id)
    return json_response({"ok": True, "sent": True, "expires_at": now + CODE_SECONDS})


def _send(
    book: Book, vault: Vault, window_id: str, ask: CodeAsk, code: str, now: int
) -> window.Refused | None:
    order = window.open_order(book, window_id, "phone", now)
    if isinstance(order, window.Refused):
        return order
    offered = order.announced.rules.carriers
    if ask.carrier not in cards.CARRIERS or (offered is not None and ask.carrier not in offered):
        return window.Refused("UNKNOWN_CARRIER", "지원하지 않는 통신사입니다.")
    number = ask.number.replace("-", "")
    free_at = book.ring(vault.mac("ring", number), now)
    if free_at is not None:
        return window.Refused("PHONE_RUNG_OFTEN", rung_often(free_at))
    mac = vault.mac("sms code", window_id, code)
    if not book.send_code(window_id, ask.carrier, mac, now + CODE_SECONDS):
        return window.Refused("TOO_MANY_CODES", "인증번호 요청 횟수를 초과하였습니다.")
    recipient = f"{number[:3]}-****-{number[-4:]}"
    merchant = order.announced.merchant_name
    text = f"[나루 샌드박스] 인증번호 [{code}] {merchant} 결제 (3분 안에 입력)"
    book.post_message(recipient, text, now)
    return None


async def check_code(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, CodeAnswer)
    verdict = await company.ledger.write(_check, company.vault, window_id, ask.code, company.now())
    return window.answer(company, verdict, window_id)


def _check(book: Book, vault: Vault, window_id: str, code: str, now: int) -> window.Verdict:
    order = window.open_order(book, window_id, "phone", now)
    if isinstance(order, window.Refused):
        return order
    sent = book.try_code(window_id, now)
    if sent is None:
        message = "인증번호가 만료되었습니다. 다시 요청해 주세요."
        return window.refuse(book, order, window.Refused("CODE_DEAD", message, 0))
    if not hmac.compare_digest(sent["code_mac"], vault.mac("sms code", window_id, code)):
        left = SMS_TRIES - sent["tries"]
        message = f"인증번호가 올바르지 않습니다. (남은 횟수 {left}회)"
        return window.refuse(book, order, window.Refused("CODE_WRONG", message, left))
    return window.accept(book, order, Means(carrier=sent["carrier"]), now)

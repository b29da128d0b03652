"""The line to the sandbox PG: one signed call, and how its words are read.

Source: docs/reference/sandbox-wire.md. A channel's settings: `url` (the PG's address for us),
`secret` (shared), both kept with the channel.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from naru.connectors import AccountOrder, BarcodeOrder, ChargeOrder
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn, NoAnswer, NotSent
from naru.domain.money import MINOR_DIGITS, MINOR_MAX, Money
from naru.domain.outcome import Declined, Unknown
from naru.domain.text import clean
from naru.wire import Answer, Timeouts, Wire

TIMEOUTS = Timeouts(connect=5.0, read=10.0, total=10.0)
# A notice is booked once by its number, so an old one that is sent again changes nothing. The limit
# refuses ancient recordings only, and loses no deposit to a clock that is an hour off.
NOTICE_SKEW_SECONDS = 7_200
NAME_CHARACTERS_MAX = 100
SECONDS_MAX = 253_402_300_800  # the year 10000, where datetime ends
SILENT = "PG사와 통신할 수 없습니다. 잠시 후 다시 시도해주세요."


class Line:
    """Who asks the sandbox PG. Each family of powers is a class over this one."""

    def __init__(self, wire: Wire, now: Callable[[], datetime]) -> None:
        self._wire = wire
        self._now = now

    async def ask(
        self, channel: Channel, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Any:
        """The PG's signed JSON; `result: not_sent` when it never left us; Unknown when nobody knows."""
        if not {"url", "secret"} <= channel.settings.keys():
            return not_sent("the channel has no address or no secret of its PG")
        raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        base = str(channel.settings["url"]).rstrip("/")
        stamp = str(int(self._now().timestamp()))
        signed_path = urlsplit(base).path + path
        headers = {
            "X-Sandbox-Mid": channel.mid,
            "X-Sandbox-Timestamp": stamp,
            "X-Sandbox-Signature": hmac_of(
                channel, f"{stamp}.{method}.{signed_path}.".encode() + raw
            ),
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = await self._wire.request(
                method, base + path, headers=headers, body=raw, timeouts=TIMEOUTS
            )
        except NotSent as error:
            # It never left us: nothing can have happened over there.
            return not_sent(str(error))
        except NoAnswer as error:
            return Unknown(str(error))
        return signed_json(channel, answer)


def not_sent(why: str) -> dict[str, str]:
    """An answer that never was: nothing left us, so nothing happened over there."""
    return {"result": "not_sent", "code": "NOT_SENT", "message": SILENT, "why": why}


def order_of(channel: Channel, order: ChargeOrder | BarcodeOrder | AccountOrder) -> dict[str, Any]:
    """What every question for an order without a window says of it."""
    buyer = order.buyer
    return {
        "order_no": order.order_no,
        "amount": order.amount.minor,
        "currency": order.amount.currency,
        "item_name": order.name or order.merchant_uid,
        "merchant_name": order.merchant_name,
        "merchant_order_no": order.merchant_uid,
        "profile": channel.pg_code,
        "buyer": {"name": buyer.name, "email": buyer.email, "tel": buyer.tel},
        "test": channel.test,
    }


class Unreadable(ValueError):
    """The PG's words have the right shape and an impossible content."""


def text_of(value: Any) -> str | None:
    """Words of the PG, cleaned; None for anything but text."""
    return clean(value) if isinstance(value, str) else None


def name_of(text: str) -> str:
    """A number or id of the PG, as it is: cleaning would make another one of it."""
    if not text or clean(text) != text or len(text) > NAME_CHARACTERS_MAX:
        raise Unreadable("an id that is none")
    return text


def money_of(minor: int, currency: str) -> Money:
    """An amount of the PG in the smallest unit. Raises Unreadable for what none can be."""
    if isinstance(minor, bool) or not 0 < minor <= MINOR_MAX or currency not in MINOR_DIGITS:
        raise Unreadable("an amount that is none")
    return Money(minor, currency)


def time_of(seconds: int) -> datetime:
    """A time of the PG, in UNIX seconds. Raises Unreadable for what none can be."""
    if isinstance(seconds, bool) or not 0 < seconds < SECONDS_MAX:
        raise Unreadable("a time that is none")
    return datetime.fromtimestamp(seconds, UTC)


def seconds_of(text: str) -> int:
    """UNIX seconds in digits; 0, which is long ago, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0


def hmac_of(channel: Channel, message: bytes) -> str:
    """This message's signature under the channel's secret, in hex."""
    return hmac.new(str(channel.settings["secret"]).encode(), message, hashlib.sha256).hexdigest()


def read_json(body: bytes) -> Any:
    """JSON, or None for what is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def proven_json(channel: Channel, headers: dict[str, str], body: bytes, now: datetime) -> Any:
    """The JSON of a message that the PG sent of its own accord, once its proof is seen.

    Raises ForgedReturn: it is not signed with the channel's secret, or not lately.
    """
    stamp = headers.get("x-sandbox-timestamp", "")
    signature = headers.get("x-sandbox-signature", "")
    expected = hmac_of(channel, stamp.encode("utf-8", "replace") + b"." + body)
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise ForgedReturn("signature")
    if abs(now.timestamp() - seconds_of(stamp)) > NOTICE_SKEW_SECONDS:
        raise ForgedReturn("the message is too old or too new")
    return read_json(body)


def signed_json(channel: Channel, answer: Answer) -> Any:
    """The JSON of an answer that carries the PG's signature; else Unknown: it may be anybody's."""
    stamp = answer.headers.get("X-Sandbox-Timestamp", "")
    expected = hmac_of(channel, stamp.encode("utf-8", "surrogateescape") + b"." + answer.body)
    signature = answer.headers.get("X-Sandbox-Signature", "")
    if not answer.whole or not hmac.compare_digest(
        expected.encode(), signature.encode("utf-8", "surrogateescape")
    ):
        return Unknown(f"HTTP {answer.status} without the PG's signature")
    read = read_json(answer.body)
    if answer.status >= 500 or not isinstance(read, dict):
        return Unknown(f"HTTP {answer.status}, unreadable")
    return read


def read_no(
    answer: Any, asked: str | None = None, name: str = "number", *, again: bool = False
) -> Declined | Unknown:
    """A refusal of the question `asked`, where it is one; anything else is doubt.

    `name` is what its number is called. `again`: it is a repetition, and when that never left, or was
    refused at the door, nothing is said of the first question.
    """
    match answer:
        case {"result": "not_sent" | "error"} if again:
            return Unknown(why(answer))
        case {"result": "error", "code": "CONFLICT"}:
            # The number was asked before with other content; what became of that is the question.
            return Unknown(why(answer))
        case {
            "result": "declined" | "refused" | "not_sent" | "error",
            "code": str(code),
            "message": str(message),
            **rest,
        } if rest.get(name, asked) == asked:
            return Declined(clean(code), clean(message))
        case _:
            return Unknown(why(answer))


def why(answer: Any) -> str:
    """An answer that nothing can be made of, in words fit for a log: no values of it."""
    if isinstance(answer, Unknown):
        return answer.why
    if isinstance(answer, dict):
        return f"{answer.get('result')} {answer.get('code')} with keys {sorted(map(str, answer))}"
    return "unreadable answer"

"""Ask the merchant whether the money may be taken: i'mport's confirm process (webhook.md §6)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from naru.domain.errors import NoAnswer, NotSent
from naru.domain.money import Money
from naru.wire import Timeouts, Wire

# The merchant has ten seconds for everything, and the buyer is waiting.
TIMEOUTS = Timeouts(connect=10.0, read=10.0, total=10.0)
REASON_CHARACTERS_MAX = 200
_UNKNOWN = "알 수 없음"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The merchant said 200: go on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The merchant said no, or did not say yes in time. `sentence` becomes the fail reason."""

    sentence: str


async def ask_merchant(
    wire: Wire,
    url: str,
    imp_uid: str,
    merchant_uid: str,
    amount: Money,
    *,
    timeouts: Timeouts = TIMEOUTS,
) -> Confirmed | Refused:
    """POST `{imp_uid, merchant_uid, amount}`; only HTTP 200 within ten seconds lets the approval go on."""
    try:
        answer = await wire.post_json(
            url,
            {"imp_uid": imp_uid, "merchant_uid": merchant_uid, "amount": amount.to_wire()},
            timeouts=timeouts,
        )
    except (NotSent, NoAnswer):
        return refused(_UNKNOWN)
    if answer.status == 200:
        return Confirmed()
    return refused(read_reason(answer.body))


def refused(reason: str) -> Refused:
    """i'mport's sentence around the merchant's reason."""
    return Refused(f"고객사 요청에 의해 결제를 중단합니다. (상세사유 : {reason})")


def read_reason(body: bytes) -> str:
    """`reason` of the merchant's JSON answer, on one line; `알 수 없음` when it gives none."""
    try:
        said = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return _UNKNOWN
    reason = said.get("reason") if isinstance(said, dict) else None
    if not isinstance(reason, str):
        return _UNKNOWN
    # The buyer will read it: no control characters, no half characters, not a novel.
    reason = reason.encode("utf-8", "ignore").decode("utf-8")
    words = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    return words[:REASON_CHARACTERS_MAX] or _UNKNOWN

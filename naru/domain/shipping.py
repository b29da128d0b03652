"""Shipping of an escrow order: what the PG is told, so that its buyer may confirm it.

Source: protocol facts, REST §9 and §11.3, models §8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from naru.domain.errors import Refused

SHIP = frozenset(["html5_inicis", "kcp", "daou", "ksnet", "smartro_v2", "nice_v2", "welcome"])
CHANGE_SHIPPING = SHIP - {"nice_v2"}

COURIERS: dict[str, str] = {
    "HYUNDAI": "롯데택배",
    "HANARO": "하나로택배",
    "SAGAWA": "SC로지스",
    "KGB": "로젠택배",
    "YELLOWCAP": "옐로우캡",
    "DONGBU": "동부택배",
    "EPOST": "우체국택배",
    "CJGLS": "CJ대한통운",
    "HANJIN": "한진택배",
    "DAESIN": "대신택배",
    "REGISTPOST": "우편등기",
    "CHUNIL": "천일택배",
    "ILYANG": "일양로지스",
    "CVSNET": "편의점택배",
    "KDEXP": "경동택배",
    "HONAM": "우리택배",
    "HDEXP": "합동택배",
    "ETC": "기타",
}
# Names of a 2018 manual for what goes by another code today.
_RETIRED = {"LOGEN": "KGB", "KOREX": "CJGLS"}


def courier(code: str) -> str:
    """The courier's code; what nobody knows is ETC, as i'mport does."""
    known = code.strip().upper()
    known = _RETIRED.get(known, known)
    return known if known in COURIERS else "ETC"


class NotShippable(Refused):
    """Not a payment that may be shipped by escrow, or not in its present state."""

    sentence = "배송정보를 등록(수정)할 수 없는 결제건입니다."


class AlreadyShipped(Refused):
    """A shipment is told once; after that it is changed."""

    sentence = "이미 배송정보가 등록된 결제건입니다."


class NotShipped(Refused):
    """There is no shipment to read or to change."""

    sentence = "등록된 배송정보가 존재하지 않습니다."


class ErrandInProgress(Refused):
    """The PG is being told, and nobody knows yet whether it heard."""

    sentence = "PG사에 요청한 결과를 확인하고 있습니다. 잠시 후 다시 시도해주세요."


@dataclass(frozen=True, slots=True)
class Errand:
    """Something a PG is told of a payment that moves no money: `kind` is ship, reship, split_slip or
    change_account.

    asking → done | refused. `said` is the question in the PG's terms, kept (sealed) until it is answered;
    `became` is what stands since then.
    """

    id: int
    merchant_id: int
    imp_uid: str
    kind: str
    number: str
    state: str
    asked_at: datetime
    said: dict[str, Any] = field(default_factory=dict, repr=False)
    became: dict[str, Any] = field(default_factory=dict)
    ended_at: datetime | None = None
    fail_code: str | None = None
    fail_reason: str | None = None
    tries: int = 0
    fence: int = 0


@dataclass(frozen=True, slots=True)
class ErrandDone:
    """The PG heard it. `became` is its own word of what stands now."""

    number: str
    became: dict[str, Any]

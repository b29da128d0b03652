"""Reads what IMP.certification carried. All of it was chosen by somebody's browser."""

from __future__ import annotations

import re
from typing import Any

from naru.checkout.read_request import Asked, read_language, read_return_url
from naru.domain.certification import window_mode
from naru.domain.channel import Channel
from naru.domain.errors import BadRequest
from naru.domain.ids import MerchantUid
from naru.domain.merchant import NULL_ORIGIN, Merchant, origin_of
from naru.domain.payment import Surface
from naru.domain.pg_profile import Mode
from naru.payments.certify import CertificationOpening

ORIGIN_LENGTH_MAX = 2_000
AGE_MAX = 150

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_CARRIERS = {"SKT": "SKT", "KT": "KT", "KTF": "KT", "LGT": "LGT", "MVNO": "MVNO"}
_PREFILL = {"name": 20, "company": 100}


def read_certification(
    asked: Asked, merchant: Merchant, channel: Channel, *, page_origin: str, page_url: Any
) -> CertificationOpening:
    """Read the parameters of SDK facts §8. Raises BadRequest."""
    param = asked.param
    merchant_uid = asked.merchant_uid
    if merchant_uid is None:
        raise BadRequest("merchant_uid 는 제어문자가 없는 1~40자의 문자열이어야 합니다.")
    mobile = asked.surface is Surface.MOBILE
    return_url = read_return_url(param.get("m_redirect_url"), merchant)
    mode = window_mode(mobile=mobile, popup=param.get("popup") in (True, "true"))
    if asked.mode is Mode.REDIRECT and return_url is not None:
        # The browser blocked the popup, and the person goes on in the page itself.
        mode = Mode.REDIRECT
    if mode is Mode.REDIRECT and return_url is None:
        raise BadRequest("모바일 본인인증에는 m_redirect_url 또는 popup: true 가 필요합니다.")
    return CertificationOpening(
        merchant=merchant,
        channel=channel,
        merchant_uid=MerchantUid(merchant_uid),
        mobile=mobile,
        mode=mode,
        page_origin=page_origin,
        origin=_page(page_url, page_origin),
        return_url=return_url,
        request_id=asked.request_id,
        language=read_language(param),
        min_age=_min_age(param.get("min_age")),
        prefill=_prefill(param),
    )


def _min_age(given: Any) -> int | None:
    if given in (None, ""):
        return None
    text = str(given).strip() if isinstance(given, int | str) and given is not True else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= AGE_MAX):
        raise BadRequest(f"min_age 는 0~{AGE_MAX} 사이의 정수여야 합니다.")
    return int(text)


def _prefill(param: dict[str, Any]) -> dict[str, str]:
    """What the window is filled with beforehand; what has no sense there is left out."""
    prefill: dict[str, str] = {}
    for name, length_max in _PREFILL.items():
        given = param.get(name)
        if isinstance(given, str) and given.strip():
            prefill[name] = _CONTROL.sub(" ", given)[:length_max].strip()
    phone = re.sub(r"[^0-9]", "", str(param.get("phone") or ""))[:11]
    if phone:
        prefill["phone"] = phone
    carrier = _CARRIERS.get(str(param.get("carrier") or "").upper())
    if carrier is not None:
        prefill["carrier"] = carrier
    return prefill


def _page(page_url: Any, page_origin: str) -> str:
    """The page that asked, as long as the browser's own Origin agrees with it; else that Origin."""
    if not isinstance(page_url, str) or not 0 < len(page_url) <= ORIGIN_LENGTH_MAX:
        return page_origin
    if page_origin != NULL_ORIGIN and origin_of(page_url) != page_origin:
        return page_origin
    return _CONTROL.sub("", page_url)

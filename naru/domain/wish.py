"""What a person does at a PG without paying: a wish list (네이버페이 찜), a look after a wallet (BrandPay)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naru.domain.errors import BadRequest
from naru.domain.merchant import NULL_ORIGIN
from naru.domain.text import clean

PRODUCTS_MAX = 50
TEXT_MAX = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """One product, as the merchant's page names it."""

    id: str
    name: str


def read_wishes(given: Any) -> tuple[Wish, ...]:
    """Read `naverProducts` of `IMP.naver_zzim`. Raises BadRequest when nothing can be wished for."""
    if not isinstance(given, list) or not 0 < len(given) <= PRODUCTS_MAX:
        raise BadRequest(f"naverProducts 는 1~{PRODUCTS_MAX}개의 상품 배열이어야 합니다.")
    wishes = []
    for each in given:
        named = each if isinstance(each, dict) else {}
        product, name = (_line(named.get(key)) for key in ("id", "name"))
        if not product or not name:
            raise BadRequest("naverProducts 의 각 상품에는 id 와 name 이 필요합니다.")
        wishes.append(Wish(product, name))
    return tuple(wishes)


WALLET_ACTS = ("setupPassword", "getPaymentMethods", "openSettings")


@dataclass(frozen=True, slots=True)
class WalletVisit:
    """What a shop's customer does at their wallet. `page_origin` is the page that hears how it ended,
    `request_id` the name by which it knows this visit.
    """

    customer_key: str
    act: str
    page_origin: str
    request_id: str


def read_wallet_visit(param: dict[str, Any], page_origin: str) -> WalletVisit:
    """Read what a function of `IMP.loadModule("toss-brandpay")` asks for. Raises BadRequest."""
    key, act, request_id = (_line(param.get(name)) for name in ("customerKey", "act", "request_id"))
    if not key or act not in WALLET_ACTS or not request_id or page_origin == NULL_ORIGIN:
        raise BadRequest("브랜드페이 고객(customerKey)과 요청을 확인할 수 없습니다.")
    return WalletVisit(key, act, page_origin, request_id)


def _line(given: Any) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int):
        return ""
    return clean(str(given).replace("\u2028", " ").replace("\u2029", " "))[:TEXT_MAX]

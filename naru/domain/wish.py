"""A wish list (네이버페이 찜): products of a page that a person wants to find again. No money, no order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naru.domain.errors import BadRequest
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


def _line(given: Any) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int):
        return ""
    return clean(str(given).replace("\u2028", " ").replace("\u2029", " "))[:TEXT_MAX]

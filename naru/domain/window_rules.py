"""What the merchant's page asks of the payment window: which cards, how many months, what is shown.

Source: SDK facts §5, flows §16. The buyer's browser wrote all of it, so that none of it guards money:
it narrows what the PG's window offers. What cannot be meant is refused with a sentence (BadRequest).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from naru.domain.errors import BadRequest
from naru.domain.pg_profile import PgProfile, allowed_installments

CARD_RULES_MAX = 60
PRODUCTS_MAX = 50
MONTHS_MAX = 60
TEXT_MAX = 100
AMOUNT_MAX = 10**12

_CARD_CODE = re.compile(r"[0-9A-Z]{2,5}")
_DAY = re.compile(r"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_CARRIERS = {"SKT": "SKT", "KTF": "KT", "KT": "KT", "LGT": "LGU", "LGU": "LGU"}
# CJH, KCT and SKL are companies of budget lines, whom our windows call by one name.
_CARRIERS.update(dict.fromkeys(("CJH", "KCT", "SKL", "MVNO"), "MVNO"))


@dataclass(frozen=True, slots=True)
class CardRule:
    """One row of `card.detail`: a card company by its standard code, or all of them (`*`)."""

    code: str
    enabled: bool = True
    max_months: int | None = None


@dataclass(frozen=True, slots=True)
class DirectCard:
    """`card.direct`: the window begins at this card company; `months` None leaves them to the buyer."""

    code: str
    months: int | None


@dataclass(frozen=True, slots=True)
class Product:
    """A line of `products`, for the buyer to read. `unit_price` is in the order's major units, as it came."""

    name: str
    quantity: int = 1
    unit_price: int | float | None = None


@dataclass(frozen=True, slots=True)
class WindowRules:
    """All of it. `months` None leaves the months to the PG; 0 among them is a lump sum."""

    months: tuple[int, ...] | None = None
    cards: tuple[CardRule, ...] = ()
    direct: DirectCard | None = None
    free_interest: bool = False
    app_card_only: bool = False
    carriers: tuple[str, ...] | None = None
    phone: str | None = None
    company: str | None = None
    period: str | None = None
    products: tuple[Product, ...] = ()


def read_rules(
    param: dict[str, Any], manners: PgProfile, *, mobile: bool, amount_minor: int, currency: str
) -> WindowRules:
    """What `param` (of request_pay) asks of this PG's window. Raises BadRequest."""
    display, card = _object(param, "display"), _object(param, "card")
    rule = manners.quota_rule_mobile if mobile and manners.quota_rule_mobile else manners.quota_rule
    wanted = _months(display.get("card_quota"))
    if wanted is None and manners.lump_sum_unless_asked and not mobile:
        wanted = []
    months = allowed_installments(rule, wanted, amount_minor=amount_minor, currency=currency)
    if display.get("only_installment") is True and months != [0]:
        months = [each for each in (months or range(2, 13)) if each] or [0]
    if card.get("useInstallment") is False:
        months = [0]
    if param.get("useCardPoint") is False and manners.card_points_always:
        _refuse(f"{manners.pg_code} 은(는) useCardPoint: false 를 지원하지 않습니다.")
    return WindowRules(
        months=None if months is None else tuple(months),
        cards=_card_rules(card.get("detail")),
        direct=_direct(card.get("direct"), manners),
        free_interest=param.get("useFreeInterestFromMall") is True,
        app_card_only=param.get("appCard") is True,
        carriers=_carriers(_object(param, "phone")),
        phone=_line(_object(param, "prefill").get("phoneNumber")),
        company=_line(param.get("company")),
        period=_period(param.get("period"), manners),
        products=_products(param),
    )


def _object(param: dict[str, Any], name: str) -> dict[str, Any]:
    given = param.get(name)
    return given if isinstance(given, dict) else {}


def _months(given: Any) -> list[int] | None:
    if not isinstance(given, list):
        return None
    return [count for each in given if (count := _count(each)) is not None]


def _count(given: Any) -> int | None:
    """A number of months as some pages write it: 3 or "03"."""
    text = str(given) if isinstance(given, int | str) and not isinstance(given, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else None


def _card_rules(given: Any) -> tuple[CardRule, ...]:
    if given in (None, ""):
        return ()
    if not isinstance(given, list) or len(given) > CARD_RULES_MAX:
        _refuse(f"card.detail 은 {CARD_RULES_MAX}개 이하의 배열이어야 합니다.")
    rules = []
    for each in given:
        code = each.get("card_code") if isinstance(each, dict) else None
        if not isinstance(code, str) or (code != "*" and not _CARD_CODE.fullmatch(code)):
            _refuse("card.detail 의 card_code 는 카드사 코드 또는 * 이어야 합니다.")
        most = each.get("max_month")
        if most is not None and ((most := _count(most)) is None or most > MONTHS_MAX):
            _refuse(f"card.detail 의 max_month 는 0~{MONTHS_MAX} 사이의 숫자여야 합니다.")
        rules.append(CardRule(code, each.get("enabled") is not False, most))
    return tuple(rules)


def _direct(given: Any, manners: PgProfile) -> DirectCard | None:
    if given in (None, ""):
        return None
    code = given.get("code") if isinstance(given, dict) else None
    if not isinstance(code, str) or not _CARD_CODE.fullmatch(code):
        _refuse("card.direct 의 code 는 카드사 코드여야 합니다.")
    quota = given.get("quota")
    if quota in (None, ""):
        if manners.direct_needs_quota:
            _refuse(f"{manners.pg_code} 은(는) card.direct 에 quota 가 필요합니다.")
        return DirectCard(code, 0 if manners.direct_is_lump_sum else None)
    months = _count(quota)
    if months is None or months > MONTHS_MAX:
        _refuse(f"card.direct 의 quota 는 0~{MONTHS_MAX} 사이의 숫자여야 합니다.")
    return DirectCard(code, 0 if months == 1 else months)


def _carriers(phone: dict[str, Any]) -> tuple[str, ...] | None:
    detail = phone.get("detail")
    if isinstance(detail, list):
        allowed = dict.fromkeys(_CARRIERS.values(), True)
        for each in detail[:CARD_RULES_MAX]:
            name = each.get("carrier") if isinstance(each, dict) else None
            enabled = isinstance(each, dict) and each.get("enabled") is not False
            names = list(allowed) if name == "*" else [_CARRIERS.get(str(name), "")]
            allowed.update({one: enabled for one in names if one})
        return tuple(name for name, enabled in allowed.items() if enabled) or _refuse(
            "phone.detail 에 사용할 수 있는 통신사가 없습니다."
        )
    one = _CARRIERS.get(str(phone.get("carrier", "")).upper())
    return None if one is None else (one,)


def _period(given: Any, manners: PgProfile) -> str | None:
    """For how long a service is sold: `20261101~20261130`, or an interval such as `1m`."""
    if given in (None, "", {}):
        return None
    if not isinstance(given, dict):
        _refuse("period 는 {from, to} 또는 {interval} 형식이어야 합니다.")
    since, until, interval = (given.get(name) for name in ("from", "to", "interval"))
    if interval not in (None, "") and (since or until):
        _refuse("제공 기간은 range와 interval 둘 중 하나만 입력해주세요")
    if interval not in (None, ""):
        words = manners.period_intervals
        if not isinstance(interval, str) or not (words is None or interval in words):
            _refuse(f"period.interval 은 {', '.join(words or ())} 가운데 하나여야 합니다.")
        return _line(interval)
    if not (_is_day(since) and _is_day(until)):
        _refuse("period 는 from 과 to 를 모두 YYYYMMDD 로 입력해야 합니다.")
    if str(since) > str(until):
        _refuse("period 의 from 은 to 보다 늦을 수 없습니다.")
    return f"{since}~{until}"


def _is_day(given: Any) -> bool:
    return isinstance(given, str) and _DAY.fullmatch(given) is not None


def _products(param: dict[str, Any]) -> tuple[Product, ...]:
    """`products`, or the older names of KCP and KICC for orders with escrow."""
    for name in ("products", "escrowProducts", "kcpProducts", "kiccProducts"):
        given = param.get(name)
        if not isinstance(given, list) or not given:
            continue
        if len(given) > PRODUCTS_MAX:
            _refuse(f"{name} 은 {PRODUCTS_MAX}개까지 지정할 수 있습니다.")
        read = []
        for each in given:
            title = _line(each.get("name")) if isinstance(each, dict) else None
            if title is None:
                _refuse(f"{name} 의 각 항목에는 name 이 필요합니다.")
            price = each.get("unitPrice", each.get("amount"))
            quantity = _count(each.get("quantity", 1))
            if quantity is None:
                _refuse(f"{name} 의 quantity 는 숫자여야 합니다.")
            read.append(Product(title, quantity, _price(price)))
        return tuple(read)
    return ()


def _price(given: Any) -> int | float | None:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        price = float(given)
    except ValueError:
        return None
    if not math.isfinite(price) or not 0 <= price <= AMOUNT_MAX:
        return None
    return int(price) if price.is_integer() else price


def _line(given: Any) -> str | None:
    """A person's text on one line, cut."""
    if isinstance(given, bool) or not isinstance(given, str | int):
        return None
    return (
        re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+", " ", str(given)).strip()[:TEXT_MAX]
        or None
    )


def _refuse(sentence: str) -> NoReturn:
    raise BadRequest(sentence)

"""Reads what request_pay carried. All of it was chosen by the buyer's browser (RELIABILITY §2.4).

i'mport's words end here: what leaves this file is an `Opening` of our own words. Everything that is
malformed or not allowed raises a Refused whose sentence the callback will show.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from naru.domain.billing_key import amount_of_keeping
from naru.domain.channel import Channel
from naru.domain.errors import BadAmount, BadRequest
from naru.domain.ids import MerchantUid, is_merchant_uid
from naru.domain.merchant import Merchant, allows_return, allows_webhook
from naru.domain.money import Money
from naru.domain.pay_method import PAY_METHODS
from naru.domain.payment import Buyer, Surface
from naru.domain.pg_profile import Mode, PgProfile, Shape, profile
from naru.domain.window_rules import read_rules
from naru.payments.start import Opening

BODY_BYTES_MAX = 64 * 1024
DEPTH_MAX = 32
URL_LENGTH_MAX = 2_000
WEBHOOK_URLS_MAX = 5
NAME_LENGTH_MAX = 100
CUSTOMER_UID_LENGTH_MAX = 80
# V1's columns: what is longer is cut, as i'mport does (SDK facts §5).
BUYER_LENGTHS = {"name": 16, "tel": 16, "email": 64, "addr": 128, "postcode": 8}
LANGUAGES = {"ko": "ko", "en": "en", "zh": "zh", "ja": "ja", "jp": "ja"}

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
# Unicode's own line breaks (U+2028, U+2029) are no letters of a name either.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_USER_CODE = re.compile(r"[A-Za-z0-9_-]{1,40}")
_WORD = re.compile(r"[A-Za-z0-9_.\-]{1,80}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,60})(?:://)?")


@dataclass(frozen=True, slots=True)
class Asked:
    """The envelope of POST /checkout/payments. `param` is what the merchant gave to request_pay."""

    user_code: str
    tier_code: str | None
    param: dict[str, Any]
    surface: Surface
    mode: Mode | None
    generation: Literal["old", "new"]
    request_id: str

    @property
    def merchant_uid(self) -> str | None:
        """The order number to name in a refusal, if it is one."""
        given = self.param.get("merchant_uid")
        text = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
        return text if isinstance(text, str) and is_merchant_uid(text) else None

    def shape(self, manners: PgProfile) -> Shape:
        """The callback's shape: the minimal one exists in the new SDK file only."""
        return manners.shape if self.generation == "new" else Shape.FULL

    def window_mode(self, manners: PgProfile) -> Mode:
        """How the window opens. The SDK may have opened a popup, or ask to go on by redirect.

        A redirect that it asks for needs somewhere to come back to.
        """
        popup = self.param.get("popup")
        if self.param.get("naverPopupMode") is True:
            popup = True
        mode = manners.mode(
            mobile=self.surface is Surface.MOBILE,
            popup=popup if isinstance(popup, bool) else None,
            return_url=bool(self.param.get("m_redirect_url")),
        )
        if self.mode is Mode.REDIRECT and self.param.get("m_redirect_url"):
            return Mode.REDIRECT
        return mode


def is_user_code(text: str) -> bool:
    """Is this a 가맹점식별코드 that a merchant may have?"""
    return _USER_CODE.fullmatch(text) is not None


def read_asked(raw: bytes) -> Asked:
    """Read the body of POST /checkout/payments. Raises BadRequest."""
    body = read_json_object(raw)
    user_code, request_id = body.get("user_code"), body.get("request_id")
    if not isinstance(user_code, str) or not is_user_code(user_code):
        _refuse("가맹점 식별코드가 올바르지 않습니다.")
    if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
        _refuse("request_id 가 올바르지 않습니다.")
    param, tier_code, mode = body.get("param"), body.get("tier_code"), body.get("mode")
    if not isinstance(param, dict):
        _refuse("결제요청 파라메터가 누락되었습니다.")
    if tier_code is not None and not isinstance(tier_code, str):
        _refuse("하위 가맹점 식별코드(tier_code)가 올바르지 않습니다.")
    if body.get("surface") not in ("pc", "mobile"):
        _refuse("surface 는 pc 또는 mobile 이어야 합니다.")
    if body.get("generation") not in ("old", "new"):
        _refuse("generation 은 old 또는 new 여야 합니다.")
    if mode not in (None, "iframe", "popup", "redirect"):
        _refuse("mode 는 iframe, popup, redirect 가운데 하나여야 합니다.")
    return Asked(
        user_code=user_code,
        tier_code=tier_code,
        param=param,
        surface=Surface(body["surface"]),
        mode=None if mode is None else Mode(mode),
        generation=body["generation"],
        request_id=request_id,
    )


def read_json_object(raw: bytes) -> dict[str, Any]:
    """Strict JSON: UTF-8, no key twice, no NaN, nothing that a database cannot keep. Raises BadRequest."""
    if len(raw) > BODY_BYTES_MAX:
        _refuse("요청이 너무 큽니다.")
    try:
        body = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant
        )
        if not isinstance(body, dict):
            _refuse("요청을 읽을 수 없습니다.")
        _check_storable(body, 0)
    except (ValueError, RecursionError):
        _refuse("요청을 읽을 수 없습니다.")
    return body


def read_opening(
    asked: Asked,
    merchant: Merchant,
    channel: Channel,
    *,
    page_origin: str,
    user_agent: str | None,
) -> Opening:
    """Read the parameters for this merchant and channel. Raises BadRequest and BadAmount."""
    param = asked.param
    manners = profile(channel.pg_code)
    for name in manners.required:
        if param.get(name) in (None, ""):
            _refuse(f"{channel.pg_code} 결제에는 {name} 파라미터가 필요합니다.")
    merchant_uid = asked.merchant_uid
    if merchant_uid is None:
        _refuse("merchant_uid 는 제어문자가 없는 1~40자의 문자열이어야 합니다.")
    currency = _text(param, "currency") or manners.currency
    pay_method = _pay_method(param, manners)
    customer_uid = read_customer_uid(param)
    given = _money(param, "amount", currency)
    if customer_uid is None:
        amount = given or _no_amount()
    else:
        amount = amount_of_keeping(
            channel.pg_code, pay_method, given or Money.from_wire(0, currency)
        )
    _check_manners(param, manners, merchant_uid, amount, pay_method)
    read_rules(
        param,
        manners,
        mobile=asked.surface is Surface.MOBILE,
        amount_minor=amount.minor,
        currency=amount.currency,
    )
    vat = "vat_amount" if param.get("vat_amount") is not None else "vat"
    return Opening(
        merchant=merchant,
        channel=channel,
        merchant_uid=MerchantUid(merchant_uid),
        amount=amount,
        surface=asked.surface,
        pay_method=pay_method,
        tax_free=_money(param, "tax_free", currency) if amount else None,
        vat=_money(param, vat, currency) if amount else None,
        name=_cut(param, "name", NAME_LENGTH_MAX),
        buyer=Buyer(
            **{field: _cut(param, f"buyer_{field}", most) for field, most in BUYER_LENGTHS.items()}
        ),
        custom_data=_custom_data(param.get("custom_data")),
        user_agent=_CONTROL.sub(" ", user_agent)[:500] if user_agent else None,
        language=read_language(param),
        escrow=_flag(param, "escrow"),
        webhook_urls=_webhook_urls(param.get("notice_url"), merchant),
        confirm_url=_confirm_url(param.get("confirm_url"), merchant),
        return_url=read_return_url(param.get("m_redirect_url"), merchant),
        app_scheme=_app_scheme(param.get("app_scheme"), merchant),
        page_origin=page_origin,
        window_mode=asked.window_mode(manners),
        callback_shape=asked.shape(manners),
        request_id=asked.request_id,
        request=param,
        customer_uid=customer_uid,
        customer_uid_usage=None if customer_uid is None else "issue",
    )


def read_customer_uid(param: dict[str, Any]) -> str | None:
    """The name under which the card is to be kept. Raises BadRequest."""
    given = param.get("customer_uid")
    if given in (None, ""):
        return None
    text = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if (
        not isinstance(text, str)
        or len(text) > CUSTOMER_UID_LENGTH_MAX
        or _CONTROL.search(text) is not None
    ):
        _refuse("customer_uid 는 제어문자가 없는 1~80자의 문자열이어야 합니다.")
    return text


def _check_manners(
    param: dict[str, Any],
    manners: PgProfile,
    merchant_uid: str,
    amount: Money,
    pay_method: str,
) -> None:
    """What this PG needs beyond what every PG needs (flows §16.1). Raises BadRequest and BadAmount."""
    for need in manners.needs:
        if (not need.methods or pay_method in need.methods) and param.get(need.name) in (None, ""):
            _refuse(need.words or f"{manners.pg_code} 결제에는 {need.name} 파라미터가 필요합니다.")
    if manners.plain_order_number and not (merchant_uid.isascii() and merchant_uid.isalnum()):
        _refuse(f"{manners.pg_code} 의 merchant_uid 는 영문자와 숫자만 사용할 수 있습니다.")
    if manners.currencies and amount.currency not in manners.currencies:
        words = f"{manners.pg_code} 은(는) {amount.currency} 결제를 지원하지 않습니다."
        _refuse(manners.currency_words or words)
    if amount.currency == "KRW" and 0 < amount.minor < manners.minimum:
        raise BadAmount(f"{manners.pg_code} 의 최소 결제금액은 {manners.minimum}원입니다.")


def read_language(param: dict[str, Any]) -> str:
    """`language`, or `locale` where samples use it; Korean when it is none that we speak."""
    given = param.get("language") or param.get("locale")
    return LANGUAGES.get(given[:2].lower(), "ko") if isinstance(given, str) else "ko"


def read_return_url(given: Any, merchant: Merchant) -> str | None:
    """m_redirect_url, if the merchant registered its origin. Raises BadRequest."""
    url = _url(given, "m_redirect_url")
    if url is not None and not allows_return(merchant, url):
        _refuse("m_redirect_url 이 가맹점에 등록된 주소가 아닙니다.")
    return url


def _webhook_urls(given: Any, merchant: Merchant) -> tuple[str, ...]:
    many = given if isinstance(given, list) else [given]
    if len(many) > WEBHOOK_URLS_MAX:
        _refuse(f"notice_url 은 {WEBHOOK_URLS_MAX}개까지 지정할 수 있습니다.")
    urls = tuple(url for each in many if (url := _url(each, "notice_url")) is not None)
    if not all(allows_webhook(merchant, url) for url in urls):
        _refuse("notice_url 이 가맹점에 등록된 주소가 아닙니다.")
    return tuple(dict.fromkeys(urls))


def _confirm_url(given: Any, merchant: Merchant) -> str | None:
    url = _url(given, "confirm_url")
    if url is not None and not allows_webhook(merchant, url):
        _refuse("confirm_url 이 가맹점에 등록된 주소가 아닙니다.")
    return url


def _app_scheme(given: Any, merchant: Merchant) -> str | None:
    if given in (None, ""):
        return None
    match = _SCHEME.fullmatch(given) if isinstance(given, str) else None
    if match is None or match[1].lower() not in merchant.allowed_app_schemes:
        _refuse("app_scheme 이 가맹점에 등록되어 있지 않습니다.")
    return match[1].lower()


def _url(given: Any, name: str) -> str | None:
    if given in (None, ""):
        return None
    if not isinstance(given, str) or len(given) > URL_LENGTH_MAX:
        _refuse(f"{name} 은 {URL_LENGTH_MAX}자 이하의 주소여야 합니다.")
    return given


def _pay_method(param: dict[str, Any], manners: PgProfile) -> str:
    if manners.wallet is not None:
        return manners.wallet
    given = _text(param, "pay_method") or "card"
    if len(manners.methods) == 1:
        # A PG of one method (danal: phone) is not asked for another.
        return manners.methods[0]
    if given not in PAY_METHODS:
        _refuse(f"지원하지 않는 결제수단입니다: {given[:20]}")
    if not manners.takes(given):
        _refuse(
            "결제 창 호출에 실패하였습니다. "
            f"해당 PG사({manners.pg_code})에서 지원하지 않는 결제수단({given})입니다."
        )
    return given


def _money(param: dict[str, Any], name: str, currency: str) -> Money | None:
    given = param.get(name)
    if given is None or (given == "" and name != "amount"):
        return None
    if not isinstance(given, int | float | str) or isinstance(given, bool):
        raise BadAmount(f"{name} 은(는) 숫자여야 합니다.")
    return Money.from_wire(given, currency)


def _no_amount() -> NoReturn:
    raise BadAmount


def _text(param: dict[str, Any], name: str) -> str | None:
    """A word of a protocol: pg, currency, pay_method …"""
    given = param.get(name)
    if given in (None, ""):
        return None
    if not isinstance(given, str) or not _WORD.fullmatch(given):
        _refuse(f"{name} 파라미터가 올바르지 않습니다.")
    return given


def read_channel_words(param: dict[str, Any]) -> tuple[str | None, str | None]:
    """`channelKey` and `pg`. Raises BadRequest."""
    return _text(param, "channelKey"), _text(param, "pg")


def _cut(param: dict[str, Any], name: str, length_max: int) -> str | None:
    """A person's text: cut to its length, control characters become spaces. Numbers are read as text."""
    given = param.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        _refuse(f"{name} 파라미터는 문자열이어야 합니다.")
    return _CONTROL.sub(" ", str(given))[:length_max].strip()


def _flag(param: dict[str, Any], name: str) -> bool:
    return param.get(name) in (True, 1, "true", "1", "Y")


def _custom_data(given: Any) -> str | None:
    if given is None or isinstance(given, str):
        return given
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice, and two readers may believe two amounts")
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _check_storable(value: Any, depth: int) -> None:
    """Raises ValueError for what jsonb or another reader would not take."""
    if depth > DEPTH_MAX:
        raise ValueError("nested too deep")
    match value:
        case str():
            if _UNSTORABLE.search(value):
                raise ValueError("NUL or half of a surrogate pair")
        case float():
            if not math.isfinite(value):
                raise ValueError("not a finite number")
        case int():
            if abs(value) > 2**63:
                raise ValueError("a number that no other reader takes")
        case dict():
            for key, item in value.items():
                _check_storable(key, depth)
                _check_storable(item, depth + 1)
        case list():
            for item in value:
                _check_storable(item, depth + 1)


def _refuse(sentence: str) -> NoReturn:
    raise BadRequest(sentence)

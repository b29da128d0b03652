"""The manners of every i'mport `pg` code: window mode by device, result, shape, defaults (data).

Facts of the V1 protocol (SDK facts §4, §6.2; flows §16), not of one connector: a sandbox channel
imitates them, a real connector relies on them. The SDK gets the same table (checkout/sdk).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from naru.domain.pay_method import canonical


class Mode(StrEnum):
    """How the payment window is opened."""

    IFRAME = "iframe"
    REDIRECT = "redirect"
    POPUP = "popup"


class Shape(StrEnum):
    """Which object the callback gets (SDK facts §6)."""

    FULL = "full"
    MINIMAL = "minimal"


@dataclass(frozen=True, slots=True)
class Need:
    """A parameter that this PG needs with these methods (all of them when there is none), and the words when it is missing."""

    name: str
    methods: tuple[str, ...] = ()
    words: str | None = None


@dataclass(frozen=True, slots=True)
class PgProfile:
    """One pg code. `popup_*` name and size the popup; `popup_param` says that `popup: true` makes one, `popup_off` that `popup: false` unmakes it."""

    pg_code: str
    pc: Mode = Mode.IFRAME
    mobile: Mode = Mode.REDIRECT
    redirect_result: bool = False  # the answer goes to m_redirect_url on PC too
    mobile_by_redirect_url: bool = (
        False  # sources differ: redirect if m_redirect_url is given, else iframe
    )
    popup_param: bool = False
    popup_off: bool = False
    popup_name: str = "IMP_PAYMENT"
    popup_size: tuple[int, int] = (720, 720)
    shape: Shape = Shape.FULL
    currency: str = "KRW"
    refuses_currency: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("card", "trans", "vbank", "phone")
    wallet: str | None = None  # pay_method is ignored; this is what the buyer meets
    required: tuple[str, ...] = ()
    quota_rule: str = "listed"  # listed | up_to_max | range | exact | first | ignored
    quota_rule_mobile: str | None = None  # where it is another one
    lump_sum_unless_asked: bool = False  # on PC, without display.card_quota
    direct_needs_quota: bool = False  # card.direct is refused without its months
    direct_is_lump_sum: bool = False  # card.direct without months means none
    card_points_always: bool = False  # useCardPoint: false is refused
    period_intervals: tuple[str, ...] | None = None  # the words of period.interval; None: any
    needs: tuple[Need, ...] = ()
    plain_order_number: bool = False  # merchant_uid of letters and digits only
    minimum: int = 0  # in the smallest unit, for won
    currencies: tuple[str, ...] = ()  # empty: any that it does not refuse
    currency_words: str | None = None
    mid: str = "sandbox"  # what a sandbox channel of this code is called
    cancel_words: str = "[결제포기] 사용자가 결제를 취소하셨습니다"

    def takes(self, pay_method: str) -> bool:
        """Can this PG be paid by that? Of a PG that nobody knows nobody knows it either."""
        of_pg = {canonical(each) for each in self.methods}
        return canonical(pay_method) in of_pg or self.pg_code not in PROFILES

    def mode(self, *, mobile: bool, popup: bool | None, return_url: bool) -> Mode:
        """How the window opens for this device and the merchant's `popup` parameter."""
        mode = self.mobile if mobile else self.pc
        if mobile and self.mobile_by_redirect_url and not return_url:
            mode = Mode.IFRAME
        if popup is True and self.popup_param:
            return Mode.POPUP
        if popup is False and self.popup_off and mode is Mode.POPUP:
            return Mode.IFRAME
        return mode

    def to_sdk(self) -> dict[str, Any]:
        """The part that the SDK must know before it may ask the server (a popup opens in the click)."""
        return {
            "pc": self.pc.value,
            "mobile": self.mobile.value,
            "byUrl": self.mobile_by_redirect_url,
            "popupParam": self.popup_param,
            "popupOff": self.popup_off,
            "name": self.popup_name,
            "size": list(self.popup_size),
        }


_DUE = Need("vbank_due", ("vbank",))
_DIGITAL = Need("digital", ("phone",))
_WALLETS = ("kakaopay", "naverpay", "payco", "tosspay", "lpay", "ssgpay", "samsung", "applepay")
_FOUR = ("card", "trans", "vbank", "phone")
_ALL = (*_FOUR, *_WALLETS)
_GIFTS = ("cultureland", "smartculture", "happymoney", "booknlife")


def _new(pg_code: str, **facts: Any) -> PgProfile:
    return PgProfile(pg_code, shape=Shape.MINIMAL, **facts)


_PROFILES = (
    PgProfile(
        "html5_inicis",
        methods=(*_ALL, *_GIFTS),
        quota_rule="up_to_max",
        mid="INIpayTest",
    ),
    PgProfile("inicis", methods=_ALL, quota_rule="up_to_max", mid="INIpayTest"),
    PgProfile(
        "kcp",
        methods=(*_ALL, *_GIFTS, "naverpay_bridge", "point"),
        quota_rule="up_to_max",
        mid="T0000",
    ),
    PgProfile("kcp_billing", methods=("card",), mid="BA001"),
    PgProfile("kcp_direct", methods=("card",), mid="T0000"),
    PgProfile(
        "kcp_quick",
        pc=Mode.POPUP,
        popup_name="IMP_KCP_QUICK",
        popup_size=(480, 720),
        methods=("card", "trans"),
        mid="A52Q7",
    ),
    PgProfile("uplus", methods=_ALL, quota_rule="up_to_max", mid="tlgdacomxpay"),
    PgProfile(
        "nice",
        methods=("card", "trans", "vbank", "phone", "kakaopay"),
        period_intervals=("month", "year"),
        mid="nictest00m",
    ),
    PgProfile("jtnet", mid="jtnet_test"),
    PgProfile("kicc", mid="T5102001"),
    PgProfile(
        "danal", mobile=Mode.IFRAME, methods=("phone",), required=("digital",), mid="A010002002"
    ),
    PgProfile(
        "danal_tpay",
        mobile=Mode.IFRAME,
        methods=("card", "trans", "vbank", "cultureland", "happymoney"),
        mid="9810030929",
    ),
    PgProfile(
        "mobilians",
        mobile_by_redirect_url=True,
        methods=("phone",),
        required=("digital",),
        mid="170622040674",
    ),
    PgProfile("smilepay", mobile_by_redirect_url=True, wallet="smilepay", mid="cnstest25m"),
    PgProfile("bluewalnut", mobile_by_redirect_url=True, methods=_FOUR, mid="bwtest00m"),
    PgProfile("kakaopay", wallet="kakaopay", quota_rule="first", mid="TC0ONETIME"),
    PgProfile("kakao", wallet="kakaopay", mid="kakaotest"),
    PgProfile(
        "payco",
        pc=Mode.POPUP,
        mobile=Mode.IFRAME,
        popup_param=True,
        popup_name="IMP_PAYCO",
        popup_size=(727, 512),
        wallet="payco",
        mid="S0FSJE",
    ),
    PgProfile(
        "naverpay",
        pc=Mode.REDIRECT,
        popup_param=True,
        popup_name="IMP_NAVERPAY",
        popup_size=(760, 900),
        wallet="naverpay",
        minimum=10,
        mid="naverpay_test",
    ),
    PgProfile("naverco", pc=Mode.REDIRECT, wallet="naverpay", mid="naverco_test"),
    PgProfile(
        # The requirement: PayPal opens a new window on PC, and answers at m_redirect_url.
        "paypal",
        pc=Mode.POPUP,
        redirect_result=True,
        popup_name="IMP_PAYPAL_MODAL",
        popup_size=(440, 700),
        wallet="paypal",
        currency="USD",
        refuses_currency=("KRW",),
        mid="paypal_test",
    ),
    _new(
        "paypal_v2",
        pc=Mode.POPUP,
        mobile=Mode.POPUP,
        popup_name="IMP_PAYPAL_MODAL",
        popup_size=(440, 700),
        wallet="paypal",
        currency="USD",
        refuses_currency=("KRW",),
        mid="paypal_v2_test",
    ),
    PgProfile(
        "eximbay",
        pc=Mode.POPUP,
        mobile=Mode.POPUP,
        popup_off=True,
        popup_name="payment2",
        popup_size=(640, 400),
        methods=("card", "alipay", "unionpay", "tenpay", "econtext", "wechat", "molpay"),
        currency="USD",
        mid="1849705C64",
    ),
    PgProfile(
        "tosspay",
        pc=Mode.POPUP,
        popup_name="tosspayPopup",
        popup_size=(460, 670),
        wallet="tosspay",
        mid="tosspay_test",
    ),
    _new(
        "tosspay_v2",
        pc=Mode.POPUP,
        popup_name="tosspayPopup",
        popup_size=(460, 670),
        wallet="tosspay",
        mid="tosstest",
    ),
    _new(
        "tosspayments",
        methods=(*_ALL, "cultureland", "smartculture", "booknlife"),
        quota_rule="up_to_max",
        direct_is_lump_sum=True,
        mid="iamporttest_3",
    ),
    _new(
        "nice_v2",
        methods=(
            *_FOUR,
            *("cultureland", "naverpay_card", "naverpay_point", "kakaopay", "payco", "samsungpay"),
            *(
                "skpay",
                "ssgpay",
                "ssgpay_bank",
                "lpay",
                "applepay",
                "tosspay_card",
                "tosspay_money",
            ),
            "alipay",
        ),
        required=("buyer_tel",),
        needs=(
            Need(
                "vbank_due",
                ("vbank",),
                "결제 창 호출에 실패하였습니다. 나이스페이 V2 가상계좌 발급시 유효한 입금 기한을 필수로 입력해야 합니다.",
            ),
            Need(
                "digital",
                ("phone",),
                "나이스페이 V2 휴대폰 소액결제시 상품 유형 파라미터는 필수 입력입니다.",
            ),
        ),
        quota_rule_mobile="ignored",
        direct_needs_quota=True,
        mid="nicepay_v2_test",
    ),
    _new(
        "smartro_v2",
        methods=(*_FOUR, "lpay", "kakaopay", "naverpay", "payco", "pinpay"),
        required=("buyer_tel",),
        needs=(_DUE,),
        quota_rule="ignored",
        direct_needs_quota=True,
        plain_order_number=True,
        currencies=("KRW",),
        currency_words="스마트로가 지원하지 않는 화폐입니다",
        mid="t_smartro_v2",
    ),
    _new(
        "ksnet",
        methods=(*_FOUR, "lpay", "ssgpay", "naverpay", "kakaopay", "payco"),
        needs=(_DUE,),
        currencies=("KRW", "USD"),
        mid="2999199999",
    ),
    _new(
        "welcome",
        methods=(*_FOUR, "culturegift", "lpay", "kakaopay", "payco", "tosspay", "naverpay"),
        required=("buyer_name",),
        needs=(_DIGITAL,),
        lump_sum_unless_asked=True,
        direct_needs_quota=True,
        card_points_always=True,
        period_intervals=("1m", "1y"),
        mid="welcometst",
    ),
    _new(
        "toss_brandpay",
        mobile=Mode.IFRAME,
        wallet="toss_brandpay",
        quota_rule="first",
        mid="brandpay",
    ),
    _new(
        "galaxia",
        methods=(*_ALL, *_GIFTS, "moneytree"),
        needs=(_DUE,),
        quota_rule="exact",
        mid="M2268384",
    ),
    _new(
        "mobilians_v2",
        pc=Mode.POPUP,
        popup_name="IMP_MOBILIANS_V2",
        methods=(*_ALL, *_GIFTS),
        needs=(_DUE,),
        quota_rule="range",
        minimum=100,
        mid="230309066001",
    ),
    _new(
        "kicc_v2",
        methods=("wechat", "alipay_plus"),
        required=("buyer_name", "buyer_email"),
        mid="T0016376",
    ),
    _new(
        "inicis_jp",
        pc=Mode.POPUP,
        popup_name="IMP_INICIS_JP",
        methods=("card", "cvs", "paypay", "amazonpay", "rakutenpay", "merpay", "aupay", "dbarai"),
        currency="JPY",
        mid="inicisjp_test",
    ),
    _new(
        "payletter_global",
        wallet="payletter",
        currency="USD",
        currencies=("KRW", "USD", "JPY"),
        required=("buyer_email",),
        plain_order_number=True,
        mid="payletter_test",
    ),
    PgProfile(
        "smartro",
        pc=Mode.POPUP,
        popup_name="payWindow",
        popup_size=(620, 405),
        mid="SMTPAY001m",
    ),
    PgProfile(
        "settle", pc=Mode.POPUP, popup_name="STPG_WALLET", popup_size=(720, 630), mid="nxca_jt_il"
    ),
    PgProfile(
        "settle_acc",
        pc=Mode.POPUP,
        mobile_by_redirect_url=True,
        popup_name="IMP_SETTLE_ACC",
        methods=("trans",),
        mid="settle_acc_test",
    ),
    PgProfile("settle_firm", methods=("trans",), mid="settle_firm_test"),
    PgProfile(
        "daou",
        pc=Mode.POPUP,
        popup_name="IMP_DAOU",
        popup_size=(480, 720),
        methods=(
            *_FOUR,
            *("kakaopay", "naverpay", "payco", "samsung", "applepay"),
            *("cultureland", "smartculture", "booknlife"),
        ),
        mid="CTS11027",
    ),
    PgProfile(
        "paymentwall",
        wallet="paymentwall",
        required=("buyer_name", "buyer_email"),
        mid="paymentwall_test",
    ),
    PgProfile(
        "chai",
        pc=Mode.REDIRECT,
        redirect_result=True,
        popup_param=True,
        popup_name="IMP_CHAI",
        popup_size=(540, 740),
        wallet="chai",
        mid="chai_test",
    ),
    PgProfile("alipay", pc=Mode.REDIRECT, redirect_result=True, wallet="alipay", mid="alipay_test"),
    PgProfile("payple", methods=("trans", "card"), mid="payple_test"),
    PgProfile("syrup", wallet="syrup", mid="syrup_test"),
)
PROFILES: dict[str, PgProfile] = {profile.pg_code: profile for profile in _PROFILES}


def profile(pg_code: str) -> PgProfile:
    """The manners of this code; an unknown one behaves like an ordinary card PG (iframe, redirect, full object)."""
    return PROFILES.get(pg_code) or PgProfile(pg_code)


def allowed_installments(
    rule: str, wanted: list[int] | None, *, amount_minor: int, currency: str
) -> list[int] | None:
    """The months a buyer may choose (0 = lump sum), from `display.card_quota`; None leaves it to the PG.

    Instalments exist from 50,000 won on (flows §16.2, SDK facts §5).
    """
    if currency != "KRW" or amount_minor < 50_000:
        return [0]
    if wanted is None or rule == "ignored":
        return None
    if rule == "first":
        # Fixed at the first value; a list without one means a lump sum.
        return [next((0 if month == 1 else month for month in wanted if month <= 60), 0)]
    months = sorted({month for month in wanted if 2 <= month <= 60})
    if not months:
        return [0]
    if rule == "up_to_max":
        return [0, *range(2, months[-1] + 1)]
    if rule == "range":
        return list(range(months[0], months[-1] + 1))
    if rule == "exact":
        return months
    return [0, *months]

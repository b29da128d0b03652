"""What the shop sells, and the ways to pay that it offers.

Prices are integers in the currency's smallest unit (KRW 64900 is 64900, USD 12.50 is 1250).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

MINOR_DIGITS = {"KRW": 0, "USD": 2}
QUANTITY_MAX = 20


@dataclass(frozen=True)
class Product:
    """One thing for sale; `name` and `about` are (Korean, English)."""

    key: str
    name: tuple[str, str]
    about: tuple[str, str]
    price_minor: int
    currency: str = "KRW"


PRODUCTS = {
    product.key: product
    for product in (
        Product(
            "chair",
            ("노르웨이 회전 의자", "Norwegian swivel chair"),
            (
                "참나무를 손으로 굽혀 만든 회전 의자입니다. 오래 앉아도 허리가 편안합니다.",
                "Oak, bent by hand. It turns, and your back stays calm through a long day.",
            ),
            64_900,
        ),
        Product(
            "carrots",
            ("당근 10kg", "Carrots, 10 kg"),
            (
                "제주 구좌의 흙당근을 수확한 날 바로 보냅니다. 주스로 갈면 한 달이 든든합니다.",
                "From Gujwa on Jeju, sent the day they leave the soil. A month of juice.",
            ),
            1_004,
        ),
        Product(
            "teacups",
            ("청자 찻잔 두 벌", "Pair of celadon teacups"),
            (
                "이천 가마에서 구운 청자 찻잔입니다. 물빛이 잔마다 조금씩 다릅니다.",
                "Fired in Icheon. No two have quite the same colour of water.",
            ),
            38_000,
        ),
        Product(
            "notebook",
            ("한지 공책 (해외 배송)", "Hanji notebook, shipped abroad"),
            (
                "전주 한지를 실로 엮었습니다. 달러로 결제하고 어디로든 보냅니다.",
                "Jeonju paper, sewn by thread. Paid in dollars, sent anywhere.",
            ),
            1_250,
            "USD",
        ),
    )
}


@dataclass(frozen=True)
class Method:
    """One way to pay: `pg` and `pay_method` are what `IMP.request_pay` is given for it."""

    key: str
    name: tuple[str, str]
    pg: str
    pay_method: str
    currency: str = "KRW"


METHODS = {
    method.key: method
    for method in (
        Method("card", ("신용카드", "Card"), "kcp", "card"),
        Method(
            "easy", ("간편결제 (삼성페이)", "Easy pay (Samsung Pay)"), "html5_inicis", "samsung"
        ),
        Method("kakaopay", ("카카오페이", "KakaoPay"), "kakaopay", "kakaopay"),
        Method("trans", ("계좌이체", "Bank transfer"), "kcp", "trans"),
        Method("vbank", ("가상계좌", "Virtual account"), "kcp", "vbank"),
        Method("phone", ("휴대폰", "Phone bill"), "kcp", "phone"),
        Method("paypal", ("PayPal", "PayPal"), "paypal", "paypal", "USD"),
    )
}


WALLETS = {
    "samsung": "삼성페이",
    "kakaopay": "카카오페이",
    "paypal": "PayPal",
    "paypal_v2": "PayPal",
    "phone": "휴대폰 소액결제",
}
"""Who took the money where a payment names neither a card nor a bank, by `pay_method` or `pg_provider`."""


def price(product: Product, quantity: int) -> int:
    """What so many of them cost, in the smallest unit. The browser has no say in it."""
    return product.price_minor * quantity


def methods_for(currency: str) -> list[Method]:
    """The ways to pay in this currency."""
    return [method for method in METHODS.values() if method.currency == currency]


def to_wire(minor: int, currency: str) -> Decimal:
    """The same money as i'mport writes it: KRW 1004 is 1004, USD 1250 is 12.50."""
    return Decimal(minor).scaleb(-MINOR_DIGITS[currency])


def shown(minor: int, currency: str, language: str) -> str:
    """For people: `64,900원`, `₩64,900`, `$12.50`."""
    number = f"{to_wire(minor, currency):,}"
    if currency == "USD":
        return f"${number}"
    return f"{number}원" if language == "ko" else f"₩{number}"

"""The `pay_method` words of i'mport, and which of them are wallets or wait for a deposit."""

from __future__ import annotations

PAY_METHODS = frozenset(
    [
        "card",
        "trans",
        "vbank",
        "phone",
        "samsung",
        "samsungpay",
        "kpay",
        "kakaopay",
        "naverpay",
        "naverpay_card",
        "naverpay_point",
        "naverpay_bridge",
        "payco",
        "lpay",
        "ssgpay",
        "ssgpay_bank",
        "tosspay",
        "tosspay_card",
        "tosspay_money",
        "applepay",
        "pinpay",
        "skpay",
        "cultureland",
        "smartculture",
        "happymoney",
        "booknlife",
        "culturegift",
        "point",
        "wechat",
        "alipay",
        "alipay_plus",
        "unionpay",
        "tenpay",
        "econtext",
        "molpay",
        "paysbuy",
        "paypal",
        "toss_brandpay",
        "cvs",
        "paypay",
        "amazonpay",
        "rakutenpay",
        "merpay",
        "aupay",
        "dbarai",
        "moneytree",
        "smilepay",
        "chai",
        "payletter",
        "paymentwall",
        "syrup",
    ]
)
# i'mport answers what was finally used under these shorter names (models.md §3).
_CANONICAL = {"samsungpay": "samsung", "naverpay_card": "naverpay", "tosspay_card": "tosspay"}


def canonical(pay_method: str) -> str:
    """The word under which the method is answered."""
    return _CANONICAL.get(pay_method, pay_method)

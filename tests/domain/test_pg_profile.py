"""The manners of every pg code, for naru/domain/pg_profile.py (SDK facts §4, REST facts §11.4)."""

from __future__ import annotations

import pytest

from naru.domain.pay_method import PAY_METHODS, canonical
from naru.domain.pg_profile import PROFILES, Mode, Shape, allowed_installments, profile

# i'mport's pg codes for payments; inicis_unified and kcp_v2 are for certification only.
CODES = [
    "html5_inicis",
    "inicis",
    "inicis_jp",
    "kcp",
    "kcp_billing",
    "kcp_quick",
    "kcp_direct",
    "uplus",
    "tosspayments",
    "toss_brandpay",
    "tosspay",
    "tosspay_v2",
    "nice",
    "nice_v2",
    "kicc",
    "kicc_v2",
    "kakaopay",
    "kakao",
    "danal",
    "danal_tpay",
    "mobilians",
    "mobilians_v2",
    "payco",
    "paypal",
    "paypal_v2",
    "eximbay",
    "naverpay",
    "naverco",
    "smilepay",
    "daou",
    "paymentwall",
    "smartro",
    "smartro_v2",
    "settle",
    "settle_acc",
    "settle_firm",
    "ksnet",
    "galaxia",
    "welcome",
    "bluewalnut",
    "chai",
    "jtnet",
    "alipay",
    "payple",
    "syrup",
    "payletter_global",
]


def test_every_code_has_a_profile_and_no_other_has() -> None:
    assert set(PROFILES) == set(CODES)
    assert all(PROFILES[code].pg_code == code for code in CODES)


I, R, P = Mode.IFRAME, Mode.REDIRECT, Mode.POPUP  # noqa: E741


@pytest.mark.parametrize(
    ("code", "pc", "mobile"),
    [
        ("html5_inicis", I, R),
        ("kcp", I, R),
        ("kcp_billing", I, R),
        ("uplus", I, R),
        ("nice", I, R),
        ("jtnet", I, R),
        ("kicc", I, R),
        ("danal", I, I),
        ("danal_tpay", I, I),
        ("mobilians", I, R),
        ("kakaopay", I, R),
        ("payco", P, I),
        ("naverpay", R, R),
        ("naverco", R, R),
        ("paypal", P, R),
        ("eximbay", P, P),
        ("tosspay", P, R),
        ("tosspay_v2", P, R),
        ("tosspayments", I, R),
        ("nice_v2", I, R),
        ("smartro_v2", I, R),
        ("ksnet", I, R),
        ("welcome", I, R),
        ("toss_brandpay", I, I),
        ("smartro", P, R),
        ("settle", P, R),
        ("settle_acc", P, R),
        ("daou", P, R),
        ("kcp_quick", P, R),
        ("mobilians_v2", P, R),
        ("inicis_jp", P, R),
        ("smilepay", I, R),
        ("bluewalnut", I, R),
        ("chai", R, R),
        ("alipay", R, R),
    ],
)
def test_each_opens_its_window_in_its_own_way(code: str, pc: Mode, mobile: Mode) -> None:
    assert profile(code).mode(mobile=False, popup=None, return_url=True) is pc
    assert profile(code).mode(mobile=True, popup=None, return_url=True) is mobile


@pytest.mark.parametrize("code", ["mobilians", "smilepay", "bluewalnut", "settle_acc"])
def test_where_sources_differ_the_redirect_needs_an_address(code: str) -> None:
    assert profile(code).mode(mobile=True, popup=None, return_url=False) is Mode.IFRAME


def test_the_popup_parameter_counts_where_the_pg_allows_it() -> None:
    assert profile("payco").mode(mobile=True, popup=True, return_url=True) is P
    assert profile("chai").mode(mobile=False, popup=True, return_url=True) is P
    assert profile("kcp").mode(mobile=False, popup=True, return_url=True) is I
    assert profile("eximbay").mode(mobile=False, popup=False, return_url=True) is I
    assert profile("tosspay").mode(mobile=False, popup=False, return_url=True) is P


@pytest.mark.parametrize(
    ("code", "name", "size"),
    [
        ("payco", "IMP_PAYCO", (727, 512)),
        ("naverpay", "IMP_NAVERPAY", (760, 900)),
        ("paypal", "IMP_PAYPAL_MODAL", (440, 700)),
        ("eximbay", "payment2", (640, 400)),
        ("tosspay", "tosspayPopup", (460, 670)),
        ("smartro", "payWindow", (620, 405)),
        ("settle", "STPG_WALLET", (720, 630)),
    ],
)
def test_popups_have_their_old_names_and_sizes(code: str, name: str, size: tuple[int, int]) -> None:
    assert (profile(code).popup_name, profile(code).popup_size) == (name, size)


def test_an_unknown_code_behaves_like_an_ordinary_card_pg() -> None:
    stranger = profile("nobody")
    assert (stranger.pc, stranger.mobile, stranger.shape) == (I, R, Shape.FULL)
    assert stranger.to_sdk()["pc"] == "iframe"


def test_every_method_of_a_profile_is_a_word_of_import() -> None:
    for each in PROFILES.values():
        assert set(each.methods) <= PAY_METHODS, each.pg_code
        assert each.wallet is None or each.wallet in PAY_METHODS, each.pg_code
    assert canonical("samsungpay") == "samsung"
    assert canonical("card") == "card"


@pytest.mark.parametrize(
    ("rule", "wanted", "amount", "months"),
    [
        ("listed", [3, 6], 50_000, [0, 3, 6]),
        ("up_to_max", [3, 6], 50_000, [0, 2, 3, 4, 5, 6]),
        ("exact", [6], 50_000, [6]),
        ("ignored", [6], 50_000, None),
        ("listed", None, 50_000, None),
        ("listed", [], 50_000, [0]),
        ("listed", [0, 1, 61, -3], 50_000, [0]),
        ("up_to_max", [60, 999], 50_000, [0, *range(2, 61)]),
        ("listed", [3], 49_999, [0]),
    ],
)
def test_installments_begin_at_fifty_thousand_won(
    rule: str, wanted: list[int] | None, amount: int, months: list[int] | None
) -> None:
    assert allowed_installments(rule, wanted, amount_minor=amount, currency="KRW") == months
    assert allowed_installments(rule, wanted, amount_minor=amount, currency="USD") == [0]

"""What a page asks of the window, read. For naru/domain/window_rules.py (SDK facts §5, flows §16)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.domain.errors import BadRequest
from naru.domain.pg_profile import PROFILES, profile
from naru.domain.window_rules import CardRule, DirectCard, Product, WindowRules, read_rules


def read(param: dict[str, Any], pg: str = "kcp", **about: Any) -> WindowRules:
    facts = {"mobile": False, "amount_minor": 60_000, "currency": "KRW"} | about
    return read_rules(param, profile(pg), **facts)


@pytest.mark.parametrize(
    ("pg", "quota", "months"),
    [
        # flows §16.2, row by row
        ("kcp", [3], (0, 2, 3)),
        ("kcp", [2, 3, 6], (0, 2, 3, 4, 5, 6)),
        ("html5_inicis", [], (0,)),
        ("tosspayments", [3], (0, 2, 3)),
        ("uplus", [3], (0, 2, 3)),
        ("nice", [3], (0, 3)),
        ("nice", [2, 3, 6], (0, 2, 3, 6)),
        ("nice", [], (0,)),
        ("welcome", [3], (0, 3)),
        ("welcome", None, (0,)),
        ("galaxia", [3], (3,)),
        ("mobilians_v2", [3], (3,)),
        ("mobilians_v2", [2, 3, 6], (2, 3, 4, 5, 6)),
        ("mobilians_v2", [], (0,)),
        ("kakaopay", [3], (3,)),
        ("kakaopay", [2, 3, 6], (2,)),
        ("toss_brandpay", [6, 3], (6,)),
        ("smartro_v2", [3], None),
        ("kcp", None, None),
        ("kcp", ["03", 6], (0, 2, 3, 4, 5, 6)),
        ("kcp", [99, -3, 3.5, True], (0,)),
    ],
)
def test_card_quota_means_what_it_means_at_each_pg(
    pg: str, quota: list[Any] | None, months: tuple[int, ...] | None
) -> None:
    assert read({"display": {"card_quota": quota}}, pg).months == months


def test_a_phone_may_have_another_rule() -> None:
    quota = {"display": {"card_quota": [3]}}
    assert read(quota, "nice_v2").months == (0, 3)
    assert read(quota, "nice_v2", mobile=True).months is None
    assert read({}, "welcome", mobile=True).months is None


def test_there_are_no_months_below_fifty_thousand_won() -> None:
    for param in ({"display": {"card_quota": [3]}}, {"display": {"only_installment": True}}, {}):
        assert read(param, amount_minor=49_999).months == (0,)
        assert read(param, currency="USD").months == (0,)


def test_a_lump_sum_can_be_left_out_or_be_all_there_is() -> None:
    only = {"display": {"only_installment": True, "card_quota": [3]}}
    assert read(only, "tosspayments").months == (2, 3)
    assert read({"display": {"only_installment": True}}).months == tuple(range(2, 13))
    assert read({"card": {"useInstallment": False}}, "tosspay_v2").months == (0,)


def test_cards_are_left_out_one_by_one_or_all_but_some() -> None:
    detail = [
        {"card_code": "*", "enabled": False},
        {"card_code": "366", "enabled": True, "max_month": 6},
    ]
    assert read({"card": {"detail": detail}}).cards == (
        CardRule("*", False),
        CardRule("366", True, 6),
    )


def test_one_card_company_can_be_gone_to_at_once() -> None:
    direct = {"card": {"direct": {"code": "366", "quota": 3}}}
    assert read(direct).direct == DirectCard("366", 3)
    assert read({"card": {"direct": {"code": "366", "quota": 1}}}).direct == DirectCard("366", 0)
    bare = {"card": {"direct": {"code": "366"}}}
    assert read(bare).direct == DirectCard("366", None)
    assert read(bare, "tosspayments").direct == DirectCard("366", 0)
    for pg in ("nice_v2", "welcome", "smartro_v2"):
        with pytest.raises(BadRequest, match="quota"):
            read(bare, pg)


def test_carriers_prefill_company_and_products() -> None:
    some = {"phone": {"detail": [{"carrier": "*", "enabled": False}, {"carrier": "KTF"}]}}
    assert read(some).carriers == ("KT",)
    assert read({"phone": {"carrier": "LGT"}}).carriers == ("LGU",)
    assert read({"phone": {"carrier": "none"}}).carriers is None
    rules = read(
        {
            "prefill": {"phoneNumber": "010-1234-5678"},
            "company": "나루 상점\n",
            "useFreeInterestFromMall": True,
            "products": [{"name": "의자", "unitPrice": "64900", "quantity": 2}],
            "kcpProducts": [{"name": "never read: products stand first"}],
        }
    )
    assert (rules.phone, rules.company, rules.free_interest) == ("010-1234-5678", "나루 상점", True)
    assert rules.products == (Product("의자", 2, 64_900),)
    assert read({"kcpProducts": [{"name": "책상", "amount": 9.5}]}).products[0].unit_price == 9.5


def test_a_period_is_two_days_or_an_interval() -> None:
    assert read({"period": {"from": "20261101", "to": "20261130"}}).period == "20261101~20261130"
    assert read({"period": {"interval": "1m"}}, "welcome").period == "1m"
    assert read({"period": {"interval": "month"}}, "nice").period == "month"
    both = {"from": "20261101", "to": "20261130", "interval": "1m"}
    with pytest.raises(BadRequest, match="제공 기간은 range와 interval 둘 중 하나만 입력해주세요"):
        read({"period": both}, "welcome")


@pytest.mark.parametrize(
    ("pg", "param"),
    [
        ("kcp", {"period": {"from": "20261101"}}),
        ("kcp", {"period": {"from": "20261130", "to": "20261101"}}),
        ("kcp", {"period": {"from": "20261301", "to": "20261401"}}),
        ("welcome", {"period": {"interval": "month"}}),
        ("welcome", {"useCardPoint": False}),
        ("kcp", {"card": {"direct": "366"}}),
        ("kcp", {"card": {"direct": {"code": "<b>"}}}),
        ("kcp", {"card": {"direct": {"code": "366", "quota": 99}}}),
        ("kcp", {"card": {"detail": {"366": 3}}}),
        ("kcp", {"card": {"detail": [{"card_code": 366}]}}),
        ("kcp", {"card": {"detail": [{"card_code": "366", "max_month": -1}]}}),
        ("kcp", {"card": {"detail": [{"card_code": "366"}] * 61}}),
        ("kcp", {"phone": {"detail": [{"carrier": "*", "enabled": False}]}}),
        ("kcp", {"products": [{"name": " "}]}),
        ("kcp", {"products": [{"name": "x"}] * 51}),
        ("kcp", {"products": [{"name": "x", "quantity": -1}]}),
    ],
)
def test_what_cannot_be_meant_is_refused(pg: str, param: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read(param, pg)


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
_names = ("display", "card", "phone", "prefill", "company", "period", "products")


@given(
    st.dictionaries(st.sampled_from(_names), _anything)
    | st.fixed_dictionaries(
        {"card": st.dictionaries(st.sampled_from(["direct", "detail"]), _anything)}
    )
    | st.fixed_dictionaries({"products": st.lists(_anything, max_size=3)}),
    st.sampled_from(sorted(PROFILES)),
)
def test_whatever_a_browser_sends_is_read_or_refused(param: dict[str, Any], pg: str) -> None:
    try:
        rules = read(param, pg)
    except BadRequest:
        return
    assert rules.months is None or all(0 <= count <= 60 for count in rules.months)

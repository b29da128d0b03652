"""Both callback shapes and every query, for payments that ended in each way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.checkout.result import (
    callback_object,
    redirect_address,
    refusal_address,
    refusal_object,
    user_cancel_words,
    with_query,
)
from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Buyer, Card, Payment, Step, Surface, VirtualAccount
from naru.domain.pg_profile import Shape

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)


def payment(step: Step = Step.PAID, **changes: Any) -> Payment:
    base = Payment(
        imp_uid=ImpUid("imp_000000000001"),
        merchant_id=1,
        merchant_uid=MerchantUid("주문 1&2"),
        channel_id=1,
        pg_code="kcp",
        mid="T0000",
        sandbox=True,
        surface=Surface.PC,
        pay_method="card",
        step=step,
        version=3,
        amount=Money(64_900),
        cancelled=Money(0),
        tax_free=Money(0),
        vat=None,
        pg_order_no="n1",
        started_at=NOW,
        name="우산",
        buyer=Buyer("김나루", "a@b.c", "010", "서울", "04524"),
        request={"custom_data": {"a": 1}},
        return_url="https://shop.example/done",
    )
    return replace(base, **changes)


PAID: dict[str, Any] = {
    "paid_at": NOW,
    "pg_tid": "t1",
    "approval_number": "12345678",
    "card": Card("361", "BC카드", "920012******1234", 3, 0),
    "receipt_url": "https://pg.example/r",
}


def test_a_card_payment_in_full() -> None:
    assert callback_object(payment(**PAID)) == {
        "success": True,
        "imp_uid": "imp_000000000001",
        "pay_method": "card",
        "merchant_uid": "주문 1&2",
        "name": "우산",
        "paid_amount": 64_900,
        "currency": "KRW",
        "pg_provider": "kcp",
        "pg_type": "payment",
        "pg_tid": "t1",
        "apply_num": "12345678",
        "buyer_name": "김나루",
        "buyer_email": "a@b.c",
        "buyer_tel": "010",
        "buyer_addr": "서울",
        "buyer_postcode": "04524",
        "custom_data": {"a": 1},
        "status": "paid",
        "paid_at": int(NOW.timestamp()),
        "receipt_url": "https://pg.example/r",
        "card_name": "BC카드",
        "bank_name": None,
        "card_quota": 3,
        "card_number": "920012******1234",
    }


def test_an_issued_account_is_a_success_that_waits() -> None:
    account = VirtualAccount("004", "KB국민은행", "1234", "나루", NOW, NOW)
    result = callback_object(
        payment(Step.WAITING_DEPOSIT, pay_method="vbank", virtual_account=account)
    )

    assert result["success"] is True
    assert result["status"] == "ready"
    assert result["paid_at"] == 0
    assert result["vbank_num"] == "1234"
    assert result["vbank_name"] == "KB국민은행"
    assert result["vbank_holder"] == "나루"
    assert result["vbank_date"] == int(NOW.timestamp())


def test_a_failure_keeps_the_pgs_code_and_words() -> None:
    failed = payment(Step.FAILED, fail_code="3011", fail_reason="한도초과")
    result = callback_object(failed)

    assert (result["success"], result["status"]) == (False, "failed")
    assert (result["error_code"], result["error_msg"]) == ("3011", "한도초과")
    assert callback_object(payment(Step.FAILED))["error_msg"] == "결제에 실패하였습니다."


def test_money_that_was_given_back_is_no_success() -> None:
    assert callback_object(payment(Step.CANCELLED, **PAID))["success"] is False


def test_a_hub_wallet_is_named() -> None:
    assert callback_object(payment(**PAID, hub_pg_code="kakaopay"))["emb_pg_provider"] == "kakaopay"


def test_the_minimal_object_has_no_more_than_its_keys() -> None:
    names = {"imp_uid": "imp_000000000001", "merchant_uid": "주문 1&2"}
    assert callback_object(payment(callback_shape="minimal", **PAID)) == names
    kept = payment(callback_shape="minimal", customer_uid="gildong", **PAID)
    assert callback_object(kept) == names | {"customer_uid": "gildong"}
    failed = payment(
        Step.FAILED,
        callback_shape="minimal",
        fail_code="X",
        fail_reason="y",
        customer_uid="gildong",
    )
    assert callback_object(failed) == names | {"error_code": "X", "error_msg": "y"}
    assert refusal_object(Shape.MINIMAL, "o", "F400", "x") == {
        "imp_uid": None,
        "merchant_uid": "o",
        "error_code": "F400",
        "error_msg": "x",
    }
    assert refusal_object(Shape.FULL, "o", "F400", "x")["success"] is False


def test_the_words_of_a_user_cancel_are_i_mports_own() -> None:
    assert user_cancel_words("kcp", "full") == "[결제포기] 사용자가 결제를 취소하셨습니다"
    assert user_cancel_words("tosspayments", "minimal") == "사용자가 결제를 취소하였습니다."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"imp_success": ["true"]}),
        ({"callback_shape": "minimal"}, {}),
        ({"pg_code": "kcp_quick"}, {"imp_status": ["paid"], "kcp_action": ["Pay"]}),
        (
            {
                "pg_code": "kcp_quick",
                "request": {"bypass": {"kcpQuick": {"actionType": "Register"}}},
            },
            {"imp_status": ["paid"], "kcp_action": ["Register"]},
        ),
    ],
)
def test_every_query_of_a_success(changes: dict[str, Any], expected: dict[str, list[str]]) -> None:
    address = redirect_address(payment(**(PAID | changes)))
    assert address is not None
    names = {"imp_uid": ["imp_000000000001"], "merchant_uid": ["주문 1&2"]}
    assert parse_qs(urlsplit(address).query) == names | expected


def test_the_query_of_a_failure() -> None:
    address = redirect_address(payment(Step.FAILED, fail_code="3011", fail_reason="한도 & 초과#1"))
    assert address is not None
    query = parse_qs(urlsplit(address).query)
    assert query["imp_success"] == ["false"]
    assert query["error_code"] == ["3011"]
    assert query["error_msg"] == ["한도 & 초과#1"]
    refused = refusal_address("https://s.example/?a=1", Shape.FULL, "o", "F400", "거절")
    assert parse_qs(urlsplit(refused).query) == {
        "a": ["1"],
        "merchant_uid": ["o"],
        "imp_success": ["false"],
        "error_code": ["F400"],
        "error_msg": ["거절"],
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s.example", "https://s.example?k=v"),
        ("https://s.example/a?", "https://s.example/a?k=v"),
        ("https://s.example/a?b=1", "https://s.example/a?b=1&k=v"),
        ("https://s.example/a?b=1&c=2", "https://s.example/a?b=1&c=2&k=v"),
        ("https://s.example/a?b=1&", "https://s.example/a?b=1&k=v"),
        ("https://s.example/a#f?x=1", "https://s.example/a?k=v#f?x=1"),
        ("https://s.example/a?b=%EA%B0%80#f", "https://s.example/a?b=%EA%B0%80&k=v#f"),
    ],
)
def test_query_and_fragment_stay_as_they_were(url: str, expected: str) -> None:
    assert with_query(url, {"k": "v"}) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_whatever_a_pg_says_arrives_as_it_was_said(words: str) -> None:
    url = with_query("https://s.example/?a=1#f", {"error_msg": words})
    assert parse_qs(urlsplit(url).query, keep_blank_values=True)["error_msg"] == [words]
    assert url.endswith("#f")

"""The stand-in is believed by the kit's and the shop's tests, so it is tested by itself."""

from collections.abc import Iterator

import pytest
import urllib3

from tests.support.stand_in_gateway import API_KEY, API_SECRET, StandInGateway, answers


@pytest.fixture
def gateway() -> Iterator[StandInGateway]:
    with StandInGateway() as stand_in:
        yield stand_in


def ask(gateway: StandInGateway, method: str, path: str, token: str = "", **fields: object):
    return urllib3.request(
        method,
        gateway.url + path,
        json=fields or None,
        headers={"Authorization": token},
        timeout=5,
        retries=False,
    )


def sign_in(gateway: StandInGateway) -> str:
    answer = ask(gateway, "POST", "/users/getToken", imp_key=API_KEY, imp_secret=API_SECRET)
    return answer.json()["response"]["access_token"]


def test_it_wants_the_right_key_and_a_token_it_gave(gateway: StandInGateway) -> None:
    imp_uid = gateway.pay("ORD-1", 1004)

    wrong = ask(gateway, "POST", "/users/getToken", imp_key="x", imp_secret="y")
    stranger = ask(gateway, "GET", f"/payments/{imp_uid}", "token-guessed")
    known = ask(gateway, "GET", f"/payments/{imp_uid}", sign_in(gateway))

    assert (wrong.status, stranger.status, known.status) == (401, 401, 200)
    assert known.json()["response"]["amount"] == 1004


def test_a_token_answer_holds_exactly_three_keys(gateway: StandInGateway) -> None:
    answer = ask(gateway, "POST", "/users/getToken", imp_key=API_KEY, imp_secret=API_SECRET)

    assert set(answer.json()["response"]) == {"access_token", "now", "expired_at"}


def test_a_cancel_takes_from_the_balance_and_refuses_when_nothing_is_left(
    gateway: StandInGateway,
) -> None:
    imp_uid, token = gateway.pay("ORD-1", 1004), sign_in(gateway)

    part = ask(gateway, "POST", "/payments/cancel", token, imp_uid=imp_uid, amount=4).json()
    rest = ask(gateway, "POST", "/payments/cancel", token, imp_uid=imp_uid).json()
    again = ask(gateway, "POST", "/payments/cancel", token, imp_uid=imp_uid).json()

    assert part["response"]["cancel_amount"] == 4
    assert rest["response"]["cancel_amount"] == 1004
    assert again == {"code": 1, "message": "이미 전액취소된 주문입니다.", "response": None}


def test_a_fault_replaces_one_answer_only(gateway: StandInGateway) -> None:
    token = sign_in(gateway)
    gateway.pay("ORD-1", 1004)
    gateway.faults = [answers(503, {})]

    statuses = [ask(gateway, "GET", "/payments/find/ORD-1", token).status for _ in range(2)]

    assert statuses == [503, 200]


def test_the_window_does_what_the_test_says_and_the_payment_is_kept(
    gateway: StandInGateway,
) -> None:
    param = {"merchant_uid": "ORD-1", "amount": 1004, "pay_method": "card"}
    results = []
    for gateway.window in ("paid", "failed", "ready", "closed", "tampered"):
        results.append(ask(gateway, "POST", "/stand-in/window", **param).json())

    assert [result["success"] for result in results] == [True, False, True, False, True]
    assert [payment["status"] for payment in gateway.payments.values()] == [
        *("paid", "failed", "ready", "paid")
    ]
    assert [payment["amount"] for payment in gateway.payments.values()] == [1004, 1004, 1004, 100]
    assert b"request_pay" in ask(gateway, "GET", "/js/iamport.payment-1.2.0.js").data

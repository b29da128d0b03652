"""What a test may want to happen at its private gateway, happens: over true HTTP, with the webhooks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import flask
import pytest

from naru import kit
from naru.kit import Client, NotFound, Plan, Unauthorized, Unavailable
from naru.testing.async_imp import AsyncImp
from naru.testing.buyer import Refused, Stuck
from naru.testing.imp import Imp, Refund, read_length
from naru.testing.private_gateway import GatewayTrouble, PrivateGateway
from tests.testing.shops import flask_shop


def statuses(imp: Imp) -> list[str]:
    """What the gateway's webhooks said, in order."""
    return [letter.status for letter in imp.webhooks.arrived]


def test_a_buyer_pays_by_card_and_the_shop_is_told_before_approve_returns(imp: Imp) -> None:
    app, books = flask_shop(imp)
    imp.webhooks.to(app)
    books.orders.place("order-1", 64_900)

    window = imp.pay("order-1", 64_900)
    assert imp.payment().status == "ready"
    result = imp.approve()

    assert (result.state, result.success, result.imp_uid) == ("final", True, window.imp_uid)
    assert result.fields["paid_amount"] == 64_900
    assert books.status("order-1") == "paid"
    assert statuses(imp) == ["paid"]
    [(letter, answered)] = imp.webhooks.told
    assert (letter.imp_uid, letter.merchant_uid, answered) == (window.imp_uid, "order-1", 200)
    # The browser's callback comes second, and changes nothing.
    done = app.test_client().post("/payments/complete", json={"imp_uid": result.imp_uid})
    assert (done.status_code, books.fulfilled) == (200, {"order-1": 1})


@pytest.mark.parametrize("pay_method", ["trans", "phone", "kakaopay"])
def test_a_buyer_pays_by_other_ways(imp: Imp, pay_method: str) -> None:
    imp.pay("order-1", 1004, pay_method=pay_method)
    assert imp.approve().success
    assert (imp.payment().status, imp.payment().pay_method) == ("paid", pay_method)


@pytest.mark.parametrize(
    ("reason", "words"),
    [("한도초과", "한도초과"), ("balance_short", "잔액부족"), ("CARD_LOST", "분실 신고된 카드")],
)
def test_the_pg_declines_with_its_own_words(imp: Imp, reason: str, words: str) -> None:
    imp.pay("order-1", 1004)
    result = imp.decline(reason)
    assert not result.success
    assert result.error_msg is not None
    assert words in result.error_msg
    assert (imp.payment().status, statuses(imp)) == ("failed", [])
    # The buyer may try again with another card.
    imp.pay("order-1", 1004)
    assert imp.approve().success


def test_a_pg_whose_callback_says_only_what_went_wrong(imp: Imp) -> None:
    imp.pay("order-1", 1004, pg="tosspayments")
    assert "success" not in (declined := imp.decline()).fields
    imp.pay("order-1", 1004, pg="tosspayments")
    assert "success" not in (approved := imp.approve()).fields
    assert (declined.success, approved.success) == (False, True)


def test_a_buyer_closes_the_window_or_comes_back_by_redirect(imp: Imp) -> None:
    imp.pay("order-1", 1004)
    closed = imp.close_window()
    assert (closed.success, imp.payment().status) == (False, "failed")

    back = "http://localhost/payments/redirect"
    imp.pay("order-2", 1004, surface="mobile", m_redirect_url=back)
    result = imp.approve()
    assert result.redirect_url is not None
    assert result.redirect_url.startswith(f"{back}?imp_uid={result.imp_uid}&merchant_uid=order-2")


def test_nobody_knows_yet_and_the_result_says_so(imp: Imp) -> None:
    imp.pay("order-1", 1004)
    result = imp.approve(scenario="approve_cut_done")
    # The gateway has asked the PG again by the time that everything due has happened.
    assert (result.state, statuses(imp)) in [("checking", []), ("final", ["paid"])]
    imp.advance("1m")
    assert (imp.payment().status, statuses(imp)) == ("paid", ["paid"])


def test_deposits_exact_under_over_twice_and_late(imp: Imp) -> None:
    imp.pay("exact", 1000, pay_method="vbank")
    issued = imp.approve()
    assert (issued.success, issued.fields["status"]) == (True, "ready")
    assert imp.deposit().status == "paid"
    # Twice: the money is at the gateway, for a person to give back; nothing is told a second time.
    assert imp.deposit().status == "paid"

    short = imp.pay("under", 1000, pay_method="vbank")
    imp.approve()
    assert imp.deposit(400).status == "ready"
    assert imp.deposit(600).status == "paid"

    imp.pay("over", 1000, pay_method="vbank")
    imp.approve()
    over = imp.deposit(1500).status

    imp.pay("late", 1000, pay_method="vbank")
    imp.approve()
    imp.advance("31d")
    late = imp.deposit()
    # Too much, and too late, pay nothing: a person is told (tasks.md, deposit_late).
    assert (over, late.status) == ("ready", "ready")
    told = [(letter.merchant_uid, letter.status) for letter in imp.webhooks.arrived]
    paid = [(name, word) for name in ("exact", "under") for word in ("ready", "paid")]
    assert told == [*paid, ("over", "ready"), ("late", "ready")]
    imp.pay("card", 1000)
    with pytest.raises(Stuck, match="no virtual account"):
        imp.deposit()
    assert imp.payment(short).status == "paid"


def test_money_goes_back_in_parts(imp: Imp) -> None:
    window = imp.pay("order-1", 1000)
    imp.approve()
    assert imp.cancel(300).cancel_amount == 300
    assert imp.cancel(which=window).cancel_amount == 1000
    assert statuses(imp) == ["paid", "cancelled", "cancelled"]


async def test_a_deposit_goes_back_to_an_account_that_staff_name(async_imp: AsyncImp) -> None:
    imp = async_imp.sync
    imp.pay("order-1", 1000, pay_method="vbank")
    imp.approve()
    imp.deposit()
    with pytest.raises(kit.Refused, match="환불 받을 계좌"):
        imp.cancel()
    account: Refund = {
        "refund_holder": "홍길동",
        "refund_bank": "088",
        "refund_account": "110123456789",
    }
    assert imp.cancel(300, **account).cancel_amount == 300
    assert (await async_imp.cancel(**account)).cancel_amount == 1000
    assert statuses(imp) == ["ready", "paid", "cancelled", "cancelled"]


def test_dollars_are_paid_in_cents(imp: Imp) -> None:
    imp.pay("order-1", Decimal("12.50"), pg="paypal", pay_method="paypal", currency="USD")
    assert imp.approve().success
    assert (imp.payment().amount, imp.payment().currency) == (Decimal("12.50"), "USD")


def test_a_window_that_may_not_open_says_why(imp: Imp) -> None:
    imp.client.prepare("order-1", 64_900)
    with pytest.raises(Refused, match="금액") as refused:
        imp.pay("order-1", 1000)
    assert refused.value.result["success"] is False
    with pytest.raises(Stuck, match=r"imp\.pay"):
        imp.approve()
    imp.pay("order-2", 1000)
    with pytest.raises(Stuck, match="limit_exceeded"):
        imp.decline("no such reason")
    with pytest.raises(Stuck, match="mpi-shinhan"):
        imp.approve(card="no such card")
    with pytest.raises(Stuck, match="CARD_LOST"):
        imp.approve(card="mpi-lost")


def test_another_merchant_of_the_same_gateway_sees_nothing(
    imp: Imp, private_gateway: PrivateGateway
) -> None:
    window = imp.pay("order-1", 1000)
    imp.approve()
    other = private_gateway.open_shop()
    with pytest.raises(NotFound):
        other.client.payment(window.imp_uid)
    # The same order number is free there, and its webhooks go elsewhere.
    other.pay("order-1", 1000)
    assert other.approve().success
    assert (len(imp.webhooks.arrived), len(other.webhooks.arrived)) == (1, 1)
    other.close()


# Time.


def test_an_access_token_dies_in_its_time(imp: Imp) -> None:
    before = imp.settle()
    raw = Client(imp.imp_key, imp.imp_secret, base_url=imp.url)
    raw.payments_by_status("all")
    stale = raw._conversation._token
    assert stale is not None

    after = imp.advance("31m")

    assert 31 * 60 <= (after - before).total_seconds() < 31 * 60 + 60
    # The token of 31 minutes ago is dead; a client that has it asks for another one by itself.
    raw._conversation._token = stale
    raw.payments_by_status("all")
    assert raw._conversation._token.value != stale.value


def test_a_charge_that_was_planned_happens_in_its_time(imp: Imp) -> None:
    imp.pay("first", 0, customer_uid="customer-1")
    assert imp.approve().success
    when = imp.settle() + timedelta(days=3)
    imp.client.schedule_payments("customer-1", [Plan("month-1", when, 9_900)])
    imp.advance("2d")
    with pytest.raises(NotFound):
        imp.client.find_payment("month-1")
    imp.advance("1d1h")
    assert imp.client.find_payment("month-1").status == "paid"
    assert [letter.merchant_uid for letter in imp.webhooks.arrived] == ["first", "month-1"]


def test_the_next_test_has_the_true_time_again(private_gateway: PrivateGateway) -> None:
    """What the fixture does after a test that moved the time."""
    one = private_gateway.open_shop()
    moved = one.advance("400d")
    one.close()
    private_gateway.begin_anew()
    other = private_gateway.open_shop()
    assert (moved - other.settle()).days == 399
    with pytest.raises(Unauthorized):
        one.client.payments_by_status("all")
    other.close()


@pytest.mark.parametrize("length", ["", "31", "m", "31 m", "-1m", "1m1", "1x"])
def test_a_length_of_time_that_is_none_is_refused(length: str) -> None:
    with pytest.raises(ValueError, match="a length of time"):
        read_length(length)


def test_lengths_of_time() -> None:
    assert read_length("1d12h30m5s").total_seconds() == 131_405
    assert read_length("1.5h").total_seconds() == 5400


# The weather.


def test_bad_weather_between_shop_and_gateway(imp: Imp) -> None:
    hasty, books = flask_shop(imp, timeout_seconds=0.4)
    patient, good_books = flask_shop(imp)

    def complete(shop: flask.Flask) -> int:
        shop_page = shop.test_client()
        return shop_page.post("/payments/complete", json={"imp_uid": result.imp_uid}).status_code

    books.orders.place("order-1", 1000)
    good_books.orders.place("order-1", 1000)
    imp.pay("order-1", 1000)
    result = imp.approve()
    for kind in ("error", "down", "lost", "garbage", "slow", "silent"):
        with imp.weather(kind, path="/payments/", seconds=0.5):  # type: ignore[arg-type]
            assert complete(hasty) == 202, kind  # nobody can say yet
    assert books.fulfilled == {}
    # One failed question is asked again by the kit.
    with imp.weather("busy", times=1):
        assert complete(patient) == 200
    assert good_books.fulfilled == {"order-1": 1}


def test_an_answer_is_lost_after_the_deed(imp: Imp) -> None:
    window = imp.pay("order-1", 1000)
    imp.approve()
    with (
        imp.weather("lost", path="/payments/cancel"),
        pytest.raises(Unavailable) as lost,
    ):
        imp.cancel(300)
    assert lost.value.may_have_happened
    assert imp.payment(window).cancel_amount == 300
    # Control: where nothing was done, nothing is found.
    with imp.weather("down", path="/payments/cancel"), pytest.raises(Unavailable):
        imp.cancel(300)
    assert imp.payment(window).cancel_amount == 300


def test_weather_that_does_not_exist_is_refused(imp: Imp) -> None:
    with pytest.raises(Stuck, match="slow, error, busy"), imp.weather("rain"):  # type: ignore[arg-type]
        pass
    with pytest.raises(GatewayTrouble, match="ten years"):
        imp.advance("4000d")

"""The one path: each attack, each order of arrival, each neighbour that fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from naru.kit import Client, Unavailable
from naru.shop import goods
from naru.shop.finalise import FORGERY, NOT_OURS, Cashier
from naru.shop.orders import Orders
from naru.shop.sms import SendFailed
from tests.shop.conftest import Till
from tests.support.stand_in_gateway import API_KEY, API_SECRET, hangs_up, payment_of


def test_a_payment_that_fits_pays_its_order(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)

    done = till.cashier.finalise(imp_uid, order)

    assert (done.status, done.message) == ("success", "일반 결제 성공")
    assert done.order is not None
    assert (done.order.status, done.order.imp_uid) == ("paid", imp_uid)


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
def test_a_cheap_payment_cannot_be_claimed_for_a_dear_order(till: Till) -> None:
    """The document's own hole: looked up by one order number, written to the browser's."""
    cheap, dear = till.place("carrots", 1_004), till.place()
    imp_uid = till.gateway.pay(cheap, 1_004)

    assert till.cashier.finalise(imp_uid, dear) == FORGERY
    assert (till.status(cheap), till.status(dear)) == ("placed", "placed")
    assert till.cashier.finalise(imp_uid, cheap).status == "success"
    assert till.status(dear) == "placed"


@pytest.mark.promise("P5")
def test_a_failed_payment_of_the_right_amount_pays_nothing(till: Till) -> None:
    """The document's other hole: its switch has no case for failed, after it has stored it."""
    order = till.place()

    done = till.cashier.finalise(till.gateway.fail(order, 64_900), order)

    assert (done.status, done.message) == ("failed", "한도초과(3011)")
    assert till.status(order) == "placed"


@pytest.mark.fault("E2_WD")
@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 100},
        {"amount": 64_900.5},
        {"currency": "VND"},
        {"currency": None},
        {"cancel_amount": None},
        {"status": "captured"},
    ],
)
def test_any_fact_that_differs_is_a_forgery_and_changes_nothing(
    till: Till, changes: dict[str, object]
) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.gateway.payments[imp_uid] |= changes

    assert till.cashier.finalise(imp_uid) == FORGERY
    assert till.status(order) == "placed"


@pytest.mark.fault("E2_WD")
@pytest.mark.promise("P5")
@pytest.mark.parametrize("named", ["ORD-of-nobody", None])
def test_a_payment_for_no_order_of_ours_changes_nothing_and_is_forged_where_one_is_claimed(
    till: Till, named: str | None
) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.gateway.payments[imp_uid]["merchant_uid"] = named

    assert till.cashier.finalise(imp_uid) == NOT_OURS
    assert till.cashier.finalise(imp_uid, order) == FORGERY
    assert till.status(order) == "placed"


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
def test_a_payment_nobody_knows_is_a_forgery(till: Till) -> None:
    assert till.cashier.finalise("imp_000000000000", till.place()) == FORGERY


@pytest.mark.fault("E1_WD", "E3_WD")
@pytest.mark.promise("P5")
def test_a_payment_that_paid_once_cannot_pay_again(till: Till) -> None:
    """Even when the gateway itself were made to say that it belongs to the second order."""
    first, second = till.place(), till.place()
    imp_uid = till.gateway.pay(first, 64_900)
    till.cashier.finalise(imp_uid)
    till.gateway.payments[imp_uid]["merchant_uid"] = second

    assert till.cashier.finalise(imp_uid, second) == FORGERY
    assert till.status(second) == "placed"


@pytest.mark.fault("E3_DU")
@pytest.mark.promise("P5")
def test_two_orders_racing_for_one_payment_leave_one_paid(till: Till) -> None:
    """The look-up of used payments may be passed by both; the database lets only one through."""
    orders = [till.place() for _ in range(6)]

    def bind(order: str) -> bool:
        try:
            return till.orders.mark_paid(order, "imp_1", paid_at=1, paid_by=None, receipt_url=None)
        except Exception as error:
            return type(error).__name__ != "AlreadyUsed"

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(bind, orders)) == 1
    assert sorted(map(till.status, orders)) == ["paid"] + ["placed"] * 5


@pytest.mark.fault("E1_WD", "E2_WD")
@pytest.mark.promise("P5")
def test_play_money_counts_only_where_the_shop_says_so(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900, sandbox=True)
    strict = Cashier(till.cashier._client, till.orders, till.inbox)

    assert strict.finalise(imp_uid, order) == FORGERY
    assert till.status(order) == "placed"
    assert till.cashier.finalise(imp_uid, order).status == "success"


@pytest.mark.fault("E3_WD")
@pytest.mark.promise("P5")
def test_a_second_payment_for_a_paid_order_is_not_its_payment(till: Till) -> None:
    order = till.place()
    first, second = till.gateway.pay(order, 64_900), till.gateway.pay(order, 64_900)
    till.cashier.finalise(first)

    assert till.cashier.finalise(second) == FORGERY
    stored = till.orders.find(order)
    assert stored is not None
    assert stored.imp_uid == first


@pytest.mark.fault("E3_RO")
def test_a_failed_try_is_forgotten_once_another_one_paid(till: Till) -> None:
    order = till.place()
    failed, paid = till.gateway.fail(order, 64_900), till.gateway.pay(order, 64_900)

    assert till.cashier.finalise(failed).status == "failed"
    assert till.cashier.finalise(paid).status == "success"
    assert till.cashier.finalise(failed).status == "success"  # late word of an old try
    stored = till.orders.find(order)
    assert stored is not None
    assert (stored.status, stored.imp_uid, stored.fail_reason) == ("paid", paid, None)


@pytest.mark.fault("E1_DU", "E2_DU", "E3_DU")
def test_all_callers_at_once_end_with_one_paid_order_and_one_answer(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    start = threading.Barrier(12)

    def call(_: int) -> str:
        start.wait(10)
        return till.cashier.finalise(imp_uid, order).status

    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(call, range(12))) == {"success"}


def test_an_account_is_kept_and_told_by_one_text_message(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.issue_account(order, 64_900)
    start = threading.Barrier(8)

    def call(_: int) -> str:
        start.wait(10)
        return till.cashier.finalise(imp_uid, order).message

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(call, range(8))) == {"가상계좌 발급 성공"}

    stored = till.orders.find(order)
    assert stored is not None
    assert (stored.status, stored.account_number) == ("waiting_deposit", "56211105948400")
    assert till.inbox.sent == [
        (
            "010-4242-4242",
            "가상계좌 발급이 성공되었습니다. 계좌 정보 신한은행 56211105948400"
            " 2029-12-31 (월) 23:59 KST까지 64,900원",
        )
    ]


@pytest.mark.fault("E1_RO", "E3_RO")
def test_a_deposit_pays_and_a_late_word_about_the_account_takes_nothing_back(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.issue_account(order, 64_900)
    till.cashier.finalise(imp_uid)
    waiting = dict(till.gateway.payments[imp_uid])
    till.gateway.deposit(imp_uid)

    assert till.cashier.finalise(imp_uid).status == "success"
    till.gateway.payments[imp_uid] = waiting  # a slower caller still saw the account
    assert till.cashier.finalise(imp_uid).status == "success"
    assert till.status(order) == "paid"
    assert len(till.inbox.sent) == 1


def test_a_closed_account_waits_no_longer_and_the_order_may_be_paid_anew(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.issue_account(order, 64_900)
    till.cashier.finalise(imp_uid)
    till.gateway.payments[imp_uid] |= {"status": "failed", "fail_reason": "계좌 해지"}

    assert till.cashier.finalise(imp_uid).status == "failed"
    stored = till.orders.find(order)
    assert stored is not None
    assert (stored.status, stored.account_number) == ("placed", None)
    assert till.cashier.finalise(till.gateway.pay(order, 64_900)).status == "success"


def test_another_failed_try_does_not_close_the_account_that_waits(till: Till) -> None:
    order = till.place()
    till.cashier.finalise(till.gateway.issue_account(order, 64_900))

    till.cashier.finalise(till.gateway.fail(order, 64_900))

    assert till.status(order) == "waiting_deposit"


def test_an_open_window_is_being_checked_and_changes_nothing(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900, status="ready")

    assert till.cashier.finalise(imp_uid, order).status == "checking"
    assert till.status(order) == "placed"


def test_a_cancel_after_payment_is_seen_and_a_part_is_noted(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.cashier.finalise(imp_uid)

    till.gateway.payments[imp_uid] |= {"status": "cancelled", "cancel_amount": 900}
    assert till.cashier.finalise(imp_uid).status == "success"
    stored = till.orders.find(order)
    assert stored is not None
    assert stored.cancelled_minor == 900

    till.gateway.payments[imp_uid] |= {"cancel_amount": 64_900}
    assert till.cashier.finalise(imp_uid).status == "cancelled"
    assert till.status(order) == "cancelled"


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
@pytest.mark.parametrize("given_back", [1, 64_900])
def test_money_given_back_before_we_heard_of_it_never_pays_not_even_by_an_older_word(
    till: Till, given_back: int
) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900, status="cancelled", cancel_amount=given_back)
    assert till.cashier.finalise(imp_uid).status == "cancelled"

    till.gateway.payments[imp_uid] |= payment_of(imp_uid, order, 64_900)

    assert till.cashier.finalise(imp_uid).status == "cancelled"


@pytest.mark.fault("E2_WD")
@pytest.mark.promise("P5")
def test_dollars_are_compared_to_the_cent(till: Till) -> None:
    order = till.place("notebook", 1_250, "USD")
    close = till.gateway.pay(order, 12.49, currency="USD", pay_method="paypal")
    right = till.gateway.pay(order, 12.5, currency="USD", pay_method="paypal")

    assert till.cashier.finalise(close) == FORGERY
    assert till.cashier.finalise(right).status == "success"


@pytest.mark.fault("E2_LR", "E2_NP")
@pytest.mark.promise("L3")
def test_a_gateway_that_is_down_changes_nothing_and_later_it_works(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.gateway.faults = [hangs_up] * 3

    with pytest.raises(Unavailable):
        till.cashier.finalise(imp_uid, order)

    assert till.status(order) == "placed"
    assert till.cashier.finalise(imp_uid, order).status == "success"


@pytest.mark.fault("E2_SL")
def test_no_lock_is_held_while_the_gateway_thinks(till: Till) -> None:
    """Another order is written while the gateway keeps this one waiting."""
    order, asked, go_on = till.place(), threading.Event(), threading.Event()
    imp_uid = till.gateway.pay(order, 64_900)
    till.cashier.finalise("imp_000000000000")  # the token is fetched before the fault

    def thinks(handler: object) -> None:
        asked.set()
        go_on.wait(10)
        hangs_up(handler)  # type: ignore[arg-type]

    till.gateway.faults = [thinks]
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(till.cashier.finalise, imp_uid, order)
        assert asked.wait(10)
        till.place()  # would wait for the lock and fail after 5 s
        go_on.set()
        assert slow.result(20).status == "success"


class MoodySender:
    """Refuses as often as it is told to, then sends."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.sent = refusals, list[str]()

    def send(self, receiver: str, text: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise SendFailed("busy")
        self.sent.append(receiver)


def test_a_sick_sender_spoils_no_payment_and_is_tried_again(till: Till) -> None:
    order, sender = till.place(), MoodySender(refusals=1)
    cashier = Cashier(till.cashier._client, till.orders, sender, allow_sandbox=True)
    imp_uid = till.gateway.issue_account(order, 64_900)

    statuses = [cashier.finalise(imp_uid).status for _ in range(3)]

    assert statuses == ["vbankIssued"] * 3
    assert sender.sent == ["010-4242-4242"]
    assert [message.sent_at is not None for message in till.orders.messages()] == [True]


@pytest.mark.fault("E1_LQ")
@pytest.mark.promise("L3")
def test_a_buyer_whose_browser_never_came_back_is_found(till: Till) -> None:
    order = till.place()
    assert till.cashier.look_again(order) is None
    till.gateway.fail(order, 64_900)
    till.gateway.pay(order, 64_900)

    found = till.cashier.look_again(order)

    assert found is not None
    assert found.status == "success"


def test_the_shop_reads_its_orders_again_after_a_restart(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.cashier.finalise(imp_uid)

    with Client(API_KEY, API_SECRET, base_url=till.gateway.url) as client:
        again = Cashier(client, Orders(till.orders._path), till.inbox, allow_sandbox=True)
        assert again.finalise(imp_uid, order).status == "success"


@pytest.mark.parametrize(("minor", "currency", "wire"), [(1004, "KRW", "1004"), (5, "USD", "0.05")])
def test_money_survives_the_way_to_the_wire_and_back(minor: int, currency: str, wire: str) -> None:
    assert goods.to_wire(minor, currency) == Decimal(wire)
    assert goods.from_wire(Decimal(wire), currency) == minor

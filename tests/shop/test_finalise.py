"""The one path: each attack, each order of arrival, each neighbour that fails."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from naru.kit import (
    Cancelled,
    Client,
    Failed,
    Forged,
    Paid,
    Unavailable,
    Unknown,
    WaitingForDeposit,
)
from naru.kit.orders.conformance import CHECKS, Check
from naru.shop import goods
from naru.shop.finalise import open_till
from naru.shop.orders import Orders
from naru.shop.sms import SendFailed
from tests.shop.conftest import Till
from tests.support.stand_in_gateway import API_KEY, API_SECRET, hangs_up, payment_of


def test_a_payment_that_fits_pays_its_order(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)

    done = till.finalise(imp_uid, order)

    assert isinstance(done, Paid)
    stored = till.order(order)
    assert (stored.status, stored.imp_uid, till.orders.parcels(order)) == ("paid", imp_uid, 1)


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"card_name": "신한카드"}, "신한카드"),
        ({"card_name": "신한카드", "pay_method": "samsung"}, "신한카드"),
        ({"card_name": None, "pay_method": "samsung", "pg_provider": "html5_inicis"}, "삼성페이"),
        ({"card_name": None, "pay_method": "paypal", "pg_provider": "paypal"}, "PayPal"),
        ({"card_name": None, "pay_method": "point", "pg_provider": "kakaopay"}, "카카오페이"),
        ({"card_name": None, "pay_method": "x", "pg_provider": "x"}, None),
    ],
)
def test_the_order_says_who_took_the_money(
    till: Till, facts: dict[str, object], shown: str | None
) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.gateway.payments[imp_uid] |= facts

    till.finalise(imp_uid, order)

    assert till.order(order).paid_by == shown


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
def test_a_cheap_payment_cannot_be_claimed_for_a_dear_order(till: Till) -> None:
    """The document's own hole: looked up by one order number, written to the browser's."""
    cheap, dear = till.place("carrots", 1_004), till.place()
    imp_uid = till.gateway.pay(cheap, 1_004)

    assert isinstance(till.finalise(imp_uid, dear), Forged)
    assert (till.status(cheap), till.status(dear)) == ("placed", "placed")
    assert isinstance(till.finalise(imp_uid, cheap), Paid)
    assert till.status(dear) == "placed"


@pytest.mark.promise("P5")
def test_a_failed_payment_of_the_right_amount_pays_nothing(till: Till) -> None:
    """The document's other hole: its switch has no case for failed, after it has stored it."""
    order = till.place()

    done = till.finalise(till.gateway.fail(order, 64_900), order)

    assert isinstance(done, Failed)
    stored = till.order(order)
    assert (stored.status, stored.fail_reason) == ("placed", "한도초과(3011)")
    assert till.orders.parcels(order) == 0


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

    assert isinstance(till.finalise(imp_uid), Forged)
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

    assert till.finalise(imp_uid).reasons == ("no_order",)  # type: ignore[union-attr]
    assert isinstance(till.finalise(imp_uid, order), Forged)
    assert till.status(order) == "placed"


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
def test_a_payment_nobody_knows_is_a_forgery(till: Till) -> None:
    assert isinstance(till.finalise("imp_000000000000", till.place()), Forged)


@pytest.mark.fault("E1_WD", "E3_WD")
@pytest.mark.promise("P5")
def test_a_payment_that_paid_once_cannot_pay_again(till: Till) -> None:
    """Even when the gateway itself were made to say that it belongs to the second order."""
    first, second = till.place(), till.place()
    imp_uid = till.gateway.pay(first, 64_900)
    till.finalise(imp_uid)
    till.gateway.payments[imp_uid]["merchant_uid"] = second

    assert isinstance(till.finalise(imp_uid, second), Forged)
    assert till.status(second) == "placed"


@pytest.mark.fault("E3_DU")
@pytest.mark.promise("P5")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_shops_database_is_a_store_that_the_kit_may_trust(check: Check, till: Till) -> None:
    """Among them: two orders that race for one payment leave one paid."""

    def place(merchant_uid: str, amount: int, currency: str) -> None:
        mine = till.place(amount=amount, currency=currency)
        with till.orders.begin() as desk:
            desk.session.execute(
                "UPDATE orders SET merchant_uid = ? WHERE merchant_uid = ?", (merchant_uid, mine)
            )

    check(till.orders, place)


@pytest.mark.fault("E1_WD", "E2_WD")
@pytest.mark.promise("P5")
def test_play_money_counts_only_where_the_shop_says_so(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900, sandbox=True)

    assert isinstance(till.open(allow_sandbox=False).finalise(imp_uid, order), Forged)
    assert till.status(order) == "placed"
    assert isinstance(till.finalise(imp_uid, order), Paid)


@pytest.mark.fault("E3_WD")
@pytest.mark.promise("P5")
def test_a_second_payment_for_a_paid_order_is_not_its_payment(till: Till) -> None:
    order = till.place()
    first, second = till.gateway.pay(order, 64_900), till.gateway.pay(order, 64_900)
    till.finalise(first)

    assert isinstance(till.finalise(second), Forged)
    assert (till.order(order).imp_uid, till.orders.parcels(order)) == (first, 1)


@pytest.mark.fault("E3_RO")
def test_a_failed_try_is_forgotten_once_another_one_paid(till: Till) -> None:
    order = till.place()
    failed, paid = till.gateway.fail(order, 64_900), till.gateway.pay(order, 64_900)

    assert isinstance(till.finalise(failed), Failed)
    assert isinstance(till.finalise(paid), Paid)
    assert isinstance(till.finalise(failed), Failed)  # late word of an old try
    stored = till.order(order)
    assert (stored.status, stored.imp_uid, stored.fail_reason) == ("paid", paid, None)


@pytest.mark.fault("E1_DU", "E2_DU", "E3_DU")
def test_all_callers_at_once_end_with_one_paid_order_and_one_answer(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    start = threading.Barrier(12)

    def call(_: int) -> type:
        start.wait(10)
        return type(till.finalise(imp_uid, order))

    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(call, range(12))) == {Paid}
    assert till.orders.parcels(order) == 1


def test_an_account_is_kept_and_told_by_one_text_message(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.issue_account(order, 64_900)
    start = threading.Barrier(8)

    def call(_: int) -> type:
        start.wait(10)
        return type(till.finalise(imp_uid, order))

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(call, range(8))) == {WaitingForDeposit}

    stored = till.order(order)
    assert (stored.status, stored.account_number) == ("waiting_deposit", "56211105948400")
    text = (
        "가상계좌 발급이 성공되었습니다. 계좌 정보 신한은행 56211105948400"
        " 2029-12-31 (월) 23:59 KST까지 64,900원"
    )
    assert till.inbox.sent == [("010-4242-4242", text)]
    assert [message.text for message in till.orders.messages()] == [text]


@pytest.mark.fault("E1_RO", "E3_RO")
def test_a_deposit_pays_and_a_late_word_about_the_account_takes_nothing_back(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.issue_account(order, 64_900)
    till.finalise(imp_uid)
    waiting = dict(till.gateway.payments[imp_uid])
    till.gateway.deposit(imp_uid)

    assert isinstance(till.finalise(imp_uid), Paid)
    till.gateway.payments[imp_uid] = waiting  # a slower caller still saw the account
    assert isinstance(till.finalise(imp_uid), Paid)
    assert till.status(order) == "paid"
    assert len(till.inbox.sent) == 1


def test_a_closed_account_waits_no_longer_and_the_order_may_be_paid_anew(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.issue_account(order, 64_900)
    till.finalise(imp_uid)
    till.gateway.payments[imp_uid] |= {"status": "failed", "fail_reason": "계좌 해지"}

    assert isinstance(till.finalise(imp_uid), Failed)
    stored = till.order(order)
    assert (stored.status, stored.account_number) == ("placed", None)
    assert isinstance(till.finalise(till.gateway.pay(order, 64_900)), Paid)


def test_another_failed_try_does_not_close_the_account_that_waits(till: Till) -> None:
    order = till.place()
    till.finalise(till.gateway.issue_account(order, 64_900))

    till.finalise(till.gateway.fail(order, 64_900))

    assert till.status(order) == "waiting_deposit"


def test_an_open_window_is_being_checked_and_changes_nothing(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900, status="ready")

    assert isinstance(till.finalise(imp_uid, order), Unknown)
    assert till.status(order) == "placed"


def test_a_cancel_after_payment_is_seen_and_a_part_is_noted(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.finalise(imp_uid)

    till.gateway.payments[imp_uid] |= {"status": "cancelled", "cancel_amount": 900}
    assert isinstance(till.finalise(imp_uid), Cancelled)
    stored = till.order(order)
    assert (stored.status, stored.cancelled_minor) == ("paid", 900)

    till.gateway.payments[imp_uid] |= {"cancel_amount": 64_900}
    assert isinstance(till.finalise(imp_uid), Cancelled)
    assert till.status(order) == "cancelled"


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
@pytest.mark.parametrize("given_back", [1, 64_900])
def test_money_given_back_before_we_heard_of_it_never_pays_not_even_by_an_older_word(
    till: Till, given_back: int
) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900, status="cancelled", cancel_amount=given_back)
    assert isinstance(till.finalise(imp_uid), Cancelled)

    till.gateway.payments[imp_uid] |= payment_of(imp_uid, order, 64_900)

    assert isinstance(till.finalise(imp_uid), Cancelled)


@pytest.mark.fault("E2_WD")
@pytest.mark.promise("P5")
def test_dollars_are_compared_to_the_cent(till: Till) -> None:
    order = till.place("notebook", 1_250, "USD")
    close = till.gateway.pay(order, 12.49, currency="USD", pay_method="paypal")
    right = till.gateway.pay(order, 12.5, currency="USD", pay_method="paypal")

    assert isinstance(till.finalise(close), Forged)
    assert isinstance(till.finalise(right), Paid)


@pytest.mark.fault("E2_LR", "E2_NP")
@pytest.mark.promise("L3")
def test_a_gateway_that_is_down_changes_nothing_and_later_it_works(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.gateway.faults = [hangs_up] * 3

    heard = till.finalise(imp_uid, order)
    assert isinstance(heard, Unknown)
    assert isinstance(heard.trouble, Unavailable)
    assert till.status(order) == "placed"
    assert isinstance(till.finalise(imp_uid, order), Paid)


@pytest.mark.fault("E2_SL")
def test_no_lock_is_held_while_the_gateway_thinks(till: Till) -> None:
    """Another order is written while the gateway keeps this one waiting."""
    order, asked, go_on = till.place(), threading.Event(), threading.Event()
    imp_uid = till.gateway.pay(order, 64_900)
    till.finalise("imp_000000000000")  # the token is fetched before the fault

    def thinks(handler: object) -> None:
        asked.set()
        go_on.wait(10)
        hangs_up(handler)  # type: ignore[arg-type]

    till.gateway.faults = [thinks]
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(till.finalise, imp_uid, order)
        assert asked.wait(10)
        till.place()  # would wait for the lock and fail after 5 s
        go_on.set()
        assert isinstance(slow.result(20), Paid)


class MoodySender:
    """Refuses as often as it is told to, then sends."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.sent = refusals, list[str]()

    def send(self, receiver: str, text: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise SendFailed("busy")
        self.sent.append(receiver)


def test_a_sick_sender_spoils_no_payment_and_the_sweep_tries_again(
    till: Till, caplog: pytest.LogCaptureFixture
) -> None:
    order, sender = till.place(), MoodySender(refusals=2)
    shop = till.open(sender)
    imp_uid = till.gateway.issue_account(order, 64_900)

    assert isinstance(shop.finalise(imp_uid), WaitingForDeposit)
    assert isinstance(shop.finalise(imp_uid), WaitingForDeposit)
    assert (shop.sweep().told, till.orders.messages()) == ([], [])
    assert shop.sweep().told == [order]
    assert shop.sweep().told == []
    assert sender.sent == ["010-4242-4242"]
    assert len(till.orders.messages()) == 1
    assert not any(secret in caplog.text for secret in ("010-4242-4242", "56211105948400"))


def test_an_account_that_waits_no_more_is_not_told(till: Till) -> None:
    order, sender = till.place(), MoodySender(refusals=1)
    shop = till.open(sender)
    imp_uid = till.gateway.issue_account(order, 64_900)
    shop.finalise(imp_uid)
    till.gateway.deposit(imp_uid)

    assert shop.sweep().finished == [order]
    assert sender.sent == []
    assert till.orders.parcels(order) == 1


@pytest.mark.fault("E1_LQ")
@pytest.mark.promise("L3")
def test_a_buyer_whose_browser_never_came_back_is_found(till: Till) -> None:
    order = till.place()
    shop = till.open()
    assert shop.look_again(order) is None
    till.gateway.fail(order, 64_900)
    till.gateway.pay(order, 64_900)

    assert isinstance(shop.look_again(order), Paid)
    assert till.status(order) == "paid"


def test_the_shop_reads_its_orders_again_after_a_restart(till: Till) -> None:
    order = till.place()
    imp_uid = till.gateway.pay(order, 64_900)
    till.finalise(imp_uid)

    with Client(API_KEY, API_SECRET, base_url=till.gateway.url) as client:
        again = open_till(client, Orders(till.orders._path), till.inbox, allow_sandbox=True)
        assert isinstance(again.finalise(imp_uid, order), Paid)
    assert till.orders.parcels(order) == 1


# What a file of the shop looked like when it finished its orders by itself.
OF_BEFORE = """
CREATE TABLE orders (
    merchant_uid TEXT PRIMARY KEY, visitor TEXT NOT NULL, product_key TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0), currency TEXT NOT NULL,
    buyer_name TEXT NOT NULL, buyer_tel TEXT NOT NULL, buyer_email TEXT NOT NULL,
    buyer_addr TEXT NOT NULL, buyer_postcode TEXT NOT NULL, placed_at INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'placed'
        CHECK (status IN ('placed', 'waiting_deposit', 'paid', 'cancelled')),
    imp_uid TEXT UNIQUE CHECK (imp_uid IS NOT NULL OR status IN ('placed', 'waiting_deposit')),
    cancelled_minor INTEGER NOT NULL DEFAULT 0, paid_at INTEGER, paid_by TEXT, receipt_url TEXT,
    fail_reason TEXT, account_imp_uid TEXT, account_bank TEXT, account_number TEXT,
    account_holder TEXT, account_due INTEGER
) STRICT;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, merchant_uid TEXT NOT NULL REFERENCES orders, subject TEXT NOT NULL,
    receiver TEXT NOT NULL, text TEXT NOT NULL, written_at INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL DEFAULT 0, sent_at INTEGER, UNIQUE (merchant_uid, subject)
) STRICT;
"""


def test_a_file_of_before_the_kit_goes_on_where_it_stood(till: Till, tmp_path: Path) -> None:
    path = tmp_path / "before.sqlite3"
    account = till.gateway.issue_account("waits", 64_900)
    paid = till.gateway.pay("paid", 64_900)
    with sqlite3.connect(path) as database:
        database.executescript(OF_BEFORE)
        for number, status, imp_uid, account_imp_uid, paid_at in (
            ("new", "placed", None, None, None),
            ("waits", "waiting_deposit", None, account, None),
            ("paid", "paid", paid, None, 1_700_000_000),
        ):
            database.execute(
                "INSERT INTO orders (merchant_uid, visitor, product_key, quantity, amount_minor,"
                " currency, buyer_name, buyer_tel, buyer_email, buyer_addr, buyer_postcode,"
                " placed_at, status, imp_uid, account_imp_uid, paid_at)"
                " VALUES (?, 'v', 'chair', 1, 64900, 'KRW', 'n', '010-4242-4242', 'e', 'a', '', 1,"
                " ?, ?, ?, ?)",
                (number, status, imp_uid, account_imp_uid, paid_at),
            )
        database.execute(
            "INSERT INTO messages (merchant_uid, subject, receiver, text, written_at)"
            " VALUES ('waits', ?, '010-4242-4242', 'unsent', 1)",
            (f"account {account}",),
        )

    for _ in range(2):  # The second one finds it brought up to date.
        orders = Orders(path)
    shop = open_till(till.client, orders, till.inbox, allow_sandbox=True)
    stand = {number: orders.find(number) for number in ("new", "waits", "paid")}
    assert [each and each.status for each in stand.values()] == [
        *("placed", "waiting_deposit", "paid")
    ]
    assert [orders.parcels(number) for number in stand] == [0, 0, 1]

    assert isinstance(shop.finalise(paid), Paid)
    assert shop.sweep().told == ["waits"]
    assert len(till.inbox.sent) == 1
    till.gateway.deposit(account)
    assert isinstance(shop.finalise(account), Paid)
    assert isinstance(shop.finalise(till.gateway.pay("new", 64_900)), Paid)
    till.gateway.payments[paid] |= {"status": "cancelled", "cancel_amount": 64_900}
    assert isinstance(shop.finalise(paid), Cancelled)
    assert [orders.parcels(number) for number in stand] == [1, 1, 1]


@pytest.mark.parametrize(("minor", "currency", "wire"), [(1004, "KRW", "1004"), (5, "USD", "0.05")])
def test_money_is_written_as_the_wire_has_it(minor: int, currency: str, wire: str) -> None:
    assert goods.to_wire(minor, currency) == Decimal(wire)

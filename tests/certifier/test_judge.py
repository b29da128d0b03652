"""What is owed in which history: the whole table, by hand-made histories and no shop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from naru.certifier import judge as judging
from naru.certifier.judge import judge
from naru.certifier.result import OrderSeen
from naru.certifier.shop import Visitor
from naru.certifier.stage import Order, Scene, Stage, Try
from naru.kit.types import Payment
from naru.testing.buyer import Window

PRICE = 64_900
NOW = datetime(2026, 11, 23, tzinfo=UTC)
WORDS = {"paid": "paid", "placed": "unpaid", "gone": "cancelled"}


@dataclass(frozen=True)
class Paid:
    """A payment for the order, and what the shop was told of it; as it is usually."""

    amount: int = PRICE
    currency: str = "KRW"
    number: str = "o-1"
    status: str = "paid"
    back: int = 0
    told_paid: bool = True
    heard_paid: bool = True
    told_returned: bool = False

    def payment(self, imp_uid: str) -> Payment:
        was_paid = self.status in ("paid", "cancelled")
        return Payment(
            imp_uid=imp_uid,
            status="cancelled" if self.back else self.status,
            merchant_uid=self.number,
            amount=Decimal(self.amount),
            cancel_amount=Decimal(self.back),
            currency=self.currency,
            paid_at=NOW if was_paid else None,
        )


WELL = Paid()
UNHEARD = Paid(told_paid=False, heard_paid=False)
DOUBTED = Paid(heard_paid=False)  # told by a lie, or in bad weather
CHEAP = Paid(amount=1_000)
DONG = Paid(currency="VND")
OTHER = Paid(number="o-2")
READY = Paid(status="ready", told_paid=False, heard_paid=False)
FAILED = Paid(status="failed", told_paid=False, heard_paid=False)
PART_BACK = Paid(back=1_000)
PART_BACK_FIRST = Paid(back=1_000, told_paid=False, heard_paid=False)
BACK = Paid(back=PRICE, told_returned=True)
BACK_FIRST = Paid(back=PRICE, told_paid=False, heard_paid=False, told_returned=True)
BACK_UNHEARD = Paid(back=PRICE)


@dataclass(frozen=True)
class Ends:
    """How the order stands in the end."""

    word: str = "paid"
    fulfilled: int = 1
    books: int | None = None


SENT = Ends()
PLACED = Ends("placed", 0)
GONE = Ends("gone", 0)
GONE_SENT = Ends("gone", 1)


class Books:
    """A stage on which everything has happened already."""

    def __init__(self, payments: list[Payment], ends: Ends) -> None:
        self.adapter = SimpleNamespace(words=WORDS, settles_within_seconds=0.0)
        self._payments, self._ends = payments, ends
        self.looks = 0

    def payments_of(self, order: Order) -> list[Payment]:
        return [each for each in self._payments if each.merchant_uid == order.merchant_uid]

    def see(self, order: Order) -> OrderSeen:
        self.looks += 1
        received = sum(
            int(each.amount or 0) - int(each.cancel_amount or 0)
            for each in self.payments_of(order)
            if each.currency == "KRW" and each.status in ("paid", "cancelled")
        )
        ends = self._ends
        return OrderSeen(
            order.name,
            order.merchant_uid,
            order.amount,
            ends.word,
            ends.fulfilled,
            ends.books,
            received,
        )


@dataclass
class History:
    """One order of PRICE, its payments, and how it ends."""

    payments: tuple[Paid, ...]
    ends: Ends
    rules: dict[str, int] = field(default_factory=dict)  # broken, and what it costs

    def judged(self) -> dict[str, int]:
        order = Order("A", "o-1", PRICE, Visitor("buyer"))
        payments, scene = [], Scene(orders={"A": order})
        for number, each in enumerate(self.payments):
            payment = each.payment(f"imp_{number}")
            window = Window(payment.imp_uid, each.number, "layer", "", "", "")
            told: dict[str, Any] = {
                "told_paid": each.told_paid,
                "heard_paid": each.heard_paid,
                "told_returned": each.told_returned,
            }
            scene.tries[str(number)] = Try(
                str(number), order, window, cast("Any", None), "buyer", truth=payment, **told
            )
            payments.append(payment)
        _, breaches = judge(cast("Stage", Books(payments, self.ends)), scene)
        return {breach.rule.id: breach.cost for breach in breaches}


TABLE = {
    # Honest.
    "paid, heard, sent": History((WELL,), SENT),
    "nobody paid, nothing sent": History((), PLACED),
    "given up": History((READY,), GONE),
    "failed, then paid": History((FAILED, WELL), SENT),
    # Goods for too little.
    "nobody paid": History((), SENT, {"paid-in-full": PRICE}),
    "called paid, not sent yet": History((), Ends("paid", 0), {"paid-in-full": PRICE}),
    "sent, not called paid": History((), Ends("placed", 1), {"paid-in-full": PRICE}),
    "an account is no money": History((READY,), SENT, {"paid-in-full": PRICE}),
    "refused": History((FAILED,), SENT, {"paid-in-full": PRICE}),
    "less": History((CHEAP,), SENT, {"paid-in-full": PRICE - 1_000}),
    "more is not the price either": History(
        (Paid(amount=PRICE + 1),), SENT, {"paid-in-full": 0}
    ),
    "twice too little": History((CHEAP, CHEAP), SENT, {"paid-in-full": PRICE - 2_000}),
    "another currency": History((DONG,), SENT, {"paid-in-full": PRICE}),
    "another order's": History((OTHER,), SENT, {"paid-in-full": PRICE}),
    "less, and nothing sent": History((CHEAP, DONG, OTHER), PLACED),
    # More than once.
    "sent twice": History((WELL,), Ends("paid", 2), {"once": PRICE}),
    "sent three times, paid twice": History((WELL, WELL), Ends("paid", 3), {"once": 2 * PRICE}),
    "paid twice, sent once": History((WELL, WELL), SENT),
    # Money without goods.
    "heard, nothing sent": History((WELL,), PLACED, {"money-gets-goods": PRICE}),
    "heard, called cancelled": History((WELL,), GONE, {"money-gets-goods": PRICE}),
    "heard, paid but not sent": History((WELL,), Ends("paid", 0), {"money-gets-goods": PRICE}),
    "sent, then called cancelled": History((WELL,), GONE_SENT, {"money-gets-goods": PRICE}),
    "nobody told the shop": History((UNHEARD,), PLACED),
    "nobody told the shop, it knew": History((UNHEARD,), SENT),
    "told by a liar only": History((DOUBTED,), PLACED),
    "told by a liar, looked into": History((DOUBTED,), SENT),
    "a part went back, later": History((PART_BACK,), SENT),
    "a part is not all": History((PART_BACK,), GONE_SENT, {"money-gets-goods": PRICE - 1_000}),
    "a part went back before any news": History((PART_BACK_FIRST,), GONE),
    "a part went back before any news, sent": History((PART_BACK_FIRST,), SENT),
    # Money that went back.
    "all back": History((BACK,), GONE_SENT),
    "all back, still paid": History((BACK,), SENT, {"given-back": PRICE}),
    "all back, nobody said so": History((BACK_UNHEARD,), SENT),
    "all back before any news": History((BACK_FIRST,), GONE),
    "all back before any news, never begun": History((BACK_FIRST,), PLACED),
    "all back before any news, sent": History((BACK_FIRST,), GONE_SENT, {"given-back": PRICE}),
    "all back before any news, paid": History((BACK_FIRST,), SENT, {"given-back": PRICE}),
    # Several payments: the order follows one of them, and we do not know which.
    "the second went back": History((WELL, BACK), SENT),
    "one went back, it was the order's": History((WELL, BACK), GONE_SENT),
    "one went back in part before any news": History((WELL, PART_BACK_FIRST), GONE),
    "one in part, later": History((WELL, PART_BACK), SENT),
    "one in part is not all": History(
        (WELL, PART_BACK), GONE_SENT, {"money-gets-goods": 2 * PRICE - 1_000}
    ),
    "a cheap one beside it went back": History(
        (WELL, replace(BACK, amount=1_000, back=1_000)), GONE_SENT, {"money-gets-goods": PRICE}
    ),
    "both went back": History((BACK, BACK), GONE_SENT),
    "both went back, still paid": History((BACK, BACK), SENT, {"given-back": PRICE}),
    "both went back, one said so": History((BACK, BACK_UNHEARD), SENT),
    # The books.
    "books right": History((WELL,), Ends(books=PRICE)),
    "books by the browser": History((WELL,), Ends(books=1_000), {"paid-amount": PRICE - 1_000}),
    "books too high": History((WELL,), Ends(books=PRICE + 1), {"paid-amount": 1}),
    "books of what is left": History((PART_BACK,), Ends(books=PRICE - 1_000)),
    "books of what was paid": History((PART_BACK,), Ends(books=PRICE)),
    "books of one of two": History((WELL, PART_BACK), Ends(books=PRICE - 1_000)),
    "books of an order that is not paid": History((BACK,), Ends("gone", 1, 0)),
}  # fmt: skip


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing will change any more: these books are closed."""
    monkeypatch.setattr(judging, "PATIENCE_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    assert TABLE[name].judged() == TABLE[name].rules


@pytest.mark.usefixtures("impatient")
def test_every_rule_is_broken_by_something_and_every_history_has_a_clean_end() -> None:
    broken = {rule for history in TABLE.values() for rule in history.rules}
    assert broken == {"paid-in-full", "once", "money-gets-goods", "given-back", "paid-amount"}
    for name, history in TABLE.items():
        ends = (SENT, PLACED, GONE, GONE_SENT, Ends(books=PRICE))
        assert any(not replace(history, ends=end).judged() for end in ends), name


class Slow(Books):
    """Its goods leave by a queue."""

    def see(self, order: Order) -> OrderSeen:
        seen = super().see(order)
        return replace(seen, fulfilled=1, status="paid") if self.looks > 3 else seen


def test_a_queue_has_a_moment() -> None:
    order = Order("A", "o-1", PRICE, Visitor("buyer"))
    payment = WELL.payment("imp_0")
    window = Window("imp_0", "o-1", "layer", "", "", "")
    heard = Try("a", order, window, cast("Any", None), "buyer", truth=payment, heard_paid=True)
    scene = Scene(orders={"A": order}, tries={"a": heard})
    books = Slow([payment], PLACED)
    (seen,), breaches = judge(cast("Stage", books), scene)
    assert breaches == []
    assert (seen.status, seen.fulfilled, books.looks) == ("paid", 1, 4)

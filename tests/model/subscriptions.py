"""Cards that are kept, charges without a window, and orders that are charged later: the machine's newer rules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model import v1
from tests.model.bench import NO, Answer
from tests.model.machine import (
    HOOK,
    Gateways,
    amounts,
    merchants,
    orders,
    pg_fates,
    some_key,
)
from tests.model.v1 import CHECKING, DONE, DONE_UNSEEN, KEY_LIFE, Asking, Payment, Plan

CUSTOMERS = "/subscribe/customers"
PLANS = "/subscribe/payments/schedule"
POINTS = "/benepia/payment"
AGAIN = "/subscribe/payments/again"
BY_CARD = ("/subscribe/payments/onetime", "/subscribe/payments/foreign")
CARDS = {"4518421234567811": "451842******7811", "5365101234561234": "536510******1234"}

customers = st.sampled_from(["gildong", "gildong", "cheolsu"])
cards = st.sampled_from(sorted(CARDS))
charge_paths = st.sampled_from([AGAIN, AGAIN, *BY_CARD, POINTS])
charge_fates = st.sampled_from([*pg_fates, "declined", "mismatch"])
key_fates = st.sampled_from([*pg_fates, "declined"])
plan_orders = st.sampled_from(["order-a", "order-b", "month-1", "month-2"])
ahead = st.sampled_from([-7_200, -60, 60, 60, 600, 86_400])


class Subscriptions(Gateways):
    """The gateway beside its model, with billing keys, charges and schedules."""

    # --- rules: billing keys -------------------------------------------------------------------

    @rule(merchant=merchants, customer=customers, card=cards, fate=key_fates)
    def keep_card(self, merchant: int, customer: str, card: str, fate: str) -> None:
        """A key is issued, or replaced; of one that nobody knows of the worker finds out first."""
        if (merchant, customer) in self.v1.asking:
            return
        # A second that no other question has: an answer may be the one to somebody else's question.
        self.bench.clock.advance(1)
        self._fate("POST billing_keys", fate)
        body = {"card_number": card, "expiry": "2049-12"}
        answer = self._ask(merchant, "POST", f"{CUSTOMERS}/{customer}", body)
        assert not any(self.bench.pg.next.values())
        if fate == "declined":
            assert answer.words == (200, -1, f"{v1.KEY_NOT_ISSUED} {NO}")
        elif fate in DONE_UNSEEN:
            assert answer.words == (200, 1, CHECKING)
            self.v1.asking[merchant, customer] = Asking(CARDS[card], DONE_UNSEEN[fate])
        else:
            self.v1.customers[merchant, customer] = CARDS[card]
            self._same_customer(answer, merchant, customer)

    def _same_customer(self, answer: Answer, merchant: int, customer: str) -> None:
        card = self.v1.customers.get((merchant, customer))
        if card is None:
            missing = f"요청하신 customer_uid({customer})로 등록된 정보를 찾을 수 없습니다."
            assert answer.words == (200, 1, missing)
            return
        assert answer.words == DONE
        said = answer.body["response"]
        assert (said["customer_uid"], said["card_number"]) == (customer, card)

    @rule(merchant=merchants, customer=customers)
    def look_at_card(self, merchant: int, customer: str) -> None:
        """GET one customer; everybody has their own."""
        answer = self._ask(merchant, "GET", f"{CUSTOMERS}/{customer}")
        self._same_customer(answer, merchant, customer)

    @rule(merchant=merchants, customer=customers, told=st.booleans())
    def delete_card(self, merchant: int, customer: str, told: bool) -> None:
        """The key is gone from here on, whether the PG hears of it or not."""
        if (merchant, customer) in self.v1.asking:
            return
        had = (merchant, customer) in self.v1.customers
        if had and not told:
            self._fate("DELETE billing_keys", "never")
        answer = self._ask(merchant, "DELETE", f"{CUSTOMERS}/{customer}")
        assert not any(self.bench.pg.next.values())
        self._same_customer(answer, merchant, customer)
        self.v1.customers.pop((merchant, customer), None)

    # --- rules: charges ------------------------------------------------------------------------

    @rule(
        path=charge_paths,
        merchant=merchants,
        order=orders,
        amount=amounts,
        customer=customers,
        keep=st.booleans(),
        fate=charge_fates,
        key=some_key,
    )
    def charge(
        self,
        path: str,
        merchant: int,
        order: str,
        amount: int,
        customer: str,
        keep: bool,
        fate: str,
        key: str | None,
    ) -> None:
        """Money without a window: by a key, by a card's number that may be kept, by points."""
        body: dict[str, Any] = {
            "merchant_uid": order,
            "amount": amount,
            "name": "구독",
            "notice_url": HOOK,
        }
        by = None
        if path == AGAIN:
            by = body["customer_uid"] = customer
        elif path == POINTS:
            body |= {"benepia_user": "gildong", "benepia_password": "secret"}
        else:
            body |= {"card_number": "4518421234567811", "expiry": "2049-12"}
            if keep:
                body["customer_uid"] = customer
        name = (merchant, "POST", path, key or "")
        fresh = key is None or self.v1.key_of(name, self.now) is None
        why = self.v1.refuse_charge(merchant, order, by) if fresh else None
        if fresh and why == (200, 1, CHECKING):
            key = None  # Another payment is in doubt: nothing was begun that a key could belong to.
        asked, at = self.bench.pg.count("charges"), self.now
        if fresh and why is None:
            self._fate("charges", fate)
        answer = self._ask(merchant, "POST", path, body, key)
        if not fresh:
            assert self._replayed(name, body, answer)
            return
        if why is not None:
            assert answer.words == why
            # Who is refused is not charged: a key that was deleted, an order that is paid.
            assert self.bench.pg.count("charges") == asked
            return
        method = "point" if path == POINTS else "card"
        payment = Payment(merchant, order, amount, method, at, by_api=True)
        payment.customer = body.get("customer_uid")
        if payment.customer is not None:
            payment.usage = "payment" if path == AGAIN else "issue"
        if payment.usage == "issue":
            payment.card = CARDS["4518421234567811"]
        self._begun(payment)
        self._charged(payment, fate, at)
        if fate in DONE_UNSEEN:
            self._unknown(answer, payment, key)
        elif fate == "mismatch" or (fate == "declined" and path == POINTS):
            assert answer.words == (200, -1, payment.fail_reason)
        else:
            assert answer.words == DONE
            self._same(answer.body["response"], payment)
        if key is not None:
            final = fate not in DONE_UNSEEN
            expires_at = at + KEY_LIFE
            self._remember(name, body, answer, expires_at=expires_at, final=final, payment=payment)

    def _charged(self, payment: Payment, fate: str, at: int) -> None:
        assert not any(self.bench.pg.next.values())
        self.v1.settle(payment, fate, at, self.now, NO)

    # --- rules: orders that are charged later --------------------------------------------------

    @rule(merchant=merchants, order=plan_orders, customer=customers, amount=amounts, seconds=ahead)
    def plan(self, merchant: int, order: str, customer: str, amount: int, seconds: int) -> None:
        """An order is written down to be charged at its time."""
        new = Plan(merchant, order, customer, amount, self.now + seconds)
        item = {"merchant_uid": order, "amount": amount, "schedule_at": new.at, "name": "구독"}
        body = {"customer_uid": customer, "schedules": [item | {"notice_url": HOOK}]}
        words = self.v1.plan(new, self.now)
        answer = self._ask(merchant, "POST", PLANS, body)
        assert answer.words == words
        if words == DONE:
            self._same_plans(answer, [new])

    def _same_plans(self, answer: Answer, plans: list[Plan]) -> None:
        said = answer.body["response"]
        said = [said] if isinstance(said, dict) else said
        known = [each.annotation() for each in plans]
        assert [
            {name: each[name] for name in one} for each, one in zip(said, known, strict=True)
        ] == known

    @rule(merchant=merchants, order=plan_orders)
    def look_at_plan(self, merchant: int, order: str) -> None:
        """GET the plan of an order, and what became of it."""
        plan = self.v1.plan_of(merchant, order)
        answer = self._ask(merchant, "GET", f"{PLANS}/{order}")
        if plan is None:
            assert answer.words == (404, -1, v1.NO_PLAN)
        else:
            self._same_plans(answer, [plan])

    @rule(
        merchant=merchants,
        order=st.one_of(st.none(), plan_orders),
        customer=st.one_of(st.none(), customers),
    )
    def unplan(self, merchant: int, order: str | None, customer: str | None) -> None:
        """What waits is revoked: an order's, or everything of a customer."""
        if order is None and customer is None:
            return
        said = {"merchant_uid": order, "customer_uid": customer}
        body = {name: value for name, value in said.items() if value is not None}
        revoked = self.v1.unplan(merchant, order, customer, self.now)
        answer = self._ask(merchant, "POST", "/subscribe/payments/unschedule", body)
        if revoked:
            assert answer.words == DONE
            self._same_plans(answer, revoked)
        else:
            assert answer.words == (200, 1, v1.NOTHING_PLANNED)

    @rule(merchant=merchants, order=plan_orders, seconds=ahead, again=st.booleans())
    def move_plan(self, merchant: int, order: str, seconds: int, again: bool) -> None:
        """Another time for what waits (PUT), or for what failed or was revoked (`reschedule`)."""
        plan, at = self.v1.plan_of(merchant, order), self.now + seconds
        change = self.v1.plan_again if again else self.v1.move
        words = change(plan, at, self.now)
        method, tail = ("POST", "/reschedule") if again else ("PUT", "")
        answer = self._ask(merchant, method, f"{PLANS}/{order}{tail}", {"schedule_at": at})
        assert answer.words == words
        if words == DONE:
            assert plan is not None
            self._same_plans(answer, [plan])

    @rule(merchant=merchants, order=plan_orders, fate=charge_fates)
    def try_plan_again(self, merchant: int, order: str, fate: str) -> None:
        """What failed is attempted again at once."""
        plan, at = self.v1.plan_of(merchant, order), self.now
        why = self.v1.refuse_retry(plan)
        asked = self.bench.pg.count("charges")
        if why is None:
            self._fate("charges", fate)
        answer = self._ask(merchant, "POST", f"{PLANS}/{order}/retry")
        if why is not None:
            assert answer.words == why
            assert self.bench.pg.count("charges") == asked
            return
        assert plan is not None
        payment = self.v1.attempt(plan, at)
        self._begun(payment)
        self._charged(payment, fate, at)
        if fate in DONE_UNSEEN:
            assert answer.words == (200, 1, CHECKING)
        else:
            assert answer.words == DONE
            self._same(answer.body["response"], payment)

    @precondition(lambda self: any(each.state == "scheduled" for each in self.v1.plans))
    @rule(fate=charge_fates)
    def run_plans(self, fate: str) -> None:
        """The next plan's time comes, and the worker charges all that are due, each once."""
        wait = min(each.looked_at for each in self.v1.plans if each.state == "scheduled") - self.now
        if wait > 0:
            self.advance(wait)
        for number in self.run(self.bench.due_plans()):
            plan, at = self.v1.due_plans(self.now)[0], self.now
            why = self.v1.refuse_charge(plan.merchant, plan.order, plan.customer)
            asked = self.bench.pg.count("charges")
            if why is None:
                self._fate("charges", fate)
            self.run(self.bench.run_plan(number))
            if why is not None:
                assert self.bench.pg.count("charges") == asked
            if why == (200, 1, CHECKING):
                plan.looked_at = at + v1.LOOK_AGAIN
                continue
            payment = self.v1.attempt(plan, at)
            if why is None:
                self._begun(payment)
                self._charged(payment, fate, at)
            else:
                self.run(self._learn(payment))
                self.v1.payments.append(payment)
                self.touched = payment
                payment.fail("abandoned", why[2] or "", at)
            fate = "ok"
        assert self.v1.due_plans(self.now) == []

"""Cards that are kept, charges without a window, and orders that are charged later: the machine's newer rules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model import v1
from tests.model.bench import NO, QUICK, Answer
from tests.model.machine import (
    HOOK,
    Gateways,
    Recall,
    amounts,
    merchants,
    orders,
    pg_fates,
    some_key,
)
from tests.model.v1 import (
    CARD_NOT_GOOD,
    CHECK_GIVEN_BACK,
    CHECKING,
    DONE,
    DONE_UNSEEN,
    MISMATCH,
    Asking,
    Cancel,
    Check,
    Doubt,
    Kept,
    Payment,
    Plan,
    Words,
)

CUSTOMERS = "/subscribe/customers"
PLANS = "/subscribe/payments/schedule"
UNPLAN = "/subscribe/payments/unschedule"
POINTS = "/benepia/payment"
AGAIN, AUTOPAY = "/subscribe/payments/again", "/kcpquick/payment/autopay"
BY_CARD = ("/subscribe/payments/onetime", "/subscribe/payments/foreign")
CARDS = {"4518421234567811": "451842******7811", "5365101234561234": "536510******1234"}

customers = st.sampled_from(["gildong", "gildong", "cheolsu"])
cards = st.sampled_from(sorted(CARDS))
charge_paths = st.sampled_from([AGAIN, AGAIN, AUTOPAY, *BY_CARD, POINTS])
key_pgs = st.sampled_from(["kcp", "kcp", QUICK])
charge_fates = st.sampled_from([*pg_fates, "declined", "mismatch"])
key_fates = st.sampled_from([*pg_fates, "declined"])
back_fates = st.sampled_from([*pg_fates, "declined"])
plan_orders = st.sampled_from(["order-a", "order-b", "month-1", "month-2"])
ahead = st.sampled_from([-7_200, -60, 60, 60, 600, 86_400])


class Subscriptions(Gateways):
    """The gateway beside its model, with billing keys, charges and schedules."""

    # --- rules: billing keys -------------------------------------------------------------------

    @rule(
        merchant=merchants,
        customer=customers,
        card=cards,
        fate=key_fates,
        pg=key_pgs,
        key=some_key,
    )
    def keep_card(
        self,
        merchant: int,
        customer: str,
        card: str,
        fate: str,
        pg: str = "kcp",
        key: str | None = None,
    ) -> None:
        """A key is issued, or replaced; of one that nobody knows of the worker finds out first."""
        path = f"{CUSTOMERS}/{customer}"
        name = (merchant, "POST", path, key or "")
        body = {"card_number": card, "expiry": "2049-12"}
        body["channel_key"] = self.bench.shops[merchant].channels[pg].channel_key
        if key is not None and self.v1.key_of(name, self.now) is not None:
            assert self._replayed(name, body, self._ask(merchant, "POST", path, body, key))
            return
        if (merchant, customer) in self.v1.asking:
            return
        at = self._second_of_its_own()
        self._fate("POST billing_keys", fate)
        answer = self._ask(merchant, "POST", path, body, key)
        assert not any(self.bench.pg.next.values())
        kept = Kept(CARDS[card], pg)
        asking = self._kept(merchant, customer, kept, fate)
        if fate == "declined":
            assert answer.words == (200, -1, f"{v1.KEY_NOT_ISSUED} {NO}")
        elif asking is not None:
            assert answer.words == (200 if key is None else 409, 1, CHECKING)
        else:
            self._same_customer(answer, merchant, customer)
        recall = None if asking is None else self._recall_key(asking, customer)
        self._remember(name, body, answer, at, recall)

    def _second_of_its_own(self) -> int:
        """An answer may be the one to somebody else's question of the same second."""
        self.bench.clock.advance(1)
        return self.now

    def _kept(self, merchant: int, customer: str, kept: Kept, fate: str) -> Asking | None:
        """What became of the question for a key; the doubt, if it is one."""
        if fate in DONE_UNSEEN:
            asking = Asking(kept, DONE_UNSEEN[fate])
            self.v1.asking[merchant, customer] = asking
            return asking
        if fate != "declined":
            self.v1.customers[merchant, customer] = kept
        return None

    @staticmethod
    def _recall_key(asking: Asking, customer: str) -> Recall:
        def recall(answer: Answer) -> bool:
            if asking.ended is None:
                assert answer.words == (409, 1, CHECKING)
            elif asking.ended == "refused":
                words = f"{v1.KEY_NOT_ISSUED} {v1.NEVER_ASKED_FOR_KEY}"
                assert answer.words == (200, -1, words)
            else:
                assert answer.words == DONE
                said = answer.body["response"]
                assert (said["customer_uid"], said["card_number"]) == (customer, asking.kept.card)
            return asking.ended is not None

        return recall

    def _same_customer(self, answer: Answer, merchant: int, customer: str) -> None:
        kept = self.v1.customers.get((merchant, customer))
        if kept is None:
            missing = f"요청하신 customer_uid({customer})로 등록된 정보를 찾을 수 없습니다."
            assert answer.words == (200, 1, missing)
            return
        assert answer.words == DONE
        said = answer.body["response"]
        known = (said["customer_uid"], said["card_number"], said["pg_provider"])
        assert known == (customer, kept.card, kept.pg)

    @rule(merchant=merchants, customer=customers)
    def look_at_card(self, merchant: int, customer: str) -> None:
        """GET one customer; everybody has their own."""
        answer = self._ask(merchant, "GET", f"{CUSTOMERS}/{customer}")
        self._same_customer(answer, merchant, customer)

    @rule(
        merchant=merchants,
        customer=customers,
        told=st.booleans(),
        quick=st.booleans(),
        key=some_key,
    )
    def delete_card(
        self,
        merchant: int,
        customer: str,
        told: bool,
        quick: bool = False,
        key: str | None = None,
    ) -> None:
        """The key is gone from here on, whether the PG hears of it or not. Quick pay deletes its own."""
        path = f"/kcpquick/autopay/{customer}" if quick else f"{CUSTOMERS}/{customer}"
        name = (merchant, "DELETE", path, key or "")
        if key is not None and self.v1.key_of(name, self.now) is not None:
            assert self._replayed(name, None, self._ask(merchant, "DELETE", path, None, key))
            return
        if (merchant, customer) in self.v1.asking:
            return
        had = self.v1.customers.get((merchant, customer))
        if had is not None and had.pg != QUICK and quick:
            had = None
        if had is not None and not told:
            self._fate("DELETE billing_keys", "never")
        answer = self._ask(merchant, "DELETE", path, None, key)
        assert not any(self.bench.pg.next.values())
        if not quick:
            self._same_customer(answer, merchant, customer)
        elif had is None:
            assert answer.words == (404, -1, v1.NO_QUICK_KEY)
        else:
            assert answer.words == DONE
            assert answer.body["response"] == {"customer_uid": customer}
        if had is not None:
            del self.v1.customers[merchant, customer]
            self._remember(name, None, answer, self.now)

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
        if path in (AGAIN, AUTOPAY):
            by = body["customer_uid"] = customer
        if path == AUTOPAY:
            body["buyer_name"] = "길동"
        elif path == POINTS:
            body |= {"benepia_user": "gildong", "benepia_password": "secret"}
        else:
            body |= {"card_number": "4518421234567811", "expiry": "2049-12"}
            if keep:
                body["customer_uid"] = customer
        name = (merchant, "POST", path, key or "")
        fresh = key is None or self.v1.key_of(name, self.now) is None
        at_pg = QUICK if path == AUTOPAY else None
        why = self.v1.refuse_charge(merchant, order, by, at_pg) if fresh else None
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
        if by is not None:
            payment.usage, payment.pg = "payment", self.v1.customers[merchant, by].pg
        elif payment.customer is not None:
            payment.usage = "issue"
        if payment.usage == "issue":
            payment.card = CARDS["4518421234567811"]
        self._begun(payment)
        self._charged(payment, fate, at)
        if fate in DONE_UNSEEN:
            self._unknown(answer, payment, key)
        elif fate == "mismatch" or (fate == "declined" and path in (POINTS, AUTOPAY)):
            assert answer.words == (200, -1, payment.fail_reason)
        else:
            assert answer.words == DONE
            self._same(answer.body["response"], payment)
        recall = self._recall(name, payment) if fate in DONE_UNSEEN else None
        self._remember(name, body, answer, at, recall)

    def _charged(self, payment: Payment, fate: str, at: int, declined: str = NO) -> None:
        assert not any(self.bench.pg.next.values())
        self.v1.settle(payment, fate, at, self.now, declined)

    # --- rules: orders that are charged later --------------------------------------------------

    @rule(
        merchant=merchants,
        order=plan_orders,
        customer=customers,
        amount=amounts,
        seconds=ahead,
        card=st.one_of(st.none(), cards),
        checking=st.sampled_from([0, 0, 100]),
        fates=st.tuples(key_fates, charge_fates, back_fates),
        key=some_key,
    )
    def plan(
        self,
        merchant: int,
        order: str,
        customer: str,
        amount: int,
        seconds: int,
        card: str | None = None,
        checking: int = 0,
        fates: tuple[str, str, str] = ("ok", "ok", "ok"),
        key: str | None = None,
    ) -> None:
        """An order is written down to be charged at its time; a new customer's card is kept for that,
        and charged once before if the merchant wants to know whether it can be."""
        now = self._second_of_its_own()
        new = Plan(merchant, order, customer, amount, now + seconds)
        item = {"merchant_uid": order, "amount": amount, "schedule_at": new.at, "name": "구독"}
        body: dict[str, Any] = {
            "customer_uid": customer,
            "schedules": [item | {"notice_url": HOOK}],
            "checking_amount": checking,
        }
        if card is not None:
            body |= {"card_number": card, "expiry": "2049-12"}
        name = (merchant, "POST", PLANS, key or "")
        if key is not None and self.v1.key_of(name, now) is not None:
            assert self._replayed(name, body, self._ask(merchant, "POST", PLANS, body, key))
            return
        words = self.v1.refuse_plan(new, now, card=card is not None)
        had = self.v1.customers.get((merchant, customer))
        open_check = None if had is None or not checking else self.v1.check_of(had)
        if (merchant, customer) in self.v1.asking or (
            open_check is not None and open_check.payment.step == "approving"
        ):
            return  # Who comes now waits for what that becomes.
        if words is not None:
            answer = self._ask(merchant, "POST", PLANS, body, key)
            assert answer.words == words
            return
        of_key, of_charge, of_back = fates
        if had is None:
            self._fate("POST billing_keys", of_key)
        charges = checking and open_check is None and (had is not None or of_key == "ok")
        if charges:
            self._fate("charges", of_charge)
            if of_charge == "ok":
                self._fate("cancels", of_back)
        answer = self._ask(merchant, "POST", PLANS, body, key)
        if had is None:
            assert card is not None
            self._kept(merchant, customer, Kept(CARDS[card]), of_key)
            words = self._no_card(of_key)
        if charges and words is None:
            words = self._checked(new, checking, of_charge, of_back)
        assert not any(self.bench.pg.next.values())
        words = words or self.v1.plan(new)
        assert answer.words == words
        if words == DONE:
            self._same_plans(answer, [new])
            self._remember(name, body, answer, now)

    @staticmethod
    def _no_card(fate: str) -> Words | None:
        """Why the card is not good, or that nobody knows."""
        if fate in DONE_UNSEEN:
            return 200, 1, CHECKING
        if fate == "mismatch":
            return 200, 1, f"{CARD_NOT_GOOD} {MISMATCH}"
        return (200, 1, f"{CARD_NOT_GOOD} {NO}") if fate == "declined" else None

    def _checked(self, plan: Plan, amount: int, of_charge: str, of_back: str) -> Words | None:
        """The customer's card was charged and the money given back; why there is no plan, if so."""
        kept = self.v1.customers[plan.merchant, plan.customer]
        payment = Payment(plan.merchant, "", amount, "card", self.now, by_api=True, pg=kept.pg)
        payment.customer, payment.usage, payment.unheard = plan.customer, "payment", True
        self._begun(payment)
        self.v1.settle(payment, of_charge, self.now, self.now, NO)
        self.v1.checks.append(Check(kept, payment))
        if payment.step == "paid":
            back = Cancel(payment.balance, CHECK_GIVEN_BACK, self.now, webhook=False)
            if of_back in DONE_UNSEEN:
                payment.doubt = Doubt("cancel", DONE_UNSEEN[of_back], self.now, back)
            elif of_back == "ok":
                self.v1.cancelled(payment, back)
        # What has ended is no check any more; whoever asks next charges the card again.
        if payment.step in ("cancelled", "failed"):
            self.v1.checks.pop()
        return self._no_card(of_charge)

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
        key=some_key,
    )
    def unplan(
        self, merchant: int, order: str | None, customer: str | None, key: str | None = None
    ) -> None:
        """What waits is revoked: an order's, or everything of a customer."""
        if order is None and customer is None:
            return
        said = {"merchant_uid": order, "customer_uid": customer}
        body = {name: value for name, value in said.items() if value is not None}
        name = (merchant, "POST", UNPLAN, key or "")
        fresh = key is None or self.v1.key_of(name, self.now) is None
        answer = self._ask(merchant, "POST", UNPLAN, body, key)
        if not fresh:
            assert self._replayed(name, body, answer)
            return
        revoked = self.v1.unplan(merchant, order, customer, self.now)
        if revoked:
            assert answer.words == DONE
            self._same_plans(answer, revoked)
            self._remember(name, body, answer, self.now)
        else:
            assert answer.words == (200, 1, v1.NOTHING_PLANNED)

    @rule(merchant=merchants, order=plan_orders, seconds=ahead, again=st.booleans(), key=some_key)
    def move_plan(
        self, merchant: int, order: str, seconds: int, again: bool, key: str | None = None
    ) -> None:
        """Another time for what waits (PUT), or for what failed or was revoked (`reschedule`)."""
        plan, at = self.v1.plan_of(merchant, order), self.now + seconds
        method, tail = ("POST", "/reschedule") if again else ("PUT", "")
        path, body = f"{PLANS}/{order}{tail}", {"schedule_at": at}
        name = (merchant, method, path, key or "")
        fresh = key is None or self.v1.key_of(name, self.now) is None
        answer = self._ask(merchant, method, path, body, key)
        if not fresh:
            assert self._replayed(name, body, answer)
            return
        change = self.v1.plan_again if again else self.v1.move
        words = change(plan, at, self.now)
        assert answer.words == words
        if words == DONE:
            assert plan is not None
            self._same_plans(answer, [plan])
            self._remember(name, body, answer, self.now)

    @rule(merchant=merchants, order=plan_orders, fate=charge_fates, key=some_key)
    def try_plan_again(self, merchant: int, order: str, fate: str, key: str | None = None) -> None:
        """What failed is attempted again at once."""
        plan, at = self.v1.plan_of(merchant, order), self.now
        path = f"{PLANS}/{order}/retry"
        name = (merchant, "POST", path, key or "")
        if key is not None and self.v1.key_of(name, at) is not None:
            assert self._replayed(name, None, self._ask(merchant, "POST", path, None, key))
            return
        why = self.v1.refuse_retry(plan)
        asked = self.bench.pg.count("charges")
        if why is None:
            self._fate("charges", fate)
        answer = self._ask(merchant, "POST", path, None, key)
        if why is not None:
            assert answer.words == why
            assert self.bench.pg.count("charges") == asked
            return
        assert plan is not None
        payment = self.v1.attempt(plan, at)
        self._begun(payment)
        self._charged(payment, fate, at)
        if fate in DONE_UNSEEN:
            self._unknown(answer, payment, key)
        else:
            assert answer.words == DONE
            self._same(answer.body["response"], payment)
        recall = self._recall(name, payment) if fate in DONE_UNSEEN else None
        self._remember(name, None, answer, at, recall)

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

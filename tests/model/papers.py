"""Promises about money: cash receipts, and accounts that wait for something else."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.model.bench import NO, Answer
from tests.model.machine import (
    Recall,
    merchants,
    orders,
    owners,
    pg_fates,
    some_key,
    some_payment,
    which_ones,
)
from tests.model.subscriptions import Subscriptions
from tests.model.v1 import CHECKING, DONE, DONE_UNSEEN, Payment
from tests.model.v1_papers import Change, Papers, Receipt

paper_fates = st.sampled_from([*pg_fates, "declined"])
receipt_fates = st.sampled_from([*pg_fates, "declined", "mismatch"])
tax_frees = st.sampled_from([0, 0, 100, 70_000])


class PaperRules(Subscriptions):
    """The gateway beside its model, with cash receipts and changes of accounts."""

    model = Papers
    v1: Papers

    # --- rules: cash receipts ------------------------------------------------------------------

    @some_payment
    @rule(asks=owners, which=which_ones, tax_free=tax_frees, fate=receipt_fates, key=some_key)
    def issue_receipt(
        self, asks: int, which: int, tax_free: int, fate: str, key: str | None = None
    ) -> None:
        """Of what is left of a payment; the other merchant tries it as well."""
        payment = self._pick(which)
        self.touched = payment
        merchant = self._who(payment, asks)
        self._issue_receipt(merchant, payment, payment.order, payment.balance, tax_free, fate, key)

    @rule(merchant=merchants, order=orders, fate=receipt_fates, key=some_key)
    def issue_receipt_outside(
        self, merchant: int, order: str, fate: str, key: str | None = None
    ) -> None:
        """Of an order that was paid elsewhere."""
        self._issue_receipt(merchant, None, order, 5_000, 0, fate, key)

    def _issue_receipt(
        self,
        merchant: int,
        payment: Payment | None,
        order: str,
        amount: int,
        tax_free: int,
        fate: str,
        key: str | None,
    ) -> None:
        outside = payment is None
        subject = order if payment is None else payment.imp_uid
        path = f"/receipts/external/{order}" if outside else f"/receipts/{subject}"
        body: dict[str, Any] = {"identifier": "010-1234-5678", "identifier_type": "phone"}
        body |= {"name": "당근", "amount": amount} if outside else {"tax_free": tax_free}
        name = (merchant, "POST", path, key or "")
        if key is not None and self.v1.key_of(name, self.now) is not None:
            assert self._replayed(name, body, self._ask(merchant, "POST", path, body, key))
            return
        if payment is None:
            why = self.v1.refuse_outside(merchant, order)
        else:
            why = self.v1.refuse_receipt(payment, merchant, tax_free)
        at = self.now
        if why is None:
            self._fate("cash_receipts", fate)
        answer = self._ask(merchant, "POST", path, body, key)
        assert not any(self.bench.pg.next.values())
        if why is not None:
            assert answer.words == why
            return
        new = Receipt(merchant, order, payment, amount, tax_free, at)
        self.v1.settle_receipt(new, fate, NO)
        self._receipt_told(answer, new, "issued", key)
        unknown = new.state in ("asking", "cancelling")
        recall = self._recall_receipt(new, ("asking", "cancelling"), "refused") if unknown else None
        self._remember(name, body, answer, at, recall)

    def _receipt_told(self, answer: Answer, receipt: Receipt, good: str, key: str | None) -> None:
        """What became of the question just now."""
        if receipt.state == good:
            self._same_receipt(answer, receipt)
        elif receipt.state in ("asking", "cancelling"):
            assert answer.words == (200 if key is None else 409, 1, CHECKING)
        else:
            assert answer.words == (200, -1, receipt.fail_reason)

    def _recall_receipt(self, receipt: Receipt, open_: tuple[str, ...], bad: str) -> Recall:
        def recall(answer: Answer) -> bool:
            if receipt.state in open_:
                assert answer.words == (409, 1, CHECKING)
                return False
            if receipt.state == bad:
                assert answer.words == (200, -1, receipt.fail_reason)
            else:
                self._same_receipt(answer, receipt)
            return True

        return recall

    @staticmethod
    def _same_receipt(answer: Answer, receipt: Receipt) -> None:
        assert answer.words == DONE
        said, known = answer.body["response"], receipt.annotation()
        assert {name: said[name] for name in known} == known

    @some_payment
    @rule(asks=owners, which=which_ones, fate=paper_fates, key=some_key)
    def revoke_receipt(self, asks: int, which: int, fate: str, key: str | None = None) -> None:
        """A payment's receipt is taken back; the money stays."""
        payment = self._pick(which)
        self._revoke_receipt(self._who(payment, asks), payment, payment.order, fate, key)

    @rule(merchant=merchants, order=orders, fate=paper_fates, key=some_key)
    def revoke_receipt_outside(
        self, merchant: int, order: str, fate: str, key: str | None = None
    ) -> None:
        """That of an order that was paid elsewhere."""
        self._revoke_receipt(merchant, None, order, fate, key)

    def _revoke_receipt(
        self, merchant: int, payment: Payment | None, order: str, fate: str, key: str | None
    ) -> None:
        outside = payment is None
        subject = order if payment is None else payment.imp_uid
        path = f"/receipts/external/{order}" if outside else f"/receipts/{subject}"
        name = (merchant, "DELETE", path, key or "")
        if key is not None and self.v1.key_of(name, self.now) is not None:
            assert self._replayed(name, None, self._ask(merchant, "DELETE", path, None, key))
            return
        known, at = self.v1.receipt_of(merchant, payment, order), self.now
        why = self.v1.refuse_revoking(known, outside=outside)
        asks_pg = why is None and known is not None and known.state == "issued"
        if asks_pg:
            self._fate("cash_receipts", fate)
        answer = self._ask(merchant, "DELETE", path, None, key)
        assert not any(self.bench.pg.next.values())
        if why is not None:
            assert answer.words == why
            return
        assert known is not None
        if asks_pg:
            self.v1.settle_revoking(known, fate, at, NO)
        self._receipt_told(answer, known, "cancelled", key)
        unknown = known.state == "cancelling"
        recall = self._recall_receipt(known, ("cancelling",), "issued") if unknown else None
        self._remember(name, None, answer, at, recall)

    @some_payment
    @rule(asks=owners, which=which_ones)
    def look_at_receipt(self, asks: int, which: int) -> None:
        """GET a payment's; the other merchant hears what it hears of one that never was."""
        payment = self._pick(which)
        self._look_at_receipt(self._who(payment, asks), payment, payment.order)

    @rule(merchant=merchants, order=orders)
    def look_at_receipt_outside(self, merchant: int, order: str) -> None:
        """GET that of an order that was paid elsewhere."""
        self._look_at_receipt(merchant, None, order)

    def _look_at_receipt(self, merchant: int, payment: Payment | None, order: str) -> None:
        outside = payment is None
        subject = order if payment is None else payment.imp_uid
        known = self.v1.receipt_of(merchant, payment, order)
        path = f"/receipts/external/{order}" if outside else f"/receipts/{subject}"
        answer = self._ask(merchant, "GET", path)
        words = self.v1.shown(known, subject, outside=outside)
        assert answer.words == words
        if words == DONE:
            assert known is not None
            self._same_receipt(answer, known)

    # --- rules: accounts that wait for something else ------------------------------------------

    @some_payment
    @rule(
        asks=owners,
        which=which_ones,
        amount=st.sampled_from([None, 700, 1_004]),
        days=st.sampled_from([None, 2, -1]),
        fate=paper_fates,
        key=some_key,
    )
    def change_account(
        self,
        asks: int,
        which: int,
        amount: int | None,
        days: int | None,
        fate: str,
        key: str | None = None,
    ) -> None:
        """An account that waits gets another amount and due date; a power of settle."""
        payment = self._pick(which)
        self.touched = payment
        merchant = self._who(payment, asks)
        path = f"/vbanks/{payment.imp_uid}"
        # The same day gives the same content, as a server that repeats itself sends it.
        due = None if days is None else (self.now // 86_400 + days) * 86_400
        said = {"amount": amount, "vbank_due": due}
        body = {name: value for name, value in said.items() if value is not None}
        name = (merchant, "PUT", path, key or "")
        if key is not None and self.v1.key_of(name, self.now) is not None:
            assert self._replayed(name, body, self._ask(merchant, "PUT", path, body, key))
            return
        why, at = self.v1.refuse_change(payment, merchant, due, self.now), self.now
        if why is None:
            self._fate("account_changes", fate)
        answer = self._ask(merchant, "PUT", path, body, key)
        assert not any(self.bench.pg.next.values())
        if why is not None:
            assert answer.words == why
            return
        change = Change(payment, amount or payment.amount, due or payment.due, fate != "never")
        recall = None
        if fate == "declined":
            assert answer.words == (200, -1, NO)
        elif fate in DONE_UNSEEN:
            self.v1.changes.append(change)
            self._unknown(answer, payment, key)
            recall = self._recall_change(change)
        else:
            self.v1.changed(change)
            assert answer.words == DONE
            self._same(answer.body["response"], payment)
        self._remember(name, body, answer, at, recall)

    def _recall_change(self, change: Change) -> Recall:
        def recall(answer: Answer) -> bool:
            if not change.ended:
                assert answer.words == (409, 1, CHECKING)
            elif change.refused is not None:
                assert answer.words == (200, -1, change.refused)
                return True
            else:
                assert answer.words == DONE
            self._same(answer.body["response"], change.payment)
            return change.ended

        return recall

    @some_payment
    @rule(which=which_ones)
    def deposit_as_changed(self, which: int) -> None:
        """The buyer pays what the PG waits for, which is not known here yet."""
        payment = self._pick(which)
        change = self.v1.change_of(payment)
        order = self.bench.pg.orders.get(payment.pg_order, {})
        if change is None or payment.doubt is not None or order.get("state") != "waiting_deposit":
            return
        rest = order["amount"] - sum(each.amount for each in payment.deposits)
        if rest > 0:
            self._deposit(payment, rest, min(self.now, payment.due, change.due))

    # --- the worker ----------------------------------------------------------------------------

    def _ends(self, now: int, *, silent: bool) -> None:
        super()._ends(now, silent=silent)
        self.v1.end_changes(now, silent=silent)
        self.v1.end_receipts(now, silent=silent)

    def _open(self) -> list[Any]:
        changes = [each for each in self.v1.changes if not each.ended]
        return [*super()._open(), *changes, *self.v1.open_receipts()]

    # --- after every step ----------------------------------------------------------------------

    def _written_papers(self) -> dict[str, Any]:
        known = super()._written_papers()
        if self.v1.receipts:
            known["receipts"] = [
                [each.subject, each.state, each.amount, each.cancels] for each in self.v1.receipts
            ]
        return known

    def teardown(self) -> None:
        """The tax office knows of what the merchants were told, and of no more."""
        super().teardown()
        live = [
            (each["merchant_order_no"] if each["tid"] is None else each["tid"], each["amount"])
            for each in self.bench.pg.live_receipts()
        ]
        tids = {
            each.imp_uid: self.bench.pg.orders[each.pg_order]["approval"]["tid"]
            for each in self.v1.payments
            if each.step in ("paid", "cancelled")
        }
        known = [
            (tids.get(each.subject, each.subject), each.amount)
            for each in self.v1.receipts
            if each.state == "issued"
        ]
        assert sorted(live) == sorted(known), (live, known)

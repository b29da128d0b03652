"""Promises about what moves no money, or moves it by another name: our rows and the offices' books, compared."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from naru.domain.mall import MallAct
from naru.domain.outcome import Declined

if TYPE_CHECKING:
    from tests.simulation.audit import Audit

Values = dict[str, Any]
TABLE_OF = {
    "receipt": "cash_receipts",
    "errand": "errands",
    "act": "order_acts",
    "question": "quick_questions",
}


class OfficeAudit:
    """Looks at every question that reaches an office, and at all of them at the end."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._database = audit.world.database
        self._offices = audit.pg.offices
        self._offices.heard = self.heard

    def heard(self, kind: str, number: str) -> None:
        """P13: nothing reaches an office that is not written down and committed."""
        if kind == "revocation":
            receipt, _, nth = number.rpartition("-")
            rows = self._audit.rows("cash_receipts", "number", receipt)
            known = bool(rows) and rows[0]["cancels"] >= int(nth)
        else:
            rows = self._audit.rows(TABLE_OF[kind], "number", number)
            known = bool(rows) and rows[0]["state"] != "planned"
        if not known:
            self._breaks("P13", f"a PG heard of a {kind} that is not written down", number)

    def at_the_end(self) -> None:
        """Everything, when the faults are over and the house had its time."""
        self._told = {each["subject"] for each in self._database.rows("operator_tasks")}
        self._told |= {each["imp_uid"] for each in self._database.rows("operator_tasks")}
        self._receipts()
        self._errands()
        self._acts()
        self._questions()
        self._checks()

    def _breaks(self, promise: str, sentence: str, subject: str) -> None:
        self._audit.world.breaks(promise, sentence, subject)

    def _receipts(self) -> None:
        """A receipt stands at most once for the same money, while the money is here, and both sides know it."""
        standing: Counter[tuple[Any, ...]] = Counter()
        for row in self._database.rows("cash_receipts"):
            number, state = row["number"], row["state"]
            office = self._offices.receipts.get(number)
            stands = office is not None and office.stands
            if stands:
                standing[row["merchant_uid"], row["merchant_id"]] += 1
            if number in self._told:
                continue
            if state in ("asking", "cancelling"):
                self._breaks("L1", f"a receipt is {state} for ever, and nobody was told", number)
            elif stands != (state == "issued"):
                self._breaks("P3", f"a receipt is {state}, at the tax office: {stands}", number)
            if not stands or office is None or row["imp_uid"] is None:
                continue
            [payment] = self._audit.rows("payments", "imp_uid", row["imp_uid"])
            if payment["step"] != "paid":
                self._breaks("P3", "a receipt stands of money that went back", number)
            if office.amount > payment["amount"]:
                self._breaks("P1", f"a receipt of {office.amount}, more than was paid", number)
        for what, times in standing.items():
            if times > 1:
                self._breaks("P2", f"{times} receipts stand of the same money", str(what[0]))

    def _errands(self) -> None:
        """What a PG changed is changed here, and the account waits for what the PG waits for."""
        for row in self._database.rows("errands"):
            self._ended("errand", row)
            [payment] = self._audit.rows("payments", "imp_uid", row["imp_uid"])
            order = self._audit.pg.orders[payment["pg_order_no"]]
            if (
                payment["step"] == "waiting_deposit"
                and payment["amount"] != order.asked
                and not self._told & {row["number"], row["imp_uid"]}
            ):
                self._breaks(
                    "P3",
                    f"the PG waits for {order.asked}, we for {payment['amount']}",
                    row["imp_uid"],
                )

    def _acts(self) -> None:
        for row in self._database.rows("order_acts"):
            if not MallAct(row["act"]).gives_money_back:
                self._ended("act", row)
                continue
            [payment] = self._audit.rows("payments", "imp_uid", row["imp_uid"])
            back = row["number"] in self._audit.pg.orders[payment["pg_order_no"]].given_back
            if self._told & {row["number"], row["imp_uid"]}:
                continue
            if row["state"] in ("planned", "asking"):
                self._breaks("L1", f"an act is {row['state']} for ever", row["imp_uid"])
            elif back != (row["state"] == "done"):
                self._breaks(
                    "P3", f"an act is {row['state']}, its money went back: {back}", row["imp_uid"]
                )

    def _questions(self) -> None:
        for row in self._database.rows("quick_questions"):
            self._ended("question", row)

    def _ended(self, kind: str, row: Values) -> None:
        """A question that gives nothing back: done where the office did it, else refused."""
        answer = self._offices.answers.get(row["number"])
        happened = answer is not None and not isinstance(answer, Declined)
        if row["number"] in self._told:
            return
        if row["state"] not in ("done", "refused"):
            self._breaks("L1", f"a {kind} is {row['state']} for ever", row["number"])
        elif happened != (row["state"] == "done"):
            self._breaks(
                "P3", f"a {kind} is {row['state']}, and it happened: {happened}", row["number"]
            )

    def _checks(self) -> None:
        """What a card was charged to check it went back."""
        for row in self._database.rows("card_checks"):
            if row["ended_at"] is None and row["imp_uid"] not in self._told:
                self._breaks("L1", "a card was charged to check it, and kept", row["imp_uid"])

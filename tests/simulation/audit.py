"""Every promise, checked: some at each commit and each movement at the PG, all at the end of the run.

The PG's book is the other truth: it is kept by pg.py, which shares nothing with the house.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from naru.domain.payment import NEXT, Step
from tests.simulation.audit_offices import OfficeAudit
from tests.simulation.database import Table, Transaction
from tests.simulation.pg import LONG_AGO, Order, Pg
from tests.simulation.world import World

OPEN = ("open", "unknown", "undoing")
ENDED_WELL = ("paid", "cancelled")
# A doubt that the PG cannot end is laid before a person: the buyer's proof and five minutes, and a
# little for the try itself.
TOLD_BY = LONG_AGO + timedelta(minutes=5, seconds=120)

Values = dict[str, Any]


class Audit:
    """Looks at everything that is committed, and at everything that moves at the PG."""

    def __init__(self, world: World, pg: Pg) -> None:
        self.world = world
        self.pg = pg
        world.database.watchers.append(self.committed)
        pg.asked = self.asked
        pg.moved = self.moved
        self.offices = OfficeAudit(self)

    def rows(self, table: str, column: str, value: Any) -> list[Values]:
        """What is committed, by a column that has a group."""
        rows = self.world.database.tables[table].of((column,), value)
        return [row.now for row in rows if row.now is not None]

    def _payment(self, imp_uid: str) -> Values | None:
        row = self.world.database.tables["payments"].rows.get(imp_uid)
        return None if row is None else row.now

    def _open(self, imp_uid: str) -> list[Values]:
        return [each for each in self.rows("intents", "imp_uid", imp_uid) if each["state"] in OPEN]

    # --- always ---

    def asked(self, kind: str, number: str, order: Order | None) -> None:
        """P13: nothing that changes something reaches a PG without a committed intent."""
        world = self.world
        if kind in ("approve", "net_cancel", "close_account"):
            rows = self.rows("payments", "pg_order_no", number)
            intents = self.rows("intents", "imp_uid", rows[0]["imp_uid"]) if rows else []
            wanted = ("close_account",) if kind == "close_account" else ("approve", "issue_account")
            found = any(each["kind"] in wanted for each in intents)
            if kind == "net_cancel" and not any(
                each["state"] in ("undoing", "undone") for each in intents
            ):
                world.breaks("P13", "a net-cancel was sent before it was decided", _name(rows))
        else:
            rows = [
                each for each in self.rows("intents", "kind", "cancel") if each["number"] == number
            ]
            found = bool(rows)
        if not found:
            subject = order.imp_uid if order is not None else _name(rows)
            world.breaks("P13", f"a PG was asked to {kind} {number} without an intent", subject)

    def moved(self, order: Order) -> None:
        """P3, always: money at the PG without a record has an open question."""
        self._compare(order)
        number, attempt, nth = order.number.partition("r")
        if attempt:
            self._scheduled(number, int(nth))

    def _scheduled(self, number: str, nth: int) -> None:
        """P15: a PG moves money of a schedule only for an attempt that is written down."""
        [row] = self.rows("schedules", "number", number)
        if row["attempt"] < nth:
            self.world.breaks("P15", f"charged for attempt {nth} before it was made", number)

    def committed(
        self, tx: Transaction, changes: list[tuple[Table, Values | None, Values]]
    ) -> None:
        """Every commit of every process."""
        world = self.world
        touched: dict[str, None] = {}
        for table, old, new in changes:
            name = table.name
            if name == "payments":
                touched[new["imp_uid"]] = None
                self._step(old, new)
            elif name == "intents":
                touched[new["imp_uid"]] = None
            if name == "schedules":
                world.note(new["merchant_uid"], tx.who, f"schedule: {new['state']}")
            elif name in ("cash_receipts", "errands", "order_acts", "quick_questions"):
                world.note(new["number"], tx.who, f"{name}: {new['state']}")
            if name in ("payments", "intents", "webhook_deliveries", "deposits", "operator_tasks"):
                what = new.get("event") or new.get("state") or new.get("meaning") or new.get("kind")
                world.note(new["imp_uid"] or "", tx.who, f"{name}: {what}")
        for imp_uid in touched:
            if len(self._open(imp_uid)) > 1:
                world.breaks("P14", "two open questions about one payment", imp_uid)
            payment = self._payment(imp_uid)
            assert payment is not None
            order = self.pg.orders.get(payment["pg_order_no"])
            if order is not None:
                self._compare(order)
            if payment["step"] == "approving" and not self._open(imp_uid):
                world.breaks("P3", "approving without an open question", imp_uid)

    def _step(self, old: Values | None, new: Values) -> None:
        imp_uid = new["imp_uid"]
        if old is not None and old["version"] != new["version"]:
            # A transaction may take several steps; its events tell each of them.
            step = Step(old["step"])
            table = self.world.database.tables["payment_events"]
            for version in range(old["version"] + 1, new["version"] + 1):
                row = table.rows.get((imp_uid, version))
                event = None if row is None or row.now is None else row.now["event"]
                after = NEXT.get((step, event)) if event is not None else None
                if after is None:
                    self.world.breaks("P4", f"version {version} has no lawful event", imp_uid)
                    return
                step = after
            if step.value != new["step"]:
                self.world.breaks("P8", f"the events lead to {step}, not {new['step']}", imp_uid)
        if (
            new["step"] in ENDED_WELL
            and new["cancelled_at"]
            and new["cancelled_at"] < new["paid_at"]
        ):
            self.world.breaks("P8", "cancelled before it was paid", imp_uid)
        holders = self.world.database.tables["payments"].of(
            ("merchant_id", "merchant_uid"), new["merchant_id"], new["merchant_uid"]
        )
        held = [
            row.now
            for row in holders
            if row.now is not None
            and row.now["step"] in ("approving", *ENDED_WELL)
            and not row.now["flagged"]
        ]
        if len(held) > 1:
            self.world.breaks("P2", f"{len(held)} approvals of one order", imp_uid)

    def _compare(self, order: Order) -> None:
        """The PG's book and ours, of one order."""
        rows = self.rows("payments", "pg_order_no", order.number)
        if not rows:
            if order.net:
                self.world.breaks("P13", "money for a payment that does not exist", order.number)
            return
        payment = rows[0]
        ours = payment["amount"] - payment["cancelled"] if payment["step"] in ENDED_WELL else 0
        theirs = order.charged - order.back
        if order.method == "vbank":
            return  # deposits come by notice; they are compared at the end
        if theirs != ours and not self._open(payment["imp_uid"]):
            self.world.breaks(
                "P3", f"the PG holds {theirs}, our book says {ours}", payment["imp_uid"]
            )

    # --- finally ---

    def _keys(self) -> None:
        """What we charge customers by is what the PGs can charge, and no question about it is left open."""
        ours: dict[str, str] = {}
        living: set[tuple[int, str]] = set()
        for key in self.world.database.rows("billing_keys"):
            ours[key["number"]] = key["state"]
            if key["state"] == "asking":
                self.world.breaks("L1", "a question for a billing key never ended", key["number"])
            if key["state"] == "live":
                name = (key["merchant_id"], key["customer_uid"])
                if name in living:
                    self.world.breaks("P2", "two living keys of one customer", key["number"])
                living.add(name)
                if self.pg.keys.get(key["number"]) != "live":
                    self.world.breaks("P3", "the PG cannot charge our key", key["number"])
        payments = {
            each["pg_order_no"]: each["imp_uid"] for each in self.world.database.rows("payments")
        }
        for number, state in self.pg.keys.items():
            # A charge that only a person can end is not known to have kept its card, either.
            if number in payments and self._is_laid_before_somebody(payments[number]):
                continue
            if state == "live" and ours.get(number) in (None, "asking", "refused"):
                self.world.breaks("P3", "the PG keeps a card that we know nothing of", number)

    def _schedules(self) -> None:
        """P15, L5: what was due has run, once an attempt; what was revoked has not."""
        held = {
            (each["merchant_id"], each["merchant_uid"])
            for each in self.world.database.rows("payments")
            if each["step"] == "approving"
        }
        for each in self.world.database.rows("schedules"):
            number, order = each["number"], each["merchant_uid"]
            charged = [
                asked
                for asked in self.pg.orders.values()
                if asked.number.partition("r")[0] == number and asked.net
            ]
            if len(charged) > 1:
                self.world.breaks("P15", f"charged {len(charged)} times", order)
            if each["state"] == "revoked" and charged:
                self.world.breaks("P15", "revoked, and charged", order)
            waits = (each["merchant_id"], order) in held
            late = self.world.now() - each["schedule_at"]
            if each["state"] == "scheduled" and late > timedelta(minutes=2) and not waits:
                self.world.breaks("L5", f"due for {late}, and not run", order)
            if each["state"] == "executed":
                payment = self._payment(each["imp_uid"])
                if payment is None or payment["pg_order_no"] != f"{number}r{each['attempt']}":
                    self.world.breaks("P15", "executed without its payment", order)
        ours = {each["number"] for each in self.world.database.rows("schedules")}
        for payment in self.world.database.rows("payments"):
            scheduled = payment["customer_uid_usage"] == "payment.scheduled"
            if scheduled and payment["pg_order_no"].partition("r")[0] not in ours:
                self.world.breaks("P15", "charged by no schedule", payment["imp_uid"])

    def at_the_end(self) -> None:
        """Everything, when the faults are over and the house had its time."""
        self._keys()
        self._schedules()
        self.offices.at_the_end()
        db = self.world.database
        for payment in db.rows("payments"):
            self._end_of(payment)
        known = {each["pg_order_no"] for each in db.rows("payments")}
        for order in self.pg.orders.values():
            if order.number not in known and order.net:
                self.world.breaks("P3", "the PG holds money of an unknown order", order.number)
            self._deposits(order)
        self._open_questions()
        self._webhooks()

    def _end_of(self, payment: Values) -> None:
        imp_uid = payment["imp_uid"]
        events = sorted(
            (each["version"], each["event"], each["step"])
            for each in self.rows("payment_events", "imp_uid", imp_uid)
        )
        if [version for version, _, _ in events] != list(range(1, payment["version"] + 1)):
            self.world.breaks("P4", "the events have a gap", imp_uid)
        given = sum(each["amount"] for each in self.rows("cancellations", "imp_uid", imp_uid))
        if not 0 <= payment["cancelled"] == given <= payment["amount"]:
            self.world.breaks("P1", f"given back {given} of {payment['amount']}", imp_uid)
        announced = self.world.database.tables["prepared"].rows.get(
            (payment["merchant_id"], payment["merchant_uid"])
        )
        fixed = None if announced is None or announced.now is None else announced.now["amount"]
        changed = any(event == "account_changed" for _, event, _ in events)
        if payment["approving_at"] and fixed not in (None, payment["amount"]) and not changed:
            self.world.breaks("P17", "approved for another amount than announced", imp_uid)
        order = self.pg.orders.get(payment["pg_order_no"])
        if order is None or order.method == "vbank":
            return
        ours = payment["amount"] - payment["cancelled"] if payment["step"] in ENDED_WELL else 0
        if order.charged - order.back != ours and not self._is_laid_before_somebody(imp_uid):
            self.world.breaks("P3", f"in the end the PG holds {order.net}, ours is {ours}", imp_uid)

    def _is_laid_before_somebody(self, imp_uid: str) -> bool:
        return any(
            each["imp_uid"] == imp_uid for each in self.world.database.rows("operator_tasks")
        )

    def _deposits(self, order: Order) -> None:
        """P16: every deposit is booked once, and pays exactly when it is exact."""
        booked = (
            [
                each
                for each in self.world.database.rows("deposits")
                if each["order_no"] == order.number
            ]
            if order.deposits
            else []
        )
        if sorted(each["notice_key"] for each in booked) != sorted(
            each.notice_key for each in order.deposits
        ):
            self.world.breaks("P16", "a deposit is not booked once", order.imp_uid)
        for each in booked:
            if each["meaning"] != "exact" and not self._is_laid_before_somebody(
                each["imp_uid"] or ""
            ):
                self.world.breaks(
                    "P16", f"nobody was told of a {each['meaning']} deposit", order.imp_uid
                )
        rows = self.rows("payments", "pg_order_no", order.number)
        if not rows or order.method != "vbank":
            return
        payment = rows[0]
        if payment["step"] == "paid" and sum(d["amount"] for d in booked) < payment["amount"]:
            self.world.breaks("P16", "paid by deposits that do not add up", payment["imp_uid"])
        if payment["step"] == "waiting_deposit":
            in_time = [d["amount"] for d in booked if d["deposited_at"] <= payment["vbank_due"]]
            if sum(in_time) == payment["amount"]:
                self.world.breaks(
                    "P16", "deposited exactly, and it still waits", payment["imp_uid"]
                )

    def _open_questions(self) -> None:
        """L1: no doubt is silent."""
        now = self.world.now()
        for intent in self.world.database.rows("intents"):
            since = now - intent["opened_at"]
            if intent["state"] not in OPEN or since <= TOLD_BY:
                continue
            if not self._is_laid_before_somebody(intent["imp_uid"]):
                self.world.breaks(
                    "L1",
                    f"{intent['kind']} is {intent['state']} since {since}, and nobody was told",
                    intent["imp_uid"],
                )

    def _webhooks(self) -> None:
        """P4, L2: each change that earns a webhook has one, and it arrived."""
        db = self.world.database
        laid = {(each["imp_uid"], each["version"]) for each in db.rows("webhook_deliveries")}
        for event in db.rows("payment_events"):
            if (
                (event["step"] == "waiting_deposit" and event["event"] != "account_changed")
                or event["event"] in (*("approved", "approved_late", "deposited"),)
                or (event["step"] == "failed" and self._was_scheduled(event["imp_uid"]))
            ) and (event["imp_uid"], event["version"]) not in laid:
                self.world.breaks("P4", f"no webhook for {event['event']}", event["imp_uid"])
        for delivery in db.rows("webhook_deliveries"):
            if delivery["mode"] == "ladder" and delivery["state"] != "delivered":
                self.world.breaks(
                    "L2",
                    f"webhook {delivery['version']} is {delivery['state']}",
                    delivery["imp_uid"],
                )

    def _was_scheduled(self, imp_uid: str) -> bool:
        payment = self._payment(imp_uid)
        return payment is not None and payment["customer_uid_usage"] == "payment.scheduled"


def _name(rows: list[Values]) -> str:
    return str(rows[0]["imp_uid"]) if rows else ""

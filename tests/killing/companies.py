"""Everything that is promised beside payments: each company's own ledger against our rows, both ways.

Keys, receipts, errands, acts about goods, members, schedules, accounts and people; and what merchants
were told of them. No row may stand on one side only, and what was acknowledged is done.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.killing.load import Promise

Row = dict[str, Any]

# Our rows; every table of a journal has a number under which its company knows it.
OURS = {
    "keys": "SELECT number, customer_uid, state, imp_uid FROM billing_keys",
    "receipts": "SELECT * FROM cash_receipts",
    "errands": "SELECT * FROM errands ORDER BY id",
    "acts": "SELECT * FROM order_acts",
    "members": "SELECT * FROM quick_questions",
    "schedules": "SELECT * FROM schedules",
    "people": "SELECT * FROM certifications",
    "payments": "SELECT * FROM payments",
    "cancellations": "SELECT cancellation_id AS number FROM cancellations",
}
THEIRS = {
    "keys": "SELECT key_no AS number, state FROM billing_keys",
    "receipts": "SELECT * FROM cash_receipts",
    "questions": "SELECT number, answer FROM questions",
    "acts": "SELECT number, act, result FROM mall_acts",
    "shipments": "SELECT * FROM shipments",
    "accounts": "SELECT order_no, number, amount, state FROM accounts JOIN orders USING (mid, order_no)",
    "people": "SELECT number, state FROM identity_requests",
    "members": "SELECT member_id FROM quick_members",
}
GIVES_MONEY = ("cancel", "approve-cancel", "approve-return")


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise: the rule, and about what."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def rows(ledger: Path, sql: str) -> list[Row]:
    """Rows of the PG's own file, which it alone writes."""
    file = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=20)
    file.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in file.execute(sql)]
    finally:
        file.close()


@dataclass
class Companies:
    """Both sides' rows as they are now. `said` is the companies' one answer to each numbered question."""

    ours: dict[str, list[Any]]
    theirs: dict[str, list[Row]]
    promised: list[Promise] = field(default_factory=list)

    @property
    def said(self) -> dict[str, Row]:
        """Number -> answer."""
        return {
            row["number"]: json.loads(row["answer"])
            for row in self.theirs["questions"]
            if row["answer"] is not None
        }

    def by_number(self, side: dict[str, list[Any]], table: str) -> dict[str, Any]:
        """The rows of one side by the number that both know."""
        return {row["number"]: row for row in side[table]}


async def read_companies(
    connection: asyncpg.Connection[asyncpg.Record], ledger: Path, promised: list[Promise]
) -> Companies:
    """Read both sides."""
    return Companies(
        {name: list(await connection.fetch(sql)) for name, sql in OURS.items()},
        {name: rows(ledger, sql) for name, sql in THEIRS.items()},
        promised,
    )


def compare_companies(books: Companies) -> list[Finding]:
    """What does not agree."""
    return [finding for check in CHECKS for finding in check(books)]


def count_companies(books: Companies) -> dict[str, int]:
    """How much there was to compare."""
    return {
        "keys": len(books.theirs["keys"]),
        "receipts": len(books.theirs["receipts"]),
        "errands": len(books.ours["errands"]),
        "acts": len(books.theirs["acts"]),
        "members": len(books.ours["members"]),
        "schedules": len(books.ours["schedules"]),
        "people": sum(row["state"] == "certified" for row in books.theirs["people"]),
        "promised": len(books.promised),
    }


def _keys(books: Companies) -> Iterator[Finding]:
    """A key that the PG keeps is one that we charge by, and the other way round."""
    theirs = books.by_number(books.theirs, "keys")
    ours = books.by_number(books.ours, "keys")
    for number, row in ours.items():
        there = theirs.get(number, {"state": "absent"})["state"]
        if (row["state"] == "live") != (there == "issued"):
            yield Finding("keys differ", f"{number}: {row['state']} here, {there} there")
    for number, row in theirs.items():
        if row["state"] == "issued" and number not in ours:
            yield Finding("keys differ", f"{number}: issued there, unknown here")


def _receipts(books: Companies) -> Iterator[Finding]:
    """The tax office knows what we call issued, once for each payment, and forgot what we call cancelled."""
    theirs = {row["receipt_tid"]: row for row in books.theirs["receipts"]}
    said, live = books.said, Counter[str]()
    known = set()
    for row in books.ours["receipts"]:
        name = f"{row['number']} ({row['state']})"
        there = theirs.get(said.get(row["number"], {}).get("receipt_tid"))
        if row["state"] == "refused":
            if there is not None:
                yield Finding("receipts differ", f"{name}: {there['receipt_tid']} is there")
            continue
        if there is None or there["receipt_tid"] != row["receipt_tid"]:
            yield Finding("receipts differ", f"{name}: not there")
            continue
        known.add(there["receipt_tid"])
        live[row["imp_uid"] or row["merchant_uid"]] += there["cancelled_at"] is None
        if there["amount"] != row["amount"]:
            yield Finding("receipts differ", f"{name}: {row['amount']}, {there['amount']} there")
        if (row["state"] == "cancelled") != (there["cancelled_at"] is not None):
            yield Finding("receipts differ", f"{name}: cancelled there {there['cancelled_at']}")
    for tid in theirs.keys() - known:
        yield Finding("receipts differ", f"{tid} is the tax office's alone")
    gone = {row["imp_uid"] for row in books.ours["payments"] if row["step"] == "cancelled"}
    for whose, count in live.items():
        if count > 1 or (count and whose in gone):
            yield Finding("receipts twice", f"{whose}: {count} receipts stand")


def _errands(books: Companies) -> Iterator[Finding]:
    """What we call done was registered; what was registered we call done; the last word stands."""
    said, last = books.said, {}
    payments = {row["imp_uid"]: row for row in books.ours["payments"]}
    for row in books.ours["errands"]:
        there = said.get(row["number"], {}).get("result") == "registered"
        if (row["state"] == "done") != there:
            yield Finding("errands differ", f"{row['number']} ({row['state']}): there {there}")
        if row["state"] == "done" and row["kind"] in ("ship", "reship"):
            last[payments[row["imp_uid"]]["pg_tid"]] = json.loads(row["became"])["invoice"]
    shipped = {row["tid"]: row["invoice"] for row in books.theirs["shipments"]}
    if shipped != last:
        yield Finding("errands differ", f"parcels {set(shipped.items()) ^ set(last.items())}")


def _accounts(books: Companies) -> Iterator[Finding]:
    """An account waits for what we say it waits for, and only as long as we say so."""
    payments = {row["pg_order_no"]: row for row in books.ours["payments"]}
    for row in books.theirs["accounts"]:
        payment = payments.get(row["order_no"])
        if payment is None:
            yield Finding("accounts differ", f"{row['order_no']} is no payment of ours")
        elif payment["step"] == "failed" and row["state"] == "waiting_deposit":
            yield Finding("accounts differ", f"{payment['imp_uid']}: it still waits there")
        elif payment["step"] != "failed" and payment["amount"] != row["amount"]:
            yield Finding(
                "accounts differ",
                f"{payment['imp_uid']}: {payment['amount']} here, {row['amount']} there",
            )


def _acts(books: Companies) -> Iterator[Finding]:
    """An act about goods is done on both sides or on none; one that gives money back is its cancel."""
    acted = {row["number"] for row in books.theirs["acts"] if row["result"] == "acted"}
    given = books.by_number(books.ours, "cancellations")
    ours = books.by_number(books.ours, "acts")
    for number, row in ours.items():
        there = number in (given if row["act"] in GIVES_MONEY else acted)
        if (row["state"] == "done") != there:
            yield Finding("acts differ", f"{number} {row['act']} ({row['state']}): there {there}")
    for number in acted - ours.keys() - given.keys():
        yield Finding("acts differ", f"{number} is the mall's alone")


def _members(books: Companies) -> Iterator[Finding]:
    """What a member was asked to be is what the PG made of them."""
    said = books.said
    for row in books.ours["members"]:
        there = said.get(row["number"], {}).get("result") in ("deleted", "released")
        if (row["state"] == "done") != there:
            yield Finding("members differ", f"{row['number']} ({row['state']}): there {there}")


def _people(books: Companies) -> Iterator[Finding]:
    """Whoever the company certified is certified here, and nobody else."""
    theirs = {row["number"] for row in books.theirs["people"] if row["state"] == "certified"}
    for row in books.ours["people"]:
        if (row["stage"] == "certified") != (row["number"] in theirs):
            yield Finding("people differ", f"{row['imp_uid']} is {row['stage']} here")


def _schedules(books: Companies) -> Iterator[Finding]:
    """What is executed has its payment, and an order that was paid was paid by its schedule."""
    payments = {row["imp_uid"]: row for row in books.ours["payments"]}
    paid = {
        row["merchant_uid"]: row["imp_uid"]
        for row in books.ours["payments"]
        if row["step"] in ("paid", "cancelled")
    }
    for row in books.ours["schedules"]:
        if paid.get(row["merchant_uid"], row["imp_uid"]) != row["imp_uid"]:
            yield Finding("schedules differ", f"{row['merchant_uid']} was paid, and not by it")
        payment = payments.get(row["imp_uid"])
        if (row["state"] == "executed") != (payment is not None):
            yield Finding("schedules differ", f"{row['merchant_uid']}: no payment of it")
        elif payment is not None and payment["pg_order_no"] != f"{row['number']}r{row['attempt']}":
            yield Finding("schedules differ", f"{row['merchant_uid']}: {payment['pg_order_no']}")


def _promised(books: Companies) -> Iterator[Finding]:
    """What a merchant was told is done is done, on both sides."""
    receipts = {row["receipt_tid"]: row for row in books.theirs["receipts"]}
    acts = {(row["subject"], row["act"]) for row in books.ours["acts"] if row["state"] == "done"}
    errands = {
        (row["imp_uid"], json.loads(row["became"]).get("invoice", ""))
        for row in books.ours["errands"]
        if row["state"] == "done"
    }
    done = {
        (row["member_id"], row["kind"]) for row in books.ours["members"] if row["state"] == "done"
    }
    left = {row["member_id"] for row in books.theirs["members"]}
    people = {row["imp_uid"]: row["stage"] for row in books.ours["people"]}
    schedules = {row["merchant_uid"]: row["state"] for row in books.ours["schedules"]}
    amounts = {row["imp_uid"]: str(row["amount"]) for row in books.ours["payments"]}
    # Who asked and was cut off was promised nothing: it may have been revoked all the same.
    may_be = {each.subject for each in books.promised if each.deed == "asked to revoke"}
    truth: dict[str, Callable[[Promise], bool]] = {
        "receipt issued": lambda it: it.subject in receipts,
        "receipt cancelled": lambda it: receipts[it.subject]["cancelled_at"] is not None,
        "shipped": lambda it: (it.subject, it.how) in errands,
        "account changed": lambda it: amounts[it.subject] == it.how,
        "acted": lambda it: (it.subject, it.how) in acts,
        "fido released": lambda it: (it.subject, "release_fido") in done,
        "member forgotten": lambda it: (
            (it.subject, "delete_member") in done and it.subject not in left
        ),
        "planned": lambda it: (
            schedules.get(it.subject) == "executed"
            or (schedules.get(it.subject) == "revoked" and it.subject in may_be)
        ),
        "asked to revoke": lambda it: schedules.get(it.subject) != "scheduled",
        "revoked": lambda it: schedules.get(it.subject) == "revoked",
        "certified": lambda it: people.get(it.subject) == "certified",
    }
    for each in books.promised:
        if not truth[each.deed](each):
            yield Finding("promised and not done", f"{each}")


CHECKS: tuple[Callable[[Companies], Iterator[Finding]], ...] = (
    _keys,
    _receipts,
    _errands,
    _accounts,
    _acts,
    _members,
    _people,
    _schedules,
    _promised,
)

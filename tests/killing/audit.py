"""Three books, compared row by row: ours, the sandbox PG's own file, and what everybody was told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.killing.companies import (
    Companies,
    Finding,
    compare_companies,
    count_companies,
    read_companies,
    rows,
)
from tests.killing.house import JOURNALS, House
from tests.killing.load import PAID, Book

# The names of a promise whose breaking is counted in the line of numbers, whatever else is found.
# An order is asked about under the number of one of these.
ORDERS = ("approve", "issue_account")
COUNTED = (
    "acknowledged and lost",
    "promised and not done",
    "orphan charges",
    "double charges",
    "receipts twice",
    "not in the journal first",
)


@dataclass
class Books:
    """Both sides' rows as they are now."""

    payments: dict[str, Any]  # by pg_order_no
    by_uid: dict[str, Any]
    cancellations: dict[str, Any]
    deposits: dict[str, Any]
    events: dict[str, list[Any]]
    deliveries: list[Any]
    differences: list[Any]  # what the comparison of the books found
    intents: dict[tuple[str, str], float]  # (kind, number) -> committed at, UNIX seconds
    pg: list[dict[str, Any]]
    pg_deposits: list[dict[str, Any]]
    pg_notices_of_goods: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    companies: Companies


async def audit(house: House, told: Book) -> tuple[list[Finding], dict[str, int]]:
    """What is wrong, and how much there was to look at."""
    books = await read(house, told)
    found = [
        *_money(books),
        *compare_companies(books.companies),
        *_journal(books),
        *_history(books),
        *_acknowledged(books, told),
        *_webhooks(books, told),
        *_differences(books, told),
        *(Finding("wrong at once", each) for each in told.wrong),
    ]
    # The audit refuses guards that are not the house's own, and our spies are some.
    connection = await asyncpg.connect(house.database.url)
    await connection.execute("DROP FUNCTION IF EXISTS killing.note CASCADE")
    await connection.close()
    status, said = await house.naru("audit")
    if status != 0:
        found.append(Finding("naru audit", said))
    rules = Counter(each.rule for each in found)
    counts = {
        "payments": len(books.payments),
        "charges at the PG": sum(row["kind"] in ("charge", "deposit") for row in books.pg),
        "cancels": len(books.cancellations),
        "deposits": len(books.deposits),
        "differences": len(books.differences),
        **count_companies(books.companies),
        "acknowledged": len(told.told),
        **{rule: rules[rule] for rule in COUNTED},
    }
    return found, counts


async def read(house: House, told: Book) -> Books:
    """Read both sides. The PG's book is its file, which it alone writes."""
    connection = await asyncpg.connect(house.database.url)
    try:
        payments = await connection.fetch("SELECT * FROM payments")
        events: dict[str, list[Any]] = defaultdict(list)
        for row in await connection.fetch("SELECT * FROM payment_events ORDER BY imp_uid, version"):
            events[row["imp_uid"]].append(row)
        cancellations = await connection.fetch("SELECT * FROM cancellations")
        deposits = await connection.fetch("SELECT * FROM deposits")
        deliveries = await connection.fetch("SELECT * FROM webhook_deliveries ORDER BY id")
        differences = await connection.fetch("SELECT * FROM book_differences")
        intents = await connection.fetch(
            "SELECT kind, number, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at"
            " FROM killing.intents"
        )
        companies = await read_companies(connection, house.ledger, told.promised)
    finally:
        await connection.close()
    pg = rows(house.ledger, "SELECT * FROM book ORDER BY seq")
    # A notice without an amount tells of goods.
    notices = rows(house.ledger, "SELECT * FROM notices")
    lines = house.requests.read_text().splitlines() if house.requests.exists() else []
    return Books(
        payments={row["pg_order_no"]: row for row in payments},
        by_uid={row["imp_uid"]: row for row in payments},
        cancellations={row["cancellation_id"]: row for row in cancellations},
        deposits={row["notice_key"]: row for row in deposits},
        events=events,
        deliveries=list(deliveries),
        differences=list(differences),
        intents={(row["kind"], row["number"]): row["at"] for row in intents},
        pg=pg,
        pg_deposits=[row for row in notices if row["amount"]],
        pg_notices_of_goods=[row for row in notices if not row["amount"]],
        requests=[json.loads(line) for line in lines],
        companies=companies,
    )


def waiting_notices(ledger: Path) -> list[str]:
    """Notices that the PG has still to deliver."""
    waiting = rows(ledger, "SELECT notice_id FROM notices WHERE state = 'waiting'")
    return [row["notice_id"] for row in waiting]


def cancels_seen(ledger: Path) -> set[str]:
    """The numbers of all cancels that ever reached the PG."""
    return {row["cancel_no"] for row in rows(ledger, "SELECT cancel_no FROM cancels")}


def _money(books: Books) -> list[Finding]:
    """P1, P2, P3, P16: every won at the PG is a won here, row by row, both ways."""
    found: list[Finding] = []
    theirs: dict[str, int] = defaultdict(int)
    undone = {row["order_no"] for row in books.pg if row["kind"] == "net_cancel"}
    for row in books.pg:
        theirs[row["order_no"]] += row["amount"] * (
            1 if row["kind"] in ("charge", "deposit") else -1
        )
        payment = books.payments.get(row["order_no"])
        if payment is None:
            found.append(Finding("orphan charges", f"{row['order_no']} is no payment of ours"))
            continue
        name = f"{payment['imp_uid']} ({payment['step']})"
        if row["kind"] == "charge" and row["order_no"] not in undone:
            if payment["step"] not in PAID or payment["pg_tid"] != row["tid"]:
                found.append(Finding("orphan charges", f"{name}: the PG took {row['amount']}"))
        elif row["kind"] == "cancel":
            ours = books.cancellations.get(row["reference"])
            if ours is None or ours["amount"] != row["amount"]:
                found.append(Finding("P3", f"{name}: cancel {row['reference']} is the PG's alone"))
    arrived: dict[str, int] = Counter()
    for row in books.deposits.values():
        arrived[row["order_no"]] += row["amount"]
    for number, payment in books.payments.items():
        ours = 0
        if payment["step"] in PAID:
            ours = payment["amount"] - payment["cancelled"]
        # What was deposited and did not pay: all of it, or what was too much.
        strange = arrived[number]
        if payment["step"] in PAID and strange:
            strange -= payment["amount"]
        if ours + strange != theirs[number]:
            found.append(
                Finding(
                    "P3", f"{payment['imp_uid']}: {ours + strange} here, {theirs[number]} there"
                )
            )
    found += [
        Finding("P16", f"{key} is called exact, and {row['order_no']} is not paid")
        for key, row in books.deposits.items()
        if row["meaning"] == "exact"
        and (books.payments.get(row["order_no"]) or {"step": None})["step"] not in PAID
    ]
    references = {row["reference"] for row in books.pg if row["kind"] == "cancel"}
    found += [
        Finding("P3", f"{row['imp_uid']}: cancellation {key} is ours alone")
        for key, row in books.cancellations.items()
        if key not in references
    ]
    notices = {row["notice_id"]: row["amount"] for row in books.pg_deposits}
    kept = {key: row["amount"] for key, row in books.deposits.items()}
    if notices != kept:
        found.append(Finding("P16", f"deposits differ: {set(notices.items()) ^ set(kept.items())}"))
    taken: dict[str, int] = Counter(
        row["merchant_uid"]
        for number, row in books.payments.items()
        if theirs[number] > 0 and not row["flagged"]
    )
    found += [
        Finding("double charges", f"order {order} was paid {count} times")
        for order, count in taken.items()
        if count > 1
    ]
    return found


def _journal(books: Books) -> list[Finding]:
    """P13: what the PG was asked stood in our journal, committed, before it was asked."""
    found = []
    for request in books.requests:
        path = request["path"]
        if request["cancel_no"]:
            number, kinds = request["cancel_no"], ("cancel",)
        elif request["number"]:
            number, kinds = request["number"], (*JOURNALS, *ORDERS)
        elif request["order_no"]:
            number, kinds = request["order_no"], ORDERS
        else:
            # An undoing speaks of an order whose approval was asked for in the journal.
            number, kinds = _of_path(path), (*JOURNALS, *ORDERS)
        committed = [
            books.intents[kind, number] for kind in kinds if (kind, number) in books.intents
        ]
        if not committed:
            found.append(Finding("not in the journal first", f"{path} {number}: no such intent"))
        elif min(committed) > request["at"]:
            late = min(committed) - request["at"]
            found.append(Finding("not in the journal first", f"{path} {number}: {late:.4f} s late"))
    return found


def _of_path(path: str) -> str:
    """The number that stands in an address: the third word, or the one after a second noun."""
    words = path.split("/")
    return words[4] if path.startswith("/v1/mall/acts/") else words[3]


def _differences(books: Books, told: Book) -> list[Finding]:
    """The comparison of the books mends what only the PG knows. What it must mend besides was lost."""
    return [
        Finding("only the comparison found it", f"{row['kind']} {row['order_no']} {row['ending']}")
        for row in books.differences
        if row["order_no"] not in told.untold
    ]


def _history(books: Books) -> list[Finding]:
    """P4: the events of a payment are numbered 1 to its version, and end where it stands."""
    found = []
    for imp_uid, payment in books.by_uid.items():
        events = books.events[imp_uid]
        if [row["version"] for row in events] != list(range(1, payment["version"] + 1)):
            found.append(Finding("P4", f"{imp_uid}: {[row['version'] for row in events]}"))
        elif (events[-1]["step"], events[-1]["cancelled"]) != (
            payment["step"],
            payment["cancelled"],
        ):
            found.append(Finding("P4", f"{imp_uid}: its history does not end where it stands"))
    return found


def _acknowledged(books: Books, told: Book) -> list[Finding]:
    """P11, P12: whatever somebody was told is true, and stays."""
    found = []
    for each in told.told:
        payment = books.by_uid.get(each.imp_uid)
        if payment is None:
            found.append(Finding("acknowledged and lost", f"{each}: there is no such payment"))
            continue
        steps = {row["step"] for row in books.events[each.imp_uid]}
        truth = {
            "paid": "paid" in steps,
            "cancelled": payment["cancelled"] > 0,
            "failed": payment["step"] == "failed",
            # V1's word for opened, approving and waiting alike: it promises an account only.
            "ready": "waiting_deposit" in steps if each.by == "webhook" else True,
        }
        if not truth.get(each.said, False) or payment["cancelled"] < each.cancelled:
            found.append(
                Finding("acknowledged and lost", f"{each}: it is {payment['step']} ({steps})")
            )
    return found


def _webhooks(books: Books, told: Book) -> list[Finding]:
    """P4, L2: what earns a webhook was delivered, first deliveries in order, one id for all of them."""
    found = []
    came: dict[str, list[Any]] = defaultdict(list)
    of_goods = {webhook.imp_uid for webhook in told.webhooks if webhook.event}
    for webhook in told.webhooks:
        if not webhook.event:
            came[webhook.imp_uid].append(webhook)
    for notice in books.pg_notices_of_goods:
        payment = books.payments[notice["order_no"]]
        if payment["imp_uid"] not in of_goods:
            found.append(Finding("webhook missing", f"{payment['imp_uid']}: of its goods"))
    for imp_uid, events in books.events.items():
        earned = {
            row["version"]
            for row in events
            if row["event"] in ("approved", "deposited", "account_issued", "approved_late")
        }
        missing = earned - {webhook.sequence for webhook in came[imp_uid]}
        if missing:
            found.append(Finding("webhook missing", f"{imp_uid}: versions {sorted(missing)}"))
    for imp_uid, webhooks in came.items():
        first: dict[int, str] = {}
        for webhook in webhooks:
            if first.setdefault(webhook.sequence, webhook.webhook_id) != webhook.webhook_id:
                found.append(Finding("P4", f"{imp_uid}: two ids for version {webhook.sequence}"))
        if list(first) != sorted(first):
            found.append(Finding("P4", f"{imp_uid}: webhooks came in the order {list(first)}"))
    return found

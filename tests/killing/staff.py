"""What happens at the PG and nobody is told: its staff and the banks write in its own book.

The deeds are the PG's own code on the PG's own file, beside the PG that runs (and is killed), with a
clock twenty minutes behind: a comparison of the books looks at nothing younger than ten.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from naru.sandbox import virtual_account, wire
from naru.sandbox.ledger import Book

BEHIND_SECONDS = 1_200  # Less than the hour in which an approval can be undone.


@contextlib.contextmanager
def _book(ledger: Path) -> Iterator[tuple[sqlite3.Connection, Book]]:
    """The book, for one deed that is whole or did not happen."""
    file = sqlite3.connect(ledger, timeout=20, isolation_level=None)
    file.row_factory = sqlite3.Row
    with contextlib.closing(file):
        file.execute("PRAGMA synchronous = FULL")
        file.execute("BEGIN IMMEDIATE")
        yield file, Book(file)
        file.execute("COMMIT")


def number_of(ledger: Path, merchant_uid: str) -> str | None:
    """The account that was issued for a merchant's order; None when there is none."""
    with _book(ledger) as (file, _):
        row = file.execute(
            "SELECT number FROM accounts JOIN orders USING (mid, order_no)"
            " WHERE announced ->> 'merchant_order_no' = ?",
            (merchant_uid,),
        ).fetchone()
    return None if row is None else str(row["number"])


def order_of(ledger: Path, merchant_uid: str) -> str | None:
    """The PG's order number of a merchant's order, as a page of the PG shows it to the buyer."""
    with _book(ledger) as (file, _):
        row = file.execute(
            "SELECT order_no FROM orders WHERE announced ->> 'merchant_order_no' = ?",
            (merchant_uid,),
        ).fetchone()
    return None if row is None else str(row["order_no"])


def code_sent_to(ledger: Path, phone: str) -> str | None:
    """The six digits that this phone was sent last; None before any came."""
    with _book(ledger) as (file, _):
        row = file.execute(
            "SELECT text FROM inbox WHERE recipient = ? ORDER BY id DESC",
            (f"{phone[:3]}-****-{phone[-4:]}",),
        ).fetchone()
    found = None if row is None else re.search(r"\[(\d{6})\]", row["text"])
    return None if found is None else found[1]


def approve_after_all(ledger: Path, merchant_uid: str) -> str | None:
    """The PG forgets that it undid an order, and takes the buyer's money. Its order number.

    None when the order stands otherwise: nothing happens then.
    """
    at = int(time.time()) - BEHIND_SECONDS
    with _book(ledger) as (file, book):
        row = file.execute(
            "SELECT mid, order_no FROM orders"
            " WHERE announced ->> 'merchant_order_no' = ? AND state = 'undone'",
            (merchant_uid,),
        ).fetchone()
        if row is None:
            return None
        mid, order_no = row["mid"], row["order_no"]
        order = book.order(mid, order_no)
        if order is None or order.means is None or book.charge_of(mid, order_no) is not None:
            return None
        file.execute("DELETE FROM tombstones WHERE mid = ? AND order_no = ?", (mid, order_no))
        answer = wire.take_money(book, "", order, order.amount, at)
        book.keep_approval(mid, order_no, "after all", answer, at)
        book.advance(order, (order.state,), "approved", "", "")
    return str(order_no)


def pay_in_untold(ledger: Path, number: str, amount: int) -> str:
    """Somebody pays into an account, and the PG gives up telling us. Its order number."""
    ask = virtual_account.DepositAsk(number=number, amount=amount, depositor="홍길동")
    with _book(ledger) as (file, book):
        notice_id = virtual_account._pay_in(book, ask, int(time.time()) - BEHIND_SECONDS)
        file.execute(
            "UPDATE notices SET state = 'given_up', next_at = NULL WHERE notice_id = ?",
            (notice_id,),
        )
        account = book.account(number)
        assert account is not None
    return str(account["order_no"])

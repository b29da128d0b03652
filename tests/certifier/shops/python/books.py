"""A shop's books in one SQLite file: orders, and the parcels that left for them.

`desk` is the shop's own back office, through which the certifier orders and looks; how an order
becomes paid is each shop's own matter.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, abort, render_template, request

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    merchant_uid TEXT PRIMARY KEY,
    amount       INTEGER NOT NULL,
    currency     TEXT NOT NULL DEFAULT 'KRW',
    status       TEXT NOT NULL DEFAULT 'placed',
    imp_uid      TEXT,
    paid_amount  INTEGER NOT NULL DEFAULT 0,
    account      TEXT
);
CREATE TABLE IF NOT EXISTS parcels (
    id           INTEGER PRIMARY KEY,
    merchant_uid TEXT NOT NULL REFERENCES orders
);
"""


class Books:
    """The file. Threads may share it: each call opens a connection of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        with self._open() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(SCHEMA)

    def order(self, merchant_uid: str) -> sqlite3.Row | None:
        """The order of this number."""
        with self._open() as database:
            return database.execute(
                "SELECT *, (SELECT count(*) FROM parcels WHERE merchant_uid = orders.merchant_uid)"
                " AS fulfilled FROM orders WHERE merchant_uid = ?",
                (merchant_uid,),
            ).fetchone()

    def write(self, statement: str, *values: object) -> int:
        """One statement in a transaction of its own; how many rows it changed."""
        with self.transaction() as database:
            return database.execute(statement, values).rowcount

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside, or nothing of it; nobody else writes meanwhile."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    # What may become of an order, inside a transaction.

    def find(self, database: sqlite3.Connection, merchant_uid: str) -> sqlite3.Row | None:
        """The order of this number; nobody changes it until the transaction ends."""
        return database.execute(
            "SELECT * FROM orders WHERE merchant_uid = ?", (merchant_uid,)
        ).fetchone()

    def pay(self, database: sqlite3.Connection, order: sqlite3.Row, imp_uid: str) -> bool:
        """Call the order paid and send its goods; False when it is paid, or over, already."""
        won = database.execute(
            "UPDATE orders SET status = 'paid', imp_uid = ?, paid_amount = amount"
            " WHERE merchant_uid = ? AND status IN ('placed', 'waiting')",
            (imp_uid, order["merchant_uid"]),
        ).rowcount
        if won:
            self.send(database, order)
        return won == 1

    def send(self, database: sqlite3.Connection, order: sqlite3.Row) -> None:
        """A parcel leaves."""
        database.execute("INSERT INTO parcels (merchant_uid) VALUES (?)", (order["merchant_uid"],))

    def give_back(self, database: sqlite3.Connection, order: sqlite3.Row, left: int) -> None:
        """Money went back, and this much is left: nothing of it, or nothing sent yet, ends the order."""
        database.execute(
            "UPDATE orders SET paid_amount = min(paid_amount, ?), status ="
            " CASE WHEN status = 'paid' AND ? > 0 THEN 'paid' ELSE 'cancelled' END"
            " WHERE merchant_uid = ?",
            (left, left, order["merchant_uid"]),
        )

    def wait(self, database: sqlite3.Connection, order: sqlite3.Row, account: str) -> None:
        """Remember the account that the buyer is to pay into."""
        database.execute(
            "UPDATE orders SET status = 'waiting', account = ?"
            " WHERE merchant_uid = ? AND status IN ('placed', 'waiting')",
            (account, order["merchant_uid"]),
        )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA synchronous = OFF")
        try:
            yield database
        finally:
            database.close()


def desk(books: Books) -> Blueprint:
    """The back office, where orders are placed, looked at and given another price; and their page."""
    pages = Blueprint("desk", __name__, template_folder=".")

    @pages.get("/")
    def front() -> str:
        return "어서 오세요"

    @pages.post("/certify/orders")
    def place() -> dict[str, object]:
        merchant_uid = f"ORD-{secrets.token_hex(8)}"
        books.write(
            "INSERT INTO orders (merchant_uid, amount) VALUES (?, ?)",
            merchant_uid,
            int(request.get_json()["amount"]),
        )
        return {"merchant_uid": merchant_uid}

    @pages.get("/certify/orders/<merchant_uid>")
    def look(merchant_uid: str) -> dict[str, object]:
        order = books.order(merchant_uid)
        if order is None:
            abort(404)
        return dict(order)

    @pages.get("/pay/<merchant_uid>")
    def pay(merchant_uid: str) -> str:
        order = books.order(merchant_uid)
        if order is None:
            abort(404)
        shown = {"merchant_uid": merchant_uid, "amount": order["amount"]}
        gateway, user_code = os.environ["IMP_URL"], os.environ["USER_CODE"]
        return render_template("page.html", order=shown, gateway=gateway, user_code=user_code)

    @pages.post("/certify/orders/<merchant_uid>/price")
    def change_price(merchant_uid: str) -> dict[str, object]:
        changed = books.write(
            "UPDATE orders SET amount = ? WHERE merchant_uid = ? AND status = 'placed'",
            int(request.get_json()["amount"]),
            merchant_uid,
        )
        if not changed:
            abort(409)
        return {}

    return pages

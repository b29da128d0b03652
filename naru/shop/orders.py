"""The shop's own database: orders and the text messages they caused, in one SQLite file.

Every change of an order is one conditional update: whoever comes second changes nothing and reads
what the first one wrote. No function here is slow, and none talks to anybody else.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Literal

OrderStatus = Literal["placed", "waiting_deposit", "paid", "cancelled"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    merchant_uid     TEXT PRIMARY KEY,
    visitor          TEXT NOT NULL,
    product_key      TEXT NOT NULL,
    quantity         INTEGER NOT NULL CHECK (quantity > 0),
    amount_minor     INTEGER NOT NULL CHECK (amount_minor > 0),
    currency         TEXT NOT NULL,
    buyer_name       TEXT NOT NULL,
    buyer_tel        TEXT NOT NULL,
    buyer_email      TEXT NOT NULL,
    buyer_addr       TEXT NOT NULL,
    buyer_postcode   TEXT NOT NULL,
    placed_at        INTEGER NOT NULL,
    status           TEXT NOT NULL DEFAULT 'placed'
                     CHECK (status IN ('placed', 'waiting_deposit', 'paid', 'cancelled')),
    -- The one payment that paid (or was paid and given back). One payment, one order.
    imp_uid          TEXT UNIQUE CHECK (imp_uid IS NOT NULL OR status IN ('placed', 'waiting_deposit')),
    cancelled_minor  INTEGER NOT NULL DEFAULT 0,
    paid_at          INTEGER,
    paid_by          TEXT,
    receipt_url      TEXT,
    fail_reason      TEXT,
    account_imp_uid  TEXT,
    account_bank     TEXT,
    account_number   TEXT,
    account_holder   TEXT,
    account_due      INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS orders_of_visitor ON orders (visitor, placed_at DESC);
CREATE TABLE IF NOT EXISTS messages (
    id            INTEGER PRIMARY KEY,
    merchant_uid  TEXT NOT NULL REFERENCES orders,
    -- What it tells; the same thing is told once.
    subject       TEXT NOT NULL,
    receiver      TEXT NOT NULL,
    text          TEXT NOT NULL,
    written_at    INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL DEFAULT 0,
    sent_at       INTEGER,
    UNIQUE (merchant_uid, subject)
) STRICT;
"""

# Crockford's alphabet: no I, L, O, U, so a number read aloud over the phone arrives.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CLAIM_SECONDS = 60


@dataclass(frozen=True)
class Buyer:
    """Whom to send the goods to."""

    name: str
    tel: str
    email: str
    addr: str
    postcode: str


@dataclass(frozen=True)
class Account:
    """A virtual account that waits for this order's money."""

    imp_uid: str
    bank: str | None
    number: str
    holder: str | None
    due: datetime | None


@dataclass(frozen=True)
class StoredOrder:
    """One row of `orders`, as it is now. Times are UNIX seconds."""

    merchant_uid: str
    visitor: str
    product_key: str
    quantity: int
    amount_minor: int
    currency: str
    buyer_name: str
    buyer_tel: str
    buyer_email: str
    buyer_addr: str
    buyer_postcode: str
    placed_at: int
    status: OrderStatus
    imp_uid: str | None
    cancelled_minor: int
    paid_at: int | None
    paid_by: str | None
    receipt_url: str | None
    fail_reason: str | None
    account_imp_uid: str | None
    account_bank: str | None
    account_number: str | None
    account_holder: str | None
    account_due: int | None


@dataclass(frozen=True)
class Message:
    """One text message, sent or waiting to be."""

    id: int
    merchant_uid: str
    subject: str
    receiver: str
    text: str
    written_at: int
    sent_at: int | None


_ORDER_COLUMNS = ", ".join(field.name for field in fields(StoredOrder))
_MESSAGE_COLUMNS = ", ".join(field.name for field in fields(Message))


class AlreadyUsed(Exception):
    """This payment already paid for another order."""


class Orders:
    """The file. Threads and processes may share it; each call opens its own connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(_SCHEMA)

    def place(
        self,
        *,
        visitor: str,
        product_key: str,
        quantity: int,
        amount_minor: int,
        currency: str,
        buyer: Buyer,
    ) -> str:
        """Store a new order under a new number of our own. Returns the merchant_uid."""
        merchant_uid = new_order_number()
        with self._write() as database:
            database.execute(
                "INSERT INTO orders (merchant_uid, visitor, product_key, quantity, amount_minor,"
                " currency, buyer_name, buyer_tel, buyer_email, buyer_addr, buyer_postcode,"
                " placed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(merchant_uid, visitor, product_key, quantity, amount_minor, currency),
                    *(buyer.name, buyer.tel, buyer.email, buyer.addr, buyer.postcode),
                    int(time.time()),
                ),
            )
        return merchant_uid

    def find(self, merchant_uid: str) -> StoredOrder | None:
        """The order of this number, or None."""
        with self._open() as database:
            row = database.execute(
                f"SELECT {_ORDER_COLUMNS} FROM orders WHERE merchant_uid = ?",  # noqa: S608
                (merchant_uid,),
            ).fetchone()
        return None if row is None else StoredOrder(*row)

    def of_visitor(self, visitor: str, limit: int = 50) -> list[StoredOrder]:
        """The newest orders of one browser."""
        with self._open() as database:
            rows = database.execute(
                f"SELECT {_ORDER_COLUMNS} FROM orders WHERE visitor = ?"  # noqa: S608
                " ORDER BY placed_at DESC, merchant_uid DESC LIMIT ?",
                (visitor, limit),
            ).fetchall()
        return [StoredOrder(*row) for row in rows]

    def paid_for_another(self, imp_uid: str, merchant_uid: str) -> bool:
        """Whether this payment is bound to an order that is not this one."""
        with self._open() as database:
            return (
                database.execute(
                    "SELECT 1 FROM orders WHERE imp_uid = ? AND merchant_uid <> ?",
                    (imp_uid, merchant_uid),
                ).fetchone()
                is not None
            )

    def mark_paid(
        self,
        merchant_uid: str,
        imp_uid: str,
        *,
        paid_at: int,
        paid_by: str | None,
        receipt_url: str | None,
    ) -> bool:
        """Bind the payment and call the order paid, unless it is bound already.

        True for the one caller who did it. Raises AlreadyUsed when the payment has another order.
        """
        try:
            with self._write() as database:
                changed = database.execute(
                    "UPDATE orders SET status = 'paid', imp_uid = ?, paid_at = ?, paid_by = ?,"
                    " receipt_url = ?, fail_reason = NULL"
                    " WHERE merchant_uid = ? AND imp_uid IS NULL"
                    " AND status IN ('placed', 'waiting_deposit')",
                    (imp_uid, paid_at, paid_by, receipt_url, merchant_uid),
                ).rowcount
        except sqlite3.IntegrityError:
            raise AlreadyUsed(imp_uid) from None
        return changed == 1

    def mark_waiting(self, merchant_uid: str, account: Account, receiver: str, text: str) -> bool:
        """Keep the account and write one text message about it, in one commit.

        A late word about an account never takes a paid order back. True for the one caller who
        stored this account.
        """
        with self._write() as database:
            changed = database.execute(
                "UPDATE orders SET status = 'waiting_deposit', account_imp_uid = ?,"
                " account_bank = ?, account_number = ?, account_holder = ?, account_due = ?,"
                " fail_reason = NULL WHERE merchant_uid = ? AND imp_uid IS NULL"
                " AND status IN ('placed', 'waiting_deposit') AND account_imp_uid IS NOT ?",
                (
                    *(account.imp_uid, account.bank, account.number, account.holder),
                    None if account.due is None else int(account.due.timestamp()),
                    *(merchant_uid, account.imp_uid),
                ),
            ).rowcount
            if changed == 1:
                database.execute(
                    "INSERT OR IGNORE INTO messages"
                    " (merchant_uid, subject, receiver, text, written_at) VALUES (?, ?, ?, ?, ?)",
                    (merchant_uid, f"account {account.imp_uid}", receiver, text, int(time.time())),
                )
        return changed == 1

    def mark_failed(self, merchant_uid: str, imp_uid: str, reason: str) -> None:
        """Remember why this try failed. An account that was closed no longer waits."""
        with self._write() as database:
            database.execute(
                "UPDATE orders SET status = 'placed', fail_reason = ?, account_imp_uid = NULL,"
                " account_bank = NULL, account_number = NULL, account_holder = NULL,"
                " account_due = NULL WHERE merchant_uid = ? AND"
                " (status = 'placed' OR (status = 'waiting_deposit' AND account_imp_uid = ?))",
                (reason, merchant_uid, imp_uid),
            )

    def mark_cancelled(self, merchant_uid: str, imp_uid: str, cancelled_minor: int) -> None:
        """Money went back: all of it ends the order, a part of a paid order is noted.

        A payment that was given back, even in part, before we ever called the order paid ends the
        order as well: nothing left the house, and a slower caller who still remembers it as paid
        comes too late.
        """
        try:
            with self._write() as database:
                database.execute(
                    "UPDATE orders SET imp_uid = ?, cancelled_minor = max(cancelled_minor, ?),"
                    " status = CASE WHEN imp_uid IS NULL OR ? >= amount_minor"
                    " THEN 'cancelled' ELSE 'paid' END,"
                    " fail_reason = NULL WHERE merchant_uid = ? AND status <> 'cancelled'"
                    " AND (imp_uid IS NULL OR imp_uid = ?)",
                    (imp_uid, cancelled_minor, cancelled_minor, merchant_uid, imp_uid),
                )
        except sqlite3.IntegrityError:
            raise AlreadyUsed(imp_uid) from None

    def claim_messages(self, merchant_uid: str) -> list[Message]:
        """Take this order's unsent messages for a minute: whoever asks next gets none of them."""
        now = int(time.time())
        with self._write() as database:
            rows = database.execute(
                "UPDATE messages SET claimed_until = ? WHERE merchant_uid = ? AND sent_at IS NULL"
                " AND claimed_until <= ?"
                " RETURNING id, merchant_uid, subject, receiver, text, written_at, sent_at",
                (now + CLAIM_SECONDS, merchant_uid, now),
            ).fetchall()
        return [Message(*row) for row in rows]

    def message_sent(self, message: Message) -> None:
        """It left; it is never sent again."""
        with self._write() as database:
            database.execute(
                "UPDATE messages SET sent_at = ? WHERE id = ?", (int(time.time()), message.id)
            )

    def message_unsent(self, message: Message) -> None:
        """It did not leave; the next one to look at the order may try."""
        with self._write() as database:
            database.execute("UPDATE messages SET claimed_until = 0 WHERE id = ?", (message.id,))

    def messages(self, limit: int = 50) -> list[Message]:
        """The newest messages of the whole shop."""
        with self._open() as database:
            rows = database.execute(
                f"SELECT {_MESSAGE_COLUMNS} FROM messages ORDER BY id DESC LIMIT ?",  # noqa: S608
                (limit,),
            ).fetchall()
        return [Message(*row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")


def new_order_number() -> str:
    """Time first, then 80 random bits: sorts by age, cannot be guessed. 29 characters of 40."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    letters = ""
    for _ in range(26):
        number, rest = divmod(number, 32)
        letters = _LETTERS[rest] + letters
    return f"NR-{letters}"

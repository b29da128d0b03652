"""The shop's own database: orders, the parcels they became and the text messages they caused.

One SQLite file, and the kit's order store over it (`Orders.begin`): what an order's payment is, is
written by the kit alone. No function here is slow, and none talks to anybody else.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from naru.kit.orders import AlreadyUsed
from naru.kit.orders import StoredOrder as KitOrder
from naru.kit.orders.columns import Columns
from naru.shop.goods import MINOR_DIGITS

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
    -- The five columns of the kit.
    payment_status   TEXT NOT NULL DEFAULT 'placed'
                     CHECK (payment_status IN
                            ('placed', 'failed', 'waiting', 'paid', 'refunding', 'cancelled')),
    imp_uid          TEXT UNIQUE,
    cancelled_minor  INTEGER NOT NULL DEFAULT 0,
    payment_tried_at INTEGER NOT NULL DEFAULT 0,
    payment_untold   INTEGER NOT NULL DEFAULT 0,
    -- What the pages show of it.
    paid_at          INTEGER,
    paid_by          TEXT,
    receipt_url      TEXT,
    fail_reason      TEXT,
    account_bank     TEXT,
    account_number   TEXT,
    account_holder   TEXT,
    account_due      INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS orders_of_visitor ON orders (visitor, placed_at DESC);
-- What left the house. No rule keeps two of one order away: how many there are is what to look at.
CREATE TABLE IF NOT EXISTS parcels (
    id            INTEGER PRIMARY KEY,
    merchant_uid  TEXT NOT NULL REFERENCES orders,
    imp_uid       TEXT NOT NULL,
    packed_at     INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS messages (
    id            INTEGER PRIMARY KEY,
    merchant_uid  TEXT NOT NULL REFERENCES orders,
    -- What it tells; the same thing is kept once.
    subject       TEXT NOT NULL,
    receiver      TEXT NOT NULL,
    text          TEXT NOT NULL,
    written_at    INTEGER NOT NULL,
    UNIQUE (merchant_uid, subject)
) STRICT;
"""

# A file of a shop that finished its orders by itself. Its own column `status` stays, and rests.
_FROM_BEFORE_THE_KIT = (
    "ALTER TABLE orders ADD COLUMN payment_status TEXT NOT NULL DEFAULT 'placed'",
    "ALTER TABLE orders ADD COLUMN payment_tried_at INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE orders ADD COLUMN payment_untold INTEGER NOT NULL DEFAULT 0",
    "UPDATE orders SET imp_uid = coalesce(imp_uid, account_imp_uid),"
    " payment_status = iif(status = 'waiting_deposit', 'waiting', status),"
    " payment_untold = status = 'waiting_deposit' AND EXISTS (SELECT 1 FROM messages"
    " WHERE messages.merchant_uid = orders.merchant_uid AND sent_at IS NULL)",
    "DELETE FROM messages WHERE sent_at IS NULL",
    "INSERT INTO parcels (merchant_uid, imp_uid, packed_at)"
    " SELECT merchant_uid, imp_uid, paid_at FROM orders WHERE payment_status = 'paid'",
)

_COLUMNS = Columns(
    amount="amount_minor",
    currency="currency",
    cancelled="cancelled_minor",
    digits=MINOR_DIGITS,
)
_OF_KIT = ", ".join(_COLUMNS.of_orders.values())

# Crockford's alphabet: no I, L, O, U, so a number read aloud over the phone arrives.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Buyer:
    """Whom to send the goods to."""

    name: str
    tel: str
    email: str
    addr: str
    postcode: str


@dataclass(frozen=True)
class StoredOrder:
    """One row of `orders`, as the pages show it. Times are UNIX seconds.

    A failed try leaves the order `placed`: it may be tried again. `imp_uid` is the payment that the
    order follows.
    """

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
    account_bank: str | None
    account_number: str | None
    account_holder: str | None
    account_due: int | None


@dataclass(frozen=True)
class Message:
    """One text message that was sent."""

    id: int
    merchant_uid: str
    subject: str
    receiver: str
    text: str
    written_at: int


_SHOWN_STATUS = (
    "CASE payment_status WHEN 'failed' THEN 'placed' WHEN 'waiting' THEN 'waiting_deposit'"
    " WHEN 'refunding' THEN 'cancelled' ELSE payment_status END AS status"
)
_ORDER_COLUMNS = ", ".join(
    _SHOWN_STATUS if field.name == "status" else field.name for field in fields(StoredOrder)
)
_MESSAGE_COLUMNS = ", ".join(field.name for field in fields(Message))


class OrderDesk:
    """The kit's four verbs, in one transaction. `session` is its connection."""

    def __init__(self, session: sqlite3.Connection) -> None:
        self.session = session

    def find(self, merchant_uid: str) -> KitOrder | None:
        """As `naru.kit.orders.Desk.find`."""
        return next(iter(self._rows("WHERE merchant_uid = ?", merchant_uid)), None)

    def holder(self, imp_uid: str) -> str | None:
        """As `Desk.holder`."""
        row = self.session.execute(
            "SELECT merchant_uid FROM orders WHERE imp_uid = ?", (imp_uid,)
        ).fetchone()
        return None if row is None else row[0]

    def change(self, before: KitOrder, after: KitOrder) -> bool:
        """As `Desk.change`."""
        names, new, old = _COLUMNS.of_orders, _COLUMNS.kits(after), _COLUMNS.whole(before)
        setting = ", ".join(f"{names[field]} = ?" for field in new)
        still = " AND ".join(f"{names[field]} IS ?" for field in old)
        try:
            changed = self.session.execute(
                f"UPDATE orders SET {setting} WHERE {still}",  # noqa: S608
                (*new.values(), *old.values()),
            )
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":
                raise
            raise AlreadyUsed(after.imp_uid) from error
        return changed.rowcount == 1

    def left(self, limit: int) -> Sequence[KitOrder]:
        """As `Desk.left`."""
        return self._rows("WHERE payment_untold OR payment_status = 'refunding' LIMIT ?", limit)

    def _rows(self, which: str, value: str | int) -> list[KitOrder]:
        rows = self.session.execute(f"SELECT {_OF_KIT} FROM orders {which}", (value,))  # noqa: S608
        return [_COLUMNS.read(dict(zip(_COLUMNS.of_orders, row, strict=True))) for row in rows]


def pack_parcel(database: sqlite3.Connection, merchant_uid: str, imp_uid: str) -> None:
    """The goods of this order leave the house, if the transaction ends well."""
    database.execute(
        "INSERT INTO parcels (merchant_uid, imp_uid, packed_at) VALUES (?, ?, ?)",
        (merchant_uid, imp_uid, int(time.time())),
    )


def note_facts(database: sqlite3.Connection, merchant_uid: str, **facts: str | int | None) -> None:
    """Write columns that the pages show; their names are the code's own."""
    setting = ", ".join(f"{column} = ?" for column in facts)
    database.execute(
        f"UPDATE orders SET {setting} WHERE merchant_uid = ?",  # noqa: S608
        (*facts.values(), merchant_uid),
    )


class Orders:
    """The file. Threads and processes may share it; each call opens its own connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(_SCHEMA)
        with self._write() as database:
            columns = {row[1] for row in database.execute("PRAGMA table_info(orders)")}
            if "payment_status" not in columns:
                for statement in _FROM_BEFORE_THE_KIT:
                    database.execute(statement)

    @contextmanager
    def begin(self) -> Iterator[OrderDesk]:
        """As `naru.kit.orders.Orders.begin`: whoever writes waits here, for at most 5 s."""
        with self._write() as database:
            yield OrderDesk(database)

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

    def parcels(self, merchant_uid: str) -> int:
        """How many times goods left for this order."""
        with self._open() as database:
            (count,) = database.execute(
                "SELECT count(*) FROM parcels WHERE merchant_uid = ?", (merchant_uid,)
            ).fetchone()
        return int(count)

    def keep_message(self, merchant_uid: str, subject: str, receiver: str, text: str) -> None:
        """Remember that this was sent."""
        with self._write() as database:
            database.execute(
                "INSERT OR REPLACE INTO messages"
                " (merchant_uid, subject, receiver, text, written_at) VALUES (?, ?, ?, ?, ?)",
                (merchant_uid, subject, receiver, text, int(time.time())),
            )

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

"""The sandbox PG's memory, and the only file of it that speaks SQL (tables: schema.sql).

A `Book` is the verbs over one SQLite connection. A *deed* is any plain function whose first
argument is a `Book`. `Ledger.write(deed, ...)` runs it on the one writer thread, whole or not at
all, and answers when it is on the disk; `Ledger.read(verb, ...)` looks at what is committed.
Deeds that wait together share one commit, each behind its own savepoint, so that a deed which
fails does not touch its neighbours and nobody waits for a disk flush of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import secrets
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from naru.sandbox.orders import Announcement, Means, Order, State

_P = ParamSpec("_P")
_T = TypeVar("_T")

Row = dict[str, Any]

BATCH_DEEDS_MAX = 128
BUSY_TIMEOUT_SECONDS = 10

PASSWORD_TRIES = 3
PIN_TRIES = 5
SMS_TRIES = 5
SMS_SENDS = 5
PHONE_RINGS = 10
RINGS_SECONDS = 600

_log = logging.getLogger(__name__)
_read_announcement = msgspec.json.Decoder(Announcement).decode
_read_means = msgspec.json.Decoder(Means).decode


class LedgerClosed(Exception):
    """The ledger cannot take a deed: it is not open, or its disk refused the commit."""


def new_notice_id(now: int) -> str:
    """A notice's number; those of later seconds sort behind."""
    return f"ntc_{now:010d}_{secrets.token_hex(8)}"


class Book:
    """The verbs over one connection. Verbs that change something belong inside a deed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    # SQL of the parties that keep their own tables: billing, receipts, identity, orders of a mall.

    def one(self, sql: str, *values: object) -> Row | None:
        row = self._db.execute(sql, values).fetchone()
        return None if row is None else dict(row)

    def all(self, sql: str, *values: object) -> list[Row]:
        return [dict(row) for row in self._db.execute(sql, values)]

    def do(self, sql: str, *values: object) -> int:
        return self._db.execute(sql, values).rowcount

    # Vault

    def secret(self, name: str) -> bytes | None:
        row = self.one("SELECT value FROM vault WHERE name = ?", name)
        return None if row is None else row["value"]

    def keep_secret(self, name: str, value: bytes) -> None:
        self.do("INSERT INTO vault (name, value) VALUES (?, ?)", name, value)

    # Members

    def member(self, mid: str) -> Row | None:
        return self.one("SELECT * FROM members WHERE mid = ?", mid)

    def join(self, mid: str, secret: str, name: str, profile: str, now: int) -> Row:
        """Add a member unless the MID is taken; answers the row that stands."""
        self.do(
            "INSERT INTO members VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            *(mid, secret, name, profile, now),
        )
        member = self.member(mid)
        assert member is not None
        return member

    # Orders

    def add_order(
        self, mid: str, order_no: str, window_id: str, announced: str, now: int, expires_at: int
    ) -> bool:
        """False when the number is taken."""
        return bool(
            self.do(
                "INSERT INTO orders (mid, order_no, window_id, announced, state, created_at,"
                " expires_at) VALUES (?, ?, ?, ?, 'registered', ?, ?)"
                " ON CONFLICT (mid, order_no) DO NOTHING",
                *(mid, order_no, window_id, announced, now, expires_at),
            )
        )

    def order(self, mid: str, order_no: str) -> Order | None:
        return _order(
            self.one("SELECT * FROM orders WHERE mid = ? AND order_no = ?", mid, order_no)
        )

    def order_of_window(self, window_id: str) -> Order | None:
        return _order(self.one("SELECT * FROM orders WHERE window_id = ?", window_id))

    def authenticate(
        self, order: Order, means: Means, scenario: str | None, now: int, until: int
    ) -> bool:
        """registered -> authenticated; False when another click was first."""
        return bool(
            self.do(
                "UPDATE orders SET state = 'authenticated', means = ?, authenticated_at = ?,"
                " auth_expires_at = ?, scenario = coalesce(scenario, ?), code = '', message = ''"
                " WHERE id = ? AND state = 'registered'",
                *(msgspec.json.encode(means).decode(), now, until, scenario, order.id),
            )
        )

    def advance(
        self, order: Order, before: tuple[State, ...], after: State, code: str, message: str
    ) -> bool:
        """Move an order on if it stands where the caller believes it does."""
        return bool(
            self.do(
                "UPDATE orders SET state = ?, code = ?, message = ?"
                " WHERE id = ? AND state IN (SELECT value FROM json_each(?))",
                *(after, code, message, order.id, msgspec.json.encode(before).decode()),
            )
        )

    def remember_refusal(self, order: Order, code: str, message: str) -> int:
        """Note why the buyer was refused last; answers how often it has happened."""
        row = self.one(
            "UPDATE orders SET code = ?, message = ?, wrong_tries = wrong_tries + 1"
            " WHERE id = ? AND state = 'registered' RETURNING wrong_tries",
            *(code, message, order.id),
        )
        return 0 if row is None else row["wrong_tries"]

    def choose_scenario(self, order: Order, scenario: str | None) -> bool:
        return bool(
            self.do(
                "UPDATE orders SET scenario = ? WHERE id = ? AND state = 'registered'",
                *(scenario, order.id),
            )
        )

    # Approvals and charges

    def tombstone(self, mid: str, order_no: str) -> Row | None:
        return self.one("SELECT * FROM tombstones WHERE mid = ? AND order_no = ?", mid, order_no)

    def bury(self, mid: str, order_no: str, had_approved: bool, now: int) -> None:
        self.do("INSERT INTO tombstones VALUES (?, ?, ?, ?)", mid, order_no, had_approved, now)

    def approval(self, mid: str, order_no: str) -> Row | None:
        return self.one("SELECT * FROM approvals WHERE mid = ? AND order_no = ?", mid, order_no)

    def keep_approval(
        self, mid: str, order_no: str, content: str, answer: dict[str, Any], now: int
    ) -> None:
        text = msgspec.json.encode(answer).decode()
        self.do(
            "INSERT INTO approvals VALUES (?, ?, ?, ?, ?, ?)",
            *(mid, order_no, content, answer["result"], text, now),
        )

    def charge(self, tid: str) -> Row | None:
        return self.one("SELECT * FROM charges WHERE tid = ?", tid)

    def charge_of(self, mid: str, order_no: str) -> Row | None:
        return self.one("SELECT * FROM charges WHERE mid = ? AND order_no = ?", mid, order_no)

    def add_charge(self, tid: str, order: Order, taken: int, approval_no: str, now: int) -> None:
        """Take money at once; a virtual account starts with nothing taken."""
        self.do(
            "INSERT INTO charges (tid, mid, order_no, currency, taken) VALUES (?, ?, ?, ?, ?)",
            *(tid, order.mid, order.order_no, order.currency, taken),
        )
        if taken:
            charge = {
                "mid": order.mid,
                "order_no": order.order_no,
                "tid": tid,
                "currency": order.currency,
            }
            self._note("charge", charge, approval_no, taken, now)

    def give_back(self, charge: Row, kind: str, reference: str, amount: int, now: int) -> int:
        """Return money; answers what is left. The schema refuses more than was taken."""
        row = self.one(
            "UPDATE charges SET returned = returned + ? WHERE tid = ?"
            " RETURNING taken - returned AS balance",
            *(amount, charge["tid"]),
        )
        assert row is not None
        self._note(kind, charge, reference, amount, now)
        return int(row["balance"])

    def _note(self, kind: str, charge: Row, reference: str, amount: int, now: int) -> None:
        self.do(
            "INSERT INTO book (mid, at, kind, order_no, tid, reference, amount, currency)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(charge["mid"], now, kind, charge["order_no"], charge["tid"]),
            *(reference, amount, charge["currency"]),
        )

    def rows(
        self, mid: str, after: int, limit: int, since: int = 0, until: int = 2**62
    ) -> list[Row]:
        """The book of a member, oldest first, from behind `after`; booked from `since` up to `until`."""
        return self.all(
            "SELECT seq, at, kind, order_no, tid, reference, amount, currency FROM book"
            " WHERE mid = ? AND seq > ? AND at >= ? AND at < ? ORDER BY seq LIMIT ?",
            *(mid, after, since, until, limit),
        )

    # Cancels

    def cancel(self, mid: str, cancel_no: str) -> Row | None:
        return self.one("SELECT * FROM cancels WHERE mid = ? AND cancel_no = ?", mid, cancel_no)

    def cancels_of(self, mid: str, tid: str) -> list[Row]:
        """The cancels that were done, oldest first."""
        return self.all(
            "SELECT * FROM cancels WHERE mid = ? AND tid = ? AND result = 'cancelled'"
            " ORDER BY at, cancel_no",
            *(mid, tid),
        )

    def keep_cancel(
        self,
        mid: str,
        cancel_no: str,
        content: str,
        tid: str,
        amount: int,
        answer: dict[str, Any],
        now: int,
    ) -> None:
        text = msgspec.json.encode(answer).decode()
        self.do(
            "INSERT INTO cancels VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(mid, cancel_no, content, tid, amount, answer["result"], text, now),
        )

    # Virtual accounts, deposits

    def open_account(
        self,
        number: str,
        order: Order,
        tid: str,
        bank_code: str,
        holder: str,
        due: int,
        now: int,
    ) -> bool:
        """False when the number is taken."""
        return bool(
            self.do(
                "INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (number) DO NOTHING",
                *(number, order.mid, order.order_no, tid, bank_code, holder),
                *(order.amount, now, due),
            )
        )

    def account(self, number: str) -> Row | None:
        return self.one("SELECT * FROM accounts WHERE number = ?", number)

    def account_of(self, mid: str, order_no: str) -> Row | None:
        return self.one("SELECT * FROM accounts WHERE mid = ? AND order_no = ?", mid, order_no)

    def latest_accounts(self, limit: int) -> list[Row]:
        return self.all(
            "SELECT * FROM accounts WHERE number NOT IN (SELECT number FROM barcodes)"
            " ORDER BY issued_at DESC LIMIT ?",
            limit,
        )

    def deposits(self, number: str) -> list[Row]:
        return self.all("SELECT * FROM deposits WHERE number = ? ORDER BY id", number)

    def deposit(
        self, account: Row, notice_id: str, amount: int, depositor: str, at: int, now: int
    ) -> int:
        """Book money that came in, under its notice's number; answers the total of all deposits."""
        self.do(
            "INSERT INTO deposits (number, amount, depositor, deposited_at) VALUES (?, ?, ?, ?)",
            *(account["number"], amount, depositor, at),
        )
        row = self.one(
            "UPDATE charges SET taken = taken + ? WHERE tid = ? RETURNING *",
            *(amount, account["tid"]),
        )
        assert row is not None
        self._note("deposit", row, notice_id, amount, now)
        return int(row["taken"])

    # Notices

    def add_notice(
        self, order: Order, notice_id: str, kind: str, now: int, **told: Any
    ) -> str | None:
        """Tell the member of an order, and answer the notice's number; None where it gave no address."""
        url = order.announced.notice_url
        if url is None:
            return None
        about = {"notice_id": notice_id, "type": kind, "mid": order.mid, "order_no": order.order_no}
        body = msgspec.json.encode(about | told).decode()
        self.do(
            "INSERT INTO notices VALUES (?, ?, ?, ?, ?, ?, 'waiting', 0, ?)",
            *(notice_id, order.mid, order.order_no, url, body, told.get("amount", 0), now),
        )
        return notice_id

    def due_notices(self, now: int, limit: int) -> list[Row]:
        return self.all(
            "SELECT n.*, m.secret FROM notices n JOIN members m USING (mid)"
            " WHERE n.state = 'waiting' AND n.next_at <= ? ORDER BY n.next_at LIMIT ?",
            *(now, limit),
        )

    def next_notice_at(self) -> int | None:
        row = self.one("SELECT min(next_at) AS at FROM notices WHERE state = 'waiting'")
        return None if row is None else row["at"]

    def notices_of(self, mid: str, order_no: str) -> list[Row]:
        """The notices of an order, each with its attempts, oldest first."""
        notices = self.all(
            "SELECT * FROM notices WHERE mid = ? AND order_no = ? ORDER BY notice_id",
            *(mid, order_no),
        )
        for notice in notices:
            notice["tries"] = self.all(
                "SELECT at, outcome, http_status, detail, duration_ms FROM notice_attempts"
                " WHERE notice_id = ? ORDER BY id",
                notice["notice_id"],
            )
        return notices

    def settle_attempt(
        self,
        notice_id: str,
        at: int,
        outcome: str,
        http_status: int | None,
        detail: str,
        duration_ms: int,
        state: str,
        next_at: int | None,
    ) -> None:
        """Keep an attempt and say what becomes of its notice. Delivered stays delivered."""
        self.do(
            "INSERT INTO notice_attempts"
            " (notice_id, at, outcome, http_status, detail, duration_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            *(notice_id, at, outcome, http_status, detail, duration_ms),
        )
        self.do(
            "UPDATE notices SET attempts = attempts + 1, state = ?, next_at = ?"
            " WHERE notice_id = ?",
            *(state, next_at, notice_id),
        )

    def send_again(self, notice_id: str, now: int) -> bool:
        return bool(
            self.do(
                "UPDATE notices SET state = 'waiting', next_at = ? WHERE notice_id = ?",
                *(now, notice_id),
            )
        )

    # Cards

    def add_card(
        self, card_id: str, number_mac: bytes, secret_mac: bytes, pin_hash: str | None
    ) -> None:
        self.do(
            "INSERT INTO cards (id, number_mac, secret_mac, pin_hash) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            *(card_id, number_mac, secret_mac, pin_hash),
        )

    def card(self, card_id: str) -> Row | None:
        return self.one("SELECT * FROM cards WHERE id = ?", card_id)

    def card_by_number(self, number_mac: bytes) -> Row | None:
        return self.one("SELECT * FROM cards WHERE number_mac = ?", number_mac)

    def locked_cards(self) -> list[str]:
        rows = self.all(
            "SELECT id FROM cards WHERE password_tries >= ? OR pin_tries >= ? ORDER BY id",
            *(PASSWORD_TRIES, PIN_TRIES),
        )
        return [row["id"] for row in rows]

    def count_wrong_password(self, card_id: str) -> int:
        """Count one wrong password; answers how many tries are left."""
        row = self.one(
            "UPDATE cards SET password_tries = password_tries + 1"
            " WHERE id = ? AND password_tries < ? RETURNING password_tries",
            *(card_id, PASSWORD_TRIES),
        )
        return 0 if row is None else PASSWORD_TRIES - int(row["password_tries"])

    def forget_wrong_passwords(self, card_id: str) -> None:
        self.do("UPDATE cards SET password_tries = 0 WHERE id = ?", card_id)

    def reserve_pin_try(self, card_id: str) -> int | None:
        """Spend one try before looking at the PIN; answers what is left, None when locked.

        Spending first is what keeps sixty-four guesses at once from being more than five.
        """
        row = self.one(
            "UPDATE cards SET pin_tries = pin_tries + 1"
            " WHERE id = ? AND pin_tries < ? RETURNING pin_tries",
            *(card_id, PIN_TRIES),
        )
        return None if row is None else PIN_TRIES - int(row["pin_tries"])

    def forget_wrong_pins(self, card_id: str) -> None:
        self.do("UPDATE cards SET pin_tries = 0 WHERE id = ?", card_id)

    # Certificates, challenges

    def add_certificate(self, serial: str, card_id: str, pem: str, not_after: int) -> None:
        self.do(
            "INSERT INTO certificates (serial, card_id, pem, not_after) VALUES (?, ?, ?, ?)",
            *(serial, card_id, pem, not_after),
        )

    def certificate(self, serial: str) -> Row | None:
        return self.one("SELECT * FROM certificates WHERE serial = ?", serial)

    def revoke_certificate(self, serial: str, now: int) -> None:
        self.do(
            "UPDATE certificates SET revoked_at = coalesce(revoked_at, ?) WHERE serial = ?",
            *(now, serial),
        )

    def add_challenge(
        self, challenge_id: str, window_id: str, serial: str, content: bytes, expires_at: int
    ) -> None:
        self.do(
            "INSERT INTO challenges (id, window_id, serial, content, expires_at)"
            " VALUES (?, ?, ?, ?, ?)",
            *(challenge_id, window_id, serial, content, expires_at),
        )

    def use_challenge(self, challenge_id: str, window_id: str, now: int) -> Row | None:
        """Take a challenge, once: None when it is unknown, foreign, dead or used."""
        return self.one(
            "UPDATE challenges SET used_at = ? WHERE id = ? AND window_id = ?"
            " AND used_at IS NULL AND expires_at > ? RETURNING *",
            *(now, challenge_id, window_id, now),
        )

    # Keypads

    def add_keypad(
        self, session: str, window_id: str, card_id: str, layout: str, expires_at: int
    ) -> None:
        self.do(
            "INSERT INTO keypads (session, window_id, card_id, layout, expires_at)"
            " VALUES (?, ?, ?, ?, ?)",
            *(session, window_id, card_id, layout, expires_at),
        )

    def use_keypad(self, session: str, window_id: str, now: int) -> Row | None:
        """Take a keypad, once: None when it is unknown, foreign, dead or used."""
        return self.one(
            "UPDATE keypads SET used_at = ? WHERE session = ? AND window_id = ?"
            " AND used_at IS NULL AND expires_at > ? RETURNING *",
            *(now, session, window_id, now),
        )

    # Text messages

    def send_code(self, window_id: str, carrier: str, code_mac: bytes, expires_at: int) -> bool:
        """Put a new code in place of the last; False when too many were sent to this window."""
        return bool(
            self.do(
                "INSERT INTO sms_codes (window_id, carrier, code_mac, expires_at)"
                " VALUES (?, ?, ?, ?) ON CONFLICT (window_id) DO UPDATE SET"
                " carrier = excluded.carrier, code_mac = excluded.code_mac, tries = 0,"
                " expires_at = excluded.expires_at, sends = sends + 1 WHERE sends < ?",
                *(window_id, carrier, code_mac, expires_at, SMS_SENDS),
            )
        )

    def try_code(self, window_id: str, now: int) -> Row | None:
        """Spend one try of the window's living code; None when there is none to try."""
        return self.one(
            "UPDATE sms_codes SET tries = tries + 1"
            " WHERE window_id = ? AND tries < ? AND expires_at > ? RETURNING *",
            *(window_id, SMS_TRIES, now),
        )

    def ring(self, phone: bytes, now: int) -> int | None:
        """Count one more code for this phone, whichever window asks; else from when on it may be rung again."""
        self.do("DELETE FROM rings WHERE ends_at <= ?", now)
        rung = self.do(
            "INSERT INTO rings (phone, ends_at) VALUES (?, ?) ON CONFLICT (phone) DO UPDATE"
            " SET rung = rung + 1 WHERE rung < ?",
            *(phone, now + RINGS_SECONDS, PHONE_RINGS),
        )
        found = self.one("SELECT ends_at FROM rings WHERE phone = ?", phone)
        return None if rung or found is None else int(found["ends_at"])

    def post_message(self, recipient: str, text: str, now: int) -> None:
        self.do("INSERT INTO inbox (at, recipient, text) VALUES (?, ?, ?)", now, recipient, text)

    def latest_messages(self, limit: int) -> list[Row]:
        return self.all(
            'SELECT id, at, recipient AS "to", text FROM inbox ORDER BY id DESC LIMIT ?', limit
        )


def _order(row: Row | None) -> Order | None:
    if row is None:
        return None
    row["announced"] = _read_announcement(row["announced"])
    row["means"] = None if row["means"] is None else _read_means(row["means"])
    return Order(**row)


_Waiting = tuple[Callable[[Book], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Ledger:
    """The book, its writer thread and its reader. Open it once, in the event loop's process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._reader: Book | None = None
        self._reading: sqlite3.Connection | None = None

    def open(self) -> None:
        """Create the file if there is none, lay out the tables, start the writer.

        Raises OSError or sqlite3.Error when the file cannot be used.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The file holds members' secrets and private keys: nobody else on the machine reads it.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        schema = Path(__file__).with_name("schema.sql").read_text("utf-8")
        writing = _connect(self._path)
        writing.executescript(schema)
        self._reading = _connect(self._path)
        self._reading.execute("PRAGMA query_only = ON")
        self._reader = Book(self._reading)
        self._thread = threading.Thread(
            target=self._run, args=(writing,), name="sandbox-ledger", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Finish the deeds that wait, then let go of the file."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None
        if self._reading is not None:
            self._reading.close()
            self._reading = self._reader = None

    def read(self, verb: Callable[Concatenate[Book, _P], _T], *a: _P.args, **k: _P.kwargs) -> _T:
        """Ask the book something, in the calling thread; an indexed look-up takes microseconds."""
        if self._reader is None:
            raise LedgerClosed
        return verb(self._reader, *a, **k)

    async def write(
        self, deed: Callable[Concatenate[Book, _P], _T], *a: _P.args, **k: _P.kwargs
    ) -> _T:
        """Run a deed; returns after its commit. What the deed raises undoes it and is raised here.

        A caller that goes away does not stop its deed.
        """
        if self._thread is None:
            raise LedgerClosed
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()
        self._waiting.put((lambda book: deed(book, *a, **k), answer, loop))
        return await answer

    def _run(self, connection: sqlite3.Connection) -> None:
        book = Book(connection)
        with contextlib.closing(connection):
            while (first := self._waiting.get()) is not None:
                batch, last = [first], False
                with contextlib.suppress(queue.Empty):
                    while len(batch) < BATCH_DEEDS_MAX:
                        waiting = self._waiting.get_nowait()
                        if waiting is None:
                            last = True
                            break
                        batch.append(waiting)
                self._commit(connection, book, batch)
                if last:
                    break

    def _commit(self, db: sqlite3.Connection, book: Book, batch: list[_Waiting]) -> None:
        outcomes: list[tuple[Any, BaseException | None]] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            for deed, _, _ in batch:
                db.execute("SAVEPOINT deed")
                try:
                    outcomes.append((deed(book), None))
                except Exception as error:
                    outcomes.append((None, error))
                    db.execute("ROLLBACK TO deed")
                db.execute("RELEASE deed")
            db.execute("COMMIT")
        except sqlite3.Error as error:
            _log.error("the ledger could not commit %d deeds: %s", len(batch), error)
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            lost = LedgerClosed("the commit failed")
            outcomes = [(None, lost)] * len(batch)

        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for (_, answer, loop), outcome in zip(batch, outcomes, strict=True):
            by_loop.setdefault(loop, []).append((answer, outcome))
        for loop, answers in by_loop.items():
            # A loop that closed meanwhile has nobody left who could wait for the answer.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_hand_over, answers)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _hand_over(answers: list[tuple[asyncio.Future[Any], tuple[Any, BaseException | None]]]) -> None:
    for answer, (result, error) in answers:
        if answer.done():
            continue
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)

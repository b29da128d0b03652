"""PostgreSQL as the store sees it, in memory: read committed, row locks, constraints, commit or not.

`naru.store` itself is not replaced: its tables, its pool and its transactions run as they are, and
only the connection under them is this one. A statement is one instant on the server; it waits for
row locks, and two that wait for each other are found. The text of each named statement is in
statements.py, the tables and their triggers in tables.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from naru.store import Store, StoreUnavailable
from naru.store.connection import Connection
from naru.store.named import Query
from naru.store.seal import Keyring, key_of
from tests.simulation.rules import RULES, RULES_AFTER, broken
from tests.simulation.schema import LIVE, Definition, schema
from tests.simulation.statements import Run, find

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

Values = dict[str, Any]
Key = Any
COMMAND_TIMEOUT_SECONDS = 30.0


class Wait(Exception):
    """This statement needs a row that another transaction holds."""

    def __init__(self, owner: Transaction) -> None:
        self.owner = owner


def violation(constraint: str) -> asyncpg.UniqueViolationError:
    """What asyncpg raises for a unique constraint of that name."""
    error = asyncpg.UniqueViolationError(f"duplicate key value violates {constraint}")
    error.constraint_name = constraint
    return error


class Row:
    """One row: what is committed, what its holder made of it, who holds or shares it."""

    __slots__ = ("key", "next", "now", "owner", "sharers")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.now: Values | None = None
        self.next: Values | None = None
        self.owner: Transaction | None = None
        self.sharers: list[Transaction] = []


GONE: Values = {}
"""What a row becomes by DELETE, until that is committed."""


class Table:
    """Rows by key and by the groups of columns that they are looked up by."""

    def __init__(self, definition: Definition) -> None:
        self.name = definition.name
        self.definition = definition
        self.columns = definition.key
        self.rows: dict[Key, Row] = {}
        self._groups: dict[tuple[str, ...], dict[Key, dict[Key, Row]]] = {
            columns: {} for columns in definition.groups
        }
        self.live_rows: dict[Key, Row] = {}
        self._live = LIVE.get(definition.name)
        self.before = [RULES[name] for name in definition.triggers if name in RULES]
        self.after = [RULES_AFTER[name] for name in definition.triggers if name in RULES_AFTER]

    def key_of(self, values: Values) -> Key:
        columns = self.columns
        return values[columns[0]] if len(columns) == 1 else tuple(values[c] for c in columns)

    def is_live(self, values: Values) -> bool:
        if self._live is None:
            return False
        value = values.get(self._live[0])
        return value in self._live[1] if self._live[1] else value is not None

    def by_key(self, key: Key) -> Iterable[Row]:
        row = self.rows.get(key)
        return () if row is None else (row,)

    def by_keys(self, keys: Iterable[Key]) -> Iterable[Row]:
        return [self.rows[key] for key in dict.fromkeys(keys) if key in self.rows]

    def of(self, columns: tuple[str, ...], *values: Any) -> Iterable[Row]:
        """Rows whose `columns` hold these values, in the order in which they came."""
        found = self._groups[columns].get(values)
        return tuple(found.values()) if found else ()

    def of_any(self, columns: tuple[str, ...], values: Iterable[Any]) -> Iterable[Row]:
        return [row for value in dict.fromkeys(values) for row in self.of(columns, value)]

    def alive(self) -> Iterable[Row]:
        return tuple(self.live_rows.values())

    def everything(self) -> Iterable[Row]:
        return tuple(self.rows.values())

    def put(self, row: Row, values: Values) -> None:
        self.rows[row.key] = row
        for columns, group in self._groups.items():
            group.setdefault(tuple(values[c] for c in columns), {})[row.key] = row

    def drop(self, row: Row, values: Values) -> None:
        del self.rows[row.key]
        self.live_rows.pop(row.key, None)
        for columns, group in self._groups.items():
            del group[tuple(values[c] for c in columns)][row.key]


class Transaction:
    """One transaction on the server."""

    __slots__ = ("_undo", "at", "db", "failed", "held", "shared", "waiters", "waits_for", "who")

    def __init__(self, db: Database, who: str) -> None:
        self.db = db
        self.who = who
        self.at: datetime = db.now()
        self.failed = False
        self._undo: list[tuple[Table, Row, Values | None]] = []
        self.held: list[Row] = []
        self.shared: list[Row] = []
        self.waiters: list[Callable[[], None]] = []
        self.waits_for: Transaction | None = None

    def see(self, row: Row) -> Values | None:
        """The row as this transaction sees it."""
        if row.owner is self and row.next is not None:
            return None if row.next is GONE else row.next
        return row.now

    def get(self, table: str, key: Key) -> Values | None:
        row = self.db.tables[table].rows.get(key)
        return None if row is None else self.see(row)

    def find(self, table: str, columns: tuple[str, ...], *values: Any) -> list[tuple[Row, Values]]:
        """Rows by a group of columns, as this transaction sees them."""
        found = []
        for row in self.db.tables[table].of(columns, *values):
            seen = self.see(row)
            if seen is not None:
                found.append((row, seen))
        return found

    def is_held(self, row: Row) -> bool:
        """Would SKIP LOCKED pass over it?"""
        return row.owner not in (None, self)

    def hold(self, row: Row) -> None:
        """FOR UPDATE."""
        if row.owner is self:
            return
        if row.owner is not None:
            raise Wait(row.owner)
        for other in row.sharers:
            if other is not self:
                raise Wait(other)
        row.owner = self
        self.held.append(row)

    def share(self, row: Row) -> None:
        """FOR SHARE."""
        if row.owner is self or self in row.sharers:
            return
        if row.owner is not None:
            raise Wait(row.owner)
        row.sharers.append(self)
        self.shared.append(row)

    def insert(self, name: str, values: Values, *, quiet: bool = False) -> Values | None:
        """INSERT; with `quiet` ON CONFLICT DO NOTHING: None, and nothing changed."""
        table = self.db.tables[name]
        for rule in table.before:
            rule(self, None, values)
        self._check(table, values)
        if self._find_clash(table, values, None, quiet=quiet) is not None:
            return None
        row = Row(table.key_of(values))
        row.owner, row.next = self, values
        self.held.append(row)
        table.put(row, values)
        self._undo.append((table, row, None))
        if table.is_live(values):
            table.live_rows[row.key] = row
        self._write_event(name, values)
        return values

    def update(self, name: str, row: Row, changes: Values) -> Values:
        """UPDATE of one row, which is held from now on."""
        self.hold(row)
        table = self.db.tables[name]
        old = self.see(row)
        assert old is not None
        new = {**old, **changes}
        seal(table.definition, new)
        for rule in table.before:
            rule(self, old, new)
        self._check(table, new)
        self._find_clash(table, new, row)
        self._undo.append((table, row, row.next))
        row.next = new
        if table.is_live(new):
            table.live_rows[row.key] = row
        self._write_event(name, new)
        for rule in table.after:
            rule(self, old, new)
        return new

    def delete(self, name: str, row: Row) -> None:
        """DELETE of one row."""
        self.hold(row)
        table = self.db.tables[name]
        for rule in table.before:
            rule(self, self.see(row), GONE)
        self._undo.append((table, row, row.next))
        row.next = GONE

    def clash(self, name: str, values: Values) -> Row:
        """The row that ON CONFLICT met, as the unique index says: a partial one knows some rows only."""
        found = self._find_clash(self.db.tables[name], values, None, quiet=True)
        assert found is not None, "there was a conflict"
        return found

    def _write_event(self, name: str, payment: Values) -> None:
        """Trigger write_payment_event."""
        if name != "payments":
            return
        event = {column: payment[column] for column in ("imp_uid", "version", "event", "step")}
        self.insert(
            "payment_events", {**event, "cancelled": payment["cancelled"], "at": self.db.now()}
        )

    def _check(self, table: Table, values: Values) -> None:
        for column in table.definition.required:
            if values[column] is None:
                raise asyncpg.NotNullViolationError(f"{table.name}.{column} is null")
        for name, holds in table.definition.checks.items():
            if holds(values) is False:
                raise asyncpg.CheckViolationError(f"{name} of {table.name}")

    def _find_clash(
        self, table: Table, values: Values, me: Row | None, *, quiet: bool = False
    ) -> Row | None:
        """Wait for, find or refuse what has a key of this row already."""
        if me is None:
            there = table.rows.get(table.key_of(values))
            if there is not None:
                return self._clashes(there, lambda _: True, f"{table.name}_pkey", quiet)
        for unique in table.definition.uniques:
            key = unique.key(values)
            if key is None:
                continue
            for row in table.of(unique.group, *(values[c] for c in unique.group)):
                if row is not me:
                    found = self._clashes(
                        row, lambda v, u=unique, k=key: u.key(v) == k, unique.name, quiet
                    )
                    if found is not None:
                        return found
        return None

    def _clashes(
        self, row: Row, same: Callable[[Values], bool], constraint: str, quiet: bool
    ) -> Row | None:
        if row.owner is not None and row.owner is not self and row.next is not None:
            if (row.next is not GONE and same(row.next)) or (row.now is not None and same(row.now)):
                raise Wait(row.owner)
            return None
        seen = self.see(row)
        if seen is None or not same(seen):
            return None
        if quiet:
            return row
        raise violation(constraint)

    @property
    def mark(self) -> int:
        return len(self._undo)

    def undo_to(self, mark: int) -> None:
        """Take back what was changed since `mark`; locks stay."""
        while len(self._undo) > mark:
            table, row, before = self._undo.pop()
            if before is None and row.now is None:
                assert row.next is not None
                table.drop(row, row.next)
                row.next = None
                # Whoever waits for it finds nobody.
            else:
                row.next = before

    def commit(self) -> None:
        """Make it true. Raises what a deferred constraint refuses; then nothing is."""
        try:
            self.db.check_deferred(self, self._undo)
        except asyncpg.PostgresError:
            self.roll_back()
            raise
        changes = []
        for table, row, _ in self._undo:
            if row.next is None:
                continue
            changes.append((table, row.now, row.next))
            if row.next is GONE:
                if row.now is not None:
                    table.drop(row, row.now)
                row.now = row.next = None
                continue
            row.now, row.next = row.next, None
            if row.key in table.live_rows and not table.is_live(row.now):
                del table.live_rows[row.key]
        self._undo.clear()
        self._release()
        self.db.committed(self, changes)

    def roll_back(self) -> None:
        self.undo_to(0)
        self._release()

    def _release(self) -> None:
        for row in self.held:
            row.owner = None
        for row in self.shared:
            row.sharers.remove(self)
        self.held.clear()
        self.shared.clear()
        waiters, self.waiters = self.waiters, []
        for wake in waiters:
            wake()


_COMPARED = ("payments", "cancellations", "intents")


def seal(definition: Definition, values: Values) -> None:
    """Columns that say which data key a blob names."""
    for column, blob in definition.key_of_blob.items():
        values[column] = None if values[blob] is None else key_of(values[blob])


class Database:
    """The server: tables, who is connected, and what may go wrong with it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tables = {name: Table(each) for name, each in schema().tables.items()}
        self.connections: list[MemoryConnection] = []
        self.down = False
        self._numbers: dict[str, int] = {}
        self.watchers: list[Callable[[Transaction, list[Any]], None]] = []

    def now(self) -> datetime:
        return self.world.now()

    def number(self, sequence: str) -> int:
        """The next number of an identity column; like PostgreSQL's it is used up by a rollback too."""
        self._numbers[sequence] = self._numbers.get(sequence, 0) + 1
        return self._numbers[sequence]

    def defaults(self, name: str, tx: Transaction, values: Values) -> Values:
        """A new row: what is given, and the defaults of the rest."""
        definition = self.tables[name].definition
        full: Values = {}
        for column in definition.columns:
            if column in values:
                full[column] = values[column]
            elif column in definition.identity:
                full[column] = self.number(name)
            elif column in definition.defaults:
                full[column] = definition.defaults[column](None, tx)
            else:
                full[column] = None
        seal(definition, full)
        return full

    def committed(self, tx: Transaction, changes: list[Any]) -> None:
        for watch in self.watchers:
            watch(tx, changes)

    def check_deferred(self, tx: Transaction, changes: list[Any]) -> None:
        """Constraint triggers, which look at the end: compare_cancellations, compare_question."""
        touched = [row.next for table, row, _ in changes if table.name in _COMPARED and row.next]
        for imp_uid in dict.fromkeys(values["imp_uid"] for values in touched):
            payment = tx.get("payments", imp_uid)
            if payment is None:
                continue
            given = sum(v["amount"] for _, v in tx.find("cancellations", ("imp_uid",), imp_uid))
            if payment["cancelled"] != given:
                raise broken(f"the cancellations of {imp_uid} do not add up")
            if payment["step"] == "approving" and not any(
                intent["state"] in LIVE["intents"][1]
                for _, intent in tx.find("intents", ("imp_uid",), imp_uid)
            ):
                raise broken(f"payment {imp_uid} is being approved and nobody asks")

    def begin(self, who: str) -> Transaction:
        """A transaction for a connection of that name."""
        return Transaction(self, who)

    def connect(self, process: Process | None, keyring: Keyring) -> MemoryConnection:
        """A line to this server."""
        return MemoryConnection(self, process, keyring)

    def disconnect(self, process: Process) -> None:
        """The process is gone, and its lines with it."""
        for connection in [each for each in self.connections if each.process is process]:
            connection.reset(last_words=True)

    def restart(self) -> None:
        """Everybody is thrown out, and what was not committed is not there any more."""
        for connection in list(self.connections):
            connection.reset(last_words=False)

    def rows(self, table: str) -> list[Values]:
        """What is committed."""
        return [row.now for row in self.tables[table].rows.values() if row.now is not None]

    def living(self, table: str) -> list[Values]:
        """Those of them that a round looks for (LIVE)."""
        return [row.now for row in self.tables[table].live_rows.values() if row.now is not None]


class MemoryConnection(Connection):
    """A line to the simulated server. `raw`, what asyncpg would be, is itself."""

    def __init__(self, db: Database, process: Process | None, keyring: Keyring) -> None:
        super().__init__(self, keyring)
        self.db = db
        self.process = process
        self.name = "test" if process is None else process.name
        self.closed = False
        self._tx: Transaction | None = None
        self._in_flight = False
        self._last_words = False
        self._asking: asyncio.Future[Any] | None = None
        self._savepoints: dict[str, int] = {}
        db.connections.append(self)

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return self._tx is not None

    def add_log_listener(self, listener: Any) -> None:
        """No server speaks here: nobody waits for a standby in the simulation."""

    def terminate(self) -> None:
        self._leave()

    async def close(self, timeout: float | None = None) -> None:
        self._leave()

    async def fetch(self, query: Query, *values: Any) -> list[Values]:
        found: list[Values] = await self._ask(query.name, values, query)
        return found

    async def fetchrow(self, query: Query, *values: Any) -> Values | None:
        rows = await self._ask(query.name, values, query)
        return rows[0] if rows else None

    async def fetchval(self, query: Query | str, *values: Any) -> Any:
        if isinstance(query, str):
            return await self._ask("ping", ())
        rows = await self._ask(query.name, values, query)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, command: str) -> None:
        """BEGIN travels with the first statement; COMMIT and the like are answered."""
        if command.startswith("BEGIN"):
            if self.closed:
                raise StoreUnavailable("the line is closed")
            assert self._tx is None
            self._tx = self.db.begin(self.name)
            self._savepoints.clear()
            return
        await self._ask(command, ())

    async def _ask(self, name: str, values: tuple[Any, ...], query: Query | None = None) -> Any:
        if self.process is not None:
            self.process.must_live()
        if self.closed:
            raise StoreUnavailable("the line is closed")
        run = None if query is None else find(query)
        self._in_flight = True
        asking = self._asking = asyncio.get_running_loop().create_future()
        world = self.db.world
        world.later(world.latency(), self._arrive, name, run, values, asking)
        return await asking

    def _arrive(
        self, name: str, run: Run | None, values: tuple[Any, ...], asking: asyncio.Future[Any]
    ) -> None:
        """The statement is at the server."""
        self._in_flight = False
        world = self.db.world
        if self.closed:
            if self._last_words and name == "COMMIT" and self._tx is not None:
                # It was on its way when its sender died.
                self._tx.commit()
                self._tx = None
            self._roll_back()
            return
        if asking.cancelled() and (self._tx is not None or world.toss(0.5)):
            # Its sender does not want it any more, and said so in time.
            return
        trouble = world.trouble_at_database(self, name)
        if trouble == "lost":
            self.reset(last_words=False)
            return
        self._serve(name, run, values, asking, trouble == "unknown")

    def _serve(
        self,
        name: str,
        run: Run | None,
        values: tuple[Any, ...],
        asking: asyncio.Future[Any],
        unheard: bool,
    ) -> None:
        if self.closed:
            self._roll_back()
            return
        tx = self._tx or self.db.begin(self.name)
        mark = tx.mark
        try:
            answer = self._perform(tx, name, run, values)
        except Wait as wait:
            tx.undo_to(mark)
            if self._tx is None:
                tx.roll_back()
            if not self._await_lock(tx, wait.owner, name, run, values, asking, unheard):
                self._fail(tx, asking, asyncpg.DeadlockDetectedError("deadlock detected"))
            return
        except asyncpg.PostgresError as error:
            tx.undo_to(mark)
            self._fail(tx, asking, error)
            return
        if self._tx is None and tx.held:
            try:
                tx.commit()
            except asyncpg.PostgresError as error:
                self._answer(asking, error=error)
                return
        self.db.world.trace(self.name, name)
        if unheard:
            self.reset(last_words=False)
        else:
            self._answer(asking, answer)

    def _perform(self, tx: Transaction, name: str, run: Run | None, values: tuple[Any, ...]) -> Any:
        if name == "COMMIT":
            self._tx = None
            if tx.failed:
                tx.roll_back()
            else:
                tx.commit()
            return None
        if name == "ROLLBACK":
            self._tx = None
            tx.roll_back()
            return None
        if name.startswith("ROLLBACK TO SAVEPOINT "):
            tx.undo_to(self._savepoints[name.rpartition(" ")[2]])
            tx.failed = False
            return None
        if tx.failed:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        if name.startswith("SAVEPOINT "):
            self._savepoints[name.rpartition(" ")[2]] = tx.mark
            return None
        if name == "ping":
            return 1
        assert run is not None
        return run(tx, values)

    def _await_lock(
        self,
        tx: Transaction,
        owner: Transaction,
        name: str,
        run: Run | None,
        values: tuple[Any, ...],
        asking: asyncio.Future[Any],
        unheard: bool,
    ) -> bool:
        """Go on when `owner` has ended. False: it waits for us."""
        following: Transaction | None = owner
        while following is not None:
            if following is tx:
                return False
            following = following.waits_for
        tx.waits_for = owner
        world = self.db.world
        waiting = True

        def wake() -> None:
            nonlocal waiting
            if waiting:
                waiting = False
                tx.waits_for = None
                world.later(0.0, self._serve, name, run, values, asking, unheard)

        def give_up() -> None:
            nonlocal waiting
            if waiting:
                waiting = False
                self.reset(last_words=False)

        owner.waiters.append(wake)
        world.later(COMMAND_TIMEOUT_SECONDS, give_up)
        return True

    def _fail(self, tx: Transaction, asking: asyncio.Future[Any], error: Exception) -> None:
        if self._tx is tx:
            tx.failed = True
        else:
            tx.roll_back()
        self._answer(asking, error=error)

    def _answer(
        self, asking: asyncio.Future[Any], answer: Any = None, *, error: Exception | None = None
    ) -> None:
        self._asking = None
        if asking.done():
            return
        if error is None:
            asking.set_result(answer)
        else:
            asking.set_exception(error)

    def reset(self, *, last_words: bool) -> None:
        """The line broke. With `last_words` a COMMIT that is on its way may still arrive."""
        asking = self._asking
        self._leave(last_words=last_words and self._in_flight and self.db.world.toss(0.5))
        if asking is not None:
            self._answer(asking, error=StoreUnavailable("the database went away"))

    def _leave(self, *, last_words: bool = False) -> None:
        if self.closed:
            return
        self.closed = True
        self._last_words = last_words
        self.db.connections.remove(self)
        if not last_words:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._tx is not None:
            self._tx.roll_back()
            self._tx = None


class MemoryStore(Store):
    """The store of one simulated process: the real one, over lines to a simulated server."""

    def __init__(self, db: Database, process: Process | None = None, size: int = 10) -> None:
        super().__init__("memory", size)
        self.keyring = Keyring(bytes(32), random=db.world.bytes)
        self._db = db
        self._process = process

    async def _connect(self) -> Any:
        if self._process is not None:
            self._process.must_live()
            await self._db.world.dial_database(self._process)
        return self._db.connect(self._process, self.keyring)

"""The simulated world over the real SQL: every statement also runs on PostgreSQL, in the same instant.

The simulated server decides who waits for whom, so nothing is left to the machine's timing; a
statement reaches PostgreSQL when its turn has come, on its transaction's own session, while the
virtual clock stands still. The two answers, refusals and commits must be the same, and so must the
tables at the end. PostgreSQL's own waiting would be a difference: `lock_timeout` tells it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from naru.store.named import Query
from naru.store.seal import Keyring
from tests.simulation.database import Database, MemoryConnection, Transaction, Values, Wait
from tests.simulation.statements import Run, find

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

T = TypeVar("T")

LOCK_MILLISECONDS = 200
ANSWER_SECONDS = 30.0
COMPARED = (
    *("payments", "payment_events", "intents", "cancellations", "deposits", "prepared"),
    *("webhook_deliveries", "operator_tasks", "undone_watches", "payment_secrets"),
)
# The library's queue is the simulation's own (run.py); its rows are in no table of ours.
NOT_ASKED = ("queue.",)
# What PostgreSQL's own triggers and sequences give and the simulated server does not.
UNKNOWN_COLUMNS = frozenset(("place", "webhook_url_since"))

# The database's clock is the world's: these stand before PostgreSQL's own in the search path, also
# for triggers and defaults.
CLOCK = """
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('sim.began')::timestamptz $$;
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT current_setting('sim.now')::timestamptz $$;
"""


class Difference(Exception):
    """PostgreSQL does not do what the simulated server did."""


class Server:
    """PostgreSQL, asked from a thread with a loop of its own, so that the asker stands still."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._idle: list[Line] = []
        self._all: list[Line] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for this, with the world's clock standing still."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_SECONDS)

    def take(self) -> Line:
        """A session that is in no transaction."""
        if self._idle:
            return self._idle.pop()
        line = Line(self, self.do(_connect(self._dsn)))
        self._all.append(line)
        return line

    def give_back(self, line: Line) -> None:
        self._idle.append(line)

    def close(self) -> None:
        for line in self._all:
            self.do(line.raw.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


async def _connect(dsn: str) -> asyncpg.Connection[asyncpg.Record]:
    raw = await asyncpg.connect(
        dsn,
        server_settings={
            "application_name": "naru",
            "timezone": "UTC",
            "search_path": "public, pg_catalog",
            "lock_timeout": f"{LOCK_MILLISECONDS}ms",
        },
    )
    await raw.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    return raw


class Line:
    """One session, and what it has prepared."""

    def __init__(self, server: Server, raw: asyncpg.Connection[asyncpg.Record]) -> None:
        self.raw = raw
        self._server = server
        self._prepared: dict[str, Any] = {}

    def command(self, text: str) -> None:
        """BEGIN, COMMIT and the like. Raises what PostgreSQL refuses."""
        self._server.do(self.raw.execute(text))

    def fetch(self, before: str, query: Query, values: tuple[Any, ...]) -> list[Any]:
        """The rows of one statement, after some settings. Raises what PostgreSQL refuses."""

        async def work() -> list[Any]:
            await self.raw.execute(before)
            prepared = self._prepared.get(query.sql)
            if prepared is None:
                prepared = self._prepared[query.sql] = await self.raw.prepare(query.sql)
            found: list[Any] = await prepared.fetch(*values)
            return found

        return self._server.do(work())


class LockstepTransaction(Transaction):
    """A transaction on both servers."""

    __slots__ = ("line",)

    def __init__(self, db: LockstepDatabase, who: str) -> None:
        super().__init__(db, who)
        self.line: Line | None = None

    def roll_back(self) -> None:
        # There first: whoever waits for our rows must not find them held.
        self.end("ROLLBACK")
        super().roll_back()

    def end(self, command: str) -> type[Exception] | None:
        """COMMIT or ROLLBACK on PostgreSQL; what it refused."""
        line, self.line = self.line, None
        if line is None:
            return None
        try:
            line.command(command)
        except asyncpg.PostgresError as error:
            return type(error)
        finally:
            assert isinstance(self.db, LockstepDatabase)
            self.db.server.give_back(line)
        return None


class LockstepDatabase(Database):
    """The simulated server with PostgreSQL beside it; `statements` counts what was compared."""

    def __init__(self, world: World, server: Server) -> None:
        super().__init__(world)
        self.server = server
        self.statements = self.refused = self.commits = 0
        self.differences: list[str] = []

    def begin(self, who: str) -> Transaction:
        return LockstepTransaction(self, who)

    def connect(self, process: Process | None, keyring: Keyring) -> MemoryConnection:
        return LockstepConnection(self, process, keyring)

    def differ(self, sentence: str) -> None:
        """Only the first differences say something: the others follow from it."""
        if len(self.differences) < 5:
            self.differences.append(f"{self.now():%H:%M:%S.%f} {sentence}")

    def check_deferred(self, tx: Transaction, changes: list[Any]) -> None:
        try:
            super().check_deferred(tx, changes)
        except asyncpg.PostgresError as error:
            assert isinstance(tx, LockstepTransaction)
            self._compare_commit(tx, type(error))
            raise

    def committed(self, tx: Transaction, changes: list[Any]) -> None:
        assert isinstance(tx, LockstepTransaction)
        self._compare_commit(tx, None)
        super().committed(tx, changes)

    def _compare_commit(self, tx: LockstepTransaction, expected: type[Exception] | None) -> None:
        if tx.line is None:
            return
        self.commits += 1
        # Constraint triggers look at the clock of the commit.
        tx.line.command(f"SET LOCAL sim.now = '{self.now().isoformat()}'")
        refused = tx.end("COMMIT")
        if refused is not expected:
            self.differ(f"{tx.who}: COMMIT gave {refused} there and {expected} here")

    def compare_tables(self) -> None:
        """The same rows in both, to the last column."""
        line = self.server.take()
        for name in COMPARED:
            mine = sorted(text_of_row(row) for row in self.rows(name))
            rows = self.server.do(line.raw.fetch(f"SELECT * FROM {name}"))
            known = self.tables[name].definition.columns
            theirs = sorted(text_of_row({c: row[c] for c in known}) for row in rows)
            if mine != theirs:
                odd = set(mine) ^ set(theirs)
                self.differ(f"{name}: {len(odd)} rows differ, such as {sorted(odd)[:2]}")
        self.server.give_back(line)


class LockstepConnection(MemoryConnection):
    """A line whose statements also go to PostgreSQL."""

    db: LockstepDatabase

    async def _ask(self, name: str, values: tuple[Any, ...], query: Query | None = None) -> Any:
        if query is not None:
            _queries[find(query)] = query
        return await super()._ask(name, values, query)

    def _perform(self, tx: Transaction, name: str, run: Run | None, values: tuple[Any, ...]) -> Any:
        assert isinstance(tx, LockstepTransaction)
        if name in ("COMMIT", "ROLLBACK", "ping") or name.startswith(NOT_ASKED):
            return super()._perform(tx, name, run, values)
        numbers = dict(self.db._numbers)
        try:
            answer = super()._perform(tx, name, run, values)
        except Wait:
            raise
        except asyncpg.PostgresError as error:
            self._compare(tx, name, run, values, numbers, type(error), [])
            raise
        self._compare(tx, name, run, values, numbers, None, answer)
        return answer

    def _compare(
        self,
        tx: LockstepTransaction,
        name: str,
        run: Run | None,
        values: tuple[Any, ...],
        numbers: dict[str, int],
        refused: type[Exception] | None,
        answer: Any,
    ) -> None:
        db = self.db
        if tx.line is None:
            tx.line = db.server.take()
            tx.line.command("BEGIN")
        db.statements += 1
        db.refused += refused is not None
        there: type[Exception] | None = None
        rows: list[Any] = []
        try:
            if run is None:
                tx.line.command(name)
            else:
                query = _queries[run]
                rows = tx.line.fetch(self._settings(tx, numbers), query, values)
        except asyncpg.PostgresError as error:
            there = type(error)
            told = str(error)
        if there is not refused:
            db.differ(
                f"{self.name}: {name} gave {there and told!r} there and {refused} here; {values!r:.300}"
            )
        elif there is None and run is not None:
            mine = [text_of_row(row) for row in answer]
            theirs = [text_of_row(_named_as(row, answer)) for row in rows]
            if sorted(mine) != sorted(theirs):
                odd = sorted(set(mine) ^ set(theirs))
                db.differ(
                    f"{self.name}: {name} gave {len(theirs)} rows there and {len(mine)} here: {odd}"
                )
        if self._tx is None and not tx.held:
            # It stands alone and changed nothing: no commit follows here.
            tx.end("ROLLBACK" if there else "COMMIT")

    def _settings(self, tx: LockstepTransaction, numbers: dict[str, int]) -> str:
        """Clock, and the numbers that identity columns go on from."""
        if tx.failed:
            return "SELECT 1"
        texts = [
            f"SET LOCAL sim.began = '{tx.at.isoformat()}'",
            f"SET LOCAL sim.now = '{self.db.now().isoformat()}'",
        ]
        for table, number in self.db._numbers.items():
            before = numbers.get(table, 0)
            if number != before:
                [column] = self.db.tables[table].definition.identity
                sequence = f"pg_get_serial_sequence('{table}', '{column}')"
                texts.append(f"SELECT setval({sequence}, {before + 1}, false)")
        return ";".join(texts)


_queries: dict[Run, Query] = {}


def _named_as(row: Any, answer: list[Values]) -> Values:
    """PostgreSQL's row with the columns of ours; those without a name go by their place."""
    names = list(answer[0]) if answer else []
    if "?column?" in row.keys():  # noqa: SIM118  # a record is no mapping
        return dict(zip(names, row.values(), strict=True))
    return {name: row[name] for name in row.keys() if name in names}  # noqa: SIM118


def text_of_row(row: Values) -> str:
    """A row as text, whichever server it is from."""
    return json.dumps(
        {name: _text(value) for name, value in row.items() if name not in UNKNOWN_COLUMNS},
        sort_keys=True,
    )


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [_text(each) for each in value]
    return value if value is None or isinstance(value, bool | int | str | dict) else str(value)


async def prepare(dsn: str) -> None:
    """Give an empty database the world's clock and the house's tables, with nobody in them."""
    from naru.store.migrate import migrate

    connection = await asyncpg.connect(dsn)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(CLOCK)
    await connection.execute(
        f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog;'
        f"ALTER DATABASE \"{name}\" SET sim.now = '2026-03-02T01:00:00Z';"
        f"ALTER DATABASE \"{name}\" SET sim.began = '2026-03-02T01:00:00Z'"
    )
    await connection.close()
    await migrate(dsn)


async def empty(dsn: str) -> None:
    """Nobody and nothing, for the next world."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind = 'r' AND nspname = 'public' AND relname NOT LIKE '%migration%'"
    )
    names = ", ".join(row["relname"] for row in rows)
    await connection.execute(
        f"SET session_replication_role = replica; TRUNCATE {names} RESTART IDENTITY CASCADE"
    )
    await connection.close()

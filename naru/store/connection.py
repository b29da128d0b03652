"""Connections to PostgreSQL: last in, first out, every statement prepared once.

A few connections stay hot instead of all of them lukewarm; the database sees as few as the load
needs. Measured against asyncpg's own pool: a third of the client's CPU (docs/decisions/0002).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from naru.domain.errors import NaruError
from naru.store.named import Query
from naru.store.transaction import Session

COMMAND_TIMEOUT_SECONDS = 30.0
WAIT_SECONDS_MAX = 10.0


# The connection went away under a statement; the statement itself was not refused.
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)


class StoreUnavailable(NaruError):
    """The database cannot be reached, went away, or stayed busy too long.

    What it had not confirmed must be read again: the last COMMIT may or may not have happened.
    """


class Connection:
    """One connection and what it has prepared."""

    __slots__ = ("_prepared", "raw")

    def __init__(self, raw: asyncpg.Connection[asyncpg.Record]) -> None:
        self.raw = raw
        self._prepared: dict[Query, asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]] = {}

    async def fetch(self, query: Query, *values: Any) -> list[asyncpg.Record]:
        """All rows. Raises StoreUnavailable, or what PostgreSQL refuses."""
        rows: list[asyncpg.Record] = await self._run("fetch", query, values)
        return rows

    async def fetchrow(self, query: Query, *values: Any) -> asyncpg.Record | None:
        """The first row, or None. Raises as `fetch`."""
        row: asyncpg.Record | None = await self._run("fetchrow", query, values)
        return row

    async def fetchval(self, query: Query, *values: Any) -> Any:
        """The first column of the first row, or None. Raises as `fetch`."""
        return await self._run("fetchval", query, values)

    async def execute(self, command: str) -> None:
        """BEGIN, COMMIT and the like. Raises StoreUnavailable."""
        with self._told_as_unavailable():
            await self.raw.execute(command)

    async def _run(self, method: str, query: Query, values: tuple[Any, ...]) -> Any:
        try:
            with self._told_as_unavailable():
                return await getattr(await self._statement(query), method)(*values)
        except asyncpg.InvalidCachedStatementError:
            # A migration changed the table under us. Everything is prepared anew; inside a
            # transaction the server has given up already, outside it nothing has happened yet.
            self._prepared.clear()
            if self.raw.is_in_transaction():
                raise StoreUnavailable("the tables changed meanwhile") from None
            await self.raw.reload_schema_state()
            return await getattr(await self._statement(query), method)(*values)

    @contextmanager
    def _told_as_unavailable(self) -> Iterator[None]:
        try:
            yield
        except (*_LOST, asyncpg.InterfaceError) as error:
            # The library's InterfaceError also tells of our own mistakes: those stay what they are.
            if isinstance(error, asyncpg.InterfaceError) and not self.raw.is_closed():
                raise
            raise StoreUnavailable(f"the database went away: {type(error).__name__}") from error

    async def _statement(
        self, query: Query
    ) -> asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]:
        statement = self._prepared.get(query)
        if statement is None:
            statement = await self.raw.prepare(query.sql)
            self._prepared[query] = statement
        return statement


class Store:
    """The database, as the rest of the house sees it."""

    def __init__(self, dsn: str, size: int = 10, wait_seconds: float = WAIT_SECONDS_MAX) -> None:
        self._dsn = dsn
        self._wait_seconds = wait_seconds
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(size)
        self._closed = False

    @classmethod
    async def open(cls, dsn: str, size: int = 10, wait_seconds: float = WAIT_SECONDS_MAX) -> Store:
        """Connect once, so that a wrong address is told now. Raises StoreUnavailable.

        At most `size` connections; who finds all busy waits for `wait_seconds`.
        """
        store = cls(dsn, size, wait_seconds)
        async with store.direct():
            pass
        return store

    async def close(self) -> None:
        """Close what is idle; connections in use are closed when they come back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().raw.close(timeout=5)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self._borrow() as connection:
            await connection.execute("BEGIN")
            try:
                yield Session(connection)
            except BaseException:
                await _roll_back(connection)
                raise
            await _to_the_end(connection.execute("COMMIT"))

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[Session]:
        """No transaction around it: every statement commits by itself."""
        async with self._borrow() as connection:
            yield Session(connection)

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise StoreUnavailable("all database connections are busy") from None
        connection: Connection | None = None
        try:
            connection = await self._take()
            yield connection
        finally:
            try:
                await self._give_back(connection)
            finally:
                self._free.release()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.raw.is_closed():
                return connection
        try:
            raw = await asyncpg.connect(
                self._dsn,
                timeout=10,
                command_timeout=COMMAND_TIMEOUT_SECONDS,
                server_settings={"application_name": "naru", "timezone": "UTC"},
            )
        except (*_LOST, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            raise StoreUnavailable(f"cannot reach the database: {error}") from error
        try:
            await raw.set_type_codec(
                "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )
        except BaseException:
            raw.terminate()
            raise
        return Connection(raw)

    async def _give_back(self, connection: Connection | None) -> None:
        if connection is None or connection.raw.is_closed():
            return
        if self._closed or connection.raw.is_in_transaction():
            # An interrupted transaction is ended by the server when the connection goes.
            connection.raw.terminate()
            return
        self._idle.append(connection)


async def _roll_back(connection: Connection) -> None:
    """Leave the transaction; a connection that cannot is thrown away, and the server ends it."""
    try:
        await _to_the_end(connection.execute("ROLLBACK"))
    except StoreUnavailable:
        connection.raw.terminate()


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finish this even when we are cancelled meanwhile, and be cancelled then.

    A COMMIT that is left alone would leave us not knowing, and its connection would be thrown away
    under it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at: who cancelled us does not want to hear it
        raise

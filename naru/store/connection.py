"""Connections to PostgreSQL: last in, first out, every statement prepared once.

A few connections stay hot instead of all of them lukewarm; the database sees as few as the load
needs. Measured against asyncpg's own pool: a third of the client's CPU (docs/decisions/0002).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from naru.domain.errors import NaruError
from naru.store.named import Query
from naru.store.transaction import Session

COMMAND_TIMEOUT_SECONDS = 30.0
WAIT_SECONDS_MAX = 10.0


class StoreUnavailable(NaruError):
    """The database cannot be reached, or all connections stayed busy too long. Nothing was changed."""


class Connection:
    """One connection and what it has prepared."""

    __slots__ = ("_prepared", "raw")

    def __init__(self, raw: asyncpg.Connection[asyncpg.Record]) -> None:
        self.raw = raw
        self._prepared: dict[Query, asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]] = {}

    async def fetch(self, query: Query, *values: Any) -> list[asyncpg.Record]:
        """All rows."""
        rows: list[asyncpg.Record] = await (await self._statement(query)).fetch(*values)
        return rows

    async def fetchrow(self, query: Query, *values: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        return await (await self._statement(query)).fetchrow(*values)

    async def fetchval(self, query: Query, *values: Any) -> Any:
        """The first column of the first row, or None."""
        return await (await self._statement(query)).fetchval(*values)

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

    def __init__(self, dsn: str, size: int = 10) -> None:
        self._dsn = dsn
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(size)
        self._closed = False

    @classmethod
    async def open(cls, dsn: str, size: int = 10) -> Store:
        """Connect once, so that a wrong address is told now. Raises StoreUnavailable."""
        store = cls(dsn, size)
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
            await connection.raw.execute("BEGIN")
            try:
                yield Session(connection)
            except BaseException:
                if not connection.raw.is_closed():
                    await asyncio.shield(connection.raw.execute("ROLLBACK"))
                raise
            # A cancelled COMMIT would leave us not knowing whether it happened.
            await asyncio.shield(connection.raw.execute("COMMIT"))

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[Session]:
        """No transaction around it: every statement commits by itself."""
        async with self._borrow() as connection:
            yield Session(connection)

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[Connection]:
        try:
            await asyncio.wait_for(self._free.acquire(), WAIT_SECONDS_MAX)
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
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise StoreUnavailable(f"cannot reach the database: {error}") from error
        await raw.set_type_codec(
            "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )
        return Connection(raw)

    async def _give_back(self, connection: Connection | None) -> None:
        if connection is None or connection.raw.is_closed():
            return
        if self._closed or connection.raw.is_in_transaction():
            # An interrupted transaction is ended by the server when the connection goes.
            connection.raw.terminate()
            return
        self._idle.append(connection)

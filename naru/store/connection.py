"""Connections to PostgreSQL: last in, first out, every statement prepared once.

A few connections stay hot instead of all of them lukewarm; the database sees as few as the load
needs. Measured against asyncpg's own pool: a third of the client's CPU (docs/decisions/0002).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement as _Statement

from naru.domain.acting import acting
from naru.store.ask_together import AskTogether
from naru.store.house import Guard
from naru.store.named import Query, load, with_columns
from naru.store.seal import (
    LOOK_AGAIN_SECONDS,
    BrokenSeal,
    Keyring,
    UnknownDataKey,
    sealed_keys,
)
from naru.store.transaction import Session
from naru.store.unavailable import StoreUnavailable

__all__ = ["Connection", "Store", "StoreUnavailable"]

log = logging.getLogger("naru.store")

_KEYS = load("keys")

COMMAND_TIMEOUT_SECONDS = 30.0
WAIT_SECONDS_MAX = 10.0
GOODBYE_SECONDS_MAX = 3.0
# PostgreSQL's function that waits for the standby: its name is in the notice, whose text may be in
# any language.
_WAIT_FOR_STANDBY = "SyncRepWaitForLSN"


# The connection or its server gave way under a statement; the statement itself was not refused.
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    # No room on its disk (53100), no memory, no place for one more, a disk that fails (58030): the
    # server lives, and the same statement passes once somebody has made room.
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    # Nothing is written here: a standby, or a primary that was demoted.
    asyncpg.ReadOnlySQLTransactionError,
)
# The library's own refusals are among these when a connection closed under it, or is just about
# to: a server that dies says so first, and the line is useless before it is closed.
_TROUBLE = (*_LOST, asyncpg.InterfaceError, asyncpg.InternalClientError)

Found = TypeVar("Found")


class _NeverCancelled(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A line that is dropped where the library would send a cancel request.

    A COMMIT that waits for its synchronous standby and is cancelled stands on one machine only, and
    everybody can read it: money would be told that the next crash loses. On a dropped line the
    server goes on waiting, and what does not commit is ended by its own `statement_timeout`.
    """

    async def _cancel(
        self, waiter: asyncio.Future[None], cancel_waiter: asyncio.Future[None] | None = None
    ) -> None:
        self.terminate()
        if not waiter.done():
            waiter.set_result(None)


class Connection:
    """One connection, what it has prepared, and the keys that open what is sealed."""

    __slots__ = ("_on_one_machine", "_prepared", "keyring", "raw")

    def __init__(self, raw: asyncpg.Connection[asyncpg.Record], keyring: Keyring) -> None:
        self.raw = raw
        self.keyring = keyring
        self._prepared: dict[Query, _Statement[asyncpg.Record]] = {}
        self._on_one_machine = False
        raw.add_log_listener(self._notice)

    async def fetch(self, query: Query, *values: Any) -> list[asyncpg.Record]:
        """All rows. Raises StoreUnavailable, or what PostgreSQL refuses."""
        return await self._run(_Statement.fetch, query, values)

    async def fetchrow(self, query: Query, *values: Any) -> asyncpg.Record | None:
        """The first row, or None. Raises as `fetch`."""
        return await self._run(_Statement.fetchrow, query, values)

    async def fetchval(self, query: Query, *values: Any) -> Any:
        """The first column of the first row, or None. Raises as `fetch`."""
        return await self._run(_Statement.fetchval, query, values)

    async def execute(self, command: str) -> None:
        """BEGIN, COMMIT and the like. Raises StoreUnavailable; after a COMMIT that means: unknown."""
        try:
            await self.raw.execute(command)
        except _TROUBLE as error:
            self._tell(error)
        if self._on_one_machine:
            self._tell_doubt()

    async def opened(self, read: Callable[[], Found]) -> Found:
        """What `read` makes of sealed rows; again when they name a data key we had not seen.

        Raises BrokenSeal.
        """
        while True:
            try:
                return read()
            except UnknownDataKey as error:
                await self.learn_keys(error.key_id)
            except BrokenSeal as error:
                log.error("%s", error)
                raise

    async def learn_keys(self, looked_for: int | None = None) -> None:
        """Read the table of data keys; makes the first one. Raises WrongRootKey, StoreUnavailable."""
        try:
            rows = await self.fetch(_KEYS["all"])
            if not rows:
                # Whoever comes second finds the key of whoever was first.
                await self.fetch(_KEYS["add"], *self.keyring.make_key(1))
                rows = await self.fetch(_KEYS["all"])
        except asyncpg.UndefinedTableError as error:
            raise StoreUnavailable("the database lacks tables: run `naru migrate`") from error
        self.keyring.learn(sealed_keys(rows), looked_for)

    async def _run(
        self, method: Callable[..., Awaitable[Found]], query: Query, values: tuple[Any, ...]
    ) -> Found:
        try:
            statement = self._prepared.get(query) or await self._prepare(query)
            found = await method(statement, *values)
        except asyncpg.InvalidCachedStatementError:
            # A migration changed the table under us. Everything is prepared anew; inside a
            # transaction the server has given up already, outside it nothing has happened yet.
            self._prepared.clear()
            if self.raw.is_in_transaction():
                raise StoreUnavailable("the tables changed meanwhile") from None
            await self.raw.reload_schema_state()
            found = await method(await self._prepare(query), *values)
        except _TROUBLE as error:
            self._tell(error)
        if self._on_one_machine:
            self._tell_doubt()
        return found

    def _notice(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        """What the server says beside its answers; it comes before the answer it belongs to."""
        # Somebody cancelled the wait for the standby. The answer will be "done" all the same.
        if getattr(message, "server_source_function", None) == _WAIT_FOR_STANDBY:
            log.error("a commit stands on one machine only: %s", message)
            self._on_one_machine = True

    def _tell_doubt(self) -> NoReturn:
        """Done, the server says, but one crash can undo it: unknown."""
        self.raw.terminate()
        raise StoreUnavailable("the standby did not confirm the commit")

    def _tell(self, error: Exception) -> NoReturn:
        """Raise this trouble in our words. The library's InterfaceError also tells of our own
        mistakes: on a living connection those stay what they are."""
        if isinstance(error, asyncpg.InterfaceError) and not self.raw.is_closed():
            raise error
        if isinstance(error, asyncpg.InternalClientError | asyncpg.ReadOnlySQLTransactionError):
            self.raw.terminate()
        raise StoreUnavailable(f"the database went away: {type(error).__name__}") from error

    async def _prepare(self, query: Query) -> _Statement[asyncpg.Record]:
        statement = self._prepared[query] = await self.raw.prepare(with_columns(query.sql))
        return statement


class Store:
    """The database, as the rest of the house sees it."""

    def __init__(
        self,
        dsn: str,
        size: int = 10,
        wait_seconds: float = WAIT_SECONDS_MAX,
        *,
        root_key: bytes | None = None,
        old_root_key: bytes | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Connects when it is first asked. What serves has a `guard`, which keeps it off a copy."""
        self._dsn = dsn
        self._guard = guard
        self.keyring = Keyring(root_key, old_root_key)
        self.look_again_seconds = LOOK_AGAIN_SECONDS
        self._keys_learned_at: float | None = None
        self._wait_seconds = wait_seconds
        self._size = size
        self._busy = 0
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self.who_asks = AskTogether(self, wait_seconds).ask

    @classmethod
    async def open(
        cls,
        dsn: str,
        size: int = 10,
        wait_seconds: float = WAIT_SECONDS_MAX,
        *,
        root_key: bytes | None = None,
        old_root_key: bytes | None = None,
    ) -> Store:
        """Connect once, so that a wrong address is told now. Raises StoreUnavailable, WrongRootKey.

        At most `size` connections; who finds all busy waits for `wait_seconds`. Without a root key
        nothing sealed can be read or written; `old_root_key` is the one before it, while they change.
        """
        store = cls(dsn, size, wait_seconds, root_key=root_key, old_root_key=old_root_key)
        try:
            async with store.direct():
                pass
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Close what is idle; connections in use are closed when they come back."""
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_say_goodbye(connection) for connection in idle))

    def begin(self) -> _Borrowed:
        """One transaction: committed when the block ends, rolled back when it raises."""
        return _Borrowed(self, transaction=True)

    def direct(self) -> _Borrowed:
        """No transaction around it: every statement commits by itself."""
        return _Borrowed(self, transaction=False)

    async def take(self, *, guarded: bool = True) -> Connection:
        """A connection that nobody else uses, until `give_back`. Raises StoreUnavailable.

        The first one also raises WrongRootKey. Without `guarded`: also to a fenced house.
        """
        if self._closed:
            raise StoreUnavailable("the house is closing")
        guard = self._guard if guarded else None
        if guard is not None:
            guard.check()
        if self._busy < self._size:
            self._busy += 1
        else:
            await self._wait_for_a_place()
        try:
            connection = await self._idle_or_new(guard)
        except BaseException:
            self._leave_place()
            raise
        try:
            await self._look_at_keys(connection)
        except BaseException:
            self.give_back(connection)
            raise
        return connection

    def give_back(self, connection: Connection) -> None:
        """The end of `take`. A connection in the middle of something is closed, not reused."""
        if not connection.raw.is_closed():
            if self._closed or connection.raw.is_in_transaction():
                # An interrupted transaction is ended by the server when the connection goes.
                connection.raw.terminate()
            else:
                self._idle.append(connection)
        self._leave_place()

    async def _idle_or_new(self, guard: Guard | None) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.raw.is_closed():
                return connection
        connection = await self._connect()
        if guard is not None:
            try:
                await guard.admit(connection)
            except BaseException:
                connection.raw.terminate()
                raise
        return connection

    async def _look_at_keys(self, connection: Connection) -> None:
        """Read the data keys when nobody here did for a minute (`look_again_seconds`)."""
        if not self.keyring.can_open:
            return
        now = asyncio.get_running_loop().time()
        learned = self._keys_learned_at
        if learned is not None and now - learned < self.look_again_seconds:
            return
        # Set before the question, so that the others need not ask it, too; the first must wait.
        if learned is not None:
            self._keys_learned_at = now
        await connection.learn_keys()
        self._keys_learned_at = now

    async def _wait_for_a_place(self) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                # It became ours in the moment in which we were told to stop waiting.
                self._leave_place()
            if isinstance(error, TimeoutError):
                raise StoreUnavailable("all database connections are busy") from None
            raise

    def _leave_place(self) -> None:
        """Hand our place to whoever waits for it the longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._busy -= 1

    async def _connect(self) -> Connection:
        try:
            raw = await asyncpg.connect(
                self._dsn,
                timeout=10,
                command_timeout=COMMAND_TIMEOUT_SECONDS,
                connection_class=_NeverCancelled,
                # A standby would answer with yesterday's truth (P23).
                target_session_attrs="read-write",
                server_settings={
                    "application_name": "naru",
                    "timezone": "UTC",
                    "statement_timeout": f"{COMMAND_TIMEOUT_SECONDS:.0f}s",
                },
            )
        except (*_TROUBLE, asyncpg.PostgresError) as error:
            raise StoreUnavailable(f"cannot reach the database: {error}") from error
        try:
            await raw.set_type_codec(
                "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )
        except BaseException:
            raw.terminate()
            raise
        return Connection(raw, self.keyring)


async def _say_goodbye(connection: Connection) -> None:
    """Close it; one that does not answer is dropped, so that a dead network holds up no shutdown."""
    try:
        await connection.raw.close(timeout=GOODBYE_SECONDS_MAX)
    except (*_TROUBLE, asyncpg.PostgresError):
        connection.raw.terminate()


class _Borrowed:
    """A session for the length of an `async with`; a class, for a generator costs twice as much."""

    __slots__ = ("_connection", "_store", "_transaction")

    def __init__(self, store: Store, *, transaction: bool) -> None:
        self._store = store
        self._transaction = transaction

    async def __aenter__(self) -> Session:
        self._connection = connection = await self._store.take()
        if self._transaction:
            try:
                await connection.execute(_begin())
            except BaseException:
                self._store.give_back(connection)
                raise
        return Session(connection)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        connection = self._connection
        try:
            if self._transaction:
                if error is None:
                    await _to_the_end(connection.execute("COMMIT"))
                else:
                    await _roll_back(connection)
        finally:
            self._store.give_back(connection)


def _begin() -> str:
    """BEGIN, with the name of who acts for the audit log: one message, so it costs no round trip."""
    who = acting.get()
    return "BEGIN" if who is None else f"BEGIN; SET LOCAL naru.acting = '{who.to_hex()}'"


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

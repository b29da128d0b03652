"""Audit: every promise that one database can tell of, checked over the whole of it.

A check is one named statement of queries/audit.sql: its sentence begins with the promise it
checks (RELIABILITY §1.1), "Then:" says what to do, its rows are what is broken (`id`, `why`). `$1`
is the payments to look at (null: all), `$2` is now, `$3` and `$4` are the triggers and functions of
schema.sql. Adding a check is adding a statement; nothing else knows their names.
"""

from __future__ import annotations

import functools
import hashlib
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING

import asyncpg

from naru.store.named import Query, load
from naru.store.unavailable import StoreUnavailable

if TYPE_CHECKING:
    from naru.store.connection import Store

CHECKS = load("audit")
SCOPE = load("audit_scope")

# A check that takes longer is stuck; the largest one reads every event once.
CHECK_SECONDS_MAX = 600.0
# Not every check needs both values; here they get their types in any case.
_WHOLE = """
WITH given AS (SELECT $1::text[], $2::timestamptz, $3::text[], $4::text[]), broken AS (CHECK
) SELECT (SELECT count(*) FROM broken) AS broken, id, why FROM broken ORDER BY id LIMIT $5
"""
_HEAD = re.compile(r"-- ([A-Z]\d+): (.+?)\n-- Then: (.+?)\n(?!-- )", re.DOTALL)
_TRIGGER = re.compile(r"^CREATE (?:CONSTRAINT )?TRIGGER (\w+) .*? ON (\w+) ", re.MULTILINE)
_FUNCTION = re.compile(
    r"^CREATE FUNCTION (\w+)\([^\n]*\n(?:    [A-Z][^\n]*\n)*?    AS (\$\w*\$)(.*?)\2",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Breakage:
    """One thing that is broken: which (ids, separated by blanks) and what about it."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One check and what it found: how much is `broken`, and the first of it.

    `remedy` is what a person does when something is.
    """

    name: str
    promise: str
    sentence: str
    remedy: str
    broken: int
    examples: tuple[Breakage, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """One audit. `payments` is how many were looked at."""

    payments: int
    seconds: float
    checks: tuple[Checked, ...]

    @property
    def broken(self) -> int:
        """How much is broken, all checks together; 0 is what was promised."""
        return sum(check.broken for check in self.checks)


async def audit(
    dsn: str, *, recent: timedelta | None = None, now: datetime | None = None, examples: int = 5
) -> Report:
    """Check every promise on one snapshot; with `recent`, only on payments that changed since.

    Open questions and waiting webhooks are always looked at. `now` is the gateway's clock, where
    it is not the database's. Reads only, and blocks nobody. Raises what asyncpg raises.
    """
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=CHECK_SECONDS_MAX)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # The largest checks hash every event; compiling them costs more than it saves.
            await connection.execute("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off")
            return await look(connection, recent=recent, now=now, examples=examples)
    finally:
        await connection.close(timeout=5)


async def audit_recent(store: Store, recent: timedelta, now: datetime) -> Report:
    """The same over one connection of a store that serves, for what changed since `recent`.

    Raises StoreUnavailable; a check that lasts longer than any statement may is among that.
    """
    connection = await store.take()
    try:
        async with connection.raw.transaction(isolation="repeatable_read", readonly=True):
            return await look(connection.raw, recent=recent, now=now)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"the audit was cut off: {type(error).__name__}") from error
    finally:
        store.give_back(connection)


async def look(
    connection: asyncpg.Connection[asyncpg.Record],
    *,
    recent: timedelta | None = None,
    now: datetime | None = None,
    examples: int = 5,
) -> Report:
    """The audit as this transaction sees the database. Raises what asyncpg raises."""
    began = time.perf_counter()
    now = now or await connection.fetchval("SELECT now()")
    touched = None
    if recent is None:
        payments = await connection.fetchval(SCOPE["size"].sql)
    else:
        rows = await connection.fetch(SCOPE["touched"].sql, now - recent)
        touched = [row["imp_uid"] for row in rows]
        payments = len(touched)
    checks = [
        await _check(connection, name, query, touched, now, examples)
        for name, query in CHECKS.items()
    ]
    return Report(payments, time.perf_counter() - began, tuple(checks))


def described(query: Query) -> tuple[str, str, str]:
    """Promise, sentence and remedy of a check. Raises ValueError when it does not say them."""
    head = _HEAD.match(query.sql)
    if head is None:
        raise ValueError(f"{query} must begin with its promise: -- P1: …, and -- Then: …")
    return head[1], head[2].replace("\n-- ", " "), head[3].replace("\n-- ", " ")


@functools.cache
def guards() -> tuple[list[str], list[str]]:
    """What schema.sql has: triggers as `table.name`, functions as `name md5-of-the-body`."""
    schema = (resources.files("naru.store") / "migrations" / "schema.sql").read_text("utf-8")
    triggers = [f"{table}.{name}" for name, table in _TRIGGER.findall(schema)]
    functions = [
        f"{name} {hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()}"
        for name, _, body in _FUNCTION.findall(schema)
    ]
    return triggers, functions


def statement(query: Query) -> str:
    """A check as it is asked: its first rows, each with how many there are."""
    return _WHOLE.replace("CHECK", query.sql)


async def _check(
    connection: asyncpg.Connection[asyncpg.Record],
    name: str,
    query: Query,
    touched: list[str] | None,
    now: datetime,
    examples: int,
) -> Checked:
    promise, sentence, remedy = described(query)
    began = time.perf_counter()
    rows = await connection.fetch(statement(query), touched, now, *guards(), examples)
    return Checked(
        name,
        promise,
        sentence,
        remedy,
        rows[0]["broken"] if rows else 0,
        tuple(Breakage(row["id"], row["why"]) for row in rows),
        time.perf_counter() - began,
    )

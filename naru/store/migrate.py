"""Bring the database to today's schema: plain SQL files, in order, each once, each in a transaction.

The previous version's processes work on meanwhile (docs/how-to/upgrade.md): nothing may wait for a
lock for a second, so whoever migrates lets go after half of one and tries again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from importlib import resources

import asyncpg

from naru.domain.errors import NaruError
from naru.store import queue
from naru.store.seal import (
    CHANNEL_SETTINGS,
    DEPOSIT_SECRETS,
    PAYMENT_SECRETS,
    WEBHOOK_SECRET,
    Keyring,
    sealed_keys,
)

# One lock for all that migrate at the same time ("naru" in ASCII).
_LOCK = 0x6E617275

SEALING = "0009_sealing.sql"
# Migrations that the version before them cannot live with: it must be stopped first. That version
# read `*` in its transactions, so a new column failed them, and secrets that lay open. It was no
# release; no later file may stand here.
STOPS = frozenset({"0007_books.sql", SEALING})

# Everybody who comes after us waits as long as we do.
LOCK_MILLISECONDS = 500
LOCK_TRIES = 60
# An index is built beside the traffic; that cannot be in a transaction. Such a file holds nothing else.
_BESIDE = re.compile(
    r"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(\w+)\s[^;]*;\s*", re.IGNORECASE
)
_COMMENT = re.compile(r"--[^\n]*")
_SEAL_BATCH = 1000
_PUT = {
    CHANNEL_SETTINGS: "UPDATE channels SET settings = $2 WHERE channel_key = $1",
    WEBHOOK_SECRET: "UPDATE merchants SET webhook_secret = $2 WHERE id = $1::text::bigint",
    PAYMENT_SECRETS: "INSERT INTO payment_secrets (imp_uid, sealed) VALUES ($1, $2)",
    DEPOSIT_SECRETS: "INSERT INTO deposit_secrets (channel_id, notice_key, sealed)"
    " SELECT split_part($1, '/', 1)::bigint, substr($1, strpos($1, '/') + 1), $2",
}
# Rows are written anew, so that the files hold nothing of the columns that were dropped.
_REWRITE = {
    "channels": "channels_pkey",
    "merchants": "merchants_pkey",
    "payments": "payments_pkey",
    "deposits": "deposits_pkey",
}


class MigrationChanged(NaruError):
    """A migration file that was applied before is not the same any more."""


class StillRunning(NaruError):
    """A migration that the running version cannot live with, and processes of it are connected."""


def files() -> list[tuple[str, str]]:
    """Every migration: its name and its SQL, in order."""
    folder = resources.files("naru.store").joinpath("migrations")
    names = sorted(item.name for item in folder.iterdir() if item.name[:4].isdigit())
    return [(name, folder.joinpath(name).read_text("utf-8")) for name in names]


async def migrate(dsn: str, root_key: bytes | None = None) -> list[str]:
    """Apply what is missing; returns the names applied. Safe to run from many places at once.

    The root key is needed once: when there are rows of the time before sealing.
    Raises MigrationChanged, StillRunning, WrongRootKey, or what asyncpg raises when the database
    cannot be reached or is too busy. What was applied before that stays, and the rest can follow.
    """
    connection = await asyncpg.connect(
        dsn, timeout=10, server_settings={"application_name": "naru migrate", "timezone": "UTC"}
    )
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        done = await applied(connection)
        fresh: list[str] = []
        for name, sql in files():
            digest = hashlib.sha256(sql.encode()).hexdigest()
            if name in done:
                if done[name] != digest:
                    raise MigrationChanged(f"{name} was changed after it was applied")
                continue
            # A database without a table has nobody to wait for.
            if name in STOPS and done:
                await _refuse_while_running(connection, name)
            await _apply(connection, name, sql, digest, root_key)
            fresh.append(name)
        await queue.install(connection)
        return fresh
    finally:
        await connection.close()


async def _refuse_while_running(connection: asyncpg.Connection[asyncpg.Record], name: str) -> None:
    """Raises StillRunning."""
    there = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name IN ('naru', 'naru worker')"
    )
    if there:
        raise StillRunning(
            f"{name} changes columns that the running version reads, and {there} of its "
            "connections are open: stop every `naru serve` and `naru worker`, migrate, start the new version"
        )


async def _apply(
    connection: asyncpg.Connection[asyncpg.Record],
    name: str,
    sql: str,
    digest: str,
    root_key: bytes | None,
) -> None:
    """One file, wholly or not at all, without making anybody wait for long."""
    beside = _BESIDE.fullmatch(_COMMENT.sub("", sql))
    for tries in range(1, LOCK_TRIES + 1):
        try:
            if beside is not None:
                # Whatever an earlier try has left is not an index yet.
                await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {beside[1]}")
                await connection.execute(sql)
            async with connection.transaction():
                if beside is None:
                    await connection.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
                    if name not in STOPS:
                        # A migrator that is paused lets go of what it holds.
                        await connection.execute(
                            f"SET LOCAL idle_in_transaction_session_timeout = {LOCK_MILLISECONDS}"
                        )
                    await connection.execute(sql)
                if name == SEALING:
                    await _seal_what_was_there(connection, root_key)
                await connection.execute(
                    "INSERT INTO schema_migrations (name, digest) VALUES ($1, $2)", name, digest
                )
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if tries == LOCK_TRIES:
                raise
            await asyncio.sleep(min(0.1 * tries, 1.0))


async def applied(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, str]:
    """The names and digests of migrations that this database has had."""
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        " name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = await connection.fetch("SELECT name, digest FROM schema_migrations")
    return {row["name"]: row["digest"] for row in rows}


async def _seal_what_was_there(
    connection: asyncpg.Connection[asyncpg.Record], root_key: bytes | None
) -> None:
    """The Python half of 0009: what its transaction laid into `unsealed` is sealed before it commits."""
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM unsealed)"):
        return
    keyring = Keyring(root_key)
    await connection.execute(
        "INSERT INTO data_keys (id, sealed) VALUES ($1, $2)", *keyring.make_key(1)
    )
    keyring.learn(sealed_keys(await connection.fetch("SELECT id, sealed FROM data_keys")))
    # A cursor: the rows need not fit into memory. What was read stays in order behind it.
    rows = await connection.cursor("SELECT place, row_id, plain FROM unsealed")
    while batch := await rows.fetch(_SEAL_BATCH):
        for place, put in _PUT.items():
            await connection.executemany(
                put,
                [
                    (row["row_id"], keyring.seal(_plain(row["plain"]), place, row["row_id"]))
                    for row in batch
                    if row["place"] == place
                ],
            )
    for table, index in _REWRITE.items():
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await connection.execute(f"CLUSTER {table} USING {index}")
        await connection.execute(f"ALTER TABLE {table} SET WITHOUT CLUSTER")


def _plain(text: str) -> bytes:
    """What is sealed for a jsonb value: objects as JSON, texts as they are."""
    value = json.loads(text)
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()

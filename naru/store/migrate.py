"""Bring the database to today's schema: plain SQL files, in order, each once, each in a transaction."""

from __future__ import annotations

import hashlib
import json
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


def files() -> list[tuple[str, str]]:
    """Every migration: its name and its SQL, in order."""
    folder = resources.files("naru.store").joinpath("migrations")
    names = sorted(item.name for item in folder.iterdir() if item.name[:4].isdigit())
    return [(name, folder.joinpath(name).read_text("utf-8")) for name in names]


async def migrate(dsn: str, root_key: bytes | None = None) -> list[str]:
    """Apply what is missing; returns the names applied. Safe to run from many places at once.

    The root key is needed once: when there are rows of the time before sealing.
    Raises MigrationChanged, WrongRootKey, or what asyncpg raises when the database cannot be reached.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
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
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '5s'")
                await connection.execute(sql)
                if name == SEALING:
                    await _seal_what_was_there(connection, root_key)
                await connection.execute(
                    "INSERT INTO schema_migrations (name, digest) VALUES ($1, $2)", name, digest
                )
            fresh.append(name)
        await queue.install(connection)
        return fresh
    finally:
        await connection.close()


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

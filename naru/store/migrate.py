"""Bring the database to today's schema: plain SQL files, in order, each once, each in a transaction."""

from __future__ import annotations

import hashlib
from importlib import resources

import asyncpg

from naru.domain.errors import NaruError
from naru.store import queue

# One lock for all that migrate at the same time ("naru" in ASCII).
_LOCK = 0x6E617275


class MigrationChanged(NaruError):
    """A migration file that was applied before is not the same any more."""


def files() -> list[tuple[str, str]]:
    """Every migration: its name and its SQL, in order."""
    folder = resources.files("naru.store").joinpath("migrations")
    names = sorted(item.name for item in folder.iterdir() if item.name[:4].isdigit())
    return [(name, folder.joinpath(name).read_text("utf-8")) for name in names]


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing; returns the names applied. Safe to run from many places at once.

    Raises MigrationChanged, or what asyncpg raises when the database cannot be reached.
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

"""Time that a test moves: one offset for gateway, worker, sandbox PG and database (decision 0019).

Only the process that stands here can move it (house.py): the gateway that takes money reads no
setting, no file and no table that holds an offset.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import asyncpg

# What the house's own statements call without naming its schema is found in `public` first; what
# belongs to PostgreSQL's own catalogue keeps the machine's time.
_SEARCH_PATH = "ALTER ROLE naru SET search_path = public, pg_catalog"
_FUNCTIONS = """
CREATE TABLE private_clock (ahead interval NOT NULL);
INSERT INTO private_clock VALUES ('0');
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT pg_catalog.now() + (SELECT ahead FROM public.private_clock)';
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT pg_catalog.clock_timestamp() + (SELECT ahead FROM public.private_clock)';
"""


class MovedClock:
    """The machine's time and `ahead`. It never goes back: who wants that begins a new life."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """For the gateway: in UTC."""
        return datetime.now(UTC) + self.ahead

    def unix(self) -> float:
        """For the sandbox PG: UNIX seconds."""
        return time.time() + self.ahead.total_seconds()

    async def advance(self, by: timedelta, database: asyncpg.Connection) -> None:
        """Later by so much, everywhere. The database first: what is due there is due here then."""
        self.ahead += by
        await database.execute("UPDATE private_clock SET ahead = $1", self.ahead)


async def let_databases_follow(server: asyncpg.Connection) -> None:
    """Once per server, before anything is made on it: its databases may have a time of their own."""
    await server.execute(_SEARCH_PATH)


async def install(database: asyncpg.Connection) -> None:
    """Give an empty database a time of its own; the house's tables are made over it afterwards."""
    await database.execute(_FUNCTIONS)

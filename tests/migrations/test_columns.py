"""A new column fails no transaction: prepared statements name the columns they want."""

from __future__ import annotations

import asyncio
from importlib import resources

import asyncpg

from naru.store.named import Query, load, with_columns


def every_query() -> list[Query]:
    folder = resources.files("naru.store").joinpath("queries")
    names = sorted(item.name.removesuffix(".sql") for item in folder.iterdir())
    # The audit is one statement per connection: nothing is prepared before and used after.
    return [q for name in names if not name.startswith("audit") for q in load(name).values()]


async def answers(connection: asyncpg.Connection, sql: str) -> list[str]:
    """The names of the columns that the server would answer with."""
    prepared = await connection.prepare(sql)
    return [each.name for each in prepared.get_attributes()]


def test_columns_are_those_of_the_star_and_stay_when_one_is_added(database_url: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(database_url)
        try:
            queries = every_query()
            before = {}
            for query in queries:
                before[query] = await answers(connection, with_columns(query.sql))
                assert before[query] == await answers(connection, query.sql), query
            tables = await connection.fetch(
                "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE relkind IN ('r', 'p') AND nspname = 'public'"
            )
            for row in tables:
                await connection.execute(f"ALTER TABLE {row['relname']} ADD COLUMN planted text")
            changed = 0
            for query in queries:
                assert await answers(connection, with_columns(query.sql)) == before[query], query
                # The control: the text as it stands.
                changed += await answers(connection, query.sql) != before[query]
            print(f"{len(queries)} statements stay; written with * {changed} would have changed")
            assert changed > 20
        finally:
            await connection.close()

    asyncio.run(run())

"""The tests' own database server keeps its promises."""

import asyncpg

from tests.support.postgres import Databases


async def test_each_test_gets_a_database_of_its_own(databases: Databases) -> None:
    first, second = databases.new(), databases.new()

    connection = await asyncpg.connect(first)
    await connection.execute("CREATE TABLE seen (it int)")
    await connection.close()

    connection = await asyncpg.connect(second)
    assert await connection.fetchval("SELECT to_regclass('seen')") is None
    await connection.close()
    databases.drop(first)
    databases.drop(second)


async def test_a_database_is_dropped_although_somebody_is_still_connected(
    databases: Databases,
) -> None:
    url = databases.new(migrated=False)
    connection = await asyncpg.connect(url)

    databases.drop(url)

    again = await asyncpg.connect(databases.server.url("postgres"))
    name = url.partition("@/")[2].partition("?")[0]
    left = await again.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name)
    await again.close()
    connection.terminate()
    assert left == 0


async def test_the_test_database_has_what_the_migrations_made(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT current_user") == "naru"
    await connection.close()

"""Every statement has a name, a sentence and a meaning for the database. For naru/store/named.py."""

from __future__ import annotations

from importlib import resources

import asyncpg

from naru.store import Store, audit
from naru.store.named import load


def rooms() -> list[str]:
    folder = resources.files("naru.store").joinpath("queries")
    return sorted(item.name[:-4] for item in folder.iterdir() if item.name.endswith(".sql"))


async def test_every_named_query_is_understood_by_the_database(
    store: Store, sql: asyncpg.Connection
) -> None:
    found = 0
    for room in rooms():
        for query in load(room).values():
            # The audit's checks are asked inside a statement that types their two values.
            text = audit.statement(query) if room == "audit" else query.sql
            try:
                await sql.prepare(text)
            except asyncpg.PostgresError as error:
                raise AssertionError(f"{query}: {error}") from error
            found += 1
    assert found > 50


def test_every_query_is_used_by_its_module() -> None:
    for room in rooms():
        if room == "audit":
            continue  # Its checks are asked as a set, whatever their names.
        module = room.removesuffix("_scope")
        source = resources.files("naru.store").joinpath(f"{module}.py").read_text("utf-8")
        unused = [name for name in load(room) if f'["{name}"]' not in source]
        assert unused == [], f"{room}: {unused}"

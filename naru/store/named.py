"""Named queries: every statement lives in queries/*.sql with a name and a sentence."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_HEAD = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)
_TABLE = re.compile(
    r"^CREATE (?:UNLOGGED )?TABLE (?:public\.)?(\w+) \(\n(.*?)^\);", re.MULTILINE | re.DOTALL
)
_COLUMN = re.compile(
    r"^    (?!CONSTRAINT |CHECK |PRIMARY |UNIQUE |FOREIGN )\"?(\w+)\"? ", re.MULTILINE
)
# Every column of what: `SELECT * ... FROM table`, `RETURNING *` of the last table that is written, or
# `alias.*`.
_STAR = re.compile(r"(?P<select>\bSELECT \*)|(?P<returning>\bRETURNING \*)|\b(?P<alias>\w+)\.\*")


class Query:
    """One statement. Identity is its address: connections remember what they prepared."""

    __slots__ = ("name", "sql")

    def __init__(self, name: str, sql: str) -> None:
        self.name = name
        self.sql = sql

    def __repr__(self) -> str:
        return f"Query({self.name})"


def load(name: str) -> dict[str, Query]:
    """The queries of `queries/{name}.sql` by their names. Raises ValueError for one without a sentence."""
    text = resources.files("naru.store").joinpath(f"queries/{name}.sql").read_text("utf-8")
    parts = _HEAD.split(text)
    found: dict[str, Query] = {}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if not body.lstrip().startswith("-- "):
            raise ValueError(f"query {name}.{title} needs a sentence")
        if title in found:
            raise ValueError(f"query {name}.{title} stands twice")
        found[title] = Query(f"{name}.{title}", body.strip().rstrip(";"))
    return found


@cache
def with_columns(sql: str) -> str:
    """The statement with the names of the columns that today's schema.sql has for every `*`.

    A prepared `*` breaks in the middle of a transaction when a migration adds a column; by their
    names they are the same columns afterwards.
    """

    def names(star: re.Match[str]) -> str:
        if star["select"]:
            found = re.search(r"\bFROM\s+(\w+)", sql[star.end() :])
        elif star["returning"]:
            *_, found = [
                None,
                *re.finditer(r"(?<!FOR )(?<!DO )\b(?:INTO|UPDATE)\s+(\w+)", sql[: star.start()]),
            ]
        else:
            found = re.search(
                rf"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)\s+(?:AS\s+)?{star['alias']}\b", sql
            )
        columns = _columns().get(found[1]) if found else None
        # The columns of what is no table, but a part of this statement, are named there.
        if columns is None:
            return star[0]
        before = f"{star['alias']}." if star["alias"] else ""
        verb = star[0].removesuffix("*") if not star["alias"] else ""
        return verb + ", ".join(before + column for column in columns)

    return _STAR.sub(names, sql)


@cache
def _columns() -> dict[str, tuple[str, ...]]:
    """Every table's columns, as schema.sql has them."""
    text = resources.files("naru.store").joinpath("migrations/schema.sql").read_text("utf-8")
    return {table: tuple(_COLUMN.findall(body)) for table, body in _TABLE.findall(text)}

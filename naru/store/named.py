"""Named queries: every statement lives in queries/*.sql with a name and a sentence."""

from __future__ import annotations

import re
from importlib import resources

_HEAD = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)


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

"""Looks for what a buyer typed at the PG in everything that the gateway keeps and says.

Numbers are found in any grouping; short secrets only where they stand as a whole value, because
three digits alone are in everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import asyncpg

from naru.sandbox.cards import CARDS, DEMO_ACCOUNT, MPI_PASSWORD, SIMPLE_PIN

_GROUPING = re.compile(r"(?<=\d)[ \-](?=\d)")
_TIME = re.compile(r"\A\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?")


@dataclass(frozen=True)
class Secret:
    """Something that must not be found. `name` is what a failing test may print."""

    name: str
    text: str

    def is_in(self, text: str) -> bool:
        """Does this text hold it? Long numbers are looked for in texts without their grouping."""
        if self.text not in text:
            return False
        if len(self.text) < 6:
            whole = rf"""(?:\A|["'=:,{{\[(]\s?){re.escape(self.text)}(?:\Z|["'&,;}}\])\s])"""
            return re.search(whole, text) is not None
        if len(self.text) == 6:
            alone = rf"(?<![0-9A-Za-z]){re.escape(self.text)}(?![0-9A-Za-z])"
            return re.search(alone, text) is not None
        return True


def typed_secrets(codes: Iterable[str], passwords: Iterable[str] = ()) -> list[Secret]:
    """All that the sandbox's cards and accounts are opened by, and these SMS codes and passwords."""
    found = [Secret(f"number of {card.id}", card.number) for card in CARDS]
    found += [Secret(f"CVC {cvc}", cvc) for cvc in sorted({card.cvc for card in CARDS})]
    found += [
        Secret("안심클릭 password", MPI_PASSWORD),
        Secret("PIN", SIMPLE_PIN),
        Secret("account number", DEMO_ACCOUNT["account_number"]),
        Secret("account password", DEMO_ACCOUNT["password"]),
    ]
    found += [Secret("SMS code", code) for code in sorted(codes)]
    return found + [Secret("password", password) for password in passwords]


async def cells(connection: asyncpg.Connection) -> Iterator[tuple[str, str]]:
    """(schema.table.column, text) of every value of every table that is not a plain number or time."""
    columns = await connection.fetch(
        """SELECT table_schema, table_name, column_name, data_type
           FROM information_schema.columns JOIN information_schema.tables
             USING (table_schema, table_name)
           WHERE table_type = 'BASE TABLE'
             AND table_schema NOT IN ('pg_catalog', 'information_schema')
             AND data_type NOT IN ('bigint', 'integer', 'smallint', 'boolean')
             AND data_type NOT LIKE 'timestamp%' AND data_type NOT LIKE 'interval%'"""
    )
    found: list[tuple[str, str]] = []
    for schema, table, column, kind in columns:
        value = f'"{column}"' if kind == "bytea" else f'"{column}"::text'
        rows = await connection.fetch(
            f'SELECT {value} AS v FROM "{schema}"."{table}" WHERE "{column}" IS NOT NULL'
        )
        for row in rows:
            text = row["v"].decode("utf-8", "replace") if kind == "bytea" else row["v"]
            found.append((f"{schema}.{table}.{column}", text))
    return iter(found)


def hits(texts: Iterable[tuple[str, str]], secrets: Iterable[Secret]) -> set[tuple[str, str]]:
    """(where, name of the secret) for everything found; never the secret itself."""
    wanted = list(secrets)
    found: set[tuple[str, str]] = set()
    for where, text in texts:
        for spelling in {text, _GROUPING.sub("", text)}:
            found |= {(where, each.name) for each in wanted if each.is_in(spelling)}
    return found


def lines(logs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name of the log, line without its time) of every line."""
    return (
        (name, _TIME.sub("", line)) for name, text in logs.items() for line in text.splitlines()
    )

"""The tables, read from schema.sql; their triggers, which are written by hand in rules.py.

A group is a set of columns that never change and that rows are looked up by: the beginnings of the
database's own indexes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from tests.simulation.sql import Parser, Scope, Writer

Values = dict[str, Any]

# Columns that indexes name and that change in a row's life.
_CHANGING = re.compile(r".*_at|step|state|is_default|token_hash|.*_until|status|data_key|vbank_due")
# Rows that the rounds look for: table -> (column, its values); no values: whatever is not null.
LIVE: dict[str, tuple[str, tuple[Any, ...]]] = {
    "billing_keys": ("next_try_at", ()),
    "schedules": ("next_try_at", ()),
    "cash_receipts": ("next_try_at", ()),
    "errands": ("next_try_at", ()),
    "card_checks": ("next_look_at", ()),
    "quick_questions": ("next_try_at", ()),
    "order_acts": ("next_try_at", ()),
    "intents": ("state", ("open", "unknown", "undoing")),
    "webhook_deliveries": ("state", ("waiting",)),
    "operator_tasks": ("alerted_at", (None,)),
    "jobs": ("status", ("queued", "picked")),
}


@dataclass
class Unique:
    """A unique constraint or index: its group to look in, and the key of a row, None outside it."""

    name: str
    columns: tuple[str, ...]
    group: tuple[str, ...]
    within: Callable[[Values], Any] | None = None

    def key(self, values: Values) -> Any:
        if self.within is not None and not self.within(values):
            return None
        key = tuple(values[column] for column in self.columns)
        return None if None in key else key


@dataclass
class Definition:
    """One table as schema.sql says it."""

    name: str
    columns: list[str] = field(default_factory=list)
    defaults: dict[str, Callable[..., Any]] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    identity: list[str] = field(default_factory=list)
    key_of_blob: dict[str, str] = field(default_factory=dict)  # data_key -> the sealed column
    checks: dict[str, Callable[[Values], Any]] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    uniques: list[Unique] = field(default_factory=list)
    groups: list[tuple[str, ...]] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)


class Schema:
    """Every table of the house."""

    def __init__(self, text: str) -> None:
        self.tables: dict[str, Definition] = {}
        self.functions: dict[str, str] = {}
        self._read(text)
        for table in self.tables.values():
            if not table.key:
                table.key = ("ctid",)
                table.columns.append("ctid")
                table.identity.append("ctid")
        self._add_jobs()

    def columns(self, table: str) -> list[str]:
        return self.tables[table].columns

    def key(self, table: str) -> tuple[str, ...]:
        return self.tables[table].key

    def groups(self, table: str) -> list[tuple[str, ...]]:
        return self.tables[table].groups

    def is_live(self, table: str, column: str, other: tuple[Any, ...]) -> bool:
        """Does `column = other`, `column IN other` or `column <= other` mean live rows only?"""
        if table not in LIVE or LIVE[table][0] != column:
            return False
        if other[0] == "up to":
            return not LIVE[table][1]
        nodes = other[1] if other[0] == "in" else [other]
        return all(node[0] == "lit" and node[1] in LIVE[table][1] for node in nodes)

    def _add_jobs(self) -> None:
        """The library's queue, as much of it as matters here."""
        jobs = Definition("jobs", ["id", "job", "subject", "due_at", "once", "status", "worker"])
        jobs.key = ("id",)
        jobs.identity = ["id"]
        jobs.groups = [("once",)]
        jobs.uniques = [Unique("jobs_once", ("once",), ("once",))]
        self.tables["jobs"] = jobs

    def _read(self, text: str) -> None:
        for name, body in re.findall(
            r"^CREATE (?:UNLOGGED )?TABLE (\w+) \(\n(.*?)^\);", text, re.M | re.S
        ):
            table = self.tables[name] = Definition(name)
            checks = []
            for line in body.rstrip().split(",\n"):
                line = line.strip()
                if line.startswith("CONSTRAINT"):
                    checks.append(line)
                else:
                    self._read_column(table, line)
            for line in checks:
                match = re.fullmatch(r"CONSTRAINT (\w+) CHECK \((.*)\)", line, re.S)
                if match:
                    table.checks[match[1]] = self._expression(table, match[2])
        for name, column in re.findall(
            r"^ALTER TABLE (\w+) ALTER COLUMN (\w+) ADD GENERATED", text, re.M
        ):
            self.tables[name].identity.append(column)
        for name, constraint, kind, columns in re.findall(
            r"^ALTER TABLE ONLY (\w+)\s+ADD CONSTRAINT (\w+) (PRIMARY KEY|UNIQUE) \(([^)]*)\)",
            text,
            re.M,
        ):
            table, names = self.tables[name], _names(columns)
            if kind == "PRIMARY KEY":
                table.key = names
                self._add_group(table, names[:1])
            else:
                table.uniques.append(Unique(constraint, names, self._add_group(table, names)))
        for unique, constraint, name, columns, where in re.findall(
            r"^CREATE (UNIQUE )?INDEX (\w+) ON (\w+) USING btree \(([^)]*)\)(?: WHERE (.*))?;",
            text,
            re.M,
        ):
            table, names = self.tables[name], _names(columns)
            group = self._add_group(table, names)
            if unique:
                within = self._expression(table, where) if where else None
                table.uniques.append(Unique(constraint, names, group, within))
        for name, body in re.findall(
            r"^CREATE FUNCTION (\w+)\(\) RETURNS trigger.*?AS \$\$(.*?)\$\$", text, re.M | re.S
        ):
            self.functions[name] = mark(body)
        for events, table_name, function in re.findall(
            r"^CREATE (?:CONSTRAINT )?TRIGGER \w+ (.*?) ON (\w+) .*FOR EACH ROW.*EXECUTE FUNCTION (\w+)",
            text,
            re.M,
        ):
            if function == "refuse_change" and "UPDATE" not in events:
                function = "refuse_change_by_delete"
            self.tables[table_name].triggers.append(function)

    def _read_column(self, table: Definition, line: str) -> None:
        match = re.fullmatch(
            r'"?(\w+)"? .*?(?: COLLATE \S+?)?(?: DEFAULT (.*?))?( NOT NULL)?(?: COLLATE \S+)?', line
        )
        assert match, line
        column, default, required = match.groups()
        table.columns.append(column)
        if generated := re.search(r"GENERATED ALWAYS AS \(data_key_of\((\w+)\)\)", line):
            table.key_of_blob[column] = generated[1]
        if default:
            table.defaults[column] = self._expression(table, default)
        if required:
            table.required.append(column)

    def _expression(self, table: Definition, text: str) -> Callable[..., Any]:
        node = Parser(text).expression()
        made: Callable[..., Any] = Writer(self).expression(node, Scope({"it": table.columns}))
        return made

    def _add_group(self, table: Definition, columns: tuple[str, ...]) -> tuple[str, ...]:
        group: tuple[str, ...] = ()
        for column in columns:
            if _CHANGING.fullmatch(column):
                break
            group += (column,)
            if group not in table.groups:
                table.groups.append(group)
        return group


def _names(columns: str) -> tuple[str, ...]:
    return tuple(each.strip().strip('"').removesuffix(" DESC") for each in columns.split(","))


def mark(text: str) -> str:
    """A short name of a text, whatever its blanks and comments."""
    text = re.sub(r"--[^\n]*", "", text)
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:12]


@cache
def schema() -> Schema:
    """The tables that all migrations add up to."""
    file = resources.files("naru.store").joinpath("migrations/schema.sql")
    return Schema(file.read_text("utf-8"))

"""The store's own SQL, read and turned into Python, so that the simulated database cannot drift from it.

Understood is the part of PostgreSQL's language that naru/store/queries and schema.sql use; anything
else raises NotUnderstood when the statement is first run, and a test lists what is not understood.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

Node = tuple[Any, ...]


class NotUnderstood(Exception):
    """This text uses more of the language than is read here."""


_TOKEN = re.compile(
    r"""\s+|--[^\n]*|(?P<text>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|\$(?P<param>\d+)
    |(?P<quoted>"[^"]+")|(?P<name>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<op>::|->>|->|<=|>=|<>|!=|!~\*|!~|~\*|\|\||[-+*/%=<>~(),.\[\];])""",
    re.VERBOSE,
)
_WORDS = frozenset(
    [
        "select",
        "from",
        "where",
        "and",
        "or",
        "not",
        "in",
        "is",
        "null",
        "exists",
        "case",
        "when",
        "then",
        "else",
        "end",
        "as",
        "with",
        "insert",
        "into",
        "values",
        "update",
        "set",
        "delete",
        "returning",
        "on",
        "conflict",
        "do",
        "nothing",
        "order",
        "by",
        "limit",
        "for",
        "share",
        "skip",
        "locked",
        "of",
        "join",
        "left",
        "inner",
        "cross",
        "using",
        "distinct",
        "asc",
        "desc",
        "any",
        "array",
        "interval",
        "between",
        "like",
        "group",
        "having",
        "union",
        "all",
        "only",
        "true",
        "false",
        "filter",
        "offset",
        "nulls",
        "lateral",
    ]
)
_AGGREGATES = frozenset(("sum", "count", "min", "max", "bool_or", "bool_and"))


def tokens(text: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotUnderstood(f"{text[at : at + 30]!r}")
        at = match.end()
        kind = match.lastgroup
        if kind is None:
            continue
        value: Any = match.group(kind)
        if kind == "text":
            value = value[1:-1].replace("''", "'")
        elif kind == "number":
            value = float(value) if "." in value else int(value)
        elif kind == "param":
            value = int(value)
        elif kind == "quoted":
            kind, value = "name", value[1:-1]
        elif kind == "name":
            value = value.lower()
            if value in _WORDS:
                kind = "word"
        found.append((kind, value))
    found.append(("end", None))
    return found


@dataclass
class Source:
    """One thing in FROM. `join` is cross, inner or left; `on` its condition."""

    alias: str
    table: str | None
    select: Select | None = None
    join: str = "cross"
    on: Node | None = None
    using: tuple[str, ...] = ()


@dataclass
class Select:
    items: list[tuple[Node, str | None]]
    sources: list[Source]
    where: Node | None = None
    order: list[tuple[Node, bool]] = field(default_factory=list)
    limit: Node | None = None
    distinct_on: list[Node] | None = None
    lock: str | None = None
    lock_of: str | None = None
    skip_locked: bool = False
    ctes: list[tuple[str, Any]] = field(default_factory=list)


@dataclass
class Change:
    """INSERT, UPDATE or DELETE."""

    kind: str
    table: str
    alias: str
    columns: list[str] = field(default_factory=list)
    values: list[list[Node]] = field(default_factory=list)
    select: Select | None = None
    quiet: bool = False
    upsert: tuple[list[tuple[str, Node]], Node | None] | None = None
    sets: list[tuple[str, Node]] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    where: Node | None = None
    returning: list[tuple[Node, str | None]] = field(default_factory=list)
    ctes: list[tuple[str, Any]] = field(default_factory=list)


class Parser:
    """One statement, or one expression."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._at = 0

    # --- moving ---

    def _peek(self, ahead: int = 0) -> tuple[str, Any]:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _is(self, *values: str) -> bool:
        """Are the next words and signs these?"""
        return all(
            self._peek(i)[1] == value and self._peek(i)[0] in ("word", "op", "name")
            for i, value in enumerate(values)
        )

    def _take(self, *values: str) -> bool:
        if self._is(*values):
            self._at += len(values)
            return True
        return False

    def _need(self, *values: str) -> None:
        if not self._take(*values):
            raise NotUnderstood(f"{' '.join(values)} expected, {self._peek()[1]!r} found")

    def _name(self) -> str:
        kind, value = self._peek()
        if kind not in ("name", "word"):
            raise NotUnderstood(f"a name expected, {value!r} found")
        self._at += 1
        return str(value)

    # --- statements ---

    def statement(self) -> Select | Change:
        ctes: list[tuple[str, Any]] = []
        if self._take("with"):
            while True:
                name = self._name()
                self._need("as", "(")
                ctes.append((name, self.statement()))
                self._need(")")
                if not self._take(","):
                    break
        found: Select | Change
        if self._is("select"):
            found = self._select()
        elif self._take("insert", "into"):
            found = self._insert()
        elif self._take("update"):
            found = self._update()
        elif self._take("delete", "from"):
            found = self._delete()
        else:
            raise NotUnderstood(f"a statement expected, {self._peek()[1]!r} found")
        found.ctes = ctes
        self._take(";")
        return found

    def _select(self) -> Select:
        self._need("select")
        distinct = None
        if self._take("distinct"):
            self._need("on", "(")
            distinct = self._list()
            self._need(")")
        select = Select(self._items(), [], distinct_on=distinct)
        if self._take("from"):
            select.sources = self._sources()
        if self._take("where"):
            select.where = self.expression()
        if self._is("group") or self._is("union") or self._is("having"):
            raise NotUnderstood("GROUP BY or UNION")
        if self._take("order", "by"):
            while True:
                node = self.expression()
                down = self._take("desc") or (self._take("asc") and False)
                if self._take("nulls"):
                    raise NotUnderstood("NULLS FIRST")
                select.order.append((node, down))
                if not self._take(","):
                    break
        if self._take("limit"):
            select.limit = self.expression()
        if self._take("for"):
            # What NO KEY lets through, foreign keys' own locks, is not there.
            self._take("no", "key")
            select.lock = "update" if self._take("update") else "share"
            if select.lock == "share":
                self._need("share")
            if self._take("of"):
                select.lock_of = self._name()
            select.skip_locked = self._take("skip", "locked")
        return select

    def _items(self) -> list[tuple[Node, str | None]]:
        items: list[tuple[Node, str | None]] = []
        while True:
            if self._take("*"):
                items.append((("star", None), None))
            elif self._peek()[0] == "name" and self._peek(1)[1] == "." and self._peek(2)[1] == "*":
                items.append((("star", self._name()), None))
                self._need(".", "*")
            else:
                node = self.expression()
                name = None
                if self._take("as") or self._peek()[0] == "name":
                    name = self._name()
                items.append((node, name))
            if not self._take(","):
                return items

    def _sources(self) -> list[Source]:
        sources = [self._source("cross")]
        while True:
            if self._take(","):
                sources.append(self._source("cross"))
                continue
            how = None
            if self._take("left"):
                self._take("outer")
                how = "left"
            elif self._take("inner"):
                how = "inner"
            elif self._take("cross"):
                how = "cross"
            if how is None and not self._is("join"):
                return sources
            self._need("join")
            source = self._source(how or "inner")
            if self._take("on"):
                source.on = self.expression()
            elif self._take("using"):
                self._need("(")
                source.using = (self._name(),)
                while self._take(","):
                    source.using += (self._name(),)
                self._need(")")
            sources.append(source)

    def _source(self, join: str) -> Source:
        self._take("lateral")
        if self._take("("):
            select = self._select()
            self._need(")")
            self._take("as")
            return Source(self._name(), None, select, join)
        table = self._name()
        alias = table
        if self._take("as") or self._peek()[0] == "name":
            alias = self._name()
        return Source(alias, table, None, join)

    def _insert(self) -> Change:
        table = self._name()
        change = Change("insert", table, table)
        if self._take("as"):
            change.alias = self._name()
        self._need("(")
        change.columns = [self._name()]
        while self._take(","):
            change.columns.append(self._name())
        self._need(")")
        if self._take("values"):
            while True:
                self._need("(")
                change.values.append(self._list())
                self._need(")")
                if not self._take(","):
                    break
        else:
            change.select = self._select()
        if self._take("on", "conflict"):
            if self._take("("):
                self._name()
                while self._take(","):
                    self._name()
                self._need(")")
                if self._take("where"):
                    self.expression()
            self._need("do")
            if self._take("nothing"):
                change.quiet = True
            else:
                self._need("update", "set")
                sets = self._sets()
                where = self.expression() if self._take("where") else None
                change.upsert = (sets, where)
        if self._take("returning"):
            change.returning = self._items()
        return change

    def _update(self) -> Change:
        table = self._name()
        change = Change("update", table, table)
        if self._take("as") or self._peek()[0] == "name":
            change.alias = self._name()
        self._need("set")
        change.sets = self._sets()
        if self._take("from"):
            change.sources = self._sources()
        if self._take("where"):
            change.where = self.expression()
        if self._take("returning"):
            change.returning = self._items()
        return change

    def _sets(self) -> list[tuple[str, Node]]:
        sets = []
        while True:
            column = self._name()
            self._need("=")
            sets.append((column, self.expression()))
            if not self._take(","):
                return sets

    def _delete(self) -> Change:
        table = self._name()
        change = Change("delete", table, table)
        if self._peek()[0] == "name":
            change.alias = self._name()
        if self._take("using"):
            change.sources = self._sources()
        if self._take("where"):
            change.where = self.expression()
        if self._take("returning"):
            change.returning = self._items()
        return change

    # --- expressions, weakest first ---

    def _list(self) -> list[Node]:
        found = [self.expression()]
        while self._take(","):
            found.append(self.expression())
        return found

    def expression(self) -> Node:
        left = self._and()
        while self._take("or"):
            left = ("or", left, self._and())
        return left

    def _and(self) -> Node:
        left = self._not()
        while self._take("and"):
            left = ("and", left, self._not())
        return left

    def _not(self) -> Node:
        if self._take("not"):
            return ("not", self._not())
        return self._compare()

    def _compare(self) -> Node:
        left = self._sum()
        while True:
            if self._take("is"):
                negated = self._take("not")
                if self._take("null"):
                    left = ("null", left, negated)
                elif self._take("true"):
                    left = ("is", left, not negated)
                elif self._take("distinct", "from"):
                    left = ("distinct", left, self._sum(), not negated)
                else:
                    raise NotUnderstood("IS")
                continue
            negated = self._is("not") and self._peek(1)[1] in ("in", "like", "between")
            if negated:
                self._at += 1
            if self._take("in"):
                self._need("(")
                if self._is("select"):
                    node: Node = ("insub", left, self._select())
                else:
                    node = ("in", left, self._list())
                self._need(")")
            elif self._take("between"):
                low = self._sum()
                self._need("and")
                node = ("and", ("op", ">=", left, low), ("op", "<=", left, self._sum()))
            elif self._peek()[0] == "op" and self._peek()[1] in (
                *("=", "<>", "!=", "<", ">", "<=", ">="),
                *("~", "!~"),
            ):
                op = self._peek()[1]
                self._at += 1
                if self._take("any"):
                    self._need("(")
                    node = ("any", op, left, self.expression())
                    self._need(")")
                elif self._take("all"):
                    self._need("(")
                    node = ("all", op, left, self.expression())
                    self._need(")")
                else:
                    node = ("op", op, left, self._sum())
            else:
                return left
            left = ("not", node) if negated else node

    def _sum(self) -> Node:
        left = self._product()
        while self._peek()[0] == "op" and self._peek()[1] in ("+", "-", "||"):
            op = self._peek()[1]
            self._at += 1
            left = ("op", op, left, self._product())
        return left

    def _product(self) -> Node:
        left = self._cast()
        while self._peek()[0] == "op" and self._peek()[1] in ("*", "/", "%"):
            op = self._peek()[1]
            self._at += 1
            left = ("op", op, left, self._cast())
        return left

    def _cast(self) -> Node:
        node = self._atom()
        while True:
            if self._take("::"):
                kind = self._name()
                if kind == "timestamp" and self._take("with", "time", "zone"):
                    kind = "timestamptz"
                while self._take("[", "]"):
                    kind += "[]"
                node = ("cast", node, kind)
            elif self._take("->>") or self._take("->"):
                node = ("json", node, self._atom())
            elif self._take("collate"):
                raise NotUnderstood("COLLATE in an expression")
            else:
                return node

    def _atom(self) -> Node:
        kind, value = self._peek()
        self._at += 1
        if kind in ("text", "number"):
            return ("lit", value)
        if kind == "param":
            return ("param", value)
        if kind == "op" and value == "-":
            return ("op", "-", ("lit", 0), self._atom())
        if kind == "op" and value == "(":
            if self._is("select"):
                node: Node = ("sub", self._select())
            else:
                items = self._list()
                node = items[0] if len(items) == 1 else ("row", items)
            self._need(")")
            return node
        if kind == "word":
            return self._word(value)
        if kind == "name":
            if self._take("("):
                return self._call(value)
            if self._take("."):
                return ("col", value, self._name())
            return ("col", None, value)
        raise NotUnderstood(f"{value!r}")

    def _word(self, word: str) -> Node:
        if word == "null":
            return ("lit", None)
        if word in ("true", "false"):
            return ("lit", word == "true")
        if word == "interval":
            return ("cast", self._atom(), "interval")
        if word == "exists":
            self._need("(")
            select = self._select()
            self._need(")")
            return ("exists", select)
        if word == "array":
            self._need("[")
            items = self._list()
            self._need("]")
            return ("array", items)
        if word == "case":
            whens = []
            otherwise: Node = ("lit", None)
            while self._take("when"):
                when = self.expression()
                self._need("then")
                whens.append((when, self.expression()))
            if self._take("else"):
                otherwise = self.expression()
            self._need("end")
            return ("case", whens, otherwise)
        raise NotUnderstood(word.upper())

    def _call(self, name: str) -> Node:
        if self._take("*"):
            self._need(")")
            node: Node = ("fn", name, [])
        elif self._take(")"):
            return ("fn", name, [])
        else:
            node = ("fn", name, self._list())
            self._need(")")
        if self._take("filter"):
            self._need("(", "where")
            node = (*node, self.expression())
            self._need(")")
        return node


# --- what generated code calls -------------------------------------------------------------------


def op_eq(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a == b


def op_ne(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a != b


def op_lt(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a < b


def op_gt(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a > b


def op_le(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a <= b


def op_ge(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a >= b


def op_add(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a + b


def op_sub(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a - b


def op_mul(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a * b


def op_div(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return None
    return a // b if isinstance(a, int) and isinstance(b, int) else a / b


def op_join(a: Any, b: Any) -> Any:
    return None if a is None or b is None else str(a) + str(b)


def op_match(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return None
    return re.search(b.replace("[:cntrl:]", r"\x00-\x1f\x7f-\x9f"), a) is not None


def op_unmatch(a: Any, b: Any) -> Any:
    found = op_match(a, b)
    return None if found is None else not found


def op_not(a: Any) -> Any:
    return None if a is None else not a


def op_in(a: Any, b: Any) -> Any:
    return None if a is None else a in b


_OPS = {
    "=": "op_eq",
    "<>": "op_ne",
    "!=": "op_ne",
    "<": "op_lt",
    ">": "op_gt",
    "<=": "op_le",
    ">=": "op_ge",
    "+": "op_add",
    "-": "op_sub",
    "*": "op_mul",
    "/": "op_div",
    "||": "op_join",
    "~": "op_match",
    "!~": "op_unmatch",
}
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def cast(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "interval" and isinstance(value, str):
        if ":" in value:
            hours, minutes, seconds = (float(part) for part in value.split(":"))
            return timedelta(hours=hours, minutes=minutes, seconds=seconds)
        number, _, unit = value.partition(" ")
        return timedelta(seconds=float(number) * _UNITS[unit.rstrip("s") or "second"])
    if value == "{}" and kind.endswith("[]"):
        return []
    if kind == "jsonb" and isinstance(value, str):
        return json.loads(value)
    if kind in ("bigint", "integer", "int") and isinstance(value, str | float | bool):
        return int(value)
    return value


def coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def greatest(*values: Any) -> Any:
    return max((value for value in values if value is not None), default=None)


def least(*values: Any) -> Any:
    return min((value for value in values if value is not None), default=None)


def aggregate(name: str, values: list[Any]) -> Any:
    known = [value for value in values if value is not None]
    if name == "count":
        return len(known)
    if not known:
        return None
    return {"sum": sum, "min": min, "max": max, "bool_or": any, "bool_and": all}[name](known)


def sort_key(value: Any) -> Any:
    return (value is None, value)


def lock_rows(tx: Any, found: list[Any], how: str, skip: bool, most: int | None) -> list[Any]:
    """Lock (row, item) pairs in their order, up to `most`; Wait for, or pass over, what is held."""
    kept = []
    for row, item in found:
        if most is not None and len(kept) >= most:
            break
        if skip and tx.is_held(row):
            continue
        (tx.hold if how == "update" else tx.share)(row)
        kept.append((row, item))
    return kept


_HELPERS = {
    name: value
    for name, value in globals().items()
    if name.startswith("op_")
    or name in ("cast", "coalesce", "greatest", "least", "aggregate", "sort_key", "lock_rows")
}


# --- writing Python ------------------------------------------------------------------------------


@dataclass
class Scope:
    """Aliases that an expression may name: alias -> columns; `outer` is the statement around it."""

    names: dict[str, list[str]]
    outer: Scope | None = None
    nullable: set[str] = field(default_factory=set)

    def owner(self, column: str) -> str | None:
        for alias, columns in self.names.items():
            if column in columns:
                return alias
        return None if self.outer is None else self.outer.owner(column)

    def knows(self, alias: str) -> bool:
        return alias in self.names or (self.outer is not None and self.outer.knows(alias))

    def may_be_missing(self, alias: str) -> bool:
        if alias in self.names:
            return alias in self.nullable
        return self.outer is not None and self.outer.may_be_missing(alias)


def conjuncts(node: Node | None) -> list[Node]:
    if node is None:
        return []
    if node[0] == "and":
        return conjuncts(node[1]) + conjuncts(node[2])
    return [node]


class Writer:
    """Turns one statement into a Python function `run(tx, v)`."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._lines: list[str] = []
        self._numbers = itertools.count()
        self._ctes: dict[str, list[str]] = {}
        self._depth = 1
        self._constants: dict[str, Any] = {}

    def compile(self, statement: Select | Change, name: str) -> Any:
        result = self._statement(statement, None)
        self._emit(f"return {result}")
        source = "def run(tx, v):\n" + "\n".join(self._lines)
        space: dict[str, Any] = {**_HELPERS, **self._constants}
        exec(compile(source, f"<{name}>", "exec"), space)
        run = space["run"]
        run.source = source
        return run

    def expression(self, node: Node, scope: Scope) -> Any:
        """A function of (row of the one alias) for CHECKs, defaults and partial indexes."""
        code = self._expr(node, scope)
        [alias] = scope.names
        space = {**_HELPERS, **self._constants}
        return eval(f"lambda r_{alias}, tx=None, v=(): {code}", space)

    # --- lines ---

    def _emit(self, line: str) -> None:
        self._lines.append("    " * self._depth + line)

    def _new(self, what: str) -> str:
        return f"{what}{next(self._numbers)}"

    # --- statements: each leaves its rows (a list of dicts) in a variable and answers its name ---

    def _statement(self, statement: Select | Change, outer: Scope | None) -> str:
        for name, inner in statement.ctes:
            variable = self._statement(inner, None)
            self._emit(f"cte_{name} = {variable}")
            self._ctes[name] = self._output(inner)
        if isinstance(statement, Select):
            return self._select(statement, outer)
        return {"insert": self._insert, "update": self._update, "delete": self._delete}[
            statement.kind
        ](statement)

    def _output(self, statement: Select | Change) -> list[str]:
        if isinstance(statement, Select):
            scope = Scope({s.alias: self._columns(s) for s in statement.sources})
            return [name for name, _ in self._named(statement.items, scope)]
        scope = Scope({statement.alias: self._schema.columns(statement.table)})
        return [name for name, _ in self._named(statement.returning, scope)]

    def _columns(self, source: Source) -> list[str]:
        if source.select is not None:
            return self._output(source.select)
        assert source.table is not None
        if source.table in self._ctes:
            return self._ctes[source.table]
        columns: list[str] = self._schema.columns(source.table)
        return columns

    def _named(self, items: list[tuple[Node, str | None]], scope: Scope) -> list[tuple[str, Node]]:
        found: dict[str, Node] = {}
        for node, name in items:
            if node[0] == "star":
                for alias in [node[1]] if node[1] else list(scope.names):
                    for column in scope.names[alias]:
                        found.setdefault(column, ("col", alias, column))
                continue
            if name is None:
                inner = node[1] if node[0] == "cast" else node
                name = inner[2] if inner[0] == "col" else inner[1] if inner[0] == "fn" else "case"
            found[str(name)] = node
        return list(found.items())

    def _record(self, items: list[tuple[Node, str | None]], scope: Scope) -> str:
        """Python for the dict of one row."""
        if len(items) == 1 and items[0][0][0] == "star":
            alias = items[0][0][1] or (next(iter(scope.names)) if len(scope.names) == 1 else None)
            if alias is not None:
                return f"r_{alias}"
        parts = []
        for node, name in items:
            if node[0] == "star":
                for alias in [node[1]] if node[1] else list(reversed(scope.names)):
                    if scope.may_be_missing(alias):
                        nothing = ", ".join(f"{column!r}: None" for column in scope.names[alias])
                        parts.append(f"**(r_{alias} if r_{alias} is not None else {{{nothing}}})")
                    else:
                        parts.append(f"**r_{alias}")
            else:
                [(given, _)] = self._named([(node, name)], scope)
                parts.append(f"{given!r}: {self._expr(node, scope)}")
        return "{" + ", ".join(parts) + "}"

    def _select(self, select: Select, outer: Scope | None) -> str:
        result = self._new("rows")
        depth = self._depth
        self._emit(f"{result} = []")
        aggregated = any(_has_aggregate(node) for node, _ in select.items)
        scope = Scope({}, outer)
        bags = self._new("bags")
        if aggregated:
            self._emit(f"{bags} = {{}}")
        limit = None
        if select.limit is not None:
            limit = self._new("limit")
            self._emit(f"{limit} = {self._expr(select.limit, Scope({}, outer))}")
        self._loops(select.sources, select.where, scope)
        if aggregated:
            pairs = ", ".join(self._aggregates(select.items, scope, bags))
            self._depth = depth
            self._emit(f"{result} = [{{{pairs}}}]")
            return result
        record = self._record(select.items, scope)
        keys = [self._expr(node, scope) for node, _ in select.order]
        marks = [self._expr(node, scope) for node in select.distinct_on or []]
        row = f"row_{select.lock_of or select.sources[0].alias}" if select.lock else "None"
        plain = not keys and not marks and not select.lock
        if plain:
            self._emit(f"{result}.append({record})")
        else:
            self._emit(
                f"{result}.append((({', '.join(keys)}{',' if keys else ''}), "
                f"({', '.join(marks)}{',' if marks else ''}), {row}, {record}))"
            )
        self._depth = depth
        if plain:
            if limit is not None:
                self._emit(f"{result} = {result}[:{limit}]")
            return result
        for index in reversed(range(len(keys))):
            down = select.order[index][1]
            self._emit(f"{result}.sort(key=lambda x: sort_key(x[0][{index}]), reverse={down})")
        if marks:
            firsts = self._new("firsts")
            self._emit(f"{firsts} = {{}}")
            self._emit(f"for x in {result}: {firsts}.setdefault(x[1], x)")
            self._emit(f"{result} = list({firsts}.values())")
        if select.lock:
            self._emit(
                f"{result} = [x[1] for x in lock_rows(tx, [(x[2], x[3]) for x in {result}], "
                f"{select.lock!r}, {select.skip_locked}, {limit})]"
            )
        else:
            self._emit(f"{result} = [x[3] for x in {result}]")
            if limit is not None:
                self._emit(f"{result} = {result}[:{limit}]")
        return result

    def _aggregates(
        self, items: list[tuple[Node, str | None]], scope: Scope, bags: str
    ) -> list[str]:
        """Collect inside the loops what each aggregate needs; answers the pairs for after them."""
        numbers = itertools.count()

        def lift(node: Any) -> Any:
            if isinstance(node, list):
                return [lift(part) for part in node]
            if not isinstance(node, tuple):
                return node
            if node[0] == "fn" and node[1] in _AGGREGATES:
                bag = next(numbers)
                value = self._expr(node[2][0], scope) if node[2] else "1"
                test = f"if {self._expr(node[3], scope)}: " if len(node) > 3 else ""
                self._emit(f"{test}{bags}.setdefault({bag}, []).append({value})")
                return ("code", f"aggregate({node[1]!r}, {bags}.get({bag}, []))")
            return tuple(lift(part) for part in node)

        pairs = []
        for node, name in items:
            [(given, _)] = self._named([(node, name)], scope)
            pairs.append(f"{given!r}: {self._expr(lift(node), scope)}")
        return pairs

    def _loops(self, sources: list[Source], where: Node | None, scope: Scope) -> None:
        """Nested loops over FROM, each as narrow as an index makes it, conditions as early as may be."""
        left = conjuncts(where)
        outside = self._depth
        for source in sources:
            columns = self._columns(source)
            conditions = conjuncts(source.on)
            for column in source.using:
                owner = scope.owner(column)
                conditions.append(
                    ("op", "=", ("col", owner, column), ("col", source.alias, column))
                )
            alias = source.alias
            if source.select is not None or source.table in self._ctes:
                if source.select is not None:
                    inner = self._select(source.select, scope)
                else:
                    inner = f"cte_{source.table}"
                scope.names[alias] = columns
                if source.join == "left":
                    tests = " and ".join(self._expr(each, scope) for each in conditions) or "True"
                    inner = f"[r_{alias} for r_{alias} in {inner} if {tests}] or [None]"
                    scope.nullable.add(alias)
                    conditions = []
                self._emit(f"for r_{alias} in {inner}:")
                self._depth += 1
            else:
                bound = Scope(dict(scope.names), scope.outer, set(scope.nullable))
                scope.names[alias] = columns
                pick = self._pick(
                    source, conditions + (left if source.join != "left" else []), bound, scope
                )
                if source.join == "left":
                    matches = self._new("matches")
                    tests = " and ".join(self._expr(each, scope) for each in conditions) or "True"
                    scope.nullable.add(alias)
                    self._emit(
                        f"{matches} = [r_{alias} for row_{alias} in {pick} "
                        f"if (r_{alias} := tx.see(row_{alias})) is not None and ({tests})]"
                    )
                    self._emit(f"for r_{alias} in {matches} or [None]:")
                    self._depth += 1
                    conditions = []
                else:
                    self._emit(f"for row_{alias} in {pick}:")
                    self._depth += 1
                    self._emit(f"r_{alias} = tx.see(row_{alias})")
                    self._emit(f"if r_{alias} is None: continue")
            ready, waiting = [], []
            for each in conditions + left:
                (ready if self._closed(each, scope) else waiting).append(each)
            left = waiting
            # What is cheap to ask is asked first.
            for each in sorted(ready, key=_weight):
                self._emit(f"if not ({self._expr(each, scope)}): continue")
        if not sources:
            self._emit("for _ in (0,):")
            self._depth += 1
        for each in left:
            self._emit(f"if not ({self._expr(each, scope)}): continue")
        assert self._depth > outside

    def _closed(self, node: Any, scope: Scope) -> bool:
        """Does everything that `node` names exist by now?"""
        if isinstance(node, Select):
            inner = Scope({s.alias: self._columns(s) for s in node.sources}, scope)
            parts = [node.where, *(item for item, _ in node.items)]
            return all(self._closed(part, inner) for part in parts if part is not None)
        if isinstance(node, tuple):
            if node[:1] == ("col",):
                return scope.knows(node[1]) if node[1] else scope.owner(node[2]) is not None
            return all(self._closed(part, scope) for part in node)
        if isinstance(node, list):
            return all(self._closed(part, scope) for part in node)
        return True

    def _pick(self, source: Source, conditions: list[Node], bound: Scope, scope: Scope) -> str:
        """Python for the rows worth looking at: by key, by group, the live ones, or all."""
        assert source.table is not None
        table, alias = source.table, source.alias
        equal: dict[str, str] = {}
        many: dict[str, str] = {}
        live = False
        for node in conditions:
            if node[0] == "op" and node[1] == "=":
                for mine, other in ((node[2], node[3]), (node[3], node[2])):
                    if (
                        self._is_column(mine, alias, scope)
                        and self._closed(other, bound)
                        and not (
                            other[0] == "col"
                            and scope.owner(other[2]) == alias
                            and other[1] is None
                        )
                    ):
                        equal.setdefault(mine[2], self._expr(other, bound))
                        live = live or self._schema.is_live(table, mine[2], other)
            elif node[0] == "op" and node[1] == "<=" and self._is_column(node[2], alias, scope):
                live = live or self._schema.is_live(table, node[2][2], ("up to",))
            elif node[0] == "any" and node[1] == "=" and self._is_column(node[2], alias, scope):
                if self._closed(node[3], bound):
                    many.setdefault(node[2][2], self._expr(node[3], bound))
            elif node[0] == "in" and self._is_column(node[1], alias, scope):
                live = live or self._schema.is_live(table, node[1][2], ("in", node[2]))
            elif node[0] == "insub" and self._is_column(node[1], alias, scope):
                if self._closed(node[2], bound):
                    inner = self._select(node[2], bound)
                    many.setdefault(node[1][2], f"[next(iter(x.values())) for x in {inner}]")
            elif node[0] == "null" and not node[2] and self._is_column(node[1], alias, scope):
                live = live or self._schema.is_live(table, node[1][2], ("lit", None))
        tables = f"tx.db.tables[{table!r}]"
        key = self._schema.key(table)
        if len(key) == 1 and key[0] in equal:
            return f"{tables}.by_key({equal[key[0]]})"
        if all(column in equal for column in key):
            return f"{tables}.by_key(({', '.join(equal[c] for c in key)}))"
        for columns in self._schema.groups(table):
            if all(column in equal for column in columns):
                return f"{tables}.of({columns!r}, {', '.join(equal[c] for c in columns)})"
        if len(key) == 1 and key[0] in many:
            return f"{tables}.by_keys({many[key[0]]})"
        for columns in self._schema.groups(table):
            if len(columns) == 1 and columns[0] in many:
                return f"{tables}.of_any({columns!r}, {many[columns[0]]})"
        return f"{tables}.alive()" if live else f"{tables}.everything()"

    def _is_column(self, node: Node, alias: str, scope: Scope) -> bool:
        if node[0] != "col":
            return False
        if node[1] is not None:
            return bool(node[1] == alias)
        return scope.owner(node[2]) == alias

    def _insert(self, change: Change) -> str:
        result = self._new("rows")
        self._emit(f"{result} = []")
        scope = Scope({change.alias: self._schema.columns(change.table)})
        depth = self._depth
        if change.select is not None:
            inner = self._select_values(change.select)
            self._emit(f"for given in {inner}:")
            self._depth += 1
            self._emit(f"fresh = dict(zip({change.columns!r}, given, strict=True))")
            self._insert_one(change, scope, result)
        else:
            for values in change.values:
                pairs = ", ".join(
                    f"{column!r}: {self._expr(node, Scope({}))}"
                    for column, node in zip(change.columns, values, strict=True)
                )
                self._emit(f"fresh = {{{pairs}}}")
                self._insert_one(change, scope, result)
        self._depth = depth
        return result

    def _select_values(self, select: Select) -> str:
        """The rows of a SELECT as lists, because two of its columns may have one name."""
        renamed = [(node, f"c{i}") for i, (node, _) in enumerate(select.items)]
        inner = self._select(
            Select(renamed, select.sources, select.where, select.order, select.limit), None
        )
        return f"[list(x.values()) for x in {inner}]"

    def _insert_one(self, change: Change, scope: Scope, result: str) -> None:
        self._emit(f"fresh = tx.db.defaults({change.table!r}, tx, fresh)")
        self._emit(
            f"r_{change.alias} = tx.insert({change.table!r}, fresh, "
            f"quiet={change.quiet or change.upsert is not None})"
        )
        if change.upsert is not None:
            sets, where = change.upsert
            inner = Scope({change.alias: scope.names[change.alias], "excluded": change.columns})
            self._emit(f"if r_{change.alias} is None:")
            self._depth += 1
            self._emit("r_excluded = fresh")
            self._emit(f"row_x = tx.clash({change.table!r}, fresh)")
            self._emit("tx.hold(row_x)")
            self._emit(f"r_{change.alias} = tx.see(row_x)")
            pairs = ", ".join(f"{column!r}: {self._expr(node, inner)}" for column, node in sets)
            test = "True" if where is None else self._expr(where, inner)
            self._emit(
                f"r_{change.alias} = tx.update({change.table!r}, row_x, {{{pairs}}}) if {test} else None"
            )
            self._depth -= 1
        if change.returning:
            self._emit(
                f"if r_{change.alias} is not None: "
                f"{result}.append({self._record(change.returning, scope)})"
            )

    def _update(self, change: Change) -> str:
        return self._touch(change)

    def _delete(self, change: Change) -> str:
        return self._touch(change)

    def _touch(self, change: Change) -> str:
        """UPDATE and DELETE: first which rows, held one by one, then each of them."""
        hits, result = self._new("hits"), self._new("rows")
        depth = self._depth
        self._emit(f"{hits} = {{}}")
        scope = Scope({})
        sources = [Source(change.alias, change.table), *change.sources]
        # A narrow FROM first: UPDATE … FROM (SELECT …) first WHERE d.id = first.id.
        if any(each.select is not None for each in change.sources):
            sources = [*change.sources, Source(change.alias, change.table)]
        self._loops(sources, change.where, scope)
        self._emit(f"tx.hold(row_{change.alias})")
        others = [each.alias for each in change.sources]
        kept = ", ".join(f"r_{alias}" for alias in others)
        self._emit(f"{hits}.setdefault(row_{change.alias}, ({kept}{',' if kept else ''}))")
        self._depth = depth
        self._emit(f"{result} = []")
        self._emit(
            f"for row_{change.alias}, ({kept}{',' if kept else ''}) in {hits}.items():"
            if kept
            else f"for row_{change.alias} in {hits}:"
        )
        self._depth += 1
        self._emit(f"r_{change.alias} = tx.see(row_{change.alias})")
        if change.kind == "update":
            pairs = ", ".join(
                f"{column!r}: {self._expr(node, scope)}" for column, node in change.sets
            )
            self._emit(
                f"r_{change.alias} = tx.update({change.table!r}, row_{change.alias}, {{{pairs}}})"
            )
        else:
            self._emit(f"tx.delete({change.table!r}, row_{change.alias})")
        if change.returning:
            record = self._record(change.returning, scope)
            self._emit(f"{result}.append({record})")
        self._depth = depth
        return result

    # --- expressions ---

    def _expr(self, node: Node, scope: Scope) -> str:
        kind = node[0]
        if kind == "code":
            return str(node[1])
        if kind == "lit":
            return repr(node[1])
        if kind == "param":
            return f"v[{node[1] - 1}]"
        if kind == "col":
            return self._column(node, scope)
        if kind == "op":
            left, right = self._alike(node[2], node[3])
            return f"{_OPS[node[1]]}({self._expr(left, scope)}, {self._expr(right, scope)})"
        if kind in ("and", "or"):
            return f"({self._expr(node[1], scope)} {kind} {self._expr(node[2], scope)})"
        if kind == "not":
            return f"op_not({self._expr(node[1], scope)})"
        if kind == "null":
            return f"({self._expr(node[1], scope)} is {'not ' if node[2] else ''}None)"
        if kind == "is":
            return f"({self._expr(node[1], scope)} is {node[2]})"
        if kind == "distinct":
            sign = "!=" if node[3] else "=="
            return f"({self._expr(node[1], scope)} {sign} {self._expr(node[2], scope)})"
        if kind == "in":
            items = ", ".join(self._expr(each, scope) for each in node[2])
            return f"op_in({self._expr(node[1], scope)}, ({items},))"
        if kind == "any":
            if node[1] != "=":
                raise NotUnderstood(f"{node[1]} ANY")
            return f"op_in({self._expr(node[2], scope)}, {self._expr(node[3], scope)})"
        if kind == "all":
            if node[1] != "<>":
                raise NotUnderstood(f"{node[1]} ALL")
            return f"op_not(op_in({self._expr(node[2], scope)}, {self._expr(node[3], scope)}))"
        if kind in ("array", "row"):
            return "(" + "".join(self._expr(each, scope) + ", " for each in node[1]) + ")"
        if kind == "case":
            code = self._expr(node[2], scope)
            for when, then in reversed(node[1]):
                code = f"({self._expr(then, scope)} if {self._expr(when, scope)} else {code})"
            return code
        if kind == "cast":
            return f"cast({self._expr(node[1], scope)}, {node[2]!r})"
        if kind == "json":
            return f"({self._expr(node[1], scope)}).get({self._expr(node[2], scope)})"
        if kind == "fn":
            return self._function(node, scope)
        if kind in ("sub", "exists", "insub"):
            return self._inner(node, scope)
        raise NotUnderstood(kind)

    def _alike(self, left: Node, right: Node) -> tuple[Node, Node]:
        """A literal beside an interval is one."""
        if left[0] == "cast" and right[0] == "lit":
            return left, ("cast", right, left[2])
        if right[0] == "cast" and left[0] == "lit":
            return ("cast", left, right[2]), right
        return left, right

    def _column(self, node: Node, scope: Scope) -> str:
        alias = node[1] or scope.owner(node[2])
        if alias is None or not scope.knows(alias):
            raise NotUnderstood(f"nobody has a column {node[2]!r}")
        code = f"r_{alias}[{node[2]!r}]"
        return f"(None if r_{alias} is None else {code})" if scope.may_be_missing(alias) else code

    def _function(self, node: Node, scope: Scope) -> str:
        name, arguments = node[1], node[2]
        kinds = [each[2] for each in arguments if each[0] == "cast"]
        if kinds:
            arguments = [
                ("cast", each, kinds[0]) if each[0] == "lit" else each for each in arguments
            ]
        given = ", ".join(self._expr(each, scope) for each in arguments)
        match name:
            case "now" | "transaction_timestamp":
                return "tx.at"
            case "clock_timestamp":
                return "tx.db.now()"
            case "coalesce" | "greatest" | "least":
                return f"{name}({given})"
            case "length":
                return f"len({given})"
            case "octet_length":
                return f"len({given})"
            case "cardinality":
                return f"len({given})"
            case "num_nonnulls":
                return f"sum(x is not None for x in ({given},))"
            case "lower":
                return f"({given}).lower()"
        raise NotUnderstood(f"{name}()")

    def _inner(self, node: Node, scope: Scope) -> str:
        """A subselect becomes a function of its own, asked with the rows around it."""
        select = node[-1]
        names = []
        around: Scope | None = scope
        while around is not None:
            names += [alias for alias in around.names if alias not in names]
            around = around.outer
        function = self._new("ask")
        writer = Writer(self._schema)
        writer._numbers = self._numbers
        writer._ctes = self._ctes
        result = writer._select(select, scope)
        body = "\n".join(writer._lines)
        given = "".join(f", r_{alias}" for alias in names)
        ctes = "".join(f", cte_{name}" for name in self._ctes)
        source = f"def {function}(tx, v{given}{ctes}):\n{body}\n    return {result}"
        space = {**_HELPERS, **writer._constants}
        exec(compile(source, f"<{function}>", "exec"), space)
        self._constants[function] = space[function]
        self._constants.update(writer._constants)
        call = f"{function}(tx, v{given}{ctes})"
        if node[0] == "exists":
            return f"bool({call})"
        if node[0] == "insub":
            return f"op_in({self._expr(node[1], scope)}, [next(iter(x.values())) for x in {call}])"
        return f"next((next(iter(x.values())) for x in {call}), None)"


def _has_aggregate(node: Any) -> bool:
    if isinstance(node, tuple):
        if node[:1] == ("fn",) and node[1] in _AGGREGATES:
            return True
        if node[:1] in (("sub",), ("exists",)):
            return False
        return any(_has_aggregate(part) for part in node)
    return isinstance(node, list) and any(_has_aggregate(part) for part in node)


def _weight(node: Any) -> int:
    """Subselects are dear."""
    if isinstance(node, tuple):
        if node[:1] in (("sub",), ("exists",), ("insub",)):
            return 10
        return max((_weight(part) for part in node), default=0)
    return max((_weight(part) for part in node), default=0) if isinstance(node, list) else 0

"""Turns fields into the typed request of an operation: V1's coercion, one rule per kind of value.

Source: protocol facts, REST §1 (type coercion) and §1.7 (lengths). A form carries strings only and some clients
send JSON numbers as strings, so every rule takes both; an empty string is an absent value.

A request is a msgspec.Struct whose annotations carry the rule: `amount: Annotated[Number, number] | None = None`.
A field without a default is required.

| rule      | takes                                                                  | refuses (400, names the field) |
|---|---|---|
| text      | a string; a JSON number as its digits; cut or refused at its length     | true, lists, objects |
| number    | a JSON number by its value (`1e3` is 1000, `100.0` is 100), or a string of digits with at most one point | true, "1e3", "1,004", "-5", "" is absent |
| whole     | a number without a fraction, below 10^12; a leading minus                | 1.5, true, "abc" |
| Seconds | a whole number that is a time before 2100, unix seconds                | 0 (unless `least` takes it), -1 |
| flag      | true, false, 1, 0, "true", "false", "1", "0" in any case                 | "yes", 2, lists |
| texts     | a JSON array, `k[]=`, `k[0]=`, `k=a&k=b` or one value; each as text       | objects |
| OneOf | a word of an enumeration, in any case                                 | another word |
| Inner | an object, or its JSON text                                            | anything else |
| Each | a list of objects, or its JSON text; one object is a list of one          | an empty list, one that is too long |
| json_text | a string as it is; anything else as compact JSON text                    | nothing |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from naru.rest import messages
from naru.rest.envelope import HttpRefusal
from naru.rest.read_fields import Field, Fields, Repeated, as_list, read_json

Number = str | int | Decimal  # an amount as it came; Money.from_wire knows its currency
Rule = Callable[[str, Field], Any]
Request = TypeVar("Request", bound=msgspec.Struct)

_PLAIN_NUMBER = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,8})?")
_YEAR_2100 = 4_102_444_800
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,12}")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def malformed(name: str) -> HttpRefusal:
    """The refusal of a value that this field cannot have."""
    return HttpRefusal(400, messages.malformed(name))


@dataclass(frozen=True, slots=True)
class Text:
    """A string of at most `length` characters; longer ones are refused, or cut when `cut` is set.

    i'mport documents no refusal of over-long buyer fields: they are cut (REST §1.7).
    """

    length: int = 4_000
    cut: bool = False

    def __call__(self, name: str, value: Field) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise malformed(name)
        text = value if isinstance(value, str) else str(value)
        if len(text) <= self.length:
            return text
        if self.cut:
            return text[: self.length]
        raise HttpRefusal(400, messages.too_long(name, self.length))


def number(name: str, value: Field) -> Number:
    """An amount in i'mport's major units, not yet bound to a currency."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value.strip()):
        return value.strip()
    raise malformed(name)


def whole(name: str, value: Field) -> int:
    """A whole number of at most 12 digits: a page, a count."""
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, Decimal) and value.adjusted() < 12 and value == value.to_integral_value():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**12:
        return value
    raise malformed(name)


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time in unix seconds, of this century; `least` 0 takes the beginning of all times too."""

    least: int = 1

    def __call__(self, name: str, value: Field) -> int:
        seconds = whole(name, value)
        if not self.least <= seconds < _YEAR_2100:
            raise malformed(name)
        return seconds


def flag(name: str, value: Field) -> bool:
    """A boolean."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int | Decimal):
        known = _FLAGS.get(str(value).strip().lower())
        if known is not None:
            return known
    raise malformed(name)


def texts(name: str, value: Field) -> tuple[str, ...]:
    """A list of strings; empty ones are dropped, the order is kept."""
    items = as_list(value)
    if items is None:
        raise malformed(name)
    return tuple(_text(name, item) for item in items if item not in ("", None))


def json_text(name: str, value: Field) -> str:
    """custom_data: text stays as it came, an object becomes compact JSON text (unknowns A33)."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One word of an enumeration, in any case."""

    kind: type[Enum]

    def __call__(self, name: str, value: Field) -> Enum:
        try:
            return self.kind(_text(name, value).strip().lower())
        except ValueError:
            raise malformed(name) from None


@dataclass(frozen=True, slots=True)
class Inner:
    """An object of its own, also as JSON text in a form (the official document shows it so)."""

    kind: type[msgspec.Struct]

    def __call__(self, name: str, value: Field) -> msgspec.Struct:
        value = _parsed(name, value)
        if not isinstance(value, dict):
            raise malformed(name)
        return coerce(self.kind, value)


@dataclass(frozen=True, slots=True)
class Each:
    """A list of at most `most` objects, also as JSON text in a form; never an empty one."""

    kind: type[msgspec.Struct]
    most: int

    def __call__(self, name: str, value: Field) -> tuple[msgspec.Struct, ...]:
        items = as_list(_parsed(name, value))
        if not items or len(items) > self.most:
            raise malformed(name)
        return tuple(Inner(self.kind)(name, item) for item in items)


def _parsed(name: str, value: Field) -> Field:
    """What JSON text says, with the care of a body; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return read_json(b'{"it":' + value.encode() + b"}")["it"]
    except (HttpRefusal, UnicodeEncodeError):
        raise malformed(name) from None


_text = Text()


def coerce(request_type: type[Request], fields: Mapping[str, Field]) -> Request:
    """The request that these fields make. Unknown fields are ignored, as V1 ignores them.

    Raises HttpRefusal 400, which names the field but never repeats its value.
    """
    values: dict[str, Any] = {}
    for attribute, name, rule, required in _plan(request_type):
        value = fields.get(name)
        if isinstance(value, Repeated) and rule is not texts:
            value = value[-1]
        if value is None or value == "":
            if required:
                raise HttpRefusal(400, messages.missing(name))
            continue
        values[attribute] = rule(name, value)
    return request_type(**values)


@cache
def _plan(request_type: type[msgspec.Struct]) -> tuple[tuple[str, str, Rule, bool], ...]:
    """Attribute, wire name, rule and necessity of each field, read once from the annotations."""
    hints = get_type_hints(request_type, include_extras=True)
    return tuple(
        (
            field.name,
            field.encode_name,
            _rule_of(hints[field.name]),
            field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT,
        )
        for field in msgspec.structs.fields(request_type)
    )


def _rule_of(hint: Any) -> Rule:
    if get_origin(hint) in (Union, UnionType):
        alternatives = [part for part in get_args(hint) if part is not NoneType]
        if len(alternatives) == 1:
            return _rule_of(alternatives[0])
    if get_origin(hint) is Annotated:
        rule: Rule = next(part for part in hint.__metadata__ if callable(part))
        return rule
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _nested(hint)
    raise TypeError(f"a request field needs a rule, {hint!r} has none")


def _nested(request_type: type[msgspec.Struct]) -> Rule:
    def read(name: str, value: Field) -> msgspec.Struct:
        if not isinstance(value, dict):
            raise malformed(name)
        return coerce(request_type, value)

    return read


def _plain(value: object) -> object:
    """A Decimal inside custom_data: the nearest float, or its text where no float reaches."""
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    return float(value) if abs(value.adjusted()) < 300 else str(value)


__all__ = [
    "Each",
    "Fields",
    "Inner",
    "Number",
    "OneOf",
    "Seconds",
    "Text",
    "coerce",
    "flag",
    "json_text",
    "malformed",
    "number",
    "texts",
    "whole",
]

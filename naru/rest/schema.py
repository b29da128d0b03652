"""JSON Schema of what the door reads and answers, taken from the types that read and answer it.

An answer is described exactly: every key, no other one. A request is described in its proper types; what else its
rules take (naru/rest/coerce.py) is said once for all operations.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from naru.rest import coerce

Schema = dict[str, Any]
_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
}
REF = "#/components/schemas/"


class Schemas:
    """The answers of a table of operations as named schemas, each written once."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(self, hint: Any) -> Schema:
        """The schema of a type: a reference for a struct, the thing itself for all else.

        Raises TypeError for a type that no JSON of ours has.
        """
        origin, inner = get_origin(hint), get_args(hint)
        if hint is Any:
            return {}
        if hint in _PLAIN:
            return dict(_PLAIN[hint])
        if origin is Annotated:
            return self.of(inner[0])
        if origin is Literal:
            texts = all(isinstance(each, str) for each in inner)
            return {**({"type": "string"} if texts else {}), "enum": list(inner)}
        if origin in (Union, UnionType):
            return self._one_of(inner)
        if hasattr(hint, "__supertype__"):
            return self.of(hint.__supertype__)
        if origin in (list, tuple, Sequence) or hint in (list, tuple):
            return {"type": "array", "items": self.of(inner[0]) if inner else {}}
        if origin in (dict, Mapping) or hint is dict:
            return {"type": "object"}
        if isinstance(hint, type) and issubclass(hint, Enum):
            return {"type": "string", "enum": [each.value for each in hint]}
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return self._struct(hint)
        raise TypeError(f"no JSON is known for {hint!r}")

    def _struct(self, kind: type[msgspec.Struct]) -> Schema:
        name = kind.__name__.removesuffix("Annotation")
        if name not in self.named:
            self.named[name] = {}  # Before its fields, which may name it again.
            self.named[name] = self._fields(kind)
        return {"$ref": REF + name}

    def _fields(self, kind: type[msgspec.Struct]) -> Schema:
        hints = hints_of(kind)
        properties, required = {}, []
        names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
        for name, wire_name in names:
            properties[wire_name] = self.of(hints[name])
            if not may_be_absent(hints[name]):
                required.append(wire_name)
        return {
            "type": "object",
            "description": " ".join((inspect.getdoc(kind) or "").split()),
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def _one_of(self, parts: tuple[Any, ...]) -> Schema:
        """A union: plain types in one word, anything else as alternatives."""
        schemas = [self.of(part) for part in parts if part is not msgspec.UnsetType]
        if len(schemas) == 1:
            return schemas[0]
        if all(set(each) == {"type"} for each in schemas):
            types = list(dict.fromkeys(each["type"] for each in schemas))
            if "number" in types and "integer" in types:
                types.remove("integer")
            return {"type": types[0] if len(types) == 1 else types}
        if schemas[-1] == {"type": "null"} and len(schemas) == 2 and "enum" in schemas[0]:
            return {"type": ["string", "null"], "enum": [*schemas[0]["enum"], None]}
        return {"anyOf": schemas}


def hints_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The types of a struct's fields. A field that is called `list` does not hide Python's own."""
    hints: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            # Each in the words of its own module, without what it inherits from another one.
            own = SimpleNamespace(__annotations__=inspect.get_annotations(base))
            names = vars(sys.modules[base.__module__])
            hints |= typing.get_type_hints(own, names, {}, include_extras=True)
    return hints


def may_be_absent(hint: Any) -> bool:
    """Is this a field of an answer that is left out when there is nothing to say?"""
    return msgspec.UnsetType in get_args(hint)


def request_schema(kind: type[msgspec.Struct], leave_out: frozenset[str] = frozenset()) -> Schema:
    """The schema of a request, without the fields that stand elsewhere (in the path)."""
    hints = hints_of(kind)
    properties, required = {}, []
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name in leave_out:
            continue
        schema = _rule_schema(hints[field.name])
        needed = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        if needed:
            required.append(name)
        elif field.default not in (None, (), "", msgspec.NODEFAULT, msgspec.UNSET):
            schema["default"] = field.default
        properties[name] = schema
    found: Schema = {"type": "object", "properties": properties}
    if required:
        found["required"] = required
    return found


def _rule_schema(hint: Any) -> Schema:
    """The schema of one field of a request, by its rule."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _rule_schema(
            next(part for part in inner if part not in (NoneType, msgspec.UnsetType))
        )
    if origin is Annotated:
        rule = next((part for part in hint.__metadata__ if callable(part)), None)
        return _by_rule(rule, inner[0])
    return _by_type(hint)


def _by_rule(rule: Any, kind: Any) -> Schema:
    if isinstance(rule, coerce.Text):
        schema: Schema = {"type": "string"}
        if rule.length != coerce.Text().length:
            schema["maxLength"] = rule.length
            if rule.cut:
                schema["description"] = "A longer one is cut."
        return schema
    if rule is coerce.number:
        return {"type": "number", "minimum": 0}
    if rule is coerce.whole:
        return {"type": "integer"}
    if rule is coerce.flag:
        return {"type": "boolean"}
    if rule is coerce.texts:
        return {"type": "array", "items": {"type": "string"}}
    if rule is coerce.json_text:
        return {"description": "Text, or any JSON, which is kept as compact text."}
    schema = _by_type(kind)
    words = " ".join((inspect.getdoc(rule) or "").split()) if inspect.isfunction(rule) else ""
    words = words.removeprefix("A coercion rule: ")
    if words:
        schema["description"] = words[0].upper() + words[1:]
    return schema


def _by_type(kind: Any) -> Schema:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _by_type(next(part for part in inner if part is not NoneType))
    if origin in (tuple, list):
        return {"type": "array", "items": _rule_schema(inner[0])}
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return request_schema(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": "string", "enum": [each.value for each in kind]}
    if origin is dict or kind is dict:
        return {"type": "object"}
    # A thing that its rule makes of text: a date, a card's number.
    return {"type": "string"}

"""i'mport's own document of V1, held against our table: every operation, every parameter, every field of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from naru.rest.schema import Schemas, request_schema
from tests.contract.official import (
    Row,
    needs_official,
    official,
    resolve,
    rows,
    served,
    served_rows,
)

pytestmark = needs_official

# Parameters of the document that we do not read, with the reason. A row that is no longer needed fails.
NOT_READ: dict[str, dict[str, str]] = {}

# Fields of an answer that differ from the document on purpose, with the reason; "" is the whole answer.
_PAGED = "the document's own text, and every client, expect the paged object (REST §6)"
DIFFERS: dict[str, dict[str, str]] = {
    "GET /subscribe/customers/{customer_uid}/schedules": {"": _PAGED},
    "GET /subscribe/payments/schedule": {"": _PAGED},
    "GET /subscribe/payments/schedule/customers/{customer_uid}": {"": _PAGED},
}


def test_every_operation_has_a_route() -> None:
    assert {row.name for row in rows()} - served().keys() == set()
    assert len(rows()) == 80


@pytest.mark.parametrize("row", served_rows(), ids=lambda row: row.name)
def test_every_parameter_is_read(row: Row) -> None:
    operation = served()[row.name]
    ours = request_schema(operation.request)
    missing = {
        name
        for parameter in row.said.get("parameters", ())
        if parameter["in"] != "header"
        for name in _unread(parameter, ours)
    }
    assert missing == NOT_READ.get(row.name, {}).keys()


def _unread(parameter: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """What the document names in this parameter, however deep, and our request does not."""
    name = parameter["name"].removesuffix("[]")
    outer, _, inner = name.partition("[")
    found = ours["properties"].get(outer)
    if found is None:
        yield name
    elif inner:
        if inner.removesuffix("]") not in found.get("properties", {}):
            yield name
    else:
        theirs = parameter.get("schema") or parameter
        yield from _unread_below(theirs, found, name)


def _unread_below(theirs: dict[str, Any], ours: dict[str, Any], name: str) -> Iterator[str]:
    theirs = resolve(theirs)
    if "items" in theirs:
        theirs, ours = resolve(theirs["items"]), ours.get("items", {})
    for key, below in theirs.get("properties", {}).items():
        found = ours.get("properties", {}).get(key)
        if found is None:
            # What is kept as one piece of JSON is read whole.
            if ours.get("type") in ("object", "array") and "properties" not in ours:
                return
            yield f"{name}.{key}"
        else:
            yield from _unread_below(below, found, f"{name}.{key}")


@pytest.mark.parametrize("row", served_rows(), ids=lambda row: row.name)
def test_every_field_of_the_answer_has_the_type_of_the_document(row: Row) -> None:
    schemas = Schemas()
    operation = served()[row.name]
    ours = {} if operation.answer is None else schemas.of(operation.answer)
    theirs = _response(row)
    wrong = dict(_differences(theirs, ours, schemas, ""))
    allowed = DIFFERS.get(row.name, {})
    # An exception that is no longer needed is found as well.
    assert {field: how for field, how in wrong.items() if field not in allowed} == {}
    assert allowed.keys() <= wrong.keys()


def _response(row: Row) -> dict[str, Any]:
    """The schema of `response` in the document; empty where it has none."""
    answer = row.said["responses"]["200"].get("schema")
    if answer is None:
        return {}
    properties: dict[str, Any] = {}
    for part in (resolve(answer), *resolve(answer).get("allOf", ())):
        properties |= resolve(part).get("properties", {})
    return properties.get("response", {})


def _differences(
    theirs: dict[str, Any], ours: dict[str, Any], schemas: Schemas, at: str
) -> Iterator[tuple[str, str]]:
    """Where our answer is not what the document says: the field and how."""
    theirs = _whole(theirs)
    ours = _not_null(ours, schemas)
    wanted = theirs.get("type", "object" if "properties" in theirs else None)
    if wanted is None:
        return
    types = ours.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    fits = {wanted} | ({"integer"} if wanted == "number" else set())
    if not types & fits or types - fits - {"null"}:
        yield at, f"{sorted(types)} instead of {wanted}"
        return
    if wanted == "array":
        yield from _differences(theirs.get("items", {}), ours.get("items", {}), schemas, f"{at}[]")
    for name, below in theirs.get("properties", {}).items():
        field = f"{at}.{name}".lstrip(".")
        if "properties" not in ours:
            continue
        if name not in ours["properties"]:
            yield field, "is missing"
        else:
            yield from _differences(below, ours["properties"][name], schemas, field)


def _whole(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its parts put together."""
    schema = resolve(schema)
    for part in schema.get("allOf", ()):
        below = _whole(part)
        schema = {
            **below,
            **schema,
            "properties": below.get("properties", {}) | schema.get("properties", {}),
        }
    return schema


def _not_null(schema: dict[str, Any], schemas: Schemas) -> dict[str, Any]:
    """Our schema without its reference and without the null that Swagger 2.0 cannot say."""
    if "$ref" in schema:
        return schemas.named[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        others = [each for each in schema["anyOf"] if each != {"type": "null"}]
        return _not_null(others[0], schemas)
    return schema


def test_the_comparison_finds_what_it_looks_for() -> None:
    """The control: an answer with a wrong type and a missing field is told apart from the right one."""
    schemas = Schemas()
    token = {
        "type": "object",
        "properties": {"now": {"type": "integer"}, "who": {"type": "string"}},
    }
    ours = {"type": "object", "properties": {"now": {"type": "string"}}}
    assert dict(_differences(token, ours, schemas, "")) == {
        "now": "['string'] instead of integer",
        "who": "is missing",
    }
    assert "PaymentAnnotation" in official()["definitions"]

"""i'mport's own document of V1, held against our table: every operation, every parameter, every field of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from naru.rest.schema import Schemas, request_schema
from tests.contract.fits import our_document
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

# What the document needs and we do not, with the reason; "" is any operation. A row that is no longer needed fails.
_BY_VERB = "the verb says that it is missing: the field has two spellings, or is needed with some values only"
NOT_NEEDED: dict[str, dict[str, str]] = {
    "": {"channel_key": "clients predate it: `pg`, or the default channel (REST §1.5)"},
    "POST /users/getToken": dict.fromkeys(
        ("imp_key", "imp_secret"), "V1 has a sentence of its own, which names both (REST §1.1)"
    ),
    "GET /subscribe/customers": {"customer_uid": _BY_VERB},
    "GET /subscribe/customers/{customer_uid}/schedules": {"from": _BY_VERB, "to": _BY_VERB},
    "GET /subscribe/payments/schedule": {"schedule_from": _BY_VERB, "schedule_to": _BY_VERB},
    "GET /subscribe/payments/schedule/customers/{customer_uid}": {
        "from": _BY_VERB,
        "to": _BY_VERB,
    },
    "POST /payments/{imp_uid}/naver/ship": {"delivery_method": _BY_VERB, "dispatched_at": _BY_VERB},
    "POST /payments/{imp_uid}/naver/ship-exchanged": {"delivery_method": _BY_VERB},
    "POST /payments/{imp_uid}/naver/request-return": {"delivery_method": _BY_VERB},
    "POST /payments/{imp_uid}/naver/reject-return": {"memo": _BY_VERB},
    "POST /payments/{imp_uid}/naver/withhold-return": {"memo": _BY_VERB},
    "POST /subscribe/payments/again": {"name": "clients leave it out (REST §5)"},
    "POST /subscribe/payments/schedule": {
        "schedules[].currency": "won, when it is left out (REST §6.1)",
        "schedules[].name": "clients leave it out (REST §6.1)",
    },
}
# What we need and the document does not show, because it writes the object as one text.
NEEDED_BY_WORDS = {
    f"{method} /escrows/logis/{{imp_uid}}": {
        "logis.company": "needed by its words (REST §9)",
        "logis.invoice": "needed by its words (REST §9)",
    }
    for method in ("POST", "PUT")
}
# Where a field takes another type than the document writes, wherever it stands, with the reason.
_OBJECT_AS_TEXT = "the document writes an object as text; both are read, and PHP's nesting"
OTHER_TYPE = {
    "sender": _OBJECT_AS_TEXT,
    "receiver": _OBJECT_AS_TEXT,
    "logis": _OBJECT_AS_TEXT,
    "extra": "the document writes `extra[name]` as a list, or gives it no type",
    "card_quota": "months are whole ones, as the document's own words say; it writes number once",
    "notice_url": "one address or several (webhook.md §4); the document writes one in places",
}
# Statuses of the document that ours does not tell of an operation, with the reason; "" is any operation.
NOT_TOLD: dict[str, dict[str, str]] = {
    "": {
        "500": "the PG's no is HTTP 200 with `code` -1 (REST §1); what nobody foresaw is `default`"
    },
    "GET /subscribe/customers/{customer_uid}": {"404": "HTTP 200, `code` 1 (unknowns A6)"},
    "DELETE /subscribe/customers/{customer_uid}": {"404": "HTTP 200, `code` 1 (unknowns A6)"},
    "GET /subscribe/customers/{customer_uid}/payments": {"404": "HTTP 200, `code` 1 (unknowns A6)"},
    "GET /cards": {"404": "the table is never empty"},
    "GET /banks": {"404": "the table is never empty"},
    "GET /naver/product-orders/{product_order_id}": {"400": "a path without it is another path"},
    "PUT /escrows/logis/{imp_uid}": {"405": "a verb that is not in the table is `default`"},
    "POST /escrows/logis/{imp_uid}": {"405": "a verb that is not in the table is `default`"},
    "GET /payments/{imp_uid}/balance": {"405": "a verb that is not in the table is `default`"},
}

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
    theirs, read = _asked_by_document(row), _fields(ours, "")
    # What is kept as one piece of JSON is read whole.
    whole = [name for name, field in read.items() if _is_whole(field.schema)]
    missing = {name for name in theirs.keys() - read.keys() if not name.startswith(tuple(whole))}
    assert missing == set()


@pytest.mark.parametrize("row", served_rows(), ids=lambda row: row.name)
def test_nothing_is_asked_more_strictly_than_the_document_does(row: Row) -> None:
    theirs = _asked_by_document(row)
    ours = _fields(request_schema(served()[row.name].request), "")
    shared = theirs.keys() & ours.keys()
    stricter = {name for name in ours if ours[name].needed} - {
        name for name in shared if theirs[name].needed
    }
    assert stricter == NEEDED_BY_WORDS.get(row.name, {}).keys()
    looser = {name for name in shared if theirs[name].needed and not ours[name].needed}
    everywhere = NOT_NEEDED[""].keys()
    assert looser - everywhere == NOT_NEEDED.get(row.name, {}).keys()
    for name in shared:
        wanted, found = theirs[name].schema, ours[name].schema
        if name.rpartition(".")[2] not in OTHER_TYPE:
            assert _takes(found, wanted), name
        if "maxLength" in wanted and "maxLength" in found:
            assert found["maxLength"] >= int(wanted["maxLength"]), name
        if "enum" in wanted and "enum" in found:
            assert set(wanted["enum"]) <= set(found["enum"]), name


def test_every_reason_for_another_type_is_needed() -> None:
    used = set()
    for row in served_rows():
        ours = _fields(request_schema(served()[row.name].request), "")
        for name, field in _asked_by_document(row).items():
            if name in ours and not _takes(ours[name].schema, field.schema):
                used.add(name.rpartition(".")[2])
    assert used == OTHER_TYPE.keys()


@pytest.mark.parametrize("row", served_rows(), ids=lambda row: row.name)
def test_every_status_of_the_document_is_told(row: Row) -> None:
    told = our_document()["paths"][row.path][row.method.lower()]["responses"]
    missing = row.said["responses"].keys() - told.keys() - NOT_TOLD[""].keys()
    assert missing == NOT_TOLD.get(row.name, {}).keys()


class Field(NamedTuple):
    """One field of a request: its schema, and whether it must be there."""

    schema: dict[str, Any]
    needed: bool


def _asked_by_document(row: Row) -> dict[str, Field]:
    """What the document says that this operation is asked with: fields by dotted name, `a[].b` in a list."""
    found: dict[str, Field] = {}
    for parameter in row.said.get("parameters", ()):
        if parameter["in"] == "header":
            continue
        if parameter["in"] == "body":
            found |= _fields(resolve(parameter["schema"]), "")
            continue
        outer, _, inner = parameter["name"].removesuffix("[]").partition("[")
        name = f"{outer}.{inner.removesuffix(']')}" if inner else outer
        found[name] = Field(parameter, parameter.get("required") is True)
        found |= _fields(parameter, name)
    return found


def _fields(schema: dict[str, Any], at: str) -> dict[str, Field]:
    """The fields below this one, however deep."""
    schema = resolve(schema)
    if "items" in schema:
        return _fields(schema["items"], f"{at}[]")
    found: dict[str, Field] = {}
    needed = schema.get("required", ())
    for key, below in schema.get("properties", {}).items():
        name = f"{at}.{key}" if at else key
        found[name] = Field(resolve(below), isinstance(needed, list) and key in needed)
        found |= _fields(below, name)
    return found


def _is_whole(schema: dict[str, Any]) -> bool:
    """Is this one piece of JSON, whatever stands in it?"""
    inner = schema.get("items", schema)
    return "properties" not in inner and inner.get("type", "object") == "object"


def _takes(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Does our field take what the document writes? One without a type takes anything; a number, whole ones."""
    types = ours.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    wanted = theirs.get("type", "object" if "properties" in theirs else None)
    return not types or wanted in types or (wanted == "integer" and "number" in types)


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
    form = {"properties": {"a": {"type": "array", "items": {"properties": {"b": {}}}}}}
    assert _fields(form | {"required": ["a"]}, "").keys() == {"a", "a[].b"}
    assert _fields(form | {"required": ["a"]}, "")["a"].needed
    assert _takes({"type": "number"}, {"type": "integer"})
    assert not _takes({"type": "integer"}, {"type": "string"})

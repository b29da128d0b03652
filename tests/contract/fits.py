"""Does an answer of the door fit our own OpenAPI document? Asked about every answer of tests/rest, and of the fuzz."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from naru.rest import operations
from naru.rest.envelope import HttpRefusal
from naru.rest.openapi import JSON, document
from naru.rest.operation import Operation, Router

ORIGIN = "http://127.0.0.1:8800"


@cache
def our_document() -> dict[str, Any]:
    """The document of the whole table."""
    return document(operations(), ORIGIN)


@cache
def _router() -> Router:
    return Router(operations())


@cache
def _validator(path: str, method: str, status: str) -> Draft202012Validator:
    our = our_document()
    schema = our["paths"][path][method]["responses"][status]["content"][JSON]["schema"]
    return Draft202012Validator({**schema, "components": our["components"]})


@cache
def _refused() -> Draft202012Validator:
    our = our_document()
    schema = our["components"]["schemas"]["Refused"]
    return Draft202012Validator({**schema, "components": our["components"]})


def found(method: str, path: str) -> Operation | None:
    """The operation that this request reaches; None where there is none."""
    try:
        return _router().find(method, path.partition("?")[0].encode()).operation
    except HttpRefusal:
        return None


def misfit(method: str, path: str, status: int, body: Any) -> str | None:
    """What in this answer our document does not say; None when it fits."""
    operation = found(method, path)
    if operation is None:
        validator, said = _refused(), "a refusal"
    else:
        verb = operation.method.lower()
        told = our_document()["paths"][operation.path][verb]["responses"]
        said = str(status) if str(status) in told else "default"
        validator = _validator(operation.path, verb, said)
    errors = sorted(validator.iter_errors(body), key=lambda error: len(error.absolute_path))
    if not errors:
        return None
    where = operation.path if operation else "no operation"
    deepest = _deepest(errors[0])
    at = "/".join(map(str, deepest.absolute_path))
    return f"{method} {where} {status} ({said}): at {at or 'the top'}: {deepest.message[:300]}"


def _deepest(error: Any) -> Any:
    """Of the alternatives that all failed, the one that came furthest."""
    while error.context:
        error = max(error.context, key=lambda each: len(each.absolute_path))
    return error

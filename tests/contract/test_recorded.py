"""Every operation has an example that went over the wire, and that is still true of what is served."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from naru.rest import operations
from naru.rest.examples import Example, examples
from naru.rest.openapi import DONE, JSON
from naru.rest.operation import Operation
from naru.rest.schema import request_schema
from tests.contract.fits import found, misfit, our_document

AGAIN = "run `python -m tests.contract.record_examples`"


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def unknown_fields(operation: Operation, example: Example) -> set[str]:
    """What the example says and the operation does not read."""
    query = dict(parse_qsl(example.path.partition("?")[2]))
    said = {key.partition("[")[0] for key in (*query, *(example.body or {}))}
    return said - request_schema(operation.request)["properties"].keys()


def test_every_operation_has_one_and_there_is_no_other() -> None:
    assert examples().keys() == {name_of(each) for each in operations()}, AGAIN


@pytest.mark.parametrize("operation", operations(), ids=name_of)
def test_an_example_is_true_of_what_is_served(operation: Operation) -> None:
    example = examples()[name_of(operation)]
    assert found(example.method, example.path) is operation
    assert unknown_fields(operation, example) == set(), AGAIN
    assert misfit(example.method, example.path, example.status, example.answer) is None, AGAIN
    assert example.answer["code"] == 0

    said: dict[str, Any] = our_document()["paths"][operation.path][operation.method.lower()]
    shown = said["responses"][str(example.status)]["content"][JSON]["examples"][DONE]
    assert shown["value"] == example.answer
    # Numbers may come as text, so a request is held against the names alone; an empty one reads nothing.
    if "requestBody" in said and example.body is not None:
        assert said["requestBody"]["content"][JSON]["example"] == example.body


def test_an_example_that_is_no_longer_true_is_found() -> None:
    name = "POST /payments/cancel"
    example = examples()[name]
    operation = next(each for each in operations() if name_of(each) == name)
    gone = Example("POST", "/payments/cancel", {"imp_id": "imp_1"}, 200, example.answer)
    assert unknown_fields(operation, gone) == {"imp_id"}
    wrong = {**example.answer, "response": {**example.answer["response"], "amount": "1004"}}
    assert misfit("POST", "/payments/cancel", 200, wrong)

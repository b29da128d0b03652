"""Our own document is OpenAPI 3.1, whole, and of the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from naru.rest import messages, operations
from naru.rest.openapi import TAGS
from tests.contract.fits import misfit, our_document

# The schema of OpenAPI's authors (spec.openapis.org/oas/3.1/schema/2022-10-07, Apache-2.0), unchanged.
OPENAPI_3_1 = json.loads((Path(__file__).parent / "vendor" / "openapi-3.1.json").read_text("utf-8"))
HANGUL = re.compile("[가-힣]")


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():
            if key == "$ref":
                yield below
            else:
                yield from _refs(below)
    elif isinstance(value, list):
        for below in value:
            yield from _refs(below)


def test_it_is_openapi_3_1() -> None:
    validator = Draft202012Validator(OPENAPI_3_1)
    assert [error.message for error in validator.iter_errors(our_document())] == []
    broken = {**our_document(), "paths": {"no-slash": {}}}
    assert list(validator.iter_errors(broken))


def test_every_schema_is_json_schema_and_every_reference_leads_somewhere() -> None:
    document = our_document()
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("type") == "object", name
    for ref in set(_refs(document)):
        place: Any = document
        for step in ref.removeprefix("#/").split("/"):
            place = place[step]


def test_it_holds_the_table_and_nothing_else() -> None:
    told = [
        (method.upper(), path, said)
        for path, verbs in our_document()["paths"].items()
        for method, said in verbs.items()
    ]
    assert {row[:2] for row in told} == {(each.method, each.path) for each in operations()}
    ids = [said["operationId"] for _, _, said in told]
    assert len(ids) == len(set(ids))
    assert {tag for _, _, said in told for tag in said["tags"]} <= TAGS.keys()


@pytest.mark.parametrize("operation", operations(), ids=lambda each: f"{each.method} {each.path}")
def test_an_operation_is_told_in_two_languages(operation: Any) -> None:
    assert HANGUL.search(operation.summary)
    assert re.search("[a-z]{3}", operation.english)
    assert not HANGUL.search(operation.english)


def test_refusals_are_read_from_the_verbs() -> None:
    said = json.dumps(our_document()["paths"]["/payments/cancel"], ensure_ascii=False)
    assert "이미 전액취소된 주문입니다." in said
    assert messages.NOTHING_TO_CANCEL in said
    assert messages.NOT_PREPARED not in said


def test_an_answer_that_does_not_fit_is_told_from_one_that_does() -> None:
    right = {"code": 0, "message": None, "response": {"code": "004", "name": "국민은행"}}
    assert misfit("GET", "/banks/004", 200, right) is None
    wrong = {**right, "response": {"code": 4, "name": "국민은행"}}
    assert "response/code" in (misfit("GET", "/banks/004", 200, wrong) or "")
    assert misfit("GET", "/banks/004", 404, right)
    assert misfit("GET", "/nowhere", 200, right)
    extra = {**right, "response": {**right["response"], "secret": "x"}}
    assert misfit("GET", "/banks/004", 200, extra)

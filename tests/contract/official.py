"""i'mport's own document of V1 (Swagger 2.0), where it lies beside this project; and the doors' table beside it.

The document is not ours to ship. What needs it is skipped, loudly, where it is not there.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from naru.rest import operations
from naru.rest.operation import Operation

PLACE = Path(__file__).parents[2].parent / "shared" / "protocol" / "v1.openapi.json"

needs_official = pytest.mark.skipif(
    not PLACE.exists(),
    reason="SKIPPED LOUDLY: i'mport's own document is not in ../shared/protocol, nothing is held against it",
)


class Row(NamedTuple):
    """One operation of the official document."""

    method: str
    path: str
    said: dict[str, Any]

    @property
    def name(self) -> str:
        """Verb and path, as everywhere."""
        return f"{self.method} {self.path}"


@cache
def official() -> dict[str, Any]:
    """The document."""
    document: dict[str, Any] = json.loads(PLACE.read_text("utf-8"))
    return document


@cache
def rows() -> list[Row]:
    """Its operations, in its order; none where it is not there."""
    if not PLACE.exists():
        return []
    return [
        Row(method.upper(), path, said)
        for path, verbs in official()["paths"].items()
        for method, said in verbs.items()
    ]


def served_rows() -> list[Row]:
    """Those of its operations that we serve (that all are is a test of its own)."""
    return [row for row in rows() if row.name in served()]


@cache
def served() -> dict[str, Operation]:
    """Our table by verb and path."""
    return {f"{each.method} {each.path}": each for each in operations()}


def resolve(schema: dict[str, Any] | str) -> dict[str, Any]:
    """The schema that a reference means. The document writes some as the mere name of a type."""
    if isinstance(schema, str):
        return {"type": schema}
    while "$ref" in schema:
        schema = official()["definitions"][schema["$ref"].rpartition("/")[2]]
    return schema

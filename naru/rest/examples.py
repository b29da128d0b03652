"""One request and its answer for every operation, as they went over the wire in a test.

Recorded by `python -m tests.contract.record_examples` while the tests that prove the operations run, never written by hand.
`tests/contract/test_recorded.py` holds every one of them against what is served today.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

FILE = Path(__file__).with_name("examples.json")


class Example(msgspec.Struct, frozen=True):
    """What was asked (`path` with its query; `body` as JSON, None without one) and what was answered:
    HTTP 200, or 207 where only a part was done."""

    method: str
    path: str
    body: dict[str, Any] | None
    status: int
    answer: dict[str, Any]


@cache
def examples() -> dict[str, Example]:
    """Every example, by verb and path template: `POST /payments/cancel`."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Example])

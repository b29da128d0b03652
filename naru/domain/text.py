"""Text that came from strangers: which of it can be kept as it came."""

from __future__ import annotations

import re
from typing import Any

# NUL and half characters (lone surrogates) are no text: PostgreSQL and UTF-8 have no place for them.
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")
DEPTH_MAX = 32


def is_storable(value: Any, depth: int = 0) -> bool:
    """Can this value of JSON (or text, or nothing) be kept unchanged? Depth is bounded."""
    if depth > DEPTH_MAX:
        return False
    if isinstance(value, str):
        return _NO_TEXT.search(value) is None
    if isinstance(value, dict):
        return all(
            is_storable(key, depth) and is_storable(each, depth + 1) for key, each in value.items()
        )
    if isinstance(value, list | tuple):
        return all(is_storable(each, depth + 1) for each in value)
    # JSON has no NaN and no infinity, and jsonb refuses them.
    return not isinstance(value, float) or (value == value and abs(value) != float("inf"))


def clean(text: str) -> str:
    """A PG's words, fit to be kept and shown: control and half characters become spaces."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", text).strip()

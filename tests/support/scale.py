"""How often: few times in `make test`, many in `make nightly`."""

from __future__ import annotations

import os


def often(short: int, long: int) -> int:
    """`short`, or `long` in a nightly run (NARU_NIGHTLY=1)."""
    return long if os.environ.get("NARU_NIGHTLY") else short

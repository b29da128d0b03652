"""The clock and the chance of the machine we run on.

Money code is given both (`Gateway.now`, `Gateway.chance`) and takes them from nowhere else, so that a
simulation can decide them. Ids, the third thing a machine gives, are in ids.py.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime


def utc_now() -> datetime:
    """This machine's clock, aware, in UTC."""
    return datetime.now(UTC)


def chance() -> random.Random:
    """Something that spreads waits and guards nothing; secrets come from ids.py."""
    return random.Random()  # noqa: S311 - see above

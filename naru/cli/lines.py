"""Lines of a terminal: times that say their zone, columns that stand in line, strangers' words kept harmless."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime

from naru.domain.deadline import KST


def when(moment: datetime, *, exactly: bool = False) -> str:
    """Korean time with its offset, as `--at` takes it back; with milliseconds when `exactly`."""
    return moment.astimezone(KST).isoformat(" ", "milliseconds" if exactly else "seconds")


def ago(moment: datetime, now: datetime) -> str:
    """How long ago that was, in the largest unit that says it: 40s, 12m, 3h, 5d."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def count(number: int, name: str, many: str = "") -> str:
    """`1 task`, `2 tasks`; `many` where an s alone does not make it."""
    return f"{number:,} {name if number == 1 else many or name + 's'}"


def plain(text: str) -> str:
    """On one line, and nothing that a terminal would obey, whatever a stranger wrote into it."""
    return "".join(each if each.isprintable() else "�" for each in text)


def padded(text: str, columns: int) -> str:
    """Filled up with blanks; a Korean letter takes two columns."""
    return text + " " * (columns - width(text))


def width(text: str) -> int:
    """How many columns of a terminal this takes."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, every column but the last as wide as its widest word."""
    columns = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join((*(padded(*cell) for cell in zip(row[:-1], columns, strict=False)), row[-1]))
        for row in rows
    ]

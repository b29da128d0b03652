"""What a shop or a thief wrote, made safe to show: nothing in it moves a cursor, breaks XML or hides.

A report quotes strangers. Every writer takes its run through `clean_run` first and then escapes
only for its own format.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from naru.certifier.result import Run

RAW_LENGTH_MAX = 10_000  # a tape has been cut already (naru/certifier/tape.py)
TEXT_LENGTH_MAX = 2_000

_RAW = {"request", "response", "safe_code"}

# What XML 1.0 forbids (C0 but tab and line feed, surrogates, U+FFFE, U+FFFF), what moves a
# terminal (C0, C1, DEL), what turns a line around or is not seen (Unicode's Bidi_Control and
# zero-width characters: "Trojan Source", CVE-2021-42574).
_DANGEROUS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\ufffe\uffff]"
)

T = TypeVar("T")


def clean_run(run: Run) -> Run:
    r"""The same run; characters that may do harm are written as escapes (`\x00`, `\ud800`), and what
    is over-long is cut, with a note of how long it was."""
    return _cleaned(run)


def clean_text(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """One text, cleaned as `clean_run` does it. Line ends become line feeds."""
    note = ""
    if len(text) > length_max:
        note = f"\n[… {len(text):,} characters, cut after {length_max:,}]"
        text = text[:length_max]
    return _DANGEROUS.sub(_escape, text.replace("\r\n", "\n")) + note


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _cleaned(value: T, name: str = "") -> T:
    changed: Any = value
    if isinstance(value, str):
        changed = clean_text(value, RAW_LENGTH_MAX if name in _RAW else TEXT_LENGTH_MAX)
    elif isinstance(value, tuple):
        changed = tuple(_cleaned(part, name) for part in value)
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {
            each.name: _cleaned(getattr(value, each.name), each.name) for each in fields(value)
        }
        changed = replace(value, **parts)
    return changed  # type: ignore[no-any-return]

"""Reads what a merchant's server sent, query and body, into one plain tree of fields.

Source: protocol facts, REST §1. V1 takes JSON and PHP-style forms, nested as `extra[requester]=admin`,
`schedules[0][amount]=1004`, `imp_uid[]=a&imp_uid[]=b`, and the document's own jQuery sample sends a form under a JSON header.
So the body itself says what it is: one that opens with `{` or `[` is JSON, any other is a form.

Our rules where no source speaks; every one answers 400 with a sentence, and has a row in the tests:

- text that is not UTF-8, a NUL, or half of a surrogate pair anywhere is refused (no database keeps them);
- a JSON key given twice is refused, because two readers of it may believe two different amounts;
- NaN and Infinity are refused; other JSON numbers keep every digit (`Decimal`), whatever their exponent;
- more than 8 levels of nesting, 2,000 fields or an array index beyond 999 is refused;
- a form field given twice counts once, the last one, unless it is a list (`k[]=` or `k=a&k=b` for a list field).
"""

from __future__ import annotations

import codecs
import json
import re
from decimal import Decimal, InvalidOperation
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from naru.rest import messages
from naru.rest.envelope import HttpRefusal

Field = (
    str | int | Decimal | bool | list["Field"] | dict[str, "Field"] | None
)  # what one field may be
Fields = dict[str, Field]

DEPTH_MAX = 8
FIELDS_MAX = 2_000

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_ESCAPED_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_INDEX = re.compile(r"[0-9]{1,3}")
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def read_body(body: bytes, content_type: str) -> Fields:
    """The fields of a body. `content_type` is only asked whether it is something else altogether.

    Raises HttpRefusal 400 (unreadable) and 415 (multipart, XML, an upload).
    """
    if not body or body.isspace():
        return {}
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith(("multipart/", "image/", "audio/", "video/")) or kind.endswith("xml"):
        raise HttpRefusal(415, messages.BODY_OF_ANOTHER_KIND)
    body = body.removeprefix(codecs.BOM_UTF8)
    if body.lstrip()[:1] in (b"{", b"["):
        return read_json(body)
    return read_form(body)


def read_json(body: bytes) -> Fields:
    """The fields of a JSON object; numbers with a point or an exponent become Decimal."""
    try:
        text = body.decode()
        fields = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        # ValueError: broken UTF-8, broken JSON, or an integer of more digits than Python reads.
        raise HttpRefusal(400, messages.BODY_UNREADABLE) from None
    if not isinstance(fields, dict):
        raise HttpRefusal(400, messages.BODY_UNREADABLE)
    careful = "\0" in text or _ESCAPED_UNSTORABLE.search(body) is not None
    _check_tree(fields, DEPTH_MAX, careful=careful)
    return fields


def read_form(text: bytes) -> Fields:
    """The fields of a query string or an urlencoded body, nested as PHP nests them.

    A plain loop: `parse_qsl` costs more than twice as much on a form of 40 fields.
    """
    fields: Fields = {}
    if not text:
        return fields
    pairs = text.split(b"&", FIELDS_MAX)
    if len(pairs) > FIELDS_MAX:
        raise HttpRefusal(400, messages.BODY_UNREADABLE)
    for pair in pairs:
        if not pair:
            continue
        raw_key, _, raw_value = pair.partition(b"=")
        key, value = _text(raw_key), _text(raw_value)
        if "[" not in key:
            _put_plain(fields, key, value)
        else:
            _put_nested(fields, key, value)
    return fields


def check_text(text: str) -> str:
    """The text itself; refuses NUL and half surrogates, which neither UTF-8 nor PostgreSQL can keep."""
    if _UNSTORABLE.search(text):
        raise HttpRefusal(400, messages.TEXT_UNREADABLE)
    return text


def _text(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise HttpRefusal(400, messages.TEXT_UNREADABLE) from None
    if "\0" in text:
        raise HttpRefusal(400, messages.TEXT_UNREADABLE)
    return text


class Repeated(list[Field]):
    """`k=a&k=b`: every value for a list field, the last value for any other (PHP keeps the last)."""


def _put_plain(fields: Fields, key: str, value: str) -> None:
    before = fields.get(key)
    if before is None:
        fields[key] = value
    elif isinstance(before, Repeated):
        before.append(value)
    else:
        fields[key] = Repeated([before, value]) if isinstance(before, str) else value


def _put_nested(fields: Fields, key: str, value: str) -> None:
    """`a[b][0]=v`. A list is kept as a dict of indexes until it is read (`as_list`)."""
    match = _KEY.fullmatch(key)
    if match is None:
        # PHP reads "a[" or "a]b" in ways nobody means; such a key names nothing here.
        return
    steps = [match[1], *match[2][1:-1].split("][")]
    if len(steps) > DEPTH_MAX:
        raise HttpRefusal(400, messages.BODY_UNREADABLE)
    branch = fields
    for step in steps[:-1]:
        step = step or _next_index(branch)
        below = branch.get(step)
        if not isinstance(below, dict):
            below = branch[step] = {}
        branch = below
    branch[steps[-1] or _next_index(branch)] = value


def _next_index(branch: Fields) -> str:
    return str(len(branch))


def as_list(value: Field) -> list[Field] | None:
    """A JSON array, `k[]=…`, `k[0]=…` or one lone value as a list; None when it is an object."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        if not all(_INDEX.fullmatch(step) for step in value):
            return None
        return [value[step] for step in sorted(value, key=int)]
    return [value]


def _object(pairs: list[tuple[str, Field]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise HttpRefusal(400, messages.BODY_UNREADABLE)
    return fields


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"no number: {text[:20]}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _check_tree(value: Field, depth: int, *, careful: bool) -> None:
    if isinstance(value, str):
        if careful:
            check_text(value)
    elif isinstance(value, dict):
        if depth == 0 or len(value) > FIELDS_MAX:
            raise HttpRefusal(400, messages.BODY_UNREADABLE)
        for key, below in value.items():
            if careful:
                check_text(key)
            _check_tree(below, depth - 1, careful=careful)
    elif isinstance(value, list):
        if depth == 0 or len(value) > FIELDS_MAX:
            raise HttpRefusal(400, messages.BODY_UNREADABLE)
        for below in value:
            _check_tree(below, depth - 1, careful=careful)

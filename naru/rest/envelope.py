"""The envelope of every answer, `{"code", "message", "response"}`, in the bytes that PHP would send.

Source: protocol facts, REST §1 (envelope, JSON style) and models §1. i'mport's server is PHP, so its keys are
sorted, `/` is written `\\/` and every character beyond ASCII `\\uXXXX`. Parsers must not care; some careless
ones do.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from json import dumps
from typing import Any

import msgspec

from naru.domain.errors import BadAmount, BadRequest, OutcomeUnknown, Refused

_ERROR_HANDLER = "naru.rest.php"
_LATIN_AND_ASTRAL = (b"\xc2", b"\xc3", b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
_encode = msgspec.json.Encoder(order="sorted").encode

# V1 tells a doubt as it tells a refusal, by a sentence; this says it to programs that know us.
IN_DOUBT = ((b"naru-outcome", b"unknown"),)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and the finished body. `headers` are extra ones, lower-case names."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class HttpRefusal(Exception):
    """A refusal that V1 tells by HTTP status as well: 400, 401, 404, 405, 408, 409, 413, 415, 422, 429 or 501.

    `code` is -1, as in every 4xx that clients of i'mport were seen to test (unknowns A7).
    """

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def php_json(value: Any) -> bytes:
    """JSON as PHP's json_encode writes it: sorted keys, `\\/`, `\\uXXXX`; ASCII only."""
    body = _encode(value)
    if b"/" in body:
        # Outside of strings JSON has no slash, so every one may be escaped.
        body = body.replace(b"/", b"\\/")
    if not body.isascii():
        # Python's own handler writes the same, and faster, of what is no `é` (\xe9) and no emoji
        # (\U0001f600): UTF-8 begins those, and only those, with one of these bytes.
        known = not any(first in body for first in _LATIN_AND_ASTRAL)
        body = body.decode().encode("ascii", "backslashreplace" if known else _ERROR_HANDLER)
    return body


def success(response: Any, status: int = 200) -> Answer:
    """`code` 0. Status 207 says that only a part of what was asked for is in `response`."""
    return Answer(status, b'{"code":0,"message":null,"response":' + php_json(response) + b"}")


def refusal(message: str, *, code: int, status: int = 200) -> Answer:
    """A refusal: `code` is not 0 and `response` is null. Business refusals keep HTTP status 200."""
    return Answer(status, php_json({"code": code, "message": message, "response": None}))


def refusal_of(error: HttpRefusal | Refused | OutcomeUnknown) -> Answer:
    """The answer that this refusal asks for: what the request itself did wrong is also told by HTTP status."""
    match error:
        case HttpRefusal():
            answer = refusal(error.message, code=-1, status=error.status)
            return Answer(answer.status, answer.body, error.headers)
        case BadRequest() | BadAmount():
            return refusal(error.sentence, code=error.code, status=400)
        case Refused():
            return refusal(error.sentence, code=error.code)
        case OutcomeUnknown():
            answer = refusal(error.sentence, code=1)
            return Answer(answer.status, answer.body, IN_DOUBT)


def not_known_yet(response: Any) -> Answer:
    """409: what was asked is under way, and `response` is how it stands now. Never an answer for good."""
    said = {"code": 1, "message": OutcomeUnknown.sentence, "response": response}
    return Answer(409, php_json(said), (*IN_DOUBT, (b"retry-after", b"5")))


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """One run of characters beyond ASCII as `\\uXXXX` (two of them for an emoji, as PHP does)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ERROR_HANDLER, _escape)

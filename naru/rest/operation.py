"""The table of operations, and how a request finds its row.

One row is one operation of V1: verb and path template, the request it reads, the function that answers, and the
words for the documentation. Routing, the documents and the tests that are generated over every operation read this table and
nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from naru.domain.once import Once
from naru.domain.payment import Payment
from naru.payments.gateway import Gateway
from naru.rest import messages
from naru.rest.envelope import Answer, HttpRefusal


class Nothing(msgspec.Struct):
    """The request of an operation that reads no field."""


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, and with what hands. `now` is one reading of the gateway's clock for the whole call.

    `payment` is the merchant's payment that the path names, as it stood when we learned who calls.
    `once` belongs to the Idempotency-Key of this call, if it has one; a verb that changes something is given it.
    """

    gateway: Gateway
    merchant_id: int
    now: datetime
    payment: Payment | None = None
    user_agent: str | None = None
    remote_address: str | None = None
    once: Once | None = None


Verb = Callable[[Call, Any], Awaitable[Answer]]
OpenVerb = Callable[[Gateway, Any, str | None], Awaitable[Answer]]
# What became of what a repeated request began: its answer, or 409 while nobody knows (`not_known_yet`).
Recall = Callable[[Call, Any, str], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table. `verb` answers for a signed-in merchant; `open_verb` needs no token and is
    given the caller's address. A row that changes something has `recall`, and takes an Idempotency-Key.

    `answer` is the type of `response` when it went well (a struct, a list of one); None when V1 answers
    with code and message alone. With `partial` status 207 says that `response` holds only a part of what
    was asked for. `summary` says in Korean what it does, `english` in English.
    """

    method: str
    path: str
    request: type[msgspec.Struct]
    summary: str
    tag: str
    verb: Verb | None = None
    open_verb: OpenVerb | None = None
    recall: Recall | None = None
    answer: Any = field(kw_only=True)
    english: str = field(kw_only=True)
    partial: bool = False

    def __post_init__(self) -> None:
        if (self.verb is None) == (self.open_verb is None):
            raise ValueError(f"{self.method} {self.path} needs one verb")


class Route(NamedTuple):
    """The row that a request found, and what stood in its path."""

    operation: Operation
    path_fields: dict[str, str]


@dataclass(slots=True)
class _Branch:
    """One segment of the paths: what may follow it by name, what may follow as a value, what ends here."""

    named: dict[bytes, _Branch] = field(default_factory=dict)
    value: _Branch | None = None
    ends: dict[str, tuple[Operation, tuple[str, ...]]] = field(default_factory=dict)


class Router:
    """Finds the row of a request: one dict lookup per path segment, however long the table grows.

    A named segment goes before a value (`/payments/cancel` is never a payment called "cancel"). A trailing slash counts for
    nothing, and a verb that a path does not have is read as GET where the path has GET (REST §1).
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Branch()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        branch, names = self._root, []
        for segment in operation.path.strip("/").split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                branch.value = branch.value or _Branch()
                branch = branch.value
            else:
                branch = branch.named.setdefault(segment.encode(), _Branch())
        if operation.method in branch.ends:
            raise ValueError(f"{operation.method} {operation.path} is in the table twice")
        branch.ends[operation.method] = (operation, tuple(names))

    def owns(self, raw_path: bytes) -> bool:
        """Does this path belong to the merchant's door, whatever the verb?"""
        return self._walk(raw_path) is not None

    def find(self, method: str, raw_path: bytes) -> Route:
        """The row of this request. Raises HttpRefusal 404, 405, and 400 for a broken path."""
        found = self._walk(raw_path)
        if found is None:
            raise HttpRefusal(404, messages.NO_OPERATION)
        branch, values = found
        end = branch.ends.get(method) or branch.ends.get("GET")
        if end is None:
            allow = ", ".join(sorted(branch.ends)).encode()
            raise HttpRefusal(405, messages.WRONG_VERB, ((b"allow", allow),))
        operation, names = end
        if not names:
            return Route(operation, {})
        return Route(operation, dict(zip(names, map(_path_text, values), strict=True)))

    def _walk(self, raw_path: bytes) -> tuple[_Branch, list[bytes]] | None:
        segments = raw_path.strip(b"/").split(b"/")
        return _descend(self._root, segments, 0, [])


def _descend(
    branch: _Branch, segments: list[bytes], depth: int, values: list[bytes]
) -> tuple[_Branch, list[bytes]] | None:
    if depth == len(segments):
        return (branch, values) if branch.ends else None
    segment = segments[depth]
    named = branch.named.get(segment)
    if named is not None:
        found = _descend(named, segments, depth + 1, values)
        if found is not None:
            return found
    if branch.value is not None and segment:
        return _descend(branch.value, segments, depth + 1, [*values, segment])
    return None


def _path_text(raw: bytes) -> str:
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise HttpRefusal(400, messages.TEXT_UNREADABLE) from None
    if "\0" in text:
        raise HttpRefusal(400, messages.TEXT_UNREADABLE)
    return text

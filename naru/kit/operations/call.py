"""One operation of the gateway, described once for both clients.

A function of this room only describes a call: method, path, fields, and how to read the answer. The class
`Operations` turns each into a method that returns `T` on `Client` and a coroutine of `T` on
`AsyncClient`, with the same signature and docstring.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload
from urllib.parse import quote, urlencode

from naru.kit.errors import MalformedAnswer
from naru.kit.types import Payment

if TYPE_CHECKING:
    from naru.kit.client import AsyncClient, Client

P = ParamSpec("P")
T = TypeVar("T")

_IMP_UID = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Call(Generic[T]):
    """What to ask and how to read the answer. `question` marks calls that change nothing."""

    method: str
    path: str
    read: Callable[[Any], T]
    query: tuple[tuple[str, str], ...] = ()
    fields: Mapping[str, Any] | None = None
    question: bool = field(default=False)

    @property
    def target(self) -> str:
        """Path and query, already escaped."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


class Operation(Generic[P, T]):
    """Binds a description to a client: the sync one sends it, the async one promises to."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Operation[P, T]: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self._describe)
        def ask(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.send(self._describe(*args, **kwargs))

        return ask


def imp_uid_of(value: str) -> str:
    """An imp_uid as a part of a path. Raises ValueError for what none can be."""
    # Checked here because it becomes a part of the path, and often comes from a browser.
    if not isinstance(value, str) or not _IMP_UID.fullmatch(value):
        raise ValueError("an imp_uid is 1 to 32 letters, digits, hyphens or underscores")
    return value


def text_of(name: str, value: str) -> str:
    """Text that may be sent. Raises TypeError and ValueError for what may not."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text")
    if not value or any(character < " " or character == "\x7f" for character in value):
        raise ValueError(f"{name} must not be empty or hold control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} is not valid Unicode") from None
    return value


def segment_of(name: str, value: str) -> str:
    """Text as one segment of a path, escaped."""
    if text_of(name, value) in (".", ".."):
        raise ValueError(f"{name} must not be a dot segment")
    return quote(value, safe="")


def tail_of(status: str | None) -> str:
    """The optional last segment of a path."""
    return "" if status is None else "/" + segment_of("status", status)


def money_of(value: Decimal | int | None) -> Decimal | int | None:
    """Money as it is sent. Raises TypeError for a float, ValueError for what no amount can be."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError("money is an int or a Decimal, never a float")
    if not Decimal(value).is_finite() or value < 0:
        raise ValueError("money must be finite and not negative")
    return value


def unix_seconds(moment: datetime | None) -> int | None:
    """An aware time in whole UNIX seconds. Raises ValueError for one without a zone."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("a time must say its zone")
    return int(moment.timestamp())


def given(**fields: Any) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def query_of(**fields: Any) -> tuple[tuple[str, str], ...]:
    """The fields that have a value, as a query."""
    return tuple((name, str(value)) for name, value in given(**fields).items())


def the_payment(key: str, asked: str | None) -> Callable[[Any], Payment]:
    """Reads a payment and checks that the answer is about the question."""

    def read(value: Any) -> Payment:
        answered = Payment.read(value)
        if getattr(answered, key) != asked:
            raise MalformedAnswer(f"the answer is about another {key}")
        return answered

    return read


def list_of(read: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Reads a list of what `read` reads."""

    def read_list(value: Any) -> list[T]:
        if not isinstance(value, list):
            raise MalformedAnswer("the answer is not a list")
        return [read(item) for item in value]

    return read_list

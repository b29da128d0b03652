"""What an operation may refuse, read from the source of its verb: the catalogue can never fall behind the code.

A sentence that is put together in a way which this reading does not follow is missing from the catalogue, or `…`, never
wrong in it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from naru.domain import errors
from naru.rest import messages

# A sentence that is known only when it is said: the PG's own words, for example.
SAID_THEN = "…"
# The rooms whose functions refuse what a merchant asks.
_ROOMS = ("naru.rest", "naru.payments", "naru.domain")


class Refusal(NamedTuple):
    """One way in which an operation says no; `{name}` in the sentence stands for what was asked."""

    status: int
    code: int
    sentence: str


def refusals_of(verb: Callable[..., Any]) -> tuple[Refusal, ...]:
    """The refusals that stand in a verb and in the functions that it reaches by name, by status and sentence."""
    found = {
        refusal
        for module, function in _reached(verb.__module__, verb.__name__)
        for refusal in _stated(function, vars(sys.modules[module]))
    }
    return tuple(sorted(found))


def every_sentence() -> tuple[Refusal, ...]:
    """The whole tree of business refusals (naru/domain/errors.py), whatever operation meets them."""
    found, left = set(), [errors.Refused]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        by_request = issubclass(kind, errors.BadRequest | errors.BadAmount)
        if kind.__module__ == errors.__name__:
            found.add(Refusal(400 if by_request else 200, kind.code, kind.sentence))
    found.add(Refusal(200, 1, errors.OutcomeUnknown.sentence))
    return tuple(sorted(found))


@cache
def _functions(module: str) -> dict[str, ast.AST]:
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # An installation without its sources tells less.
        return {}
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _reached(module: str, name: str) -> Iterator[tuple[str, ast.AST]]:
    """The functions that this one names, and those name, within the rooms that may refuse."""
    seen: set[tuple[str, str]] = set()
    left = [(module, name)]
    while left:
        place = left.pop()
        function = _functions(place[0]).get(place[1])
        if place in seen or function is None:
            continue
        seen.add(place)
        yield place[0], function
        names = vars(sys.modules[place[0]])
        for node in ast.walk(function):
            meant = names.get(node.id) if isinstance(node, ast.Name) else None
            if inspect.isfunction(meant) and meant.__module__.startswith(_ROOMS):
                left.append((meant.__module__, meant.__name__))


def _stated(function: ast.AST, names: dict[str, Any]) -> Iterator[Refusal]:
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name):
            yield from _of_class(names.get(node.exc.id), None)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        words = [_sentence(each) for each in node.args]
        match node.func.id:
            case "HttpRefusal":
                status = node.args[0]
                if isinstance(status, ast.Constant) and len(words) > 1:
                    yield Refusal(int(str(status.value)), -1, words[1] or SAID_THEN)
            case "paid_by" if len(words) > 3 and words[3]:
                yield Refusal(_number(node, "status", 404), -1, words[3])
            case "malformed" if node.args and isinstance(node.args[0], ast.Constant):
                yield Refusal(400, -1, messages.malformed(str(node.args[0].value)))
            case "refusal" if words and words[0]:
                yield Refusal(_number(node, "status", 200), _number(node, "code", 1), words[0])
            case _:
                yield from _of_class(names.get(node.func.id), words[0] if words else None)


def _of_class(kind: Any, sentence: str | None) -> Iterator[Refusal]:
    if isinstance(kind, type) and issubclass(kind, errors.Refused):
        by_request = issubclass(kind, errors.BadRequest | errors.BadAmount)
        said = sentence or kind.sentence
        if said != errors.Refused.sentence:
            yield Refusal(400 if by_request else 200, kind.code, said)


def _sentence(node: ast.expr) -> str | None:
    """The text of `messages.NAME` or `messages.name(...)`; None for anything else."""
    if isinstance(node, ast.Attribute) and _is_messages(node.value):
        said = getattr(messages, node.attr, None)
        return said if isinstance(said, str) else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    if not _is_messages(node.func.value) or node.keywords:
        return None
    write = getattr(messages, node.func.attr, None)
    given = [
        each.value
        if isinstance(each, ast.Constant)
        else "{" + ast.unparse(each).split(".")[-1] + "}"
        for each in node.args
    ]
    try:
        return str(write(*given)) if callable(write) else None
    except (TypeError, ValueError):
        return None


def _is_messages(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "messages"


def _number(call: ast.Call, name: str, usual: int) -> int:
    for keyword in call.keywords:
        if keyword.arg != name:
            continue
        try:
            return int(ast.literal_eval(keyword.value))
        except (ValueError, TypeError):
            return usual
    return usual

"""`python -m tests.contract.record_examples`: one request and its answer for every operation, as they went over the wire.

Runs the tests of tests/rest that prove an operation and listens at their door: the first request that such a test
sent as JSON or as a form, and that was done, is the operation's example (naru/rest/examples.json).
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from naru.cli.seed import IMP_KEY, IMP_SECRET
from naru.rest import operations
from naru.rest.examples import FILE
from tests.contract.fits import found

if TYPE_CHECKING:
    from tests.rest.conftest import Answered

Json = dict[str, Any]
# Whoever reads an example has seen enough of a list then.
ROWS_MAX = 2
# All of it, or a part of it.
DONE = (200, 207)


class Listener:
    """Hears what the test of the moment asks, and keeps what it proves."""

    def __init__(self) -> None:
        self.heard: dict[str, Json] = {}
        self._proves: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [each for each in items if each.get_closest_marker("operation")]

    def pytest_collection_finish(self) -> None:
        # Not before pytest has rewritten its asserts.
        from tests.rest.conftest import Desk

        ask, hear = Desk.ask, self.hear

        @functools.wraps(ask)
        async def listened(desk: Desk, method: str, path: str, **how: Any) -> Answered:
            answered = await ask(desk, method, path, **how)
            hear(method, path, how, answered)
            return answered

        Desk.ask = listened  # type: ignore[method-assign]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self._proves = {str(word) for mark in item.iter_markers("operation") for word in mark.args}
        return (yield)

    def hear(self, method: str, path: str, how: Mapping[str, Any], answered: Answered) -> None:
        operation = found(method, path)
        if operation is None or operation.method != method:
            return
        name = f"{operation.method} {operation.path}"
        body = how.get("json", how.get("data"))
        if name not in self._proves or name in self.heard or not isinstance(body, dict | None):
            return
        if answered.status in DONE and answered.body["code"] == 0:
            query = urlencode(how.get("params") or {})
            self.heard[name] = {
                "method": method,
                "path": path.rstrip("/") + (f"?{query}" if query else ""),
                "body": _as_the_demo(_shortened(body)),
                "status": answered.status,
                "answer": _shortened(answered.body),
            }


def _as_the_demo(body: Json | None) -> Json | None:
    """The same request with the demo's pair, which a reader can send; a channel's key is everybody's own."""
    if body is None:
        return None
    demo = {"imp_key": IMP_KEY, "imp_secret": IMP_SECRET, "channel_key": "channel-key-…"}
    return {key: demo.get(key, value) for key, value in body.items()}


def _shortened(value: Any) -> Any:
    """What a reader needs of it: two rows of a list, and a name where a test fills a column to its edge."""
    match value:
        case str() if len(value) > 9 and len(set(value)) == 1:
            return "홍길동"
        case dict():
            return {key: _shortened(each) for key, each in value.items()}
        case list():
            return [_shortened(each) for each in value[:ROWS_MAX]]
    return value


def main() -> int:
    """Record them all; 1, and nothing written, when a test failed or an operation was never heard."""
    listener = Listener()
    names = [f"{each.method} {each.path}" for each in operations()]
    # What this file imports came before pytest could rewrite its asserts; they are none of tests/rest.
    quiet = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    failed = pytest.main([*quiet, "tests/rest"], [listener])
    missing = [name for name in names if name not in listener.heard]
    if failed or missing:
        print("never heard:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    rows = {name: listener.heard[name] for name in names}
    FILE.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

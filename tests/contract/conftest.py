"""The contract is tried at the door of tests/rest: the same house, an event loop for the whole session."""

from __future__ import annotations

import inspect

import pytest

from tests.rest.conftest import desk_with_pg, house, rest_database

__all__ = ["desk_with_pg", "house", "rest_database"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses the house shares its event loop."""
    for item in items:
        if "tests/contract/" in item.path.as_posix() and inspect.iscoroutinefunction(
            getattr(item, "function", None)
        ):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)

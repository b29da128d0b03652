"""Fixtures that every room may use."""

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.postgres import Databases


@pytest.fixture(scope="session")
def databases() -> "Iterator[Databases]":
    """One PostgreSQL for this pytest process, started when the first test asks for it.

    `databases.new()` gives the address of a fresh database, for fixtures of a wider scope.
    """
    from tests.support.postgres import Databases, postgres_server

    with postgres_server() as server:
        databases = Databases(server)
        yield databases
        databases.close()


@pytest.fixture
def database_url(databases: "Databases") -> Iterator[str]:
    """The address of a database of this test's own, with the house's tables in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database_url(databases: "Databases") -> Iterator[str]:
    """The address of a database of this test's own, without a table."""
    url = databases.new(migrated=False)
    yield url
    databases.drop(url)


def pytest_sessionfinish() -> None:
    """Let what was left open complain now, and not while pytest's last words compile a module.

    Python 3.11 formats a complaint with `ast.parse`, and a compilation inside another one breaks it
    ("AST constructor recursion depth mismatch").
    """
    gc.collect()

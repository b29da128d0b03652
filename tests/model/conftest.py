"""One gateway for all that a file runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.model.bench import Bench

if TYPE_CHECKING:
    from tests.support.postgres import Databases


@pytest.fixture(scope="module")
def bench(databases: Databases) -> Iterator[Bench]:
    dsn = databases.new()
    opened = Bench(dsn)
    yield opened
    opened.close()
    databases.drop(dsn)

"""A database, a merchant's server and a deliverer between them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from naru.store import Store
from naru.webhooks.deliver import Deliverer
from naru.wire import Wire
from tests.support.gateway import ROOT_KEY
from tests.support.receiver import Receiver, receiving

if TYPE_CHECKING:
    from tests.support.postgres import Databases


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for a whole file: every test has a merchant of its own, and looks at no other."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, root_key=ROOT_KEY)
    yield opened
    await opened.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as server:
        yield server


@pytest.fixture
async def deliverer(store: Store) -> AsyncIterator[Deliverer]:
    async with Wire(allow_private=True, ports=None) as wire:
        yield Deliverer(store, wire, chance=random.Random(1))

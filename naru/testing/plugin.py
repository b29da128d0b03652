"""The pytest plugin: the fixtures `imp` and `async_imp`. Loaded by every run of pytest, so it imports next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from naru.testing.async_imp import AsyncImp
    from naru.testing.imp import Imp
    from naru.testing.private_gateway import PrivateGateway


@pytest.fixture(scope="session")
def private_gateway() -> Iterator[PrivateGateway]:
    """A gateway, its worker, a sandbox PG and PostgreSQL, from the first test that asks to the last.

    With pytest-xdist each worker has its own, for a test may move its time.
    """
    from naru.testing.private_gateway import GatewayTrouble, PrivateGateway

    gateway = PrivateGateway()
    try:
        gateway.start()
    except GatewayTrouble as trouble:
        pytest.fail(str(trouble), pytrace=False)
    yield gateway
    gateway.stop()


@pytest.fixture
def imp(private_gateway: PrivateGateway) -> Iterator[Imp]:
    """A merchant of this test's own at a private gateway (naru.testing.imp.Imp)."""
    # It may have died under an earlier test, which was told so; this one is another test.
    private_gateway.start()
    shop = private_gateway.open_shop()
    yield shop
    shop.close()
    if shop.time_was_moved:
        private_gateway.begin_anew()


@pytest.fixture
def async_imp(imp: Imp) -> AsyncImp:
    """The same for a test that is a coroutine: its verbs are awaited."""
    from naru.testing.async_imp import AsyncImp

    return AsyncImp(imp)

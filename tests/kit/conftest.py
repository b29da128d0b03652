"""A stand-in gateway for what must be arranged exactly; the plugin's `imp` is a true one."""

from collections.abc import Iterator

import pytest

from naru.testing.plugin import imp, private_gateway
from tests.support.stand_in_gateway import StandInGateway

__all__ = ["imp", "private_gateway"]


@pytest.fixture
def gateway() -> Iterator[StandInGateway]:
    with StandInGateway() as stand_in:
        yield stand_in

"""The fixture `imp`, over one private gateway for this folder, as a merchant's tests get it."""

from collections.abc import Iterator

import pytest

from naru.testing.plugin import async_imp, imp, private_gateway
from tests.support.processes import BYTECODE

__all__ = ["async_imp", "imp", "private_gateway"]


@pytest.fixture(scope="session", autouse=True)
def _bytecode() -> Iterator[None]:
    """Programs start three times as fast when their bytecode is kept; this machine may forbid it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(BYTECODE))
        yield

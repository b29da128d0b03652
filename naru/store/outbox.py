"""Being written by its owner at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naru.store.connection import Connection


class Outbox:
    """See the module's sentence."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

"""Who is acting: a merchant's server or an operator, for the audit log (P20).

The door that lets somebody in says so once; the store writes it beside every transaction of that
call. Nobody is acting when buyers, PGs and the worker do their part.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import asdict, dataclass

from naru.domain.text import clean

CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Acting:
    """`who` is a person's name, or None when `token`, the SHA-256 of an access token in hex, tells it.

    `what` is the operation or the command, without its arguments. `address` is where the call came from.
    """

    what: str
    who: str | None = None
    token: str | None = None
    address: str | None = None

    def to_hex(self) -> str:
        """As the database is told it: hex digits cannot leave the quotes they stand in."""
        words = {
            name: clean(str(value))[:CHARACTERS_MAX]
            for name, value in asdict(self).items()
            if value is not None
        }
        return json.dumps(words).encode().hex()


acting: ContextVar[Acting | None] = ContextVar("acting", default=None)
"""Who acts in this task, and in the tasks that it starts."""

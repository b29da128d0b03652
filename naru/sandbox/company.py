"""What every room of the sandbox PG is handed: its ledger, its address, its clock, its secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from starlette.requests import Request

from naru.sandbox.ledger import Book, Ledger
from naru.sandbox.vault import Vault

if TYPE_CHECKING:
    from naru.sandbox.isp import Authorities


@dataclass(frozen=True, slots=True)
class Member:
    mid: str
    secret: str
    name: str
    profile: str


@dataclass(slots=True)
class Company:
    """One running sandbox PG. `pace` stretches the delays of magic scenarios (1 is real time)."""

    ledger: Ledger
    address: str
    clock: Callable[[], float]
    pace: float
    templates: Environment
    vault: Vault
    authorities: Authorities
    notices_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    _members: dict[str, Member] = field(default_factory=dict)
    _errands: set[asyncio.Task[Any]] = field(default_factory=set)

    def now(self) -> int:
        """The time in UNIX seconds."""
        return int(self.clock())

    @property
    def origin(self) -> str:
        return "/".join(self.address.split("/")[:3])

    def member(self, mid: str) -> Member | None:
        """A member never changes after joining, so it is read from the ledger once."""
        known = self._members.get(mid)
        if known is None:
            row = self.ledger.read(Book.member, mid)
            if row is None:
                return None
            known = Member(row["mid"], row["secret"], row["name"], row["profile"])
            self._members[mid] = known
        return known

    def send_on_errand(self, errand: Coroutine[Any, Any, Any]) -> None:
        """Let something happen although nobody waits for it."""
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def close(self) -> None:
        for errand in list(self._errands):
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        self.ledger.close()


def company_of(request: Request) -> Company:
    company: Company = request.app.state.company
    return company

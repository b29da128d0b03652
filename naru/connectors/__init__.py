"""Every file in this room is a PG. Here: the contract they fill in, and the finder.

Connectors are stateless: all state lives in payments and intents. One new file is one new PG; no list
is edited, because files are found by their names.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from importlib import import_module
from typing import Protocol

from naru.domain.channel import Channel
from naru.domain.money import Money
from naru.domain.outcome import (
    AccountIssued,
    CancelOrder,
    CancelOutcome,
    Declined,
    Deposited,
    Inquired,
    Outcome,
    Return,
    Ticket,
    Undone,
    Unknown,
)
from naru.domain.payment import Buyer, Payment
from naru.domain.window import WindowPlan
from naru.wire import Wire


class Can(Enum):
    """Powers of a PG. Ask what it can do, never who it is."""

    PARTIAL_CANCEL = auto()
    NET_CANCEL = auto()  # undo an approval whose answer was lost
    INQUIRE_ORDER = auto()  # look an order up by our own number
    INQUIRE_CANCEL = auto()  # look a cancel up by our own number
    ISSUE_ACCOUNT = auto()  # virtual account without a window
    CLOSE_ACCOUNT = auto()


@dataclass(frozen=True, slots=True)
class WindowOrder:
    """What a PG needs to show its window for one payment. Times are aware datetimes."""

    payment: Payment
    merchant_name: str
    return_url: str
    notice_url: str
    frame_ancestors: tuple[str, ...] = ()
    installments: tuple[int, ...] | None = None
    account_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountOrder:
    """A virtual account asked for by the merchant's server."""

    order_no: str
    amount: Money
    bank_code: str
    holder: str | None
    due: datetime
    name: str | None
    merchant_name: str
    merchant_uid: str
    notice_url: str
    buyer: Buyer = field(default_factory=Buyer)


class Connector(Protocol):
    """One PG. No method raises for anything the PG says or fails to say; doubt is Unknown."""

    can: frozenset[Can]
    auth_token_seconds: int  # after this long an authentication cannot become an approval any more

    async def prepare(self, channel: Channel, order: WindowOrder) -> WindowPlan | Declined:
        """Where the buyer's browser goes. Declined when the PG cannot open a window now."""

    def read_return(self, channel: Channel, payment: Payment, fields: dict[str, str]) -> Return:
        """Read what the browser brought back. Raises ForgedReturn when it is not the PG's word about this payment."""

    async def approve(self, channel: Channel, ticket: Ticket) -> Outcome:
        """Take the money."""

    async def net_cancel(self, channel: Channel, order_no: str, reason: str) -> Undone | Unknown:
        """Undo it, if it happened. Only with Can.NET_CANCEL."""

    async def inquire(self, channel: Channel, order_no: str) -> Inquired:
        """What became of this order. Only with Can.INQUIRE_ORDER."""

    async def cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        """Give money back."""

    async def inquire_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome | None:
        """What became of this cancel; None: the PG never saw it. Only with Can.INQUIRE_CANCEL."""

    async def issue_account(
        self, channel: Channel, order: AccountOrder
    ) -> AccountIssued | Declined | Unknown:
        """Issue a virtual account without a window. Only with Can.ISSUE_ACCOUNT."""

    async def close_account(self, channel: Channel, order_no: str) -> Undone | Declined | Unknown:
        """Close a waiting account. Only with Can.CLOSE_ACCOUNT."""

    def read_notice(
        self, channel: Channel, headers: dict[str, str], body: bytes
    ) -> Deposited | None:
        """Read a notice of the PG; None for one that asks nothing of us. Raises ForgedReturn without its proof."""

    def acknowledge(self, stored: bool) -> tuple[int, str, bytes]:
        """HTTP status, content type and bytes that this PG wants to hear; `stored` only after our commit."""


class UnknownConnector(LookupError):
    """A channel names a connector that this version does not have."""


def names() -> list[str]:
    """The connectors of this version."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str, wire: Wire, now: Callable[[], datetime]) -> Connector:
    """The connector of that name, speaking through this wire and reading this clock.

    Raises UnknownConnector.
    """
    if name not in names():
        raise UnknownConnector(name)
    made: Connector = import_module(f"{__name__}.{name}").connector(wire, now)
    return made

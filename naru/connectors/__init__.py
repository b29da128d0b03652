"""Every file in this room is a PG. Here: the contract they fill in, and the finder.

Connectors are stateless: all state lives in payments and intents. One new file is one new PG; no list
is edited, because files are found by their names.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum, auto
from importlib import import_module
from typing import ClassVar, Protocol

from naru.domain.book import BookPage
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
    TooLate,
    Undone,
    Unknown,
)
from naru.domain.payment import Buyer, Payment
from naru.domain.window import WindowPlan
from naru.wire import Wire

KST = timezone(timedelta(hours=9))


class Can(Enum):
    """Powers of a PG. Ask what it can do, never who it is."""

    PARTIAL_CANCEL = auto()
    NET_CANCEL = auto()  # undo an approval whose answer was lost
    INQUIRE_ORDER = auto()  # look an order up by our own number
    INQUIRE_CANCEL = auto()  # look a cancel up by our own number
    REPEAT_APPROVAL = auto()  # the same question once more has one effect and the same answer
    REPEAT_CANCEL = auto()  # the same cancel once more has one effect and the same answer
    LIST_BOOK = auto()  # show its own book of movements, page by page
    ISSUE_ACCOUNT = auto()  # virtual account without a window
    CLOSE_ACCOUNT = auto()


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a power lasts after the question: so much time, or so many days of Korea's calendar."""

    time: timedelta | None = None
    days: int | None = None  # 2: today and tomorrow, as "today's and yesterday's orders" means

    def until(self, asked_at: datetime) -> datetime:
        """The first moment at which the power is gone; aware."""
        ends = []
        if self.time is not None:
            ends.append(asked_at + self.time)
        if self.days is not None:
            midnight = asked_at.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)
            ends.append(midnight + timedelta(days=self.days))
        return min(ends)


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
    # Powers of recovery that end: a net-cancel within the hour, inquiries of today and yesterday.
    lasts: ClassVar[Mapping[Can, Lasting]] = {}
    auth_token_seconds: int  # after this long an authentication cannot become an approval any more

    async def prepare(self, channel: Channel, order: WindowOrder) -> WindowPlan | Declined:
        """Where the buyer's browser goes. Declined when the PG cannot open a window now."""

    def read_return(self, channel: Channel, payment: Payment, fields: dict[str, str]) -> Return:
        """Read what the browser brought back. Raises ForgedReturn when it is not the PG's word about this payment."""

    async def approve(self, channel: Channel, ticket: Ticket) -> Outcome:
        """Take the money."""

    async def repeat(self, channel: Channel, ticket: Ticket) -> Outcome:
        """Ask the same again, with the same key: one effect, the first answer. Only with Can.REPEAT_APPROVAL.

        A repetition that did not leave, or that the PG did not take up, says nothing about the
        first question: that is Unknown, not Declined.
        """

    async def repeat_cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
        """Cancel with the same number again; as `repeat`. Only with Can.REPEAT_CANCEL."""

    async def net_cancel(
        self, channel: Channel, order_no: str, reason: str
    ) -> Undone | TooLate | Unknown:
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

    async def book(
        self, channel: Channel, since: datetime, until: datetime, after: str | None
    ) -> BookPage | Unknown:
        """What moved from `since` up to `until`, oldest first: the page behind `after`. Only with Can.LIST_BOOK."""

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

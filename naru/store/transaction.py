"""What a session with the database offers: the tables by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naru.store.audit_log import AuditLog
from naru.store.billing_keys import BillingKeys
from naru.store.cash_receipts import CashReceipts
from naru.store.certifications import Certifications
from naru.store.channels import Channels
from naru.store.deposits import Deposits
from naru.store.doubts import Doubts
from naru.store.errands import Errands
from naru.store.house import House
from naru.store.idempotency import Idempotency
from naru.store.intents import Intents
from naru.store.keys import Keys
from naru.store.limits import Limits
from naru.store.merchants import Merchants
from naru.store.notices import Notices
from naru.store.order_acts import OrderActs
from naru.store.outbox import Outbox
from naru.store.pages import Pages
from naru.store.payments import Payments
from naru.store.pg_books import PgBooks
from naru.store.prepared import PreparedAmounts
from naru.store.queue import Queue
from naru.store.quick import Quick
from naru.store.schedules import Schedules
from naru.store.tasks import Tasks
from naru.store.tiers import Tiers
from naru.store.watches import Watches

if TYPE_CHECKING:
    from naru.store.connection import Connection


class Session:
    """One connection for a while; inside `Store.begin()` it is one transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ping(self) -> None:
        """One round trip, to know that the database answers."""
        await self._connection.raw.fetchval("SELECT 1")

    @property
    def payments(self) -> Payments:
        """Payments, their events and what was given back."""
        return Payments(self._connection)

    @property
    def pages(self) -> Pages:
        """Payments a page at a time."""
        return Pages(self._connection)

    @property
    def intents(self) -> Intents:
        """The journal of what PGs were asked."""
        return Intents(self._connection)

    @property
    def merchants(self) -> Merchants:
        """Merchants, their API keys and tokens."""
        return Merchants(self._connection)

    @property
    def quick(self) -> Quick:
        """Orders and members of quick pay."""
        return Quick(self._connection)

    @property
    def tiers(self) -> Tiers:
        """Merchants that an agency acts for."""
        return Tiers(self._connection)

    @property
    def keys(self) -> Keys:
        """The keys that seal what is secret."""
        return Keys(self._connection)

    @property
    def channels(self) -> Channels:
        """Contracts with PGs."""
        return Channels(self._connection)

    @property
    def billing_keys(self) -> BillingKeys:
        """What customers' cards are charged by."""
        return BillingKeys(self._connection)

    @property
    def certifications(self) -> Certifications:
        """Who persons are, for as long as the merchant keeps it."""
        return Certifications(self._connection)

    @property
    def schedules(self) -> Schedules:
        """Orders that are due later."""
        return Schedules(self._connection)

    @property
    def cash_receipts(self) -> CashReceipts:
        """What the tax office was told."""
        return CashReceipts(self._connection)

    @property
    def errands(self) -> Errands:
        """What PGs are told without moving money."""
        return Errands(self._connection)

    @property
    def prepared(self) -> PreparedAmounts:
        """Amounts announced beforehand."""
        return PreparedAmounts(self._connection)

    @property
    def idempotency(self) -> Idempotency:
        """Requests that carry an Idempotency-Key."""
        return Idempotency(self._connection)

    @property
    def limits(self) -> Limits:
        """How often something was done lately."""
        return Limits(self._connection)

    @property
    def deposits(self) -> Deposits:
        """What arrived in virtual accounts."""
        return Deposits(self._connection)

    @property
    def notices(self) -> Notices:
        """Notices that could not be read or booked."""
        return Notices(self._connection)

    @property
    def pg_books(self) -> PgBooks:
        """Our side of a comparison with a PG's own book."""
        return PgBooks(self._connection)

    @property
    def order_acts(self) -> OrderActs:
        """What PGs were told about orders."""
        return OrderActs(self._connection)

    @property
    def outbox(self) -> Outbox:
        """Webhooks waiting to leave."""
        return Outbox(self._connection)

    @property
    def tasks(self) -> Tasks:
        """What waits for a person."""
        return Tasks(self._connection)

    @property
    def doubts(self) -> Doubts:
        """What was asked in vain and moves no money."""
        return Doubts(self._connection)

    @property
    def watches(self) -> Watches:
        """Undone approvals that may yet turn up."""
        return Watches(self._connection)

    @property
    def queue(self) -> Queue:
        """Jobs waiting to run."""
        return Queue(self._connection)

    @property
    def house(self) -> House:
        """Which database this is, and whether it may act."""
        return House(self._connection)

    @property
    def audit_log(self) -> AuditLog:
        """Who changed what, in chains of hashes."""
        return AuditLog(self._connection)

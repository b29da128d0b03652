"""What the kit must be able to ask of a shop's own database, and nothing more.

`begin()` opens one transaction of the shop's database and gives a desk: four verbs, and the shop's
own session for the work that must happen with the order's change or not at all. Ready ones:
`naru.kit.orders.memory`, `.sqlalchemy`, `.django`. Whoever writes another runs
`naru.kit.orders.conformance` over it.

An asynchronous store is the same with `async with` and awaited verbs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol, TypeVar, get_args

# placed     nobody has paid; `failed` the same, and the last try was refused
# waiting    a virtual account waits for its deposit
# paid       fulfilled, once
# refunding  the shop will not fulfil it: the money goes back
# cancelled  the money went back
Status = Literal["placed", "failed", "waiting", "paid", "refunding", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
# No word of a payment brings an order out of these again.
SETTLED: frozenset[Status] = frozenset({"paid", "refunding", "cancelled"})

Session = TypeVar("Session", covariant=True)


class AlreadyUsed(Exception):
    """This payment belongs to another order: the database refused to bind it twice."""


class Clash(Exception):
    """Two transactions met and the database ended this one. Nothing was changed: try again."""


def is_clash(error: object) -> bool:
    """Whether a driver's error means that: PostgreSQL's 40001 and 40P01, MySQL's 1213."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    number = next(iter(getattr(error, "args", ())), None)
    if isinstance(number, dict):  # pg8000 hands on PostgreSQL's fields, by their letters
        state = number.get("C")
    return state in ("40001", "40P01") or number == 1213


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """One order as the shop's database has it.

    `merchant_uid`, `amount` and `currency` are the shop's own and never written by the kit; amounts
    are in the currency's major unit (KRW 1004, USD Decimal("12.50")). The rest is the kit's:
    `imp_uid` is the payment that the order follows (that it waits for, that failed or that paid),
    `cancelled` what of its money went back, `tried_at` the UNIX second in which that payment was
    begun, and `untold` whether somebody is still to be told how the order stands.
    """

    merchant_uid: str
    amount: Decimal | int
    currency: str
    status: Status = "placed"
    imp_uid: str | None = None
    cancelled: Decimal | int = 0
    tried_at: int = 0
    untold: bool = False


class Desk(Protocol[Session]):
    """One open transaction. What it did is kept when the block ends, and undone when it raises.

    A verb or the end of the block may raise Clash.
    """

    @property
    def session(self) -> Session:
        """The shop's own transaction, for the shop's own work."""
        ...

    def find(self, merchant_uid: str) -> StoredOrder | None:
        """The order of this number, locked until the transaction ends where the database can."""
        ...

    def holder(self, imp_uid: str) -> str | None:
        """The merchant_uid of the order that follows this payment."""
        ...

    def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        """Write `after` if the order is still exactly `before`, price and all; False if it is not.

        One conditional statement, so that it decides under any isolation. Raises AlreadyUsed when
        another order has this payment; the transaction is lost then.
        """
        ...

    def left(self, limit: int) -> Sequence[StoredOrder]:
        """Orders that are untold or refunding."""
        ...


class Orders(Protocol[Session]):
    """A shop's orders. Threads and processes may share them."""

    def begin(self) -> AbstractContextManager[Desk[Session]]:
        """Open a transaction of its own, never a part of another one."""
        ...


class AsyncDesk(Protocol[Session]):
    """`Desk`, awaited."""

    @property
    def session(self) -> Session:
        """The shop's own transaction, for the shop's own work."""
        ...

    def find(self, merchant_uid: str) -> Awaitable[StoredOrder | None]:
        """As `Desk.find`."""
        ...

    def holder(self, imp_uid: str) -> Awaitable[str | None]:
        """As `Desk.holder`."""
        ...

    def change(self, before: StoredOrder, after: StoredOrder) -> Awaitable[bool]:
        """As `Desk.change`."""
        ...

    def left(self, limit: int) -> Awaitable[Sequence[StoredOrder]]:
        """As `Desk.left`."""
        ...


class AsyncOrders(Protocol[Session]):
    """`Orders` for one event loop."""

    def begin(self) -> AbstractAsyncContextManager[AsyncDesk[Session]]:
        """As `Orders.begin`."""
        ...

"""Orders in memory: for tests, and to read how little a store must do."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from decimal import Decimal

from naru.kit.orders import AlreadyUsed, StoredOrder


class MemoryDesk:
    """A transaction over a dictionary. `session` is the dictionary itself, by merchant_uid."""

    def __init__(self, orders: dict[str, StoredOrder]) -> None:
        self.session = orders

    def find(self, merchant_uid: str) -> StoredOrder | None:
        """As `Desk.find`."""
        return self.session.get(merchant_uid)

    def holder(self, imp_uid: str) -> str | None:
        """As `Desk.holder`."""
        return next((uid for uid, order in self.session.items() if order.imp_uid == imp_uid), None)

    def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        """As `Desk.change`."""
        if self.session.get(before.merchant_uid) != before:
            return False
        if after.imp_uid is not None:
            holder = self.holder(after.imp_uid)
            if holder not in (None, before.merchant_uid):
                raise AlreadyUsed(after.imp_uid)
        self.session[before.merchant_uid] = replace(
            after, merchant_uid=before.merchant_uid, amount=before.amount, currency=before.currency
        )
        return True

    def left(self, limit: int) -> Sequence[StoredOrder]:
        """As `Desk.left`."""
        left = (each for each in self.session.values() if each.untold or each.status == "refunding")
        return [order for order, _ in zip(left, range(limit), strict=False)]


class MemoryOrders:
    """One transaction after the other; a block that raises leaves nothing behind."""

    def __init__(self) -> None:
        self._orders: dict[str, StoredOrder] = {}
        self._lock = threading.Lock()

    def place(self, merchant_uid: str, amount: Decimal | int, currency: str = "KRW") -> None:
        """A new order. Raises ValueError for a number that is taken."""
        with self._lock:
            if merchant_uid in self._orders:
                raise ValueError("there is such an order")
            self._orders[merchant_uid] = StoredOrder(merchant_uid, amount, currency)

    def __getitem__(self, merchant_uid: str) -> StoredOrder:
        return self._orders[merchant_uid]

    @contextmanager
    def begin(self) -> Iterator[MemoryDesk]:
        """As `Orders.begin`."""
        with self._lock:
            copy = dict(self._orders)
            yield MemoryDesk(copy)
            self._orders = copy


class _AsyncMemoryDesk:
    def __init__(self, desk: MemoryDesk) -> None:
        self._desk = desk
        self.session = desk.session

    async def find(self, merchant_uid: str) -> StoredOrder | None:
        return self._desk.find(merchant_uid)

    async def holder(self, imp_uid: str) -> str | None:
        return self._desk.holder(imp_uid)

    async def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        return self._desk.change(before, after)

    async def left(self, limit: int) -> Sequence[StoredOrder]:
        return self._desk.left(limit)


class AsyncMemoryOrders:
    """`MemoryOrders` for one event loop."""

    def __init__(self) -> None:
        import asyncio  # a shop without an event loop need not pay for one

        self._orders: dict[str, StoredOrder] = {}
        self._lock = asyncio.Lock()

    def place(self, merchant_uid: str, amount: Decimal | int, currency: str = "KRW") -> None:
        """As `MemoryOrders.place`."""
        if merchant_uid in self._orders:
            raise ValueError("there is such an order")
        self._orders[merchant_uid] = StoredOrder(merchant_uid, amount, currency)

    def __getitem__(self, merchant_uid: str) -> StoredOrder:
        return self._orders[merchant_uid]

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[_AsyncMemoryDesk]:
        """As `AsyncOrders.begin`."""
        async with self._lock:
            copy = dict(self._orders)
            yield _AsyncMemoryDesk(MemoryDesk(copy))
            self._orders = copy

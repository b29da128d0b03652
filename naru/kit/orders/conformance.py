"""Is this a store that the kit may trust? Run it over your own, on the database that you really use.

    for check in CHECKS:
        check(orders, place)               # an AssertionError says what does not hold

`orders` is the store; `place(merchant_uid, amount, currency)` puts a new order into your table, in
a transaction of its own. Each check places orders of its own. For an async store (and an async or
ordinary `place`): `await checked(check, orders, place)`.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from naru.kit.orders import AlreadyUsed, AsyncOrders, Clash, Orders, StoredOrder

Place = Callable[[str, int, str], Any]

AT_ONCE = 8
_RUN = secrets.token_hex(4)
_NUMBERS = itertools.count(1)


class _Undo(Exception):
    """Thrown inside a transaction to see it undone."""


def _uid() -> str:
    return f"order-{_RUN}-{next(_NUMBERS)}"


def _imp_uid() -> str:
    return f"imp_{_RUN}_{next(_NUMBERS)}"


def _placed(orders: Orders[Any], place: Place, amount: int = 64900) -> StoredOrder:
    merchant_uid = _uid()
    place(merchant_uid, amount, "KRW")
    return _found(orders, merchant_uid)


def _found(orders: Orders[Any], merchant_uid: str) -> StoredOrder:
    with orders.begin() as desk:
        order = desk.find(merchant_uid)
    assert order is not None, "an order that was placed is not found"
    return order


def _change(orders: Orders[Any], before: StoredOrder, after: StoredOrder) -> bool:
    with orders.begin() as desk:
        return desk.change(before, after)


def a_new_order_is_found_as_it_was_placed(orders: Orders[Any], place: Place) -> None:
    """Number, price and currency are the shop's; nothing has happened to it."""
    merchant_uid = _uid()
    place(merchant_uid, 64900, "KRW")
    assert _found(orders, merchant_uid) == StoredOrder(merchant_uid, 64900, "KRW")
    with orders.begin() as desk:
        assert desk.find(_uid()) is None, "an order was found that nobody placed"
        assert desk.holder(_imp_uid()) is None, "an unknown payment has an order"


def what_is_written_is_read_again(orders: Orders[Any], place: Place) -> None:
    """Every field of the kit's own."""
    before = _placed(orders, place)
    for status in ("waiting", "failed", "paid", "refunding", "cancelled"):
        after = replace(
            before,
            status=status,
            imp_uid=_imp_uid(),
            cancelled=900,
            tried_at=1_700_000_000,
            untold=True,
        )
        assert _change(orders, before, after), f"an unchanged order could not become {status}"
        assert _found(orders, before.merchant_uid) == after
        with orders.begin() as desk:
            assert desk.holder(str(after.imp_uid)) == before.merchant_uid
        before = after


def only_an_order_that_is_still_the_same_is_changed(orders: Orders[Any], place: Place) -> None:
    """Each field that is not as it was read makes the change impossible: the price above all."""
    order = _placed(orders, place)
    after = replace(order, status="paid", imp_uid=_imp_uid())
    for stale in (
        replace(order, amount=1000),
        replace(order, status="failed"),
        replace(order, imp_uid=_imp_uid()),
        replace(order, cancelled=1),
        replace(order, tried_at=1),
        replace(order, untold=True),
        replace(order, merchant_uid=_uid()),
    ):
        assert not _change(orders, stale, after), f"changed, though it was not {stale}"
    assert _found(orders, order.merchant_uid) == order
    assert _change(orders, order, after)
    assert not _change(orders, order, after), "the same step was made twice"


def the_shops_own_facts_are_not_written(orders: Orders[Any], place: Place) -> None:
    """A price in `after` is not the kit's to write."""
    order = _placed(orders, place)
    _change(orders, order, replace(order, status="failed", imp_uid=_imp_uid(), amount=1))
    assert _found(orders, order.merchant_uid).amount == 64900, "the kit changed the price"


def one_payment_has_one_order(orders: Orders[Any], place: Place) -> None:
    """The second one is refused, and its transaction leaves nothing behind."""
    first, second = _placed(orders, place), _placed(orders, place)
    imp_uid = _imp_uid()
    assert _change(orders, first, replace(first, status="paid", imp_uid=imp_uid))
    try:
        _change(orders, second, replace(second, status="paid", imp_uid=imp_uid))
    except AlreadyUsed:
        pass
    else:
        raise AssertionError("one payment paid for two orders")
    assert _found(orders, second.merchant_uid) == second


def what_raises_leaves_nothing_behind(orders: Orders[Any], place: Place) -> None:
    """The order's change and the shop's own work are kept together or not at all."""
    order = _placed(orders, place)
    try:
        with orders.begin() as desk:
            assert desk.change(order, replace(order, status="paid", imp_uid=_imp_uid()))
            raise _Undo
    except _Undo:
        pass
    assert _found(orders, order.merchant_uid) == order, "a transaction that raised was kept"


def what_is_left_is_listed(orders: Orders[Any], place: Place) -> None:
    """Untold and refunding orders, and no others."""
    told, untold, refunding = (_placed(orders, place) for _ in range(3))
    _change(orders, told, replace(told, status="paid", imp_uid=_imp_uid()))
    _change(orders, untold, replace(untold, status="paid", imp_uid=_imp_uid(), untold=True))
    _change(orders, refunding, replace(refunding, status="refunding", imp_uid=_imp_uid()))
    with orders.begin() as desk:
        left = {order.merchant_uid for order in desk.left(100_000)}
        assert len(desk.left(1)) == 1
    ours = {told.merchant_uid, untold.merchant_uid, refunding.merchant_uid}
    assert left & ours == {untold.merchant_uid, refunding.merchant_uid}


def one_of_many_at_once_makes_the_step(orders: Orders[Any], place: Place) -> None:
    """All read, then all write: exactly one of them succeeds."""
    order = _placed(orders, place)
    paid = replace(order, status="paid", imp_uid=_imp_uid())
    together = threading.Barrier(AT_ONCE)

    def step(_: int) -> bool:
        together.wait(30)
        while True:
            with suppress(Clash), orders.begin() as desk:
                found = desk.find(order.merchant_uid)
                assert found is not None
                return found.status == "placed" and desk.change(found, paid)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(step, range(AT_ONCE)))
    assert sum(made) == 1, f"{sum(made)} of {AT_ONCE} made the same step"


def one_of_many_orders_at_once_has_the_payment(orders: Orders[Any], place: Place) -> None:
    """As many orders as callers, one payment: one order has it, the others were refused."""
    placed = [_placed(orders, place) for _ in range(AT_ONCE)]
    imp_uid = _imp_uid()
    together = threading.Barrier(AT_ONCE)

    def step(order: StoredOrder) -> bool:
        together.wait(30)
        while True:
            try:
                return _change(orders, order, replace(order, status="paid", imp_uid=imp_uid))
            except AlreadyUsed:
                return False
            except Clash:
                continue

    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(step, placed))
    assert sum(made) == 1, f"one payment paid for {sum(made)} orders at once"
    paid = [each for each in placed if _found(orders, each.merchant_uid).status == "paid"]
    assert len(paid) == 1


Check = Callable[[Orders[Any], Place], None]

CHECKS: tuple[Check, ...] = (
    a_new_order_is_found_as_it_was_placed,
    what_is_written_is_read_again,
    only_an_order_that_is_still_the_same_is_changed,
    the_shops_own_facts_are_not_written,
    one_payment_has_one_order,
    what_raises_leaves_nothing_behind,
    what_is_left_is_listed,
    one_of_many_at_once_makes_the_step,
    one_of_many_orders_at_once_has_the_payment,
)


async def checked(check: Check, orders: AsyncOrders[Any], place: Callable[..., Any]) -> None:
    """Run a check over an async store: it stands in a thread, and every verb is awaited here."""
    loop = asyncio.get_running_loop()

    def wait(answer: Any) -> Any:
        if not inspect.isawaitable(answer):
            return answer
        return asyncio.run_coroutine_threadsafe(_awaited(answer), loop).result(60)

    class Verbs:
        def __init__(self, desk: Any) -> None:
            self._desk = desk
            self.session = desk.session

        def __getattr__(self, verb: str) -> Callable[..., Any]:
            return lambda *facts: wait(getattr(self._desk, verb)(*facts))

    class Blocking:
        @contextmanager
        def begin(self) -> Iterator[Any]:
            transaction = orders.begin()
            desk = wait(transaction.__aenter__())
            try:
                yield Verbs(desk)
            except BaseException as error:
                wait(transaction.__aexit__(type(error), error, error.__traceback__))
                raise
            else:
                wait(transaction.__aexit__(None, None, None))

    def put(*facts: Any) -> None:
        wait(place(*facts))

    await asyncio.to_thread(check, Blocking(), put)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer

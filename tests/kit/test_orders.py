"""Every store passes the suite that a merchant may run over theirs, and a careless one does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine
from sqlalchemy.orm import sessionmaker

from naru.kit.orders import AlreadyUsed, AsyncOrders, Clash, Orders, StoredOrder
from naru.kit.orders.columns import Columns
from naru.kit.orders.conformance import CHECKS, Check, checked
from naru.kit.orders.memory import AsyncMemoryOrders, MemoryDesk, MemoryOrders
from naru.kit.orders.sqlalchemy import SqlAlchemyOrders
from tests.kit.stores import django_shop, open_blocking_postgres, open_postgres, open_sqlite

Opened = tuple[Orders[Any], Callable[[str, int, str], Any]]


def django_orders(columns: Columns | None = None) -> Any:
    """A store over the Django shop's own model; Django must be set up before it is imported."""
    model = django_shop().Order
    from naru.kit.orders.django import DjangoOrders

    return DjangoOrders(model, columns)


@pytest.fixture(params=["memory", "sqlalchemy", "django", "READ COMMITTED", "SERIALIZABLE"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """A store and how to place an order in it."""
    match request.param:
        case "memory":
            memory = MemoryOrders()
            yield memory, memory.place
        case "sqlalchemy":
            orders, place, engine = open_sqlite(tmp_path)
            yield orders, place
            engine.dispose()
        case "django":
            model = django_shop().Order

            def put(merchant_uid: str, amount: int, currency: str) -> None:
                model.objects.create(merchant_uid=merchant_uid, amount=amount)

            yield django_orders(), put
        case isolation:
            url = request.getfixturevalue("empty_database_url")
            orders, place, engine = open_blocking_postgres(url, isolation)
            yield orders, place
            engine.dispose()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_store_conforms(store: Opened, check: Check) -> None:
    check(*store)


@pytest.fixture(params=["memory", "READ COMMITTED", "SERIALIZABLE"])
async def async_store(
    request: pytest.FixtureRequest,
) -> AsyncIterator[tuple[AsyncOrders[Any], Callable[..., Any]]]:
    """The same for an event loop; PostgreSQL is spoken by the same statements as SQLite."""
    if request.param == "memory":
        memory = AsyncMemoryOrders()
        yield memory, memory.place
        return
    url = request.getfixturevalue("empty_database_url")
    orders, place, engine = await open_postgres(url, request.param)
    yield orders, place
    await engine.dispose()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_an_async_store_conforms(
    async_store: tuple[AsyncOrders[Any], Callable[..., Any]], check: Check
) -> None:
    await checked(check, *async_store)


class _CarelessDesk(MemoryDesk):
    """Writes without looking, as `UPDATE ... WHERE id = ?` does."""

    def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        self.session[before.merchant_uid] = after
        return True


class _CarelessOrders(MemoryOrders):
    def begin(self) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def begin() -> Iterator[MemoryDesk]:
            yield _CarelessDesk(self._orders)

        return begin()


def test_a_careless_store_does_not_conform() -> None:
    """The control: what fails it is what the kit relies on."""
    orders, failed = _CarelessOrders(), set()
    for check in CHECKS:
        try:
            check(orders, orders.place)
        except AssertionError:
            failed.add(check.__name__)
    assert failed >= {
        "only_an_order_that_is_still_the_same_is_changed",
        "the_shops_own_facts_are_not_written",
        "one_payment_has_one_order",
        "what_raises_leaves_nothing_behind",
    }


def test_a_table_in_cents_gives_dollars(tmp_path: Path) -> None:
    orders, place, engine = open_sqlite(tmp_path)
    place("usd", 1250, "USD")
    with orders.begin() as desk:
        order = desk.find("usd")
        assert order is not None
        assert (order.amount, order.currency) == (Decimal("12.50"), "USD")
        after = replace(order, status="cancelled", imp_uid="imp_1", cancelled=Decimal("12.5"))
        assert desk.change(order, after)
    with orders.begin() as desk:
        assert desk.find("usd") == after
    engine.dispose()


def test_a_table_that_lets_one_payment_have_two_orders_is_refused() -> None:
    table = Table(
        "orders",
        MetaData(),
        *(Column(name, Integer) for name in Columns().of_orders.values() if name != "imp_uid"),
        Column("imp_uid", String, unique=False),
    )
    with pytest.raises(ValueError, match="imp_uid of orders must be unique"):
        SqlAlchemyOrders(sessionmaker(create_engine("sqlite://")), table)
    with pytest.raises(ValueError, match="payment_status must be unique"):
        django_orders(Columns(imp_uid="payment_status"))


def test_money_in_floats_is_refused() -> None:
    row = {"merchant_uid": "o", "amount": 12.5, "status": "placed"}
    with pytest.raises(TypeError, match="float"):
        Columns().read(row)


def test_a_django_transaction_is_never_a_part_of_another(tmp_path: Path) -> None:
    """ATOMIC_REQUESTS would have people told before anything is sure."""
    from django.db import transaction

    orders = django_orders()
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"), orders.begin():
        raise AlreadyUsed


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "SERIALIZABLE"])
def test_a_transaction_that_came_too_late_is_a_clash(
    empty_database_url: str, isolation: str
) -> None:
    """In the driver's own words, which each driver chooses: the kit then tries again."""
    orders, place, engine = open_blocking_postgres(empty_database_url, isolation)
    place("order-1", 64900, "KRW")
    too_late = pytest.raises(Clash) if isolation == "SERIALIZABLE" else nullcontext()
    with too_late, orders.begin() as slow:
        assert slow.holder("imp_1") is None
        with orders.begin() as fast:
            order = fast.find("order-1")
            assert order is not None
            assert fast.change(order, replace(order, status="failed", imp_uid="imp_1"))
        # The control: READ COMMITTED reads what the other one has written meanwhile.
        found = slow.find("order-1")
        assert found is not None
        assert found.imp_uid == "imp_1"
    engine.dispose()

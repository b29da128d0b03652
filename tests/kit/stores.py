"""Shops' own tables for the kit's tests: SQLAlchemy and Django, on SQLite and on PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import BigInteger, Engine, String, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from naru.kit.orders.columns import Columns
from naru.kit.orders.sqlalchemy import (
    AsyncSqlAlchemyOrders,
    PaymentColumns,
    SqlAlchemyOrders,
)

COLUMNS = Columns(merchant_uid="number", amount="price", currency="currency", digits={"USD": 2})


class Base(DeclarativeBase):
    """This shop's tables."""


class ShopOrder(PaymentColumns, Base):
    """An order in a table whose columns have the shop's own names, dollars in cents."""

    __tablename__ = "shop_orders"

    number: Mapped[str] = mapped_column(String(40), primary_key=True)
    price: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3), default="KRW")


class Parcel(Base):
    """What leaves the house: no constraint keeps two parcels of one order away."""

    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(40))


def open_sqlite(folder: Path) -> tuple[SqlAlchemyOrders, Callable[[str, int, str], None], Engine]:
    """A store over a SQLite file, and how to place an order in it."""
    engine = create_engine(f"sqlite:///{folder / 'shop.sqlite3'}")
    Base.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    return SqlAlchemyOrders(sessions, ShopOrder, COLUMNS), _placing(sessions), engine


async def open_postgres(
    url: str, isolation: Literal["READ COMMITTED", "SERIALIZABLE"] = "READ COMMITTED"
) -> tuple[AsyncSqlAlchemyOrders, Callable[[str, int, str], Any], AsyncEngine]:
    """An async store over a PostgreSQL database without tables."""
    user, name, host = _parts(url)
    engine = create_async_engine(
        f"postgresql+asyncpg://{user}@/{name}?host={host}",
        pool_size=20,
        isolation_level=isolation,
    )
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    sessions = async_sessionmaker(engine)

    async def place(merchant_uid: str, amount: int, currency: str) -> None:
        async with sessions.begin() as session:
            session.add(ShopOrder(number=merchant_uid, price=amount, currency=currency))

    return AsyncSqlAlchemyOrders(sessions, ShopOrder, COLUMNS), place, engine


def open_blocking_postgres(
    url: str, isolation: str
) -> tuple[SqlAlchemyOrders, Callable[[str, int, str], None], Engine]:
    """The same database without an event loop, by pg8000."""
    user, name, host = _parts(url)
    engine = create_engine(
        f"postgresql+pg8000://{user}@/{name}",
        connect_args={"unix_sock": f"{host}/.s.PGSQL.5432"},
        pool_size=20,
        isolation_level=isolation,
    )
    Base.metadata.create_all(engine)
    sessions = sessionmaker(engine)
    return SqlAlchemyOrders(sessions, ShopOrder, COLUMNS), _placing(sessions), engine


def _parts(url: str) -> tuple[str, str, str]:
    """User, name of the database, and socket folder of `postgresql://user@/name?host=folder`."""
    user, _, rest = url.partition("//")[2].partition("@/")
    name, _, query = rest.partition("?")
    return user, name, query.partition("host=")[2]


def _placing(sessions: sessionmaker[Session]) -> Callable[[str, int, str], None]:
    def place(merchant_uid: str, amount: int, currency: str) -> None:
        with sessions.begin() as session:
            session.add(ShopOrder(number=merchant_uid, price=amount, currency=currency))

    return place


def parcels(session: Session) -> list[str]:
    """The order numbers of everything that left the house."""
    return [parcel.number for parcel in session.query(Parcel).order_by(Parcel.id)]


@cache
def django_shop() -> Any:
    """A Django shop over a SQLite file, once for the process: Django's settings cannot be changed."""
    from django.conf import settings

    folder = tempfile.mkdtemp(prefix="naru-tests-django-")
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{folder}/shop.sqlite3",
                "OPTIONS": {"timeout": 20},
            }
        },
        INSTALLED_APPS=["tests.kit.django_shop"],
        ALLOWED_HOSTS=["*"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        SECRET_KEY="only for tests",
    )
    import django
    from django.db import connection

    django.setup()
    from tests.kit.django_shop import models

    with connection.schema_editor() as editor:
        editor.create_model(models.Order)
        editor.create_model(models.Parcel)
    return models

"""Orders in the shop's own table, by SQLAlchemy 2, with blocking or async sessions.

orders = SqlAlchemyOrders(sessionmaker(engine), Order)          # class Order(PaymentColumns, Base)
orders = AsyncSqlAlchemyOrders(async_sessionmaker(engine), Order)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Select,
    String,
    Table,
    Update,
    and_,
    false,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from naru.kit.orders import AlreadyUsed, Clash, StoredOrder, is_clash
from naru.kit.orders.columns import Columns

if TYPE_CHECKING:
    # Needs greenlet, which a blocking shop does not have.
    from sqlalchemy.ext.asyncio import AsyncSession


class PaymentColumns:
    """The kit's five columns, for the shop's own class: `class Order(PaymentColumns, Base)`."""

    payment_status: Mapped[str] = mapped_column(
        String(16), default="placed", server_default="placed"
    )
    imp_uid: Mapped[str | None] = mapped_column(String(32), unique=True, default=None)
    cancelled_amount: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    payment_tried_at: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    payment_untold: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())


class _Statements:
    """What is said to the database, whoever says it."""

    def __init__(self, table: Any, columns: Columns) -> None:
        found = table if isinstance(table, Table) else inspect(table).local_table
        self._columns = columns
        self._at: dict[str, ColumnElement[Any]] = {
            name: found.c[column] for name, column in columns.of_orders.items()
        }
        self._table = found
        if not _is_unique(found, columns.imp_uid):
            # Without it two orders could be paid by one payment in the same instant.
            raise ValueError(f"the column {columns.imp_uid} of {found.name} must be unique")

    def lock(self, merchant_uid: str) -> Update:
        """For SQLite, which knows no lock of a row: the first write waits, a later one would fail."""
        own = self._columns.untold
        same = {own: self._table.c[own]}
        return update(self._table).where(self._at["merchant_uid"] == merchant_uid).values(same)

    def find(self, merchant_uid: str) -> Select[Any]:
        return self._rows().where(self._at["merchant_uid"] == merchant_uid).with_for_update()

    def holder(self, imp_uid: str) -> Select[Any]:
        return select(self._at["merchant_uid"]).where(self._at["imp_uid"] == imp_uid)

    def change(self, before: StoredOrder, after: StoredOrder) -> Update:
        still = [
            self._at[name].is_(None) if value is None else self._at[name] == value
            for name, value in self._columns.whole(before).items()
        ]
        of = self._columns.of_orders
        changes = {of[name]: value for name, value in self._columns.kits(after).items()}
        return update(self._table).where(and_(*still)).values(changes)

    def left(self, limit: int) -> Select[Any]:
        is_left = or_(self._at["untold"], self._at["status"] == "refunding")
        return self._rows().where(is_left).limit(limit)

    def read(self, row: Any) -> StoredOrder | None:
        return None if row is None else self._columns.read(row._mapping)

    def _rows(self) -> Select[Any]:
        return select(*(column.label(name) for name, column in self._at.items()))


def _is_unique(table: Any, column: str) -> bool:
    wanted = {column}
    alone = [set(table.primary_key.columns.keys())]
    alone += [set(each.columns.keys()) for each in table.indexes if each.unique]
    alone += [
        set(each.columns.keys())
        for each in table.constraints
        if type(each).__name__ == "UniqueConstraint"
    ]
    return wanted in alone


class SqlAlchemyDesk:
    """A `Desk` over one session, which is the shop's to use as well."""

    def __init__(self, session: Session, say: _Statements) -> None:
        self.session = session
        self._say = say

    def find(self, merchant_uid: str) -> StoredOrder | None:
        """As `Desk.find`."""
        if self.session.get_bind().dialect.name == "sqlite":
            self.session.execute(self._say.lock(merchant_uid))
        return self._say.read(self.session.execute(self._say.find(merchant_uid)).one_or_none())

    def holder(self, imp_uid: str) -> str | None:
        """As `Desk.holder`."""
        return self.session.execute(self._say.holder(imp_uid)).scalar_one_or_none()

    def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        """As `Desk.change`."""
        try:
            changed: Any = self.session.execute(self._say.change(before, after))
        except IntegrityError as error:
            raise AlreadyUsed(after.imp_uid) from error
        return bool(changed.rowcount == 1)

    def left(self, limit: int) -> Sequence[StoredOrder]:
        """As `Desk.left`."""
        rows = self.session.execute(self._say.left(limit)).all()
        return [order for row in rows if (order := self._say.read(row)) is not None]


class SqlAlchemyOrders:
    """`table` is the shop's class or Table; `sessions` makes a new session at each call."""

    def __init__(
        self, sessions: Callable[[], Session], table: Any, columns: Columns | None = None
    ) -> None:
        self._sessions = sessions
        self._say = _Statements(table, columns or Columns())

    @contextmanager
    def begin(self) -> Iterator[SqlAlchemyDesk]:
        """As `Orders.begin`."""
        try:
            with self._sessions() as session, session.begin():
                yield SqlAlchemyDesk(session, self._say)
        except DBAPIError as error:
            if is_clash(error.orig):
                raise Clash from error
            raise


class AsyncSqlAlchemyDesk:
    """`SqlAlchemyDesk`, awaited: the same statements, said by the same code."""

    def __init__(self, session: AsyncSession, say: _Statements) -> None:
        self.session = session
        self._desk = SqlAlchemyDesk(session.sync_session, say)

    async def find(self, merchant_uid: str) -> StoredOrder | None:
        """As `Desk.find`."""
        return await self.session.run_sync(lambda _: self._desk.find(merchant_uid))

    async def holder(self, imp_uid: str) -> str | None:
        """As `Desk.holder`."""
        return await self.session.run_sync(lambda _: self._desk.holder(imp_uid))

    async def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        """As `Desk.change`."""
        return await self.session.run_sync(lambda _: self._desk.change(before, after))

    async def left(self, limit: int) -> Sequence[StoredOrder]:
        """As `Desk.left`."""
        return await self.session.run_sync(lambda _: self._desk.left(limit))


class AsyncSqlAlchemyOrders:
    """`SqlAlchemyOrders` with async sessions."""

    def __init__(
        self, sessions: Callable[[], AsyncSession], table: Any, columns: Columns | None = None
    ) -> None:
        self._sessions = sessions
        self._say = _Statements(table, columns or Columns())

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSqlAlchemyDesk]:
        """As `AsyncOrders.begin`."""
        try:
            async with self._sessions() as session, session.begin():
                yield AsyncSqlAlchemyDesk(session, self._say)
        except DBAPIError as error:
            if is_clash(error.orig):
                raise Clash from error
            raise

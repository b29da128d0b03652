"""Orders in the shop's own model, by the Django ORM.

orders = DjangoOrders(Order)          # class Order(PaidOrder): an abstract model with five fields

Django's transactions block, so an async view asks `sync_to_async(finaliser.finalise)`.
"""

# Django brings no types of its own.
# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models import F, Q
from django.db.transaction import get_connection

from naru.kit.orders import AlreadyUsed, Clash, StoredOrder, is_clash
from naru.kit.orders.columns import Columns


class PaidOrder(models.Model):
    """The kit's five fields, for the shop's own model: `class Order(PaidOrder)`."""

    payment_status = models.CharField(max_length=16, default="placed")
    imp_uid = models.CharField(max_length=32, null=True, unique=True, default=None)
    cancelled_amount = models.BigIntegerField(default=0)
    payment_tried_at = models.BigIntegerField(default=0)
    payment_untold = models.BooleanField(default=False)

    class Meta:
        """Only its heirs have tables."""

        abstract = True


class DjangoDesk:
    """A `Desk` over one atomic block. `session` names its database, for the shop's own queries."""

    def __init__(self, model: type[models.Model], columns: Columns, using: str) -> None:
        self.session = using
        self._columns = columns
        self._of = columns.of_orders
        self._rows = model._base_manager.using(using)
        self._values = {name: F(column) for name, column in self._of.items()}

    def find(self, merchant_uid: str) -> StoredOrder | None:
        """As `Desk.find`."""
        rows = self._rows.filter(**{self._of["merchant_uid"]: merchant_uid})
        if not get_connection(self.session).features.has_select_for_update:
            # SQLite knows no lock of a row: the first write waits, a later one would fail.
            rows.update(**{self._of["untold"]: F(self._of["untold"])})
        row = self._read(rows.select_for_update()).first()
        return None if row is None else self._order(row)

    def holder(self, imp_uid: str) -> str | None:
        """As `Desk.holder`."""
        found = self._rows.filter(**{self._of["imp_uid"]: imp_uid})
        uid: str | None = found.values_list(self._of["merchant_uid"], flat=True).first()
        return uid

    def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        """As `Desk.change`."""
        still = {self._of[name]: value for name, value in self._columns.whole(before).items()}
        none = {f"{column}__isnull": True for column, value in still.items() if value is None}
        same = {column: value for column, value in still.items() if value is not None}
        changes = {self._of[name]: value for name, value in self._columns.kits(after).items()}
        try:
            changed: int = self._rows.filter(**same, **none).update(**changes)
        except IntegrityError as error:
            raise AlreadyUsed(after.imp_uid) from error
        return changed == 1

    def left(self, limit: int) -> Sequence[StoredOrder]:
        """As `Desk.left`."""
        is_left = Q(**{self._of["untold"]: True}) | Q(**{self._of["status"]: "refunding"})
        return [self._order(row) for row in self._read(self._rows.filter(is_left))[:limit]]

    def _read(self, rows: Any) -> Any:
        return rows.values_list(*self._of.values())

    def _order(self, row: tuple[Any, ...]) -> StoredOrder:
        return self._columns.read(dict(zip(self._of, row, strict=True)))


class DjangoOrders:
    """`model` is the shop's own; `using` its database."""

    def __init__(
        self, model: type[models.Model], columns: Columns | None = None, using: str = "default"
    ) -> None:
        self._model = model
        self._columns = columns or Columns()
        self._using = using
        if not model._meta.get_field(self._columns.imp_uid).unique:
            # Without it two orders could be paid by one payment in the same instant.
            raise ValueError(f"the field {self._columns.imp_uid} must be unique")

    @contextmanager
    def begin(self) -> Iterator[DjangoDesk]:
        """As `Orders.begin`. Raises RuntimeError inside another atomic block: the gateway would be
        asked, and people told, before anything is sure."""
        try:
            with transaction.atomic(using=self._using, durable=True):
                yield DjangoDesk(self._model, self._columns, self._using)
        except OperationalError as error:
            if is_clash(error.__cause__):
                raise Clash from error
            raise

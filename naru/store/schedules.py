"""Schedules in the database. Who pays is sealed; every change is one conditional statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from naru.domain.errors import AlreadyScheduled, BeingChecked
from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Buyer, Step
from naru.domain.schedule import Schedule, ScheduleState
from naru.store.named import load
from naru.store.seal import SCHEDULES, Keyring

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("schedules")


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Some schedules of a list of `total`. A page past the end has neither."""

    schedules: Sequence[Schedule]
    total: int


@dataclass(frozen=True, slots=True)
class Glance:
    """A schedule as operators see it: nothing of the buyer's is in it."""

    merchant_id: int
    merchant_uid: str
    customer_uid: str
    state: str
    attempt: int
    amount: Money
    schedule_at: datetime
    next_try_at: datetime | None
    executed_at: datetime | None
    imp_uid: str | None
    step: Step | None


@dataclass(frozen=True, slots=True)
class CardCheck:
    """How the payment stands that is a check of a card."""

    step: Step
    fail_code: str
    fail_reason: str


class Private(msgspec.Struct, omit_defaults=True):
    """What is sealed of a schedule."""

    name: str | None = None
    email: str | None = None
    tel: str | None = None
    addr: str | None = None
    postcode: str | None = None
    custom_data: str | None = None
    customer_id: str | None = None
    request: dict[str, Any] = {}


_read_private = msgspec.json.Decoder(Private).decode


class Schedules:
    """Orders that are due later."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, schedule: Schedule) -> Schedule:
        """Write a new schedule; its `id` is given here. Raises AlreadyScheduled: the order has one."""
        private = Private(
            name=schedule.buyer.name,
            email=schedule.buyer.email,
            tel=schedule.buyer.tel,
            addr=schedule.buyer.addr,
            postcode=schedule.buyer.postcode,
            custom_data=schedule.custom_data,
            customer_id=schedule.customer_id,
            request=schedule.request,
        )
        try:
            added = await self._one(
                Q["insert"],
                schedule.merchant_id,
                schedule.merchant_uid,
                schedule.customer_uid,
                schedule.channel_id,
                schedule.number,
                schedule.amount.minor,
                schedule.amount.currency,
                schedule.tax_free.minor,
                None if schedule.vat is None else schedule.vat.minor,
                schedule.name,
                list(schedule.webhook_urls),
                schedule.schedule_at,
                schedule.asked_at,
                self._connection.keyring.seal(
                    msgspec.json.encode(private), SCHEDULES, schedule.number
                ),
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "one_schedule_per_order":
                raise AlreadyScheduled from None
            raise
        assert added is not None
        return added

    async def get(self, merchant_id: int, merchant_uid: str) -> Schedule | None:
        """The schedule of this order; a foreign one is not there."""
        return await self._one(Q["get"], merchant_id, merchant_uid)

    async def many(self, merchant_id: int, merchant_uids: Sequence[str]) -> list[Schedule]:
        """The schedules of these orders, by time."""
        return await self._many(Q["many"], merchant_id, list(merchant_uids))

    async def of_number(self, number: str) -> Schedule | None:
        """One schedule by our own number, whoever owns it."""
        return await self._one(Q["of_number"], number)

    async def hold(self, merchant_id: int, merchant_uid: str) -> Schedule | None:
        """As `get`, held until this transaction ends."""
        return await self._one(Q["hold"], merchant_id, merchant_uid)

    async def hold_due(self, number: str, now: datetime) -> Schedule | None:
        """The schedule, held, if it is due and nobody else holds it."""
        return await self._one(Q["hold_due"], number, now)

    async def hold_waiting(
        self, merchant_id: int, customer_uid: str | None, merchant_uids: Sequence[str] | None
    ) -> list[Schedule]:
        """What is scheduled of this customer (None: of any) and these orders (None: all), held."""
        chosen = None if merchant_uids is None else list(merchant_uids)
        return await self._many(Q["hold_waiting"], merchant_id, customer_uid, chosen)

    async def due(self, now: datetime, most: int, crowded: Sequence[int] = ()) -> list[str]:
        """Numbers of due schedules, oldest first, but of no crowded channel."""
        rows = await self._connection.fetch(Q["due"], now, most, list(crowded))
        return [row["number"] for row in rows]

    async def execute(self, schedule: Schedule, imp_uid: ImpUid, now: datetime) -> Schedule:
        """The next attempt of a schedule that this transaction holds is this payment."""
        executed = await self._one(Q["execute"], schedule.number, imp_uid, now)
        assert executed is not None, "it is held"
        return executed

    async def later(self, number: str, at: datetime, now: datetime) -> None:
        """A due schedule is looked at again then."""
        await self._connection.fetchval(Q["later"], number, at, now)

    async def revoke(self, schedule: Schedule, now: datetime) -> Schedule | None:
        """scheduled -> revoked."""
        return await self._one(Q["revoke"], schedule.number, now)

    async def move(self, schedule: Schedule, schedule_at: datetime) -> Schedule:
        """Due at another time; what was revoked or has failed is due again."""
        moved = await self._one(Q["move"], schedule.number, schedule_at)
        assert moved is not None, "it is held"
        return moved

    async def page(
        self,
        merchant_id: int,
        since: datetime,
        until: datetime,
        customer_uid: str | None,
        state: ScheduleState | None,
        *,
        oldest_first: bool,
        limit: int,
        offset: int,
    ) -> SchedulePage:
        """Schedules due from `since` and before `until`, a page of them."""
        rows = await self._connection.fetch(
            Q["page"], merchant_id, since, until, customer_uid, state, oldest_first, limit, offset
        )
        return SchedulePage(await self._read(rows), rows[0]["total"] if rows else 0)

    async def overview(
        self, what: str, now: datetime, most: int, merchant_id: int | None = None
    ) -> list[Glance]:
        """`late`, `failed`, `checking` or `waiting` schedules of a merchant (None: of all), oldest first."""
        return [
            Glance(
                merchant_id=row["merchant_id"],
                merchant_uid=row["merchant_uid"],
                customer_uid=row["customer_uid"],
                state=row["state"],
                attempt=row["attempt"],
                amount=Money(row["amount"], row["currency"]),
                schedule_at=row["schedule_at"],
                next_try_at=row["next_try_at"],
                executed_at=row["executed_at"],
                imp_uid=row["imp_uid"],
                step=None if row["step"] is None else Step(row["step"]),
            )
            for row in await self._connection.fetch(Q["overview"], what, now, most, merchant_id)
        ]

    async def failures(self, merchant_id: int | None = None) -> int:
        """How many schedules of a merchant (None: of all) have failed."""
        return int(await self._connection.fetchval(Q["failures"], merchant_id))

    async def keep_check(self, imp_uid: str, key_number: str, look_at: datetime) -> None:
        """This payment is only a check of this key's card: its money is given back.

        Raises BeingChecked while another check of it has not ended.
        """
        try:
            await self._connection.fetchval(Q["keep_check"], imp_uid, look_at, key_number)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "one_check_of_key":
                raise BeingChecked from None
            raise

    async def last_check(
        self, key_number: str, since: datetime, *, beside: str = ""
    ) -> CardCheck | None:
        """What the newest check of this key found that had not ended by then, beside one's own."""
        row = await self._connection.fetchrow(Q["last_check"], key_number, since, beside)
        if row is None:
            return None
        return CardCheck(Step(row["step"]), row["fail_code"] or "", row["fail_reason"] or "")

    async def due_checks(self, now: datetime, most: int) -> list[str]:
        """imp_uids of checks that are not known to be given back."""
        rows = await self._connection.fetch(Q["due_checks"], now, most)
        return [row["imp_uid"] for row in rows]

    async def put_off_check(self, imp_uid: str, look_at: datetime) -> None:
        """Look at this check again then."""
        await self._connection.fetchval(Q["put_off_check"], imp_uid, look_at)

    async def end_check(self, imp_uid: str, now: datetime) -> None:
        """Nothing of this check is left with us."""
        await self._connection.fetchval(Q["end_check"], imp_uid, now)

    async def _one(self, query: Any, *values: Any) -> Schedule | None:
        row = await self._connection.fetchrow(query, *values)
        return None if row is None else (await self._read([row]))[0]

    async def _many(self, query: Any, *values: Any) -> list[Schedule]:
        return await self._read(await self._connection.fetch(query, *values))

    async def _read(self, rows: Sequence[asyncpg.Record]) -> list[Schedule]:
        keyring = self._connection.keyring
        return await self._connection.opened(lambda: [read_schedule(row, keyring) for row in rows])


def read_schedule(row: asyncpg.Record, keyring: Keyring) -> Schedule:
    """A schedule from its row. Raises BrokenSeal, UnknownDataKey."""
    private = _read_private(keyring.open(row["sealed"], SCHEDULES, row["number"]))
    currency = row["currency"]
    return Schedule(
        id=row["id"],
        merchant_id=row["merchant_id"],
        merchant_uid=MerchantUid(row["merchant_uid"]),
        customer_uid=row["customer_uid"],
        channel_id=row["channel_id"],
        number=row["number"],
        state=ScheduleState(row["state"]),
        amount=Money(row["amount"], currency),
        tax_free=Money(row["tax_free"], currency),
        schedule_at=row["schedule_at"],
        asked_at=row["asked_at"],
        attempt=row["attempt"],
        vat=None if row["vat"] is None else Money(row["vat"], currency),
        name=row["name"],
        buyer=Buyer(private.name, private.email, private.tel, private.addr, private.postcode),
        custom_data=private.custom_data,
        customer_id=private.customer_id,
        webhook_urls=tuple(row["webhook_urls"]),
        request=private.request,
        next_try_at=row["next_try_at"],
        executed_at=row["executed_at"],
        revoked_at=row["revoked_at"],
        imp_uid=None if row["imp_uid"] is None else ImpUid(row["imp_uid"]),
    )

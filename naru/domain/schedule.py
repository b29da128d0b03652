"""A schedule: one order that a customer's card will be charged for later, without anybody pressing a button.

Whether its money was taken is not written here: that is what its payment says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Buyer

# A time that has just passed is taken for now (unknowns.md A23).
LATE_BY_MAX = timedelta(hours=1)
# What lies so far ahead is a mistake: seconds taken for milliseconds.
AHEAD_BY_MAX = timedelta(days=366 * 20)


class ScheduleState(StrEnum):
    """i'mport's `schedule_status`."""

    SCHEDULED = "scheduled"
    EXECUTED = "executed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One order of one customer, due at `schedule_at`.

    `attempt` counts its payments, `imp_uid` is the last of them while it is executed. `number` is ours
    and never changes: the PG's order number of an attempt is made from it, so that whoever makes the
    same attempt again, as a restored copy does, asks the PG the same question.
    """

    id: int
    merchant_id: int
    merchant_uid: MerchantUid
    customer_uid: str
    channel_id: int
    number: str
    state: ScheduleState
    amount: Money
    tax_free: Money
    schedule_at: datetime
    asked_at: datetime
    attempt: int = 0
    vat: Money | None = None
    name: str | None = None
    buyer: Buyer = field(default_factory=Buyer, repr=False)
    custom_data: str | None = field(default=None, repr=False)
    customer_id: str | None = field(default=None, repr=False)
    webhook_urls: tuple[str, ...] = ()
    request: dict[str, Any] = field(default_factory=dict, repr=False)
    next_try_at: datetime | None = None
    executed_at: datetime | None = None
    revoked_at: datetime | None = None
    imp_uid: ImpUid | None = None

    def order_no(self) -> str:
        """The PG's order number of the next attempt."""
        return f"{self.number}r{self.attempt + 1}"


def may_begin_at(schedule_at: datetime, now: datetime) -> bool:
    """May a new schedule be due then?"""
    return now - LATE_BY_MAX <= schedule_at <= now + AHEAD_BY_MAX

"""Gateway: the hands that every verb is given. Money code takes nothing from anywhere else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from naru.connectors import Connector, find
from naru.domain.channel import Channel
from naru.domain.hands import chance, utc_now
from naru.domain.ids import Ids, RandomIds
from naru.domain.payment import Payment, Status
from naru.domain.payment import public_status as _public_status
from naru.domain.pg_profile import profile
from naru.payments.pg_load import PgLoad
from naru.payments.turns import Turns
from naru.store import Store
from naru.wire import Wire


@dataclass(slots=True)
class Gateway:
    """The store, the lines out, the clock and the ids.

    `wire` calls addresses that strangers name (webhooks, confirm_url); `pg_wire` calls PGs that the
    operator configured. `public_url` is where browsers and PGs reach us.
    """

    store: Store
    wire: Wire
    pg_wire: Wire
    public_url: str
    root_key: bytes = field(repr=False)
    now: Callable[[], datetime] = utc_now
    chance: random.Random = field(default_factory=chance, repr=False)
    ids: Ids = field(default_factory=RandomIds)
    partial_cancel_status: Status = Status.CANCELLED
    close_expired_accounts: bool = False
    api_account_webhook: bool = True
    answer_declined: bool = True
    prepared_currency: Literal["channel", "any"] = "channel"
    # Where operators are told of new tasks; its query may hold a secret.
    alert_url: str | None = field(default=None, repr=False)
    pg_load: PgLoad = field(default_factory=PgLoad)
    turns: Turns = field(default_factory=Turns)
    _connectors: dict[str, Connector] = field(default_factory=dict, repr=False)

    def connector_of(self, channel: Channel) -> Connector:
        """Who speaks for this channel."""
        connector = self._connectors.get(channel.connector)
        if connector is None:
            connector = find(channel.connector, self.pg_wire, self.now)
            self._connectors[channel.connector] = connector
        return connector

    def public_status(self, payment: Payment) -> Status:
        """i'mport's status of this payment."""
        return _public_status(payment, partial_cancel=self.partial_cancel_status)

    def assumed_currency(self, pg_code: str) -> str | None:
        """In which currency this PG's channels pay a number that was announced without one; None: in any."""
        return None if self.prepared_currency == "any" else profile(pg_code).currency

    def return_url(self, payment: Payment) -> str:
        """Where the buyer's browser comes back to from the PG."""
        return f"{self.public_url}/checkout/return/{payment.imp_uid}"

    def notice_url(self, channel: Channel) -> str:
        """Where the PG's server tells us of deposits."""
        return f"{self.public_url}/notices/{channel.channel_key}"

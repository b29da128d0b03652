"""A gateway for tests: fresh database, a merchant with channels at a PG, a clock that tests move."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from naru.domain.channel import Channel
from naru.domain.ids import MerchantUid
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.payment import Payment, Surface
from naru.payments.gateway import Gateway
from naru.payments.start import Opening, start
from naru.store import Store
from naru.wire import Wire

ROOT_KEY = bytes(range(32))
_NUMBERS = itertools.count(1)


class Clock:
    """The time that the gateway reads. It advances by `advance`, and by real time unless frozen.

    Real time goes on by default, because a PG beside us has a clock too and signatures hold a time.
    """

    def __init__(self, *, frozen_at: datetime | None = None) -> None:
        self._frozen_at = frozen_at
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return (self._frozen_at or datetime.now(UTC)) + self._ahead

    def advance(self, **how: float) -> None:
        """Later by this `timedelta`: advance(minutes=5)."""
        self._ahead += timedelta(**how)


@dataclass
class House:
    """A gateway, one merchant of it and the merchant's channel at the PG."""

    gateway: Gateway
    clock: Clock
    merchant: Merchant
    channel: Channel
    dsn: str

    async def set_merchant(self, **settings: Any) -> Merchant:
        """Change settings of the merchant, as its staff would."""
        self.merchant = replace(self.merchant, **settings)
        async with self.gateway.store.begin() as tx:
            await tx.merchants.change(self.merchant)
        return self.merchant

    def opening(self, amount: int | Money = 1004, **given: Any) -> Opening:
        """What a page would ask for; an order of its own unless `merchant_uid` is given."""
        given = {
            "merchant_uid": MerchantUid(f"order-{next(_NUMBERS)}"),
            "surface": Surface.PC,
            "pay_method": "card",
            **given,
        }
        money = Money(amount) if isinstance(amount, int) else amount
        return Opening(merchant=self.merchant, channel=self.channel, amount=money, **given)

    async def open(self, amount: int | Money = 1004, **given: Any) -> Payment:
        """A payment whose window is open."""
        payment, _ = await start(self.gateway, self.opening(amount, **given))
        return payment

    async def payment(self, imp_uid: str) -> Payment:
        """The payment as it stands."""
        async with self.gateway.store.direct() as session:
            found = await session.payments.get(imp_uid)
        assert found is not None
        return found

    async def history(self, imp_uid: str) -> list[str]:
        """The events of a payment; their numbers must run 1..n."""
        async with self.gateway.store.direct() as session:
            events = await session.payments.history(imp_uid)
        assert [event["version"] for event in events] == list(range(1, len(events) + 1))
        return [event["event"] for event in events]


@asynccontextmanager
async def open_house(
    dsn: str,
    pg_url: str,
    *,
    secret: str = "s" * 32,
    mid: str = "T0000",
    pg_code: str = "kcp",
    clock: Clock | None = None,
    size: int = 10,
    root_key: bytes = ROOT_KEY,
) -> AsyncIterator[House]:
    """A gateway on the (migrated) database `dsn`, whose merchant has a test channel at `pg_url`."""
    clock = clock or Clock()
    store = await Store.open(dsn, size, root_key=root_key)
    number = next(_NUMBERS)
    try:
        async with Wire(allow_private=True, ports=None) as wire:
            gateway = Gateway(
                store=store,
                wire=wire,
                pg_wire=wire,
                public_url="http://gateway.localhost",
                root_key=root_key,
                now=clock,
            )
            async with store.begin() as tx:
                merchant_id = await tx.merchants.add(
                    "당근상점", [f"imp{number:08d}"], live=False, webhook_secret=None
                )
                await tx.channels.add(
                    merchant_id,
                    f"channel-key-{number}",
                    pg_code,
                    mid,
                    "sandbox",
                    test=True,
                    settings={"url": pg_url, "secret": secret},
                    is_default=True,
                )
                merchant = await tx.merchants.get(merchant_id)
                [channel] = await tx.channels.of_merchant(merchant_id)
            assert merchant is not None
            yield House(gateway, clock, merchant, channel, dsn)
    finally:
        await store.close()

"""A merchant with a channel and payments in a real database, for tests below the verbs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime

from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.payment import Payment, Step, Surface
from naru.store import Store

_NUMBERS = itertools.count(1)


PG_SECRET = "a secret shared with the sandbox PG, 32 and more"


async def make_merchant(store: Store, **settings: object) -> Merchant:
    """A merchant with these settings and one sandbox channel (secret: PG_SECRET)."""
    number = next(_NUMBERS)
    async with store.begin() as session:
        merchant_id = await session.merchants.add(
            f"shop {number}", [f"imp{number:08d}"], live=False, webhook_secret=None
        )
        merchant = await session.merchants.get(merchant_id)
        assert merchant is not None
        merchant = replace(merchant, **settings)  # type: ignore[arg-type]
        await session.merchants.change(merchant)
        await session.channels.add(
            merchant_id,
            f"channel-key-{number}",
            "kcp",
            f"T{number:04d}",
            "sandbox",
            test=True,
            settings={"url": "http://127.0.0.1:1", "secret": PG_SECRET},
        )
    return merchant


async def make_payment(
    store: Store, merchant: Merchant, *, webhook_urls: tuple[str, ...] = ()
) -> Payment:
    """A payment whose window is open."""
    number = next(_NUMBERS)
    async with store.begin() as session:
        [channel] = await session.channels.of_merchant(merchant.id)
        opened = await session.payments.open(
            Payment(
                imp_uid=ImpUid(f"imp_{number:012d}"),
                merchant_id=merchant.id,
                merchant_uid=MerchantUid(f"order-{number}"),
                channel_id=channel.id,
                pg_code=channel.pg_code,
                mid=channel.mid,
                sandbox=True,
                surface=Surface.PC,
                pay_method="card",
                step=Step.OPENED,
                version=1,
                amount=Money(1004),
                cancelled=Money(0),
                tax_free=Money(0),
                vat=None,
                pg_order_no=f"n{number:024d}",
                started_at=datetime.now(UTC),
                webhook_urls=webhook_urls,
            ),
            None,
        )
    assert opened is not None
    return opened


def at(payment: Payment, step: Step, version: int) -> Payment:
    """The payment as it will be after `version` changes."""
    return replace(payment, step=step, version=version)

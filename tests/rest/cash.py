"""Money that was paid without a card, at the running sandbox PG: what receipts and escrow are of."""

from __future__ import annotations

from typing import Any

from yarl import URL

from naru.domain.channel import Channel
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Payment, Step, Surface
from naru.domain.window import Redirect
from naru.payments.approve import approve
from naru.payments.start import Opening, enter_window, start
from tests.rest.conftest import NUMBERS, Desk, House

ACCOUNT = {"bank_code": "004", "account_number": "110123456789", "password": "1234"}


async def add_channel(desk: Desk, house: House, pg_code: str) -> Channel:
    """One more channel of the shop, which is a member of the sandbox PG under this PG's name."""
    name = f"{pg_code}{next(NUMBERS)}"
    settings = {"url": house.pg_url, "secret": f"{name}-" + "s" * 40}
    async with house.store.begin() as tx:
        await tx.channels.add(
            desk.shop.merchant.id,
            f"channel-key-{name}",
            pg_code,
            f"M{name}",
            "sandbox",
            test=True,
            settings=settings,
        )
        channels = await tx.channels.of_merchant(desk.shop.merchant.id)
    body = {"secret": settings["secret"], "name": name, "profile": pg_code}
    async with desk.http.put(f"{house.pg_url}/v1/members/M{name}", json=body) as answer:
        assert answer.status == 200
    return next(each for each in channels if each.mid == f"M{name}")


async def transfer(
    desk: Desk, amount: int = 1004, *, channel: Channel | None = None, **changes: Any
) -> Payment:
    """A payment by bank transfer that went the whole way."""
    opened, _ = await start(
        desk.gateway,
        Opening(
            merchant=desk.shop.merchant,
            channel=channel or desk.shop.channel,
            merchant_uid=MerchantUid(f"order_{next(NUMBERS)}"),
            amount=Money(amount),
            surface=Surface.PC,
            pay_method="trans",
            name="당근 10kg",
            **changes,
        ),
    )
    window = await enter_window(desk.gateway, opened, desk.shop.merchant)
    assert isinstance(window, Redirect)
    origin = str(URL(window.url).origin())
    where = f"{window.url}/trans"
    async with desk.http.post(where, json=ACCOUNT, headers={"Origin": origin}) as answer:
        said = await answer.json()
    paid = await approve(desk.gateway, opened.imp_uid, said["return_form"]["fields"])
    assert paid is not None
    assert paid.step is Step.PAID
    return paid


async def page(desk: Desk, url: str) -> str:
    """What a page of the sandbox PG shows, once."""
    async with desk.http.get(url) as answer:
        assert answer.status == 200
        return await answer.text()

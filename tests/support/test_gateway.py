"""The gateway for tests: its clock, its merchant, its own database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from naru.domain.payment import Step
from tests.support.gateway import Clock, open_house


def test_the_clock_goes_on_by_itself_or_stands_still_and_can_be_moved() -> None:
    walking = Clock()
    assert abs(walking() - datetime.now(UTC)) < timedelta(seconds=5)
    walking.advance(hours=1)
    assert walking() > datetime.now(UTC) + timedelta(minutes=59)
    frozen = Clock(frozen_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert frozen() == frozen()
    frozen.advance(days=-1)
    assert frozen() == datetime(2025, 12, 31, tzinfo=UTC)


async def test_a_house_has_a_merchant_with_a_channel_and_opens_payments(database_url: str) -> None:
    async with open_house(database_url, "http://127.0.0.1:1") as house:
        first, second = await house.open(), await house.open(5)
        assert first.merchant_uid != second.merchant_uid
        assert (await house.payment(first.imp_uid)).step is Step.OPENED
        assert await house.history(first.imp_uid) == ["opened"]
        await house.set_merchant(confirm_url="http://x")
        async with house.gateway.store.direct() as session:
            assert await session.merchants.get(house.merchant.id) == house.merchant

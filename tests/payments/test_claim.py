"""The claim, for naru/payments/claim.py."""

from __future__ import annotations

import asyncio

import pytest

from naru.domain.errors import AlreadyPaid, PreparedDiffers
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.domain.prepared import Prepared
from naru.payments.claim import claim
from naru.payments.prepare import prepare
from tests.support.gateway import House


async def test_a_claim_writes_the_step_and_the_question_together(house: House) -> None:
    payment = await house.open(1004)
    claimed = await claim(house.gateway, payment, "card", {"token_dies_at": 5})
    assert claimed is not None
    assert claimed.step is Step.APPROVING
    async with house.gateway.store.direct() as session:
        intent = await session.intents.of_payment(payment.imp_uid)
    assert intent is not None
    assert (intent.kind, intent.number, intent.amount) == ("approve", payment.pg_order_no, 1004)
    assert (intent.state, intent.request) == ("open", {"token_dies_at": 5})
    assert await claim(house.gateway, payment, "card", {}) is None


async def test_a_refused_claim_changes_nothing(house: House) -> None:
    order = MerchantUid("o1")
    first, second, third = [await house.open(1004, merchant_uid=order) for _ in range(3)]
    ends = await asyncio.gather(
        *(claim(house.gateway, each, None, {}) for each in (first, second)),
        return_exceptions=True,
    )
    assert {type(each) for each in ends} == {Payment, AlreadyPaid}
    await prepare(house.gateway, house.merchant.id, Prepared(order, Money(5)))
    with pytest.raises(PreparedDiffers):
        await claim(house.gateway, third, None, {})
    assert (await house.payment(third.imp_uid)).step is Step.OPENED

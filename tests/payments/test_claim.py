"""The claim, for naru/payments/claim.py."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from naru.domain.acting import Acting, acting
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


@pytest.mark.promise("P17")
@pytest.mark.parametrize("amount", [1004, 5])
async def test_a_claim_waits_for_an_amount_that_is_being_announced_anew(
    house: House, amount: int
) -> None:
    """It may not slip in before the announcement is committed, and not compare with the old one."""
    order = MerchantUid(f"waits-{amount}")
    await prepare(house.gateway, house.merchant.id, Prepared(order, Money(1004)))
    payment = await house.open(1004, merchant_uid=order)
    async with house.gateway.store.begin() as tx:
        await tx.prepared.hold_to_change(house.merchant.id, order)
        assert await tx.prepared.change(
            house.merchant.id, Prepared(order, Money(amount)), house.clock()
        )
        claiming = asyncio.ensure_future(claim(house.gateway, payment, None, {}))
        done, _ = await asyncio.wait({claiming}, timeout=0.3)
        assert not done, "the control: the announcement is not committed"
    if amount == 1004:
        claimed = await claiming
        assert claimed is not None
        assert claimed.step is Step.APPROVING
    else:
        with pytest.raises(PreparedDiffers):
            await claiming
        assert (await house.payment(payment.imp_uid)).step is Step.OPENED


async def test_a_number_announced_without_a_currency_holds_where_the_installation_says(
    house: House,
) -> None:
    """`NARU_PREPARED_CURRENCY`: in the currency that the PG assumes, or as in i'mport in any."""
    order = MerchantUid("bare-number")
    payment = await house.open(Money(1200, "USD"), merchant_uid=order)
    await prepare(house.gateway, house.merchant.id, Prepared(order, Money(12)))
    with pytest.raises(PreparedDiffers):
        await claim(house.gateway, payment, None, {})
    house.gateway.prepared_currency = "any"
    claimed = await claim(house.gateway, payment, None, {})
    assert claimed is not None
    assert claimed.step is Step.APPROVING


@pytest.mark.promise("P20")
@pytest.mark.parametrize("who", [None, Acting("postVbanks", who="merchant")])
async def test_who_claims_for_a_merchants_server_is_named_in_the_audit_log(
    house: House, who: Acting | None
) -> None:
    payment = await house.open(1004)
    before = acting.set(who)
    try:
        assert await claim(house.gateway, payment, None, {}) is not None
    finally:
        acting.reset(before)
    connection = await asyncpg.connect(house.dsn)
    try:
        found = await connection.fetchval(
            "SELECT count(*) FROM audit_log WHERE subject LIKE '%' || $1 || '%'", payment.imp_uid
        )
    finally:
        await connection.close()
    assert found == (1 if who else 0)

"""Rows A1 (announced), A2 (opened) and A3 (window) where a process sleeps (SL) or its clock jumps (CJ)."""

from __future__ import annotations

import pytest

from naru.domain.errors import AlreadyPrepared, PreparedDiffers
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Step
from naru.domain.prepared import Prepared
from naru.payments.approve import approve
from naru.payments.gateway import Gateway
from naru.payments.prepare import prepare
from naru.payments.start import enter_window, start
from tests.payments.test_faults_approve import form, jumping
from tests.payments.test_sleepers import asleep
from tests.support.agreement import agree
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg

SLEEP_SECONDS = 400


@pytest.mark.fault("A1_SL")
@pytest.mark.promise("P17")
async def test_an_announcement_that_was_slept_over_does_not_replace_what_was_announced_since(
    house: House,
) -> None:
    order = MerchantUid("slept")

    async def announces(gateway: Gateway) -> object:
        with pytest.raises(AlreadyPrepared):
            await prepare(gateway, house.merchant.id, Prepared(order, Money(5)))
        return None

    with asleep(house, "prepare.before_commit", announces) as sleeper:
        assert await sleeper.sleeps()
        await prepare(house.gateway, house.merchant.id, Prepared(order, Money(1004)))
        house.clock.advance(seconds=SLEEP_SECONDS)
        await sleeper.goes_on()
    with pytest.raises(PreparedDiffers):
        await house.open(5, merchant_uid=order)
    await house.open(1004, merchant_uid=order)


@pytest.mark.fault("A2_SL")
@pytest.mark.promise("P2")
@pytest.mark.parametrize("point", ["start.before_open", "start.after_open"])
async def test_an_opening_that_was_slept_over_is_one_more_window_of_an_order_that_is_paid_once(
    house: House, pg: StandInPg, point: str
) -> None:
    order, opened = MerchantUid("slept"), []

    async def opens(gateway: Gateway) -> object:
        payment, _ = await start(gateway, house.opening(merchant_uid=order))
        opened.append(payment)
        return payment

    with asleep(house, point, opens) as sleeper:
        assert await sleeper.sleeps()
        house.clock.advance(seconds=SLEEP_SECONDS)
        other = await house.open(merchant_uid=order)
        await sleeper.goes_on()
    for payment, step in ((opened[0], Step.PAID), (other, Step.FAILED)):
        end = await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
        assert end is not None
        assert end.step is step
        await agree(house, pg, payment.imp_uid, [])
    assert pg.taken() == 1004


@pytest.mark.fault("A3_SL")
async def test_a_window_whose_opening_was_slept_over_is_the_same_window(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    plans = []

    async def enters(gateway: Gateway) -> object:
        plans.append(await enter_window(gateway, payment, house.merchant))
        return None

    with asleep(house, "window.after_pg", enters) as sleeper:
        assert await sleeper.sleeps()
        house.clock.advance(seconds=SLEEP_SECONDS)
        plans.append(await enter_window(house.gateway, payment, house.merchant))
        await sleeper.goes_on()
    assert plans[0] == plans[1]
    assert await house.history(payment.imp_uid) == ["opened"]
    paid = await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID


@pytest.mark.fault("A1_CJ", "A2_CJ", "A3_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("point", ["prepare.before_commit", "start.before_open", "window.after_pg"])
async def test_a_clock_that_jumps_before_a_payment_is_opened_changes_nothing(
    house: House, pg: StandInPg, point: str, hours: int
) -> None:
    order = MerchantUid("jump")
    async with jumping(house, point, hours):
        await prepare(house.gateway, house.merchant.id, Prepared(order, Money(1004)))
        payment = await house.open(1004, merchant_uid=order)
        await enter_window(house.gateway, payment, house.merchant)
    paid = await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    await agree(house, pg, payment.imp_uid, [])

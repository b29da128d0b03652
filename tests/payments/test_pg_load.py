"""A PG that hangs keeps to its share: refusals are clean, and another PG goes on (RELIABILITY 6.14)."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time

import pytest
from aiohttp import web

from naru.domain.cancellation import CancelRequest
from naru.domain.errors import OutcomeUnknown, PgBusy, PgRefused
from naru.domain.outcome import Unknown
from naru.domain.payment import Payment, Step
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.pg_load import AT_ONCE_WHEN_ILL, SILENCES_MAKE_ILL, PgLoad
from naru.payments.reconcile import due, reconcile
from naru.payments.start import enter_window
from tests.payments.test_approve import back
from tests.payments.test_confirm_deposit import issue
from tests.support.gateway import House, open_house
from tests.support.stand_in_pg import SECRET, StandInPg, standing_in

BUYERS = 200
SHARE = 20
OTHERS = 15


async def pay(house: House, pg: StandInPg, payment: Payment) -> Payment:
    settled = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert settled is not None
    return settled


async def seconds_of(house: House, pg: StandInPg) -> float:
    """How long one complete payment lasts, from its opening on."""
    began = time.perf_counter()
    settled = await pay(house, pg, await house.open())
    assert settled.step is Step.PAID
    return time.perf_counter() - began


async def crowd(house: House, pg: StandInPg, buyers: int) -> list[asyncio.Task[Payment]]:
    """So many buyers come back at once to a PG that answers nobody."""
    payments = [await house.open() for _ in range(buyers)]
    for _ in payments:
        pg.hold("approvals", done_first=False)
    return [asyncio.create_task(pay(house, pg, payment)) for payment in payments]


async def go_home(tasks: list[asyncio.Task[Payment]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.promise("P12")
async def test_200_buyers_at_a_hanging_pg_and_another_that_goes_on(
    house: House, pg: StandInPg
) -> None:
    house.gateway.pg_load = PgLoad(SHARE)
    async with standing_in() as well, open_house(house.dsn, well.url, secret=SECRET) as other:
        # One process: the same load, the same database connections, the same loop.
        other.gateway.store, store = house.gateway.store, other.gateway.store
        other.gateway.pg_load = house.gateway.pg_load
        alone = statistics.median([await seconds_of(other, well) for _ in range(OTHERS)])
        under_way = await crowd(house, pg, BUYERS)
        async with asyncio.timeout(30):
            while sum(each.done() for each in under_way) < BUYERS - SHARE:
                await asyncio.sleep(0.01)
        beside = statistics.median([await seconds_of(other, well) for _ in range(OTHERS)])
        other.gateway.store = store
    refused = [each.result() for each in under_way if each.done()]
    print(
        f"{pg.count('approvals')} of {BUYERS} calls hang, {len(refused)} refused; another PG's payments"
        f" take {beside * 1000:.0f} ms beside them, {alone * 1000:.0f} ms alone"
    )
    assert (pg.count("approvals"), len(refused)) == (SHARE, BUYERS - SHARE)
    assert beside < 5 * alone + 0.05
    for payment in refused:
        # Nothing moved, nothing is in doubt, and the order may be paid again.
        assert (payment.step, payment.fail_reason) == (Step.FAILED, PgBusy.sentence)
    assert await house.history(refused[0].imp_uid) == ["opened", "abandoned"]
    # The next buyer hears of it before they authenticate.
    with pytest.raises(PgBusy):
        await house.open()
    with pytest.raises(PgBusy):
        await issue(house)
    await go_home(under_way)


async def test_without_a_limit_every_buyer_hangs(house: House, pg: StandInPg) -> None:
    """The control."""
    buyers = 2 * SHARE
    house.gateway.pg_load = PgLoad(10_000)
    under_way = await crowd(house, pg, buyers)
    async with asyncio.timeout(30):
        while pg.count("approvals") < buyers:
            await asyncio.sleep(0.01)
    assert not any(each.done() for each in under_way)
    await house.open()
    await go_home(under_way)


async def test_a_window_is_not_asked_for_either_when_there_is_no_room(
    house: House, pg: StandInPg
) -> None:
    house.gateway.pg_load = PgLoad(1)
    payment = await house.open()
    with house.gateway.pg_load.asking(house.channel.id), pytest.raises(PgBusy):
        await enter_window(house.gateway, payment, house.merchant)
    assert (pg.count("orders"), (await house.payment(payment.imp_uid)).step) == (0, Step.OPENED)
    # The same window works as soon as there is room.
    await enter_window(house.gateway, payment, house.merchant)
    assert pg.count("orders") == 1


async def test_an_account_is_refused_when_the_room_went_while_it_was_opened(
    house: House, pg: StandInPg
) -> None:
    class Filling(PgLoad):
        def has_room(self, channel_id: int) -> bool:
            self.at_once -= 1
            return self.at_once > 0

    house.gateway.pg_load = Filling(2)
    with pytest.raises(PgRefused, match=PgBusy.sentence[:20]):
        await issue(house)
    assert pg.count("virtual_accounts") == 0


async def test_a_pg_that_falls_silent_is_asked_little_until_it_speaks(
    house: House, pg: StandInPg
) -> None:
    payments = [await house.open() for _ in range(SILENCES_MAKE_ILL + AT_ONCE_WHEN_ILL + 1)]
    for payment in payments[:SILENCES_MAKE_ILL]:
        pg.hang_up("approvals", done=False)
        assert (await pay(house, pg, payment)).step is Step.APPROVING
    held = [pg.hold("approvals", done_first=False) for _ in range(AT_ONCE_WHEN_ILL)]
    probes = [
        asyncio.create_task(pay(house, pg, payment)) for payment in payments[SILENCES_MAKE_ILL:-1]
    ]
    for arrived, _ in held:
        await asyncio.wait_for(arrived.wait(), 10)
    with pytest.raises(PgBusy):
        await house.open()
    for _, go_on in held:
        go_on.set()
    for probe in probes:
        assert (await probe).step is Step.PAID
    # It spoke, so everything is as before.
    load = house.gateway.pg_load
    assert all(load.has_room(house.channel.id) for _ in range(3))
    assert (await pay(house, pg, payments[-1])).step is Step.PAID


async def test_the_doubts_of_one_pg_do_not_take_every_place_of_a_worker(
    house: House, pg: StandInPg
) -> None:
    doubts = [await house.open() for _ in range(4)]
    for payment in doubts:
        pg.hang_up("approvals", done=True)
        assert (await pay(house, pg, payment)).step is Step.APPROVING
    house.gateway.pg_load = PgLoad(3)
    house.clock.advance(seconds=30)
    held = [pg.hold("orders", done_first=False) for _ in range(3)]
    looks = [
        asyncio.create_task(reconcile(house.gateway, payment.imp_uid)) for payment in doubts[:3]
    ]
    for arrived, _ in held:
        await asyncio.wait_for(arrived.wait(), 10)
    # The fourth is not begun, and stays due for whoever has a place.
    assert await reconcile(house.gateway, doubts[3].imp_uid) is None
    assert await due(house.gateway) == [doubts[3].imp_uid]
    for _, go_on in held:
        go_on.set()
    await asyncio.gather(*looks)
    await reconcile(house.gateway, doubts[3].imp_uid)
    for payment in doubts:
        assert (await house.payment(payment.imp_uid)).step is Step.PAID
    assert pg.count("orders") == 4


async def test_cancels_at_a_hanging_pg_keep_to_its_share_and_are_refused_before_they_begin(
    house: House, pg: StandInPg
) -> None:
    house.gateway.pg_load = PgLoad(3)
    paid = [await pay(house, pg, await house.open()) for _ in range(5)]
    held = [pg.hold("cancels", done_first=False) for _ in range(3)]
    cancels = [asyncio.create_task(give_back(house, payment)) for payment in paid[:3]]
    for arrived, _ in held:
        await asyncio.wait_for(arrived.wait(), 10)
    with pytest.raises(PgBusy, match="취소되지 않았으니"):
        await give_back(house, paid[3])
    async with house.gateway.store.direct() as session:
        asked = await session.intents.all_of_payment(paid[3].imp_uid)
    assert [each.kind for each in asked] == ["approve"]
    for _, go_on in held:
        go_on.set()
    for each in await asyncio.gather(*cancels):
        assert each.step is Step.CANCELLED
    assert (await give_back(house, paid[3])).step is Step.CANCELLED
    # And a PG that is silent about cancels is asked little, as for approvals.
    for _ in range(SILENCES_MAKE_ILL):
        house.gateway.pg_load.heard(house.channel.id, Unknown("silence"))
    assert (await give_back(house, paid[4])).step is Step.CANCELLED
    assert house.gateway.pg_load.has_room(house.channel.id)
    assert pg.count("cancels") == 5


async def give_back(house: House, payment: Payment) -> Payment:
    return await cancel(house.gateway, house.merchant.id, payment.imp_uid, CancelRequest())


async def test_silence_about_cancels_makes_a_pg_ill_too(house: House, pg: StandInPg) -> None:
    paid = [await pay(house, pg, await house.open()) for _ in range(SILENCES_MAKE_ILL)]
    for payment in paid:
        pg.hang_up("cancels", done=False)
        with pytest.raises(OutcomeUnknown):
            await give_back(house, payment)
    places = [house.gateway.pg_load.asking(house.channel.id) for _ in range(AT_ONCE_WHEN_ILL)]
    with contextlib.ExitStack() as taken:
        for place in places:
            taken.enter_context(place)
        assert not house.gateway.pg_load.has_room(house.channel.id)


async def test_a_merchant_who_thinks_long_holds_no_place_of_the_pg(
    house: House, pg: StandInPg
) -> None:
    thinking, decided = asyncio.Event(), asyncio.Event()

    async def think(request: web.Request) -> web.Response:
        thinking.set()
        await decided.wait()
        return web.Response()

    shop = web.Application()
    shop.router.add_post("/", think)
    runner = web.AppRunner(shop)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        house.gateway.pg_load = PgLoad(1)
        port = runner.addresses[0][1]
        slow = await house.open(confirm_url=f"http://127.0.0.1:{port}/")
        other = await house.open()
        under_way = asyncio.create_task(pay(house, pg, slow))
        await asyncio.wait_for(thinking.wait(), 10)
        assert (await pay(house, pg, other)).step is Step.PAID
        decided.set()
        assert (await under_way).step is Step.PAID
    finally:
        await runner.cleanup()


def test_places_are_given_back_whatever_happens() -> None:
    load = PgLoad(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="no"), load.asking(1):
            raise ValueError("no")
    with load.asking(1), load.asking(2):
        assert not load.has_room(1)
    assert load.has_room(1)
    for _ in range(SILENCES_MAKE_ILL):
        load.heard(1, Unknown("silence"))
    assert PgLoad(1).has_room(1)
    assert load.has_room(1)

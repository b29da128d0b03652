"""How soon doubts end once a silent PG answers again, and how many a sick PG may have, for L1 and G14."""

from __future__ import annotations

import pytest

from naru.domain.payment import Step
from naru.payments.approve import approve
from naru.payments.ask_now import ask_now
from naru.payments.reconcile import due, probe, reconcile
from tests.payments.test_approve import back
from tests.support.gateway import House
from tests.support.scale import often
from tests.support.stand_in_pg import Asked, StandInPg


async def _silent(asked: Asked) -> None:
    assert asked.request.transport is not None
    asked.request.transport.abort()


async def _seconds_until_all_end(house: House, pg: StandInPg, count: int, *, probing: bool) -> int:
    """`count` doubts, 40 minutes of silence, and the seconds from the PG's recovery to the last end."""
    opened = []
    for _ in range(count):
        payment = await house.open()
        later = str(int(house.clock().timestamp()) + 600)
        pg.hang_up("approvals", done=True)
        await approve(house.gateway, payment.imp_uid, back(pg, payment, expires_at=later))
        opened.append(payment.imp_uid)

    async def rounds(seconds: int) -> None:
        house.clock.advance(seconds=seconds)
        if probing:
            await probe(house.gateway)
        for imp_uid in await due(house.gateway):
            await reconcile(house.gateway, imp_uid)

    pg.peek = _silent
    for _ in range(40):
        await rounds(60)
    pg.peek = None
    waited = 0
    while waited < 100_000:
        # The ladder's last rungs are hours: nobody needs to know those to five seconds.
        step = 5 if waited < 600 else 300
        await rounds(step)
        waited += step
        if all([(await house.payment(each)).step is Step.PAID for each in opened]):
            return waited
    raise AssertionError("a doubt did not end")


@pytest.mark.fault("K1_NP", "C2_NP")
@pytest.mark.promise("L1")
async def test_doubts_end_within_a_minute_once_the_pg_answers_again(
    house: House, pg: StandInPg
) -> None:
    count = often(4, 60)
    soon = await _seconds_until_all_end(house, pg, count, probing=True)
    late = await _seconds_until_all_end(house, pg, 1, probing=False)
    print(f"{count} doubts of a PG silent for 40 min end {soon} s after it answers (at most 60);")
    print(f"control, the ladder alone: {late} s")
    assert soon <= 60 < late


@pytest.mark.promise("L1")
async def test_who_reads_a_doubt_brings_its_next_try_forward_and_not_for_ever(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    pg.hang_up("approvals", done=True)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert not await ask_now(house.gateway, payment.imp_uid), "its answer may still be written"
    house.clock.advance(seconds=30)
    pg.peek = _silent
    await reconcile(house.gateway, payment.imp_uid)
    assert not await ask_now(house.gateway, payment.imp_uid), "it was just tried"
    house.clock.advance(seconds=11)
    assert await due(house.gateway) == []
    pg.peek = None
    assert await ask_now(house.gateway, payment.imp_uid)
    assert await due(house.gateway) == [payment.imp_uid]
    paid = await reconcile(house.gateway, payment.imp_uid)
    assert paid is not None
    assert paid.step is Step.PAID
    assert not await ask_now(house.gateway, payment.imp_uid), "nothing is in doubt any more"


async def test_a_silent_pg_is_probed_by_one_doubt_at_a_time(house: House, pg: StandInPg) -> None:
    for _ in range(3):
        payment = await house.open()
        pg.hang_up("approvals", done=True)
        await approve(house.gateway, payment.imp_uid, back(pg, payment))
    pg.peek = _silent
    for _ in range(30):
        house.clock.advance(seconds=60)
        for imp_uid in await due(house.gateway):
            await reconcile(house.gateway, imp_uid)
    tried = 0
    for _ in range(30):
        house.clock.advance(seconds=20)
        await probe(house.gateway)
        waiting = await due(house.gateway)
        assert len(waiting) <= 1
        tried += len(waiting)
        for imp_uid in waiting:
            await reconcile(house.gateway, imp_uid)
    # Ten minutes: one question every 40 to 60 s, whatever the number of doubts.
    assert 9 <= tried <= 16

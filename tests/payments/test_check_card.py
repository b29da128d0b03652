"""A card is charged to see whether it can be: once at a time, whoever asks, and the money goes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from naru.domain.billing_key import BillingKey
from naru.domain.errors import BeingChecked, OutcomeUnknown, PgRefused
from naru.domain.payment import Surface
from naru.payments import turns
from naru.payments.check_card import check_card, due_checks, give_back_check
from naru.payments.turns import Turns
from tests.payments.test_faults_charge import issue
from tests.payments.test_sleepers import asleep
from tests.payments.test_virtual_account_faults import ended
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg

AT_ONCE = 20


async def checks(house: House, key: BillingKey, many: int = AT_ONCE) -> list[object]:
    """As so many requests; every second one asks another process."""
    gateways = [house.gateway, replace(house.gateway, turns=Turns())]
    return await asyncio.gather(
        *(
            check_card(gateways[n % 2], house.opening(surface=Surface.API, request={}), key)
            for n in range(many)
        ),
        return_exceptions=True,
    )


def charged(pg: StandInPg) -> int:
    return sum(row["kind"] == "charge" for row in pg.book)


async def test_twenty_who_check_a_card_at_once_charge_it_once(house: House, pg: StandInPg) -> None:
    key = await issue(house)
    assert await checks(house, key) == [None] * AT_ONCE
    assert (charged(pg), pg.taken(), pg.count("cancels")) == (1, 0, 1)
    # Whoever comes after it asks anew: a card may have been stopped since.
    assert await checks(house, key, 1) == [None]
    assert (charged(pg), pg.taken()) == (2, 0)
    other = await issue(house, "another")
    assert await checks(house, other, 2) == [None] * 2
    assert charged(pg) == 3


async def test_a_card_that_cannot_be_charged_is_refused_to_all_who_asked(
    house: House, pg: StandInPg
) -> None:
    key = await issue(house)
    pg.answer("charges", {"result": "declined", "code": "3011", "message": "한도초과"})
    heard = await checks(house, key)
    assert all(isinstance(each, PgRefused) and each.pg_code == "3011" for each in heard), heard
    assert pg.count("charges") == 1
    # Whoever comes after it asks anew: the customer may have paid their bill since.
    assert await checks(house, key, 1) == [None]
    assert (pg.count("charges"), pg.taken()) == (2, 0)


async def test_who_looked_before_another_process_checked_hears_of_that_check(
    house: House, pg: StandInPg
) -> None:
    key = await issue(house)
    opening = house.opening(surface=Surface.API, request={})
    with asleep(
        house,
        "start.before_open",
        lambda gateway: check_card(replace(gateway, turns=Turns()), opening, key),
    ) as sleeper:
        assert await sleeper.sleeps()
        pg.answer("charges", {"result": "declined", "code": "3011", "message": "한도초과"})
        assert await checks(house, key, 1) != [None]
        await sleeper.goes_on()
    assert pg.count("charges") == 1


async def test_while_a_check_is_in_doubt_nobody_charges_again(
    house: House, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await issue(house)
    pg.hang_up("charges", done=True)
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.3)
    heard = await checks(house, key, 4)
    assert all(isinstance(each, OutcomeUnknown) for each in heard), heard
    assert pg.count("charges") == 1
    house.clock.advance(minutes=1)
    [imp_uid] = await due_checks(house.gateway)
    await ended(house, imp_uid)
    await give_back_check(house.gateway, imp_uid)
    assert (charged(pg), pg.taken()) == (1, 0)


async def test_the_database_takes_one_check_of_a_key_at_a_time(house: House) -> None:
    key = await issue(house)
    first, second = await house.open(), await house.open()
    async with house.gateway.store.begin() as tx:
        await tx.schedules.keep_check(first.imp_uid, key.number, house.clock())
    with pytest.raises(BeingChecked):
        async with house.gateway.store.begin() as tx:
            await tx.schedules.keep_check(second.imp_uid, key.number, house.clock())

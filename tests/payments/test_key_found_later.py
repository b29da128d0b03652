"""A card that was to be kept with a payment, and the payment was found without its key: the PG is asked for it."""

from __future__ import annotations

import pytest

from naru.connectors import Can
from naru.domain.billing_key import BillingKey
from naru.domain.errors import OutcomeUnknown
from naru.domain.payment import Payment, Step
from naru.domain.task import TaskKind
from naru.payments.compare_books import compare_books
from naru.payments.decide_by_hand import decide_by_hand
from naru.payments.delete_billing_key import delete_billing_key
from naru.payments.reconcile_key import due_keys, reconcile_key
from naru.store.doubts import Doubt
from tests.payments.test_decide_by_hand import LONG_ENOUGH, NO, ask, asked_at, yes
from tests.payments.test_faults_charge import Charging, issue, key_of
from tests.payments.test_recovery import give_powers
from tests.payments.test_virtual_account_faults import only_payment
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg

CARDS = (Can.KEY_IN, Can.BILLING)


async def lost(house: House, pg: StandInPg) -> Payment:
    """A charge that keeps its card, of a PG that cannot be asked; its answer was lost."""
    pg.hang_up("charges", done=True)
    with pytest.raises(OutcomeUnknown):
        await Charging(house, "keep")("kept")
    house.clock.advance(minutes=LONG_ENOUGH)
    return await only_payment(house, "kept")


async def work(house: House) -> None:
    for number in await due_keys(house.gateway):
        await reconcile_key(house.gateway, number)


async def doubts(house: House) -> list[Doubt]:
    async with house.gateway.store.direct() as session:
        return await session.doubts.elsewhere(house.clock(), 10)


async def tasks(house: House, key: BillingKey) -> list[str]:
    async with house.gateway.store.direct() as session:
        return [each.kind for each in await session.tasks.list_open() if each.subject == key.number]


async def test_a_payment_that_a_person_ended_finds_its_key(house: House, pg: StandInPg) -> None:
    give_powers(house, *CARDS)
    payment = await lost(house, pg)
    paid = await decide_by_hand(house.gateway, payment.imp_uid, yes(await asked_at(house, payment)))
    assert paid.step is Step.PAID
    assert await key_of(house, "kept") is None, "nobody has told it yet"
    await work(house)
    kept = await key_of(house, "kept")
    assert kept is not None
    assert (kept.key, kept.imp_uid) == (f"key-{paid.pg_order_no}", paid.imp_uid)
    assert await doubts(house) == []


async def test_a_payment_that_was_booked_late_finds_its_key(house: House, pg: StandInPg) -> None:
    give_powers(house, *CARDS, Can.LIST_BOOK)
    payment = await lost(house, pg)
    await decide_by_hand(house.gateway, payment.imp_uid, NO)
    await compare_books(house.gateway, [house.channel])
    assert (await house.payment(payment.imp_uid)).step is Step.PAID
    await work(house)
    assert await key_of(house, "kept") is not None


async def test_a_key_that_the_pg_did_not_keep_is_none(house: House, pg: StandInPg) -> None:
    give_powers(house, *CARDS)
    payment = await lost(house, pg)
    pg.keys.clear()
    await decide_by_hand(house.gateway, payment.imp_uid, yes(await asked_at(house, payment)))
    await work(house)
    assert await key_of(house, "kept") is None
    assert await doubts(house) == []


async def test_the_servers_later_word_stands_against_a_windows_key(
    house: House, pg: StandInPg
) -> None:
    """As for a key that is told at once: the PG forgets the window's."""
    give_powers(house, *CARDS)
    payment = await house.open(customer_uid="kept", customer_uid_usage="issue")
    pg.hang_up("approvals", done=True)
    await ask(house, pg, payment)
    pg.keys[payment.pg_order_no] = {"result": "key_issued", **pg._key(payment.pg_order_no, None)}
    house.clock.advance(minutes=LONG_ENOUGH)
    server = await issue(house, "kept")
    await decide_by_hand(house.gateway, payment.imp_uid, yes(await asked_at(house, payment)))
    await work(house)
    assert await key_of(house, "kept") == server
    assert pg.live_keys() == [server.number]


async def test_a_key_in_doubt_is_told_and_listed_until_it_is_known(
    house: House, pg: StandInPg
) -> None:
    pg.hang_up("billing_keys", done=True)
    with pytest.raises(OutcomeUnknown):
        await issue(house)
    async with house.gateway.store.direct() as session:
        key = await session.billing_keys.asking(house.merchant.id, "customer")
    assert key is not None
    for minutes, told in ((1, []), (61, [TaskKind.KEY_UNKNOWN])):
        house.clock.advance(minutes=minutes)
        pg.answer("GET billing_keys", b"", 503)
        await work(house)
        [doubt] = await doubts(house)
        assert (doubt.question, doubt.number, doubt.about) == (
            "billing key",
            key.number,
            "customer",
        )
        assert await tasks(house, key) == told
    house.clock.advance(minutes=10)
    await work(house)
    assert await key_of(house) is not None
    assert await tasks(house, key) == []
    assert await doubts(house) == []


async def test_a_deleted_key_that_the_pg_never_lets_go_of_is_told_to_a_person(
    house: House, pg: StandInPg
) -> None:
    """The merchant hears that it is deleted; that the PG keeps the card is found out here or by a person."""
    key = await issue(house)
    house.clock.advance(days=30)
    pg.answer("DELETE billing_keys", b"", 503)
    await delete_billing_key(house.gateway, house.merchant.id, "customer")
    assert await doubts(house) == [], "it was told a moment ago"
    for minutes, told in ((1, []), (61, [TaskKind.KEY_UNKNOWN])):
        house.clock.advance(minutes=minutes)
        pg.answer("DELETE billing_keys", b"", 503)
        await work(house)
        [doubt] = await doubts(house)
        assert (doubt.question, doubt.number) == ("billing key to forget", key.number)
        assert await tasks(house, key) == told
    assert pg.live_keys() == [key.number]
    house.clock.advance(minutes=10)
    await work(house)
    assert pg.live_keys() == []
    assert await tasks(house, key) == []
    assert await doubts(house) == []

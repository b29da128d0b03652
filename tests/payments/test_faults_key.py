"""A billing key asked for by API under every fault of the matrix: row G1.

After each: one living key or none, the PG's and ours the same, and nobody was told what is not so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from naru.domain.billing_key import BillingKey, CardNumber
from naru.domain.channel import Channel
from naru.domain.errors import (
    KeyInProgress,
    NoBillingKey,
    OutcomeUnknown,
    PgRefused,
    TestChannelRefused,
)
from naru.domain.payment import Buyer
from naru.payments import turns
from naru.payments.delete_billing_key import delete_billing_key
from naru.payments.gateway import Gateway
from naru.payments.issue_billing_key import issue_billing_key
from naru.payments.reconcile_key import due_keys, reconcile_key
from naru.store import StoreUnavailable
from naru.store.audit import audit
from tests.payments.test_faults_approve import jumping
from tests.payments.test_faults_charge import Charging, key_of
from tests.payments.test_sleepers import asleep
from tests.payments.test_virtual_account_faults import GARBAGE
from tests.support.database_away import database_away
from tests.support.database_line import over_a_line
from tests.support.dying import dying
from tests.support.gateway import House, open_house
from tests.support.scale import often
from tests.support.stand_in_pg import SECRET, Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

AT_ONCE = often(16, 64)
CARD = CardNumber.read("5365101234561234", "2049-12", "880101", "00")
OTHER_CARD = CardNumber.read("4518421234567811", "2049-12")


def shows(key: BillingKey, card: CardNumber) -> bool:
    """Is this the card that the PG shows masked?"""
    assert key.card is not None
    assert key.card.number is not None
    shown = key.card.number
    return (shown[:6], shown[-4:]) == (card.number[:6], card.number[-4:])


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
async def house(database_url: str, pg: StandInPg) -> AsyncIterator[House]:
    async with open_house(database_url, pg.url, secret=SECRET) as opened:
        yield opened


async def issue(
    house: House,
    card: CardNumber = CARD,
    customer_uid: str = "customer",
    gateway: Gateway | None = None,
    **more: Any,
) -> BillingKey:
    return await issue_billing_key(
        gateway or house.gateway, house.merchant, house.channel, customer_uid, card, **more
    )


async def asked(house: House) -> BillingKey:
    """The key whose question is open."""
    async with house.gateway.store.direct() as session:
        found = await session.billing_keys.asking(house.merchant.id, "customer")
    assert found is not None
    return found


async def settled(house: House) -> BillingKey | None:
    """The living key, once the worker has ended whatever is open."""
    for _ in range(20):
        mine = [n for n in await due_keys(house.gateway) if await _is_ours(house, n)]
        for number in mine:
            await reconcile_key(house.gateway, number)
        house.clock.advance(minutes=6)
        async with house.gateway.store.direct() as session:
            if await session.billing_keys.asking(house.merchant.id, "customer") is None:
                break
    return await key_of(house)


async def at(house: House, url: str) -> Channel:
    """The house's channel, whose PG is there from now on."""
    async with house.gateway.store.begin() as tx:
        await tx.channels.change_settings(house.channel.id, {"url": url, "secret": SECRET})
        found = await tx.channels.get(house.channel.id)
    assert found is not None
    return found


async def _is_ours(house: House, number: str) -> bool:
    async with house.gateway.store.direct() as session:
        key = await session.billing_keys.of_number(number)
    return key is not None and key.merchant_id == house.merchant.id


async def agree(house: House, pg: StandInPg) -> BillingKey | None:
    """The PG could charge our living key and no other; the audit finds nothing."""
    for _ in range(3):
        for number in await due_keys(house.gateway):
            if await _is_ours(house, number):
                await reconcile_key(house.gateway, number)
        house.clock.advance(minutes=6)
    key = await key_of(house)
    assert pg.live_keys() == ([] if key is None else [key.number])
    if key is not None:
        assert (await Charging(house, "key")("charged by it")).customer_uid == "customer"
    report = await audit(house.dsn, now=house.clock())
    broken = [each for each in report.checks if each.broken and each.name != "webhooks_leave"]
    assert not broken, [str(each) for each in broken]
    return key


async def held(house: House, monkeypatch: pytest.MonkeyPatch) -> BillingKey:
    """Nobody knows: there is no key to charge yet, and no second question is put."""
    key = await asked(house)
    with monkeypatch.context() as patch:
        patch.setattr(turns, "WAIT_SECONDS", 0.0)
        with pytest.raises(KeyInProgress):
            await issue(house)
    return key


async def test_a_card_is_kept_sealed_and_nothing_of_its_number_is(
    house: House, pg: StandInPg
) -> None:
    key = await issue(house, customer=Buyer(name="홍길동", tel="01012345678"), customer_id="id-1")
    assert (key.state, key.name, key.customer_id) == ("live", "홍길동", "id-1")
    assert key.card is not None
    assert key.card.number == "536510******1234"
    assert key.inserted_at == key.updated_at
    assert key.key not in repr(key)
    assert "홍길동" not in repr(key)
    assert CARD.number not in repr(CARD)
    connection = await asyncpg.connect(house.dsn)
    row = await connection.fetchrow("SELECT * FROM billing_keys WHERE number = $1", key.number)
    logged = await connection.fetch("SELECT before, after FROM audit_log")
    await connection.close()
    for text in (str(row), str(logged)):
        for secret in (CARD.number, key.key, "홍길동", "01012345678"):
            assert secret not in text
    await agree(house, pg)


async def test_a_key_that_is_issued_anew_replaces_the_old_one_also_at_the_pg(
    house: House, pg: StandInPg
) -> None:
    first = await issue(house)
    house.clock.advance(seconds=100)
    second = await issue(house, OTHER_CARD)
    assert second.number != first.number
    assert second.inserted_at == first.inserted_at
    assert second.updated_at is not None
    assert first.updated_at is not None
    assert second.updated_at > first.updated_at
    assert (await agree(house, pg)) == await key_of(house)


async def test_a_deleted_key_is_deleted_at_the_pg_even_when_it_is_silent_at_first(
    house: House, pg: StandInPg
) -> None:
    await issue(house)
    pg.answer("DELETE billing_keys", b"", 503)
    deleted = await delete_billing_key(house.gateway, house.merchant.id, "customer", "탈퇴")
    assert deleted.deleted_at is not None
    assert await key_of(house) is None
    assert pg.live_keys() != []
    with pytest.raises(NoBillingKey):
        await delete_billing_key(house.gateway, house.merchant.id, "customer")
    house.clock.advance(minutes=1)
    assert await agree(house, pg) is None
    async with house.gateway.store.direct() as session:
        forgotten = await session.billing_keys.of_number(deleted.number)
    assert forgotten is not None
    assert (forgotten.key, forgotten.forgotten_at is None) == ("", False)


async def test_a_refused_card_leaves_no_customer(house: House, pg: StandInPg) -> None:
    await issue(house)
    pg.answer("billing_keys", {"result": "declined", "code": "F1", "message": "카드번호틀림"})
    with pytest.raises(PgRefused, match="카드번호틀림"):
        await issue(house, OTHER_CARD)
    key = await agree(house, pg)  # The key before it lives on.
    assert key is not None
    assert key.card is not None
    assert shows(key, CARD)


async def test_a_live_merchant_keeps_no_card_at_a_test_channel(house: House, pg: StandInPg) -> None:
    merchant = await house.set_merchant(allow_test_channels=False)
    with pytest.raises(TestChannelRefused):
        await issue_billing_key(house.gateway, merchant, house.channel, "customer", CARD)
    assert pg.asked == []


@pytest.mark.fault("G1_CB")
async def test_a_question_that_was_not_committed_when_we_died_never_was(
    house: House, pg: StandInPg
) -> None:
    with dying("key.before_ask"):
        await issue(house)
    assert pg.asked == []
    await issue(house)
    assert await agree(house, pg) is not None


@pytest.mark.fault("G1_CB", "G1_LQ")
@pytest.mark.parametrize("how", ["died", "lost"])
async def test_a_question_that_the_pg_never_heard_makes_no_key(
    house: House, pg: StandInPg, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "died":
        with dying("key.after_ask"):
            await issue(house)
    else:
        pg.hang_up("billing_keys", done=False)
        with pytest.raises(OutcomeUnknown):
            await issue(house)
    await held(house, monkeypatch)
    house.clock.advance(minutes=1)
    assert await settled(house) is None
    await issue(house)
    assert await agree(house, pg) is not None


@pytest.mark.fault("G1_CA", "G1_LR")
@pytest.mark.parametrize(
    "how", ["key.after_pg", "key.before_commit", "key.after_commit", "lost", "silent first"]
)
async def test_a_key_whose_answer_was_lost_is_found(
    house: House, pg: StandInPg, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how.startswith("key."):
        with dying(how):
            await issue(house)
    else:
        pg.hang_up("billing_keys", done=True)
        with pytest.raises(OutcomeUnknown):
            await issue(house)
    if how != "key.after_commit":
        await held(house, monkeypatch)
        assert await key_of(house) is None
    if how == "silent first":
        for _ in range(3):
            pg.answer("GET billing_keys", b"", 503)
    house.clock.advance(minutes=1)
    key = await settled(house)
    assert key is not None
    assert await agree(house, pg) == key


async def asked_at_once(house: House, pg: StandInPg) -> tuple[int, list[object]]:
    """How often the PG was asked, and what the callers heard. Half of them ask other processes."""
    before, here = pg.count("billing_keys"), house.gateway
    others = [replace(here, turns=turns.Turns()) for _ in range(AT_ONCE // 2)]
    heard = await asyncio.gather(
        *(issue(house, gateway=each) for each in (*[here] * (AT_ONCE // 2), *others)),
        return_exceptions=True,
    )
    return pg.count("billing_keys") - before, heard


@pytest.mark.fault("G1_DU")
async def test_the_same_card_asked_for_many_times_at_once_is_kept_once(
    house: House, pg: StandInPg
) -> None:
    times, heard = await asked_at_once(house, pg)
    assert times == 1
    assert {each.number for each in heard if isinstance(each, BillingKey)} == set(pg.live_keys())
    assert all(isinstance(each, BillingKey) for each in heard)
    assert await agree(house, pg) is not None


async def test_control_without_the_index_everybody_asks(
    databases: Databases, pg: StandInPg
) -> None:
    url = databases.new()
    try:
        async with open_house(url, pg.url, secret=SECRET) as house:
            async with house.gateway.store.direct() as session:
                await session.billing_keys._connection.raw.execute("DROP INDEX one_asked_key")
            times, _ = await asked_at_once(house, pg)
    finally:
        databases.drop(url)
    print(
        f"\none card, {AT_ONCE} questions at once: the PG is asked once with the index, {times} times without"
    )
    assert times > 1


async def test_another_card_that_is_asked_for_meanwhile_gets_a_key_of_its_own(
    house: House, pg: StandInPg
) -> None:
    """The first one's answer is no answer for another card."""
    at_pg, go_on = pg.hold("billing_keys", done_first=True)
    first = asyncio.ensure_future(issue(house))
    await at_pg.wait()
    second = asyncio.ensure_future(issue(house, OTHER_CARD))
    go_on.set()
    assert (await first).number != (await second).number
    key = await agree(house, pg)
    assert key is not None
    assert key.card is not None
    assert shows(key, OTHER_CARD)


# The same behind its mask, another card; the same card, told in another way.
ALIKE = CardNumber.read("5365109999991234", "2049-12", "880101", "00")
NEWER = CardNumber.read("5365101234561234", "2050-01", "880101", "00")
NOT_THEIRS = CardNumber.read("5365101234561234", "2049-12", "770101", "99")


@pytest.mark.promise("P12")
@pytest.mark.parametrize("card", [ALIKE, NEWER, NOT_THEIRS], ids=["alike", "newer", "not theirs"])
async def test_a_card_that_looks_like_the_one_before_is_asked_for_itself(
    house: House, pg: StandInPg, card: CardNumber
) -> None:
    """Whoever waits while another one's card is kept is not handed that one's key for a mask that fits."""
    at_pg, go_on = pg.hold("billing_keys", done_first=True)
    first = asyncio.ensure_future(issue(house))
    await at_pg.wait()
    second = asyncio.ensure_future(issue(house, card))
    go_on.set()
    assert (await first).number != (await second).number
    assert pg.count("billing_keys") == 2
    assert await agree(house, pg) is not None


@pytest.mark.fault("G1_RO", "G1_SL")
@pytest.mark.parametrize("done_first", [False, True])
async def test_a_key_that_is_made_or_answered_after_the_worker_has_looked(
    house: House, pg: StandInPg, done_first: bool
) -> None:
    """Late at the PG: the number is closed there. Late on the way back: the work is done."""
    at_pg, go_on = pg.hold("billing_keys", done_first=done_first)
    asking = asyncio.ensure_future(issue(house))
    await at_pg.wait()
    house.clock.advance(seconds=400)
    await reconcile_key(house.gateway, (await asked(house)).number)
    go_on.set()
    with suppress(PgRefused, OutcomeUnknown):
        await asking
    assert ((await agree(house, pg)) is not None) == done_first


@pytest.mark.fault("G1_SL")
@pytest.mark.parametrize("point", ["key.after_ask", "key.after_pg"])
async def test_a_process_that_slept_makes_no_second_key(
    house: House, pg: StandInPg, point: str
) -> None:
    async def deed(gateway: Gateway) -> object:
        return await issue(house, gateway=gateway)

    with asleep(house, point, deed) as sleeper:
        assert await sleeper.sleeps()
        house.clock.advance(seconds=400)
        await settled(house)
        await sleeper.goes_on()
    assert ((await agree(house, pg)) is not None) == (point == "key.after_pg")


@pytest.mark.fault("G1_WD")
async def test_garbage_or_a_key_of_something_else_is_doubt_and_ends_as_the_pg_says(
    house: House, pg: StandInPg
) -> None:
    another = {"result": "key_issued", "key_no": "n_another", "billing_key": "k", "card": None}
    unusable = {"result": "key_issued", "billing_key": "k"}
    for said in (*GARBAGE, another, unusable):
        pg.answer("billing_keys", said)
        with pytest.raises(OutcomeUnknown):
            await issue(house)
        assert await key_of(house) is None
        house.clock.advance(minutes=1)
        assert await settled(house) is None
    assert await agree(house, pg) is None


@pytest.mark.fault("G1_WD")
@pytest.mark.promise("P10")
async def test_a_key_of_one_merchant_is_no_key_of_another(
    house: House, database_url: str, pg: StandInPg
) -> None:
    key = await issue(house)
    async with open_house(database_url, pg.url, secret=SECRET) as other:
        assert await key_of(other) is None
        stolen = replace(key, merchant_id=other.merchant.id, channel_id=house.channel.id)
        with pytest.raises(ValueError, match="its own channel"):
            await issuing_by(other, stolen)
        connection = await asyncpg.connect(house.dsn)
        for change in ("merchant_id = $2", "channel_id = $2"):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await connection.execute(
                    f"UPDATE billing_keys SET {change} WHERE number = $1",
                    *(key.number, other.merchant.id if "merchant" in change else other.channel.id),
                )
        await connection.close()
        # The same name is another customer there.
        theirs = await issue(other, OTHER_CARD)
        assert theirs.number != key.number
    assert await key_of(house) == key


async def issuing_by(house: House, key: BillingKey) -> object:
    from naru.payments.pay_by_billing_key import pay_by_billing_key

    return await pay_by_billing_key(house.gateway, house.opening(), key)


@pytest.mark.fault("G1_DB", "G1_DF")
async def test_a_key_that_is_made_while_the_database_goes_away(
    house: House, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_pg, go_on = pg.hold("billing_keys", done_first=True)
    asking = asyncio.ensure_future(issue(house))
    await at_pg.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await asking
        before = pg.count("billing_keys")
        with pytest.raises(StoreUnavailable):
            await issue(house, customer_uid="another")
        assert pg.count("billing_keys") == before
    await held(house, monkeypatch)
    house.clock.advance(minutes=1)
    assert await settled(house) is not None
    assert await agree(house, pg) is not None


@pytest.mark.fault("G1_DB")
@pytest.mark.parametrize("done", [False, True])
async def test_a_key_whose_commit_was_not_answered(house: House, pg: StandInPg, done: bool) -> None:
    async with over_a_line(house) as line:

        async def cut(asked: Asked) -> None:
            line.next_commit(done=done)

        pg.peek = cut
        with pytest.raises(StoreUnavailable):
            await issue(house)
        assert line.cuts == 1
    pg.peek = None
    assert ((await key_of(house)) is not None) == done
    house.clock.advance(minutes=1)
    assert await settled(house) is not None
    assert await agree(house, pg) is not None


@pytest.mark.fault("G1_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_while_a_key_is_made_changes_nothing(
    house: House, pg: StandInPg, hours: int
) -> None:
    async with jumping(house, "key.after_ask", hours):
        await issue(house)
    assert await agree(house, pg) is not None


@pytest.mark.fault("G1_NP")
async def test_a_pg_that_cannot_be_reached_makes_no_key_and_may_be_asked_again(
    database_url: str, pg: StandInPg
) -> None:
    async with open_house(database_url, "http://127.0.0.1:9", secret=SECRET) as house:
        with pytest.raises(PgRefused):
            await issue(house)
        assert await key_of(house) is None
        house.channel = await at(house, pg.url)
        await issue(house)
        assert await agree(house, pg) is not None


async def test_who_asks_often_during_a_silence_does_not_make_it_longer(
    house: House, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call looks for the doubt at once; that is no rung of the worker's ladder (simulated seed 5)."""
    pg.hang_up("billing_keys", done=False)
    with pytest.raises(OutcomeUnknown):
        await issue(house)
    house.channel = await at(house, "http://127.0.0.1:9")
    for _ in range(10):
        house.clock.advance(seconds=21)
        await reconcile_key(house.gateway, (await held(house, monkeypatch)).number)
    house.channel = await at(house, pg.url)
    house.clock.advance(minutes=6)
    assert await settled(house) is None
    async with house.gateway.store.direct() as session:
        assert await session.billing_keys.asking(house.merchant.id, "customer") is None

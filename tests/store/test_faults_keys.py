"""Keys are rotated while things break: row L4 of the matrix. Whatever is cut off, a repetition ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from naru.domain.payment import Payment
from naru.store import Store, StoreUnavailable
from naru.store.keys import PLACES, KeyInUse, reseal
from tests.store.test_seal import CANARIES, private_payment, secretive_merchant
from tests.support.database_away import database_away
from tests.support.database_line import line_to
from tests.support.gateway import ROOT_KEY

Deed = Callable[[Store], Awaitable[object]]


async def rotate(store: Store) -> int:
    async with store.begin() as session:
        return await session.keys.rotate()


async def retire(store: Store) -> None:
    async with store.begin() as session:
        await session.keys.retire(1, timedelta(0))


async def rewrap(store: Store) -> int:
    async with store.begin() as session:
        return await session.keys.rewrap()


async def keys(store: Store) -> dict[int, int]:
    """How many blobs each data key seals."""
    async with store.direct() as session:
        return {use.id: sum(use.sealed.values()) for use in await session.keys.used()}


async def readable(store: Store, payments: list[Payment]) -> bool:
    """Is everything that was sealed read as it was written?"""
    async with store.direct() as session:
        for payment in payments:
            if await session.payments.get(payment.imp_uid) != payment:
                return False
        [merchant] = await session.merchants.all()
        [channel] = await session.channels.of_merchant(merchant.id)
    return channel.settings["secret"] == CANARIES["channels.settings"]


async def sealed(store: Store, count: int = 10) -> list[Payment]:
    merchant = await secretive_merchant(store)
    return [await private_payment(store, merchant) for _ in range(count)]


@pytest.mark.fault("L4_CB", "L4_LR")
@pytest.mark.promise("P19")
@pytest.mark.parametrize("done", [False, True])
async def test_a_rotation_whose_commit_nobody_heard_of_is_repeated_and_changes_nothing_twice(
    store: Store, database_url: str, done: bool
) -> None:
    """Each command's COMMIT is lost before it arrives, or its answer after: then the command again."""
    payments = await sealed(store)
    async with line_to(database_url) as (line, near):

        async def cut_off(deed: Deed) -> None:
            far = await Store.open(near, 1, root_key=ROOT_KEY)
            line.next_commit(done=done)
            with pytest.raises(StoreUnavailable):
                await deed(far)
            await far.close()

        await cut_off(rotate)
        assert len(await keys(store)) == (2 if done else 1)
        # Whoever repeats it has one data key more at the most; the newest one seals.
        newest = await rotate(store)
        assert newest == (3 if done else 2)
        await cut_off(rewrap)
        assert await readable(store, payments)
        await rewrap(store)

        far = await Store.open(near, 1, root_key=ROOT_KEY)
        line.next_that_says(b"__asyncpg_stmt_", done=done)
        with pytest.raises(StoreUnavailable):
            await reseal(far, batch=3)
        await far.close()
        assert (await reseal(store))[1] == []
        assert (await keys(store))[1] == 0
        before = await keys(store)
        assert await reseal(store) == (0, []), "again: nothing is left to do"
        assert await keys(store) == before

        await cut_off(retire)
        if done:
            with pytest.raises(KeyInUse, match="is not there"):
                await retire(store)
        else:
            await retire(store)
        assert line.cuts == 4
    assert 1 not in await keys(store)
    assert await readable(store, payments)


@pytest.mark.fault("L4_DU", "L4_RO")
@pytest.mark.promise("P19")
async def test_rotations_from_everywhere_in_any_order_seal_everything_once_and_lose_nothing(
    store: Store, database_url: str
) -> None:
    payments = await sealed(store)
    neighbour = await Store.open(database_url, root_key=ROOT_KEY)
    made = await asyncio.gather(*(rotate(each) for each in (store, neighbour) * 8))
    assert sorted(made) == list(range(2, 18)), "each a key of its own"
    # Retired before anything was sealed anew: refused, and harmless.
    with pytest.raises(KeyInUse, match="still seals"):
        await retire(store)
    total = sum((await keys(store)).values())
    ends = await asyncio.gather(*(reseal(each, batch=3) for each in (store, neighbour) * 4))
    assert [broken for _, broken in ends] == [[]] * 8
    left = await keys(store)
    assert left.pop(17) == total
    assert set(left.values()) == {0}
    done = await asyncio.gather(
        *(retire(each) for each in (store, neighbour)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in done) == ["KeyInUse", "NoneType"]
    assert await readable(neighbour, payments)
    await neighbour.close()


@pytest.mark.fault("L4_DB", "L4_DF")
@pytest.mark.promise("P19")
async def test_a_rotation_while_the_database_is_away_says_so_and_is_done_when_it_is_back(
    store: Store, database_url: str
) -> None:
    payments = await sealed(store, 40)
    await rotate(store)
    going = asyncio.create_task(reseal(store, batch=1))
    admin = await asyncpg.connect(database_url)
    async with asyncio.timeout(20):
        while await admin.fetchval("SELECT count(*) FROM payment_secrets WHERE data_key = 2") < 3:
            await asyncio.sleep(0.001)
    await admin.close()
    async with database_away(database_url):
        with pytest.raises(StoreUnavailable):
            await going
        for deed in (rotate, rewrap, retire):
            with pytest.raises(StoreUnavailable):
                await deed(store)
    async with store.direct() as session:
        mixed = [use.sealed["payments"] for use in await session.keys.used()]
    assert all(mixed), "the control: it was in the midst of it"
    assert await readable(store, payments), "half of it under either key"
    assert (await reseal(store))[1] == []
    await retire(store)
    assert await readable(store, payments)
    assert set(await keys(store)) == {2}
    assert set(PLACES) >= {"payments", "channels", "merchants"}


@pytest.mark.fault("L4_CJ")
@pytest.mark.promise("P19")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_rotation_while_the_databases_clock_jumps_seals_and_reads_everything(
    store: Store, database_url: str, hours: int
) -> None:
    """Keys follow one another by their numbers; to rows that are dated otherwise the clock has jumped."""
    payments = await sealed(store)
    assert await rotate(store) == 2
    admin = await asyncpg.connect(database_url)
    await admin.execute("SET session_replication_role = replica")
    await admin.execute(
        "UPDATE data_keys SET made_at = made_at - $1::int * interval '1 hour'", hours
    )
    await admin.close()
    assert await rotate(store) == 3
    late = await private_payment(store, await secretive_merchant(store))
    assert (await reseal(store, batch=3))[1] == []
    used = await keys(store)
    assert {key for key, blobs in used.items() if blobs} == {3}
    await retire(store)
    assert 1 not in await keys(store)
    async with store.direct() as session:
        for payment in (*payments, late):
            assert await session.payments.get(payment.imp_uid) == payment


@pytest.mark.fault("L4_NP")
@pytest.mark.promise("P19")
async def test_a_rotation_behind_a_partition_says_so_and_is_done_when_it_is_over(
    store: Store, database_url: str
) -> None:
    """Nothing is carried and nobody is told: neither a key nor a blob is half of anything afterwards."""
    payments = await sealed(store)
    async with line_to(database_url) as (line, near):
        far = await Store.open(near, 1, root_key=ROOT_KEY)
        line.open.clear()
        # Who rotates is stopped by whoever waits for it, as by Ctrl-C at a terminal.
        for deed in (rotate, rewrap, reseal, retire):
            with pytest.raises((StoreUnavailable, TimeoutError)):
                await asyncio.wait_for(deed(far), 1.5)
        assert set(await keys(store)) == {1}
        assert await readable(store, payments)
        line.open.set()
        assert await rotate(far) >= 2
        assert (await reseal(far))[1] == []
        await retire(far)
        await far.close()
    assert 1 not in await keys(store)
    assert await readable(store, payments)

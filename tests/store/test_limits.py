"""naru/store/limits.py: never more than the limit, from however many processes at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from naru.domain.limit import Limit, stranger
from naru.store import Store
from naru.store.limits import Limiter
from tests.support.gateway import ROOT_KEY
from tests.support.scale import often

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TEN = Limit("ten", 10, 60)
THOUSAND = Limit("thousand", 1_000, 60)


async def take(store: Store, limit: Limit, who: str, now: datetime = NOW) -> bool:
    async with store.direct() as session:
        return bool((await session.limits.take(limit, who, now)).permits)


async def test_of_sixty_four_at_once_exactly_as_many_pass_as_may(store: Store) -> None:
    for number in range(often(5, 200)):
        passed = await asyncio.gather(*(take(store, TEN, f"who {number}") for _ in range(64)))
        assert sum(passed) == 10
    # Control: where the limit is above the crowd, all of it passes.
    all_of_them = await asyncio.gather(*(take(store, THOUSAND, "who") for _ in range(64)))
    assert sum(all_of_them) == 64


async def test_a_window_that_is_over_begins_anew_and_names_do_not_share(store: Store) -> None:
    for _ in range(10):
        assert await take(store, TEN, "a")
    assert not await take(store, TEN, "a", NOW + timedelta(seconds=59.9))
    assert await take(store, TEN, "b")
    async with store.direct() as session:
        refused = await session.limits.take(TEN, "a", NOW + timedelta(seconds=30.5))
    assert refused.wait_seconds(NOW + timedelta(seconds=30.5)) == 30

    again = [await take(store, TEN, "a", NOW + timedelta(seconds=60)) for _ in range(11)]

    assert again == [True] * 10 + [False]


async def test_three_processes_together_stay_within_the_limit(
    store: Store, database_url: str
) -> None:
    others = [await Store.open(database_url, root_key=ROOT_KEY) for _ in range(2)]
    limiters = [Limiter(each) for each in (store, *others)]

    async def ask(limiter: Limiter) -> bool:
        return await limiter.take(THOUSAND, "who", NOW) is None

    passed = sum(await asyncio.gather(*(ask(limiter) for limiter in limiters for _ in range(500))))
    alone = Limiter(store)
    first = [await alone.take(TEN, "x", NOW) for _ in range(12)]
    later = await alone.take(TEN, "x", NOW + timedelta(seconds=61))
    for each in others:
        await each.close()

    # What a process took and did not use is lost with the window: a handful each, at the most.
    assert 1_000 - 3 * THOUSAND.handful <= passed <= 1_000
    assert first == [None] * 10 + [60, 60]
    assert later is None


async def test_windows_that_are_over_are_let_go(store: Store) -> None:
    for who in range(5):
        await take(store, TEN, str(who), NOW + timedelta(seconds=who))
    async with store.direct() as session:
        later = NOW + timedelta(seconds=62)
        assert await session.limits.forget(later, 2) == 2
        assert await session.limits.forget(later, 10) == 1
        assert await session.limits.forget(later, 10) == 0


def test_whose_address_counts() -> None:
    assert stranger("8.8.8.8") == "8.8.8.8"
    assert stranger("::ffff:8.8.8.8") == "8.8.8.8"
    assert stranger("2001:4860:4860:1:2:3:4:5") == "2001:4860:4860:1::/64"
    assert stranger("2001:4860:4860:1::9") == "2001:4860:4860:1::/64"
    for address in (
        *("127.0.0.1", "10.1.2.3", "192.168.0.9", "100.64.0.1", "::1", "fe80::1%eth0", "fd00::1"),
        *("", None, "unix:", "8.8.8.8, 9.9.9.9", "x" * 4_000),
    ):
        assert stranger(address) is None

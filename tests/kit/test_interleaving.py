"""Any order and overlap of callback, redirect, webhook and sweep gives exactly one fulfilment."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.kit.interleaving import HISTORIES, Violated, world
from tests.support.scale import often

SCHEDULES = often(1_500, 30_000)
CALLERS_MAX = 5


def one_schedule(history: str, seed: int, *, careless: bool = False) -> int:
    """Some callers and a sweep while the gateway's history happens, in an order made from the seed.

    In a third of the runs one process dies on the way. Answers the moves; raises Violated.
    """
    chance = random.Random(f"{history} {seed}")
    shop = world(history, careless=careless)
    reported = [*shop.truth.payments, "imp_of_nobody"]
    callers = [shop.caller(chance.choice(reported)) for _ in range(chance.randint(1, CALLERS_MAX))]
    dies_at = chance.choice([0, 0, chance.randint(2, 60)])
    turn = itertools.count(1)

    def choose(ready: int) -> int:
        chosen = chance.randrange(ready)
        # The first of all is the gateway's own history, which goes on.
        return -1 - chosen if next(turn) == dies_at and chosen > 0 else chosen

    # Two shops of one cron do not agree whether to refund.
    sweepers = [shop.sweeper(refunds=chance.random() < 0.3) for _ in range(chance.randint(1, 2))]
    moves = shop.run([shop.truth.live(), *callers, *sweepers], choose)
    if shop.database.locks:
        raise Violated("a lock was left behind")
    shop.finish()
    return moves


def search(schedules: int, *, careless: bool = False) -> tuple[int, int]:
    """Run so many schedules over all histories; how many, and how many moves they took."""
    moves = 0
    names = itertools.cycle(HISTORIES)
    for seed, history in zip(range(schedules), names, strict=False):
        try:
            moves += one_schedule(history, seed, careless=careless)
        except Violated as error:
            raise Violated(f"one_schedule({history!r}, {seed}): {error}") from error
    return schedules, moves


def test_every_schedule_fulfils_exactly_once(capsys: pytest.CaptureFixture[str]) -> None:
    schedules, moves = search(SCHEDULES)
    with capsys.disabled():
        print(f"\nkit: {schedules} schedules, {moves} moves, 0 violations", end=" ")


def test_a_store_that_writes_without_looking_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The control: the same search over a database whose change has no condition."""
    found = 0
    tried = 300
    for seed, history in zip(range(tried), itertools.cycle(HISTORIES), strict=False):
        try:
            one_schedule(history, seed, careless=True)
        except Violated:
            found += 1
    with capsys.disabled():
        print(f"\nkit's control: {found} of {tried} schedules violate", end=" ")
    assert found > tried / 10


def test_the_same_seed_is_the_same_run() -> None:
    for history in HISTORIES:
        assert one_schedule(history, 7) == one_schedule(history, 7)

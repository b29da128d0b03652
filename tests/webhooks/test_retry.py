"""The three ladders, for naru/webhooks/retry.py."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from naru.webhooks.retry import HOUR, LADDERS, is_delivered, ladder_of, next_wait

CHANCE = random.Random(7)


def walk(mode: str, status: int | None) -> list[float]:
    waits: list[float] = []
    while (
        wait := next_wait(ladder_of(mode), len(waits) + 1, status, random.Random(len(waits)))
    ) is not None:
        waits.append(wait.total_seconds())
    return waits


def test_the_default_ladder_has_ten_attempts_over_three_days() -> None:
    assert ladder_of("ladder").attempts_max == 10
    assert 72 * HOUR < sum(ladder_of("ladder").waits_seconds) < 80 * HOUR
    assert len(walk("ladder", 500)) == 9


def test_its_waits_are_spread_over_the_whole_rung() -> None:
    rung = LADDERS["ladder"].waits_seconds[3]
    waits = []
    for _ in range(500):
        wait = next_wait(LADDERS["ladder"], 4, None, CHANCE)
        assert wait is not None
        waits.append(wait.total_seconds())
    assert min(waits) < 0.1 * rung
    assert max(waits) > 1.9 * rung
    assert sum(waits) / 500 == pytest.approx(rung, rel=0.1)


@pytest.mark.parametrize("status", [500, 503, None])
def test_v1_tries_five_more_times_a_minute_apart(status: int | None) -> None:
    assert walk("v1", status) == [60.0] * 5


@pytest.mark.parametrize("status", [301, 400, 404])
def test_v1_does_not_repeat_what_the_merchant_refused(status: int) -> None:
    assert walk("v1", status) == []


def test_v1_waits_40_seconds_first_and_15_afterwards() -> None:
    ladder = ladder_of("v1")
    first, again = ladder.timeouts(1), ladder.timeouts(2)
    assert (first.connect, first.read, again.total) == (10.0, 30.0, 15.0)


def test_once_is_once() -> None:
    assert walk("once", 500) == []


@pytest.mark.parametrize("mode", list(LADDERS))
def test_an_address_that_is_gone_is_left_alone(mode: str) -> None:
    assert next_wait(ladder_of(mode), 1, 410, CHANCE) is None


def test_a_resent_webhook_beyond_the_ladder_is_parked_again() -> None:
    assert next_wait(ladder_of("ladder"), 11, 500, CHANCE) is None


def test_only_2xx_counts_as_told() -> None:
    assert [code for code in (199, 200, 204, 299, 300, 302, 404, 500) if is_delivered(code)] == [
        200,
        204,
        299,
    ]


def test_waits_are_times() -> None:
    assert isinstance(next_wait(ladder_of("v1"), 1, None, CHANCE), timedelta)

"""Many PGs are asked side by side, for naru/cli/side_by_side.py."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from naru.cli.side_by_side import AT_ONCE, side_by_side


async def test_all_that_have_a_place_are_asked_at_once_and_told_in_their_order() -> None:
    under_way = most = 0
    full = asyncio.Event()

    async def ask(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == AT_ONCE:
            full.set()
        # Who was begun first ends last: nobody ends before every place is taken.
        await full.wait()
        for _ in range(AT_ONCE - min(number, AT_ONCE)):
            await asyncio.sleep(0)
        under_way -= 1
        return -number

    numbers = range(AT_ONCE + 7)
    async with asyncio.timeout(10):
        told = [each async for each in side_by_side(numbers, ask)]
    assert told == [(number, -number) for number in numbers]
    assert most == AT_ONCE


async def test_one_that_fails_is_heard_and_the_others_are_stopped() -> None:
    stopped = []

    async def ask(number: int) -> int:
        if number == 1:
            raise ZeroDivisionError
        if number > 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stopped.append(number)
                raise
        return number

    async with contextlib.aclosing(side_by_side(range(5), ask)) as asked:
        assert await anext(asked) == (0, 0)
        with pytest.raises(ZeroDivisionError):
            await anext(asked)
    assert sorted(stopped) == [2, 3, 4]

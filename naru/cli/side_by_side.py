"""Many PGs asked side by side, told one after the other: one that is silent is waited for, once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

What = TypeVar("What")
Result = TypeVar("Result")

# Who waits for a PG holds no line to the database.
AT_ONCE = 64


async def side_by_side(
    each: Sequence[What], work: Callable[[What], Awaitable[Result]]
) -> AsyncGenerator[tuple[What, Result], None]:
    """Every one with its result, in their own order. Raises what `work` raises; the rest is stopped then."""
    places = asyncio.Semaphore(AT_ONCE)

    async def in_its_place(one: What) -> Result:
        async with places:
            return await work(one)

    tasks = [asyncio.create_task(in_its_place(one)) for one in each]
    try:
        for one, task in zip(each, tasks, strict=True):
            yield one, await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

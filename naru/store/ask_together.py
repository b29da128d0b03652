"""Who asks, and for which payment: the question of every request, asked together by those who come together.

A statement costs more than a whole bare HTTP request, so requests that arrive while an answer is on its way share the
next one (docs/benchmarks.md). Every answer is as fresh as one that was asked for alone: its question
leaves after the request has come.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from naru.domain.payment import Payment
from naru.store.payments import read_payment
from naru.store.seal import UnknownDataKey
from naru.store.unavailable import StoreUnavailable

if TYPE_CHECKING:
    from naru.store.connection import Store

# A database that is slow is asked no more than that at once: its other lines are for money.
TURNS = 2
TOGETHER_MAX = 64


class Question(NamedTuple):
    """For whom does this token speak at this time, or the tier of this code; and which payment is this?"""

    imp_uid: str | None
    token_hash: bytes
    now: datetime
    tier_code: str | None


_Asked = tuple[Question, asyncio.Future[asyncpg.Record | None]]


class AskTogether:
    """At most two statements at a time, each for everybody who waits."""

    def __init__(self, store: Store, wait_seconds: float) -> None:
        self._store = store
        self._wait_seconds = wait_seconds
        self._waiting: list[_Asked] = []
        self._turns = TURNS
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> tuple[int, Payment | None] | None:
        """The merchant id that a living token speaks for, and its payment of this id, if any.

        With a tier's code that is the tier; None when the token's merchant has no such tier.
        Raises StoreUnavailable, also when the answer did not come within `wait_seconds`.
        """
        answer: asyncio.Future[asyncpg.Record | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        self._next()
        try:
            async with asyncio.timeout(self._wait_seconds):
                row = await answer
        except TimeoutError:
            raise StoreUnavailable("the database is slow") from None
        if row is None:
            return None
        speaks_for: int = row["speaks_for"]
        if row["imp_uid"] is None:
            return speaks_for, None
        if not row["cancelled"]:
            try:
                return speaks_for, read_payment(row, self._store.keyring)
            except UnknownDataKey:
                pass
        # What needs a second question asks it alone.
        async with self._store.direct() as session:
            return speaks_for, (await session.payments.with_cancellations([row]))[0]

    def _next(self) -> None:
        if self._waiting and self._turns:
            self._turns -= 1
            task = asyncio.create_task(self._one_turn())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one_turn(self) -> None:
        # Whoever asked may have left.
        waiting = [each for each in self._waiting if not each[1].done()]
        asked, self._waiting = waiting[:TOGETHER_MAX], waiting[TOGETHER_MAX:]
        try:
            if asked:
                await self._ask_for(asked)
        finally:
            self._turns += 1
            self._next()

    async def _ask_for(self, asked: list[_Asked]) -> None:
        try:
            async with self._store.direct() as session:
                rows = await session.payments.by_tokens([question for question, _ in asked])
        except Exception as error:
            if len(asked) == 1 or isinstance(error, StoreUnavailable):
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(error)
                return
            # One of them cannot be answered; that is nobody else's trouble.
            for each in asked:
                await self._ask_for([each])
        else:
            for (_, answer), row in zip(asked, rows, strict=True):
                if not answer.done():
                    answer.set_result(row)

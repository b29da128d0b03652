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

if TYPE_CHECKING:
    from naru.store.connection import Store

TURNS = 2
TOGETHER_MAX = 64
# A question that takes longer keeps nobody waiting any more: the next one goes by another line.
SLOW_SECONDS = 0.25


class Question(NamedTuple):
    """For whom does this token speak at this time, or the tier of this code; and which payment is this?"""

    imp_uid: str | None
    token_hash: bytes
    now: datetime
    tier_code: str | None


class AskTogether:
    """At most two statements at a time, each for everybody who waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Question, asyncio.Future[asyncpg.Record | None]]] = []
        self._turns = TURNS
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> tuple[int, Payment | None] | None:
        """The merchant id that a living token speaks for, and its payment of this id, if any.

        With a tier's code that is the tier; None when the token's merchant has no such tier.
        Raises StoreUnavailable.
        """
        answer: asyncio.Future[asyncpg.Record | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        self._next()
        row = await answer
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
        held = True

        def pass_on() -> None:
            nonlocal held
            if held:
                held = False
                self._turns += 1
                self._next()

        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, pass_on)
        asked, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
        try:
            await self._ask_for(asked)
        finally:
            slow.cancel()
            pass_on()

    async def _ask_for(
        self, asked: list[tuple[Question, asyncio.Future[asyncpg.Record | None]]]
    ) -> None:
        try:
            async with self._store.direct() as session:
                rows = await session.payments.by_tokens([question for question, _ in asked])
        except BaseException as error:
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, answer), row in zip(asked, rows, strict=True):
            if not answer.done():  # Whoever asked may have left.
                answer.set_result(row)

"""The journal: what PGs were asked, committed before they were asked (RELIABILITY 6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from naru.domain.errors import CancelInProgress
from naru.domain.outcome import CancelOrder
from naru.store.named import load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("intents")

SENTENCE_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Intent:
    """One question to a PG. `number` is the order or cancel number that the PG knows.

    `fence` is the number of the lease under which the reader holds it, 0 for who asked first.
    `restored`: it was open in a copy, and may have been answered after the copy was made.
    """

    id: int
    imp_uid: str
    kind: str
    number: str
    amount: int
    balance_before: int
    request: dict[str, Any]
    state: str
    tries: int
    opened_at: datetime
    next_try_at: datetime | None
    fence: int = 0
    tried_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: str | None = None
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """One line in the history of a doubt. `number` is the fence of the lease, 0 for who asked first.

    `what` is asked or answered; `next_try_at` is when the worker looks again after this answer.
    """

    number: int
    at: datetime
    what: str
    sentence: str
    next_try_at: datetime | None


class Intents:
    """The journal of what PGs were asked."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open_cancel(
        self,
        imp_uid: str,
        order: CancelOrder,
        request: dict[str, Any],
        now: datetime,
        next_try_at: datetime,
    ) -> int:
        """We are about to cancel. Raises CancelInProgress while another question is open."""
        try:
            return int(
                await self._connection.fetchval(
                    Q["open_cancel"],
                    imp_uid,
                    order.cancel_no,
                    order.amount.minor,
                    order.balance_before.minor,
                    request,
                    now,
                    next_try_at,
                )
            )
        except asyncpg.UniqueViolationError:
            raise CancelInProgress from None

    async def open_close_account(
        self, imp_uid: str, number: str, amount: int, now: datetime, next_try_at: datetime
    ) -> int:
        """We are about to close a virtual account. Raises CancelInProgress while another question is open."""
        try:
            return int(
                await self._connection.fetchval(
                    Q["open_close_account"], imp_uid, number, amount, now, next_try_at
                )
            )
        except asyncpg.UniqueViolationError:
            raise CancelInProgress from None

    async def end(self, intent_id: int, state: str, now: datetime, outcome: str | None) -> bool:
        """The question is answered (`done`, `refused`, `undone`). False: somebody else ended it."""
        return (
            await self._connection.fetchval(Q["end"], intent_id, state, now, outcome)
        ) is not None

    async def doubt(
        self, intent_id: int, fence: int, state: str, next_try_at: datetime, why: str
    ) -> bool:
        """The answer is not known (`unknown`), or will be undone (`undoing`).

        False: it is ended, or another one leased it since; then nothing has changed.
        """
        row = await self._connection.fetchval(
            Q["doubt"], intent_id, state, next_try_at, why[:SENTENCE_CHARACTERS_MAX], fence
        )
        return row is not None

    async def undo(self, intent_id: int, next_try_at: datetime, why: str) -> bool:
        """A net-cancel is decided, whoever holds the lease. False: the question is ended."""
        row = await self._connection.fetchval(
            Q["undo"], intent_id, next_try_at, why[:SENTENCE_CHARACTERS_MAX]
        )
        return row is not None

    async def of_payment(self, imp_uid: str) -> Intent | None:
        """The one open question about this payment."""
        return _read(await self._connection.fetchrow(Q["of_payment"], imp_uid))

    async def of_number(self, kind: str, number: str) -> Intent | None:
        """The question that carries this number, open or ended."""
        return _read(await self._connection.fetchrow(Q["of_number"], kind, number))

    async def due(self, now: datetime, most: int) -> list[str]:
        """imp_uids whose open question should be tried again, oldest first."""
        return [row["imp_uid"] for row in await self._connection.fetch(Q["due"], now, most)]

    async def lease(self, imp_uid: str, until: datetime, now: datetime) -> Intent | None:
        """Take a due question for one try; None when nothing is due."""
        return _read(await self._connection.fetchrow(Q["lease"], imp_uid, until, now))

    async def keep(self, kind: str, number: str, until: datetime) -> bool:
        """Who asks first keeps its question from the worker. False: it is in other hands."""
        return (await self._connection.fetchval(Q["keep"], kind, number, until)) is not None

    async def superseded(self, intent_id: int, fence: int) -> bool:
        """Has somebody leased this question since `fence`? True until this transaction ends."""
        return bool(await self._connection.fetchval(Q["superseded"], intent_id, fence))

    async def hasten(self, imp_uid: str, now: datetime, not_since: datetime) -> bool:
        """Make a doubt due now, unless it was tried after `not_since`. False: nothing to hasten."""
        found = await self._connection.fetchval(Q["hasten"], imp_uid, now, not_since)
        return found is not None

    async def hasten_channel(
        self, channel_id: int, now: datetime, not_since: datetime
    ) -> list[str]:
        """A PG answers again: make up to a hundred of its doubts due now. Answers whose they are."""
        rows = await self._connection.fetch(Q["hasten_channel"], channel_id, now, not_since)
        return [row["imp_uid"] for row in rows]

    async def probe(self, now: datetime, not_since: datetime, opened_after: datetime) -> list[str]:
        """Make one doubt per silent channel due now. Answers whose they are."""
        rows = await self._connection.fetch(Q["probe"], now, not_since, opened_after)
        return [row["imp_uid"] for row in rows]

    async def doubts(self, now: datetime, most: int) -> list[Intent]:
        """Questions whose answer nobody here knows, oldest first."""
        return [_intent(row) for row in await self._connection.fetch(Q["doubts"], now, most)]

    async def all_of_payment(self, imp_uid: str) -> list[Intent]:
        """Everything that a PG was ever asked about this payment, oldest first."""
        rows = await self._connection.fetch(Q["all_of_payment"], imp_uid)
        return [_intent(row) for row in rows]

    async def approval_of(self, imp_uid: str) -> Intent | None:
        """The question for this payment's approval, open or ended."""
        return _read(await self._connection.fetchrow(Q["approval_of"], imp_uid))

    async def tried(self, intent: Intent, now: datetime, what: str, sentence: str) -> None:
        """Write a line of its history: `what` is asked or answered."""
        await self._connection.fetchval(
            Q["tried"], intent.id, intent.fence, now, what, sentence[:SENTENCE_CHARACTERS_MAX]
        )

    async def tries_of(self, intent_id: int) -> list[Try]:
        """The history of one doubt, oldest line first."""
        return [
            Try(row["number"], row["at"], row["what"], row["sentence"], row["next_try_at"])
            for row in await self._connection.fetch(Q["tries_of"], intent_id)
        ]

    async def keep_ticket(self, imp_uid: str, sealed: bytes, dies_at: datetime) -> None:
        """Keep what proves the buyer, sealed, with this payment's open question."""
        await self._connection.fetchval(Q["keep_ticket"], imp_uid, sealed, dies_at)

    async def kept_ticket(self, intent_id: int, now: datetime) -> bytes | None:
        """The sealed ticket, while the PG would still take it."""
        sealed: bytes | None = await self._connection.fetchval(Q["kept_ticket"], intent_id, now)
        return sealed

    async def forget_tickets(self, now: datetime) -> int:
        """Let go of tickets that died. Answers how many."""
        return len(await self._connection.fetch(Q["forget_tickets"], now))


def _read(row: asyncpg.Record | None) -> Intent | None:
    return None if row is None else _intent(row)


def _intent(row: asyncpg.Record) -> Intent:
    return Intent(
        id=row["id"],
        imp_uid=row["imp_uid"],
        kind=row["kind"],
        number=row["number"],
        amount=row["amount"],
        balance_before=row["balance_before"],
        request=row["request"],
        state=row["state"],
        tries=row["tries"],
        opened_at=row["opened_at"],
        next_try_at=row["next_try_at"],
        fence=row["fence"],
        tried_at=row["tried_at"],
        closed_at=row["closed_at"],
        outcome=row["outcome"],
        restored=row["restored"],
    )

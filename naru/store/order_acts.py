"""What PGs were told about orders: committed before they are told, ended by their word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from naru.domain.mall import MallAct
from naru.store.named import Query, load

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("order_acts")

WORDS_MAX = 500


@dataclass(frozen=True, slots=True)
class KeptAct:
    """One act. `round` is what acts of one request share; `code` and `message` say why it was refused."""

    imp_uid: str
    round: str
    number: str
    subject: str
    act: MallAct
    fingerprint: bytes
    state: Literal["planned", "asking", "done", "refused"]
    code: str | None = None
    message: str | None = None
    opened_at: datetime | None = None
    tries: int = 0


class OrderActs:
    """The journal of what PGs were told about orders."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open(self, act: KeptAct, now: datetime, next_try_at: datetime) -> KeptAct | None:
        """We are about to tell. None: another act about the same subject is open."""
        return await self._one(
            Q["open"],
            act.imp_uid,
            act.round,
            act.number,
            act.subject,
            act.act,
            act.fingerprint,
            act.state,
            now,
            next_try_at,
        )

    async def open_of(self, imp_uid: str, subject: str) -> KeptAct | None:
        """The one open act about this subject."""
        return await self._one(Q["open_of"], imp_uid, subject)

    async def of_number(self, number: str) -> KeptAct | None:
        """One act, however it stands."""
        return await self._one(Q["of_number"], number)

    async def of_round(self, imp_uid: str, round_no: str) -> list[KeptAct]:
        """The acts of one request, in its order."""
        return [
            _read(row) for row in await self._connection.fetch(Q["of_round"], imp_uid, round_no)
        ]

    async def due(self, now: datetime, idle_since: datetime, most: int) -> list[str]:
        """Numbers of open acts to look at now, oldest first; not of a request in which one ended since then."""
        rows = await self._connection.fetch(Q["due"], now, idle_since, most)
        return [row["number"] for row in rows]

    async def lease(self, number: str, until: datetime, now: datetime) -> KeptAct | None:
        """Take a due act for one try; None when it is not due."""
        return await self._one(Q["lease"], number, until, now)

    async def later(self, act: KeptAct, at: datetime) -> None:
        """Look again then, unless another one tries by now."""
        await self._connection.fetchval(Q["later"], act.number, act.tries, at)

    async def take(self, number: str) -> bool:
        """Its cancel is being reserved. False: it was written off, nobody may ask it any more."""
        return await self._connection.fetchval(Q["take"], number) is not None

    async def end(
        self,
        act: KeptAct,
        state: Literal["done", "refused"],
        now: datetime,
        code: str | None = None,
        message: str | None = None,
    ) -> KeptAct:
        """Write what became of it. The answer is how it stands: perhaps somebody else was faster."""
        words = None if message is None else message[:WORDS_MAX]
        ended = await self._one(Q["end"], act.number, act.state, state, now, code, words)
        if ended is None:
            ended = await self.of_number(act.number)
        assert ended is not None, "rows of acts stay"
        return ended

    async def _one(self, query: Query, *values: Any) -> KeptAct | None:
        row = await self._connection.fetchrow(query, *values)
        return None if row is None else _read(row)


def _read(row: Any) -> KeptAct:
    return KeptAct(
        imp_uid=row["imp_uid"],
        round=row["round"],
        number=row["number"],
        subject=row["subject"],
        act=MallAct(row["act"]),
        fingerprint=row["fingerprint"],
        state=row["state"],
        code=row["code"],
        message=row["message"],
        opened_at=row["opened_at"],
        tries=row["tries"],
    )

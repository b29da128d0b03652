"""Quick pay in the database: announced orders, and questions about members."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from naru.domain.channel import Channel
from naru.domain.outcome import Declined
from naru.domain.quick import QuickMember, QuickPrepared, QuickQuestion
from naru.store.named import Query, load
from naru.store.seal import QUICK_PREPARED

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("quick")


class Private(msgspec.Struct, omit_defaults=True):
    """What is sealed of an announced order."""

    cust_ip: str
    code_verifier: str
    prepaid_auth: bool = False
    prepaid_amount: int | None = None
    vender_type: str | None = None
    reward_id: str | None = None


_read_private = msgspec.json.Decoder(Private).decode


class Quick:
    """Announced orders of quick pay, and what the PG is asked about members."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def prepare(self, merchant_id: int, prepared: QuickPrepared, now: datetime) -> bool:
        """Announce an order. False: announced already, nothing changed."""
        return await self._put(Q["prepare"], merchant_id, prepared, now)

    async def change_prepared(
        self, merchant_id: int, prepared: QuickPrepared, now: datetime
    ) -> bool:
        """Announce it anew. False: it never was."""
        return await self._put(Q["change_prepared"], merchant_id, prepared, now)

    async def prepared(self, merchant_id: int, merchant_uid: str) -> QuickPrepared | None:
        """What was announced of this order."""
        row = await self._connection.fetchrow(Q["prepared"], merchant_id, merchant_uid)
        if row is None:
            return None
        keyring = self._connection.keyring
        place = f"{merchant_id}/{merchant_uid}"
        private = await self._connection.opened(
            lambda: _read_private(keyring.open(row["sealed"], QUICK_PREPARED, place))
        )
        return QuickPrepared(row["merchant_uid"], row["btid"], **msgspec.structs.asdict(private))

    async def ask(
        self, question: QuickQuestion, now: datetime, next_try_at: datetime
    ) -> QuickQuestion:
        """Write the question down; the one that waits for its answer already, if there is one.

        Who asked that one before holds it no longer: their refusal says nothing of our asking.
        """
        row = await self._connection.fetchrow(
            Q["ask"],
            question.number,
            question.merchant_id,
            question.channel_id,
            question.kind,
            question.member_id,
            question.partner_type,
            question.partner_subtype,
            now,
            next_try_at,
        )
        assert row is not None, "it is new, or it is the one that waits"
        return _read(row)

    async def due(self, now: datetime, most: int) -> list[str]:
        """Numbers of questions to ask again now, oldest first."""
        return [row["number"] for row in await self._connection.fetch(Q["due"], now, most)]

    async def lease(self, number: str, until: datetime, now: datetime) -> QuickQuestion | None:
        """Take a due question for one try; None when it is not due."""
        row = await self._connection.fetchrow(Q["lease"], number, until, now)
        return None if row is None else _read(row)

    async def later(self, question: QuickQuestion, at: datetime) -> None:
        """Ask again then, unless another one holds the lease by now."""
        await self._connection.fetchval(Q["later"], question.number, question.fence, at)

    async def remember(self, imp_uid: str, member_id: str) -> None:
        """This payment is of this member."""
        await self._connection.fetchval(Q["remember"], imp_uid, member_id)

    async def first_paid(self, channels: Sequence[Channel], member_id: str) -> int | None:
        """Whom this member paid first by these channels: a merchant's id."""
        ids = [channel.id for channel in channels]
        found: int | None = await self._connection.fetchval(Q["first_paid"], ids, member_id)
        return found

    async def of_number(self, number: str) -> QuickQuestion | None:
        """The question of this number."""
        row = await self._connection.fetchrow(Q["of_number"], number)
        return None if row is None else _read(row)

    async def end(
        self, question: QuickQuestion, outcome: QuickMember | Declined, now: datetime
    ) -> QuickQuestion | None:
        """asking -> done or refused. None: it had ended before, or was refused while another one asks."""
        values: tuple[Any, ...]
        if isinstance(outcome, Declined):
            values = ("refused", outcome.code, outcome.message, None, None)
        else:
            values = ("done", None, None, outcome.inserted_at, outcome.updated_at)
        row = await self._connection.fetchrow(
            Q["end"], question.number, *values, now, question.fence
        )
        return None if row is None else _read(row)

    async def _put(
        self, query: Query, merchant_id: int, prepared: QuickPrepared, now: datetime
    ) -> bool:
        private = Private(
            cust_ip=prepared.cust_ip,
            code_verifier=prepared.code_verifier,
            prepaid_auth=prepared.prepaid_auth,
            prepaid_amount=prepared.prepaid_amount,
            vender_type=prepared.vender_type,
            reward_id=prepared.reward_id,
        )
        sealed = self._connection.keyring.seal(
            msgspec.json.encode(private), QUICK_PREPARED, f"{merchant_id}/{prepared.merchant_uid}"
        )
        row = await self._connection.fetchrow(
            query, merchant_id, prepared.merchant_uid, prepared.btid, sealed, now
        )
        return row is not None


def _read(row: asyncpg.Record) -> QuickQuestion:
    member = None
    if row["inserted_at"] is not None:
        member = QuickMember(row["member_id"], row["inserted_at"], row["updated_at"])
    return QuickQuestion(
        number=row["number"],
        merchant_id=row["merchant_id"],
        channel_id=row["channel_id"],
        kind=row["kind"],
        member_id=row["member_id"],
        state=row["state"],
        asked_at=row["asked_at"],
        tries=row["tries"],
        fence=row["fence"],
        partner_type=row["partner_type"],
        partner_subtype=row["partner_subtype"],
        fail_code=row["fail_code"],
        fail_reason=row["fail_reason"],
        member=member,
    )

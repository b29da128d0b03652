"""Certifications. Every change is one conditional statement; no row back means no change."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from naru.domain.certification import Certification, Person, Stage
from naru.domain.ids import ImpUid, MerchantUid
from naru.store.named import Query, load
from naru.store.seal import CERTIFICATIONS, Keyring

if TYPE_CHECKING:
    from naru.store.connection import Connection

Q = load("certifications")


class Private(msgspec.Struct, omit_defaults=True):
    """What is sealed of a certification: the page that asked, what it filled in, who the person is."""

    origin: str | None = None
    prefill: dict[str, str] = {}
    known: bool = False
    name: str | None = None
    birthday: date | None = None
    gender: str | None = None
    foreigner: bool | None = None
    phone: str | None = None
    carrier: str | None = None
    ci: str | None = None
    di: str | None = None


_read_private = msgspec.json.Decoder(Private).decode


class Certifications:
    """Who persons are, for as long as the merchant keeps it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open(
        self, certification: Certification, window_secret_hash: bytes | None
    ) -> Certification | None:
        """Write a new one. None: its name is taken."""
        given = certification
        return await self._one(
            Q["open"],
            given.imp_uid,
            given.merchant_id,
            given.merchant_uid,
            given.channel_id,
            given.pg_code,
            given.sandbox,
            given.number,
            given.stage,
            given.window_mode,
            window_secret_hash,
            given.page_origin,
            given.return_url,
            given.request_id,
            given.language,
            given.mobile,
            given.min_age,
            given.opened_at,
            self._sealed(given, None) if given.origin or given.prefill else None,
        )

    async def get(self, imp_uid: str) -> Certification | None:
        """One certification, whoever owns it. For the company's and the clock's doors only."""
        return await self._one(Q["get"], imp_uid)

    async def get_of_merchant(self, imp_uid: str, merchant_id: int) -> Certification | None:
        """One certification of this merchant, deleted ones excepted; a foreign one is not there."""
        found = await self._one(Q["get_of_merchant"], imp_uid, merchant_id)
        return None if found is None or found.stage is Stage.DELETED else found

    async def get_by_window(self, imp_uid: str, secret_hash: bytes) -> Certification | None:
        """One certification, for who holds its window's secret."""
        return await self._one(Q["get_by_window"], imp_uid, secret_hash)

    async def promise(self, imp_uid: str, now: datetime, look_at: datetime) -> Certification | None:
        """From now on the company may hold a result. None: it has ended."""
        return await self._one(Q["promise"], imp_uid, now, look_at)

    async def wait(self, imp_uid: str) -> Certification | None:
        """The person has the code. None: somebody else wrote more."""
        return await self._one(Q["wait"], imp_uid)

    async def try_code(
        self, imp_uid: str, merchant_id: int, not_before: datetime, now: datetime, look_at: datetime
    ) -> Certification | None:
        """Spend one try. None: no try is left, its time is over, or it has ended."""
        return await self._one(Q["try_code"], imp_uid, merchant_id, not_before, now, look_at)

    async def certify(
        self, before: Certification, person: Person, certified_at: datetime, pg_tid: str
    ) -> Certification | None:
        """Write who it is. None: it had ended."""
        sealed = self._sealed(before, person)
        return await self._one(Q["certify"], before.imp_uid, certified_at, pg_tid, sealed)

    async def fail(self, imp_uid: str, code: str, reason: str) -> Certification | None:
        """It will not become one. None: it had ended."""
        return await self._one(Q["fail"], imp_uid, code, reason)

    async def delete(self, imp_uid: str, merchant_id: int) -> bool:
        """Let go of the person. False: there was nobody to let go of."""
        return await self._connection.fetchval(Q["delete"], imp_uid, merchant_id) is not None

    async def due(self, now: datetime, opened_before: datetime, most: int) -> list[str]:
        """Whose result has to be looked for, and what nobody finished, oldest first."""
        rows = await self._connection.fetch(Q["due"], now, opened_before, most)
        return [row["imp_uid"] for row in rows]

    async def look_later(self, imp_uid: str, look_at: datetime) -> None:
        """The company did not say."""
        await self._connection.fetchval(Q["look_later"], imp_uid, look_at)

    def _sealed(self, certification: Certification, person: Person | None) -> bytes:
        private = Private(origin=certification.origin)
        if person is None:
            private.prefill = certification.prefill
        else:
            private.known = True
            private.name, private.birthday = person.name, person.birthday
            private.gender, private.foreigner = person.gender, person.foreigner
            private.phone, private.carrier = person.phone, person.carrier
            private.ci, private.di = person.ci, person.di
        plain = msgspec.json.encode(private)
        return self._connection.keyring.seal(plain, CERTIFICATIONS, certification.imp_uid)

    async def _one(self, query: Query, *values: Any) -> Certification | None:
        row = await self._connection.fetchrow(query, *values)
        if row is None:
            return None
        keyring = self._connection.keyring
        return await self._connection.opened(lambda: _read(row, keyring))


def _read(row: asyncpg.Record, keyring: Keyring) -> Certification:
    private = Private()
    if row["sealed"] is not None:
        private = _read_private(keyring.open(row["sealed"], CERTIFICATIONS, row["imp_uid"]))
    person = None
    if private.known:
        person = Person(
            private.name,
            private.birthday,
            private.gender,
            private.foreigner,
            private.phone,
            private.carrier,
            private.ci,
            private.di,
        )
    merchant_uid = row["merchant_uid"]
    return Certification(
        imp_uid=ImpUid(row["imp_uid"]),
        merchant_id=row["merchant_id"],
        merchant_uid=None if merchant_uid is None else MerchantUid(merchant_uid),
        channel_id=row["channel_id"],
        pg_code=row["pg_code"],
        sandbox=row["sandbox"],
        number=row["number"],
        stage=Stage(row["stage"]),
        opened_at=row["opened_at"],
        tries=row["tries"],
        window_mode=row["window_mode"],
        page_origin=row["page_origin"],
        return_url=row["return_url"],
        request_id=row["request_id"],
        language=row["language"],
        mobile=row["mobile"],
        min_age=row["min_age"],
        promised_at=row["promised_at"],
        certified_at=row["certified_at"],
        pg_tid=row["pg_tid"],
        fail_code=row["fail_code"],
        fail_reason=row["fail_reason"],
        prefill=private.prefill,
        origin=private.origin,
        person=person,
    )

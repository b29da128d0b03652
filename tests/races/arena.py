"""Two gateways over one database, a PG with a book of its own, and many callers at once.

The gateways are two whole applications of `naru.app`, each with its own connections, lines out and
port: what they share is PostgreSQL alone, as two machines do. By day they live in this process; by
night they are two `naru serve`. A guard can only be taken away in this process.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import aiohttp
import asyncpg

from naru.app import create_app
from naru.config import Settings
from naru.domain.ids import hash_secret
from naru.domain.payment import Payment
from naru.payments.issue_virtual_account import issue_virtual_account
from naru.store.audit import audit
from tests.rest.conftest import serving
from tests.support.gateway import ROOT_KEY, House, open_house
from tests.support.processes import SECRET as PROCESS_SECRET
from tests.support.processes import naru
from tests.support.stand_in_pg import SECRET, StandInPg, standing_in

CROWD = 64
_NUMBERS = count(1)

Each = TypeVar("Each")


@dataclass(frozen=True)
class Said:
    """One answer: HTTP status, envelope, and when the question left and the answer was here."""

    status: int
    body: dict[str, Any]
    raw: bytes
    asked_at: float
    answered_at: float

    @property
    def done(self) -> bool:
        """The gateway says that it did it."""
        return self.status == 200 and self.body.get("code") == 0

    @property
    def words(self) -> tuple[int, int, str | None]:
        """Status, code and message."""
        return self.status, self.body["code"], self.body["message"]


@dataclass
class Arena:
    """What a race needs. `house` is a third gateway: the worker, and whoever opens windows."""

    house: House
    pg: StandInPg
    http: aiohttp.ClientSession
    addresses: tuple[str, ...]
    imp_key: str
    token: str = ""
    _turn: Iterable[str] = field(init=False)

    def __post_init__(self) -> None:
        self._turn = cycle(self.addresses)

    # --- the callers ---------------------------------------------------------------------------

    async def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str
    ) -> Said:
        """The merchant's server asks one of the gateways; they take turns."""
        sent = {"Authorization": self.token, **{k.replace("_", "-"): v for k, v in headers.items()}}
        loop = asyncio.get_running_loop()
        address, asked_at = next(iter(self._turn)), loop.time()
        async with self.http.request(method, address + path, json=body, headers=sent) as answer:
            raw = await answer.read()
            return Said(answer.status, json.loads(raw), raw, asked_at, loop.time())

    async def cancel(self, payment: Payment, amount: int = 0, **more: Any) -> Said:
        """Give back so much, or all that is left."""
        headers = {"Idempotency_Key": more.pop("key")} if "key" in more else {}
        body = {"imp_uid": payment.imp_uid, "amount": amount, **more}
        return await self.ask("POST", "/payments/cancel", body, **headers)

    async def come_back(self, payment: Payment) -> int:
        """The buyer's browser brings the PG's proof; the HTTP status of the answer."""
        fields = self.pg.returned(payment.pg_order_no, amount=str(payment.amount.minor))
        async with self.http.post(
            f"{next(iter(self._turn))}/checkout/return/{payment.imp_uid}",
            data=fields,
            allow_redirects=False,
        ) as answer:
            return answer.status

    async def notice(self, payment: Payment, key: str) -> tuple[int, bytes]:
        """The PG tells one of the gateways that the account was paid."""
        order = self.pg.orders[payment.pg_order_no]
        body = json.dumps(
            {
                "type": "deposited",
                "notice_id": key,
                "mid": self.house.channel.mid,
                "order_no": payment.pg_order_no,
                "tid": order["approval"]["tid"],
                "amount": order["amount"],
                "currency": "KRW",
                "deposited_at": int(self.house.clock().timestamp()),
            }
        ).encode()
        stamp = str(int(self.house.clock().timestamp()))
        signed = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        headers = {"X-Sandbox-Timestamp": stamp, "X-Sandbox-Signature": signed.hexdigest()}
        address = f"{next(iter(self._turn))}/notices/{self.house.channel.channel_key}"
        async with self.http.post(address, data=body, headers=headers) as answer:
            return answer.status, await answer.read()

    # --- what a race begins with ---------------------------------------------------------------

    async def paid(self, amount: int = 64_000) -> Payment:
        """A payment that was approved."""
        payment = await self.house.open(amount)
        await self.come_back(payment)
        return await self.house.payment(payment.imp_uid)

    async def account(self, amount: int = 64_000, **given: Any) -> Payment:
        """A payment whose virtual account waits."""
        opening = self.house.opening(amount, pay_method="vbank", **given)
        due = self.house.clock().replace(microsecond=0)
        return await issue_virtual_account(
            self.house.gateway,
            opening,
            bank_code="004",
            holder="나루",
            due=due.replace(year=due.year + 1),
        )

    # --- what is true afterwards ---------------------------------------------------------------

    async def rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """What this statement finds, on a connection of its own."""
        connection = await asyncpg.connect(self.house.dsn)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    async def history(self, payment: Payment) -> list[str]:
        """The events of this payment, numbered without a gap."""
        return await self.house.history(payment.imp_uid)

    async def differences(self) -> list[str]:
        """Where the PG's book, ours and the audit differ. Nothing: no won was lost or doubled."""
        found = []
        for row in await self.rows(
            "SELECT p.pg_order_no, p.step, COALESCE(sum(e.amount) FILTER"
            " (WHERE e.account = 'receivable'), 0)::bigint AS ours"
            " FROM payments p LEFT JOIN entries e USING (imp_uid) GROUP BY p.imp_uid"
        ):
            order = self.pg.orders.get(row["pg_order_no"])
            has = order is not None and order["state"] in ("approved", "deposited")
            theirs = order["amount"] - order["cancelled"] if order is not None and has else 0
            if theirs != row["ours"]:
                found.append(f"{row['pg_order_no']} {row['step']}: {theirs} and {row['ours']}")
        report = await audit(self.house.dsn)
        found += [f"{each.name}: {each.examples}" for each in report.checks if each.broken]
        return found


async def together(*calls: Awaitable[Each]) -> list[Each]:
    """All of them at once, in the order of the calls."""
    return list(await asyncio.gather(*calls))


async def crowd(call: Callable[[int], Awaitable[Each]], size: int = CROWD) -> list[Each]:
    """`call(0)` … `call(63)` at once."""
    return await together(*(call(number) for number in range(size)))


@asynccontextmanager
async def _here(dsn: str) -> AsyncIterator[tuple[str, str]]:
    """Two applications in this process."""
    settings = Settings(
        database_url=dsn,
        public_url="http://gateway.localhost",
        secret=ROOT_KEY,
        allow_private_addresses=True,
    )
    async with (
        serving(lambda _: create_app(settings), "on") as one,
        serving(lambda _: create_app(settings), "on") as other,
    ):
        yield one, other


@asynccontextmanager
async def _elsewhere(dsn: str) -> AsyncIterator[tuple[str, str]]:
    """Two processes, as an operator starts them."""
    with TemporaryDirectory(prefix="naru-races-") as home:
        async with (
            naru("serve", dsn, Path(home), NARU_PUBLIC_URL="http://gateway.localhost") as one,
            naru("serve", dsn, Path(home), NARU_PUBLIC_URL="http://gateway.localhost") as other,
        ):
            await one.serves()
            await other.serves()
            yield one.url, other.url


@asynccontextmanager
async def open_arena(
    dsn: str, *, processes: bool = False, pg_url: str | None = None
) -> AsyncIterator[Arena]:
    """Two gateways on this (migrated) database, signed in at; closed at the end.

    Their merchant's channel is at the stand-in PG, or at this address.
    """
    number = next(_NUMBERS)
    key, secret = f"race-key-{number}", f"race-secret-{number}"
    root_key = PROCESS_SECRET.encode() if processes else ROOT_KEY
    async with (
        standing_in() as pg,
        open_house(dsn, pg_url or pg.url, secret=SECRET, root_key=root_key) as house,
        (_elsewhere if processes else _here)(dsn) as addresses,
        # A server may hang up on an idle line in the moment in which a question leaves on it.
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=processes)
        ) as http,
    ):
        async with house.gateway.store.begin() as tx:
            await tx.merchants.add_key(house.merchant.id, key, hash_secret(secret))
        arena = Arena(house, pg, http, addresses, key)
        pair = {"imp_key": key, "imp_secret": secret}
        arena.token = (await arena.ask("POST", "/users/getToken", pair)).body["response"][
            "access_token"
        ]
        yield arena

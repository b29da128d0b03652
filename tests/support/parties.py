"""All parties of a payment, each a process of its own, as `naru demo` runs them; and their books.

A test drives the shop with a browser and then asks everybody: the shop's database, the gateway's
REST door, the sandbox PG's book, and the webhooks that the worker delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import asyncpg

from naru.cli import seed
from naru.config import read_secret
from naru.domain.merchant import Merchant
from naru.kit import AsyncClient, NotFound
from naru.kit.types import Payment
from naru.shop.orders import Orders, StoredOrder
from naru.store import Store
from tests.sandbox.stage import Json, Member
from tests.support.demo import Demo

T = TypeVar("T")
PATIENCE_SECONDS = 20.0


async def eventually(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """The first answer of `look` that is not None, False or empty; AssertionError after 20 s."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := await look()):
        assert time.monotonic() < deadline, f"it never happened: {what}"
        await asyncio.sleep(0.05)
    return found


@dataclass
class Parties:
    """Where everybody lives (origins), and how to look into their books."""

    shop: str
    gateway: str
    sandbox: str
    home: Path
    dsn: str
    orders: Orders
    kit: AsyncClient
    http: aiohttp.ClientSession
    store: Store
    demo: Demo
    codes_used: set[str] = field(default_factory=set)  # SMS codes that buyers typed

    def order(self, merchant_uid: str) -> StoredOrder:
        """The order in the shop's own database."""
        found = self.orders.find(merchant_uid)
        assert found is not None
        return found

    async def payments(self, merchant_uid: str) -> tuple[Payment, ...]:
        """Every try at paying this order, by REST, oldest first."""
        try:
            page = await self.kit.find_payments(merchant_uid, limit=100, sorting="started")
        except NotFound:
            return ()
        return page.payments

    async def rows(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """What the gateway's database holds."""
        connection = await asyncpg.connect(self.dsn)
        try:
            found: list[asyncpg.Record] = await connection.fetch(sql, *values)
            return found
        finally:
            await connection.close()

    async def member(self, mid: str) -> Member:
        """The gateway's own access to the sandbox PG."""
        for row in await self.rows("SELECT id FROM channels WHERE mid=$1", mid):
            async with self.store.direct() as session:
                channel = await session.channels.get(row["id"])
            assert channel is not None
            return Member(self.sandbox, self.http, time.time, mid, channel.settings["secret"])
        raise AssertionError(f"there is no channel {mid}")

    async def book(self, merchant_uid: str) -> list[tuple[str, int]]:
        """(kind, amount) of every movement of money that the PG booked for this order."""
        tries = await self.rows(
            "SELECT mid, pg_order_no FROM payments WHERE merchant_uid=$1", merchant_uid
        )
        numbers = {row["pg_order_no"] for row in tries}
        found: list[tuple[str, int]] = []
        for mid in {row["mid"] for row in tries}:
            member, after, more = await self.member(mid), 0, True
            while more:
                page = await member.ask("GET", f"/v1/book?after={after}&limit=1000")
                rows, more = page["rows"], page["more"]
                after = rows[-1]["seq"] if rows else after
                found += [(r["kind"], r["amount"]) for r in rows if r["order_no"] in numbers]
        return found

    async def webhooks(self, merchant_uid: str) -> list[tuple[str, str, int | None]]:
        """(status told, state of the delivery, HTTP status of its last attempt), in order."""
        rows = await self.rows(
            """SELECT d.status, d.state, (SELECT answer_status FROM webhook_attempts a
                  WHERE a.delivery_id = d.id ORDER BY a.id DESC LIMIT 1) AS answered
               FROM webhook_deliveries d JOIN payments USING (imp_uid)
               WHERE merchant_uid = $1 ORDER BY d.id""",
            merchant_uid,
        )
        return [(row["status"], row["state"], row["answered"]) for row in rows]

    async def see_webhooks(self, merchant_uid: str, *statuses: str) -> None:
        """These webhooks, and no others, are announced and answered with HTTP 200, in this order."""
        wanted = [(status, "delivered", 200) for status in statuses]

        async def look() -> bool:
            return await self.webhooks(merchant_uid) == wanted

        await eventually(look, f"webhooks {statuses} of {merchant_uid}")

    async def see_paid(
        self,
        merchant_uid: str,
        amount: int,
        *,
        pay_method: str,
        webhooks: tuple[str, ...] = ("paid",),
    ) -> Payment:
        """Everybody agrees that this order was paid once; the gateway's answer.

        `amount` is in the smallest unit. The shop's page may turn "paid" before this is asked.
        """

        async def look() -> bool:
            return self.order(merchant_uid).status == "paid"

        await eventually(look, f"{merchant_uid} is paid in the shop's database")
        order = self.order(merchant_uid)
        assert order.amount_minor == amount
        assert order.imp_uid is not None
        payment = await self.kit.payment(order.imp_uid)
        scale = 100 if order.currency == "USD" else 1
        assert (payment.status, payment.merchant_uid) == ("paid", merchant_uid)
        assert payment.amount is not None
        assert int(payment.amount * scale) == amount
        assert payment.currency == order.currency
        assert payment.pay_method == pay_method
        # Not once more than once: neither at the PG nor in the gateway.
        kind = "deposit" if payment.vbank_num else "charge"
        assert await self.book(merchant_uid) == [(kind, amount)]
        paid = [each for each in await self.payments(merchant_uid) if each.status == "paid"]
        assert [each.imp_uid for each in paid] == [payment.imp_uid]
        await self.see_webhooks(merchant_uid, *webhooks)
        return payment

    async def see_unpaid(self, merchant_uid: str) -> None:
        """No money moved for this order, and nobody believes that it did."""
        assert self.order(merchant_uid).status == "placed"
        assert await self.book(merchant_uid) == []
        assert "paid" not in {each.status for each in await self.payments(merchant_uid)}
        assert await self.webhooks(merchant_uid) == []

    @contextlib.asynccontextmanager
    async def merchant_with(self, **settings: Any) -> AsyncIterator[Merchant]:
        """The demo's merchant with other settings, for as long as the block runs."""
        async with self.store.direct() as session:
            before = await session.merchants.by_user_code(seed.USER_CODES[0])
        assert before is not None
        changed = replace(before, **settings)
        async with self.store.begin() as session:
            await session.merchants.change(changed)
        try:
            yield changed
        finally:
            async with self.store.begin() as session:
                await session.merchants.change(before)

    @contextlib.contextmanager
    def sleeping_worker(self) -> Iterator[None]:
        """No webhook leaves and no doubt is settled for as long as the block runs."""
        pid = self.demo.children()["worker"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def sms_code(self) -> str:
        """The code in the newest message of the sandbox's inbox."""
        async with self.http.get(f"{self.sandbox}/inbox/messages") as answer:
            messages: list[Json] = (await answer.json())["messages"]
        digits = "".join(c if c.isdigit() else " " for c in messages[0]["text"]).split()
        [code] = [each for each in digits if len(each) == 6]
        self.codes_used.add(code)
        return code

    def logs(self) -> dict[str, str]:
        """What each process wrote, by its name."""
        files = (self.home / "logs").iterdir()
        return {file.stem: file.read_text("utf-8", "replace") for file in files}


@contextlib.asynccontextmanager
async def open_parties(dsn: str, home: Path) -> AsyncIterator[Parties]:
    """Start everybody over this database; stop them all at the end."""
    demo = Demo(home, NARU_DATABASE_URL=dsn, NARU_LOG_LEVEL="debug").start()
    try:
        await asyncio.to_thread(demo.wait_for, "Press Ctrl-C to stop")
        shop, gateway, sandbox = (
            f"http://127.0.0.1:{port}" for port in (demo.shop, demo.gateway, demo.sandbox)
        )
        root_key = read_secret(home)
        store = await Store.open(dsn, 2, root_key=root_key)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http,
            AsyncClient(seed.IMP_KEY, seed.IMP_SECRET, base_url=gateway) as kit,
        ):
            orders = Orders(home / "shop.sqlite")
            yield Parties(shop, gateway, sandbox, home, dsn, orders, kit, http, store, demo)
        await store.close()
    finally:
        await asyncio.to_thread(demo.stop)

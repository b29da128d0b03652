"""The whole door for tests: our routes over a real database, with the real sandbox PG behind them."""

from __future__ import annotations

import contextlib
import io
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from starlette.applications import Starlette

from naru import checkout
from naru.domain.payment import Payment
from tests.checkout.browser import serve
from tests.sandbox.stage import Member, Pg, running
from tests.support.gateway import House, open_house

SHOP = "http://localhost:7001"
Json = dict[str, Any]


@dataclass
class Gate:
    """A running door, its house, the PG, and a plain HTTP client."""

    url: str
    house: House
    pg: Pg
    http: aiohttp.ClientSession

    def body(self, param: Json | None = None, /, **changes: Any) -> Json:
        """What the SDK posts for these parameters."""
        return {
            "user_code": self.house.merchant.user_code,
            "tier_code": None,
            "param": {
                "pg": "kcp",
                "pay_method": "kakaopay",  # one press at the sandbox PG
                "merchant_uid": "order-" + secrets.token_hex(6),
                "name": "나루 우산",
                "amount": 1004,
                "buyer_name": "김나루",
                "buyer_tel": "010-1234-5678",
            }
            | (param or {}),
            "page_url": f"{SHOP}/cart",
            "surface": "pc",
            "mode": None,
            "generation": "old",
            "request_id": "req_1_abc",
        } | changes

    async def post_raw(
        self, raw: bytes, origin: str | None = SHOP
    ) -> tuple[int, Json, dict[str, str]]:
        """POST /checkout/payments as a browser of that origin does."""
        headers = {"Content-Type": "text/plain;charset=UTF-8"}
        if origin is not None:
            headers["Origin"] = origin
        async with self.http.post(
            f"{self.url}/checkout/payments", data=io.BytesIO(raw), headers=headers
        ) as answer:
            return answer.status, await answer.json(), dict(answer.headers)

    async def post(self, body: Json, origin: str | None = SHOP) -> tuple[int, Json, dict[str, str]]:
        return await self.post_raw(json.dumps(body).encode(), origin)

    async def open(self, param: Json | None = None, /, **changes: Any) -> Json:
        """An open payment: the SDK's answer."""
        status, answer, _ = await self.post(self.body(param, **changes))
        assert status == 200, answer
        return answer

    async def refuse(self, param: Json | None = None, /, **changes: Any) -> Json:
        """A refused one: the callback's object. Nothing was written."""
        before = await self.count()
        status, answer, _ = await self.post(self.body(param, **changes))
        assert status == 400, answer
        assert await self.count() == before
        error: Json = answer["error"]
        return error

    async def count(self) -> int:
        """How many payments exist."""
        connection = await asyncpg.connect(self.house.dsn)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM payments"))
        finally:
            await connection.close()

    async def payment(self, opened: Json) -> Payment:
        return await self.house.payment(opened["imp_uid"])

    async def enter(self, opened: Json) -> str:
        """Go through the opening page to the PG; the PG's window id."""
        async with self.http.get(opened["window_url"]) as answer:
            assert answer.status == 200
        url = opened["window_url"].replace("/checkout/window/", "/checkout/enter/")
        async with self.http.get(url, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            return answer.headers["Location"].rsplit("/", 1)[1]

    async def authenticate(self, opened: Json, path: str = "/wallet") -> Json:
        """The buyer proves who they are; the form that the PG gives to the browser."""
        window_id = await self.enter(opened)
        async with self.http.post(
            f"{self.pg.url}/window/{window_id}{path}", json={}, headers={"Origin": self.pg.url}
        ) as answer:
            finished = await answer.json()
        form: Json = finished["return_form"]
        return form

    async def come_back(self, form: Json, **changes: str) -> aiohttp.ClientResponse:
        """The browser posts the PG's form to us. Redirects are not followed."""
        return await self.http.post(
            form["action"], data=form["fields"] | changes, allow_redirects=False
        )

    async def pay(self, opened: Json) -> str:
        """All of it; the address of the done page."""
        answer = await self.come_back(await self.authenticate(opened))
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]

    async def result(self, opened: Json, token: str | None = None) -> Json:
        async with self.http.get(
            f"{self.url}/checkout/payments/{opened['imp_uid']}/result",
            params={"token": opened["token"] if token is None else token},
        ) as answer:
            content: Json = await answer.json()
            return content

    async def abandon(self, opened: Json, reason: str = "closed", token: str | None = None) -> Json:
        body = {"token": opened["token"] if token is None else token, "reason": reason}
        async with self.http.post(
            f"{self.url}/checkout/payments/{opened['imp_uid']}/abandon", data=json.dumps(body)
        ) as answer:
            content: Json = await answer.json()
            return content


@contextlib.asynccontextmanager
async def open_gate(dsn: str, pg_database: Path) -> AsyncIterator[Gate]:
    """The door over this database; a merchant who sells kcp, paypal and payco from localhost."""
    async with running(pg_database) as pg:
        member = Member(pg.url, pg.http, pg.clock, "T0000", "s" * 32)
        await member.join()
        async with open_house(dsn, pg.url) as house:
            await house.set_merchant(
                allowed_origins=("loopback", "null"),
                allowed_return_origins=("loopback",),
                allowed_webhook_origins=("https://hook.example",),
                allowed_app_schemes=("narushop",),
            )
            async with house.gateway.store.begin() as tx:
                for pg_code in ("paypal", "payco", "tosspayments", "danal", "kcp_quick"):
                    other = Member(pg.url, pg.http, pg.clock, f"{pg_code}-mid", "s" * 32)
                    await other.join()
                    await tx.channels.add(
                        house.merchant.id,
                        f"channel-key-{pg_code}-{secrets.token_hex(4)}",
                        pg_code,
                        other.mid,
                        "sandbox",
                        test=True,
                        settings={"url": pg.url, "secret": other.secret},
                    )
            async with serve(Starlette(routes=checkout.routes(house.gateway))) as url:
                house.gateway.public_url = url
                yield Gate(url, house, pg, pg.http)

"""Somebody with a good HTTP client and bad intentions, and what they can do without a browser."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp

from naru.cli import seed
from tests.support.parties import Parties

Json = dict[str, Any]


@dataclass
class Window:
    """One payment window that the thief opened: its names, its secret, and the PG's side of it."""

    imp_uid: str
    merchant_uid: str
    token: str
    url: str
    pg_url: str = ""


@dataclass
class Thief:
    """Speaks to every party over HTTP. `origin` is the site that the thief's browser stands on."""

    parties: Parties
    http: aiohttp.ClientSession
    access_token: str
    origin: str

    @classmethod
    async def arrive(cls, parties: Parties) -> Thief:
        """With the demo merchant's own access token: an insider's look at the REST door."""
        pair = {"imp_key": seed.IMP_KEY, "imp_secret": seed.IMP_SECRET}
        async with parties.http.post(f"{parties.gateway}/users/getToken", json=pair) as answer:
            token = (await answer.json())["response"]["access_token"]
        return cls(parties, parties.http, token, parties.shop)

    def ask(self, param: Json | None = None, /, **changes: Any) -> Json:
        """What the SDK would post; `param` is merged into a plain purchase of 1,004 won."""
        return {
            "user_code": seed.USER_CODES[0],
            "tier_code": None,
            "param": {
                "pg": "kcp",
                "pay_method": "kakaopay",  # one press at the sandbox PG
                "merchant_uid": new_order(),
                "name": "나루 우산",
                "amount": 1004,
            }
            | (param or {}),
            "page_url": f"{self.origin}/cart",
            "surface": "pc",
            "mode": None,
            "generation": "old",
            "request_id": "req_1_abc",
        } | changes

    async def try_open(
        self, param: Json | None = None, /, *, origin: str | None = None, **changes: Any
    ) -> tuple[int, Json]:
        """POST /checkout/payments; status and answer."""
        async with self.http.post(
            f"{self.parties.gateway}/checkout/payments",
            data=json.dumps(self.ask(param, **changes)).encode(),
            headers={"Origin": origin or self.origin, "Content-Type": "text/plain"},
        ) as answer:
            return answer.status, await answer.json()

    async def open(self, param: Json | None = None, /, **changes: Any) -> Window:
        """Open a window and walk to the PG's side of it."""
        status, told = await self.try_open(param, **changes)
        assert status == 200, told
        window = Window(told["imp_uid"], told["merchant_uid"], told["token"], told["window_url"])
        enter = window.url.replace("/checkout/window/", "/checkout/enter/")
        async with self.http.get(enter, allow_redirects=False) as answer:
            assert answer.status == 303
            window.pg_url = answer.headers["Location"]
        assert window.pg_url.startswith(self.parties.sandbox), window.pg_url
        return window

    async def press(self, window: Window, path: str = "/wallet", body: Json | None = None) -> Json:
        """Authenticate (or anything else) in the PG's window; its answer."""
        async with self.http.post(
            window.pg_url + path, json=body or {}, headers={"Origin": self.parties.sandbox}
        ) as answer:
            told: Json = await answer.json()
            return told

    async def prove(self, window: Window, path: str = "/wallet", body: Json | None = None) -> Json:
        """The signed fields that the PG lets the browser carry back."""
        told = await self.press(window, path, body)
        assert told["ok"], told
        fields: Json = told["return_form"]["fields"]
        return fields

    async def bring_back(self, imp_uid: str, fields: Json) -> tuple[int, str]:
        """Post the return form to this payment's return address; status and Location."""
        async with self.http.post(
            f"{self.parties.gateway}/checkout/return/{imp_uid}", data=fields, allow_redirects=False
        ) as answer:
            return answer.status, answer.headers.get("Location", "")

    async def pay(self, param: Json | None = None, /, **changes: Any) -> Window:
        """An honest purchase from beginning to end."""
        window = await self.open(param, **changes)
        status, place = await self.bring_back(window.imp_uid, await self.prove(window))
        assert (status, "/checkout/done/" in place) == (303, True)
        return window

    async def result(self, imp_uid: str, token: str) -> tuple[int, Json]:
        """What the result endpoint tells for this token."""
        async with self.http.get(
            f"{self.parties.gateway}/checkout/payments/{imp_uid}/result", params={"token": token}
        ) as answer:
            return answer.status, await answer.json()

    async def abandon(self, imp_uid: str, token: Any) -> tuple[int, Json]:
        """Say that this window was closed."""
        async with self.http.post(
            f"{self.parties.gateway}/checkout/payments/{imp_uid}/abandon",
            data=json.dumps({"token": token, "reason": "closed"}).encode(),
            headers={"Origin": self.origin},
        ) as answer:
            return answer.status, await answer.json()

    async def rest(
        self, method: str, path: str, body: Json | None = None, *, token: str | None = None
    ) -> tuple[int, Json]:
        """A call of the merchant's server; HTTP status and envelope."""
        async with self.http.request(
            method,
            self.parties.gateway + path,
            json=body,
            headers={"Authorization": self.access_token if token is None else token},
            timeout=aiohttp.ClientTimeout(total=40),
        ) as answer:
            return answer.status, await answer.json()

    async def status(self, imp_uid: str) -> str:
        """The public status that REST tells."""
        _, envelope = await self.rest("GET", f"/payments/{imp_uid}")
        return str(envelope["response"]["status"])

    async def order(self) -> tuple[str, int]:
        """Order something in the shop; its number and its price in won."""
        async with self.http.get(f"{self.parties.shop}/") as answer:
            names = re.findall(r"/products/([\w-]+)", await answer.text())
        form = {"product": names[0], "quantity": "1", "name": "김나루", "tel": "010-1234-5678"}
        form |= {"email": "naru@example.com", "addr": "서울", "postcode": "04524"}
        async with self.http.post(
            f"{self.parties.shop}/orders", data=form, allow_redirects=False
        ) as answer:
            assert answer.status == 303
            merchant_uid = answer.headers["Location"].rsplit("/", 1)[1].partition("?")[0]
        return merchant_uid, self.parties.order(merchant_uid).amount_minor

    async def report(self, imp_uid: str, merchant_uid: str | None) -> tuple[int, str]:
        """Tell the shop that this payment is done; HTTP status and the shop's word."""
        body = {"imp_uid": imp_uid} | ({"merchant_uid": merchant_uid} if merchant_uid else {})
        async with self.http.post(f"{self.parties.shop}/payments/complete", json=body) as answer:
            return answer.status, (await answer.json())["status"]


def new_order() -> str:
    """An order number that nobody used."""
    return "rude-" + secrets.token_hex(6)

"""A running sandbox PG and a member of it, for the tests: real server, real HTTP, real file."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from naru.sandbox.app import create_app
from naru.sandbox.cards import CARDS
from naru.sandbox.server import server

Json = dict[str, Any]


class Clock:
    """Real time, which a test may push forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Member:
    """A member that signs by the words of docs/reference/sandbox-wire.md, on its own."""

    url: str
    http: aiohttp.ClientSession
    clock: Callable[[], float]
    mid: str
    secret: str = field(default_factory=lambda: secrets.token_hex(24))

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        stamp = str(int(self.clock()))
        text = f"{stamp}.{method}.{path}.".encode() + body
        return {
            "X-Sandbox-Mid": self.mid,
            "X-Sandbox-Timestamp": stamp,
            "X-Sandbox-Signature": hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest(),
        }

    async def raw(
        self, method: str, path: str, body: bytes = b"", timeout_seconds: float = 5
    ) -> tuple[int, bytes]:
        """Ask; the answer's signature is checked whenever we could be authenticated."""
        async with self.http.request(
            method,
            self.url + path,
            data=body or None,
            headers=self.headers(method, path, body),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        ) as answer:
            content = await answer.read()
            if answer.status not in (401, 413):
                stamp = answer.headers["X-Sandbox-Timestamp"]
                proof = hmac.new(
                    self.secret.encode(), f"{stamp}.".encode() + content, hashlib.sha256
                )
                assert proof.hexdigest() == answer.headers["X-Sandbox-Signature"]
            return answer.status, content

    async def ask(
        self, method: str, path: str, body: Json | None = None, status: int = 200
    ) -> Json:
        raw = b"" if body is None else json.dumps(body).encode()
        got, content = await self.raw(method, path, raw)
        assert got == status, (got, content)
        answer: Json = json.loads(content)
        return answer

    async def join(self) -> None:
        body = {"secret": self.secret, "name": "나루 상점", "profile": "kcp"}
        async with self.http.put(f"{self.url}/v1/members/{self.mid}", json=body) as answer:
            assert answer.status == 200, await answer.text()

    def order(self, **changes: Any) -> Json:
        return {
            "order_no": "ord_" + secrets.token_hex(8),
            "amount": 64900,
            "currency": "KRW",
            "tax_free": 0,
            "item_name": "나루 우산",
            "merchant_name": "나루 상점",
            "merchant_order_no": "shop-1",
            "pay_method": "kakaopay",
            "profile": "kcp",
            "surface": "pc",
            "language": "ko",
            "return_url": "http://127.0.0.1:9/return",
            "notice_url": None,
            "frame_ancestors": [],
            "buyer": {"name": "김나루", "email": None, "tel": None},
            "installments": None,
            "vbank_due": None,
            "test": True,
        } | changes

    async def open(self, **changes: Any) -> Window:
        order = self.order(**changes)
        answer = await self.ask("POST", "/v1/orders", order)
        assert answer["result"] == "registered"
        return Window(self, order, answer["window_url"].rsplit("/", 1)[1])

    async def paid(self, **changes: Any) -> Json:
        """A wallet order, approved; the approval's answer."""
        window = await self.open(**changes)
        return await window.approve(await window.ok("/wallet"))

    async def inquire(self, order_no: str) -> Json:
        return await self.ask("GET", f"/v1/orders/{order_no}")

    async def cancel(self, approval: Json, amount: int, before: int, **changes: Any) -> Json:
        return await self.ask(
            "POST",
            "/v1/cancels",
            {
                "tid": approval["tid"],
                "cancel_no": "cnl_" + secrets.token_hex(8),
                "amount": amount,
                "balance_before": before,
                "reason": "변심",
                "refund_account": None,
            }
            | changes,
        )


@dataclass
class Window:
    """The buyer's browser in front of one order."""

    member: Member
    order: Json
    window_id: str

    @property
    def order_no(self) -> str:
        return str(self.order["order_no"])

    async def post(self, path: str, body: Json | None = None, status: int = 200) -> Json:
        async with self.member.http.post(
            f"{self.member.url}/window/{self.window_id}{path}",
            json=body or {},
            headers={"Origin": self.member.url},
        ) as answer:
            assert answer.status == status, (answer.status, await answer.text())
            content: Json = await answer.json()
            return content

    async def ok(self, path: str, body: Json | None = None) -> Json:
        answer = await self.post(path, body)
        assert answer["ok"], answer
        return answer

    async def no(self, path: str, body: Json | None = None) -> Json:
        answer = await self.post(path, body)
        assert not answer["ok"], answer
        return answer

    def approval(self, finished: Json) -> Json:
        fields = finished["return_form"]["fields"]
        return {
            "order_no": self.order_no,
            "auth_token": fields["auth_token"],
            "amount": int(fields["amount"]),
            "currency": fields["currency"],
        }

    async def approve(self, finished: Json, **changes: Any) -> Json:
        return await self.member.ask("POST", "/v1/approvals", self.approval(finished) | changes)

    async def pay_mpi(self, number: str, **changes: Any) -> Json:
        card = next(card for card in CARDS if card.number == number.replace("-", ""))
        return await self.post(
            "/mpi",
            {
                "card_number": number,
                "expiry": card.expiry,
                "cvc": card.cvc,
                "password": "naru1234",
                "installment_months": 0,
            }
            | changes,
        )


class Browser:
    """WebCrypto as the window uses it: ECDSA P-256, raw signatures."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> str:
        return base64.b64encode(
            self.key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        ).decode()

    def sign(self, content: bytes) -> str:
        r, s = decode_dss_signature(self.key.sign(content, ec.ECDSA(hashes.SHA256())))
        return base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()

    def enrolment(self, window: Window, card_id: str) -> Json:
        text = f"naru-sandbox-isp-enrol/1\n{window.window_id}\n{card_id}\n{self.public_key}"
        return {
            "card_id": card_id,
            "public_key": self.public_key,
            "proof": self.sign(text.encode()),
        }

    async def enrol(self, window: Window, card_id: str = "isp-bc") -> Json:
        return await window.ok("/isp/enrol", self.enrolment(window, card_id))


@dataclass
class Pg:
    """A sandbox PG that runs in this event loop."""

    url: str
    database: Path
    clock: Clock
    http: aiohttp.ClientSession
    app: Any

    async def member(self, mid: str = "naru-test") -> Member:
        member = Member(self.url, self.http, self.clock, mid)
        await member.join()
        return member


@contextlib.asynccontextmanager
async def running(database: Path, pace: float = 0.02) -> AsyncIterator[Pg]:
    """Start the real application on a free port; magic delays run fifty times faster."""
    # asyncio turns Nagle's delay (40 ms an answer) off only where the protocol is named.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    clock = Clock()
    app = create_app(database, url, clock, pace)
    running_server = server(app, "127.0.0.1", 0)
    task = asyncio.create_task(running_server.serve(sockets=[listening]))
    while not running_server.started:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.005)
    async with aiohttp.ClientSession() as http:
        yield Pg(url, database, clock, http, app)
    running_server.should_exit = True
    await task

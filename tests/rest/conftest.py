"""A merchant's server at the real door: uvicorn on a free port, PostgreSQL, two merchants who know nothing of each other."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from yarl import URL

from naru.domain.channel import Channel
from naru.domain.ids import ImpUid, MerchantUid, hash_secret
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.outcome import AccountIssued, Approved, Cancelled
from naru.domain.payment import Buyer, Card, Payment, Step, Surface, VirtualAccount
from naru.domain.window import Redirect
from naru.payments.approve import approve
from naru.payments.gateway import Gateway
from naru.payments.start import Opening, enter_window, start
from naru.rest import Door, operations
from naru.sandbox.app import create_app
from naru.store import Store
from naru.wire import Wire
from tests.contract.fits import misfit

if TYPE_CHECKING:
    from tests.support.postgres import Databases

# One database serves every test of this room: each test has merchants of its own, as in life.
NUMBERS = count(1)
ROOT_KEY = b"a root key of the tests, 32 bytes and more"


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC).replace(microsecond=250_000)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class Shop:
    """One merchant with an API key and a channel."""

    merchant: Merchant
    channel: Channel
    imp_key: str
    imp_secret: str
    token: str = ""


@dataclass
class Answered:
    """What came back over the wire."""

    status: int
    body: dict[str, Any]
    raw: bytes
    headers: dict[str, str]

    @property
    def response(self) -> Any:
        return self.body["response"]

    @property
    def verdict(self) -> tuple[int, int, str | None]:
        """HTTP status, code and message."""
        return self.status, self.body["code"], self.body["message"]


@dataclass
class Desk:
    """Everything a test of this door needs: the gateway behind it, its address, two merchants."""

    gateway: Gateway
    clock: Clock
    address: str
    http: aiohttp.ClientSession
    shop: Shop
    stranger: Shop

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "",
        headers: dict[str, str] | None = None,
        **how: Any,
    ) -> Answered:
        """One request; carries the shop's token unless told otherwise (None: none at all)."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = token or self.shop.token
        async with self.http.request(method, self.address + path, headers=sent, **how) as answer:
            raw = await answer.read()
            body = await answer.json() if raw else {}
            if raw:
                assert misfit(method, path, answer.status, body) is None
            return Answered(answer.status, body, raw, dict(answer.headers))

    async def open(self, shop: Shop | None = None, **changes: Any) -> Payment:
        """A payment whose window is open."""
        shop = shop or self.shop
        number = next(NUMBERS)
        given: dict[str, Any] = {
            "imp_uid": ImpUid(f"imp_{number:012d}"),
            "merchant_id": shop.merchant.id,
            "merchant_uid": MerchantUid(f"order_{number}"),
            "channel_id": shop.channel.id,
            "pg_code": "kcp",
            "mid": "T0000",
            "sandbox": True,
            "surface": Surface.PC,
            "pay_method": "card",
            "step": Step.OPENED,
            "version": 1,
            "amount": Money(1004),
            "cancelled": Money(0),
            "tax_free": Money(0),
            "vat": None,
            "pg_order_no": f"n{number:024d}",
            "started_at": self.clock(),
            "name": "당근 10kg",
            "buyer": Buyer(name="홍길동", tel="010-4242-4242"),
            **changes,
        }
        async with self.gateway.store.begin() as tx:
            opened = await tx.payments.open(Payment(**given), None)
        assert opened is not None
        return opened

    async def pay(self, shop: Shop | None = None, **changes: Any) -> Payment:
        """A payment that was paid by card."""
        payment = await self.open(shop, **changes)
        async with self.gateway.store.begin() as tx:
            now = self.clock()
            claimed = await tx.payments.claim_for_approval(payment.imp_uid, now, now, None, {})
            assert claimed is not None
            approved = Approved(
                order_no=claimed.pg_order_no,
                amount=claimed.amount,
                pg_tid=f"tid_{claimed.imp_uid}",
                approved_at=now,
                approval_number="45918441",
                card=Card("366", "신한카드", "542879******0294", 3, 0),
                receipt_url="https://pg.example/receipt?a=b/c",
            )
            paid = await tx.payments.settle_paid(claimed, approved)
            intent = await tx.intents.of_payment(payment.imp_uid)
            assert intent is not None
            await tx.intents.end(intent.id, "done", now, None)
            assert paid is not None
            return paid

    async def buy(self, amount: int, *, merchant_uid: str | None = None) -> Payment:
        """A payment that went the whole way: window, the buyer's wallet at the PG, approval."""
        merchant_uid = merchant_uid or f"order_{next(NUMBERS)}"
        opened, _ = await start(
            self.gateway,
            Opening(
                merchant=self.shop.merchant,
                channel=self.shop.channel,
                merchant_uid=MerchantUid(merchant_uid),
                amount=Money(amount),
                surface=Surface.PC,
                pay_method="kakaopay",
            ),
        )
        window = await enter_window(self.gateway, opened, self.shop.merchant)
        assert isinstance(window, Redirect)
        origin = str(URL(window.url).origin())
        async with self.http.post(
            f"{window.url}/wallet", json={}, headers={"Origin": origin}
        ) as answer:
            said = await answer.json()
        paid = await approve(self.gateway, opened.imp_uid, said["return_form"]["fields"])
        assert paid is not None
        assert paid.step is Step.PAID
        return paid

    async def fail(self, shop: Shop | None = None, **changes: Any) -> Payment:
        """A payment that the buyer gave up."""
        payment = await self.open(shop, **changes)
        async with self.gateway.store.begin() as tx:
            failed = await tx.payments.abandon(
                payment.imp_uid, self.clock(), "F0005", "[결제포기] 사용자가 결제를 취소하셨습니다"
            )
            assert failed is not None
            return failed

    async def wait_for_deposit(self, shop: Shop | None = None, **changes: Any) -> Payment:
        """A payment with a virtual account that waits."""
        payment = await self.open(shop, pay_method="vbank", **changes)
        async with self.gateway.store.begin() as tx:
            now = self.clock()
            claimed = await tx.payments.claim_for_approval(payment.imp_uid, now, now, None, {})
            assert claimed is not None
            account = VirtualAccount(
                "004", "국민은행", "79959078731512", "나루", now + timedelta(days=1), now
            )
            issued = AccountIssued(
                claimed.pg_order_no, claimed.amount, f"tid_{claimed.imp_uid}", account
            )
            waiting = await tx.payments.settle_account(claimed, issued)
            intent = await tx.intents.of_payment(payment.imp_uid)
            assert intent is not None
            await tx.intents.end(intent.id, "done", now, None)
            assert waiting is not None
            return waiting

    async def cancel(self, payment: Payment, amount: int) -> Payment:
        """Give back a part of a paid payment, as the PG confirmed it."""
        async with self.gateway.store.begin() as tx:
            current = await tx.payments.get(payment.imp_uid)
            assert current is not None
            number = next(NUMBERS)
            cancelled = Cancelled(
                cancel_no=f"c{number:024d}",
                amount=Money(amount, payment.amount.currency),
                pg_tid=f"{current.pg_tid}C{number}",
                cancelled_at=self.clock(),
                receipt_url="https://pg.example/cancel",
            )
            zero = Money(0, payment.amount.currency)
            changed = await tx.payments.cancel(current, cancelled, "변심", zero, None)
            assert changed is not None
        async with self.gateway.store.direct() as session:
            found = await session.payments.get(payment.imp_uid)
            assert found is not None
            return found


class Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def serving(
    make_app: Callable[[str], Any], lifespan: str = "off", **options: Any
) -> AsyncIterator[str]:
    """The address of a uvicorn, with these options, that serves an application on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        make_app(address),
        log_config=None,
        lifespan=lifespan,  # type: ignore[arg-type]  # one of uvicorn's three words
        timeout_graceful_shutdown=1,
        # A busy machine may think longer than the usual 5 s between two requests of one connection.
        **{"timeout_keep_alive": 120, **options},
    )
    server = Server(config)
    serve = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.wait_for(server.listening.wait(), 10)
        yield address
    finally:
        server.should_exit = True
        await serve
        listener.close()


async def new_shop(store: Store, pg_url: str) -> Shop:
    """A merchant with an API key and a default channel at the sandbox PG."""
    name = f"shop{next(NUMBERS)}"
    secret = f"{name}-secret"
    async with store.begin() as tx:
        merchant_id = await tx.merchants.add(name, [f"imp_{name}"], live=False, webhook_secret=None)
        await tx.merchants.add_key(merchant_id, f"{name}-key", hash_secret(secret))
        await tx.channels.add(
            merchant_id,
            f"channel-key-{name}",
            "kcp",
            f"T{name}",
            "sandbox",
            test=True,
            settings={"url": pg_url, "secret": f"{name}-" + "s" * 40},
            is_default=True,
            name=f"{name} KCP",
        )
        merchant = await tx.merchants.get(merchant_id)
        [channel] = await tx.channels.of_merchant(merchant_id)
    assert merchant is not None
    return Shop(merchant, channel, f"{name}-key", secret)


async def sign_in(desk: Desk, shop: Shop) -> None:
    """Give this merchant the token that it has by now."""
    answer = await desk.ask(
        "POST",
        "/users/getToken",
        token=None,
        json={"imp_key": shop.imp_key, "imp_secret": shop.imp_secret},
    )
    shop.token = answer.response["access_token"]


@dataclass
class House:
    """What all tests of this room share: a database, a door, a running sandbox PG. `clock` is the running test's."""

    store: Store
    wire: Wire
    http: aiohttp.ClientSession
    door: Door
    address: str = ""
    pg_url: str = ""
    clock: Clock = field(default_factory=Clock)

    def open_for_a_test(self) -> Gateway:
        """New hands behind the door, with a new clock."""
        self.clock = Clock()
        self.door.gateway = self.gateway(self.store, self.wire)
        self.door.gateway.now = self.clock
        return self.door.gateway

    @staticmethod
    def gateway(store: Store, wire: Wire) -> Gateway:
        return Gateway(
            store=store,
            wire=wire,
            pg_wire=wire,
            public_url="http://127.0.0.1:8800",
            root_key=ROOT_KEY,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this room share one event loop, because they share one server."""
    for item in items:
        if "tests/rest/" in item.path.as_posix() and inspect.iscoroutinefunction(
            getattr(item, "function", None)
        ):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def rest_database(databases: Databases) -> Iterator[str]:
    """The address of the one database of this room's tests."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(
    rest_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    store = await Store.open(rest_database, size=20, root_key=ROOT_KEY)
    async with (
        Wire(allow_private=True, ports=None) as wire,
        aiohttp.ClientSession() as http,
    ):
        house = House(store, wire, http, Door(House.gateway(store, wire), operations()))
        ledger = tmp_path_factory.mktemp("sandbox") / "sandbox.db"

        def company(address: str) -> Any:
            return create_app(ledger, address, lambda: house.clock().timestamp(), pace=0.01)

        async with (
            serving(lambda address: house.door) as house.address,
            serving(company, "on") as house.pg_url,
        ):
            yield house
    await store.close()


async def make_desk(house: House, pg_url: str) -> Desk:
    """Two new merchants whose PG is at this address, signed in."""
    gateway = house.open_for_a_test()
    desk = Desk(
        gateway=gateway,
        clock=house.clock,
        address=house.address,
        http=house.http,
        shop=await new_shop(house.store, pg_url),
        stranger=await new_shop(house.store, pg_url),
    )
    for shop in (desk.shop, desk.stranger):
        await sign_in(desk, shop)
    return desk


@pytest_asyncio.fixture(loop_scope="session")
async def desk(house: House) -> Desk:
    """A desk whose PG cannot be reached: nobody listens on the discard port of this machine."""
    return await make_desk(house, "http://127.0.0.1:9")


@pytest_asyncio.fixture(loop_scope="session")
async def desk_with_pg(house: House) -> Desk:
    """A desk whose merchants are members of the running sandbox PG."""
    desk = await make_desk(house, house.pg_url)
    for shop in (desk.shop, desk.stranger):
        body = {
            "secret": shop.channel.settings["secret"],
            "name": shop.merchant.name,
            "profile": shop.channel.pg_code,
        }
        member = f"{house.pg_url}/v1/members/{shop.channel.mid}"
        async with desk.http.put(member, json=body) as answer:
            assert answer.status == 200
    return desk

"""Gateways behind a balancer are replaced one after the other under load, and no request fails (row L1)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from naru.domain.payment import Step
from tests.killing.balancer import Balancer
from tests.payments.test_approve import back
from tests.support.gateway import House, open_house
from tests.support.processes import SECRET, Process, health, naru
from tests.support.scale import often
from tests.support.stand_in_pg import SECRET as PG_SECRET
from tests.support.stand_in_pg import StandInPg, standing_in

CHECK_SECONDS = 0.2
LEAVE_SECONDS = "1"
BUYERS = 8


class Checking(Balancer):
    """Asks each gateway's `/health`, as HAProxy does, and sends nobody to one that says no."""

    def __init__(self) -> None:
        super().__init__([])
        self._known: dict[int, str] = {}

    def add(self, gateway: Process) -> None:
        port = urlsplit(gateway.url).port
        assert port is not None
        self._known[port] = gateway.url

    async def check(self) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
            while True:
                said = {port: await health(http, url) for port, url in self._known.items()}
                self._ports = [port for port, status in said.items() if status == 200]
                await asyncio.sleep(CHECK_SECONDS)


@dataclass
class Load:
    """Buyers who come back from the PG and are then shown the last page, each over a line of its own."""

    house: House
    pg: StandInPg
    url: str
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    bought: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def buy(self) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
            while not self.stop.is_set():
                payment = await self.house.open()
                where = f"{self.url}/checkout/return/{payment.imp_uid}"
                form = back(self.pg, payment)
                try:
                    async with http.post(where, data=form, allow_redirects=False) as answer:
                        if answer.status != 303:
                            raise OSError(f"{answer.status} {await answer.text()}")
                        done = urlsplit(answer.headers["Location"])
                    async with http.get(f"{self.url}{done.path}?{done.query}") as answer:
                        if answer.status != 200:
                            raise OSError(f"{answer.status} {await answer.text()}")
                    self.bought.append(payment.imp_uid)
                except (aiohttp.ClientError, OSError) as error:
                    self.failed.append(repr(error)[:300])

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        buyers = [asyncio.create_task(self.buy()) for _ in range(BUYERS)]
        try:
            yield
        finally:
            self.stop.set()
            await asyncio.gather(*buyers)

    async def some_more(self, count: int = 20) -> None:
        """Wait until so many more have bought, or somebody could not."""
        enough = len(self.bought) + count
        async with asyncio.timeout(60):
            while len(self.bought) < enough and not self.failed:
                await asyncio.sleep(0.01)


@pytest.mark.fault("L1_RO", "L1_CA")
@pytest.mark.promise("L4")
async def test_gateways_replaced_under_load_fail_nobody_and_a_killed_one_does(
    database_url: str, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        pg = await stack.enter_async_context(standing_in())
        house = await stack.enter_async_context(
            open_house(database_url, pg.url, secret=PG_SECRET, root_key=SECRET.encode())
        )
        balancer = Checking()

        async def start() -> Process:
            gateway = await stack.enter_async_context(
                naru("serve", database_url, tmp_path, NARU_LEAVE_WAIT=LEAVE_SECONDS)
            )
            await gateway.serves()
            balancer.add(gateway)
            return gateway

        gateways = [await start(), await start()]
        await stack.enter_async_context(balancer.listen())
        checking = asyncio.create_task(balancer.check())
        stack.callback(checking.cancel)
        load = Load(house, pg, balancer.url)
        await asyncio.sleep(CHECK_SECONDS)
        async with load.going_on():
            await load.some_more()
            replaced = often(1, 2)
            for number in range(replaced):
                gateways[number].send(signal.SIGTERM)
                assert await gateways[number].ends() == 0
                await load.some_more()
                gateways[number] = await start()
                await load.some_more()
            bought, failed = len(load.bought), list(load.failed)
            # The control: one that goes without a word takes with it whoever is being served.
            began = time.monotonic()
            while not load.failed and time.monotonic() - began < 20:
                gateways[1].send(signal.SIGKILL)
                await gateways[1].ends()
                await asyncio.sleep(0.5)
                if not load.failed:
                    gateways[1] = await start()
        print(
            f"{replaced} gateways replaced under load: {bought} payments, {len(failed)} requests failed;"
            f" control, one killed: {len(load.failed)} failed"
        )
        assert failed == []
        assert load.failed != []
        for imp_uid in load.bought:
            assert (await house.payment(imp_uid)).step is Step.PAID

"""A doubt whose worker, a process of its own, is stopped or killed in the middle of a try."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from naru.domain.payment import Step
from naru.jobs.worker import work
from naru.payments.approve import approve
from tests.payments.test_approve import back
from tests.support.gateway import ROOT_KEY, House, open_house
from tests.support.scale import often
from tests.support.stand_in_pg import SECRET, StandInPg, standing_in

# By day the same with a shorter lease, because the true one is 20 s.
LEASE_SECONDS = often(3, 20)

WORKER = """
import asyncio, sys
from datetime import timedelta
import naru.payments.reconcile as reconcile
from naru.jobs.worker import work
from naru.payments.gateway import Gateway
from naru.store import Store
from naru.wire import Wire

async def main() -> None:
    reconcile.LEASE = timedelta(seconds=float(sys.argv[2]))
    root_key = bytes.fromhex(sys.argv[3])
    async with Wire(allow_private=True, ports=None) as wire:
        store = await Store.open(sys.argv[1], root_key=root_key)
        gateway = Gateway(store, wire, wire, "http://127.0.0.1:1", root_key)
        await work(gateway, sys.argv[1], asyncio.Event())

asyncio.run(main())
"""


@pytest.fixture
async def pg() -> AsyncIterator[StandInPg]:
    async with standing_in() as standing:
        yield standing


@pytest.fixture
async def house(database_url: str, pg: StandInPg) -> AsyncIterator[House]:
    async with open_house(database_url, pg.url, secret=SECRET) as opened:
        yield opened


@asynccontextmanager
async def worker_process(dsn: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, dsn, str(LEASE_SECONDS), ROOT_KEY.hex()
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.fault("K1_CA", "K1_SL", "K1_CB")
@pytest.mark.promise("L4")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_doubt_of_a_worker_that_died_or_sleeps_is_taken_over_within_30_seconds(
    house: House, pg: StandInPg, how: signal.Signals
) -> None:
    payment = await house.open()
    pg.hang_up("approvals", done=True)
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    async with house.gateway.store.begin() as tx:
        intent = await tx.intents.of_payment(payment.imp_uid)
        assert intent is not None
        assert await tx.intents.doubt(intent.id, 0, "unknown", house.clock(), "due now")
    arrived, go_on = pg.hold("GET orders", done_first=True)
    async with worker_process(house.dsn) as process:
        await asyncio.wait_for(arrived.wait(), 20)
        os.kill(process.pid, how)
        began = time.monotonic()
        stop = asyncio.Event()
        other = asyncio.create_task(work(house.gateway, house.dsn, stop, drain_seconds=1))
        async with asyncio.timeout(30):
            while (await house.payment(payment.imp_uid)).step is not Step.PAID:
                await asyncio.sleep(0.05)
        took = time.monotonic() - began
        print(f"taken over after {how.name} in {took:.1f} s (lease {LEASE_SECONDS} s, bound 30 s)")
        # The control: it was held for the rest of the lease, and not simply done twice at once.
        assert took > LEASE_SECONDS / 4
        go_on.set()
        if how is signal.SIGSTOP:
            os.kill(process.pid, signal.SIGCONT)
            async with house.gateway.store.direct() as session:
                async with asyncio.timeout(20):
                    # The call itself, and two lines of each of the two workers.
                    while len(await session.intents.tries_of(intent.id)) < 5:
                        await asyncio.sleep(0.05)
        stop.set()
        await asyncio.wait_for(other, 15)
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]

"""Run jobs until told to stop: claim, wake the handler, survive the database, drain at the end.

PgQueuer claims and leases jobs. A worker that dies leaves its jobs with a heartbeat that grows old,
and another one takes them over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from pgqueuer.models import Job

from naru.jobs.handlers import Handler, handlers
from naru.jobs.timetable import timetable, walk_rounds
from naru.payments.gateway import Gateway
from naru.store import Fenced
from naru.store.queue import open_worker

log = logging.getLogger("naru.jobs")

# Most jobs wait for somebody's answer; one silent address holds at most a fifth (webhooks/deliver.py).
AT_ONCE = 1000
BATCH = 50
# A job whose worker gave no sign for so long is taken over. With the lease of a webhook (12 s) and
# the timetable's round, a dead worker's work goes on well within 30 s.
SILENCE_MEANS_DEATH = timedelta(seconds=8)
POLL = timedelta(seconds=2)
DRAIN_SECONDS = 8.0
RECONNECT_SECONDS = (0.2, 1.0, 2.0, 5.0)


async def work(
    gateway: Gateway,
    dsn: str,
    stop: asyncio.Event,
    *,
    drain_seconds: float = DRAIN_SECONDS,
    poll: timedelta = POLL,
) -> None:
    """Run jobs and walk the timetable until `stop` is set; then finish what runs, within a limit.

    What the limit cuts off is not lost: its rows are found again by the next worker. A database
    that goes away is waited for. New jobs are told by NOTIFY; `poll` is for what nobody told of.
    """
    woken = handlers(gateway)
    rounds = asyncio.create_task(walk_rounds(timetable(gateway), stop))
    failures = 0
    try:
        while not stop.is_set():
            began = asyncio.get_running_loop().time()
            try:
                async with gateway.store.direct():
                    pass  # Jobs have a line of their own; the store's guard looks at the house first.
                await _run(dsn, woken, stop, drain_seconds, poll)
            except Fenced:
                # A restored copy: the guard says so in the log, and again from time to time.
                await _sleep(RECONNECT_SECONDS[-1], stop)
            except Exception as error:
                # The connection broke, or there was none to be had. Anything else would come again
                # and be logged again: a worker that gives up helps nobody.
                if asyncio.get_running_loop().time() - began > RECONNECT_SECONDS[-1]:
                    failures = 0
                wait = RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]
                failures += 1
                log.warning(
                    "no jobs can be claimed (%s); trying again in %.1f s",
                    type(error).__name__,
                    wait,
                )
                await _sleep(wait, stop)
    finally:
        stop.set()
        rounds.cancel()
        await asyncio.gather(rounds, return_exceptions=True)


async def _run(
    dsn: str,
    woken: Mapping[str, Handler],
    stop: asyncio.Event,
    drain_seconds: float,
    poll: timedelta,
) -> None:
    """Run jobs over one connection until it breaks or `stop` is set."""
    jobs, connection = await open_worker(dsn)
    try:
        for name, handler in woken.items():
            jobs.entrypoint(name)(_entrypoint(handler))
        running = asyncio.create_task(
            jobs.qm.run(
                batch_size=BATCH,
                max_concurrent_tasks=AT_ONCE,
                dequeue_timeout=poll,
                heartbeat_timeout=SILENCE_MEANS_DEATH,
                shutdown_on_listener_failure=True,
            )
        )
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
            jobs.shutdown.set()
            if not running.done():
                await asyncio.wait((running,), timeout=drain_seconds)
        finally:
            stopping.cancel()
            if not running.done():
                running.cancel()
                await asyncio.wait((running,), timeout=2.0)
        if running.done() and not running.cancelled():
            running.result()
    finally:
        connection.terminate()


def _entrypoint(handler: Handler) -> Callable[[Job], Awaitable[None]]:
    async def wake(job: Job) -> None:
        await handler((job.payload or b"").decode())

    return wake


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return

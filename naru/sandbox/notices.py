"""The sender of notices: every waiting row of the ledger, until its member says OK.

A notice is sent at once, then again after 1, 2, 4 … minutes, ten times at the most. Everything is
in the ledger, so a restart goes on where it stopped; a notice may arrive twice, never not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial

import aiohttp

from naru.sandbox import signing
from naru.sandbox.company import Company
from naru.sandbox.ledger import Book, LedgerClosed, Row

ANSWER_SECONDS_MAX = 15
ANSWER_BYTES_SHOWN = 200
RETRIES_MAX = 10
FIRST_RETRY_SECONDS = 60
AT_ONCE_MAX = 16
IDLE_SECONDS = 30

_log = logging.getLogger(__name__)


def next_try_at(attempts_made: int, now: int) -> int | None:
    """When to send again after so many attempts; None when it is enough."""
    if attempts_made > RETRIES_MAX:
        return None
    return now + int(FIRST_RETRY_SECONDS * 2 ** (attempts_made - 1))


async def deliver_forever(company: Company) -> None:
    """Send what is due, sleep until something is; runs until it is cancelled."""
    under_way: dict[str, asyncio.Task[None]] = {}
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        try:
            while True:
                company.notices_waiting.clear()
                for notice in company.ledger.read(Book.due_notices, company.now(), AT_ONCE_MAX * 2):
                    notice_id = notice["notice_id"]
                    if notice_id not in under_way and len(under_way) < AT_ONCE_MAX:
                        task = asyncio.create_task(_deliver(company, http, notice))
                        under_way[notice_id] = task
                        task.add_done_callback(partial(_finished, company, under_way, notice_id))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_patience(company, bool(under_way))):
                        await company.notices_waiting.wait()
        finally:
            tasks = list(under_way.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _finished(
    company: Company,
    under_way: dict[str, asyncio.Task[None]],
    notice_id: str,
    task: asyncio.Task[None],
) -> None:
    del under_way[notice_id]
    if not task.cancelled() and task.exception() is not None:
        _log.error("notice %s could not be settled: %r", notice_id, task.exception())
    company.notices_waiting.set()


def _patience(company: Company, busy: bool) -> float:
    """How long to sleep when nobody wakes us. While sending, the end of a sending wakes us."""
    if busy:
        return 1.0
    next_at = company.ledger.read(Book.next_notice_at)
    if next_at is None:
        return IDLE_SECONDS
    return min(max(next_at - company.clock(), 0.1), IDLE_SECONDS)


async def _deliver(company: Company, http: aiohttp.ClientSession, notice: Row) -> None:
    started, at = time.monotonic(), company.now()
    outcome, status, detail = await _send(http, notice, at)
    duration_ms = int((time.monotonic() - started) * 1000)
    attempts = notice["attempts"] + 1
    next_at = None if outcome == "ok" else next_try_at(attempts, company.now())
    state = "delivered" if outcome == "ok" else "given_up" if next_at is None else "waiting"
    with contextlib.suppress(LedgerClosed):
        await company.ledger.write(
            Book.settle_attempt,
            notice["notice_id"],
            *(at, outcome, status, detail, duration_ms, state, next_at),
        )


async def _send(http: aiohttp.ClientSession, notice: Row, now: int) -> tuple[str, int | None, str]:
    body = notice["body"].encode()
    headers = {
        "Content-Type": "application/json",
        "X-Sandbox-Mid": notice["mid"],
        "X-Sandbox-Timestamp": str(now),
        "X-Sandbox-Signature": signing.sign_answer(notice["secret"], now, body),
    }
    try:
        async with http.post(
            notice["url"], data=body, headers=headers, allow_redirects=False
        ) as answer:
            text = (await answer.content.read(ANSWER_BYTES_SHOWN)).decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return "no_answer", None, type(error).__name__
    if answer.status == 200 and text.strip() == "OK":
        return "ok", 200, "OK"
    return "refused", answer.status, "".join(c if c.isprintable() else " " for c in text)

"""Send a webhook: one attempt, everything about it kept, the next one by the ladder.

Whoever calls, however often, and whatever dies in between: a delivery is sent at least once, its
first attempts leave in the order of the payment's changes, and an address that is ill holds up
nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from naru.domain.errors import NaruError, NoAnswer, NotSent
from naru.domain.hands import chance as machine_chance
from naru.domain.hands import utc_now
from naru.domain.merchant import origin_of
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.store import Session, Store
from naru.store.outbox import Attempt, Delivery
from naru.store.queue import DELIVER_WEBHOOK
from naru.webhooks.retry import is_delivered, ladder_of, next_wait
from naru.webhooks.sign import read_secrets, signature_headers
from naru.wire import Answer, Wire

log = logging.getLogger("naru.webhooks")

# Shorter than the 30 s in which a dead worker's work must go on; long attempts renew it.
LEASE = timedelta(seconds=12)
ANSWER_BYTES_KEPT = 1024
# To one address: so many at a time, and so many more that wait in this process for their turn.
AT_ONCE_PER_ADDRESS = 32
HELD_PER_ADDRESS = 200
# An address that failed this often in a row gets a few attempts at a time until it answers again.
FAILURES_MAKE_ILL = 3
AT_ONCE_WHEN_ILL = 2


@dataclass
class _Lane:
    """The traffic to one origin, as this process sees it."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_PER_ADDRESS))
    held: int = 0
    running: int = 0
    failures: int = 0

    @property
    def ill(self) -> bool:
        return self.failures >= FAILURES_MAKE_ILL

    @property
    def full(self) -> bool:
        if self.ill:
            return self.running >= AT_ONCE_WHEN_ILL
        return self.held >= HELD_PER_ADDRESS


class Deliverer:
    """Sends webhooks of one store through one wire."""

    def __init__(
        self,
        store: Store,
        wire: Wire,
        *,
        chance: random.Random | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._wire = wire
        self._chance = chance or machine_chance()
        self._now = now
        self._lanes: defaultdict[str | None, _Lane] = defaultdict(_Lane)

    async def deliver(self, delivery_id: int) -> None:
        """Make one attempt, if it is this delivery's turn; do nothing if it is not."""
        reach("webhook.before_claim")
        async with self._store.direct() as session:
            delivery = await session.outbox.claim(delivery_id, LEASE)
        if delivery is None:
            return
        reach("webhook.after_claim")
        lane = self._lanes[origin_of(delivery.url)]
        if lane.full:
            await self._postpone(delivery, lane)
            return
        lane.held += 1
        try:
            async with self._leased(delivery), lane.free:
                # While we stood in line the address may have turned out to be ill.
                attempt = None if lane.ill and lane.full else await self._attempt(delivery, lane)
        finally:
            lane.held -= 1
        if attempt is None:
            await self._postpone(delivery, lane)
            return
        reach("webhook.after_send")
        if attempt.answer_status is not None and is_delivered(attempt.answer_status):
            # One webhook that failed among others that did not is no illness of the address.
            recovered = lane.ill or delivery.attempts >= FAILURES_MAKE_ILL
            lane.failures = 0
            await self._succeed(delivery, attempt, recovered)
        else:
            # A refusal of this one webhook (4xx) is an answer of a healthy address.
            lane.failures = lane.failures + 1 if _is_ill(attempt.answer_status) else 0
            await self._fail(delivery, attempt)
        reach("webhook.after_book")

    async def _postpone(self, delivery: Delivery, lane: _Lane) -> None:
        """Give the delivery back, so that one address cannot take every place of the worker."""
        # For an ill one long enough that a long line costs little, and short enough for the promise
        # of five minutes after recovery; its first success hastens the line anyway.
        seconds = self._chance.uniform(30, 240) if lane.ill else self._chance.uniform(2, 10)
        async with self._store.direct() as session:
            await session.outbox.release(delivery, timedelta(seconds=seconds))

    async def _attempt(self, delivery: Delivery, lane: _Lane) -> Attempt:
        lane.running += 1
        began_at = self._now()
        time = asyncio.get_running_loop().time
        began = time()
        headers: dict[str, str] = {}
        answer: Answer | None = None
        error: str | None = None
        try:
            headers = request_headers(delivery, began_at)
            answer = await self._wire.request(
                "POST",
                delivery.url,
                body=delivery.body,
                headers=headers,
                timeouts=ladder_of(delivery.mode).timeouts(delivery.attempts + 1),
                max_body=ANSWER_BYTES_KEPT,
            )
        except NotSent as why:
            error = f"not sent: {why}"
        except NoAnswer as why:
            error = f"no answer: {why}"
        except ValueError:
            error = "not sent: the merchant's webhook secret cannot be read"
        finally:
            lane.running -= 1
        return Attempt(
            began_at=began_at,
            duration_ms=int((time() - began) * 1000),
            request_headers=headers,
            answer_status=None if answer is None else answer.status,
            answer_body=None if answer is None else scrub(answer.body),
            error=error,
        )

    async def _succeed(self, delivery: Delivery, attempt: Attempt, recovered: bool) -> None:
        async with self._store.direct() as session:
            following = await session.outbox.delivered(delivery, attempt)
            if delivery.attempts:
                await session.tasks.end_by_itself(
                    [TaskKind.WEBHOOK_PARKED], str(delivery.id), "delivered", self._now()
                )
            if following is not None:
                await session.queue.ask(DELIVER_WEBHOOK, str(following))
            if recovered:
                # The sweep picks these up; each that succeeds hastens more, so a long line starts
                # slowly and does not run the merchant's server over.
                await session.outbox.hasten(delivery)

    async def _fail(self, delivery: Delivery, attempt: Attempt) -> None:
        wait = next_wait(
            ladder_of(delivery.mode), delivery.attempts + 1, attempt.answer_status, self._chance
        )
        now = self._now()
        early = wait is not None and delivery.rung_at is not None and delivery.rung_at > now
        if early and delivery.rung_at is not None:
            wait = delivery.rung_at - now
        async with self._store.begin() as session:
            following = await session.outbox.failed(delivery, attempt, wait, early=early)
            if wait is None:
                await self._lay_before_people(session, delivery, attempt, now)
            if wait is not None:
                await session.queue.ask(DELIVER_WEBHOOK, str(delivery.id), after=wait)
            elif following is not None:
                await session.queue.ask(DELIVER_WEBHOOK, str(following))
        if wait is None:
            log.warning("webhook %s of %s is parked", delivery.webhook_id, delivery.imp_uid)

    async def _lay_before_people(
        self, session: Session, delivery: Delivery, attempt: Attempt, now: datetime
    ) -> None:
        """A parked webhook is a task, unless somebody else has it by now and it is not parked."""
        standing = await session.outbox.get(delivery.id)
        if standing is None or standing.state != "parked":
            return
        came = attempt.error or f"HTTP {attempt.answer_status}"
        # The origin only: an address may hold a secret.
        await session.tasks.open(
            TaskKind.WEBHOOK_PARKED,
            str(delivery.id),
            f"{delivery.status} of {delivery.imp_uid} to {origin_of(delivery.url)}: {came}",
            now,
            imp_uid=delivery.imp_uid,
        )

    @asynccontextmanager
    async def _leased(self, delivery: Delivery) -> AsyncIterator[None]:
        """Renew the lease for as long as the block runs."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE.total_seconds() / 3)
                # A lease that cannot be renewed is only lost: the attempt may then be made twice,
                # which merchants must bear anyway.
                with suppress(NaruError, OSError):
                    async with self._store.direct() as session:
                        if not await session.outbox.renew(delivery, LEASE):
                            return

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()


def _is_ill(status: int | None) -> bool:
    """Silence, a broken server or one that is asked too much: not the refusal of one webhook."""
    return status is None or status >= 500 or status == 429


async def resend(store: Store, delivery_id: int, merchant_id: int | None = None) -> bool:
    """Send it once more, same body and id, to the address used originally.

    False: there is no such delivery (of this merchant, if one is named).
    """
    async with store.begin() as session:
        found = await session.outbox.resend(delivery_id, merchant_id)
        if found:
            await session.queue.ask(DELIVER_WEBHOOK, str(delivery_id))
    return found


def request_headers(delivery: Delivery, now: datetime) -> dict[str, str]:
    """The headers of one attempt. Raises ValueError when a secret of the merchant cannot be read."""
    return {
        "Content-Type": delivery.content_type,
        **signature_headers(
            read_secrets(delivery.secrets), delivery.webhook_id, delivery.body, now
        ),
        "naru-sequence": str(delivery.version),
    }


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
_LONG_NUMBER = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")


def scrub(body: bytes) -> str:
    """What is kept of a merchant's answer: readable text without control characters and long numbers.

    A long number might be somebody's card; an answer is not needed to the last digit.
    """
    text = body[:ANSWER_BYTES_KEPT].decode("utf-8", "replace")
    return _LONG_NUMBER.sub("[number]", _CONTROL.sub("", text))

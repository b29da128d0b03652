"""The rounds that look for rows which no job will wake: jobs may be lost, rows are the truth."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from naru.domain.hands import chance as machine_chance
from naru.jobs.check_promises import check_promises
from naru.jobs.tell import tell_operators
from naru.payments.act_on_order import due_acts, end_open_act
from naru.payments.certify import end_certifications
from naru.payments.check_card import due_checks, give_back_check
from naru.payments.compare_books import compare_due
from naru.payments.expire_virtual_account import due_accounts, expire_virtual_account
from naru.payments.gateway import Gateway
from naru.payments.keep_notice import replay_notices
from naru.payments.quick_pay import ask_again, due_members
from naru.payments.reconcile import due as due_questions
from naru.payments.reconcile import probe
from naru.payments.reconcile_key import due_keys
from naru.payments.reconcile_receipt import due_receipts
from naru.payments.run_errand import due_errands
from naru.payments.run_schedule import due_schedules
from naru.payments.watch import due_watches, watch
from naru.store import Fenced, StoreUnavailable
from naru.store.queue import (
    DELIVER_WEBHOOK,
    RUN_ERRAND,
    RUN_SCHEDULE,
    SETTLE_KEY,
    SETTLE_PAYMENT,
    SETTLE_RECEIPT,
)

log = logging.getLogger("naru.jobs")

# A webhook gets its own job first; the round looks after those that are later than this.
OVERDUE = timedelta(seconds=3)
# A silent address is tried this often, so that a webhook is there within five minutes of its recovery.
PROBE_EVERY = timedelta(minutes=4)
AT_ONCE = 500
JOB_LOG_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Round:
    """Something done again and again, `every` so many seconds."""

    name: str
    every: float
    walk: Callable[[], Awaitable[None]]


def timetable(gateway: Gateway) -> tuple[Round, ...]:
    """The rounds of a worker. Several workers may walk them at once."""

    async def wake_webhooks() -> None:
        async with gateway.store.direct() as session:
            for delivery_id in await session.outbox.due(OVERDUE, AT_ONCE):
                await session.queue.ask(
                    DELIVER_WEBHOOK, str(delivery_id), once=f"deliver {delivery_id}"
                )

    async def probe_silent_addresses() -> None:
        async with gateway.store.direct() as session:
            for delivery_id in await session.outbox.probe(PROBE_EVERY):
                await session.queue.ask(
                    DELIVER_WEBHOOK, str(delivery_id), once=f"deliver {delivery_id}"
                )

    async def put_waits_right() -> None:
        async with gateway.store.begin() as session:
            late = await session.outbox.put_right()
            await session.queue.put_right()
        if late:
            log.warning(
                "the database's clock went back: %d webhooks were to wait for it", len(late)
            )

    async def settle_questions() -> None:
        for imp_uid in await due_questions(gateway):
            async with gateway.store.direct() as session:
                await session.queue.ask(SETTLE_PAYMENT, imp_uid, once=f"settle {imp_uid}")

    async def run_schedules() -> None:
        numbers = await due_schedules(gateway)
        async with gateway.store.direct() as session:
            for number in numbers:
                await session.queue.ask(RUN_SCHEDULE, number, once=f"schedule {number}")

    async def give_back_checks() -> None:
        for imp_uid in await due_checks(gateway):
            await give_back_check(gateway, imp_uid)

    async def probe_silent_pgs() -> None:
        await probe(gateway)

    async def settle_keys() -> None:
        for number in await due_keys(gateway):
            async with gateway.store.direct() as session:
                await session.queue.ask(SETTLE_KEY, number, once=f"key {number}")

    async def settle_receipts() -> None:
        for number in await due_receipts(gateway):
            async with gateway.store.direct() as session:
                await session.queue.ask(SETTLE_RECEIPT, number, once=f"receipt {number}")

    async def run_errands() -> None:
        for number in await due_errands(gateway):
            async with gateway.store.direct() as session:
                await session.queue.ask(RUN_ERRAND, number, once=f"errand {number}")

    async def ask_about_members() -> None:
        for number in await due_members(gateway):
            await ask_again(gateway, number)

    async def end_open_acts() -> None:
        for number in await due_acts(gateway):
            await end_open_act(gateway, number)

    async def watch_undone() -> None:
        for imp_uid in await due_watches(gateway):
            await watch(gateway, imp_uid)

    async def tell() -> None:
        await tell_operators(gateway)

    async def expire_accounts() -> None:
        for merchant_id, imp_uid in await due_accounts(gateway):
            await expire_virtual_account(gateway, merchant_id, imp_uid)

    async def replay() -> None:
        await replay_notices(gateway)

    async def compare_with_pgs() -> None:
        await compare_due(gateway)

    async def audit_what_changed() -> None:
        await check_promises(gateway)

    async def end_old_certifications() -> None:
        await end_certifications(gateway)

    async def forget_dead_tickets() -> None:
        async with gateway.store.direct() as session:
            await session.intents.forget_tickets(gateway.now())

    async def forget_ended_jobs() -> None:
        async with gateway.store.direct() as session:
            await session.queue.forget(JOB_LOG_KEPT)

    async def forget_keys() -> None:
        now = gateway.now()
        async with gateway.store.direct() as session:
            while await session.idempotency.forget(now, AT_ONCE) == AT_ONCE:
                pass
            while await session.limits.forget(now, AT_ONCE) == AT_ONCE:
                pass

    async def anchor_audit_log() -> None:
        async with gateway.store.begin() as session:
            anchored = await session.audit_log.anchor()
        if anchored:
            async with gateway.store.direct() as session:
                # The log of this process is another place than the database: who writes the audit
                # log anew, with all its hashes, cannot take this line back.
                log.warning("audit log anchor %s", await session.audit_log.anchored())

    return (
        Round("webhooks whose time has come", 2.0, wake_webhooks),
        Round("payments whose outcome is not known", 5.0, settle_questions),
        Round("cash receipts whose end is not known", 5.0, settle_receipts),
        Round("errands that no PG has heard of", 5.0, run_errands),
        Round("billing keys whose end is not known", 5.0, settle_keys),
        Round("questions about members", 30.0, ask_about_members),
        Round("acts about goods that were left open", 30.0, end_open_acts),
        # Every due schedule begins within a minute of its time (L5).
        Round("schedules whose time has come", 3.0, run_schedules),
        Round("cards that were charged to check them", 30.0, give_back_checks),
        Round("tasks that nobody was told of", 5.0, tell),
        Round("waits that the database's clock made too long", 20.0, put_waits_right),
        Round("PGs that do not answer", 20.0, probe_silent_pgs),
        Round("approvals that were undone", 30.0, watch_undone),
        Round("buyers' proofs that are dead", 60.0, forget_dead_tickets),
        Round("addresses that do not answer", 60.0, probe_silent_addresses),
        Round("notices that could not be booked", 60.0, replay),
        Round("certifications that did not end", 30.0, end_old_certifications),
        Round("virtual accounts past their due date", 300.0, expire_accounts),
        Round("the PGs' own books", 1800.0, compare_with_pgs),
        Round("the audit of what changed", 600.0, audit_what_changed),
        Round("the anchor of the audit log", 900.0, anchor_audit_log),
        Round("Idempotency-Keys and limits whose time is over", 600.0, forget_keys),
        Round("the log of ended jobs", 3600.0, forget_ended_jobs),
    )


async def walk_rounds(
    rounds: Sequence[Round], stop: asyncio.Event, chance: random.Random | None = None
) -> None:
    """Walk every round in its rhythm until `stop`. A round that fails is walked again in time."""
    chance = chance or machine_chance()
    await asyncio.gather(*(_walk(each, stop, chance) for each in rounds))


async def _walk(each: Round, stop: asyncio.Event, chance: random.Random) -> None:
    while not stop.is_set():
        try:
            await each.walk()
        except Fenced:
            pass  # Nothing is done on a restored copy; the store's guard says so in the log.
        except StoreUnavailable as error:
            log.warning("the round %r was not walked: %s", each.name, error)
        except Exception:
            # A mistake of ours, perhaps in one row. The next round finds the same rows.
            log.exception("the round %r failed", each.name)
        # Not all workers at the same instant.
        wait = each.every * chance.uniform(0.8, 1.2)
        try:
            await asyncio.wait_for(stop.wait(), wait)
        except TimeoutError:
            continue

"""The worker's own audit, for naru/jobs/check_promises.py."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from naru.domain.task import TaskKind
from naru.jobs.check_promises import RECENT, check_promises
from naru.payments.gateway import Gateway
from naru.store import StoreUnavailable
from naru.store.audit import audit_recent
from tests.store.fill import fill
from tests.support.house import make_merchant


async def told(gateway: Gateway) -> list[tuple[str, str]]:
    """Subject and sentence of every open task of the audit's."""
    async with gateway.store.direct() as session:
        tasks = await session.tasks.list_open()
    return [(t.subject, t.sentence) for t in tasks if t.kind == TaskKind.PROMISE_BROKEN]


async def test_what_is_broken_lately_is_told_once_and_what_is_late_is_not(
    gateway: Gateway, database_url: str
) -> None:
    await make_merchant(gateway.store)
    connection = await asyncpg.connect(database_url)
    try:
        await fill(connection, 20)
        assert await check_promises(gateway) == 0, "the control: all is well"
        assert await told(gateway) == []

        await connection.execute(
            "SET session_replication_role = replica;"
            "DELETE FROM payment_events WHERE imp_uid = 'imp_000000000001' AND version = 2;"
            # Long before: the nightly audit's to find.
            "UPDATE payments SET version = 9 WHERE imp_uid = 'imp_000000000002';"
            "UPDATE payment_events SET at = at - interval '1 day' WHERE imp_uid = 'imp_000000000002';"
            "UPDATE entries SET at = at - interval '1 day' WHERE imp_uid = 'imp_000000000002';"
            "UPDATE webhook_deliveries SET state = 'waiting', ended_at = NULL,"
            " next_at = now() - interval '1 hour' WHERE imp_uid = 'imp_000000000003';"
            "RESET session_replication_role"
        )
        for _ in range(2):
            assert await check_promises(gateway) == 2
        found = dict(await told(gateway))
        assert found["events_numbered"] == "P4 events_numbered: 1 broken: imp_000000000001."
        # The event that is missing is a step that is not there, too.
        assert set(found) == {"events_numbered", "steps_legal"}
        report = await audit_recent(gateway.store, RECENT, gateway.now())
        late = {check.name for check in report.checks if check.broken} - set(found)
        assert late == {"webhooks_leave"}, "seen, and nobody is woken for it"
    finally:
        await connection.close()


async def test_an_audit_that_is_cut_off_is_told_as_every_round_tells_it(
    gateway: Gateway, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE payments")
        auditing = asyncio.create_task(
            audit_recent(gateway.store, timedelta(minutes=1), gateway.now())
        )
        while not await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.05)
        with pytest.raises(StoreUnavailable, match="cut off"):
            await auditing
    await connection.close()
    # The dead line was thrown away.
    assert (await audit_recent(gateway.store, timedelta(minutes=1), gateway.now())).broken == 0

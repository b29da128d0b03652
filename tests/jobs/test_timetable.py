"""The rounds, for naru/jobs/timetable.py."""

from __future__ import annotations

import asyncio

import asyncpg

from naru.jobs.timetable import Round, timetable, walk_rounds
from naru.payments.gateway import Gateway
from tests.support.house import make_merchant, make_payment


async def walk(gateway: Gateway, name: str) -> None:
    [found] = [each for each in timetable(gateway) if name in each.name]
    await found.walk()


async def test_a_question_that_stayed_open_is_asked_about_once(
    gateway: Gateway, database_url: str
) -> None:
    """We died between the two commits of an approval: only the journal knows."""
    merchant = await make_merchant(gateway.store)
    payment = await make_payment(gateway.store, merchant)
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO intents (imp_uid, kind, number, amount, opened_at, next_try_at)"
        " VALUES ($1, 'approve', 'n1', 1004, now() - interval '1 min', now() - interval '1 s')",
        payment.imp_uid,
    )
    for _ in range(2):
        await walk(gateway, "outcome is not known")
    rows = await connection.fetch(
        "SELECT entrypoint, convert_from(payload, 'UTF8') AS id FROM jobs"
    )
    await connection.close()
    assert [(row["entrypoint"], row["id"]) for row in rows] == [("settle_payment", payment.imp_uid)]


async def test_the_log_of_ended_jobs_is_forgotten_after_a_day(
    gateway: Gateway, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO jobs_log (created, job_id, status, priority, entrypoint, aggregated) VALUES"
        " (now() - interval '2 days', 1, 'successful', 0, 'x', true),"
        " (now() - interval '2 days', 2, 'successful', 0, 'x', false),"
        " (now(), 3, 'successful', 0, 'x', true)"
    )
    await walk(gateway, "log of ended jobs")
    rows = await connection.fetch("SELECT job_id FROM jobs_log ORDER BY job_id")
    await connection.close()
    assert [row["job_id"] for row in rows] == [2, 3]


async def test_a_round_that_fails_is_walked_again_and_disturbs_no_other() -> None:
    walked: list[str] = []
    stop = asyncio.Event()

    async def fail() -> None:
        walked.append("fail")
        raise OSError("no database")

    async def count() -> None:
        walked.append("count")
        if walked.count("count") >= 3 and walked.count("fail") >= 2:
            stop.set()

    async with asyncio.timeout(10):
        await walk_rounds((Round("a", 0.01, fail), Round("b", 0.01, count)), stop)
    assert walked.count("fail") >= 2

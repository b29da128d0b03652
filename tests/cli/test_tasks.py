"""`naru tasks`, `naru payment` and the doctor's line about people."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
import pytest

from naru.domain.task import SAID, TaskKind
from naru.store import Store
from tests.cli.test_webhooks import IMP_UID, delivery

__all__ = ["delivery"]

Say = Callable[..., tuple[int, str, str]]


async def _open_task(url: str) -> None:
    store = await Store.open(url, 1)
    async with store.begin() as tx:
        await tx.tasks.open(
            TaskKind.APPROVED_LATE, IMP_UID, "1,004 KRW", datetime.now(UTC), imp_uid=IMP_UID
        )
    await store.close()


@pytest.fixture
def task(delivery: int, cli_database: str) -> None:
    """A task about a payment that exists."""
    asyncio.run(_open_task(cli_database))


@pytest.mark.usefixtures("task")
def test_a_task_is_listed_told_and_closed_with_a_name_and_a_note(say: Say) -> None:
    status, said, _ = say("tasks", "list")
    assert status == 0
    [line] = said.splitlines()
    number = line.split()[0]
    assert "approved_late" in line
    assert IMP_UID in line

    status, said, _ = say("tasks", "show", number)
    assert status == 0
    assert SAID[TaskKind.APPROVED_LATE].advice in said
    assert SAID[TaskKind.APPROVED_LATE].advice_ko in said

    assert say("tasks", "close", number, "--by", "kim", "--note", " ")[0] == 1
    assert say("tasks", "close", number, "--by", "kim", "--note", "cancelled it")[0] == 0
    assert say("tasks", "list")[1] == ""
    assert "closed by kim" in say("tasks", "list", "--all")[1]
    status, _, complaint = say("tasks", "close", number, "--by", "kim", "--note", "again")
    assert (status, complaint.count("\n")) == (1, 1)


@pytest.mark.usefixtures("cli_database")
@pytest.mark.parametrize("number", ["999999", "0", "-5", "9" * 40])
def test_a_task_that_does_not_exist_is_one_sentence(say: Say, number: str) -> None:
    status, _, complaint = say("tasks", "show", "--", number)
    assert (status, complaint.count("\n")) == (1, 1)


@pytest.mark.usefixtures("task")
def test_a_payment_tells_its_whole_history(say: Say) -> None:
    status, said, _ = say("payment", IMP_UID)
    assert status == 0
    for words in ("event 1: opened", "paid announced", "HTTP 503", "parked", "approved_late"):
        assert words in said, words
    for name in ("imp_000000000000", "\ud800", "x" * 200):
        assert say("payment", name)[0] == 1


@pytest.mark.usefixtures("task")
def test_the_doctor_says_what_waits_for_people(say: Say, cli_database: str) -> None:
    async def doubt() -> None:
        connection = await asyncpg.connect(cli_database)
        async with connection.transaction():
            await connection.execute(
                "UPDATE payments SET step = 'approving', event = 'authenticated', version = 2"
            )
            await connection.execute(
                "INSERT INTO intents (imp_uid, kind, number, amount, opened_at, next_try_at)"
                " VALUES ($1, 'approve', 'n1', 1004, '2026-01-02T03:04:05Z', now())",
                IMP_UID,
            )
            await connection.execute("UPDATE intents SET state = 'unknown'")
        await connection.close()

    asyncio.run(doubt())
    said = say("doctor")[1]
    assert "1 tasks; unknown outcomes: since 2026-01-02 03:04:05Z" in said
    assert "naru tasks list" in said

"""`naru tasks`, `naru payment` and the doctor's line about people."""

import asyncio
import re
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
    assert said.splitlines()[0] == f"task {number}: {SAID[TaskKind.APPROVED_LATE].happened}"
    assert SAID[TaskKind.APPROVED_LATE].advice in said
    assert SAID[TaskKind.APPROVED_LATE].advice_ko in said

    assert say("tasks", "close", number, "--by", "kim", "--note", " ")[0] == 1
    assert say("tasks", "close", number, "--by", "kim", "--note", "cancelled it")[0] == 0
    assert say("tasks", "list")[1] == ""
    assert "closed by kim" in say("tasks", "list", "--all")[1]
    status, _, complaint = say("tasks", "close", number, "--by", "kim", "--note", "again")
    assert (status, complaint.count("\n")) == (1, 1)


async def _deposit(url: str) -> None:
    """A deposit for an order that is not ours, and the task about it."""
    connection = await asyncpg.connect(url)
    channel = await connection.fetchval("SELECT id FROM channels")
    await connection.execute(
        "INSERT INTO deposits VALUES ($1, 'k9', 'o', NULL, 't', 700, 'KRW', now(), now(), 'unknown_order')",
        channel,
    )
    await connection.close()
    store = await Store.open(url, 1)
    async with store.begin() as tx:
        kind = TaskKind.DEPOSIT_UNKNOWN_ORDER
        await tx.tasks.open(kind, f"{channel}/k9", "700원", datetime.now(UTC))
    await store.close()


@pytest.mark.usefixtures("task")
def test_a_deposit_that_was_given_back_leaves_the_books(say: Say, cli_database: str) -> None:
    asyncio.run(_deposit(cli_database))
    other, mine = (line.split()[0] for line in say("tasks")[1].splitlines())
    close = ("--by", "kim", "--note", "row 7", "--returned")
    status, said, complaint = say("tasks", "close", other, *close)
    assert (status, said, "about no deposit" in complaint) == (1, "", True)
    status, said, complaint = say("tasks", "close", mine, *close)
    assert (status, "700원 are out of the books' suspense" in said) == (0, True), complaint
    assert "returned: row 7" in say("tasks", "show", mine)[1]
    assert "naru tasks close: insert returned_deposits k9" in say("log")[1]
    status, _, complaint = say("tasks", "close", mine, *close)
    assert (status, "returned before" in complaint) == (1, True)


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
def test_a_payment_that_a_server_asked_for_opened_no_window(say: Say, cli_database: str) -> None:
    assert "opened 결제창 열림" in say("payment", IMP_UID)[1]

    async def by_api() -> None:
        connection = await asyncpg.connect(cli_database)
        # Who asked can never change; the table's own guard is put away for this test alone.
        await connection.execute(
            "SET session_replication_role = replica; UPDATE payments SET surface = 'api'"
        )
        await connection.close()

    asyncio.run(by_api())
    said = say("payment", IMP_UID)[1]
    assert "opened API 결제 요청" in said
    assert "결제창" not in said


@pytest.mark.usefixtures("task")
def test_a_payment_that_was_declined_says_why(say: Say, cli_database: str) -> None:
    async def decline() -> None:
        connection = await asyncpg.connect(cli_database)
        async with connection.transaction():
            for change in (
                "step = 'approving', event = 'authenticated', version = 2",
                "step = 'failed', event = 'declined', version = 3, failed_at = now(),"
                " fail_code = 'F112', fail_reason = E'잔액부족 \x1b[2J'",
            ):
                await connection.execute(f"UPDATE payments SET {change}")
        await connection.close()

    asyncio.run(decline())
    said = say("payment", IMP_UID)[1]
    assert "event 3: declined 거절: F112 잔액부족 �[2J\n" in said
    assert "F112" not in next(line for line in said.splitlines() if "event 2" in line)


async def _doubt(url: str) -> None:
    """The approval was asked for in 2026, the call itself had no answer, and one try had none."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(
            "UPDATE payments SET step = 'approving', event = 'authenticated', version = 2"
        )
        await connection.execute(
            "INSERT INTO intents (imp_uid, kind, number, amount, opened_at, next_try_at)"
            " VALUES ($1, 'approve', 'n1', 1004, '2026-01-02T03:04:05Z', now() + interval '1 hour')",
            IMP_UID,
        )
        await connection.execute(
            "UPDATE intents SET state = 'unknown', tries = 1, outcome = E'no answer \x1b[2J';"
            "INSERT INTO intent_tries (intent_id, number, at, what, sentence, next_try_at)"
            " SELECT id, 0, '2026-01-02T03:04:35Z', 'answered', 'unknown: no answer', now() FROM intents;"
            "INSERT INTO intent_tries (intent_id, number, at, what, sentence)"
            " SELECT id, 1, '2026-01-02T03:05:00Z', 'asked', 'inquiry' FROM intents"
        )
    await connection.close()


@pytest.mark.usefixtures("task")
def test_a_doubt_tells_the_call_that_was_lost_and_when_it_is_tried_next(
    say: Say, cli_database: str
) -> None:
    assert say("doubts") == (0, "", "Nothing is in doubt.\n")
    asyncio.run(_doubt(cli_database))
    status, said, complaint = say("doubts")
    heading, line = said.splitlines()
    assert (status, complaint) == (0, "")
    assert heading.split()[:5] == ["imp_uid", "order", "주문번호", "question", "요청"]
    for words in (
        f"{IMP_UID}  order-1         approve ",
        "1,004원",
        "2026-01-02 12:04:05+09:00",
        "no answer �[2J; naru tasks show",
    ):
        assert words in line, words

    said = say("payment", IMP_UID)[1]
    lines = said.splitlines()
    assert "step 상태" in said
    assert "approving 승인 확인 중" in said
    asked, lost, tried = (line for line in lines if line.startswith("2026-01-02"))
    assert asked == "2026-01-02 12:04:05.000+09:00  approve n1: asked the PG for 1,004원 승인 요청"
    assert lost.endswith("approve n1: the call itself answered unknown: no answer")
    assert tried.endswith("approve n1: try 1 asked inquiry")
    assert lines[-1].endswith("approve n1: unknown 결과 확인 중, the next try is due")
    assert said.count("next try") == 1


@pytest.mark.usefixtures("cli_database")
@pytest.mark.parametrize("command", ["tasks", "keys", "log", "books", "merchant", "webhooks"])
def test_a_command_without_its_verb_does_what_is_harmless(say: Say, command: str) -> None:
    verb = "show" if command == "log" else "list"
    assert say(command) == say(command, verb)
    assert say(command)[0] == 0
    if command in ("tasks", "log", "books", "webhooks"):
        assert say(command, "--most", "1") == say(command, verb, "--most", "1")


@pytest.mark.usefixtures("cli_database")
def test_where_nothing_is_harmless_without_a_name_it_says_how(say: Say) -> None:
    status, said, complaint = say("channel")
    assert (status, said) == (2, "")
    assert complaint.startswith("usage: naru channel")
    assert "for example" in complaint


@pytest.mark.usefixtures("task")
def test_the_doctor_says_what_waits_for_people(say: Say, cli_database: str) -> None:
    asyncio.run(_doubt(cli_database))
    said = say("doctor")[1]
    assert re.search(r"1 task; 1 unknown outcome, the oldest for \d+d \(`naru doubts`\)", said)
    assert "`naru tasks` says what to do" in said

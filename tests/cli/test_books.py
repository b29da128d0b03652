"""`naru books` compares what a PG has booked with what we have, and says so by its exit status."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import aiohttp
import asyncpg

Say = Callable[..., tuple[int, str, str]]
SECRET = "s" * 40
ADD = ("channel", "add", "imp12345678", "kcp", "--mid", "T0000", "--connector", "sandbox")


async def _join(pg: str) -> None:
    member = {"secret": SECRET, "name": "My shop", "profile": "kcp"}
    async with aiohttp.ClientSession() as http:
        answer = await http.put(f"{pg}/v1/members/T0000", json=member)
        assert answer.status == 200


async def _paid_an_hour_ago(url: str) -> None:
    """A payment that the PG has never heard of, written past all rules."""
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        """
        INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox,
                              surface, pay_method, step, version, event, amount, currency,
                              pg_order_no, pg_tid, started_at, paid_at)
        SELECT 'imp_123456789012', merchant_id, 'order-1', id, pg_code, mid, true, 'pc', 'card',
               'paid', 3, 'approved', 1004, 'KRW', 'n1', 'tid-1', now(), now() - interval '1 hour'
          FROM channels
        """
    )
    await connection.close()


def test_books_that_agree_exit_0_and_books_that_differ_exit_1(
    say: Say, cli_database: str, sandbox_pg: str, tmp_path: Path
) -> None:
    settings = tmp_path / "pg.json"
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    asyncio.run(_join(sandbox_pg))
    settings.write_text(json.dumps({"url": sandbox_pg, "secret": SECRET}))
    assert say(*ADD, "--settings-from", str(settings))[0] == 0
    for words in (("books",), ("books", "list")):
        assert say(*words) == (0, "", "No difference was found so far.\n")

    status, said, _ = say("books", "compare")
    assert status == 0, said
    assert said.startswith("0 movements, 0 differences, 0 under way in 1 book since ")
    assert said.endswith("; the last 10 minutes are not compared yet\n")
    assert said.count("\n") == 1, "nothing about a book in which nothing moved"

    asyncio.run(_paid_an_hour_ago(cli_database))
    for _ in range(2):
        status, said, _ = say("books", "compare", "--days", "1")
        assert status == 1
        assert "charge_missing tid-1" in said
        assert "we have 1,004원, the PG has nothing" in said
    status, said, _ = say("books", "list")
    assert (status, said.count("charge_missing")) == (0, 1)
    status, said, _ = say("payment", "imp_123456789012")
    assert (status, said.count("books 장부 대조: told: charge_missing tid-1")) == (0, 1)


def test_a_book_that_cannot_be_read_exits_1(say: Say) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    say(*ADD)
    status, said, _ = say("books", "compare")
    assert status == 1
    assert "not finished" in said


def test_what_is_no_channel_and_no_number_of_days_is_refused(say: Say) -> None:
    status, _, complaint = say("books", "compare", "--channel", "nobody")
    assert (status, "no such channel" in complaint) == (1, True)
    status, _, complaint = say("books", "compare", "--days", "0")
    assert (status, "--days" in complaint) == (1, True)

"""`naru log` against a real database."""

import asyncio
import re
from collections.abc import Callable

import asyncpg
import pytest

Say = Callable[..., tuple[int, str, str]]


def tamper(url: str, statement: str) -> None:
    """As a superuser with every trigger off."""

    async def write() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(statement)
        await connection.close()

    asyncio.run(write())


@pytest.mark.promise("P20")
def test_it_tells_who_changed_what_and_finds_a_row_that_was_touched(
    say: Say, cli_database: str
) -> None:
    _, made, _ = say("merchant", "add", "당근상점", "--user-code", "imp_carrot")
    secret = re.search(r"imp_secret +(\S+)", made)
    assert secret is not None
    assert say("merchant", "set", "imp_carrot", "webhook_url", "https://shop.example/h")[0] == 0

    status, said, _ = say("log", "show", "imp_carrot")
    assert status == 0
    first = said.splitlines()[0]
    assert re.search(r"operator \S+@\S+ .*naru merchant set: update merchants 1$", first), first
    assert 'webhook_url: - → "https://shop.example/h"' in said
    assert "naru merchant add: insert api_keys" in said
    assert secret[1] not in said

    status, said, _ = say("log", "verify")
    assert status == 0
    assert re.fullmatch(r"\d+ rows in 2 chains: whole\n", said), said
    tamper(cli_database, "UPDATE audit_log SET who = 'nobody' WHERE chain = 1 AND place = 3")
    status, said, _ = say("log", "verify")
    assert status == 1
    assert "merchant 1, row 3: its hash does not follow from it and the row before" in said
    assert "broken" in said


@pytest.mark.promise("P20")
def test_whoever_makes_and_removes_a_data_key_is_named(say: Say, cli_database: str) -> None:
    say("merchant", "add", "당근상점", "--user-code", "imp_carrot")
    assert say("keys", "rotate")[0] == 0
    assert say("keys", "reseal")[0] == 0
    # A key is removed two minutes after it was replaced: long enough for every process to know.
    tamper(cli_database, "UPDATE data_keys SET made_at = made_at - interval '1 hour'")
    status, _, why = say("keys", "retire", "1")
    assert status == 0, why
    _, said, _ = say("log", "show")
    for verb, change in (("rotate", "insert data_keys 2"), ("retire", "delete data_keys 1")):
        [line] = [each for each in said.splitlines() if change in each]
        assert f"naru keys {verb}" in line
        assert "operator " in line


def test_an_anchor_that_is_none_is_refused(say: Say) -> None:
    assert say("log", "verify", "--anchor", "12") == (
        1, "", "naru: An anchor is a number, a colon and 64 hex digits.\n",
    )  # fmt: skip


def test_an_anchor_of_another_house_is_not_found(say: Say) -> None:
    status, said, _ = say("log", "verify", "--anchor", "3:" + "0" * 64)
    assert status == 1
    assert "it is not what the printed anchor says" in said

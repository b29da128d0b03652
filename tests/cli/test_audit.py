"""`naru audit` says that all is well, or what is broken, on one screen."""

import asyncio
import json
from collections.abc import Callable

import asyncpg
import pytest

from naru.store import Store
from naru.store.audit import CHECKS
from tests.store.fill import fill
from tests.support.gateway import ROOT_KEY
from tests.support.house import make_merchant

Say = Callable[..., tuple[int, str, str]]


async def _fill(url: str) -> None:
    store = await Store.open(url, 1, root_key=ROOT_KEY)
    await make_merchant(store)
    await store.close()
    connection = await asyncpg.connect(url)
    await fill(connection, 20)
    await connection.close()


async def _break(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("DELETE FROM payment_events WHERE version = 2")
    await connection.close()


def test_all_is_well_and_then_it_is_not(cli_database: str, say: Say) -> None:
    asyncio.run(_fill(cli_database))
    status, told, complaint = say("audit")
    assert (status, complaint) == (0, "")
    lines = told.splitlines()
    assert len(lines) == len(CHECKS) + 1 < 35
    assert all(line.startswith("✓ ") for line in lines[:-1])
    assert lines[-1].startswith("20 payments in ")
    assert lines[-1].endswith("nothing is broken")

    asyncio.run(_break(cli_database))
    for words in (("audit",), ("audit", "--recent", "15m")):
        status, told, _ = say(*words)
        assert status == 1
        assert "✗ P4  events_numbered" in told
        assert "imp_000000000001: version 3, events 1 to 3, 2 of them" in told
        assert " and 13 more" in told
        assert "✓ P1  books_balance" in told
    status, told, _ = say("audit", "--json")
    answer = json.loads(told)
    assert status == 1
    assert answer["broken"] == sum(check["broken"] for check in answer["checks"]) > 0
    [numbered] = [check for check in answer["checks"] if check["name"] == "events_numbered"]
    assert (numbered["promise"], numbered["broken"], len(numbered["examples"])) == ("P4", 18, 5)


@pytest.mark.parametrize(
    "time", ["", "15", "m", "-1m", "0m", "15 m", "１5m", "1w", "9999999d", "1e3s"]
)
def test_a_time_that_is_none_is_refused(
    time: str, cli_database: str, capsys: pytest.CaptureFixture[str], say: Say
) -> None:
    with pytest.raises(SystemExit) as end:
        say("audit", f"--recent={time}")
    assert end.value.code == 2
    assert "is no time such as" in capsys.readouterr().err


def test_a_database_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, cli_database: str, say: Say
) -> None:
    monkeypatch.setenv("NARU_DATABASE_URL", cli_database.replace("naru_test", "naru_lost"))
    status, told, complaint = say("audit")
    assert (status, told) == (1, "")
    assert "does not exist" in complaint

"""`naru fence` and `naru unfence`, and what everybody says meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

Say = Callable[..., tuple[int, str, str]]
SECONDS_MAX = 40.0


def test_a_fence_is_put_up_once_and_taken_away_with_a_name_and_a_note(say: Say) -> None:
    assert say("unfence") == (0, "the house is not fenced\n", "")
    for because in ("", " ", "\x00", "x" * 301):
        assert say("fence", "--because", because)[0] == 1
    assert say("fence", "--because", "restored")[0] == 0
    status, said, _ = say("fence", "--because", "once more")
    assert (status, "already" in said, "restored" in said) == (0, True, True)
    status, said, _ = say("unfence")
    assert (status, "The fence stays" in said) == (0, True)
    for given in (("--by", "kim"), ("--note", "seen"), ("--by", " ", "--note", "seen")):
        status, _, complaint = say("unfence", *given)
        assert (status, "--by NAME --note TEXT" in complaint) == (1, True)
    status, said, _ = say("unfence", "--by", "kim", "--note", "seen")
    assert (status, "taken away" in said) == (0, True)
    assert say("unfence", "--by", "kim", "--note", "seen") == (0, "the house is not fenced\n", "")
    log = say("log")[1]
    assert log.count("naru fence") == 2  # entered, and fenced
    assert log.count("naru unfence") == 1


def test_what_would_move_money_is_refused_and_the_doctor_says_why(say: Say) -> None:
    assert say("fence", "--because", "restored")[0] == 0
    status, _, complaint = say("books", "compare")
    assert (status, complaint.count("the house is fenced")) == (1, 1)
    assert (complaint.count("naru unfence"), complaint.count("\n")) == (1, 1)
    examined = say("doctor")[1]
    assert "✗ house" in examined
    assert re.search("✓ workers 작업자 +none asks for work: the house is fenced", examined)
    # Korean time with its offset, as everywhere a person reads.
    assert re.search(r"fenced since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+09:00: restored", examined)
    logged = say("log")[1]
    assert re.search(r"fenced_at: - → \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+09:00\n", logged)
    assert say("unfence", "--by", "kim", "--note", "seen")[0] == 0
    assert "✓ house" in say("doctor")[1]


@pytest.mark.fault("L5_NP")
def test_a_pg_that_does_not_answer_keeps_the_fence_up_unless_told(say: Say) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    say("channel", "add", "imp12345678", "kcp", "--mid", "T0000", "--connector", "sandbox")
    say("fence", "--because", "restored")
    status, said, _ = say("unfence")
    assert (status, "+09:00: restored" in said.splitlines()[0]) == (1, True)
    # One line for the one channel, and the sum.
    assert [line for line in said.splitlines() if "not finished" in line] == said.splitlines()[2:3]
    assert "1 of 1 contract did not answer to the end" in said.splitlines()[3]
    status, _, complaint = say("unfence", "--by", "kim", "--note", "seen")
    assert (status, "--anyway" in complaint) == (1, True)
    assert say("unfence", "--by", "kim", "--note", "seen", "--anyway")[0] == 0


@pytest.mark.fault("L5_WD", "L5_SL")
def test_a_gateway_and_a_worker_on_a_fenced_house_say_so_and_wait(
    say: Say, cli_database: str, tmp_path: Path
) -> None:
    assert say("fence", "--because", "restored")[0] == 0
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = os.environ | {
        "NARU_PORT": str(port),
        "NARU_ACCEPT_RISKS": "durability,weak-secret",
    }
    log = tmp_path / "worker.log"
    with log.open("w") as heard:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "naru.cli.main", command],
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=heard if command == "worker" else subprocess.DEVNULL,
            )
            for command in ("serve", "worker")
        ]
    try:
        _until(lambda: _health(port) == (503, "fenced"))
        _until(lambda: "the house is fenced: restored" in log.read_text())
        assert asyncio.run(_jobs_claimed(cli_database)) == 0
        assert say("unfence", "--by", "kim", "--note", "seen")[0] == 0
        _until(lambda: _health(port) == (200, "ok"))
        _until(lambda: "it acts" in log.read_text())
        _until(lambda: asyncio.run(_jobs_claimed(cli_database)) > 0)
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        ends = [process.wait(30) for process in processes]
    assert ends == [0, 0]


def _until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not look():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def _health(port: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status, json.load(answer)["status"]
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)["status"]
    except OSError:
        return 0, ""


async def _jobs_claimed(url: str) -> int:
    """How many connections wait for jobs."""
    connection = await asyncpg.connect(url)
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'naru worker'"
    )
    await connection.close()
    return found

"""The command line as a person meets it."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from naru.cli.main import COMMANDS, EPILOG
from naru.config import Settings


def naru(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with these settings only."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("NARU_")}
    return subprocess.run(
        [sys.executable, "-m", "naru.cli.main", *words],
        env=plain | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_names_every_command_and_every_setting() -> None:
    done = naru("--help")

    assert done.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^ +{command}(?: |$)", done.stdout, re.MULTILINE), command
    for field in Settings.__dataclass_fields__:
        assert f"NARU_{field.upper()}" in EPILOG


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    done = naru(command, "--help")

    assert done.returncode == 0
    assert f"usage: naru {command}" in done.stdout
    # More than the usage line: what it does, its options, and when to use it.
    assert done.stdout.count("\n\n") >= 3


def test_help_does_not_wait_for_the_gateway_to_be_imported() -> None:
    script = (
        "import sys, naru.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncpg', 'starlette', 'aiohttp', 'pgqueuer', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
def test_without_a_database_there_is_one_sentence(command: str, tmp_path: Path) -> None:
    done = naru(command, NARU_HOME=str(tmp_path), NARU_SECRET="s" * 32, NARU_PORT="18899")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("naru: There is no database: set NARU_DATABASE_URL")
    assert done.stderr.count("\n") == 1


def test_a_setting_that_makes_no_sense_is_one_sentence() -> None:
    done = naru("migrate", NARU_PORT="eighty")

    assert done.returncode == 1
    assert done.stderr == "naru: NARU_PORT must be a port from 1 to 65535, not 'eighty'.\n"


def test_a_misspelt_setting_is_pointed_out(tmp_path: Path) -> None:
    done = naru("migrate", NARU_HOME=str(tmp_path), NARU_DATABASE_ULR="x")

    assert "NARU_DATABASE_ULR is not a setting; did you mean NARU_DATABASE_URL?" in done.stderr


def test_a_wrong_word_is_exit_status_2() -> None:
    assert naru("pay").returncode == 2
    assert naru().returncode == 2
    assert naru("merchant", "dance").returncode == 2


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/naru", "Nothing answers at the database's address"),
        ("postgresql://u:hunter2@no-such-host.invalid/naru", "is unknown"),
        ("postgresql://u:hunter2@127.0.0.1:port/naru", "The database cannot be used"),
    ],
)
def test_a_database_that_does_not_answer_is_one_sentence_without_its_password(
    url: str, sentence: str
) -> None:
    began = time.monotonic()
    done = naru("migrate", NARU_DATABASE_URL=url)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr
    assert time.monotonic() - began < 20


def test_serve_refuses_a_database_that_was_not_migrated(empty_database_url: str) -> None:
    done = naru(
        "serve", NARU_DATABASE_URL=empty_database_url, NARU_SECRET="s" * 32, NARU_PORT="18897"
    )

    assert done.returncode == 1
    assert "0001_first.sql" in done.stderr
    assert "run `naru migrate`" in done.stderr


def test_serve_asks_for_the_root_key(database_url: str, tmp_path: Path) -> None:
    done = naru("serve", NARU_DATABASE_URL=database_url, NARU_HOME=str(tmp_path))

    assert done.returncode == 1
    assert "NARU_SECRET is not set" in done.stderr


def test_migrate_says_what_it_did_and_then_that_there_is_nothing_to_do(
    empty_database_url: str,
) -> None:
    first = naru("migrate", NARU_DATABASE_URL=empty_database_url)
    second = naru("migrate", NARU_DATABASE_URL=empty_database_url)

    assert first.returncode == 0
    assert "applied 0001_first.sql" in first.stdout
    assert second.stdout == "the database is up to date\n"


def test_two_migrations_at_once_do_not_hurt_each_other(empty_database_url: str) -> None:
    environ = dict(os.environ, NARU_DATABASE_URL=empty_database_url)
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "naru.cli.main", "migrate"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [each.communicate(timeout=60) for each in both]

    assert [each.returncode for each in both] == [0, 0], said
    assert sum("applied 0001_first.sql" in out for out, _ in said) == 1

"""The embedded PostgreSQL survives what happens to servers, and says clearly what it cannot do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from naru.cli import postgres
from naru.cli.postgres import Postgres, PostgresError, running_url

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def server(cli_home: Path) -> Iterator[Postgres]:
    """A durable server, started."""
    with Postgres(cli_home) as started:
        started.create_database("naru")
        yield started


async def ask(url: str, question: str) -> object:
    """One value from one connection."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def ended(pid: int, seconds: float = 15.0) -> bool:
    """Is this process gone, or a zombie of somebody else's, before the time is up?"""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


async def test_what_was_committed_survives_a_stop_and_a_killed_server(server: Postgres) -> None:
    await ask(server.url(), "CREATE TABLE kept (it int)")
    await ask(server.url(), "INSERT INTO kept VALUES (1)")

    server.stop()
    assert server.pid is None
    server.start()
    await ask(server.url(), "INSERT INTO kept VALUES (2)")
    server.kill()
    assert server.pid is None
    server.start()

    assert await ask(server.url(), "SELECT sum(it) FROM kept") == 3


async def test_it_keeps_the_settings_that_make_commits_durable(server: Postgres) -> None:
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert await ask(server.url(), f"SHOW {setting}") == "on"
    assert await ask(server.url(), "SHOW data_checksums") == "on"


async def test_it_listens_on_no_network(server: Postgres) -> None:
    assert await ask(server.url(), "SHOW listen_addresses") == ""


@pytest.mark.skipif(not AS_ROOT, reason="only root can become somebody else")
def test_another_user_of_the_machine_may_not_connect(server: Postgres) -> None:
    folder = server.url().partition("host=")[2]
    # Modes keep strangers away from the socket; the server refuses them even without.
    (server.folder / "run" / ".s.PGSQL.5432").chmod(0o777)
    (server.folder / "run").chmod(0o777)
    server.folder.chmod(0o711)
    done = subprocess.run(
        [server.program("psql"), "-h", folder, "-U", "naru", "-d", "naru", "-c", "SELECT 1"],
        user="daemon",
        group="daemon",
        extra_groups=[],
        capture_output=True,
        text=True,
        cwd="/",
        timeout=20,
    )
    assert done.returncode != 0
    assert 'Peer authentication failed for user "naru"' in done.stderr


@pytest.mark.skipif(not AS_ROOT, reason="only root lends the server another user")
def test_as_root_the_server_runs_as_somebody_else(server: Postgres) -> None:
    assert server.pid is not None
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


async def test_a_second_supervisor_of_the_same_folder_is_refused(
    server: Postgres, cli_home: Path
) -> None:
    with pytest.raises(PostgresError, match="Another naru is using"):
        Postgres(cli_home).start()
    assert await ask(server.url(), "SELECT 1") == 1


def test_a_server_whose_parent_was_killed_dies_and_the_next_start_works(cli_home: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from naru.cli.postgres import Postgres\n"
        "server = Postgres(Path(sys.argv[1])); server.start(); print(server.pid, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(cli_home)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert running_url(cli_home) is not None

    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert ended(pid)
    with Postgres(cli_home) as server:
        assert server.pid not in (None, pid)
    assert running_url(cli_home) is None


async def test_a_server_that_outlived_its_parent_is_replaced(cli_home: Path) -> None:
    lost = Postgres(cli_home)
    lost.start()
    orphan = lost.pid
    assert orphan is not None
    # Only the lock is let go, as by a parent on a system without parent-death signals.
    assert lost._lock is not None
    os.close(lost._lock)

    with Postgres(cli_home) as server:
        assert server.pid != orphan
        assert await ask(server.url("postgres"), "SELECT 1") == 1
    lost._lock = None
    lost.stop()


def test_a_first_start_that_was_interrupted_leaves_nothing_in_the_way(cli_home: Path) -> None:
    half = cli_home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    with Postgres(cli_home, durable=False) as server:
        assert server.pid is not None


def test_data_of_another_version_are_left_alone(cli_home: Path) -> None:
    data = cli_home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")

    with pytest.raises(PostgresError, match="PostgreSQL 12 and this naru brings"):
        Postgres(cli_home).start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_folder_with_other_things_in_it_is_left_alone(cli_home: Path) -> None:
    data = cli_home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "diary.txt").write_text("dear diary")

    with pytest.raises(PostgresError, match="is not a PostgreSQL data folder"):
        Postgres(cli_home).start()
    assert (data / "diary.txt").read_text() == "dear diary"


def test_spoilt_data_give_one_sentence_and_no_process(cli_home: Path) -> None:
    with Postgres(cli_home, durable=False) as server:
        data = server.data
    control = data / "global" / "pg_control"
    control.write_bytes(b"\0" * control.stat().st_size)

    spoilt = Postgres(cli_home)
    with pytest.raises(PostgresError, match="did not start") as refusal:
        spoilt.start()
    assert "\n" not in str(refusal.value)
    assert spoilt.pid is None
    # And nothing is locked: the person may repair it and try again.
    with pytest.raises(PostgresError, match="did not start"):
        Postgres(cli_home).start()


@pytest.mark.skipif(not AS_ROOT, reason="only root lends the server another user")
async def test_as_root_a_closed_folder_stays_closed_and_the_data_live_elsewhere(
    cli_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = cli_home / "state"
    monkeypatch.setattr(postgres, "STATE_OF_ROOT", elsewhere)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with Postgres(closed / ".naru") as server:
        server.create_database("naru")
        await ask(server.url(), "CREATE TABLE kept (it int)")
        assert elsewhere in server.folder.parents
    assert closed.stat().st_mode & 0o777 == 0o700
    with Postgres(closed / ".naru") as server:
        assert await ask(server.url(), "SELECT count(*) FROM kept") == 0


async def test_a_very_long_path_still_gets_a_socket(cli_home: Path) -> None:
    deep = cli_home / ("a" * 120)
    deep.mkdir(mode=0o711)

    with Postgres(deep, durable=False) as server:
        borrowed = Path(server.url().partition("host=")[2])
        assert await ask(server.url("postgres"), "SELECT 1") == 1
        assert running_url(deep) == server.url()
    assert not borrowed.exists()


def test_a_stop_ends_the_server_although_a_client_is_in_the_middle_of_something(
    server: Postgres,
) -> None:
    folder = server.url().partition("host=")[2]
    client = subprocess.Popen(
        [server.program("psql"), "-X", "-h", folder, "-U", "naru", "-d", "naru"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(b"BEGIN; SELECT 'under way'; SELECT pg_sleep(60);\n")
    client.stdin.flush()
    while b"under way" not in client.stdout.readline():
        pass
    pid = server.pid
    assert pid is not None

    began = time.monotonic()
    server.stop()

    assert time.monotonic() - began < 5
    assert ended(pid)
    client.send_signal(signal.SIGKILL)
    client.communicate()


def test_a_database_is_made_once(server: Postgres) -> None:
    server.create_database("naru")
    server.create_database('we"ird; DROP')
    server.create_database('we"ird; DROP')
    assert "ERROR" not in server.log.read_text()

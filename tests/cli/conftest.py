"""Commands run in this process, against a database of the test's own."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from naru.cli.main import main


@pytest.fixture
def cli_database(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The database that the commands of this test speak to."""
    monkeypatch.setenv("NARU_DATABASE_URL", database_url)
    monkeypatch.setenv("NARU_HOME", str(tmp_path))
    monkeypatch.setenv("NARU_SECRET", "a root key of this test, long enough")
    return database_url


@pytest.fixture
def say(
    cli_database: str, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command: exit status, what it said, what it complained of."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        heard = capsys.readouterr()
        return status, heard.out, heard.err

    return run


@pytest.fixture
def sandbox_pg(tmp_path: Path) -> Iterator[str]:
    """The address of a true sandbox PG in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = ["--port", str(port), "--database", str(tmp_path / "sandbox.sqlite")]
    process = subprocess.Popen(
        [sys.executable, "-m", "naru.sandbox", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, "the sandbox PG ended"
            assert time.monotonic() < deadline, "the sandbox PG does not listen"
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


@pytest.fixture
def cli_home() -> Iterator[Path]:
    """A NARU_HOME that the embedded server's user can pass through, whoever we are."""
    folder = Path(tempfile.mkdtemp(prefix="naru-home-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree((folder / "postgres").resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)

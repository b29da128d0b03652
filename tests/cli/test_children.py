"""A child process is logged, started again after a fall, and leaves nobody behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from naru.cli import children
from naru.cli.children import Child
from naru.cli.trouble import CliError

SERVER = """
import http.server, os, sys
print("hello from", os.getpid(), flush=True)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[2])); self.end_headers()
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


class Terminal(list[str]):
    """What the person was told."""

    def said(self, words: str) -> bool:
        """Was there a sentence with these words?"""
        return any(words in sentence for sentence in self)


@pytest.fixture
def terminal() -> Terminal:
    """Where children's news go."""
    return Terminal()


def free_port() -> int:
    """A port that nobody uses just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def make(
    script: str, tmp_path: Path, terminal: Terminal, *words: str, port: int | None = None
) -> Child:
    """A child that runs this Python script."""
    return Child(
        "shop",
        [sys.executable, "-c", script, *words],
        dict(os.environ),
        tmp_path / "logs" / "shop.log",
        terminal.append,
        health_url=None if port is None else ("127.0.0.1", port, "/"),
    )


async def until(wanted: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until the function answers yes."""
    deadline = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    """Has this process ended?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_child_that_was_killed_starts_again_and_says_so(
    tmp_path: Path, terminal: Terminal
) -> None:
    port = free_port()
    child = make(SERVER, tmp_path, terminal, str(port), "200", port=port)
    await child.start()
    await child.wait_until_ready()
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    await until(lambda: child.log.read_text().count("hello from") == 2)
    assert child.pid not in (None, first)
    await child.stop(5)

    assert terminal == ["the shop ended (killed by SIGKILL); starting it again in 0.5 s"]


async def test_one_that_cannot_start_gives_its_own_last_words(
    tmp_path: Path, terminal: Terminal
) -> None:
    child = make("import no_such_thing", tmp_path, terminal, port=free_port())
    await child.start()

    with pytest.raises(CliError, match=r"exit status 1.*No module named 'no_such_thing'"):
        await child.wait_until_ready()
    await child.stop(1)


async def test_one_that_answers_with_an_error_of_its_own_is_not_ready(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "START_SECONDS", 1.0)
    port = free_port()
    child = make(SERVER, tmp_path, terminal, str(port), "503", port=port)
    await child.start()

    with pytest.raises(CliError, match="no answer in time"):
        await child.wait_until_ready()
    await child.stop(1)


async def test_one_that_ignores_the_request_to_stop_is_ended_with_its_own_children(
    tmp_path: Path, terminal: Terminal
) -> None:
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('inner', inner.pid, flush=True)\n"
        "time.sleep(60)"
    )
    child = make(script, tmp_path, terminal)
    await child.start()
    await until(lambda: child.log.exists() and "inner" in child.log.read_text())
    outer, inner = child.pid, int(child.log.read_text().split()[1])
    assert outer is not None

    began = time.monotonic()
    await child.stop(0.3)

    assert time.monotonic() - began < 3
    await until(lambda: gone(outer) and gone(inner))
    assert terminal.said("does not stop by itself")


def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from naru.cli.children import Child\n"
        "async def main():\n"
        "    child = Child('x', [sys.executable, '-c', 'import time; time.sleep(60)'], {},\n"
        "                  Path(sys.argv[1]), print)\n"
        "    await child.start(); print(child.pid, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "x.log")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)

    parent.kill()
    parent.communicate()

    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_errors_are_shown_but_not_a_hundred_of_them(
    tmp_path: Path, terminal: Terminal
) -> None:
    script = "for i in range(100): print('2026 ERROR naru: bad', i)\nprint('INFO fine')"
    child = make(script, tmp_path, terminal)
    await child.start()
    await until(lambda: child.pid is None)
    await child.stop(1)

    assert terminal[0] == "shop: 2026 ERROR naru: bad 0"
    assert terminal[-1] == f"shop: more errors are in {child.log}"
    assert len(terminal) == children.ERRORS_SHOWN + 1
    assert len(child.log.read_text().splitlines()) == 101


async def test_a_log_line_cannot_command_the_terminal(tmp_path: Path, terminal: Terminal) -> None:
    script = r"import sys; sys.stdout.buffer.write(b'ERROR \x1b[2J\x07\xff\xfe' + b'x' * 100_000)"
    child = make(script, tmp_path, terminal)
    await child.start()
    await until(lambda: child.pid is None)
    await child.stop(1)

    assert terminal.said("shop: ERROR")
    assert "\x1b" not in "".join(terminal)
    assert all(len(sentence) < 400 for sentence in terminal)


async def test_a_full_log_becomes_the_old_one(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "LOG_BYTES", 1_000)
    child = make("for i in range(100): print('line', i, 'x' * 30)", tmp_path, terminal)
    await child.start()
    await until(lambda: child.pid is None)
    await child.stop(1)

    assert child.log.stat().st_size < 1_200
    assert child.log.with_suffix(".log.1").stat().st_size < 1_200
    assert "line 99 " in child.log.read_text()

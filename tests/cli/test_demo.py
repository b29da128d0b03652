"""`naru demo` as a visitor starts, breaks and stops it."""

import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo import READY_SECONDS, Demo


def alive(pid: int) -> bool:
    """Does this process still run?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_gone(pids: list[int], seconds: float = 15.0) -> bool:
    """Do all of these end in time?"""
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def demo(cli_home: Path) -> Iterator[Demo]:
    """A demo that is not started yet, and is gone afterwards."""
    demo = Demo(cli_home)
    yield demo
    if demo._process is not None and demo.process.poll() is None:
        demo.process.kill()
        demo.process.wait()


def test_a_visitor_starts_breaks_stops_and_starts_it_again(demo: Demo) -> None:
    demo.start().wait_for("Press Ctrl-C to stop")

    # What is printed is what a visitor needs, and it answers.
    for port in (demo.gateway, demo.shop, demo.sandbox):
        assert f"http://127.0.0.1:{port}" in demo.text
    assert re.search(r"mpi .* \d{16} .* password", demo.text)
    assert demo.get(demo.shop, "/") == 200
    assert demo.get(demo.gateway, "/health") == 200
    assert demo.get(demo.gateway, "/js/iamport.payment-1.2.0.js") == 200
    children = demo.children()
    assert set(children) == {"sandbox", "shop", "gateway", "worker", "postgres"}

    # The secret and the data are for their owner only.
    assert (demo.home / "secret").stat().st_mode & 0o077 == 0
    secret = (demo.home / "secret").read_text().strip()
    for log in (demo.home / "logs").iterdir():
        assert secret not in log.read_text("utf-8", "replace")

    # A second demo of the same folder is told so, and hurts nobody.
    second = Demo(demo.home).start()
    assert second.process.wait(60) == 1
    assert "Another naru is using" in second.text or second.text.count("\n") < 12
    assert demo.get(demo.gateway, "/health") == 200

    # Killed parts come back by themselves.
    os.kill(children["postgres"], signal.SIGKILL)
    demo.wait_for("PostgreSQL is back")
    os.kill(children["gateway"], signal.SIGKILL)
    demo.wait_for("the gateway ended (killed by SIGKILL); starting it again")
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError):
            if demo.get(demo.gateway, "/health") == 200:
                break
        assert time.monotonic() < deadline, demo.text
        time.sleep(0.1)

    # Ctrl-C ends everything.
    pids = list(demo.children().values())
    assert demo.stop(signal.SIGINT) < 10
    assert demo.process.returncode == 0
    assert all_gone(pids, 1.0)

    # And what was there is there again.
    again = Demo(demo.home)
    again.start().wait_for("Press Ctrl-C to stop")
    try:
        assert "making a database" not in again.text
        pids = list(again.children().values())
        assert again.stop(signal.SIGTERM) < 10
        assert all_gone(pids, 1.0)
    finally:
        if again.process.poll() is None:
            again.process.kill()


def test_nothing_outlives_a_demo_that_was_killed(demo: Demo) -> None:
    demo.start().wait_for("Press Ctrl-C to stop")
    pids = list(demo.children().values())
    assert len(pids) == 5

    demo.process.kill()
    demo.process.wait()

    assert all_gone(pids)


def test_ctrl_c_in_the_middle_of_starting_leaves_nothing(demo: Demo) -> None:
    demo.start()
    deadline = time.monotonic() + READY_SECONDS
    while "postgres" not in (children := demo.children()):
        assert time.monotonic() < deadline
        assert demo.process.poll() is None, demo.text
        time.sleep(0.01)

    assert demo.stop(signal.SIGINT) < 15
    assert all_gone(list(children.values()), 2.0)


def test_a_taken_port_is_one_sentence_and_nothing_is_left(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", demo.shop)):
        assert demo.start().process.wait(60) == 1

    assert demo.said[-1] == (
        f"naru: Port {demo.shop} is taken by another program (a demo that is still running?): stop it, "
        f"or choose another port, as in NARU_SHOP_PORT={demo.shop + 10}."
    )
    assert demo.children() == {}


def test_a_database_that_does_not_answer_is_one_sentence_and_nothing_is_left(demo: Demo) -> None:
    demo.environ["NARU_DATABASE_URL"] = "postgresql://naru:hunter2@127.0.0.1:1/naru"
    assert demo.start().process.wait(60) == 1

    assert demo.said[-1].startswith("naru: Nothing answers at the database's address")
    assert "hunter2" not in demo.text
    with pytest.raises(OSError):
        demo.get(demo.sandbox, "/")


def test_a_home_that_cannot_be_used_is_one_sentence(demo: Demo, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    demo.environ["NARU_HOME"] = str(file / "home")

    assert demo.start().process.wait(60) == 1
    assert demo.said[-1].startswith("naru: ")
    assert "NARU_HOME" in demo.said[-1]


def test_with_a_database_of_ones_own_no_other_is_started(demo: Demo, database_url: str) -> None:
    demo.environ["NARU_DATABASE_URL"] = database_url
    demo.start().wait_for("Press Ctrl-C to stop")

    assert "postgres" not in demo.children()
    assert not (demo.home / "postgres").exists()
    assert demo.get(demo.gateway, "/health") == 200
    assert demo.stop(signal.SIGTERM) < 10

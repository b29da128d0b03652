"""The certifier against shops that do not let go, and against its own end: nothing is left, nobody is waited for."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from naru.certifier import command, shop
from naru.certifier.adapter import read_adapter
from naru.certifier.shop import Shop, ShopTrouble, Visitor, free_origin
from naru.certifier.tape import Tape
from naru.cli.main import main
from tests.certifier.runs import good_run

# It never answers an order; it and a child of its own do not hear SIGTERM.
DEAF = """
import os, pathlib, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
class Door(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204); self.end_headers()
    def do_POST(self):
        pathlib.Path("ordered").write_text(os.environ["TEMP_FOLDER"])
        time.sleep(300)
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Door).serve_forever()
"""
ADAPTER = """
[shop]
start = ["{python}", "deaf.py"]
[shop.env]
PORT = "{port}"
TEMP_FOLDER = "{temp}"
[order]
request = "POST /orders"
json = { amount = "{amount}" }
merchant_uid = "/merchant_uid"
[state]
request = "GET /orders/{merchant_uid}"
status = "/status"
fulfilled = "/fulfilled"
[state.words]
paid = "paid"
unpaid = "placed"
[webhook]
path = "/hook"
"""


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A shop that never answers an order."""
    (tmp_path / "deaf.py").write_text(DEAF, "utf-8")
    file = tmp_path / "shop.toml"
    file.write_text(ADAPTER, "utf-8")
    return file


def descendants(pid: int) -> set[int]:
    """Everybody that this process has started, and they, as long as it lives."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, more = set[int](), {pid}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in more} - found
    return found - {pid}


def alive(pid: int) -> bool:
    """Runs, and does not only wait to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(so: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_the_certifier_ends_all_that_it_started(
    adapter: Path, kind: signal.Signals
) -> None:
    """In the middle of an attack: gateway, PostgreSQL, shop, the shop's own child, the folders."""
    words = [
        "-m",
        "naru.cli.main",
        "certify",
        "--adapter",
        "shop.toml",
        "--attack",
        "honest-webhook",
    ]
    certifier = subprocess.Popen(
        [sys.executable, *words], cwd=adapter.parent, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ordered = adapter.parent / "ordered"
    started = set[int]()
    try:
        wait_until(lambda: ordered.exists() and ordered.read_text() != "", 30, "no attack begins")
        folder = Path(ordered.read_text())
        started = descendants(certifier.pid)
        names = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in started]
        for what in (b"naru.testing.house", b"postgres", b"deaf.py", b"time.sleep(300)"):
            assert any(what in name for name in names), (what, names)
        house = next(name.split(b"\0") for name in names if b"naru.testing.house" in name)
        gateways_folder = Path(os.fsdecode(house[house.index(b"naru.testing.house") + 1]))
        folders = (folder, gateways_folder)
        assert all(each.is_dir() for each in folders)
        certifier.send_signal(kind)
        status = certifier.wait(20)
        wait_until(
            lambda: not any(map(alive, started)) and not any(each.exists() for each in folders),
            10,
            "somebody is left",
        )
        assert status == (-9 if kind == signal.SIGKILL else 128 + kind)
    finally:
        certifier.kill()
        certifier.wait()
        for pid in filter(alive, started):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def answering(write: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Shop]:
    """A shop that somebody started, and that answers like this."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                write(self)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    made = Shop(
        read_adapter(Path(__file__).parent / "shops/by_hand_flask/shop.toml"), url, {}, Tape([])
    )
    try:
        yield made
    finally:
        made.stop()
        server.shutdown()
        server.server_close()


def drip_body(door: BaseHTTPRequestHandler) -> None:
    door.send_response(200)
    door.end_headers()
    while True:
        door.wfile.write(b"x")
        time.sleep(0.05)


def drip_headers(door: BaseHTTPRequestHandler) -> None:
    door.send_response(200)
    while True:
        door.send_header("X", "y")
        door.flush_headers()
        time.sleep(0.05)


def flood(door: BaseHTTPRequestHandler) -> None:
    door.send_response(200)
    door.end_headers()
    while True:
        door.wfile.write(b"x" * 100_000)


def bomb(door: BaseHTTPRequestHandler) -> None:
    packed = gzip.compress(b"\0" * 50_000_000)
    door.send_response(200)
    door.send_header("Content-Encoding", "gzip")
    door.send_header("Content-Length", str(len(packed)))
    door.end_headers()
    door.wfile.write(packed)


@pytest.mark.parametrize("write", [drip_body, drip_headers])
def test_an_answer_that_never_ends_has_one_deadline(
    write: Callable[[BaseHTTPRequestHandler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "ANSWER_SECONDS", 0.6)
    with answering(write) as stubborn:
        began = time.monotonic()
        answer = stubborn.request(Visitor("buyer"), "GET", "/")
        assert not stubborn.is_alive()
    assert answer.status is None
    assert "no whole answer" in answer.text
    assert 1.1 < time.monotonic() - began < 4


@pytest.mark.parametrize("write", [flood, bomb])
def test_of_a_flood_so_much_is_read_and_of_a_bomb_what_came(
    write: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    with answering(write) as stubborn:
        began = time.monotonic()
        answer = stubborn.request(Visitor("buyer"), "GET", "/")
        (exchange,) = stubborn.tape.take()
    assert answer.status == 200
    assert 10_000 < len(answer.text) <= shop.ANSWER_BYTES_MAX
    assert len(exchange.response) < 9_000
    assert time.monotonic() - began < 5


def test_a_command_that_does_not_end_is_ended_with_its_children(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "COMMAND_SECONDS", 0.5)
    text = ADAPTER.replace(
        'request = "POST /orders"\njson = { amount = "{amount}" }',
        'command = ["sh", "-c", "sleep 300 & echo $! > child; wait", "{amount}"]',
    )
    adapter.write_text(text, "utf-8")
    made = Shop(read_adapter(adapter), free_origin(), {}, Tape([]))
    with pytest.raises(ShopTrouble, match=r"no end after"):
        made.place(Visitor("buyer"), 100)
    child = int((adapter.parent / "child").read_text())
    wait_until(lambda: not alive(child), 5, "its child is left")
    made.stop()


def test_who_listens_where_the_shop_would_be_is_not_attacked(
    adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        url = f"http://127.0.0.1:{neighbour.getsockname()[1]}"
        made = Shop(read_adapter(adapter), url, {}, Tape([]))
        with pytest.raises(ShopTrouble, match=r"listens at .* already"):
            made.start()
        made.stop()
        neighbour.settimeout(5)
        line, _ = neighbour.accept()
        assert line.recv(100) == b""


def test_a_page_without_playwright_is_refused_before_anything_begins(
    adapter: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter.write_text(ADAPTER + '[page]\nurl = "/{merchant_uid}"\npay = "#pay"\n', "utf-8")
    there = command.importlib.util.find_spec
    monkeypatch.setattr(
        command.importlib.util, "find_spec", lambda name: None if name == "playwright" else there(name)
    )  # fmt: skip
    assert main(["certify", "--adapter", str(adapter)]) == 2
    said = capsys.readouterr().err
    assert "pip install playwright" in said
    assert "leave [page] out" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_report_that_cannot_be_written_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "run.json"
    wished = argparse.Namespace(
        html=Path("/dev/full"), junit=None, sarif=None, json=written, badge=None
    )
    assert not command._write(wished, good_run(), None, korean=False)
    said = capsys.readouterr()
    assert said.err.startswith("naru: --html /dev/full: No space left")
    assert said.err.count("\n") == 1
    assert said.out == f"{written}\n"
    assert json.loads(written.read_text("utf-8"))["tool"]["name"] == "naru certify"
    # The control: where all can be written, it is said.
    wished.html = tmp_path / "run.html"
    assert command._write(wished, good_run(), None, korean=False)


def test_a_log_hears_of_every_tenth_attack(capsys: pytest.CaptureFixture[str]) -> None:
    progress = command.Progress(25, korean=False)
    for number, outcome in enumerate(good_run().outcomes[:25], 1):
        progress.show(number, outcome)
    progress.close()
    assert capsys.readouterr().err == "10/25\n20/25\n"

"""Nobody is attacked but this machine, and with `--real` the hosts that the adapter lists."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3

from naru.certifier.adapter import BadAdapter, adapter_of
from naru.certifier.hosts import NotAllowed, allowed_origin
from naru.certifier.shop import Shop, Visitor
from naru.certifier.tape import Tape
from tests.certifier.test_adapter import BY_HAND, WHOLE

LISTED = ("test.shop.example", "Staging.Shop.Example.", "203.0.113.7")

HERE = {
    "http://127.0.0.1:8000": "http://127.0.0.1:8000",
    "127.0.0.1:8000": "http://127.0.0.1:8000",
    "HTTP://LOCALHOST:8000/": "http://localhost:8000",
    "http://localhost.:8000": "http://localhost:8000",
    "https://127.8.8.8": "https://127.8.8.8",
    "http://[::1]:8000": "http://[::1]:8000",
    "http://[0:0:0:0:0:0:0:1]:8000": "http://[::1]:8000",
}
STRANGERS = (
    # Other hosts.
    "http://shop.example.com",
    "localhost.evil.example:8000",
    "http://127.0.0.1.evil.example:8000",
    "http://203.0.113.9:8000",
    "http://[2001:db8::1]:8000",
    "http://[::ffff:8.8.8.8]:8000",
    # Every interface is more than this machine says to itself.
    "http://0.0.0.0:8000",
    "http://[::]:8000",
    # Spellings that mean this machine to some and another one to others.
    "http://127.1:8000",
    "http://0x7f000001:8000",
    "http://0x7f.0.0.1:8000",
    "http://2130706433:8000",
    "http://017700000001:8000",
    "http://127.0.0.01:8000",
    "http://[::ffff:127.0.0.1]:8000",
    "http://[::1%25eth0]:8000",
    "http://127.0.0.1..:8000",
    "http://%31%32%37.0.0.1:8000",
    "http://127。0。0。1:8000",
    "http://１２７.0.0.1:8000",
    "http://ｌocalhost:8000",
    # Hosts behind what looks like a host.
    "http://127.0.0.1@evil.example:8000",
    "http://127.0.0.1:8000@evil.example",
    "http://@127.0.0.1:8000",
    "http://evil.example\\@127.0.0.1:8000",
    "http://127.0.0.1\\.evil.example:8000",
    "http://127.0.0.1\t.evil.example:8000",
    "http://127.0.0.1\n.evil.example:8000",
    "http://127.0.0.1#.evil.example",
    "http://127.0.0.1?.evil.example",
    "http://127.0.0.1/.evil.example",
    "http://127.0.0.1:8000//evil.example",
    # No address at all.
    "",
    "http://",
    "http:///",
    "http://:8000",
    "//127.0.0.1:8000",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "javascript://127.0.0.1/%0aalert(1)",
    "http://[::1:8000",
    "http://[v1.fe80]:8000",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://127.0.0.1:8x",
    "http://127.0.0.1:８０",
)


@pytest.mark.parametrize("url", HERE)
def test_this_machine_may_be_attacked(url: str) -> None:
    assert allowed_origin(url, real=False, listed=()) == HERE[url]


@pytest.mark.parametrize("url", STRANGERS)
def test_strangers_may_not(url: str) -> None:
    for real in (False, True):
        with pytest.raises(NotAllowed):
            allowed_origin(url, real=real, listed=LISTED)


def test_a_listed_host_may_with_real_and_only_with_real() -> None:
    for url in ("https://test.shop.example", "https://TEST.shop.example.", "http://203.0.113.7:81"):
        with pytest.raises(NotAllowed, match="--real"):
            allowed_origin(url, real=False, listed=LISTED)
        with pytest.raises(NotAllowed, match="not listed"):
            allowed_origin(url, real=True, listed=())
    origin = allowed_origin("https://TEST.shop.example.:444", real=True, listed=LISTED)
    assert origin == "https://test.shop.example:444"
    assert allowed_origin("http://staging.shop.example", real=True, listed=LISTED)
    for near in ("https://a.test.shop.example", "https://shop.example", "https://203.0.113.70"):
        with pytest.raises(NotAllowed, match="not listed"):
            allowed_origin(near, real=True, listed=LISTED)


# The interpreter itself tells of every name that is looked up and every line that is opened.
WATCHED = """
import json, sys
told = []
def tell(event, arguments):
    if event == "socket.getaddrinfo":
        told.append(["asks for", str(arguments[0])])
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        told.append(["connects to", str(arguments[1][0])])
sys.addaudithook(tell)
from naru.certifier.adapter import read_adapter
from naru.certifier.shop import Shop
from naru.certifier.tape import Tape
from naru.cli.main import main
from pathlib import Path
adapter, here, *strangers = sys.argv[1:]
statuses = [main(["certify", each, "--adapter", adapter, "--real"]) for each in strangers]
meanwhile, told[:] = list(told), []
shop = Shop(read_adapter(Path(adapter)), here, {}, Tape([]))
shop.is_alive()
shop.stop()
print(json.dumps({"statuses": statuses, "told": meanwhile, "control": told}))
"""


def test_who_is_refused_gets_no_packet_and_is_not_even_looked_up(tmp_path: Path) -> None:
    adapter = tmp_path / "shop.toml"
    adapter.write_text(BY_HAND, "utf-8")
    strangers = [url for url in STRANGERS if url and "\x00" not in url]
    with socket.create_server(("127.0.0.1", 0)) as trap:
        port = trap.getsockname()[1]
        strangers += [f"http://{host}:{port}" for host in ("127.1", "0x7f000001", "2130706433")]
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, adapter, "http://localhost:9", *strangers],
            capture_output=True,
            text=True,
            timeout=60,
        )
        trap.settimeout(0)
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert set(said["statuses"]) == {2}
    assert said["told"] == []
    # The control: somebody who is allowed is looked up and spoken to, and is seen to be.
    assert ["asks for", "localhost"] in said["control"]
    assert {what for what, _ in said["control"]} == {"asks for", "connects to"}


@contextmanager
def sending_away(where: str) -> Iterator[str]:
    """A shop that sends everybody somewhere else."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("Location", where)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_no_redirect_of_the_shop_is_followed(tmp_path: Path) -> None:
    adapter = adapter_of(tmp_path / "shop.toml", WHOLE)
    with socket.create_server(("127.0.0.1", 0)) as trap:
        stranger = f"http://127.0.0.1:{trap.getsockname()[1]}/"
        with sending_away(stranger) as url:
            shop = Shop(adapter, url, {}, Tape([]))
            visitor = Visitor("buyer")
            for answer in (
                shop.request(visitor, "GET", "/orders"),
                shop.request(visitor, "POST", "/payments/webhook", body=b"{}"),
                shop.callback(visitor, {"imp_uid": "imp_1", "merchant_uid": "o", "amount": 1}),
            ):
                assert (answer.status, answer.location) == (307, stranger)
            assert shop.is_alive()
            shop.stop()
            trap.settimeout(0)
            with pytest.raises(BlockingIOError):
                trap.accept()
            # The control: who follows redirects arrives there.
            with pytest.raises(urllib3.exceptions.HTTPError):
                urllib3.PoolManager().request("GET", url, timeout=0.2, retries=1)
            line, _ = trap.accept()
            line.close()


PATHS = (
    "//evil.example/a",
    "/\\evil.example",
    "\\\\evil.example",
    "@evil.example/",
    "evil.example",
)
PATHS += (
    "https://evil.example/",
    "/\t/evil.example",
    "/a b",
    "/a\r\nHost: evil.example",
    "/a#b",
    "",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("section", "key"),
    [("redirect", "path"), ("webhook", "path"), ("page", "url"), ("shop", "ready")],
)
def test_paths_do_not_lead_away(section: str, key: str, path: str, tmp_path: Path) -> None:
    wrong = {**WHOLE, section: {**WHOLE[section], key: path}}
    with pytest.raises(BadAdapter, match=rf"\[{section}\] {key} is a path of the shop"):
        adapter_of(tmp_path / "shop.toml", wrong)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("section", ["order", "state", "callback", "sweep", "change"])
def test_requests_do_not_lead_away(section: str, path: str, tmp_path: Path) -> None:
    wrong = {**WHOLE, section: {**WHOLE[section], "request": f"POST {path}"}}
    with pytest.raises(BadAdapter, match=rf"\[{section}\] request"):
        adapter_of(tmp_path / "shop.toml", wrong)


def test_a_path_that_looks_like_a_name_stays_at_the_shop(tmp_path: Path) -> None:
    right = {**WHOLE, "webhook": {"path": "/@evil.example:80/x"}}
    assert adapter_of(tmp_path / "shop.toml", right).webhook_path == "/@evil.example:80/x"

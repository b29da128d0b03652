"""A private gateway begins, and ends for certain; nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from naru.kit import Client, read_webhook
from naru.testing.private_gateway import GatewayTrouble, PrivateGateway, missing_parts
from naru.testing.temporary import temporary_folder
from tests.support.scale import often

GONE_SECONDS = 30.0
# A parent that starts a gateway, says where everything is, and waits to be killed.
PARENT = """
import json, sys, time
from naru.testing.private_gateway import PrivateGateway
gateway = PrivateGateway()
gateway.start()
print(json.dumps({"pid": gateway.pid, "folder": str(gateway._folder)}), flush=True)
time.sleep(600)
"""


def processes_of(folder: str) -> list[int]:
    """Every process that was started for this folder: the house and its PostgreSQL."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            if folder in command:
                found.append(int(entry.name))
    return found


def gone(folder: str) -> bool:
    """Is nothing left of the gateway in this folder, within half a minute?"""
    deadline = time.monotonic() + GONE_SECONDS
    while processes_of(folder) or Path(folder).exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT][: often(1, 3)])
def test_it_ends_with_whoever_started_it(kind: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    told = json.loads(parent.stdout.readline())
    # Control: it is there, with its PostgreSQL.
    assert told["pid"] in processes_of(told["folder"])
    assert len(processes_of(told["folder"])) >= 2
    parent.send_signal(kind)
    parent.wait(20)
    parent.stdout.close()
    assert gone(told["folder"])


def test_settings_hold_and_a_gateway_that_dies_is_told_as_such() -> None:
    with PrivateGateway(settings={"NARU_CLOSE_EXPIRED_ACCOUNTS": "on"}) as gateway:
        folder, imp = str(gateway._folder), gateway.open_shop()
        # Accounts that nobody paid in time are closed, which is not the default.
        imp.pay("order-1", 1000, pay_method="vbank")
        imp.approve()
        imp.advance("40d")
        assert imp.payment().status == "failed"

        assert gateway.pid is not None
        os.kill(gateway.pid, signal.SIGKILL)
        with pytest.raises(GatewayTrouble, match=r"has ended|not running"):
            imp.settle()
        # Who starts it again gets another one.
        gateway.start()
        assert gone(folder)
        other = gateway.open_shop()
        print(f"up in {gateway.started_in_seconds:.1f} s, on a machine with this load")
        other.pay("order-1", 1000)
        assert other.approve().success
    with pytest.raises(GatewayTrouble, match="not running"):
        other.settle()


NAMES = {
    "imp_key": "imp_apikey",
    "imp_secret": "a-secret-of-the-shop",
    "user_code": "imp12345678",
    "webhook_secret": "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}


def test_a_shop_that_was_configured_by_hand_finds_its_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # Control: a port that another program has is said to be taken.
        with pytest.raises(GatewayTrouble, match=f"Port {port} of 127.0.0.1 cannot be had"):
            PrivateGateway(port=port).start()
    with PrivateGateway(port=port) as gateway:
        assert gateway.url == f"http://127.0.0.1:{port}"
        imp = gateway.open_shop("by hand", **NAMES)
        assert {name: getattr(imp, name) for name in NAMES} == NAMES
        told = []

        def shop(environ: dict[str, Any], start: Any) -> list[bytes]:
            headers = {
                name.removeprefix("HTTP_").replace("_", "-").lower(): text
                for name, text in environ.items()
                if isinstance(text, str)
            }
            told.append(
                read_webhook(
                    environ["wsgi.input"].read(), headers, secret=NAMES["webhook_secret"]
                ).merchant_uid
            )
            start("204 No Content", [])
            return []

        imp.webhooks.to(shop)
        imp.pay("order-1", 1000)
        assert imp.approve().success
        with Client(NAMES["imp_key"], NAMES["imp_secret"], base_url=gateway.url) as client:
            assert client.payment(imp.payment().imp_uid).status == "paid"
        assert told == ["order-1"]

        for same in ("user_code", "imp_key"):
            with pytest.raises(GatewayTrouble, match="Another shop of this gateway has"):
                gateway.open_shop(**{same: NAMES[same]})
        # What was fixed once is free again with the next life, and fresh names stay fresh.
        gateway.begin_anew()
        assert gateway.open_shop(**NAMES).imp_key == NAMES["imp_key"]
        assert gateway.open_shop().imp_key != NAMES["imp_key"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("imp_key", ""),
        ("imp_key", "two words"),
        ("imp_secret", "가"),
        ("imp_secret", "x" * 201),
        ("user_code", "im"),
        ("user_code", "imp\0"),
        ("webhook_secret", "secret"),
        ("webhook_secret", "whsec_short"),
        ("webhook_secret", 7),
    ],
)
def test_names_that_no_shop_can_have_are_refused(
    private_gateway: PrivateGateway, name: str, wrong: Any
) -> None:
    with pytest.raises(GatewayTrouble, match=f"The {name} of a shop is "):
        private_gateway.open_shop(**{name: wrong})


@pytest.mark.parametrize("port", [-1, 65_536, "http"])
def test_what_is_no_port_is_refused(port: Any) -> None:
    with pytest.raises(GatewayTrouble, match="A port is a number"):
        PrivateGateway(port=port).start()


def test_a_forked_child_that_ends_takes_nothing_away(private_gateway: PrivateGateway) -> None:
    child = os.fork()
    if child == 0:
        private_gateway.stop()
        os._exit(0)
    os.waitpid(child, 0)
    assert private_gateway.pid is not None
    imp = private_gateway.open_shop()
    imp.pay("order-1", 1000)
    assert imp.approve().success
    imp.close()


def test_a_wrong_setting_is_told_with_its_sentence() -> None:
    with pytest.raises(GatewayTrouble, match="NARU_PROCESSES must be a number"):
        PrivateGateway(settings={"NARU_PROCESSES": "many"}).start()


def test_what_is_missing_is_named() -> None:
    """In a Python that lacks a part; this one lacks none."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules['asyncpg'] = sys.modules['uvloop'] = None\n"
            "from naru.testing.private_gateway import PrivateGateway; PrivateGateway().start()",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "lacks asyncpg, uvloop: pip install './naru[server]'" in done.stderr
    assert missing_parts() == []


def test_folders_of_dead_processes_are_swept_and_those_of_living_ones_are_not() -> None:
    prefix = f"naru-swept-{os.getpid()}-"
    program = (
        f"from naru.testing.temporary import temporary_folder\nprint(temporary_folder({prefix!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    of_dead = Path(done.stdout.strip())
    assert of_dead.is_dir()
    mine = [temporary_folder(prefix, in_memory=in_memory) for in_memory in (True, False)]
    assert [folder.is_dir() for folder in (of_dead, *mine)] == [False, True, True]
    for folder in mine:
        folder.rmdir()

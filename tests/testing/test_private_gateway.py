"""A private gateway begins, and ends for certain; nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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

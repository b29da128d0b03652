"""`python -m naru.shop` as somebody starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import urllib3

from tests.shop.conftest import Till
from tests.support.stand_in_gateway import API_KEY, API_SECRET, hangs_up

ARGUMENTS = ("--imp-key", "k", "--user-code", "imp00000000")
SECRET = {"NARU_SHOP_IMP_SECRET": "the-secret"}


def test_it_serves_the_shop_on_the_port_it_is_given(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    arguments = (*ARGUMENTS, "--port", port, "--database", str(tmp_path / "a" / "shop.sqlite3"))
    with subprocess.Popen(
        [sys.executable, "-m", "naru.shop", *arguments],
        env=os.environ | SECRET,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            page = _wait_for(f"http://127.0.0.1:{port}/")
        finally:
            run.terminate()
        assert run.stderr is not None
        said = run.stderr.read()

    assert "노르웨이 회전 의자" in page
    assert "the-secret" not in said


def test_half_of_solapis_settings_is_told_at_once() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "naru.shop", *ARGUMENTS, "--imp-secret", "s", "--solapi-key", "k"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 2
    assert "Solapi needs" in run.stderr


def test_cron_finishes_what_nobody_reported(till: Till, tmp_path: Path) -> None:
    order = till.place()
    till.gateway.pay(order, 64_900)
    command = [
        *(sys.executable, "-m", "naru.shop", "--sweep", "--gateway-url", till.gateway.url),
        *("--imp-key", API_KEY, "--user-code", "imp00000000"),
        *("--database", str(tmp_path / "shop.sqlite3")),
    ]

    def sweep() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=os.environ | {"NARU_SHOP_IMP_SECRET": API_SECRET},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    for finished in (1, 0):
        run = sweep()
        assert run.returncode == 0
        assert f"{finished} orders finished" in run.stderr
    assert (till.status(order), till.orders.parcels(order)) == ("paid", 1)
    # Control: a gateway that cannot be asked is said, and cron's mail tells.
    till.gateway.faults = [hangs_up] * 9
    run = sweep()
    assert (run.returncode, "cannot be asked" in run.stderr) == (1, True)
    assert "Traceback" not in run.stderr


def _wait_for(address: str) -> str:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            return urllib3.request("GET", address, retries=False, timeout=5).data.decode()
        except urllib3.exceptions.HTTPError:
            assert time.monotonic() < give_up_at, "the shop did not start"
            time.sleep(0.05)

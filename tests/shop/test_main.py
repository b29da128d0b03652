"""`python -m naru.shop` as somebody starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import urllib3

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


def _wait_for(address: str) -> str:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            return urllib3.request("GET", address, retries=False, timeout=5).data.decode()
        except urllib3.exceptions.HTTPError:
            assert time.monotonic() < give_up_at, "the shop did not start"
            time.sleep(0.05)

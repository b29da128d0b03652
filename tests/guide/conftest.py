"""The guide's shop as a reader would start it, before a private gateway, and a browser."""

from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import urllib3
from playwright.async_api import Browser

from naru.bench.demo import free_ports
from naru.testing.imp import Imp
from naru.testing.plugin import async_imp, private_gateway
from naru.testing.private_gateway import PrivateGateway
from tests.checkout.browser import open_browser
from tests.guide.pages import ROOT, chapter, write_shop
from tests.support.processes import BYTECODE

__all__ = ["async_imp", "private_gateway"]

START_SECONDS = 60.0  # Generous: every core may be busy with other tests.


@dataclass(frozen=True)
class Shop:
    """The guide's shop, served by the guide's own command. `ask` keeps to what a browser would see."""

    url: str
    folder: Path
    environ: dict[str, str]

    def run(self, program: str) -> str:
        """What one of the guide's own programs prints."""
        done = subprocess.run(
            [sys.executable, program],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(
        self, method: str, path: str, json: object = None, **fields: str
    ) -> urllib3.BaseHTTPResponse:
        """One request; redirects are not followed."""
        options: dict[str, object] = {"json": json} if json is not None else {"fields": fields}
        return urllib3.request(
            method,
            self.url + path,
            redirect=False,
            retries=False,
            timeout=20,
            **options,  # type: ignore[arg-type]
        )

    def place(self, product: str = "chair") -> str:
        """Order something, as the first page's button does; the order's number."""
        placed = self.ask("POST", "/orders", product=product)
        assert placed.status == 303
        return placed.headers["Location"].rpartition("/")[2]

    def report(self, imp_uid: str, merchant_uid: str) -> tuple[int, str]:
        """What the page's callback posts, and the shop's answer in a word."""
        told = {"imp_uid": imp_uid, "merchant_uid": merchant_uid}
        answer = self.ask("POST", "/payments/complete", json=told)
        return answer.status, answer.json()["status"]

    def status(self, merchant_uid: str) -> str:
        """How the order stands in the shop's own database."""
        return self._rows("SELECT payment_status FROM orders WHERE merchant_uid = ?", merchant_uid)[
            0
        ]

    def sent(self, merchant_uid: str) -> int:
        """How many times the order's goods left the house."""
        return len(self._rows("SELECT id FROM parcels WHERE merchant_uid = ?", merchant_uid))

    def _rows(self, statement: str, *values: str) -> list[str]:
        database = sqlite3.connect(self.folder / "shop.db", timeout=10)
        rows = [row[0] for row in database.execute(statement, values)]
        database.close()
        return rows


def environment(imp: Imp) -> dict[str, str]:
    """What the guide's settings are for this test's merchant."""
    strict = ("NARU_", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS")
    plain = {name: text for name, text in os.environ.items() if not name.startswith(strict)}
    return plain | {
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": str(BYTECODE),
        "IMP_URL": imp.url,
        "IMP_KEY": imp.imp_key,
        "IMP_SECRET": imp.imp_secret,
        "USER_CODE": imp.user_code,
        "WEBHOOK_SECRET": imp.webhook_secret,
        "SHOP_TAKES_PLAY_MONEY": "yes",
    }


def command(port: int) -> list[str]:
    """The guide's last word of how to start the shop, with this Python and another port."""
    [line] = [
        line
        for block in chapter("6-finish")
        if block.language == "sh"
        for line in block.text.splitlines()
        if line.startswith("flask ")
    ]
    said = line.replace("8900", str(port))
    assert said != line
    return [sys.executable, "-m", *shlex.split(said)]


@pytest.fixture(scope="module")
def imp(private_gateway: PrivateGateway) -> Iterator[Imp]:
    """One merchant for all tests of a file, for their shop takes a second to start."""
    private_gateway.start()
    merchant = private_gateway.open_shop("의자 가게")
    yield merchant
    merchant.close()
    if merchant.time_was_moved:
        private_gateway.begin_anew()


@pytest.fixture(autouse=True)
def _webhooks_are_told(request: pytest.FixtureRequest) -> Iterator[None]:
    """What one test held back is not brought in the next one, and nothing is held there."""
    yield
    if "imp" in request.fixturenames:
        request.getfixturevalue("imp").webhooks.drop()


@pytest.fixture(scope="module")
def shop(imp: Imp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All chapters typed, the shop started, the gateway's webhooks sent to it."""
    folder = write_shop(tmp_path_factory.mktemp("shop"))
    [port] = free_ports(1)
    process = subprocess.Popen(
        command(port),
        cwd=folder,
        env=environment(imp),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        give_up_at = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, "the guide's shop has ended"
            assert time.monotonic() < give_up_at, "the guide's shop does not start"
            try:
                urllib3.request("GET", url, retries=False, timeout=5)
                break
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)
        imp.webhooks.to(url)
        yield Shop(url, folder, environment(imp))
    finally:
        process.kill()
        process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser

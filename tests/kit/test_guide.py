"""The guide's shops are type-checked strictly, and take money from a true gateway."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import urllib3

from naru.testing.imp import Imp
from tests.support.processes import BYTECODE
from tests.support.stand_in_gateway import API_KEY, API_SECRET, StandInGateway

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
CHAIR = 64_900


def files(page: str = "kit.md") -> dict[str, str]:
    """The Python blocks of the page by the file's name in their first line."""
    blocks = re.findall(
        r"^```python\n# (\S+)\n(.*?)^```$", (GUIDE / page).read_text("utf-8"), re.M | re.S
    )
    return dict(blocks)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The guide's files, as a reader would have saved them."""
    for name, text in files().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    (tmp_path / "shop" / "__init__.py").touch()
    return tmp_path


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """What a shop in this folder is started with; bytecode is kept, or each start takes seconds."""
    hidden = ("NARU_", "PYTHONDONTWRITEBYTECODE")
    plain = {name: text for name, text in os.environ.items() if not name.startswith(hidden)}
    own = {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "PYTHONPYCACHEPREFIX": str(BYTECODE),
        "SHOP_TAKES_PLAY_MONEY": "yes",
    }
    return plain | own | settings


def test_both_languages_have_the_same_code() -> None:
    assert files("kit.ko.md") == files()
    assert len(files()) == 7


def test_the_shops_are_typed_strictly(folder: Path) -> None:
    """Django brings no types; nothing else is forgiven. The control: a shop with one mistake."""
    for path in (folder / "shop").glob("*.py"):
        forgiven = '# mypy: disable-error-code="import-untyped, misc"\n'
        path.write_text(forgiven + path.read_text("utf-8"), "utf-8")
    shop = (folder / "flask_shop.py").read_text("utf-8")
    wrong = folder / "wrong_shop.py"
    wrong.write_text(shop.replace("Parcel(merchant_uid=order.merchant_uid)", "order.nothing"))
    files = [str(path) for path in sorted(folder.rglob("*.py"))]
    done = subprocess.run(
        # From here, so that what `make check` found out is not found out again.
        [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", *files],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    mistakes = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(mistakes) == 1, done.stdout + done.stderr
    assert wrong.name in mistakes[0]
    assert '"StoredOrder" has no attribute "nothing"' in mistakes[0]


@dataclass
class Shop:
    """One of the guide's shops, served by a process of its own."""

    url: str
    database: str
    table: str

    def place(self, merchant_uid: str, amount: int) -> None:
        """An order, as the shop's own pages would place it."""
        columns = "merchant_uid, amount, payment_status, cancelled_amount, payment_tried_at, payment_untold"
        values = f"'{merchant_uid}', {amount}, 'placed', 0, 0, false"
        self._execute(f"INSERT INTO {self.table}order{self._s} ({columns}) VALUES ({values})")

    def parcels(self) -> list[str]:
        """What left the house."""
        column = "order_id" if self.table else "merchant_uid"
        return [
            row[0]
            for row in self._execute(f"SELECT {column} FROM {self.table}parcel{self._s} ORDER BY 1")
        ]

    @property
    def _s(self) -> str:
        return "" if self.table else "s"

    def _execute(self, statement: str) -> list[Any]:
        if self.database.startswith("postgresql"):

            async def ask() -> list[Any]:
                connection = await asyncpg.connect(self.database)
                try:
                    return list(await connection.fetch(statement))
                finally:
                    await connection.close()

            return asyncio.run(ask())
        with sqlite3.connect(self.database, timeout=10) as connection:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    def ask(self, method: str, path: str, **fields: str) -> tuple[int, Any, Any]:
        """Status, JSON and landing of one request."""
        options: dict[str, Any] = {"fields": fields} if method == "GET" else {"json": fields}
        done = urllib3.request(method, self.url + path, redirect=False, timeout=20, **options)
        return done.status, json.loads(done.data or "null"), done.headers.get("Location")


@pytest.fixture(params=["flask", "fastapi", "django"])
def shop(request: pytest.FixtureRequest, folder: Path, imp: Imp) -> Iterator[Shop]:
    """The shop of one framework, in front of a gateway of its own."""
    settings = {
        "IMP_URL": imp.url,
        "IMP_KEY": imp.imp_key,
        "IMP_SECRET": imp.imp_secret,
        "WEBHOOK_SECRET": imp.webhook_secret,
    }
    if request.param == "fastapi":
        database = request.getfixturevalue("empty_database_url")
        settings["DATABASE_URL"] = asyncpg_url(database)
    else:
        database = str(folder / "shop.sqlite3")
        settings["DATABASE_URL"] = f"sqlite:///{database}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kit.serve_guide", request.param],
        cwd=folder,
        env=environment(folder, **settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        word, _, port = process.stdout.readline().partition(" ")
        assert word == "port"
        table = "shop_" if request.param == "django" else ""
        yield Shop(f"http://127.0.0.1:{int(port)}", database, table)
    finally:
        process.kill()
        process.communicate()


def asyncpg_url(url: str) -> str:
    """A test database's address as SQLAlchemy spells it."""
    host = url.partition("host=")[2]
    user, _, name = url.partition("//")[2].partition("?")[0].partition("@/")
    return f"postgresql+asyncpg://{user}@/{name}?host={host}"


@pytest.mark.promise("P5")
def test_a_shop_of_the_guide_takes_money_and_is_not_robbed(shop: Shop, imp: Imp) -> None:
    imp.webhooks.to(shop.url)
    for order in ("order-1", "order-2", "order-3"):
        shop.place(order, CHAIR)
    shop.place("cheap", 1000)

    # A buyer pays: the webhook is first, callback and redirect find it done.
    imp.pay("order-1", CHAIR)
    paid = imp.approve()
    assert [answered for _, answered in imp.webhooks.told] == [200]
    done = shop.ask("POST", "/payments/complete", imp_uid=paid.imp_uid, merchant_uid="order-1")
    assert (done[0], done[1]["status"]) == (200, "success")
    back = shop.ask("GET", "/payments/complete", imp_uid=paid.imp_uid, merchant_uid="order-1")
    assert (back[0], back[2]) == (303, "/orders/order-1")
    assert shop.parcels() == ["order-1"]

    # A thief pays a cheap order and reports a dear one, then changes the amount in the page.
    imp.webhooks.hold()
    imp.pay("cheap", 1000)
    cheap = imp.approve()
    done = shop.ask("POST", "/payments/complete", imp_uid=cheap.imp_uid, merchant_uid="order-2")
    assert (done[0], done[1]["status"]) == (400, "forgery")
    imp.pay("order-2", 1000)
    done = shop.ask(
        "POST", "/payments/complete", imp_uid=imp.approve().imp_uid, merchant_uid="order-2"
    )
    assert (done[0], done[1]["status"]) == (400, "forgery")
    forged = shop.ask(
        "POST", "/payments/webhook", imp_uid=cheap.imp_uid, merchant_uid="cheap", status="paid"
    )
    assert forged[0] == 401
    assert shop.parcels() == ["order-1"]
    # The cheap order's own webhook is late, and true.
    imp.webhooks.release()
    assert shop.parcels() == ["cheap", "order-1"]

    # An account waits for its deposit, and the money goes back.
    imp.pay("order-3", CHAIR, pay_method="vbank")
    waiting = imp.approve()
    done = shop.ask("POST", "/payments/complete", imp_uid=waiting.imp_uid, merchant_uid="order-3")
    assert (done[0], done[1]["status"]) == (200, "vbankIssued")
    assert "order-3" not in shop.parcels()
    imp.deposit()
    assert "order-3" in shop.parcels()
    imp.cancel(which=paid.imp_uid)
    done = shop.ask("POST", "/payments/complete", imp_uid=paid.imp_uid)
    assert done[1]["status"] == "cancelled"


SCRIPT = """
import os
import runpy

import flask_shop
import test_my_store
import told_shop

from naru.kit import Client
from naru.kit.orders.conformance import CHECKS

flask_shop.Base.metadata.create_all(flask_shop.engine)
for number in (1, 2):
    test_my_store.place(f"order-{number}", 64900, "KRW")
try:
    runpy.run_path("sweep.py")
except SystemExit as end:
    print("status", end.code)
key, secret = os.environ["IMP_KEY"], os.environ["IMP_SECRET"]
with Client(key, secret, base_url=os.environ["IMP_URL"]) as client:
    till = told_shop.told_till(client)
    for number in (1, 2, 3):
        till.finalise(f"imp_{number:012d}")
print(told_shop.sent)
for check in CHECKS:
    test_my_store.test_my_store(check)
print(len(CHECKS), "checks hold")
"""


def test_the_guides_sweep_messages_and_checks_do_what_it_says(
    folder: Path, gateway: StandInGateway
) -> None:
    gateway.pay("order-1", CHAIR)
    gateway.issue_account("order-2", CHAIR)
    double = gateway.pay("order-1", CHAIR)
    settings = {
        "DATABASE_URL": f"sqlite:///{folder / 'shop.sqlite3'}",
        "IMP_URL": gateway.url,
        "IMP_KEY": API_KEY,
        "IMP_SECRET": API_SECRET,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    swept, *rest = done.stdout.splitlines()
    assert swept.startswith("finished ['order-1'], findings [Finding(kind='double_payment'")
    assert rest == [
        "status 1",
        "order-2 waits for 신한은행 56211105948400",
        f"['order-2: waiting', 'double_payment: {double} (imp_uid)']",
        "9 checks hold",
    ]
    assert Shop("", str(folder / "shop.sqlite3"), "").parcels() == ["order-1"]

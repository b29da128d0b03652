"""Money code takes clock, ids and chance from its hands; otherwise no seed could decide a run."""

from __future__ import annotations

import ast
import datetime
import logging
import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.run import simulate
from tests.simulation.world import Plan

NARU = Path(__file__).parents[2] / "naru"
ROOMS = ("payments", "domain", "webhooks", "connectors", "store")
# Where the machine's own clock, chance and ids come from, and nothing else.
HANDS = {"domain/hands.py", "domain/ids.py"}
# What may stand there all the same, and why.
ALLOWED = {
    # Nonces and data keys: a hand of the keyring, whose default this is.
    ("store/seal.py", "os.urandom"),
}
FORBIDDEN = {
    "time": {"time", "monotonic", "time_ns", "monotonic_ns", "sleep"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "os": {"urandom", "getrandom"},
    "random": {"random", "randint", "uniform", "choice", "shuffle", "sample", "seed", "Random"},
    "uuid": {"uuid1", "uuid4"},
    "threading": {"Thread", "Timer"},
    "asyncio": {"to_thread"},
}
FORBIDDEN_MODULES = {"secrets", "uuid", "threading", "concurrent.futures"}


def breaches(path: Path, name: str) -> Iterator[str]:
    """What this file takes from the machine."""
    tree = ast.parse(path.read_text("utf-8"))
    types = {
        id(part)
        for node in ast.walk(tree)
        for note in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if note is not None
        for part in ast.walk(note)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            taken = [each.name for each in node.names if each.name in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            taken = [
                f"{node.module}.{each.name}"
                for each in node.names
                if node.module in FORBIDDEN_MODULES
                or (each.name in FORBIDDEN.get(node.module or "", ()) and node.module != "datetime")
            ]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = node.attr in FORBIDDEN.get(node.value.id, ()) and id(node) not in types
            taken = [f"{node.value.id}.{node.attr}"] if used else []
        else:
            continue
        for each in taken:
            if (name, each) not in ALLOWED:
                yield f"{name}:{node.lineno} {each}"


def test_money_code_reads_no_clock_and_throws_no_dice() -> None:
    found = [
        breach
        for room in ROOMS
        for path in sorted((NARU / room).rglob("*.py"))
        if (name := str(path.relative_to(NARU))) not in HANDS
        for breach in breaches(path, name)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import secrets\n",
        "from secrets import token_hex\n",
        "import time\nnow = time.time()\n",
        "import random\nx = random.uniform(0, 1)\n",
        "from datetime import datetime\nx = datetime.now()\n",
        "import os\nx = os.urandom(8)\n",
        "import asyncio\n\nasync def f():\n    await asyncio.to_thread(print)\n",
    ],
)
def test_the_reader_sees_each_of_them(text: str, tmp_path: Path) -> None:
    """The control: a file that takes something from the machine is found."""
    path = tmp_path / "guilty.py"
    path.write_text(text)
    assert list(breaches(path, "guilty.py"))


def test_a_simulation_runs_where_clocks_and_dice_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Callable[..., Any]:
        def do(*given: Any, **named: Any) -> Any:
            raise AssertionError(f"{name} was asked")

        return do

    class NoClock(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            raise AssertionError("datetime.now was asked")

    for module, names in (
        (time, ("time", "monotonic", "time_ns", "monotonic_ns", "sleep")),
        (random, ("random", "uniform", "randint", "choice", "shuffle")),
        (secrets, ("token_hex", "randbelow", "token_bytes")),
        (uuid, ("uuid4", "uuid1")),
        (threading, ("Thread",)),
        (os, ("urandom",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, refuse(f"{module.__name__}.{name}"))
    monkeypatch.setattr("naru.domain.hands.datetime", NoClock)
    # A line of a log is stamped with the machine's time, and decides nothing.
    logging.disable(logging.CRITICAL)
    try:
        result = simulate(Plan(3, tuple(range(25))))
    finally:
        logging.disable(logging.NOTSET)
    assert result.broken == []
    assert result.payments > 10

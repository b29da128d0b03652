"""Plant a defect in a copy of the house, and see whether the tests that should find it fail."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What the tests of a room read: never a whole checkout, which may hold gigabytes.
PARTS = ("naru", "tests", "tools", "docs", "pyproject.toml", "Makefile", "ARCHITECTURE.md")
SECONDS_MAX = 240
_SIMULATION = "simulation "


@dataclass(frozen=True, slots=True)
class Planted:
    """One defect. `before` stands in `file` exactly once, `after` stands there instead.

    `promise` is what it breaks: one of docs/reference/promises.tsv, or `security` for what guards
    them all. `by` is the tier that must find it: pytest's arguments, or `simulation N` for a
    deterministic simulation of N payments.
    """

    name: str
    promise: str
    file: str
    before: str
    after: str
    by: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `failed` names the first test that failed; `trouble` why nothing was proven."""

    seconds: float
    failed: str | None = None
    trouble: str | None = None


def patched(planted: Planted, root: Path = ROOT) -> str:
    """The text of the file with the defect in it. Raises ValueError when its place has moved."""
    text = (root / planted.file).read_text("utf-8")
    if text.count(planted.before) != 1:
        raise ValueError(
            f"{planted.name}: its text stands {text.count(planted.before)} times in {planted.file}"
        )
    return text.replace(planted.before, planted.after)


def copy_house(folder: Path) -> Path:
    """The house as it stands, in `folder`: what every planted tree is linked to."""
    base = folder / "healthy"
    base.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, base / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
        elif (ROOT / part).exists():
            shutil.copy2(ROOT / part, base / part)
    return base


def plant(planted: Planted, base: Path, folder: Path) -> Path:
    """A tree of its own with the defect in it; all other files are links to those of `base`."""
    text = patched(planted, base)
    shutil.copytree(
        base, folder, copy_function=os.link, ignore=shutil.ignore_patterns("__pycache__")
    )
    ill = folder / planted.file
    ill.unlink()
    ill.write_text(text, "utf-8")
    return folder


def run(by: str, tree: Path) -> Ended:
    """Run the tests `by` in this tree, and tell which failed first."""
    began = time.monotonic()
    if by.startswith(_SIMULATION):
        arguments = ["-m", "tests.simulation", "--payments", by.removeprefix(_SIMULATION)]
    else:
        options = ("-q", "-x", "--tb=no", "--no-header", "-p", "no:cacheprovider")
        arguments = ["-m", "pytest", *options, *by.split()]
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        _stop(process)
        return Ended(time.monotonic() - began, trouble=f"not ended after {SECONDS_MAX} s")
    return _read(said, process.returncode, time.monotonic() - began)


def _stop(process: subprocess.Popen[str]) -> None:
    # First as a person at the keyboard would, so that servers of the tests are stopped, too.
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _read(said: str, status: int, seconds: float) -> Ended:
    if status == 0:
        return Ended(seconds)
    if "runs failed" in said:
        return Ended(seconds, failed="a run of the simulation")
    failed = re.search(r"^FAILED (\S+?)(?:\[.*)?(?: - .*)?$", said, re.MULTILINE)
    if status == 1 and failed is not None:
        return Ended(seconds, failed=failed[1])
    # A tree that cannot even be imported or migrated proves nothing about the tests.
    return Ended(seconds, trouble=said.strip().rpartition("\n")[2][:200] or f"exit {status}")

"""Plant a defect in a copy of the house, and see whether the tests that should find it fail."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.postgres import SHARED

ROOT = Path(__file__).parents[2]
# What the tests of a room read: never a whole checkout, which may hold gigabytes.
PARTS = ("naru", "tests", "tools", "docs", "pyproject.toml", "Makefile", "ARCHITECTURE.md")
SECONDS_MAX = 240
# A simulation, a storm.
LONG_SECONDS_MAX = 600
# Who finds a defect: the first word of `by`, or else pytest.
SIMULATION, SEEDS, STORM = "simulation", "seeds", "storm"
_OWN = {
    SIMULATION: ("tests.simulation", "--payments"),
    SEEDS: ("tests.planted.seeds",),
    STORM: ("tests.planted.storm",),
}
_ROOMS = {SIMULATION: "tests/simulation", SEEDS: "tests/simulation", STORM: "tests/killing"}
# Plugins that nobody needs here cost a third of a short run.
_PYTEST = (
    *("-m", "pytest", "-q", "--tb=no", "--no-header"),
    *(
        word
        for name in ("cacheprovider", "hypothesispytest", "xdist")
        for word in ("-p", f"no:{name}")
    ),
)


@dataclass(frozen=True, slots=True)
class Planted:
    """One defect. `before` stands in `file` exactly once, `after` stands there instead.

    `promise` is what it breaks: one of docs/reference/promises.tsv (or several, after commas), or
    `security` for what guards them all. `by` is the tier that must find it: pytest's arguments,
    `simulation N` for a deterministic simulation of N payments, `seeds NAME` for one whose defect
    the simulation plants itself, `storm NAME` for kills over whole processes.
    """

    name: str
    promise: str
    file: str
    before: str
    after: str
    by: str

    @property
    def tier(self) -> str:
        """`simulation`, `seeds`, `storm`, or `pytest`."""
        word = self.by.partition(" ")[0]
        return word if word in _OWN else "pytest"

    @property
    def controls(self) -> tuple[str, ...]:
        """What must pass over the healthy house: each of its tests; a storm or the seeds as a whole."""
        match self.tier:
            case "pytest":
                return tuple(self.by.split())
            case "simulation":
                return (self.by,)
        return (self.tier,)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `failed` names the first test that failed; `trouble` why nothing was proven."""

    seconds: float
    failed: str | None = None
    trouble: str | None = None


class Lane:
    """Where runs follow one another: a warm pytest, and a PostgreSQL that nobody else uses meanwhile.

    `server` is its socket folder. As a context manager it ends with the block.
    """

    def __init__(self, server: Path) -> None:
        self.server = server
        self._log = Path(tempfile.mkstemp(prefix="naru-planted-", suffix=".log")[1])
        self._warm = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("warm.py"))],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._warm.communicate()
        self._log.unlink()

    def pytest(
        self, arguments: Sequence[str], tree: Path, environment: Mapping[str, str]
    ) -> tuple[str, int]:
        """What a pytest in this tree said, and its status."""
        asked = {
            "tree": str(tree),
            "arguments": list(arguments),
            "environment": dict(environment),
            "log": str(self._log),
            "seconds": SECONDS_MAX,
        }
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._warm.stdin.write(json.dumps(asked) + "\n")
        self._warm.stdin.flush()
        status = int(self._warm.stdout.readline())
        return self._log.read_text("utf-8", "replace"), status


def patched(planted: Planted, root: Path = ROOT) -> str:
    """The text of the file with the defect in it. Raises ValueError when its place has moved."""
    text = (root / planted.file).read_text("utf-8")
    if text.count(planted.before) != 1:
        raise ValueError(
            f"{planted.name}: its text stands {text.count(planted.before)} times in {planted.file}"
        )
    return text.replace(planted.before, planted.after)


def mark(planted: Planted, root: Path = ROOT) -> str:
    """Eight hex digits of the defect, its file and its tests: a verdict is about these and no others."""
    whole = hashlib.sha256(repr((planted.before, planted.after, planted.by)).encode())
    whole.update((root / planted.file).read_bytes())
    if planted.tier == "pytest":
        for part in planted.by.split():
            whole.update(_source(part, root).encode())
    else:
        for file in sorted((root / _ROOMS[planted.tier]).glob("*.py")):
            whole.update(file.read_bytes())
    return whole.hexdigest()[:8]


def _source(test: str, root: Path) -> str:
    """The text of one test with its decorators; of a whole file when no test is named."""
    file, _, name = test.partition("::")
    text = (root / file).read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return text


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
    """A tree of its own with the defect in it; all other files are links to those of `base`.

    What the controls have compiled is linked, too, which saves seconds of every run. Python and
    pytest replace such files and never write into them. The simulation plants its own defects.
    """
    if planted.tier == SEEDS:
        return base
    text = patched(planted, base)
    shutil.copytree(base, folder, copy_function=os.link)
    ill = folder / planted.file
    for compiled in (ill.parent / "__pycache__").glob(f"{ill.stem}.*"):
        compiled.unlink()
    ill.unlink()
    ill.write_text(text, "utf-8")
    return folder


def run(by: str, tree: Path, lane: Lane | None = None) -> Ended:
    """Run the tests `by` in this tree, and tell which failed first."""
    word, _, rest = by.partition(" ")
    if word in _OWN:
        arguments = ["-m", *_OWN[word], *([rest] if rest else [])]
    else:
        arguments = [*_PYTEST, "-x", *by.split()]
    said, status, seconds = _call(arguments, tree, lane)
    if status is None:
        return Ended(seconds, trouble=f"not ended after {seconds:.0f} s")
    return _read(said, status, seconds)


def run_controls(
    parts: Sequence[str], tree: Path, lane: Lane | None = None
) -> Iterator[tuple[str, Ended]]:
    """Each of these tests of one file over a healthy tree; whichever fails has one more try alone."""
    if len(parts) == 1 and parts[0].partition(" ")[0] in _OWN:
        yield parts[0], run(parts[0], tree, lane)
        return
    said, status, seconds = _call([*_PYTEST, "-rfEp", *parts], tree, lane)
    for part in parts:
        ended = _control(part, said, seconds)
        if status is None or ended.failed or ended.trouble:
            said_alone, _, alone = _call([*_PYTEST, "-rfEp", part], tree)
            ended = _control(part, said_alone, alone)
        yield part, ended


def _control(part: str, said: str, seconds: float) -> Ended:
    passed = 0
    for verdict, test, parameters in re.findall(
        r"^(PASSED|FAILED|ERROR) (\S+?::\w+)(\[.*?\])?(?: - .*)?$", said, re.MULTILINE
    ):
        if part in (test, test + parameters, test.partition("::")[0]):
            if verdict != "PASSED":
                return Ended(seconds, failed=test + parameters)
            passed += 1
    if not passed:
        return Ended(seconds, trouble=f"{part}: none passed ({_last(said)})")
    return Ended(seconds)


def _call(
    arguments: Sequence[str], tree: Path, lane: Lane | None = None
) -> tuple[str, int | None, float]:
    began = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "NARU_NIGHTLY"}
    environment["PYTHONPATH"] = str(tree)
    if lane is not None and arguments[:2] == ["-m", "pytest"]:
        if not any(_rules_its_server(each, tree) for each in arguments):
            environment[SHARED] = str(lane.server)
        said, status = lane.pytest(arguments[2:], tree, environment)
        seconds = time.monotonic() - began
        return said, None if seconds > SECONDS_MAX else status, seconds
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=LONG_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        _stop(process)
        return "", None, time.monotonic() - began
    except BaseException:
        _stop(process)
        raise
    return said, process.returncode, time.monotonic() - began


def _rules_its_server(argument: str, tree: Path) -> bool:
    """Does this test change what belongs to the whole server, or read its files?"""
    file = tree / argument.partition("::")[0]
    if file.suffix != ".py":
        return False
    text = file.read_text("utf-8")
    return any(word in text for word in ("ALTER SYSTEM", "databases.server", "postgres_server"))


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
    if found := re.search(r"^FOUND: (.+)$", said, re.MULTILINE):
        return Ended(seconds, failed=found[1])
    if broken := re.search(r"^.* ([1-9]\d*) runs failed$", said, re.MULTILINE):
        return Ended(seconds, failed=f"the simulation, {broken[1]} runs")
    failed = re.search(r"^FAILED (\S+?)(?:\[.*)?(?: - .*)?$", said, re.MULTILINE)
    if status == 1 and failed is not None:
        return Ended(seconds, failed=failed[1])
    # A tree that cannot even be imported or migrated proves nothing about the tests.
    return Ended(seconds, trouble=_last(said) or f"exit {status}")


def _last(said: str) -> str:
    return said.strip().rpartition("\n")[2][:200]

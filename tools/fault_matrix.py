"""Write docs/reference/reliability.md's tables: each promise and each cell of the fault matrix with its tests.

The matrix is small enough to be seen at once; the tests of a row are folded under it.

    python -m tools.fault_matrix            write the tables
    python -m tools.fault_matrix --check    exit status 1 when they are stale

A test says what it proves: `@pytest.mark.fault("C2_LR")`, `@pytest.mark.promise("P2")`. The tests are
collected, not searched for, so marks on parameters count as well. A cell without a test stays empty.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tools.write_docs import table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "reliability.md"
CELLS = ROOT / "docs" / "reference" / "fault-matrix.tsv"
PROMISES = ROOT / "docs" / "reference" / "promises.tsv"
MONEY_ROWS = "BCFIK"
MONEY_FAULTS = ("CB", "CA", "DU", "LR", "SL", "WD")
BEGIN, END = "<!-- from the tests: proofs -->\n", "<!-- end -->"


class Cell(NamedTuple):
    """One live cell of the matrix: a fault at a step."""

    step: str
    what: str
    fault: str
    outcome: str


Proofs = dict[str, list[str]]


class _Collector:
    """A pytest plugin that keeps what is marked: name of the mark's argument -> test ids."""

    def __init__(self) -> None:
        self.faults: Proofs = defaultdict(list)
        self.promises: Proofs = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("fault"):
                for cell in mark.args:
                    self.faults[cell].append(item.nodeid)
            for mark in item.iter_markers("promise"):
                for name in mark.args:
                    self.promises[name].append(item.nodeid)


def collect() -> tuple[Proofs, Proofs]:
    """Test ids by cell and by promise. Raises SystemExit when the tests cannot be collected."""
    collector = _Collector()
    ended = pytest.main(
        ["--collect-only", "-qq", "-p", "no:xdist", "-W", "ignore"], plugins=[collector]
    )
    if ended != 0:
        raise SystemExit(f"the tests cannot be collected (pytest: {ended})")
    return collector.faults, collector.promises


def cells() -> list[Cell]:
    """The live cells, in the order of the plan."""
    with CELLS.open(encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Cell(row["step"], row["what"], row["fault"], row["code"]) for row in rows]


def promises() -> list[tuple[str, str, str]]:
    """Name, sentence, and what keeps it."""
    with PROMISES.open(encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["promise"], row["sentence"], row["kept by"]) for row in rows]


def written(faults: Proofs, proven: Proofs) -> str:
    """The generated part of the page. Raises SystemExit for a mark that names no cell or promise."""
    plan = cells()
    known = {f"{cell.step}_{cell.fault}" for cell in plan}
    wrong = sorted(set(faults) - known) + sorted(set(proven) - {row[0] for row in promises()})
    if wrong:
        raise SystemExit(f"marked, but not in the plan: {', '.join(wrong)}")
    columns = list(dict.fromkeys(cell.fault for cell in plan))
    steps = list(dict.fromkeys((cell.step, cell.what) for cell in plan))
    live = {(cell.step, cell.fault): cell.outcome for cell in plan}

    proofs = {
        (cell.step, cell.fault): sorted(set(faults.get(f"{cell.step}_{cell.fault}", [])))
        for cell in plan
    }
    files = sorted({test.partition("::")[0] for tests in proofs.values() for test in tests})
    number = {file: n for n, file in enumerate(files, 1)}

    def shown(step: str, fault: str) -> str:
        if (step, fault) not in live:
            return "·"
        if not proofs[step, fault]:
            return ""
        return f"[{live[step, fault]}][{number[proofs[step, fault][0].partition('::')[0]]}]"

    def counted(cells: Iterable[tuple[str, str]]) -> str:
        found = [bool(proofs[cell]) for cell in cells]
        return f"{sum(found)}/{len(found)}"

    money = [
        (cell.step, cell.fault)
        for cell in plan
        if cell.step[0] in MONEY_ROWS and cell.fault in MONEY_FAULTS
    ]
    return "\n".join(
        (
            "## Promises",
            "",
            table(
                ("", "promise", "kept by", "tests"),
                (
                    (f"**{name}**", sentence, keeper, _files(proven.get(name, [])))
                    for name, sentence, keeper in promises()
                ),
            ),
            "",
            "## Fault matrix",
            "",
            f"{counted(live)} cells have a test; of the cells of the money rows (B, C, F, I, K) for "
            f"crash before, crash after, duplicate, lost answer, slow and wrong data, {counted(money)} "
            "have one.",
            "",
            table(
                ("", *columns, "tested"),
                (
                    *(
                        (
                            f"**{step}**",
                            *(shown(step, fault) for fault in columns),
                            counted(cell for cell in live if cell[0] == step),
                        )
                        for step, _ in steps
                    ),
                    (
                        "tested",
                        *(counted(cell for cell in live if cell[1] == fault) for fault in columns),
                        counted(live),
                    ),
                ),
            ),
            "",
            "## The tests of each row",
            "",
            *(
                _row(
                    step, what, {fault: proofs[step, fault] for _, fault in _of(live, step)}, number
                )
                for step, what in steps
            ),
            *(f"[{n}]: ../../{file}" for file, n in number.items()),
            "",
        )
    )


def _of(cells: Iterable[tuple[str, str]], step: str) -> list[tuple[str, str]]:
    """The cells of one row."""
    return [cell for cell in cells if cell[0] == step]


def _row(step: str, what: str, proofs: Proofs, number: dict[str, int]) -> str:
    """One row's tests, folded: a line per file, behind the faults that its tests prove."""
    tests = {test for found in proofs.values() for test in found}
    lines = []
    for fault, found in proofs.items():
        by_file: Proofs = defaultdict(list)
        for test in found:
            file, _, name = test.partition("::")
            by_file[file].append(name.partition("[")[0].removeprefix("test_").replace("_", " "))
        lines.append(
            f"- **{fault}** "
            + (
                "; ".join(
                    f"[{Path(file).stem.removeprefix('test_')}][{number[file]}]: "
                    + ", ".join(dict.fromkeys(names))
                    for file, names in by_file.items()
                )
                or "no test"
            )
        )
    cases = f"{len(tests)} test" + ("" if len(tests) == 1 else "s")
    tested = f"{sum(map(bool, proofs.values()))} of {len(proofs)}"
    return "\n".join(
        (
            f"<details><summary><b>{step}</b> {what}: {tested}, {cases}</summary>",
            "",
            *lines,
            "",
            "</details>",
            "",
        )
    )


def _files(tests: Iterable[str]) -> str:
    """Links to the files of these tests."""
    files = sorted({test.partition("::")[0] for test in tests})
    return ", ".join(f"[{Path(file).stem.removeprefix('test_')}](../../{file})" for file in files)


def counted(head: str) -> str:
    """The page's own text with how many breakages and statements its two lists hold; after `collect`."""
    breakages = len(sys.modules["tests.store.test_audit"].PLANTS)
    attacks = len(sys.modules["tests.store.test_attacks"].ATTACKS)
    head = re.sub(r"\d+ planted breakages", f"{breakages} planted breakages", head)
    return re.sub(r"\d+ of \d+ (refused|accepted)", rf"{attacks} of {attacks} \1", head)


def main(words: list[str]) -> int:
    """Write the page, or with --check compare it. Exit status 1: stale."""
    before = PAGE.read_text("utf-8")
    head, _, rest = before.partition(BEGIN)
    _, _, tail = rest.partition(END)
    proofs = collect()
    after = counted(head) + BEGIN + "\n" + written(*proofs) + END + tail
    if "--check" in words:
        return int(after != before)
    PAGE.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

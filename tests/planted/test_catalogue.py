"""The catalogue fits today's code, and its fastest defects are found here and now."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.planted.__main__ import judge
from tests.planted.catalogue import CATALOGUE
from tests.planted.page import read_rows
from tests.planted.run import ROOT, Ended, Planted, copy_house, patched, plant, run

# Of one quick file each, so that three controls are enough.
FASTEST = {
    "a checksum is not compared": "tests/domain/test_cancellation.py",
    "half a won is rounded": "tests/domain/test_money.py",
    "the kit does not compare: amount": "tests/kit/test_verify.py",
}


def test_every_defect_fits_todays_code() -> None:
    """One whose place has moved would be planted nowhere, and nobody would know."""
    moved = []
    for planted in CATALOGUE:
        try:
            text = patched(planted)
        except ValueError as error:
            moved.append(str(error))
            continue
        if planted.file.endswith(".py"):
            compile(text, planted.file, "exec")
    assert moved == []


def test_the_catalogue_is_well_formed() -> None:
    assert len(CATALOGUE) >= 60
    assert [
        name for name, times in Counter(each.name for each in CATALOGUE).items() if times > 1
    ] == []
    promises = {
        line.split("\t")[0]
        for line in (ROOT / "docs/reference/promises.tsv").read_text("utf-8").splitlines()[1:]
    }
    assert {each.promise for each in CATALOGUE} <= promises | {"security"}
    for planted in CATALOGUE:
        assert planted.before != planted.after
        assert "|" not in planted.name
        for part in planted.by.split():
            file = part.partition("::")[0]
            assert part == "simulation" or part.isdigit() or (ROOT / file).is_file(), planted.name


def test_the_page_tells_of_every_defect() -> None:
    """Run `python -m tests.planted --write NAME` for a new one."""
    told = {row.name: row for row in read_rows()}
    assert list(told) == [each.name for each in CATALOGUE]
    for planted in CATALOGUE:
        assert (told[planted.name].promise, told[planted.name].file) == (
            planted.promise,
            planted.file,
        )


def test_the_fastest_are_found(tmp_path: Path) -> None:
    base = copy_house(tmp_path)
    for number, (name, by) in enumerate(FASTEST.items()):
        [planted] = [each for each in CATALOGUE if each.name == name]
        control = run(by, base)
        row = judge(planted, run(by, plant(planted, base, tmp_path / str(number))), [control])
        assert row.verdict == "found", (row, control)


@pytest.mark.parametrize(
    ("ended", "control", "verdict"),
    [
        (Ended(1.0), Ended(1.0), "survived"),
        (Ended(1.0, failed="t.py::t"), Ended(1.0), "found"),
        (Ended(1.0, failed="t.py::t"), Ended(1.0, failed="t.py::t"), "nothing proven: the control"),
        (Ended(1.0, trouble="it cannot be imported"), Ended(1.0), "nothing proven: it cannot"),
    ],
)
def test_found_means_failed_here_and_passed_there(
    ended: Ended, control: Ended, verdict: str
) -> None:
    planted = Planted("a name", "P1", "naru/app.py", "a", "b", "tests/test_wire.py")
    assert judge(planted, ended, [control]).verdict.startswith(verdict)


def test_a_tree_that_cannot_be_imported_is_not_found(tmp_path: Path) -> None:
    base = copy_house(tmp_path)
    broken = Planted(
        "a file that is none",
        "P9",
        "naru/domain/money.py",
        "class Money:",
        "class Money::",
        "tests/domain/test_money.py",
    )
    ended = run(broken.by, plant(broken, base, tmp_path / "broken"))
    assert ended.failed is None
    assert ended.trouble is not None

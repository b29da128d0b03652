"""The catalogue fits today's code, and its fastest defects are found here and now."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.planted.__main__ import CATALOGUE as WHOLE
from tests.planted.__main__ import judge
from tests.planted.catalogue import CATALOGUE
from tests.planted.page import Row, is_fresh, read_rows
from tests.planted.run import (
    ROOT,
    Ended,
    Planted,
    copy_house,
    mark,
    patched,
    plant,
    run,
    run_controls,
)

# Of one quick file each, so that three controls are enough.
FASTEST = (
    "a checksum is not compared",
    "half a won is rounded",
    "the kit does not compare: amount",
)
# Promises that nothing of ours can break yet.
NOT_YET: set[str] = set()


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
    assert [name for name, times in Counter(each.name for each in WHOLE).items() if times > 1] == []
    promises = {
        line.split("\t")[0]
        for line in (ROOT / "docs/reference/promises.tsv").read_text("utf-8").splitlines()[1:]
    }
    broken = {promise for each in CATALOGUE for promise in each.promise.split(", ")}
    assert broken <= promises | {"security"}
    assert promises - broken == NOT_YET, "a promise that no planted bug breaks is not proven"
    for planted in WHOLE:
        assert planted.before != planted.after or planted.file.endswith("schema.sql")
        assert "|" not in planted.name
        assert (ROOT / planted.file).is_file()
        if planted.tier == "pytest":
            for part in planted.by.split():
                file, _, test = part.partition("::")
                assert f"def {test}(" in (ROOT / file).read_text("utf-8"), planted.name


def test_the_page_tells_of_every_defect() -> None:
    """Run `python -m tests.planted --write NAME` for a new one."""
    told = {row.name: row for row in read_rows()}
    assert list(told) == [each.name for each in WHOLE]
    for planted in WHOLE:
        assert (told[planted.name].promise, told[planted.name].file) == (
            planted.promise,
            planted.file,
        )


def test_a_row_is_about_its_defect_its_file_and_its_tests(tmp_path: Path) -> None:
    [planted] = [each for each in CATALOGUE if each.name == FASTEST[0]]
    base = copy_house(tmp_path)
    row = Row(planted.name, planted.promise, planted.file, "found", "", "", mark(planted, base))
    assert is_fresh(row, planted)
    assert not is_fresh(row._replace(verdict="survived"), planted)
    assert not is_fresh(row, replace(planted, after="pass"))
    file, _, test = planted.by.partition("::")
    for where, old, new in ((planted.file, "import", "import "), (file, f"def {test}(", "def x(")):
        before, text = mark(planted, base), (base / where).read_text("utf-8")
        (base / where).write_text(text.replace(old, new, 1), "utf-8")
        assert mark(planted, base) != before, where


def test_the_fastest_are_found(tmp_path: Path) -> None:
    base = copy_house(tmp_path)
    for number, name in enumerate(FASTEST):
        [planted] = [each for each in CATALOGUE if each.name == name]
        [(part, control)] = run_controls(planted.controls, base)
        assert part == planted.by
        row = judge(
            planted, run(planted.by, plant(planted, base, tmp_path / str(number))), [control]
        )
        assert row.verdict == "found", (row, control)


def test_a_control_is_of_the_tests_that_ran_and_passed(tmp_path: Path) -> None:
    """Two that pass, one that fails, one that is skipped, one that does not exist."""
    base = copy_house(tmp_path)
    (base / "tests/test_five.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('what', ['a b', 'c - d'])\n"
        "def test_good(what): pass\n"
        "def test_bad(): assert False\n"
        "@pytest.mark.skip\n"
        "def test_skipped(): pass\n"
    )
    names = ("good", "bad", "skipped")
    parts = [f"tests/test_five.py::test_{name}" for name in names]
    ended = dict(run_controls(parts, base))
    assert [bool(each.failed or each.trouble) for each in ended.values()] == [False, True, True]
    assert list(ended) == parts
    assert ended[parts[1]].failed == parts[1]
    [(_, gone)] = run_controls(["tests/test_five.py::test_gone"], base)
    assert gone.trouble


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

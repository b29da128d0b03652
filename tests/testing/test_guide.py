"""docs/guide/testing.md runs as it is printed, and its Korean page prints the same programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.support.processes import BYTECODE
from tests.testing.test_plugin import run_pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def programs(page: str) -> dict[str, str]:
    """The files that a page's Python blocks make, each named by its first line."""
    found: defaultdict[str, str] = defaultdict(str)
    text = (GUIDE / page).read_text("utf-8")
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first, rest = block.split("\n", 1)
        found[first.removeprefix("# ")] += rest
    return dict(found)


def test_the_guide_runs(tmp_path: Path) -> None:
    files = programs("testing.md")
    assert sorted(files) == ["shop.py", "test_async.py", "test_shop.py", "without_pytest.py"]
    for name in ("shop.py", "test_async.py"):
        (tmp_path / name).write_text(files[name])
    done = run_pytest(tmp_path, files["test_shop.py"], "-o", "pythonpath=.")
    tests = sum(text.count("def test_") for text in files.values())
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tests} passed" in done.stdout


def test_the_guides_program_runs_without_pytest() -> None:
    done = subprocess.run(
        [sys.executable, "-c", programs("testing.md")["without_pytest.py"]],
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(BYTECODE), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert re.match(r"True http://127\.0\.0\.1:\d+ http://127\.0\.0\.1:\d+\n$", done.stdout), done


def test_both_languages_print_the_same_programs_and_sections() -> None:
    assert programs("testing.ko.md") == programs("testing.md")
    english, korean = (
        (GUIDE / name).read_text("utf-8") for name in ("testing.md", "testing.ko.md")
    )
    for mark in (r"^## ", r"^\| ", r"^- ", r"^```"):
        count = len(re.findall(mark, english, re.MULTILINE))
        assert len(re.findall(mark, korean, re.MULTILINE)) == count, mark

"""The two languages of the guide print the same shop, say as much as each other, and are typed strictly."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guide.pages import CHAPTERS, GUIDE, ROOT, blocks, chapter, files, write_shop


@pytest.mark.parametrize("name", [*CHAPTERS, "README"])
def test_both_languages_have_the_same_blocks_and_sections(name: str) -> None:
    assert chapter(name) == chapter(name, korean=True)
    english, korean = (
        (GUIDE / f"{name}{suffix}").read_text("utf-8") for suffix in (".md", ".ko.md")
    )
    for mark in (r"^#+ ", r"^\| ", r"^- ", r"^> ", r"!\[|<img ", r"\]\("):
        count = len(re.findall(mark, english, re.MULTILINE))
        assert len(re.findall(mark, korean, re.MULTILINE)) == count, mark


def test_every_chapter_leads_to_the_next_and_is_in_the_index() -> None:
    for suffix in (".md", ".ko.md"):
        index = (GUIDE / f"README{suffix}").read_text("utf-8")
        for before, after in itertools.pairwise(CHAPTERS):
            first = (GUIDE / f"{before}{suffix}").read_text("utf-8").split("\n## ")[0]
            assert f"({after}{suffix})" in first
        assert [f"({name}{suffix})" in index for name in CHAPTERS] == [True] * len(CHAPTERS)


def test_every_block_is_a_file_or_a_command() -> None:
    """So that a block which nobody can type cannot come in; a second language is not a second shop."""
    commands = {"sh"}
    for name in CHAPTERS:
        for block in blocks(GUIDE / f"{name}.md"):
            assert block.file is not None or block.language in commands, block.text
    assert set(files()) >= {"shop.py", "till.py", "orders.py", "static/pay.js", "finalise.mjs"}


def test_the_shop_is_typed_strictly(tmp_path: Path) -> None:
    """Nothing is forgiven. The control: the same shop with one mistake."""
    write_shop(tmp_path)
    right = (tmp_path / "till.py").read_text("utf-8")
    wrong = right.replace("payment.fail_reason", "payment.no_such_thing")
    (tmp_path / "wrong.py").write_text(wrong, "utf-8")
    sources = sorted(str(path) for path in tmp_path.glob("*.py"))
    done = subprocess.run(
        # From here, so that what `make check` found out is not found out again.
        [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", *sources],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    mistakes = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(mistakes) == 1, done.stdout + done.stderr
    assert "wrong.py" in mistakes[0]
    assert 'has no attribute "no_such_thing"' in mistakes[0]

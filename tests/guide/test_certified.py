"""The guide's shop, typed off its pages, is attacked by the command that the pages print.

Here by a few attacks of each kind, at night by all.
"""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path

import pytest

from naru.certifier.attacks import ATTACKS
from naru.cli.main import main
from tests.guide.pages import ROOT, blocks, chapter, write_shop
from tests.support.scale import often

SOME = ("honest-callback", "order-swap", "ready-as-paid")


def test_the_guides_shop_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = [each.text.strip() for each in chapter("certify") if each.language == "sh"]
    [readme] = [each.text.strip() for each in blocks(ROOT / "README.md") if each.language == "sh"]
    assert readme == line
    page = blocks(ROOT / "docs" / "reference" / "certifier.md")
    assert "naru certify --adapter shop.toml" in [
        printed for each in page for printed in each.text.splitlines()
    ]

    monkeypatch.chdir(write_shop(tmp_path))
    naru, *words = shlex.split(line)
    assert naru == "naru"
    some = [f"--attack={name}" for name in SOME[: often(len(SOME), 0)]]
    status = main([*words, "--seed", "1", "--json", "report.json", *some])
    said = capsys.readouterr()
    report = json.loads(Path("report.json").read_text("utf-8"))
    broken = [each for each in report["attacks"] if each["verdict"] != "held"]
    assert (status, broken) == (0, []), said.out
    assert len(report["attacks"]) == often(len(SOME), len(ATTACKS))
    assert "<!doctype html>" in Path("report.html").read_text("utf-8").lower()[:200]


def test_among_the_certified_shops_it_stands_as_printed() -> None:
    """tests/certifier tries everything on it: the same adapter, but for how it is started and called."""
    [printed] = [each.text for each in chapter("certify") if each.file == "shop.toml"]
    there = (ROOT / "tests/certifier/shops/guide/shop.toml").read_text("utf-8")
    mine, theirs = tomllib.loads(printed), tomllib.loads(there)
    for adapter in (mine, theirs):
        del adapter["shop"]["name"], adapter["shop"]["start"]
    assert mine == theirs

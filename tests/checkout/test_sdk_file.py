"""The served SDK file: one function, readable by old browsers, with the table of the PGs inside."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from naru.checkout.sdk_file import PARTS, join_sdk
from naru.domain.pg_profile import PROFILES

FOLDER = Path(__file__).parents[2] / "naru" / "checkout" / "sdk"


def test_the_two_files_differ_in_their_generation_only() -> None:
    old, new = join_sdk("old"), join_sdk("new")

    assert old.plain.replace(b'"old";', b'"new";', 1) == new.plain
    assert old.etag != new.etag
    assert gzip.decompress(old.gzipped) == old.plain
    assert len(old.gzipped) < 15 * 1024


def test_the_window_modes_are_those_of_the_pgs() -> None:
    match = re.search(rb"var WINDOW_MODES = (\{.*\});\n", join_sdk("old").plain)
    assert match is not None
    assert json.loads(match[1]) == {code: each.to_sdk() for code, each in PROFILES.items()}


def test_only_comments_are_left_out() -> None:
    served = join_sdk("old").plain.decode()
    lines = served.splitlines()

    assert not [line for line in lines[1:] if re.fullmatch(r"\s*(//.*|\*.*|/\*\*.*\*/)", line)]
    for part in PARTS:
        source = (FOLDER / part).read_text(encoding="utf-8")
        for function in re.findall(r"^function (\w+)\(", source, re.MULTILINE):
            assert f"function {function}(" in served


@pytest.mark.parametrize("part", PARTS)
def test_the_source_uses_the_syntax_of_es5(part: str) -> None:
    source = (FOLDER / part).read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/|^\s*//.*$", "", source, flags=re.DOTALL | re.MULTILINE)

    newer = r"=>|`|\b(?:const|let|class|async|await|import|export)\s|\.\.\.|\?\?|\?\."
    assert re.findall(newer, code) == []

"""What stands on the guide's pages: fenced blocks, and the files that they make together."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
CHAPTERS = (
    "0-authenticated-payment",
    "1-add-the-library",
    "2-init",
    "3-request-a-payment",
    "4-a-callback",
    "4-b-redirect",
    "5-verify",
    "6-finish",
    "certify",
)
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
_FILE = re.compile(r"(?:#|//|--|/\*|<!--) ([\w./]+\.\w+)(?: \*/| -->)?")


@dataclass(frozen=True)
class Block:
    """One fenced block. `file` is named by a comment in its first line, which is no part of `text`."""

    language: str
    file: str | None
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    return read_blocks(page.read_text("utf-8"))


def read_blocks(markdown: str) -> list[Block]:
    """The fenced blocks of a text, in their order."""
    found = []
    for match in _FENCE.finditer(markdown):
        first, _, rest = match["text"].partition("\n")
        named = _FILE.fullmatch(first)
        text = rest if named else match["text"]
        found.append(Block(match["language"], named[1] if named else None, text))
    return found


def chapter(name: str, korean: bool = False) -> list[Block]:
    """The blocks of one chapter."""
    return blocks(GUIDE / (f"{name}.ko.md" if korean else f"{name}.md"))


def files(last: str = CHAPTERS[-1]) -> dict[str, str]:
    """The shop: what a reader has who typed all chapters, or those until `last`.

    A file that comes again goes on.
    """
    written: defaultdict[str, list[str]] = defaultdict(list)
    for name in CHAPTERS[: CHAPTERS.index(last) + 1]:
        for block in chapter(name):
            if block.file is not None:
                written[block.file].append(block.text)
    return {name: "\n".join(texts) for name, texts in written.items()}


def write_shop(folder: Path, last: str = CHAPTERS[-1]) -> Path:
    """Save the shop's files as a reader would, and give the folder back."""
    for name, text in files(last).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder

"""Small shops that the certifier is tried on: broken ones and correct ones, as shops.tsv says."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class SmallShop:
    """One line of shops.tsv. `breaks` are ids of rules, none for a correct shop; `found_by` names
    attacks that are there for this very mistake."""

    name: str
    breaks: frozenset[str]
    found_by: tuple[str, ...]
    why: str

    @property
    def adapter(self) -> Path:
        """Its shop.toml."""
        return HERE / self.name / "shop.toml"

    @property
    def needs_node(self) -> bool:
        """Is it written in JavaScript?"""
        return (self.adapter.parent / "shop.js").exists()


def small_shops() -> list[SmallShop]:
    """All of them, in the order of the table."""
    with (HERE / "shops.tsv").open(encoding="utf-8", newline="") as table:
        return [
            SmallShop(
                row["shop"],
                frozenset(() if row["breaks"] == "correct" else row["breaks"].split()),
                tuple(row["found_by"].split()),
                row["why"],
            )
            for row in csv.DictReader(table, delimiter="\t")
        ]

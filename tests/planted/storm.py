"""`python -m tests.planted.storm [NAME]`: does a storm see the defect NAME that stands in this tree?

Ends with 1 when the audit afterwards finds what tests/killing/plants.py says of that defect. Without a
name it may find nothing: the control.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

from tests.killing.plants import PLANTS, look_for


def main(names: list[str]) -> int:
    planted = {each.name: each for each in PLANTS}[names[0]] if names else None
    # The defect stands in this very tree.
    report = asyncio.run(look_for(planted, None))
    rules = Counter(each.rule for each in report.findings)
    print(report.line())
    if planted is None:
        print("\n".join(map(str, report.findings)))
    if seen := set(rules) & planted.found_by if planted else set(rules):
        print(f"FOUND: audit after {report.kills} kills ({', '.join(sorted(seen))})")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

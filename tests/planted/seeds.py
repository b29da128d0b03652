"""`python -m tests.planted.seeds [NAME]`: does the simulation see its own planted defect NAME?

Ends with 1 at the first seed in which a promise of that defect is broken. Without a name no seed may
break any promise, wherever processes fall asleep for a defect: the control.
"""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from itertools import product

from tests.simulation.planted import CATALOGUE
from tests.simulation.run import simulate
from tests.simulation.world import Plan

SEEDS = 30
# What meets rarely meets elsewhere in a smaller crowd: half of them are other plans, not parts of these.
CROWDS = (300, 150)


def main(names: list[str]) -> int:
    planted = {each.name: each for each in CATALOGUE}[names[0]] if names else None
    logging.disable(logging.WARNING)
    sleeps = [planted.sleeps] if planted else sorted({each.sleeps for each in CATALOGUE})
    with planted.apply() if planted else nullcontext():
        for where, seed, buyers in product(sleeps, range(SEEDS), CROWDS):
            plan = Plan(seed, tuple(range(buyers)), sleeps=where)
            broken = {each.promise for each in simulate(plan).broken}
            if seen := broken & set(planted.promises) if planted else broken:
                print(f"FOUND: seed {seed} of the simulation ({', '.join(sorted(seen))})")
                return 1
    print(f"{SEEDS} seeds, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

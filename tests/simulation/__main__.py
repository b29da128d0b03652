"""`python -m tests.simulation --payments 1000000 --seed 1 --processes 2`: run, and explain what breaks.

`--one SEED` with `--buyers` and `--faults` repeats one run, as a failure prints it.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time

from tests.simulation.campaign import BUYERS, campaign
from tests.simulation.run import explain, simulate
from tests.simulation.world import FAULTS, Plan


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--payments", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--one", type=int, help="run this seed only")
    parser.add_argument("--buyers", default="", help="numbers of those who take part")
    parser.add_argument("--faults", default=",".join(FAULTS))
    given = parser.parse_args()
    if given.one is not None:
        buyers = tuple(int(each) for each in given.buyers.split(",") if each) or tuple(
            range(BUYERS)
        )
        faults = tuple(each for each in given.faults.split(",") if each)
        result = simulate(Plan(given.one, buyers, faults))
        print(f"{result.payments} payments, trace {result.hash:08x}")
        if result.broken:
            print(explain(result))
        return 1 if result.broken else 0
    gc.freeze()
    began, cpu = time.perf_counter(), time.process_time()
    done, counts, failed = campaign(given.seed, given.payments, given.processes)
    seconds = time.perf_counter() - began
    print(f"{done} payments in {seconds:.0f} s ({done / seconds:.0f}/s), {len(failed)} runs failed")
    if given.processes == 1:
        print(f"{done / (time.process_time() - cpu):.0f} payments per second of CPU")
    print(", ".join(f"{what}: {number:.0f}" for what, number in sorted(counts.items())))
    for result in failed[:3]:
        print(explain(result))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

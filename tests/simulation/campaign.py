"""Many runs of the simulation, in one process or several."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from multiprocessing import get_context

from tests.simulation.run import Result, simulate
from tests.simulation.world import Plan

BUYERS = 300
SEEDS_AT_ONCE = 20


def campaign(
    seed: int, payments: int, processes: int = 1
) -> tuple[int, Counter[str], list[Result]]:
    """Runs of rising seeds until `payments` were made. Answers how many, what went wrong, failures."""
    done, counts, failed = 0, Counter[str](), []
    if processes == 1:
        while done < payments and not failed:
            made, seen, broken = _runs(range(seed, seed + 1))
            done, seed = done + made, seed + 1
            counts.update(seen)
            failed += broken
        return done, counts, failed
    with get_context("spawn").Pool(processes) as pool:
        while done < payments and not failed:
            batches = [
                range(seed + i * SEEDS_AT_ONCE, seed + (i + 1) * SEEDS_AT_ONCE)
                for i in range(processes)
            ]
            seed += processes * SEEDS_AT_ONCE
            for made, seen, broken in pool.map(_runs, batches):
                done += made
                counts.update(seen)
                failed += broken
            print(f"{done} payments, seeds below {seed}", file=sys.stderr, flush=True)
    return done, counts, failed


def _runs(seeds: range) -> tuple[int, Counter[str], list[Result]]:
    made, counts, failed = 0, Counter[str](), []
    heard = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        for seed in seeds:
            result = simulate(Plan(seed, tuple(range(BUYERS))))
            made += result.payments
            counts.update(result.counts)
            counts["virtual hours"] += int(result.seconds / 36) / 100  # type: ignore[assignment]
            if result.broken:
                print(f"seed {seed}: {result.first}", file=sys.stderr, flush=True)
                failed.append(result)
    finally:
        # Whoever reads a log after us, as tests of the same process do, shall find one.
        logging.disable(heard)
    return made, counts, failed

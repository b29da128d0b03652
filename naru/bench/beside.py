"""Two states of the code in one run, taking turns: what a change costs, or brings."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent.parent
ROUND_SECONDS_MAX = 600.0


class NoSuchState(Exception):
    """git does not know this state of the code, or it could not be measured."""


def beside(reference: str, *, rounds: int, buyers: int, seconds: float) -> str:
    """Measure `reference` (a commit or tag) and this tree in turns; answers the table of medians.

    CPU per payment is the number to trust: a rate falls with whatever else runs. Raises NoSuchState.
    """
    with _tree_of(reference) as before:
        trees = {reference: before, "this tree": ROOT}
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
        for turn in range(rounds):
            # Whoever goes second finds a warmer machine, so they take turns in that as well.
            order = list(trees) if turn % 2 == 0 else list(reversed(trees))
            for name in order:
                print(f"bench: round {turn + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
                measured[name].append(_measure(trees[name], buyers, seconds))
    return _table(reference, measured)


@contextlib.contextmanager
def _tree_of(reference: str) -> Iterator[Path]:
    """A work tree of that state, away from ours."""
    with tempfile.TemporaryDirectory(prefix="naru-beside-") as folder:
        tree = Path(folder) / "tree"
        made = subprocess.run(  # noqa: S603 - our own git, our own arguments
            ["git", "worktree", "add", "--detach", str(tree), reference],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            raise NoSuchState(made.stderr.strip())
        try:
            yield tree
        finally:
            subprocess.run(  # noqa: S603
                ["git", "worktree", "remove", "--force", str(tree)],  # noqa: S607
                cwd=ROOT,
                capture_output=True,
            )


def _measure(tree: Path, buyers: int, seconds: float) -> dict[str, Any]:
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "naru.bench", "--json",
         "--buyers", str(buyers), "--seconds", str(seconds)],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        timeout=ROUND_SECONDS_MAX,
    )  # fmt: skip
    try:
        report: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        raise NoSuchState(f"the bench of {tree.name} ended with {ended.returncode}") from None
    return report


def _table(reference: str, measured: dict[str, list[dict[str, Any]]]) -> str:
    def middle(name: str, *path: str) -> float:
        values = []
        for report in measured[name]:
            value: Any = report
            for key in path:
                value = value.get(key, 0.0)
            values.append(float(value or 0.0))
        return median(values)

    rows: list[tuple[str, Sequence[str]]] = [
        ("complete payments per second", ("payments_per_second",)),
        ("payment p99, ms", ("payment_p99_ms",)),
        ("GET per second", ("get_per_second",)),
        ("pgbench, same rows, per second", ("commits_per_second",)),
        ("hello per second", ("hello_per_second",)),
        *(
            (f"CPU µs per payment, {party}", ("payment_cpu_us", party))
            for party in ("gateway", "worker", "sandbox", "database")
        ),
        ("CPU µs per GET, gateway", ("get_cpu_us", "gateway")),
    ]
    lines = [f"{'medians':<34}{reference[:12]:>14}{'this tree':>14}{'ratio':>10}"]
    for name, path in rows:
        before, after = middle(reference, *path), middle("this tree", *path)
        ratio = f"{after / before:.2f}" if before else "–"
        lines.append(f"{name:<34}{before:>14,.1f}{after:>14,.1f}{ratio:>10}")
    failures = {name: sum(r["failures"] for r in reports) for name, reports in measured.items()}
    lines.append(f"failed payments: {failures[reference]} before, {failures['this tree']} now")
    return "\n".join(lines)

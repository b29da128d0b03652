"""Where the time goes: the CPU that each party has used, read from Linux's /proc.

Rates say how busy the machine was; CPU per deed stays the same when others run beside.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
# A word of the command line -> the party that this process, and all it started, belongs to.
PARTIES = {
    "serve": "gateway",
    "worker": "worker",
    "naru.sandbox": "sandbox",
    "naru.bench.hello:app": "gateway",  # stands in its place, while it has nothing to do
    "postgres": "database",
}

Used = dict[str, float]


def used() -> Used | None:
    """Seconds of CPU that each party below this process has used so far, ours as `stopwatch`.

    None where there is no /proc.
    """
    ours = os.times()
    spent: Used = {"stopwatch": ours.user + ours.system}
    try:
        processes = {int(each.name): each for each in _PROC.iterdir() if each.name.isdigit()}
    except OSError:
        return None
    found = {pid: stat for pid, place in processes.items() if (stat := _stat(place)) is not None}
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in found.items():
        children.setdefault(parent, []).append(pid)
    waiting = [(pid, "") for pid in children.get(os.getpid(), [])]
    while waiting:
        pid, party = waiting.pop()
        party = party or _party(processes[pid])
        if party:
            spent[party] = spent.get(party, 0.0) + found[pid][1]
        waiting += [(child, party) for child in children.get(pid, [])]
    return spent


def per_deed(before: Used | None, after: Used | None, deeds: int) -> dict[str, float]:
    """Microseconds of CPU per deed of each party that was there; empty when nothing is known."""
    if before is None or after is None or not deeds:
        return {}
    return {
        party: (seconds - before.get(party, 0.0)) * 1e6 / deeds for party, seconds in after.items()
    }


def _stat(place: Path) -> tuple[int, float] | None:
    """The parent and the CPU seconds of a process, those of its ended children included."""
    try:
        # The name stands in parentheses and may hold anything; fields are counted after it.
        fields = (place / "stat").read_text("latin-1").rpartition(")")[2].split()
    except OSError:
        return None
    ticks = sum(int(field) for field in fields[11:15])
    return int(fields[1]), ticks / os.sysconf("SC_CLK_TCK")


def _party(place: Path) -> str:
    try:
        words = (place / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    for word in words:
        if party := PARTIES.get(word.rpartition("/")[2]):
            return party
    return ""

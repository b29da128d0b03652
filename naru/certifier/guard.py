"""The process that ends the shop when the certifier is gone, however that came.

`python -m naru.certifier.guard FOLDER`: a line on standard input is the number of a process group,
`+7` to look after it, `-7` when it has ended in order. Standard input ends when the certifier does,
even by SIGKILL: then whatever is left of these groups is ended, and FOLDER goes with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable

GRACE_SECONDS = 2.0


def main(folder: str, lines: Iterable[str]) -> None:
    """Listen until nobody speaks any more, then clear up."""
    groups: set[int] = set()
    for line in lines:
        number = int(line)
        if number > 0:
            groups.add(number)
        else:
            groups.discard(-number)
    deadline = time.monotonic() + GRACE_SECONDS
    for group in groups:
        _signal(group, signal.SIGTERM)
    while any(_signal(group, 0) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.05)
    for group in groups:
        _signal(group, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _signal(group: int, kind: int) -> bool:
    """Is anybody there to hear it?"""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, kind)
        return True
    return False


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin)

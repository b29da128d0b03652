"""Children that do not outlive us."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent(kind: signal.Signals) -> Callable[[], None] | None:
    """What a child runs before its program (preexec_fn): the kernel sends it `kind` when we die.

    Start such a child from the main thread: the kernel means the death of the thread that
    started it. None where the kernel cannot do that; a left-over is then ended at the next start.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, kind)
        # We may have died before the question; nobody would tell the child any more.
        if os.getppid() != parent:
            os._exit(1)

    return ask

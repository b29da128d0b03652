"""The shortest program that still breaks a rule: steps are left out as long as it breaks without them.

Steps that speak of what is no longer there are passed over (steps.py), so any part may go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from naru.certifier.steps import Program, Together


def shrink(program: Program, breaks: Callable[[Program], bool], *, tries: int) -> Program:
    """Leave out halves, then quarters, …, then single steps, until nothing more can go or `tries` end.

    `breaks` performs a program; a program of which it is not sure it answers False. The result is
    one for which `breaks` said True, or the program itself.
    """
    left = tries

    def still(candidate: Program) -> bool:
        nonlocal left
        left -= 1
        return breaks(candidate)

    size = max(1, len(program) // 2)
    while size and left > 0:
        at = len(program) - size  # from the end: what comes later is needed by nobody
        gone = False
        while at >= 0 and left > 0:
            candidate = program[:at] + program[at + size :]
            if candidate and still(candidate):
                program, gone = candidate, True
            at -= size
        if not gone or size > 1:
            size //= 2
    for place, step in enumerate(program):
        if not isinstance(step, Together):
            continue
        kept = step
        for each in step.steps:
            rest = tuple(other for other in kept.steps if other is not each)
            candidate = (*program[:place], replace(step, steps=rest), *program[place + 1 :])
            if len(rest) > 0 and left > 0 and still(candidate):
                program, kept = candidate, replace(step, steps=rest)
    return program

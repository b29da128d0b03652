"""The shortest program that still breaks a rule: steps are left out as long as it breaks without them.

Steps that speak of what is no longer there are passed over (steps.py), so any part may go; a part of
`Together` goes like any other step, and the last that is left of one stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from naru.certifier.steps import Program, Step, Together

# Where a step stands (its number, and its numbers inside of `Together`s), and the step.
_Leaf = tuple[tuple[int, ...], Step]


def shrink(program: Program, breaks: Callable[[Program], bool], *, tries: int) -> Program:
    """Leave out whole orders and payments, halves, quarters, …, single steps, until nothing more can go.

    `breaks` performs a program, at most `tries` times; of what it is not sure it answers False. The
    result is the program itself, or one of which `breaks` said True; with enough tries none of its steps
    can be left out any more.
    """
    kept = whole = list(_leaves(program))
    left = tries

    def goes(rest: list[_Leaf]) -> bool:
        """Does it break with the rest alone? Then that is all we keep."""
        nonlocal kept, left
        if left <= 0 or not rest or len(rest) == len(kept):
            return False
        left -= 1
        if not breaks(_program(rest)):
            return False
        kept = rest
        return True

    # Most of a long program is somebody else's story: one try each, and it is gone.
    for story in _stories(kept):
        goes([leaf for leaf in kept if leaf not in story])
    size = max(1, len(kept) // 2)
    while size and left > 0:
        gone = False
        at = len(kept) - size  # from the end: what comes later is needed by nobody
        while at >= 0 and left > 0:
            gone |= goes(kept[:at] + kept[at + size :])
            at -= size
        if not gone or size > 1:
            size //= 2
    return program if kept is whole else _program(kept)


def _leaves(steps: Sequence[Step], above: tuple[int, ...] = ()) -> Iterator[_Leaf]:
    for number, step in enumerate(steps):
        if isinstance(step, Together):
            yield from _leaves(step.steps, (*above, number))
        else:
            yield (*above, number), step


def _program(leaves: Sequence[_Leaf], depth: int = 0) -> Program:
    """The steps again, in their places."""
    steps: list[Step] = []
    for _, group in groupby(leaves, key=lambda leaf: leaf[0][depth]):
        inside = list(group)
        if len(inside[0][0]) == depth + 1:
            steps.append(inside[0][1])
        else:
            together = _program(inside, depth + 1)
            steps.append(together[0] if len(together) == 1 else Together(together))
    return tuple(steps)


def _stories(leaves: Sequence[_Leaf]) -> Iterator[list[_Leaf]]:
    """Everything about one order; then everything about one payment; nothing of what is alone."""
    opened: dict[str, set[str]] = {}
    for _, step in leaves:
        order, payment = getattr(step, "order", None), getattr(step, "payment", None)
        if order is not None:
            opened.setdefault(order, set()).update([payment] if payment is not None else [])
    payments = {payment: None for each in opened.values() for payment in sorted(each)}
    for order, its in opened.items() if len(opened) > 1 else ():
        yield [leaf for leaf in leaves if _speaks_of(leaf[1], {order}, its)]
    for payment in payments if len(payments) > 1 else ():
        yield [leaf for leaf in leaves if _speaks_of(leaf[1], set(), {payment})]


def _speaks_of(step: Step, orders: set[str], payments: set[str]) -> bool:
    order, payment = getattr(step, "order", None), getattr(step, "payment", None)
    return order in orders or payment in payments

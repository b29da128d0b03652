"""A process that dies at a named point, without a process: what ran there is gone, what is written stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from naru.domain.points import POINTS, listen


class Died(BaseException):
    """Nothing of ours catches this, as nothing catches SIGKILL."""


@contextmanager
def dying(point: str, times: int = 1) -> Iterator[None]:
    """The `times`-th pass of `point` inside this block ends it; AssertionError when nobody came by."""
    assert point in POINTS
    left = times

    def die(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                raise Died

    listen(die)
    try:
        yield
    except Died:
        pass
    finally:
        listen(None)
    assert left <= 0, f"nobody came by {point}"

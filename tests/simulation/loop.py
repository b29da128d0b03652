"""An event loop whose clock is a number: waiting costs nothing, and every run is the same run.

Nothing here touches a socket, a thread or the machine's clock. A process of the simulated world is a
context variable: what a killed process still had to do is not run while the world lives, so that no
`finally:` of it can do anything; what a paused process has to do waits until it goes on. When the
world is over every task is ended here: one that is left to the garbage collector runs its `finally:`
at a moment of the collector's choosing, in the middle of whatever another test does then.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import heapq
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
# How often a task may answer to its end with one more thing to wait for.
ENDINGS = 50


class Killed(BaseException):
    """This process was told to die where it stands."""


class Deadlock(RuntimeError):
    """Somebody waits, and nothing will ever happen any more."""


class Process:
    """A process of the simulated world, as far as the loop knows it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.paused = False
        self.frozen: list[asyncio.Handle] = []


PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)


class VirtualLoop(asyncio.base_events.BaseEventLoop):
    """`time()` starts at 0 and jumps to whatever comes next."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._number = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        # Below this two moments are one; a clock near 1.7e9 could not tell them apart.
        self._clock_resolution = 1e-6
        self._mistake: Exception | None = None
        self._kept: list[asyncio.Task[Any]] = []
        self._unrun: list[asyncio.Handle] = []
        self._paused: set[Process] = set()
        self.buried = 0
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._notice)

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *given: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, given, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., Any],
        *given: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *given, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *given: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, given, self, context)
        # Numbers are compared faster than handles, and what comes at one moment keeps its order.
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, timer))
        return timer

    def thaw(self, process: Process) -> None:
        """What waited while `process` was paused comes now, in its order."""
        process.paused = False
        self._ready.extend(process.frozen)
        process.frozen.clear()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to its end. Raises Deadlock when nothing can happen and `main` has not ended."""
        task = self.create_task(main)
        events = asyncio.events
        events._set_running_loop(self)
        self._thread_id = 1
        try:
            while not task.done():
                self._run_once()
                if self._mistake is not None:
                    raise self._mistake
        finally:
            self._thread_id = None
            events._set_running_loop(None)
        return task.result()

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not timers:
                raise Deadlock(self._who_waits())
            self._now = max(self._now, timers[0][0])
            limit = self._now + self._clock_resolution
            while timers and timers[0][0] <= limit:
                timer = heapq.heappop(timers)[2]
                if not timer._cancelled:
                    ready.append(timer)
        while ready:
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is None:
                handle._run()
            elif process.dead:
                self._unrun.append(handle)
            elif process.paused:
                process.frozen.append(handle)
                self._paused.add(process)
            else:
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers leave when their time comes; there are never many."""

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], **how: Any
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=loop, **how)
        # Kept alive: a task of a dead process must not be tidied away, for that runs its `finally:`.
        self._kept.append(task)
        return task

    def _notice(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception) and "handle" in context:
            # A mistake of the simulated world itself, not of a task in it.
            self._mistake = error

    def _who_waits(self) -> str:
        waiting = []
        for task in asyncio.all_tasks(self):
            frames = task.get_stack(limit=1)
            where = f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else "?"
            waiting.append(f"{task.get_name()} at {where}")
        return "nothing will happen any more; waiting: " + "; ".join(sorted(waiting))

    def bury(self) -> None:
        """End every task, dead and paused processes' too, then the loop. `buried`: how many there were.

        Nothing of the world moves any more: no timer runs, so what a task waits for in its end is
        taken from it as well. Raises RuntimeError when one does not end.
        """
        events = asyncio.events
        self._timers.clear()
        pending = [task for task in self._kept if not task.done()]
        self.buried += len(pending)
        with hushed():
            events._set_running_loop(self)
            try:
                self._ready.extend(self._unrun)
                for process in self._paused:
                    self.thaw(process)
                for _ in range(ENDINGS):
                    if not (pending := [task for task in self._kept if not task.done()]):
                        break
                    for task in pending:
                        task.cancel()
                    while self._ready:
                        handle = self._ready.popleft()
                        if not handle._cancelled:
                            handle._run()
            finally:
                events._set_running_loop(None)
                for left in (self._ready, self._timers, self._unrun, self._paused, self._kept):
                    left.clear()
                self.close()
        if pending:
            raise RuntimeError(f"{len(pending)} tasks do not end: {pending[0]!r}")


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """What dead processes left half done goes away without a word about it."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        sys.unraisablehook = hook


def sweep() -> None:
    """Let go of everything that a run left."""
    with hushed():
        gc.collect()

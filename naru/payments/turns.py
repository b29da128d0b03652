"""Turns: calls of this process about the same thing go one after the other.

The database decides what may be done; this only keeps those who would be refused, or would hear
somebody else's answer, from asking it again and again meanwhile. Who waits costs a little memory and
no statement, and only the one whose turn it is looks whether another process is at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from naru.domain.errors import NaruError, OutcomeUnknown, TooManyAtOnce

# As long as what the first of them does may take; whoever asks twice hears how that ended.
WAIT_SECONDS = 12.0
# More ask for nothing that the first hundred will not hear.
AT_ONCE = 100
# For the one who looks at what another process does.
LOOK_AGAIN_SECONDS = (0.05, 1.0)


@dataclass(slots=True)
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    people: int = 0


@dataclass(slots=True)
class Turns:
    """Who has the word, by what it is about. At most `at_once` stand at the same thing."""

    at_once: int = AT_ONCE
    _lines: dict[Hashable, _Line] = field(default_factory=dict)

    @asynccontextmanager
    async def take(
        self, *about: Hashable, late: type[NaruError] = OutcomeUnknown
    ) -> AsyncIterator[None]:
        """Have the word about this for as long as the block runs.

        Raises TooManyAtOnce at once, and `late` when it was not our turn for WAIT_SECONDS.
        """
        line = self._lines.setdefault(about, _Line())
        if line.people >= self.at_once:
            raise TooManyAtOnce
        line.people += 1
        try:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await line.lock.acquire()
            except TimeoutError:
                raise late from None
            try:
                yield
            finally:
                line.lock.release()
        finally:
            line.people -= 1
            if not line.people:
                del self._lines[about]


async def looks() -> AsyncIterator[None]:
    """Looks at what another process does: at once, then ever more slowly, until WAIT_SECONDS are over."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + WAIT_SECONDS, LOOK_AGAIN_SECONDS[0]
    while True:
        yield
        if loop.time() > deadline:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LOOK_AGAIN_SECONDS[1])

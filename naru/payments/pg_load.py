"""How much one PG is asked at once: a sick PG keeps to its share, and buyers hear of it in time (RELIABILITY 6.14).

Counted in this process, where the calls wait: that costs no statement, and what a sick PG could take
away (tasks, lines, memory) is this process's own. Doubts are not counted in the database: those that
only a person can end would keep a PG shut that has long been well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from naru.domain.errors import PgBusy
from naru.domain.outcome import CancelOutcome, Outcome, Unknown

AT_ONCE = 200
# A PG that said nothing so often, and nothing else between, is asked little until it speaks again.
SILENCES_MAKE_ILL = 10
AT_ONCE_WHEN_ILL = 2


@dataclass(slots=True)
class _Share:
    running: int = 0
    silences: int = 0


@dataclass(slots=True)
class PgLoad:
    """Calls under way, by channel. `at_once` is the most that one channel may have."""

    at_once: int = AT_ONCE
    _shares: defaultdict[int, _Share] = field(default_factory=lambda: defaultdict(_Share))

    def has_room(self, channel_id: int) -> bool:
        """May one more call to this channel's PG begin?"""
        share = self._shares[channel_id]
        ill = share.silences >= SILENCES_MAKE_ILL
        return share.running < (min(AT_ONCE_WHEN_ILL, self.at_once) if ill else self.at_once)

    def has_room_behind(self, channel_id: int) -> bool:
        """The same for what can wait: half of the places are left to buyers."""
        running = self._shares[channel_id].running
        return self.has_room(channel_id) and running < max(1, self.at_once // 2)

    def crowded(self) -> list[int]:
        """Channels whose PG has no room for what can wait."""
        return [each for each in self._shares if not self.has_room_behind(each)]

    @contextmanager
    def asking_behind(self, channel_id: int) -> Iterator[None]:
        """Take a place for what can wait. Raises PgBusy; then nothing has begun."""
        if not self.has_room_behind(channel_id):
            raise PgBusy
        with self.asking(channel_id):
            yield

    @contextmanager
    def asking(self, channel_id: int) -> Iterator[None]:
        """Take one place for as long as the block runs. Raises PgBusy; then nothing has begun."""
        if not self.has_room(channel_id):
            raise PgBusy
        share = self._shares[channel_id]
        share.running += 1
        try:
            yield
        finally:
            share.running -= 1

    @contextmanager
    def looking(self, channel_id: int) -> Iterator[None]:
        """The same for the worker, who asks on where buyers are turned away: its ladder is slow enough."""
        share = self._shares[channel_id]
        if share.running >= self.at_once:
            raise PgBusy
        share.running += 1
        try:
            yield
        finally:
            share.running -= 1

    def heard(self, channel_id: int, outcome: Outcome | CancelOutcome) -> None:
        """What came of a call: one answer makes a PG well."""
        share = self._shares[channel_id]
        share.silences = share.silences + 1 if isinstance(outcome, Unknown) else 0

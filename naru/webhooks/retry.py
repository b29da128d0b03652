"""When a webhook is tried again: three ladders, as data (protocol: webhook.md §5)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from naru.wire import Timeouts

MINUTE = 60.0
HOUR = 60 * MINUTE


@dataclass(frozen=True, slots=True)
class Ladder:
    """Waits in seconds before each further attempt; after the last one the webhook is parked.

    `first` and `again` are the time-outs of the first attempt and of all others. `jitter` spreads
    the attempts of many webhooks, so that a server which comes back is not run over.
    `only_server_errors` tries again on 5xx and lost connections only, as i'mport does.
    """

    waits_seconds: tuple[float, ...]
    first: Timeouts
    again: Timeouts
    jitter: bool
    only_server_errors: bool = False

    @property
    def attempts_max(self) -> int:
        return 1 + len(self.waits_seconds)

    def timeouts(self, attempt: int) -> Timeouts:
        """The time-outs of attempt number `attempt`, counted from 1."""
        return self.first if attempt <= 1 else self.again


_V1_FIRST = Timeouts(connect=10.0, read=30.0, total=40.0)
_V1_AGAIN = Timeouts(connect=10.0, read=15.0, total=15.0)

LADDERS = {
    # Ten attempts over about 75 hours, the schedule that Standard Webhooks recommends.
    "ladder": Ladder(
        waits_seconds=(
            5.0,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ),
        first=_V1_FIRST,
        again=_V1_FIRST,
        jitter=True,
    ),
    # i'mport with its re-send option: up to five more, one minute apart.
    "v1": Ladder(
        waits_seconds=(MINUTE,) * 5,
        first=_V1_FIRST,
        again=_V1_AGAIN,
        jitter=False,
        only_server_errors=True,
    ),
    # i'mport without it.
    "once": Ladder(waits_seconds=(), first=_V1_FIRST, again=_V1_AGAIN, jitter=False),
}


def ladder_of(mode: str) -> Ladder:
    """The ladder of a merchant's `webhook_mode`; an unknown word gets the default one."""
    return LADDERS.get(mode, LADDERS["ladder"])


def is_delivered(status: int) -> bool:
    """i'mport counts 200 only; any 2xx is an answer that needs no second telling."""
    return 200 <= status < 300


def next_wait(
    ladder: Ladder, attempts: int, status: int | None, chance: random.Random
) -> timedelta | None:
    """How long to wait after `attempts` failed attempts; None parks the webhook.

    `status` is the last answer's, None when there was none. 410 says the address is gone: parked.
    """
    if status == 410 or attempts >= ladder.attempts_max:
        return None
    if ladder.only_server_errors and status is not None and status < 500:
        return None
    wait = ladder.waits_seconds[attempts - 1]
    if ladder.jitter:
        # Full jitter, around the rung and not below it, so that the ladder stays three days long.
        wait *= chance.uniform(0.0, 2.0)
    return timedelta(seconds=wait)

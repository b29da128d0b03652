"""What was said between the parties, written down as it happened, with the secrets cut out."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from dataclasses import replace

from naru.certifier.result import Exchange, Party

CUT_AT = 8_000
CUT_OUT = "‹secret›"


class Tape:
    """Threads may write to it. `secrets` never come onto it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret for secret in secrets if secret]
        self._exchanges: list[Exchange] = []
        self._lock = threading.Lock()
        self._groups = itertools.count(1)
        self._group = threading.local()

    def record(
        self,
        sender: Party,
        receiver: Party,
        title: str,
        *,
        request: str = "",
        status: int | None = None,
        response: str = "",
        seconds: float = 0.0,
    ) -> None:
        """Write one exchange down."""
        with self._lock:
            self._exchanges.append(
                Exchange(
                    len(self._exchanges) + 1,
                    sender,
                    receiver,
                    self._clean(title, 120),
                    self._clean(request, CUT_AT),
                    status,
                    self._clean(response, CUT_AT),
                    seconds,
                    getattr(self._group, "number", 0),
                )
            )

    def new_group(self) -> int:
        """A number for exchanges that are on their way at the same time."""
        return next(self._groups)

    def join_group(self, number: int) -> None:
        """What this thread writes from now on belongs to that group."""
        self._group.number = number

    def take(self) -> tuple[Exchange, ...]:
        """Everything so far, numbered from 1; the tape is empty afterwards."""
        with self._lock:
            taken, self._exchanges = self._exchanges, []
        return tuple(replace(each, number=number) for number, each in enumerate(taken, 1))

    def _clean(self, text: str, length: int) -> str:
        for secret in self._secrets:
            text = text.replace(secret, CUT_OUT)
        if len(text) > length:
            text = f"{text[:length]}… ({len(text):,} characters)"
        return text

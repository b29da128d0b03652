"""What was said between the parties, written down as it happened, with the secrets cut out."""

from __future__ import annotations

import html
import itertools
import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import quote, quote_plus

from naru.certifier.result import Exchange, Party

CUT_AT = 8_000
CUT_OUT = "‹secret›"


class Tape:
    """Threads may write to it. `secrets` never come onto it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spelled = {form for secret in secrets if secret for form in _spellings(secret)}
        # The longest first, in one go: a short one must not take the middle out of a long one.
        longest = sorted(spelled, key=lambda form: (-len(form), form))
        self._secret = re.compile("|".join(map(re.escape, longest)) or r"(?!)")
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
                    self.clean(title, 120),
                    self.clean(request, CUT_AT),
                    status,
                    self.clean(response, CUT_AT),
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

    def clean(self, text: str, length: int = CUT_AT) -> str:
        """The text without secrets, and then cut: half a secret would not be known again."""
        text = self._secret.sub(CUT_OUT, text)
        if len(text) > length:
            text = f"{text[:length]}… ({len(text):,} characters)"
        return text


def _spellings(secret: str) -> Iterator[str]:
    """As addresses, forms, JSON and pages write it; of a webhook's secret also the key alone."""
    for plain in {secret, secret.removeprefix("whsec_")} - {""}:
        in_json = json.dumps(plain, ensure_ascii=False)[1:-1]
        yield from (plain, in_json, in_json.replace("/", "\\/"), html.escape(plain))
        for quoted in (quote(plain), quote(plain, safe=""), quote_plus(plain)):
            yield quoted
            yield re.sub("%..", lambda found: found[0].lower(), quoted)

"""The buyers and merchants of tests/killing, who also press twice and come back late."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.killing.load import TRIES, GaveUp, Json, Load

TWICE = 0.5


class Crowd(Load):
    """`twice` and `late` count what was asked twice at once, and who was held at the PG."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self.twice = 0
        self.late = 0
        self._may_return = asyncio.Event()
        self._may_return.set()

    def hold(self) -> None:
        """From now on buyers who are done at the PG stay there."""
        self._may_return.clear()

    def release(self) -> None:
        """All of them come back at once."""
        self._may_return.set()

    async def _come_back(self, opened: Json, proof: Json) -> bool:
        self.late += not self._may_return.is_set()
        await self._may_return.wait()
        return await super()._come_back(opened, proof)

    async def _ask(self, method: str, url: str, *, tries: int = TRIES, **more: Any) -> Json:
        """The better one of two answers; half of all that is posted to the gateway is posted twice."""
        ask = super()._ask
        ours = method == "POST" and url.startswith(self._gateway)
        if not ours or self._chance.random() > TWICE:
            return await ask(method, url, tries=tries, **more)
        self.twice += 1
        answers = await asyncio.gather(
            ask(method, url, tries=tries, **more),
            ask(method, url, tries=tries, **more),
            return_exceptions=True,
        )
        heard = [each for each in answers if isinstance(each, dict)]
        if not heard:
            raise GaveUp(url)
        return min(
            heard, key=lambda answer: (answer["status"], answer.get("code") not in (None, 0))
        )

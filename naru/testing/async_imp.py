"""`AsyncImp`: what `Imp` does, for tests that are coroutines.

The gateway is waited for in a thread; an ASGI shop is told in the event loop of the test, where its
database connections and its tasks live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from naru.kit.types import Payment
from naru.testing.buyer import Result, Window
from naru.testing.imp import Imp, Refund, Which
from naru.testing.postman import BROUGHT_SECONDS, Letter

if TYPE_CHECKING:
    from naru.testing.weather import Kind

P = ParamSpec("P")
T = TypeVar("T")


class AsyncImp:
    """Every verb of `Imp`, awaited; `sync` is that `Imp`. Its own `webhooks` are there, too: only
    `release`, which tells the shop, is a verb here.
    """

    def __init__(self, sync: Imp) -> None:
        self.sync = sync
        self.url, self.sandbox_url = sync.url, sync.sandbox_url
        self.user_code = sync.user_code
        self.imp_key, self.imp_secret = sync.imp_key, sync.imp_secret
        self.webhook_secret = sync.webhook_secret
        self.webhooks = sync.webhooks

    async def pay(self, merchant_uid: str, amount: int | Decimal, **param: Any) -> Window:
        """See `Imp.pay`."""
        return await self._do(self.sync.pay, merchant_uid, amount, **param)

    async def approve(
        self, which: Which = None, *, card: str | None = None, scenario: str | None = None
    ) -> Result:
        """See `Imp.approve`."""
        return await self._do(self.sync.approve, which, card=card, scenario=scenario)

    async def decline(self, reason: str = "한도초과", which: Which = None) -> Result:
        """See `Imp.decline`."""
        return await self._do(self.sync.decline, reason, which)

    async def close_window(self, which: Which = None) -> Result:
        """See `Imp.close_window`."""
        return await self._do(self.sync.close_window, which)

    async def deposit(
        self, amount: int | None = None, which: Which = None, *, depositor: str = "홍길동"
    ) -> Payment:
        """See `Imp.deposit`."""
        return await self._do(self.sync.deposit, amount, which, depositor=depositor)

    async def payment(self, which: Which = None) -> Payment:
        """See `Imp.payment`."""
        return await self._do(self.sync.payment, which)

    async def cancel(
        self,
        amount: int | Decimal | None = None,
        which: Which = None,
        **refund: Unpack[Refund],
    ) -> Payment:
        """See `Imp.cancel`."""
        return await self._do(self.sync.cancel, amount, which, **refund)

    async def advance(self, length: str | timedelta) -> datetime:
        """See `Imp.advance`."""
        return await self._do(self.sync.advance, length)

    async def settle(self) -> datetime:
        """See `Imp.settle`."""
        return await self._do(self.sync.settle)

    async def release(self, *which: Letter, times: int = 1) -> None:
        """See `Webhooks.release`."""
        await self._do(self.webhooks.release, *which, times=times)

    def weather(
        self, kind: Kind, *, path: str = "/", times: int | None = None, seconds: float = 3.0
    ) -> AbstractContextManager[None]:
        """See `Imp.weather`."""
        return self.sync.weather(kind, path=path, times=times, seconds=seconds)

    async def _do(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()

        def run_here(work: Coroutine[Any, Any, int]) -> int:
            return asyncio.run_coroutine_threadsafe(work, loop).result(BROUGHT_SECONDS)

        self.webhooks.run_async = run_here
        return await asyncio.to_thread(verb, *args, **kwargs)

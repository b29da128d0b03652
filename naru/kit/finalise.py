"""The one path on which an order is finished: callback, redirect, webhook and sweep all end here.

The gateway is asked first, with no transaction open. Then one transaction of the shop's database
finds the order that the gateway names, judges (naru/kit/step.py), writes it by one conditional
statement, and does the shop's own work beside it; whoever comes second finds it done. The flow is
written once, as generators that yield what a voice must do: `Finaliser` does it, `AsyncFinaliser`
awaits it.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from naru.kit.client import AsyncClient, Client
from naru.kit.errors import KitError, NotFound
from naru.kit.operations import payments as asking
from naru.kit.operations.call import Call
from naru.kit.orders import AlreadyUsed, AsyncOrders, Clash, Orders, StoredOrder
from naru.kit.step import Finding, decide
from naru.kit.sweep import Policy, Swept, finish_it, sweep
from naru.kit.types import Payment
from naru.kit.verify import Forged, Paid, Unknown, Verdict

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

# i'mport gives a webhook 15 s when it sends it again; the shop's own work needs some of them.
PATIENCE_SECONDS = 10.0
# Every try that is lost means that somebody else changed the order, and an order has few steps.
TRIES_MAX = 20
_MERCHANT_UID_LENGTH_MAX = 200
_UNFINDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Steps = Generator[Any, Any, T]


@dataclass(frozen=True)
class Hooks(Generic[S]):
    """What the shop does, and when.

    `fulfil(order, payment, session)`: in the transaction that makes the order paid, so once and no
    more; when it raises, nothing has happened and the order stays unpaid. `note`: the same for
    every other step (an account waits, a try failed, money went back). `tell(order, payment)`:
    after the commit, at least once for how the order then stands; what it raises is logged, and
    `sweep` tells again. `report(finding)`: money that no order accounts for, each time it is seen.
    """

    fulfil: Callable[[StoredOrder, Payment, S], Any]
    note: Callable[[StoredOrder, Payment, S], Any] | None = None
    tell: Callable[[StoredOrder, Payment], Any] | None = None
    report: Callable[[Finding], Any] | None = None


@dataclass(frozen=True)
class Settled:
    """What came of one word: the report, the order as it was written by this call, the finding."""

    verdict: Verdict
    after: StoredOrder | None = None
    finding: Finding | None = None


class Till(Generic[S]):
    """The flow without a voice. `carry` does one thing outside a transaction, `inside` one in it."""

    def __init__(
        self,
        hooks: Hooks[S],
        *,
        ask: Callable[[Call[Any]], Any],
        inside: Callable[[Callable[[Any], Steps[Any]]], Any],
        allow_sandbox: bool,
    ) -> None:
        self.ask = ask
        self.inside = inside
        self._hooks = hooks
        self._allow_sandbox = allow_sandbox

    def finalise(self, imp_uid: str, claimed: str | None) -> Steps[Verdict]:
        """Ask about one payment, then settle what was heard."""
        try:
            payment = yield self.ask(asking.payment(imp_uid))
        except (NotFound, ValueError):  # unknown there, or no imp_uid at all
            log.warning("a payment was reported that the gateway does not know")
            return Forged(None, ("not_found",))
        except KitError as trouble:
            log.warning("%s could not be asked about: %s", imp_uid, trouble)
            return Unknown(None, trouble)
        if claimed is not None and claimed != payment.merchant_uid:
            log.warning("%s was reported for another order than its own", imp_uid)
            return Forged(payment, ("claimed",))
        settled: Settled = yield from self.settle(payment)
        return settled.verdict

    def look_again(self, merchant_uid: str) -> Steps[Verdict | None]:
        """Settle every payment of one order; the one that paid is the last word."""
        try:
            page = yield self.ask(asking.find_payments(merchant_uid, limit=100, sorting="started"))
        except (NotFound, ValueError):
            return None
        except KitError as trouble:
            return Unknown(None, trouble)
        verdict: Verdict | None = None
        for payment in page.payments:
            settled = yield from self.settle(payment)
            if not isinstance(verdict, Paid):
                verdict = settled.verdict
        return verdict

    def settle(self, payment: Payment, policy: Policy = finish_it) -> Steps[Settled]:
        """Judge one word in one transaction, as often as somebody else was faster."""
        settled: Settled | None = None
        for _ in range(TRIES_MAX):
            try:
                settled = yield self.inside(partial(self._judge, payment, policy))
            except AlreadyUsed:
                settled = Settled(Forged(payment, ("replayed",)))
            except Clash:
                settled = None
            if settled is not None:
                break
        else:
            raise RuntimeError(f"the order of {payment.imp_uid} changes faster than it can be read")
        if isinstance(settled.verdict, Forged):
            reasons = ", ".join(settled.verdict.reasons)
            # A merchant takes payments beside its shop, too: those are nobody's attack.
            level = logging.INFO if reasons == "no_order" else logging.WARNING
            log.log(level, "%s pays for nothing here: %s", payment.imp_uid, reasons)
        if settled.finding is not None:
            yield from self.report(settled.finding)
        if settled.after is not None:
            yield from self.tell(settled.after, payment)
        return settled

    def _judge(self, payment: Payment, policy: Policy, desk: Any) -> Steps[Settled | None]:
        """None when the order changed between our reading and our writing."""
        order = None
        if _is_findable(payment.merchant_uid):
            order = yield desk.find(payment.merchant_uid)
        if order is None:
            return Settled(Forged(payment, ("no_order",)))
        holder = yield desk.holder(payment.imp_uid)
        decision = decide(order, holder, payment, allow_sandbox=self._allow_sandbox)
        after = decision.after
        if after is None:
            return Settled(decision.verdict, finding=decision.finding)
        verdict = decision.verdict
        if isinstance(verdict, Paid) and policy(payment, order) == "refund":
            after, verdict = replace(after, status="refunding"), Unknown(payment)
        after = replace(after, untold=self._hooks.tell is not None)
        if not (yield desk.change(order, after)):
            return None
        if isinstance(verdict, Paid):
            yield self._hooks.fulfil(after, payment, desk.session)
        elif self._hooks.note is not None:
            yield self._hooks.note(after, payment, desk.session)
        return Settled(verdict, after, decision.finding)

    def tell(self, order: StoredOrder, payment: Payment) -> Steps[bool]:
        """Tell how the order stands, and write down that it was told. A sick messenger spoils nothing."""
        if self._hooks.tell is None or not order.untold:
            return False
        try:
            yield self._hooks.tell(order, payment)
            yield self.inside(partial(_told, order))
        except Exception:
            log.exception("nobody was told about order %s; the next sweep will", order.merchant_uid)
            return False
        return True

    def report(self, finding: Finding) -> Steps[None]:
        """Log a finding, and show it to the shop."""
        log.error("%s: %s (%s)", finding.kind, finding.payment.imp_uid, finding.why)
        if self._hooks.report is not None:
            try:
                yield self._hooks.report(finding)
            except Exception:
                log.exception("the finding about %s was not taken", finding.payment.imp_uid)


def _told(order: StoredOrder, desk: Any) -> Steps[None]:
    # False means that the order went on meanwhile: whoever changed it tells that.
    yield desk.change(order, replace(order, untold=False))


def _is_findable(merchant_uid: str | None) -> bool:
    # The buyer's page chooses this number; what no database can hold names no order.
    return (
        merchant_uid is not None
        and len(merchant_uid) <= _MERCHANT_UID_LENGTH_MAX
        and _UNFINDABLE.search(merchant_uid) is None
    )


class Finaliser(Generic[S]):
    """Finishes the orders of a shop whose code blocks; threads and processes may share its store.

    `client` asks the gateway, `orders` is the shop's database, and the four functions are the
    shop's own (see `Hooks`). `allow_sandbox` makes play money count: for tests and demonstrations.
    `patience_seconds` is for asking the gateway, with all tries.
    """

    def __init__(
        self,
        client: Client,
        orders: Orders[S],
        *,
        fulfil: Callable[[StoredOrder, Payment, S], None],
        note: Callable[[StoredOrder, Payment, S], None] | None = None,
        tell: Callable[[StoredOrder, Payment], None] | None = None,
        report: Callable[[Finding], None] | None = None,
        allow_sandbox: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        def inside(work: Callable[[Any], Steps[T]]) -> T:
            with orders.begin() as desk:
                return _do(work(desk))

        self._till = Till(
            Hooks(fulfil, note, tell, report),
            ask=partial(client.send, within=patience_seconds),
            inside=inside,
            allow_sandbox=allow_sandbox,
        )

    def finalise(self, imp_uid: str, claimed_merchant_uid: str | None = None) -> Verdict:
        """Ask the gateway about one payment and bring the order that it names up to date.

        Safe in any order, any number of times and all at once. `claimed_merchant_uid` is what a
        browser or a webhook says; who claims another order than the gateway changes neither.
        A gateway that cannot be asked is `Unknown` with its trouble. Raises only what the shop's
        own database and `fulfil` raise: then nothing was changed.
        """
        return _do(self._till.finalise(imp_uid, claimed_merchant_uid))

    def look_again(self, merchant_uid: str) -> Verdict | None:
        """Ask for the payments of an order nobody told us about; None when there is none.

        For the buyer whose browser never came back. Raises as `finalise`.
        """
        return _do(self._till.look_again(merchant_uid))

    def sweep(
        self,
        *,
        days: float = 3,
        until: datetime | None = None,
        policy: Policy = finish_it,
        refund_double_payments: bool = False,
    ) -> Swept:
        """Finish what was paid or given back in the last days and never heard of here.

        See `naru.kit.sweep`. Safe from cron, twice, and at the same time.
        """
        return _do(sweep(self._till, days, until, policy, refund_double_payments))


class AsyncFinaliser(Generic[S]):
    """`Finaliser` for one event loop. The four functions may be coroutines."""

    def __init__(
        self,
        client: AsyncClient,
        orders: AsyncOrders[S],
        *,
        fulfil: Callable[[StoredOrder, Payment, S], Awaitable[None] | None],
        note: Callable[[StoredOrder, Payment, S], Awaitable[None] | None] | None = None,
        tell: Callable[[StoredOrder, Payment], Awaitable[None] | None] | None = None,
        report: Callable[[Finding], Awaitable[None] | None] | None = None,
        allow_sandbox: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        async def inside(work: Callable[[Any], Steps[T]]) -> T:
            async with orders.begin() as desk:
                return await _await(work(desk))

        self._till = Till(
            Hooks(fulfil, note, tell, report),
            ask=partial(client.send, within=patience_seconds),
            inside=inside,
            allow_sandbox=allow_sandbox,
        )

    async def finalise(self, imp_uid: str, claimed_merchant_uid: str | None = None) -> Verdict:
        """As `Finaliser.finalise`."""
        return await _await(self._till.finalise(imp_uid, claimed_merchant_uid))

    async def look_again(self, merchant_uid: str) -> Verdict | None:
        """As `Finaliser.look_again`."""
        return await _await(self._till.look_again(merchant_uid))

    async def sweep(
        self,
        *,
        days: float = 3,
        until: datetime | None = None,
        policy: Policy = finish_it,
        refund_double_payments: bool = False,
    ) -> Swept:
        """As `Finaliser.sweep`."""
        return await _await(sweep(self._till, days, until, policy, refund_double_payments))


def _do(steps: Steps[T]) -> T:
    """The blocking voice: what is yielded was done already."""
    try:
        step = next(steps)
        while True:
            if inspect.isawaitable(step):
                if inspect.iscoroutine(step):
                    step.close()
                # Raised where it was yielded: inside a transaction, which is undone then.
                step = steps.throw(TypeError("an async function needs AsyncFinaliser"))
            else:
                step = steps.send(step)
    except StopIteration as end:
        result: T = end.value
        return result


async def _await(steps: Steps[T]) -> T:
    """The async voice."""
    try:
        step = next(steps)
        while True:
            if not inspect.isawaitable(step):
                step = steps.send(step)
                continue
            try:
                answer = await step
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result

"""A process that sleeps for 400 s at a named point and goes on: it must lose (C2xSL, K1xSL, F2xSL).

The sleeper is a thread with a gateway, a store and an event loop of its own, truly stopped at the
point; meanwhile another worker does its rounds. Afterwards both books agree, or a person knows.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from naru.connectors import Can
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import NaruError
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.domain.points import POINTS, listen
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.gateway import Gateway
from naru.payments.reconcile import reconcile
from naru.store import Store
from naru.wire import Wire
from tests.payments.test_approve import back
from tests.payments.test_recovery import check, give_powers, let_time_pass, name
from tests.support.gateway import ROOT_KEY, House
from tests.support.scale import often
from tests.support.stand_in_pg import StandInPg

ASK, UNDO = Can.INQUIRE_ORDER, Can.NET_CANCEL
CANCELS = (Can.INQUIRE_CANCEL, Can.REPEAT_CANCEL)
ALL = frozenset({ASK, UNDO, Can.REPEAT_APPROVAL, *CANCELS})

Deed = Callable[[Gateway], Awaitable[object]]


@dataclass
class Sleeper:
    """Does one deed in a thread of its own and stops at a point until it is woken."""

    house: House
    point: str
    stopped: threading.Event = field(default_factory=threading.Event)
    wake: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    thread: threading.Thread | None = None
    seconds: float = 0.0

    def start(self, deed: Deed) -> None:
        self.thread = threading.Thread(target=self._live, args=(deed,), daemon=True)
        self.thread.start()

    def _live(self, deed: Deed) -> None:
        try:
            asyncio.run(self._act(deed))
        except NaruError:
            pass  # a refusal is an answer
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    async def _act(self, deed: Deed) -> None:
        mine = self.house.gateway
        store = await Store.open(self.house.dsn, 2, root_key=ROOT_KEY)
        try:
            async with Wire(allow_private=True, ports=None) as wire:
                connector = type(mine.connector_of(self.house.channel))(wire, self.house.clock)
                gateway = replace(
                    mine, store=store, wire=wire, pg_wire=wire, _connectors={"sandbox": connector}
                )
                await deed(gateway)
        finally:
            # Also when the deed is refused: a connection that nobody closes complains whenever the
            # garbage collector finds it, be it in the middle of a compilation, which then fails.
            await store.close()

    def hear(self, point: str) -> None:
        if threading.current_thread() is self.thread and point == self.point:
            self.stopped.set()
            self.wake.wait(60)
            if self.seconds:
                # A stopped process does not stop this clock, and nobody sets it.
                loop, slept = asyncio.get_running_loop(), self.seconds
                loop.time = lambda: time.monotonic() + slept  # type: ignore[method-assign]

    async def sleeps(self) -> bool:
        """Wait until it has stopped at its point (or ended without passing it)."""
        while not self.stopped.is_set() and not self.ended.is_set():
            await asyncio.sleep(0.005)
        return self.stopped.is_set()

    async def goes_on(self, *, after_seconds: float = 0.0) -> None:
        """Wake it; by its loop's clock, too, so many seconds have gone by."""
        self.seconds = after_seconds
        self.wake.set()
        while not self.ended.is_set():
            await asyncio.sleep(0.005)
        if self.error is not None:
            raise self.error


@contextmanager
def asleep(house: House, point: str, deed: Deed) -> Iterator[Sleeper]:
    assert point in POINTS
    sleeper = Sleeper(house, point)
    listen(sleeper.hear)
    sleeper.start(deed)
    try:
        yield sleeper
    finally:
        sleeper.wake.set()
        listen(None)


async def sleep_through(house: House, point: str, deed: Deed) -> bool:
    """Stop at the point, let a worker go on for 400 s or an hour, wake up. False: not on its way."""
    with asleep(house, point, deed) as sleeper:
        passed = await sleeper.sleeps()
        await let_time_pass(house, minutes=7, step=70)
        await sleeper.goes_on()
    await let_time_pass(house, minutes=30, step=300)
    return passed


async def doubtful(house: House, pg: StandInPg, *, done: bool) -> Payment:
    payment = await house.open()
    later = str(int(house.clock().timestamp()) + 600)
    pg.hang_up("approvals", done=done)
    await approve(house.gateway, payment.imp_uid, back(pg, payment, expires_at=later))
    house.clock.advance(seconds=30)
    return payment


@pytest.mark.fault("C2_SL", "C3_SL", "K1_SL", "K1_DU")
@pytest.mark.promise("P8", "P3")
@pytest.mark.parametrize(
    "powers", [ALL, frozenset({ASK}), frozenset({UNDO}), frozenset[Can]()], ids=name
)
async def test_who_sleeps_during_an_approval_loses(
    house: House, pg: StandInPg, powers: frozenset[Can]
) -> None:
    give_powers(house, *powers)
    slept: set[str] = set()
    for point in ("claim.after_commit", "approve.after_pg", "settle.after_commit"):
        payment = await house.open()
        later = str(int(house.clock().timestamp()) + 600)
        fields = back(pg, payment, expires_at=later)

        async def takes(
            gateway: Gateway, payment: Payment = payment, fields: dict[str, str] = fields
        ) -> object:
            return await approve(gateway, payment.imp_uid, fields)

        if await sleep_through(house, point, takes):
            slept.add(point)
        await check(house, pg, payment, point)
    points = ("after_lease", "after_pg", "before_lease")
    for point, done in itertools.product([f"reconcile.{each}" for each in points], (True, False)):
        payment = await doubtful(house, pg, done=done)

        async def looks(gateway: Gateway, payment: Payment = payment) -> object:
            return await reconcile(gateway, payment.imp_uid)

        if await sleep_through(house, point, looks):
            slept.add(point)
        await check(house, pg, payment, f"{point}, {done}")
    for point, done in itertools.product(("undo.after_decision", "undo.after_pg"), (True, False)):
        payment = await doubtful(house, pg, done=done)
        if done and ASK in powers:
            pg.orders[payment.pg_order_no]["approval"]["amount"] = 1  # a mismatch is undone

        async def undoes(gateway: Gateway, payment: Payment = payment) -> object:
            return await reconcile(gateway, payment.imp_uid)

        if await sleep_through(house, point, undoes):
            slept.add(point)
        await check(house, pg, payment, f"{point}, {done}")
    # The control: the sleepers did sleep where this PG's way leads.
    assert {"claim.after_commit", "approve.after_pg"} <= slept
    assert ("reconcile.after_lease" in slept) == bool(powers), "nothing can be done: nothing is due"
    assert ("undo.after_pg" in slept) == (UNDO in powers)
    assert ("reconcile.after_pg" in slept) == (ASK in powers)


@pytest.mark.fault("F2_SL", "F3_SL", "F2_RO", "F1_CA")
@pytest.mark.promise("P1", "P14")
@pytest.mark.parametrize(
    "powers", [ALL, ALL - {Can.REPEAT_CANCEL}, ALL - {Can.INQUIRE_CANCEL}], ids=name
)
async def test_who_sleeps_during_a_cancel_loses(
    house: House, pg: StandInPg, powers: frozenset[Can]
) -> None:
    give_powers(house, *powers)
    for point in ("cancel.after_reserve", "cancel.after_pg", "cancel.after_commit"):
        payment = await house.open(1004)
        await approve(house.gateway, payment.imp_uid, back(pg, payment, **fresh(house)))

        async def gives_back(gateway: Gateway, payment: Payment = payment) -> object:
            return await cancel(
                gateway, house.merchant.id, payment.imp_uid, CancelRequest(amount=Money(400))
            )

        assert await sleep_through(house, point, gives_back)
        await books_agree(house, pg, payment)
    for point, done in itertools.product(
        ("reconcile.after_lease", "reconcile.after_pg"), (True, False)
    ):
        payment = await house.open(1004)
        await approve(house.gateway, payment.imp_uid, back(pg, payment, **fresh(house)))
        pg.hang_up("POST cancels", done=done)
        with pytest.raises(NaruError):
            await cancel(
                house.gateway, house.merchant.id, payment.imp_uid, CancelRequest(amount=Money(400))
            )
        house.clock.advance(seconds=30)

        async def looks(gateway: Gateway, payment: Payment = payment) -> object:
            return await reconcile(gateway, payment.imp_uid)

        assert await sleep_through(house, point, looks)
        await books_agree(house, pg, payment)


def fresh(house: House) -> dict[str, str]:
    return {"expires_at": str(int(house.clock().timestamp()) + 600)}


async def books_agree(house: House, pg: StandInPg, payment: Payment) -> None:
    now = await house.payment(payment.imp_uid)
    order = pg.orders[payment.pg_order_no]
    assert now.cancelled.minor == order["cancelled"]
    assert now.cancelled.minor in (0, 400), "the same 400 won are never given back twice"
    async with house.gateway.store.direct() as session:
        assert await session.intents.of_payment(payment.imp_uid) is None


@pytest.mark.fault("K1_SL")
async def test_a_doubt_of_a_sleeper_is_not_written_over_what_another_found_since(
    house: House, pg: StandInPg
) -> None:
    """The lease hands out numbers; the sleeper's is old, so its 'unknown' moves nothing."""
    payment = await doubtful(house, pg, done=True)
    pg.answer("orders", b"busy", 503)

    async def looks(gateway: Gateway) -> object:
        return await reconcile(gateway, payment.imp_uid)

    with asleep(house, "reconcile.after_pg", looks) as sleeper:
        assert await sleeper.sleeps()
        house.clock.advance(seconds=400)
        pg.answer("orders", b"busy", 503)
        await reconcile(house.gateway, payment.imp_uid)
        async with house.gateway.store.direct() as session:
            before = await session.intents.of_payment(payment.imp_uid)
        await sleeper.goes_on()
    async with house.gateway.store.direct() as session:
        after = await session.intents.of_payment(payment.imp_uid)
        assert after == before
        assert after is not None
        tries = await session.intents.tries_of(after.id)
    # What it heard is kept all the same: two lines of each number, after that of the call itself.
    assert [(each.number, each.what) for each in tries] == [
        (0, "answered"),
        (1, "asked"),
        (2, "asked"),
        (2, "answered"),
        (1, "answered"),
    ]


@pytest.mark.fault("C2_DU", "K1_DU")
async def test_many_workers_and_a_sleeper_end_one_question_once(
    house: House, pg: StandInPg
) -> None:
    for _ in range(often(2, 20)):
        payment = await doubtful(house, pg, done=True)

        async def looks(gateway: Gateway, payment: Payment = payment) -> object:
            return await reconcile(gateway, payment.imp_uid)

        with asleep(house, "reconcile.after_pg", looks) as sleeper:
            await sleeper.sleeps()
            house.clock.advance(seconds=60)
            both: Any = asyncio.gather(
                *(reconcile(house.gateway, payment.imp_uid) for _ in range(8)), sleeper.goes_on()
            )
            await both
        assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]
        assert (await house.payment(payment.imp_uid)).step is Step.PAID


@pytest.mark.fault("C2_CB", "F2_CB")
async def test_who_slept_before_it_asked_does_not_ask_what_was_given_up_since(
    house: House, pg: StandInPg
) -> None:
    give_powers(house, *(ALL - {Can.REPEAT_CANCEL}))
    payment = await house.open(1004)
    fields = back(pg, payment, **fresh(house))

    async def takes(gateway: Gateway) -> object:
        return await approve(gateway, payment.imp_uid, fields)

    assert await sleep_through(house, "claim.after_commit", takes)
    assert pg.count("approvals") == 0
    assert (await house.payment(payment.imp_uid)).step is Step.FAILED

    paid = await house.open(1004)
    await approve(house.gateway, paid.imp_uid, back(pg, paid, **fresh(house)))

    async def gives_back(gateway: Gateway) -> object:
        return await cancel(gateway, house.merchant.id, paid.imp_uid, CancelRequest())

    assert await sleep_through(house, "cancel.after_reserve", gives_back)
    assert [asked for asked in pg.asked if asked.path == "/v1/cancels"] == []
    assert (await house.payment(paid.imp_uid)).balance == Money(1004)

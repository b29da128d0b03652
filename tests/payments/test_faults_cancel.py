"""Giving money back under every fault of the matrix: rows F1 (reserved), F2 (PG), F3 (booked).

A cancel of 400 of 1,004 won, so that doing it twice would fit and would be seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from naru.connectors import Can
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import (
    BalanceChanged,
    NaruError,
    NoSuchPayment,
    OutcomeUnknown,
)
from naru.domain.money import Money
from naru.domain.payment import Payment
from naru.domain.points import POINTS, listen
from naru.domain.task import TaskKind
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.gateway import Gateway
from naru.payments.reconcile import reconcile
from naru.store import StoreUnavailable
from tests.payments.test_faults_approve import form, jumping
from tests.payments.test_recovery import give_powers, let_time_pass, name
from tests.payments.test_sleepers import asleep, sleep_through
from tests.payments.test_virtual_account_faults import ended, tasks_of
from tests.support.agreement import agree
from tests.support.database_away import database_away
from tests.support.database_line import over_a_line
from tests.support.dying import dying
from tests.support.gateway import House
from tests.support.scale import often
from tests.support.stand_in_pg import Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

AT_ONCE = 64
GUARDED = frozenset({Can.INQUIRE_CANCEL, Can.REPEAT_CANCEL})
# A PG without a guard must be asked, one without an inquiry must have a guard; one with neither is
# an operator's from the start.
POWERS = [GUARDED, GUARDED - {Can.REPEAT_CANCEL}, GUARDED - {Can.INQUIRE_CANCEL}, frozenset[Can]()]


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
async def paid(house: House, pg: StandInPg) -> Payment:
    """A payment of 1,004 won, paid; its merchant hears of every change."""
    await house.set_merchant(webhook_url="https://shop.example/hook")
    payment = await house.open(1004)
    await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    pg.asked.clear()
    return payment


async def give_back(
    house: House, payment: Payment, amount: int = 400, gateway: Gateway | None = None, **asked: Any
) -> Payment:
    request = CancelRequest(amount=Money(amount), enable_webhook=True, **asked)
    return await cancel(gateway or house.gateway, house.merchant.id, payment.imp_uid, request)


async def reserved(house: House, payment: Payment) -> None:
    """The balance is spoken for: no further cancel starts, and nothing is given back in the books."""
    assert (await house.payment(payment.imp_uid)).cancelled == Money(0)
    async with house.gateway.store.direct() as session:
        intent = await session.intents.of_payment(payment.imp_uid)
    assert intent is not None
    assert intent.amount == 400


async def untouched(house: House, pg: StandInPg, payment: Payment) -> None:
    assert pg.asked == []
    assert (await agree(house, pg, payment.imp_uid, ["paid"])).balance == Money(1004)


async def given_back(house: House, pg: StandInPg, payment: Payment, amount: int = 400) -> None:
    """Given back once, in both books, with one event and one webhook."""
    now = await agree(house, pg, payment.imp_uid, ["paid", "cancelled"])
    assert (now.cancelled, len(now.cancellations)) == (Money(amount), 1)
    assert pg.orders[payment.pg_order_no]["cancelled"] == amount
    assert (await house.history(payment.imp_uid))[3:] == ["partly_cancelled"]


async def in_doubt(giving: Awaitable[object]) -> None:
    """The merchant hears neither yes nor no: it is being found out."""
    with pytest.raises(OutcomeUnknown):
        await giving


# --- F1: the amount is reserved ------------------------------------------------------------------


@pytest.mark.fault("F1_CB")
async def test_a_reservation_that_was_not_committed_when_we_died_never_was(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    with dying("cancel.before_reserve"):
        await give_back(house, paid)
    await untouched(house, pg, paid)
    await give_back(house, paid)
    await given_back(house, pg, paid)


@pytest.mark.fault("F1_CA", "F2_CB")
@pytest.mark.parametrize("powers", POWERS, ids=name)
async def test_a_reservation_that_was_committed_when_we_died_is_held_until_it_is_known(
    house: House, pg: StandInPg, paid: Payment, powers: frozenset[Can]
) -> None:
    give_powers(house, *powers)
    with dying("cancel.after_reserve"):
        await give_back(house, paid)
    assert pg.asked == []
    await reserved(house, paid)
    if not powers:
        house.clock.advance(seconds=30)
        await reconcile(house.gateway, paid.imp_uid)
        assert await tasks_of(house, paid) == [TaskKind.CANCEL_UNKNOWN]
        await reserved(house, paid)
        return
    await ended(house, paid.imp_uid)
    if Can.REPEAT_CANCEL in powers:
        await given_back(house, pg, paid)
    else:
        assert pg.orders[paid.pg_order_no]["cancelled"] == 0
        await agree(house, pg, paid.imp_uid, ["paid"])
        await give_back(house, paid)
        await given_back(house, pg, paid)


@pytest.mark.fault("F1_LR")
@pytest.mark.parametrize("done", [False, True])
async def test_a_reservation_whose_commit_nobody_heard_of_asks_no_pg(
    house: House, pg: StandInPg, paid: Payment, done: bool
) -> None:
    async with over_a_line(house) as line:
        line.next_commit(done=done)
        with pytest.raises(StoreUnavailable):
            await give_back(house, paid)
        assert line.cuts == 1
    assert pg.asked == []
    if done:
        await reserved(house, paid)
        await ended(house, paid.imp_uid)
    else:
        await untouched(house, pg, paid)
        await give_back(house, paid)
    await given_back(house, pg, paid)


@pytest.mark.fault("F1_RO")
@pytest.mark.promise("P7")
async def test_a_cancel_that_arrives_after_another_finds_its_checksum_spent(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    await give_back(house, paid, checksum=Money(1004))
    house.clock.advance(hours=3)
    for _ in range(3):
        with pytest.raises(BalanceChanged):
            await give_back(house, paid, checksum=Money(1004))
    await given_back(house, pg, paid)


@pytest.mark.fault("F1_SL", "F1_DU")
async def test_a_process_that_sleeps_in_its_reservation_lets_nobody_give_back_twice(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    """Eight others saw the same balance; they wait for its row, and one checksum is spent once."""

    async def gives_back(gateway: Gateway) -> object:
        return await give_back(house, paid, gateway=gateway, checksum=Money(1004))

    with asleep(house, "cancel.before_reserve", gives_back) as sleeper:
        assert await sleeper.sleeps()
        others = [
            asyncio.ensure_future(give_back(house, paid, checksum=Money(1004))) for _ in range(8)
        ]
        house.clock.advance(seconds=400)
        await sleeper.goes_on()
    ends = await asyncio.gather(*others, return_exceptions=True)
    assert all(isinstance(each, Payment | NaruError) for each in ends)
    assert sum(isinstance(each, Payment) for each in ends) <= 1
    await ended(house, paid.imp_uid)
    await given_back(house, pg, paid)


@pytest.mark.fault("F1_WD")
async def test_what_may_not_be_given_back_is_refused_before_the_pg_is_asked(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    for wrong in (
        CancelRequest(amount=Money(1005)),
        CancelRequest(amount=Money(-400)),
        CancelRequest(amount=Money(400, "USD")),
        CancelRequest(amount=Money(400), checksum=Money(1003)),
        CancelRequest(amount=Money(400), checksum=Money(1004, "USD")),
        CancelRequest(amount=Money(400), tax_free=Money(401)),
    ):
        with pytest.raises(NaruError):
            await cancel(house.gateway, house.merchant.id, paid.imp_uid, wrong)
    with pytest.raises(NoSuchPayment):
        await cancel(house.gateway, house.merchant.id + 1, paid.imp_uid, CancelRequest())
    await untouched(house, pg, paid)


@pytest.mark.fault("F1_DB", "F1_NP")
async def test_a_cancel_while_the_database_is_away_is_refused_and_done_when_it_is_back(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    async with database_away(house.dsn):
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await give_back(house, paid)
    await untouched(house, pg, paid)
    await give_back(house, paid)
    await given_back(house, pg, paid)


# --- F2: the PG is asked -------------------------------------------------------------------------


@pytest.mark.fault("F2_CA")
@pytest.mark.parametrize("powers", POWERS, ids=name)
async def test_a_cancel_that_was_answered_when_we_died_is_found_out_or_a_person_knows(
    house: House, pg: StandInPg, paid: Payment, powers: frozenset[Can]
) -> None:
    give_powers(house, *powers)
    with dying("cancel.after_pg"):
        await give_back(house, paid)
    await reserved(house, paid)
    if not powers:
        house.clock.advance(seconds=30)
        await reconcile(house.gateway, paid.imp_uid)
        assert await tasks_of(house, paid) == [TaskKind.CANCEL_UNKNOWN]
        await reserved(house, paid)
        return
    await ended(house, paid.imp_uid)
    await given_back(house, pg, paid)


WRONG: tuple[dict[str, Any] | bytes, ...] = (
    b"",
    b"OK",
    b"<html>",
    b"\xff\xfe\x00",
    b'{"result":"cancelled"',
    {"result": "cancelled"},
    {"result": "refused"},
    {"result": "yes"},
)
OTHERS: tuple[dict[str, Any], ...] = (
    {"cancel_no": "c-somebody-elses"},
    {"amount": 5000},
    {"amount": -400},
    {"amount": 0},
    {"amount": "400"},
    {"amount": True},
    {"tid": None, "amount": None},
)


@pytest.mark.fault("F2_WD")
async def test_an_answer_that_is_garbage_or_about_something_else_is_doubt_and_ends_as_the_pg_says(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    """Garbage came instead of the deed, which is then repeated; a changed answer came after it."""
    for said in (*WRONG, *OTHERS):
        payment = await house.open(1004)
        await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
        if said in OTHERS:
            assert isinstance(said, dict)
            pg.change("cancels", **said)
        else:
            pg.answer("cancels", said)
        await in_doubt(give_back(house, payment))
        await reserved(house, payment)
        await ended(house, payment.imp_uid)
        await given_back(house, pg, payment)


@pytest.mark.fault("F2_SL", "F2_RO")
@pytest.mark.parametrize("done_first", [False, True])
async def test_a_cancel_that_the_pg_does_late_is_done_once(
    house: House, pg: StandInPg, paid: Payment, done_first: bool
) -> None:
    """The worker cancels with the same number meanwhile; the PG's guard lets one of them through."""
    at_pg, go_on = pg.hold("POST cancels", done_first=done_first)
    giving = asyncio.ensure_future(give_back(house, paid))
    await at_pg.wait()
    house.clock.advance(seconds=400)
    await reconcile(house.gateway, paid.imp_uid)
    go_on.set()
    with suppress(NaruError):
        await giving
    await ended(house, paid.imp_uid)
    await given_back(house, pg, paid)


@pytest.mark.fault("F2_DB", "F2_DF", "F3_DB", "F3_DF", "F3_NP")
async def test_a_cancel_that_is_answered_while_the_database_is_away_is_found_out(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    at_pg, go_on = pg.hold("POST cancels", done_first=True)
    giving = asyncio.ensure_future(give_back(house, paid))
    await at_pg.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await giving
    await reserved(house, paid)
    await ended(house, paid.imp_uid)
    await given_back(house, pg, paid)


@pytest.mark.fault("F2_NP")
@pytest.mark.parametrize("done", [False, True])
async def test_a_pg_that_is_away_for_minutes_leaves_a_cancel_in_doubt_until_it_answers(
    house: House, pg: StandInPg, paid: Payment, done: bool
) -> None:
    pg.hang_up("POST cancels", done=done)
    await in_doubt(give_back(house, paid))
    for _ in range(4):
        pg.answer("cancels", b"", 503)
        house.clock.advance(minutes=6)
        await reconcile(house.gateway, paid.imp_uid)
        await reserved(house, paid)
    pg.next["cancels"].clear()
    assert await tasks_of(house, paid) == [TaskKind.CANCEL_UNKNOWN], "it took long: a person knows"
    await ended(house, paid.imp_uid)
    assert await tasks_of(house, paid) == []
    await given_back(house, pg, paid)


# --- F3: the result is booked --------------------------------------------------------------------


@pytest.mark.fault("F3_CB")
@pytest.mark.parametrize("point", ["cancel.after_pg", "cancel.before_commit"])
async def test_a_cancellation_that_was_not_booked_when_we_died_is_booked_by_the_worker(
    house: House, pg: StandInPg, paid: Payment, point: str
) -> None:
    with dying(point):
        await give_back(house, paid)
    assert pg.taken() == 604
    await reserved(house, paid)
    await ended(house, paid.imp_uid)
    await given_back(house, pg, paid)


@pytest.mark.fault("F3_CA")
async def test_a_cancellation_that_was_booked_when_we_died_is_told_to_whoever_asks(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    with dying("cancel.after_commit"):
        await give_back(house, paid)
    await given_back(house, pg, paid)
    house.clock.advance(minutes=10)
    assert await reconcile(house.gateway, paid.imp_uid) is None
    with pytest.raises(BalanceChanged):
        await give_back(house, paid, checksum=Money(1004))
    await given_back(house, pg, paid)


@pytest.mark.fault("F3_LR")
@pytest.mark.parametrize("done", [False, True])
async def test_a_cancellation_whose_commit_nobody_heard_of_is_true_in_the_end(
    house: House, pg: StandInPg, paid: Payment, done: bool
) -> None:
    async with over_a_line(house) as line:

        async def cut(asked: Asked) -> None:
            line.next_commit(done=done)

        pg.peek = cut
        with pytest.raises(StoreUnavailable):
            await give_back(house, paid)
        assert line.cuts == 1
    pg.peek = None
    assert (await house.payment(paid.imp_uid)).cancelled == Money(400 if done else 0)
    await ended(house, paid.imp_uid)
    await given_back(house, pg, paid)


@pytest.mark.fault("F3_DU")
@pytest.mark.promise("P4")
async def test_the_answer_and_many_workers_book_one_cancellation(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    for round_ in range(often(2, 10)):
        payment = paid if round_ == 0 else await house.open(1004)
        if round_:
            await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
        at_pg, let_answer = pg.hold("POST cancels", done_first=True)
        giving = asyncio.ensure_future(give_back(house, payment))
        await at_pg.wait()
        house.clock.advance(seconds=30)
        inquired, let_tell = pg.hold("GET cancels", done_first=True)
        workers = [
            asyncio.ensure_future(reconcile(house.gateway, payment.imp_uid)) for _ in range(8)
        ]
        await inquired.wait()
        let_answer.set()
        let_tell.set()
        await asyncio.gather(giving, *workers)
        await given_back(house, pg, payment)


@pytest.mark.fault("F3_RO")
@pytest.mark.parametrize("answer", ["cancelled", "refused", "garbage"])
async def test_an_answer_that_comes_after_the_worker_booked_changes_nothing(
    house: House, pg: StandInPg, paid: Payment, answer: str
) -> None:
    at_pg, go_on = asyncio.Event(), asyncio.Event()

    async def late(asked: Asked, _: dict[str, Any]) -> Any:
        done = pg.do(asked)
        at_pg.set()
        await go_on.wait()
        refusal = {"result": "refused", "code": "2013", "message": "취소 불가"}
        return {"cancelled": done, "refused": refusal}.get(answer) or pg.say(b"<html>")

    pg.next["POST cancels"].append(late)
    giving = asyncio.ensure_future(give_back(house, paid))
    await at_pg.wait()
    house.clock.advance(seconds=30)
    await reconcile(house.gateway, paid.imp_uid)
    await given_back(house, pg, paid)
    go_on.set()
    assert (await giving).cancelled == Money(400), "what is booked has happened"
    await given_back(house, pg, paid)


@pytest.mark.fault("F3_SL")
@pytest.mark.parametrize("point", ["cancel.after_pg", "cancel.before_commit"])
async def test_a_process_that_slept_before_it_booked_books_once(
    house: House, pg: StandInPg, paid: Payment, point: str
) -> None:
    async def gives_back(gateway: Gateway) -> object:
        return await give_back(house, paid, gateway=gateway)

    if point == "cancel.after_pg":
        assert await sleep_through(house, point, gives_back)
    else:  # it holds the row, so the worker comes while it sleeps and waits
        with asleep(house, point, gives_back) as sleeper:
            assert await sleeper.sleeps()
            house.clock.advance(seconds=400)
            looking = asyncio.ensure_future(reconcile(house.gateway, paid.imp_uid))
            await sleeper.goes_on()
            await looking
    await given_back(house, pg, paid)


@pytest.mark.fault("F3_WD")
async def test_a_pg_that_gave_back_another_amount_is_followed_and_a_person_is_told(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    async def less(asked: Asked, _: dict[str, Any]) -> dict[str, Any]:
        asked.body["amount"] = 300
        return pg.do(asked)

    pg.next["POST cancels"].append(less)
    assert (await give_back(house, paid)).cancelled == Money(300)
    await given_back(house, pg, paid, 300)
    assert await tasks_of(house, paid) == [TaskKind.CANCEL_AMOUNT]


@pytest.mark.fault("F1_CJ", "F2_CJ")
@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
@pytest.mark.parametrize("point", ["cancel.before_reserve", "cancel.after_reserve"])
async def test_a_clock_that_jumps_before_the_pg_is_asked_to_give_back_changes_nothing(
    house: House, pg: StandInPg, paid: Payment, point: str, hours: int
) -> None:
    async with jumping(house, point, hours):
        await give_back(house, paid)
    assert [each.path for each in pg.asked].count("/v1/cancels") == 1
    await let_time_pass(house, minutes=30, step=300)
    await given_back(house, pg, paid)


@pytest.mark.fault("F3_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_before_the_cancellation_is_booked_changes_nothing(
    house: House, pg: StandInPg, paid: Payment, hours: int
) -> None:
    at_pg, go_on = pg.hold("POST cancels", done_first=True)
    giving = asyncio.ensure_future(give_back(house, paid))
    await at_pg.wait()
    house.clock.advance(hours=hours)
    go_on.set()
    await giving
    await given_back(house, pg, paid)


async def test_the_control_every_point_is_passed_and_the_line_changes_nothing(
    house: House, pg: StandInPg, paid: Payment
) -> None:
    passed: list[str] = []
    listen(passed.append)
    try:
        async with over_a_line(house) as line:
            await give_back(house, paid)
            assert line.cuts == 0
    finally:
        listen(None)
    await given_back(house, pg, paid)
    assert {point for point in POINTS if point.startswith("cancel.")} == set(passed)

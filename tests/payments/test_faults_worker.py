"""The worker's own questions under faults: row K1 of the matrix (inquiry, net-cancel, completion)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from naru.connectors import Can
from naru.domain.payment import Payment, Step
from naru.domain.task import TaskKind
from naru.payments.approve import approve
from naru.payments.reconcile import reconcile
from naru.store import StoreUnavailable
from tests.payments.test_faults_approve import form, held
from tests.payments.test_recovery import give_powers, name
from tests.payments.test_virtual_account_faults import ended, tasks_of
from tests.support.agreement import agree
from tests.support.database_away import database_away
from tests.support.database_line import over_a_line
from tests.support.dying import dying
from tests.support.gateway import House
from tests.support.stand_in_pg import Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

ASK, UNDO, REPEAT = Can.INQUIRE_ORDER, Can.NET_CANCEL, Can.REPEAT_APPROVAL
WAYS = [
    (frozenset({ASK, UNDO}), "orders"),
    (frozenset({ASK, UNDO}), "net_cancel"),
    (frozenset({UNDO}), "net_cancel"),
    (frozenset({REPEAT}), "approvals"),
]


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


async def doubtful(house: House, pg: StandInPg, *, done: bool) -> Payment:
    """A payment whose approval got no answer, long enough ago to be looked at."""
    await house.set_merchant(webhook_url="https://shop.example/hook")
    payment = await house.open()
    pg.hang_up("approvals", done=done)
    await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    house.clock.advance(seconds=30)
    return payment


async def told(house: House, pg: StandInPg, payment: Payment) -> Payment:
    """Ended, and both books agree."""
    end = await ended(house, payment.imp_uid)
    assert end.step in (Step.PAID, Step.FAILED)
    return await agree(house, pg, end.imp_uid, ["paid"] if end.step is Step.PAID else [])


def _name(value: frozenset[Can] | str) -> str:
    # A set has no order of its own, and every process of the tests must say the same name.
    return value if isinstance(value, str) else "+".join(sorted(each.name for each in value))


@pytest.mark.fault("K1_LQ", "K1_LR")
@pytest.mark.parametrize("lost_done", [False, True])
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("powers", "operation"), WAYS, ids=_name)
async def test_a_question_of_the_worker_that_was_lost_is_asked_again(
    house: House,
    pg: StandInPg,
    powers: frozenset[Can],
    operation: str,
    done: bool,
    lost_done: bool,
) -> None:
    give_powers(house, *powers)
    payment = await doubtful(house, pg, done=done)
    for _ in range(4 if operation == "orders" else 2):  # a GET is sent twice before we give up
        pg.hang_up(operation, done=lost_done)
    if operation == "net_cancel" and ASK in powers and done:
        pg.orders[payment.pg_order_no]["approval"]["amount"] = 1  # so that there is one to undo
    for _ in range(2):
        await reconcile(house.gateway, payment.imp_uid)
        await held(house, payment)
        house.clock.advance(seconds=70)
    assert pg.next[operation] == [], f"{name(powers)} asks by {operation}"
    end = await told(house, pg, payment)
    may_stand = (done and operation == "orders") or operation == "approvals"
    assert end.step is (Step.PAID if may_stand else Step.FAILED)


@pytest.mark.fault("K1_CA", "K1_LR")
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("commit_done", [False, True])
async def test_a_result_of_the_worker_whose_commit_nobody_heard_of_is_true_in_the_end(
    house: House, pg: StandInPg, done: bool, commit_done: bool
) -> None:
    payment = await doubtful(house, pg, done=done)
    async with over_a_line(house) as line:

        async def cut(asked: Asked) -> None:
            line.next_commit(done=commit_done)

        pg.peek = cut
        with pytest.raises(StoreUnavailable):
            await reconcile(house.gateway, payment.imp_uid)
        pg.peek = None
        assert line.cuts == 1
    end = await told(house, pg, payment)
    assert end.step is (Step.PAID if done else Step.FAILED)


@pytest.mark.fault("K1_CB", "K1_CA")
@pytest.mark.parametrize(
    ("point", "done"),
    [
        ("reconcile.before_lease", True),
        ("reconcile.after_lease", True),
        ("reconcile.after_pg", True),
        ("settle.before_commit", True),
        ("settle.after_commit", True),
        ("undo.before_decision", False),
        ("undo.after_decision", False),
        ("undo.after_pg", False),
        ("undo.before_commit", False),
        ("undo.after_commit", False),
    ],
)
async def test_a_worker_that_died_is_followed_by_another(
    house: House, pg: StandInPg, point: str, done: bool
) -> None:
    payment = await doubtful(house, pg, done=done)
    with dying(point):
        await reconcile(house.gateway, payment.imp_uid)
    end = await told(house, pg, payment)
    assert end.step is (Step.PAID if done else Step.FAILED)


GARBAGE: tuple[dict[str, Any] | bytes, ...] = (
    b"",
    b"<html>busy</html>",
    b"[]",
    b"\xff\xfe",
    b'{"result":"order"',
    {"result": "order"},
    {"result": "order", "state": "approved", "approval": None},
    {"result": "order", "state": "?", "amount": 1004, "cancelled": 0, "approval": {}},
    {"result": "error", "code": "BUSY", "message": "?"},
)


@pytest.mark.fault("K1_WD")
async def test_garbage_in_answer_to_an_inquiry_says_nothing(house: House, pg: StandInPg) -> None:
    for said in GARBAGE:
        payment = await doubtful(house, pg, done=True)
        pg.answer("orders", said)
        await reconcile(house.gateway, payment.imp_uid)
        await held(house, payment)
        assert pg.count("net_cancel") == 0, said
        assert (await told(house, pg, payment)).step is Step.PAID
        house.clock.advance(minutes=-6)


@pytest.mark.fault("K1_WD")
@pytest.mark.promise("P12", "L1")
async def test_an_inquiry_that_contradicts_the_net_cancel_is_held_and_laid_before_a_person(
    house: House, pg: StandInPg
) -> None:
    """The PG says undone, and in the same breath that it is approved: nobody believes either."""
    payment = await doubtful(house, pg, done=True)
    pg.answer("orders", {"result": "error", "code": "NOT_FOUND", "message": "없음"}, 404)
    undone = {"result": "undone", "order_no": payment.pg_order_no, "had_approved": False}
    pg.answer("net_cancel", undone)
    await reconcile(house.gateway, payment.imp_uid)
    await held(house, payment)
    assert TaskKind.ANSWERS_CONTRADICT in await tasks_of(house, payment)
    assert pg.taken() == 1004
    end = await told(house, pg, payment)
    assert (end.step, pg.taken()) == (Step.FAILED, 0)


@pytest.mark.fault("K1_WD")
@pytest.mark.parametrize("changes", [{"amount": 1}, {"currency": "USD"}, {"order_no": "another"}])
async def test_an_inquiry_that_finds_another_approval_than_was_asked_for_undoes_it(
    house: House, pg: StandInPg, changes: dict[str, Any]
) -> None:
    payment = await doubtful(house, pg, done=True)
    pg.orders[payment.pg_order_no]["approval"].update(changes)
    end = await told(house, pg, payment)
    assert end.step is Step.FAILED
    assert TaskKind.ANSWER_MISMATCH in await tasks_of(house, payment)


@pytest.mark.fault("K1_DB", "K1_DF")
@pytest.mark.parametrize(("done", "operation"), [(True, "orders"), (False, "net_cancel")])
async def test_a_worker_whose_database_goes_away_while_it_asks_is_followed_by_another(
    house: House, pg: StandInPg, done: bool, operation: str
) -> None:
    payment = await doubtful(house, pg, done=done)
    at_pg, go_on = pg.hold(operation, done_first=True)
    looking = asyncio.ensure_future(reconcile(house.gateway, payment.imp_uid))
    await at_pg.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await looking
    end = await told(house, pg, payment)
    assert end.step is (Step.PAID if done else Step.FAILED)


@pytest.mark.fault("K1_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("done", [False, True])
async def test_a_clock_that_jumps_while_the_worker_asks_changes_nothing(
    house: House, pg: StandInPg, done: bool, hours: int
) -> None:
    payment = await doubtful(house, pg, done=done)
    at_pg, go_on = pg.hold("orders", done_first=True)
    looking = asyncio.ensure_future(reconcile(house.gateway, payment.imp_uid))
    await at_pg.wait()
    house.clock.advance(hours=hours)
    go_on.set()
    await looking
    end = await told(house, pg, payment)
    assert end.step is (Step.PAID if done else Step.FAILED)

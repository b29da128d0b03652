"""The journal of acts about orders: one at a time, forward only, and who may still ask for the money."""

from __future__ import annotations

from datetime import datetime

import asyncpg
import pytest

from naru.domain.cancellation import CancelRequest
from naru.domain.mall import Acted, AskedBefore, MallAct, OrderAct
from naru.domain.money import Money
from naru.domain.outcome import Goods
from naru.domain.payment import Payment
from naru.domain.task import TaskKind
from naru.payments.act_on_order import due_acts, end_open_act, what_became
from naru.payments.cancel import cancel
from naru.payments.claim import FIRST_LOOK
from naru.payments.reconcile import reconcile
from naru.store.order_acts import KeptAct
from tests.rest.conftest import Desk
from tests.rest.test_naver import act, buy, channel_of, orders, stored, told_about


def planned(
    payment: Payment, subject: str, state: str = "planned", act: MallAct = MallAct.CANCEL
) -> KeptAct:
    return KeptAct(
        imp_uid=payment.imp_uid,
        round="c" * 25,
        number=f"{payment.imp_uid}-{subject}",
        subject=subject,
        act=act,
        fingerprint=b"f" * 32,
        state=state,  # type: ignore[arg-type]
    )


def soon(desk: Desk) -> tuple[datetime, datetime]:
    """Now, and when the worker looks first."""
    return desk.clock(), desk.clock() + FIRST_LOOK


@pytest.mark.parametrize("written_off", [True, False], ids=["written off", "control: it stands"])
async def test_a_planned_act_that_was_written_off_never_moves_money(
    desk_with_pg: Desk, written_off: bool
) -> None:
    """Its process slept between the plan and the cancel, and somebody else came to the same goods."""
    desk = desk_with_pg
    channel = await channel_of(desk, "naverco")
    payment = await buy(desk, channel)
    goods = (await orders(desk, payment))[0]["product_order_id"]
    async with desk.gateway.store.direct() as session:
        opened = await session.order_acts.open(planned(payment, goods), *soon(desk))
    assert opened is not None
    if written_off:
        ended = await what_became(desk.gateway, payment, channel, opened)
        assert (ended.state, ended.code) == ("refused", "NOT_SENT")
    request = CancelRequest(amount=Money(6_000), goods=Goods(goods, "cancel"), act_no=opened.number)
    late = cancel(desk.gateway, payment.merchant_id, payment.imp_uid, request)
    if written_off:
        with pytest.raises(AskedBefore):
            await late
        async with desk.gateway.store.direct() as session:
            assert await session.intents.of_number("cancel", opened.number) is None
        assert (await stored(desk, payment)).cancelled == Money(0)
    else:
        assert (await late).cancelled == Money(6_000)
        ended = await what_became(desk.gateway, payment, channel, planned(payment, goods, "asking"))
        assert ended.state == "done"


async def test_a_dead_plan_blocks_nobody(desk_with_pg: Desk) -> None:
    """A process died between the plan and the cancel: the next one writes the plan off and goes on."""
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    goods = (await orders(desk, payment))[0]["product_order_id"]
    async with desk.gateway.store.direct() as session:
        await session.order_acts.open(planned(payment, goods), *soon(desk))
        assert await session.order_acts.open(planned(payment, goods), *soon(desk)) is None
    answer = await act(desk, payment, "place", product_order_id=[goods])
    assert answer.verdict == (200, 0, None)
    assert await told_about(desk, payment) == [
        ("cancel", "refused", "NOT_SENT"),
        ("place", "done", None),
    ]
    assert (await stored(desk, payment)).cancelled == Money(0)


async def worker_looks(desk: Desk) -> None:
    """The worker's round over acts that somebody left open."""
    for number in await due_acts(desk.gateway):
        await end_open_act(desk.gateway, number)


@pytest.mark.promise("L1")
@pytest.mark.parametrize(
    ("state", "act", "heard", "ending"),
    [
        ("planned", MallAct.CANCEL, False, ("refused", "NOT_SENT")),
        ("asking", MallAct.PLACE, False, ("refused", "NEVER_ARRIVED")),
        ("asking", MallAct.PLACE, True, ("done", None)),
    ],
    ids=["planned only", "the PG never heard it", "the PG did it"],
)
async def test_an_act_whose_process_died_is_ended_by_the_worker(
    desk_with_pg: Desk, state: str, act: MallAct, heard: bool, ending: tuple[str, str | None]
) -> None:
    """Nobody need come to the same goods again."""
    desk = desk_with_pg
    channel = await channel_of(desk, "naverco")
    payment = await buy(desk, channel)
    goods = (await orders(desk, payment))[0]["product_order_id"]
    kept = planned(payment, goods, state, act)
    async with desk.gateway.store.direct() as session:
        await session.order_acts.open(kept, *soon(desk))
    if heard:
        told = OrderAct(kept.number, payment.pg_order_no, goods, act, {})
        connector = desk.gateway.connector_of(channel)
        assert isinstance(await connector.act_on_order(channel, told), Acted)
    await worker_looks(desk)
    assert await told_about(desk, payment) == [
        (act.value, state, None)
    ]  # Its own process may live.

    desk.clock.advance(21)
    await worker_looks(desk)

    [(_, *ended)] = await told_about(desk, payment)
    assert tuple(ended) == ending


async def test_a_request_that_still_goes_on_is_left_to_its_own_process(desk: Desk) -> None:
    """A hundred product orders at a slow mall take longer than one: the last of them are not given up."""
    payment = await desk.pay()
    first, last = planned(payment, "first"), planned(payment, "last")
    async with desk.gateway.store.direct() as session:
        for each in (first, last):
            await session.order_acts.open(each, *soon(desk))
        desk.clock.advance(19)
        await session.order_acts.end(first, "refused", desk.clock(), "x", "x")
    for seconds, found in ((19, []), (2, [last.number])):
        desk.clock.advance(seconds)
        # Other tests have left acts of their own in this room's database.
        due = await due_acts(desk.gateway)
        assert [each for each in due if each in (first.number, last.number)] == found


@pytest.mark.promise("L1")
async def test_a_mall_that_stays_silent_about_an_act_is_asked_ever_more_slowly_and_a_person_is_told(
    desk: Desk,
) -> None:
    payment = await desk.pay()
    kept = planned(payment, "goods", "asking", MallAct.PLACE)
    async with desk.gateway.store.direct() as session:
        await session.order_acts.open(kept, *soon(desk))
    tried = []
    for minute in range(180):
        desk.clock.advance(60)
        await worker_looks(desk)
        async with desk.gateway.store.direct() as session:
            told = [(t.kind, t.subject) for t in await session.tasks.of_payment(payment.imp_uid)]
            act = await session.order_acts.of_number(kept.number)
            doubts = await session.doubts.elsewhere(desk.clock(), 1_000)
        assert act is not None
        if act.tries > len(tried):
            tried.append(minute + 1)
        [doubt] = [each for each in doubts if each.number == kept.number]
        assert (doubt.question, doubt.about) == ("act: place", f"{payment.imp_uid} goods")
        assert told == ([(TaskKind.ERRAND_UNKNOWN, kept.number)] if minute >= 60 else [])
    # The ladder of all others, and once where a person is to be told. Before it had one: every minute.
    assert tried == [1, 2, 3, 4, 9, 24, 61]


async def test_an_act_that_gives_money_back_waits_for_its_cancel_and_tells_nobody_beside_it(
    desk_with_pg: Desk,
) -> None:
    """The cancel has the ladder and the task; minutes after its end the act has ended too."""
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"), 900_033, ())
    assert (await act(desk, payment, "cancel")).body["code"] == 1
    for _ in range(120):
        desk.clock.advance(60)
        await worker_looks(desk)
    assert await told_about(desk, payment) == [("cancel", "asking", None)]
    async with desk.gateway.store.direct() as session:
        doubts = await session.doubts.elsewhere(desk.clock(), 1_000)
        tasks = await session.tasks.of_payment(payment.imp_uid)
    assert not [each for each in doubts if payment.imp_uid in each.about]
    assert TaskKind.ERRAND_UNKNOWN not in [each.kind for each in tasks]
    await reconcile(desk.gateway, payment.imp_uid)
    desk.clock.advance(60)
    await worker_looks(desk)
    assert await told_about(desk, payment) == [("cancel", "done", None)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE order_acts SET state = 'planned', ended_at = NULL WHERE imp_uid = $1",
        "UPDATE order_acts SET state = 'refused', code = 'x', message = 'x' WHERE imp_uid = $1",
        "UPDATE order_acts SET subject = 'another' WHERE imp_uid = $1",
        "DELETE FROM order_acts WHERE imp_uid = $1",
    ],
)
async def test_the_journal_is_never_rewritten(desk_with_pg: Desk, statement: str) -> None:
    desk = desk_with_pg
    payment = await buy(desk, await channel_of(desk, "naverco"))
    assert (await act(desk, payment, "place")).status == 200
    before = await told_about(desk, payment)
    async with desk.gateway.store.direct() as session:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await session._connection.raw.execute(statement, payment.imp_uid)
    assert await told_about(desk, payment) == before

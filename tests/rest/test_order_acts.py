"""The journal of acts about orders: one at a time, forward only, and who may still ask for the money."""

from __future__ import annotations

import asyncpg
import pytest

from naru.domain.cancellation import CancelRequest
from naru.domain.mall import AskedBefore, MallAct
from naru.domain.money import Money
from naru.domain.outcome import Goods
from naru.domain.payment import Payment
from naru.payments.act_on_order import what_became
from naru.payments.cancel import cancel
from naru.store.order_acts import KeptAct
from tests.rest.conftest import Desk
from tests.rest.test_naver import act, buy, channel_of, orders, stored, told_about


def planned(payment: Payment, subject: str, state: str = "planned") -> KeptAct:
    return KeptAct(
        imp_uid=payment.imp_uid,
        round="c" * 25,
        number=f"{payment.imp_uid}-{subject}",
        subject=subject,
        act=MallAct.CANCEL,
        fingerprint=b"f" * 32,
        state=state,  # type: ignore[arg-type]
    )


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
        opened = await session.order_acts.open(planned(payment, goods), desk.clock())
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
        await session.order_acts.open(planned(payment, goods), desk.clock())
        assert await session.order_acts.open(planned(payment, goods), desk.clock()) is None
    answer = await act(desk, payment, "place", product_order_id=[goods])
    assert answer.verdict == (200, 0, None)
    assert await told_about(desk, payment) == [
        ("cancel", "refused", "NOT_SENT"),
        ("place", "done", None),
    ]
    assert (await stored(desk, payment)).cancelled == Money(0)


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

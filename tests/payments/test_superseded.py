"""A "no" of somebody who was overtaken is no news: another one may have asked the PG meanwhile.

Found by the simulation: a process pauses right before its request, the worker asks the same again
and the PG does it, and then the process finds that its own request never left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from naru.connectors import Can
from naru.domain.cancellation import CancelRequest
from naru.domain.channel import Channel
from naru.domain.errors import OutcomeUnknown, PgRefused
from naru.domain.money import Money
from naru.domain.outcome import CancelOrder, CancelOutcome, Outcome, Ticket
from naru.domain.payment import Step
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.claim import FIRST_LOOK
from naru.payments.reconcile import due, reconcile
from tests.payments.test_approve import back
from tests.payments.test_recovery import check, give_powers, let_time_pass
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg

NOBODY_LISTENS = "http://127.0.0.1:1"
Meanwhile = Callable[[], Awaitable[object]]


def pause_before_asking(house: House, meanwhile: Meanwhile, *powers: Can) -> None:
    """From here on a first request pauses, the world goes on, and then it cannot be sent."""
    ordinary = type(give_powers(house, *powers))

    class Pausing(ordinary):  # type: ignore[misc, valid-type]  # a class made for this test
        async def approve(self, channel: Channel, ticket: Ticket) -> Outcome:
            await meanwhile()
            outcome: Outcome = await super().approve(unreachable(channel), ticket)
            return outcome

        async def cancel(self, channel: Channel, order: CancelOrder) -> CancelOutcome:
            await meanwhile()
            outcome: CancelOutcome = await super().cancel(unreachable(channel), order)
            return outcome

    house.gateway._connectors["sandbox"] = Pausing(house.gateway.pg_wire, house.clock)


def unreachable(channel: Channel) -> Channel:
    return replace(channel, settings={**channel.settings, "url": NOBODY_LISTENS})


async def worker_walks(house: House) -> None:
    house.clock.advance(seconds=(FIRST_LOOK + timedelta(seconds=2)).total_seconds())
    for imp_uid in await due(house.gateway):
        await reconcile(house.gateway, imp_uid)


@pytest.mark.fault("C2_SL", "C2_CB")
@pytest.mark.promise("P3", "P12")
async def test_who_was_overtaken_does_not_call_a_charge_declined(
    house: House, pg: StandInPg
) -> None:
    async def overtaken() -> None:
        pg.hang_up("approvals", done=True)
        await worker_walks(house)

    pause_before_asking(house, overtaken, Can.REPEAT_APPROVAL)
    payment = await house.open()
    later = str(int(house.clock().timestamp()) + 600)
    standing = await approve(house.gateway, payment.imp_uid, back(pg, payment, expires_at=later))
    assert pg.taken() == 1004, "the worker asked, and the PG charged"
    assert standing is not None
    assert standing.step is Step.APPROVING
    await let_time_pass(house, minutes=5)
    assert await check(house, pg, payment, "overtaken") is Step.PAID


@pytest.mark.fault("F2_SL", "F2_CB")
@pytest.mark.promise("P3", "P14")
async def test_who_was_overtaken_does_not_call_a_cancel_refused(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    later = str(int(house.clock().timestamp()) + 600)
    await approve(house.gateway, payment.imp_uid, back(pg, payment, expires_at=later))

    async def overtaken() -> None:
        pg.hang_up("POST cancels", done=True)
        await worker_walks(house)

    pause_before_asking(house, overtaken, Can.REPEAT_CANCEL)
    with pytest.raises(OutcomeUnknown):
        await cancel(
            house.gateway, house.merchant.id, payment.imp_uid, CancelRequest(amount=Money(400))
        )
    assert pg.taken() == 604
    await let_time_pass(house, minutes=5)
    assert (await house.payment(payment.imp_uid)).balance == Money(604)


async def test_the_control_a_request_that_never_left_is_declined_when_nobody_else_asked(
    house: House, pg: StandInPg
) -> None:
    async def nothing() -> None:
        house.clock.advance(seconds=5)

    payment = await house.open()
    later = str(int(house.clock().timestamp()) + 600)
    await approve(house.gateway, payment.imp_uid, back(pg, payment, expires_at=later))
    pause_before_asking(house, nothing, Can.REPEAT_APPROVAL, Can.REPEAT_CANCEL)
    with pytest.raises(PgRefused):
        await cancel(house.gateway, house.merchant.id, payment.imp_uid, CancelRequest())
    other = await house.open()
    standing = await approve(house.gateway, other.imp_uid, back(pg, other, expires_at=later))
    assert standing is not None
    assert standing.step is Step.FAILED

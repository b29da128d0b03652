"""Every round of the timetable once, over a database in which something has happened."""

from __future__ import annotations

import logging

import pytest

from naru.domain.cancellation import CancelRequest
from naru.domain.money import Money
from naru.jobs.timetable import timetable
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from tests.support.gateway import open_house
from tests.support.stand_in_pg import standing_in


async def test_every_round_walks_over_payments_doubts_and_differences(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing_in() as pg, open_house(database_url, pg.url) as house:
        gateway = house.gateway
        paid = [await house.open() for _ in range(3)]
        for payment in paid:
            await approve(gateway, payment.imp_uid, pg.returned(payment.pg_order_no))
        await cancel(gateway, house.merchant.id, paid[0].imp_uid, CancelRequest(amount=Money(400)))
        pg.cancel_at_console(paid[1].pg_order_no, 100)
        pg.move("charge", "nobody's order", "tid-of-nobody", "1", 777)
        doubtful = await house.open()
        pg.hang_up("approvals", done=True)
        await approve(gateway, doubtful.imp_uid, pg.returned(doubtful.pg_order_no))
        house.clock.advance(hours=25)

        rounds = timetable(gateway)
        with caplog.at_level(logging.ERROR):
            for each in rounds:
                await each.walk()
        assert [
            r.getMessage() for r in caplog.records if "could not be compared" in r.message
        ] == []

        # The control: the rounds met what had happened.
        assert (await house.payment(paid[1].imp_uid)).balance == Money(904)
        async with gateway.store.direct() as session:
            kinds = {task.kind for task in await session.tasks.list_open()}
            assert {"book_charge_unknown", "cancelled_at_pg"} <= kinds
            assert await session.intents.due(house.clock(), 10) == [doubtful.imp_uid]

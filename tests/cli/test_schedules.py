"""`naru schedules`: what waits, what is late, what failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from naru.domain.billing_key import CardNumber
from naru.domain.payment import Surface
from naru.payments.issue_billing_key import issue_billing_key
from naru.payments.run_schedule import run_schedule
from naru.payments.schedule import Planned, schedule
from tests.support.gateway import open_house
from tests.support.stand_in_pg import SECRET, standing_in

Say = Callable[..., tuple[int, str, str]]
CARD = CardNumber.read("5365-1012-3456-1234", "2049-12")
ROOT_KEY = b"a root key of this test, long enough"


async def _plan(url: str) -> str:
    """One that is late, one that waits, one that has failed: the imp_uid of its payment."""
    async with (
        standing_in() as pg,
        open_house(url, pg.url, secret=SECRET, root_key=ROOT_KEY) as house,
    ):
        key = await issue_billing_key(house.gateway, house.merchant, house.channel, "gildong", CARD)
        now, numbers = house.clock(), []
        for name, wait in (("late-1", -60), ("later-1", 3_600), ("fails-1", -60)):
            opening = house.opening(1004, surface=Surface.API, merchant_uid=name)
            due = now + timedelta(seconds=wait)
            [made] = await schedule(house.gateway, key, [Planned(opening, due)])
            numbers.append(made.number)
        async with house.gateway.store.begin() as tx:
            await tx.billing_keys.delete(house.merchant.id, "gildong", now, "", now)
        failed = await run_schedule(house.gateway, numbers[-1])
        assert failed is not None
        return failed.imp_uid


def test_schedules_are_told_by_how_they_stand(say: Say, cli_database: str) -> None:
    failed = asyncio.run(_plan(cli_database))

    waiting, late = say("schedules"), say("schedules", "list", "--only", "late")

    assert waiting[0] == late[0] == 0
    assert {name for name in ("late-1", "later-1", "fails-1") if name in waiting[1]} == {
        "late-1",
        "later-1",
    }
    assert "late-1" in late[1]
    assert "later-1" not in late[1]
    told = "1 scheduled charge has failed: `naru schedules list --only failed` lists them.\n"
    assert waiting[2] == late[2] == told
    [line] = say("schedules", "list", "--only", "failed")[1].splitlines()
    assert "  failed  " in line
    assert "  1 attempt  " in line
    assert line.endswith(f"{failed}  등록되지 않은 구매자입니다.")
    status, said, complaint = say("schedules", "list", "--only", "checking")
    assert (status, said) == (0, "")
    assert complaint == "No scheduled charge is being found out.\n" + told


def test_schedules_of_one_merchant_are_told_alone(say: Say, cli_database: str) -> None:
    asyncio.run(_plan(cli_database))
    say("merchant", "add", "Another shop", "--user-code", "imp12345678")

    status, said, complaint = say("schedules", "list", "imp12345678")

    assert (status, said, complaint) == (0, "", "No schedule waits for its time.\n")
    assert say("schedules", "list", "1")[1] == say("schedules", "list")[1] != ""
    assert "`naru schedules list 1 --only failed`" in say("schedules", "list", "1")[2]
    assert say("schedules", "list", "imp00000000")[0] == 1

"""A deposit that the PG's console gave back, for naru/payments/return_deposit.py and migration 0016."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from naru.domain.money import Money
from naru.domain.payment import Step
from naru.domain.task import Task
from naru.payments.return_deposit import NotReturnable, return_deposit
from naru.store.audit import audit
from tests.payments.test_confirm_deposit import deposit, issue
from tests.support.gateway import House
from tests.support.stand_in_pg import StandInPg


async def task_about(house: House, notice_key: str) -> Task:
    async with house.gateway.store.direct() as session:
        tasks = await session.tasks.list_all()
    [found] = [each for each in tasks if each.subject == f"{house.channel.id}/{notice_key}"]
    return found


async def give_back(house: House, notice_key: str) -> Money:
    task = await task_about(house, notice_key)
    async with house.gateway.store.begin() as tx:
        return await return_deposit(tx, task, "kim", "row 7 of the console", house.clock())


async def suspense(house: House) -> int:
    """What the books have in virtual accounts and in no payment."""
    connection = await asyncpg.connect(house.dsn)
    try:
        return int(
            await connection.fetchval("SELECT -sum(amount) FROM entries WHERE account = 'suspense'")
        )
    finally:
        await connection.close()


async def is_whole(house: House) -> bool:
    return (await audit(house.dsn, now=house.clock())).broken == 0


@pytest.mark.promise("P1", "P16")
async def test_what_was_given_back_leaves_suspense_and_the_right_amount_still_pays(
    house: House, pg: StandInPg
) -> None:
    waiting, control = await issue(house), await issue(house)
    for payment, key in ((waiting, "n1"), (control, "n2")):
        assert await deposit(house, payment, 400, key) == "short"
    assert await suspense(house) == 800
    assert await give_back(house, "n1") == Money(400)
    assert await suspense(house) == 400

    assert await deposit(house, waiting, 1004, "n3") == "exact"
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    # The control: the same, and nobody said that the 400 went back.
    assert await deposit(house, control, 1004, "n4") == "over"
    assert await suspense(house) == 1404
    assert await is_whole(house)


async def test_it_is_returned_once_also_by_two_people(house: House, pg: StandInPg) -> None:
    waiting = await issue(house)
    await deposit(house, waiting, 400)
    said = await asyncio.gather(
        give_back(house, "n1"), give_back(house, "n1"), return_exceptions=True
    )
    assert {type(each) for each in said} == {Money, NotReturnable}
    assert await suspense(house) == 0
    assert await is_whole(house)


async def test_a_deposit_of_nobodys_order_is_returned_too(house: House, pg: StandInPg) -> None:
    stranger = replace(await issue(house), pg_order_no="nobodys")
    assert await deposit(house, stranger, 700, "n9") == "unknown_order"
    assert await give_back(house, "n9") == Money(700)
    assert await suspense(house) == 0
    assert await is_whole(house)


async def test_what_has_paid_is_not_returned_and_nothing_changes(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house)
    await deposit(house, waiting, 1000, "n1")
    await deposit(house, waiting, 4, "n2")
    with pytest.raises(NotReturnable, match="cancel the payment instead"):
        await give_back(house, "n1")
    connection = await asyncpg.connect(house.dsn)
    for key in ("n1", "n2"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="has paid"):
            await connection.execute(
                "INSERT INTO returned_deposits VALUES ($1, $2, now(), 'kim', 'by hand')",
                house.channel.id,
                key,
            )
    await connection.close()
    assert await suspense(house) == 0
    assert await is_whole(house)


async def test_a_return_and_the_rest_of_the_money_at_once_end_as_one_of_the_two(
    house: House, pg: StandInPg
) -> None:
    for number in range(4):
        waiting = await issue(house)
        await deposit(house, waiting, 1000, f"a{number}")
        said, meaning = await asyncio.gather(
            give_back(house, f"a{number}"),
            deposit(house, waiting, 4, f"b{number}"),
            return_exceptions=True,
        )
        paid = (await house.payment(waiting.imp_uid)).step is Step.PAID
        assert (isinstance(said, NotReturnable), meaning) == (
            paid,
            "exact" if paid else "short",
        )
    assert await is_whole(house)


async def test_only_a_task_about_a_deposit_is_returned(house: House, pg: StandInPg) -> None:
    waiting = await issue(house)
    await deposit(house, waiting, 400)
    task = await task_about(house, "n1")
    for kind, subject in (
        ("webhook_parked", "7"),
        ("deposit_short", "77/n1"),
        ("deposit_short", "x"),
    ):
        wrong = Task(task.id, kind, subject, None, "", task.opened_at, None, None, None, None)
        async with house.gateway.store.begin() as tx:
            with pytest.raises(NotReturnable):
                await return_deposit(tx, wrong, "kim", "x", house.clock())

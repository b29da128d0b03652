"""A deposit that the PG's console gave back, for naru/payments/return_deposit.py and migration 0016."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import asyncpg
import pytest

from naru.domain.book import DifferenceKind, Ending
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import OutcomeUnknown, PgRefused
from naru.domain.money import Money
from naru.domain.outcome import RefundAccount
from naru.domain.payment import Payment, Step
from naru.domain.task import Task
from naru.payments.cancel import cancel
from naru.payments.compare_books import compare_books
from naru.payments.reconcile import reconcile
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


def refund(house: House, payment: Payment, amount: int) -> Awaitable[Payment]:
    account = RefundAccount("004", "12345678901234", "홍길동")
    request = CancelRequest(Money(amount), refund_account=account)
    return cancel(house.gateway, house.merchant.id, payment.imp_uid, request)


async def pay_twice(house: House, pg: StandInPg) -> tuple[Payment, str]:
    """A payment whose account got its amount twice, as the PG and we have it; the second notice."""
    waiting = await issue(house)
    notices = [pg.pay_in(waiting.pg_order_no, 1004) for _ in range(2)]
    meanings = [await deposit(house, waiting, 1004, key) for key in notices]
    assert meanings == ["exact", "after_end"]
    return await house.payment(waiting.imp_uid), notices[1]


async def test_a_payment_with_a_surplus_is_refunded_and_the_surplus_stays_flagged(
    house: House, pg: StandInPg
) -> None:
    """To the PG all that lies in the account is one balance: it is asked with that one."""
    paid, second = await pay_twice(house, pg)
    pg.hang_up("cancels", done=False)
    with pytest.raises(OutcomeUnknown):
        await refund(house, paid, 4)
    assert (await refund_ended(house, paid)).cancelled == Money(0)
    assert (await refund(house, paid, 400)).cancelled == Money(400)
    assert (await task_about(house, second)).closed_at is None
    # A person gives the surplus back in the console, and says so: the PG's balance is ours again.
    pg.cancel_at_console(paid.pg_order_no, 1004)
    await give_back(house, second)
    assert (await refund(house, paid, 604)).step is Step.CANCELLED
    assert pg.orders[paid.pg_order_no]["cancelled"] == 2008
    assert await suspense(house) == 0
    assert await is_whole(house)


async def refund_ended(house: House, payment: Payment) -> Payment:
    """The worker ends the question: where money went back to is not kept, so it is only asked about."""
    house.clock.advance(minutes=9)
    await reconcile(house.gateway, payment.imp_uid)
    return await house.payment(payment.imp_uid)


async def test_a_surplus_that_only_the_pg_knows_of_makes_it_refuse(
    house: House, pg: StandInPg
) -> None:
    """The control: the PG's check of balances is as strict as before."""
    waiting = await issue(house)
    await deposit(house, waiting, 1004, pg.pay_in(waiting.pg_order_no, 1004))
    pg.pay_in(waiting.pg_order_no, 1004)
    with pytest.raises(PgRefused, match="잔액 불일치"):
        await refund(house, await house.payment(waiting.imp_uid), 4)


@pytest.mark.parametrize("told", [False, True])
async def test_a_surplus_given_back_at_the_console_is_no_refund_of_the_payment(
    house: House, pg: StandInPg, told: bool
) -> None:
    """The PG's book has a cancel of this much; which of the two deposits it was, only a person knows."""
    paid, second = await pay_twice(house, pg)
    pg.cancel_at_console(paid.pg_order_no, 1004)
    if told:
        await give_back(house, second)
    house.clock.advance(minutes=11)
    [found] = (await compare_books(house.gateway, [house.channel])).differences
    assert (found.kind, found.ending) == (DifferenceKind.CANCEL_UNKNOWN, Ending.TOLD)
    assert await house.payment(paid.imp_uid) == paid
    # The control: where nothing lay in the account besides, it is the payment's own money.
    waiting = await issue(house)
    await deposit(house, waiting, 1004, pg.pay_in(waiting.pg_order_no, 1004))
    pg.cancel_at_console(waiting.pg_order_no, 1004)
    house.clock.advance(minutes=11)
    await compare_books(house.gateway, [house.channel])
    assert (await house.payment(waiting.imp_uid)).step is Step.CANCELLED


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

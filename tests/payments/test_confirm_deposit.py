"""Virtual accounts: issued, deposited, closed. For confirm_deposit.py, issue_ and close_virtual_account.py."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import asyncpg
import pytest

from naru.domain.errors import (
    AlreadyPaid,
    BadRequest,
    CancelInProgress,
    NoSuchPayment,
    OutcomeUnknown,
    PgRefused,
)
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.outcome import Deposited
from naru.domain.payment import Payment, Step
from naru.payments.approve import approve
from naru.payments.close_virtual_account import NotWaiting, close_virtual_account
from naru.payments.confirm_deposit import confirm_deposit
from naru.payments.issue_virtual_account import issue_virtual_account
from naru.payments.reconcile import reconcile
from tests.payments.test_approve import back, intents, webhooks
from tests.support.gateway import House
from tests.support.scale import often
from tests.support.stand_in_pg import StandInPg


async def issue(house: House, order: str = "", amount: int = 1004) -> Payment:
    given = {"merchant_uid": MerchantUid(order)} if order else {}
    return await issue_virtual_account(
        house.gateway,
        house.opening(amount, pay_method="vbank", **given),
        bank_code="004",
        holder="나루",
        due=house.clock() + timedelta(days=1),
    )


def arrived(house: House, payment: Payment, amount: int, key: str = "n1") -> Deposited:
    return Deposited(
        notice_key=key,
        order_no=payment.pg_order_no,
        pg_tid=payment.pg_tid or "",
        amount=Money(amount),
        depositor="홍길동",
        deposited_at=house.clock(),
    )


async def deposit(house: House, payment: Payment, amount: int, key: str = "n1") -> str:
    return await confirm_deposit(house.gateway, house.channel, arrived(house, payment, amount, key))


async def booked(house: House) -> list[tuple[str, int]]:
    connection = await asyncpg.connect(house.dsn)
    try:
        rows = await connection.fetch(
            "SELECT meaning, amount FROM deposits ORDER BY booked_at, notice_key"
        )
        return [(row["meaning"], row["amount"]) for row in rows]
    finally:
        await connection.close()


async def test_an_issued_account_waits_and_an_exact_deposit_pays(
    house: House, pg: StandInPg
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    waiting = await issue(house)
    assert waiting.step is Step.WAITING_DEPOSIT
    assert waiting.virtual_account is not None
    assert waiting.virtual_account.holder == "나루"
    assert await deposit(house, waiting, 1004) == "exact"
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    assert await house.history(waiting.imp_uid) == [
        "opened",
        "authenticated",
        "account_issued",
        "deposited",
    ]
    assert await webhooks(house) == ["ready", "paid"]


@pytest.mark.promise("P16")
async def test_a_notice_that_is_repeated_is_booked_once(house: House, pg: StandInPg) -> None:
    waiting = await issue(house)
    told = await asyncio.gather(*(deposit(house, waiting, 1004) for _ in range(8)))
    assert sorted(told) == ["exact", *["repeated"] * 7]
    assert await booked(house) == [("exact", 1004)]


async def test_a_short_deposit_is_booked_and_does_not_pay_until_the_sum_is_right(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house)
    assert await deposit(house, waiting, 1000, "n1") == "short"
    assert (await house.payment(waiting.imp_uid)).step is Step.WAITING_DEPOSIT
    assert await deposit(house, waiting, 4, "n2") == "exact"
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    assert await booked(house) == [("short", 1000), ("exact", 4)]


@pytest.mark.promise("P16")
async def test_too_much_too_late_and_after_the_end_are_booked_and_never_pay(
    house: House, pg: StandInPg
) -> None:
    over, late = await issue(house), await issue(house)
    assert await deposit(house, over, 1005, "n1") == "over"
    house.clock.advance(days=2)
    assert await deposit(house, late, 1004, "n2") == "late"
    for payment in (over, late):
        assert (await house.payment(payment.imp_uid)).step is Step.WAITING_DEPOSIT
    house.clock.advance(days=-2)
    paid = await issue(house)
    assert await deposit(house, paid, 1004, "n3") == "exact"
    assert await deposit(house, paid, 1004, "n4") == "after_end"
    assert len(await booked(house)) == 4


async def test_a_deposit_of_nobodys_order_is_kept_all_the_same(house: House, pg: StandInPg) -> None:
    for key, amount in (("n1", Money(5)), ("n2", Money(5, "XXX"))):
        stranger = Deposited(key, "n-nobody", "tid", amount, None, house.clock())
        assert await confirm_deposit(house.gateway, house.channel, stranger) == "unknown_order"
    assert await booked(house) == [("unknown_order", 5)] * 2


async def test_two_accounts_of_one_order_are_two_real_payments_and_the_second_is_flagged(
    house: House, pg: StandInPg
) -> None:
    first, second = await issue(house, "o1"), await issue(house, "o1")
    await asyncio.gather(deposit(house, first, 1004, "n1"), deposit(house, second, 1004, "n2"))
    ends = [await house.payment(each.imp_uid) for each in (first, second)]
    assert [each.step for each in ends] == [Step.PAID] * 2
    assert sorted(each.flagged for each in ends) == [False, True]
    assert await booked(house) == [("exact", 1004)] * 2
    with pytest.raises(AlreadyPaid):
        await issue(house, "o1")


async def test_an_account_waits_while_a_card_pays_the_order_and_its_deposit_is_flagged(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house, "o1")
    card = await house.open(merchant_uid=MerchantUid("o1"))
    paid = await approve(house.gateway, card.imp_uid, back(pg, card))
    assert paid is not None
    assert paid.step is Step.PAID
    assert await deposit(house, waiting, 1004) == "exact"
    assert (await house.payment(waiting.imp_uid)).flagged


async def test_an_account_that_the_pg_refuses_fails_the_payment(
    house: House, pg: StandInPg
) -> None:
    pg.answer("virtual_accounts", {"result": "declined", "code": "V1", "message": "발급 불가"})
    with pytest.raises(PgRefused, match="발급 불가"):
        await issue(house)
    for due in (timedelta(seconds=-1), timedelta(days=400)):
        with pytest.raises(BadRequest):
            await issue_virtual_account(
                house.gateway,
                house.opening(pay_method="vbank"),
                bank_code="004",
                holder=None,
                due=house.clock() + due,
            )
    assert pg.count("virtual_accounts") == 1


async def test_an_account_whose_answer_was_lost_is_found(house: House, pg: StandInPg) -> None:
    pg.hang_up("virtual_accounts", done=True)
    with pytest.raises(OutcomeUnknown):
        await issue(house, "o1")
    async with house.gateway.store.direct() as session:
        [lost] = await session.payments.many_of_merchant(house.merchant.id, [], ["o1"])
    house.clock.advance(seconds=30)
    found = await reconcile(house.gateway, lost.imp_uid)
    assert found is not None
    assert found.step is Step.WAITING_DEPOSIT
    assert found.virtual_account is not None


async def test_two_requests_for_one_order_at_once_leave_no_payment_open(
    house: House, pg: StandInPg
) -> None:
    """The one that loses the order's claim is ended, not forgotten."""
    arrived_at_pg, go_on = pg.hold("virtual_accounts", done_first=True)
    first = asyncio.create_task(issue(house, "o1"))
    await arrived_at_pg.wait()
    with pytest.raises(AlreadyPaid):
        await issue(house, "o1")
    go_on.set()
    assert (await first).step is Step.WAITING_DEPOSIT


async def test_a_closed_account_is_a_failed_payment_and_a_deposit_is_still_booked(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house)
    closed = await close_virtual_account(house.gateway, house.merchant.id, waiting.imp_uid)
    assert (closed.step, closed.fail_reason) == (Step.FAILED, "가상계좌 말소")
    assert await intents(house, waiting.imp_uid) == ["done", "done"]
    with pytest.raises(NotWaiting):
        await close_virtual_account(house.gateway, house.merchant.id, waiting.imp_uid)
    with pytest.raises(NoSuchPayment):
        await close_virtual_account(house.gateway, house.merchant.id + 1, waiting.imp_uid)
    assert await deposit(house, waiting, 1004) == "after_end"
    assert (await house.payment(waiting.imp_uid)).step is Step.FAILED


async def test_a_pg_that_does_not_close_leaves_the_account_waiting(
    house: House, pg: StandInPg
) -> None:
    waiting = await issue(house)
    me = house.merchant.id
    pg.answer("virtual_accounts", {"result": "refused", "code": "A", "message": "이미 입금"})
    with pytest.raises(PgRefused):
        await close_virtual_account(house.gateway, me, waiting.imp_uid)
    assert (await house.payment(waiting.imp_uid)).step is Step.WAITING_DEPOSIT

    pg.answer("virtual_accounts", b"busy", 503)
    with pytest.raises(OutcomeUnknown):
        await close_virtual_account(house.gateway, me, waiting.imp_uid)
    with pytest.raises(CancelInProgress):
        await close_virtual_account(house.gateway, me, waiting.imp_uid)
    house.clock.advance(seconds=30)
    closed = await reconcile(house.gateway, waiting.imp_uid)
    assert closed is not None
    assert closed.step is Step.FAILED


async def test_a_deposit_that_races_the_closing_wins(house: House, pg: StandInPg) -> None:
    waiting = await issue(house)
    at_pg, go_on = pg.hold("virtual_accounts", done_first=True)
    closing = asyncio.create_task(
        close_virtual_account(house.gateway, house.merchant.id, waiting.imp_uid)
    )
    await at_pg.wait()
    assert await deposit(house, waiting, 1004) == "exact"
    go_on.set()
    with pytest.raises(NotWaiting):
        await closing
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    assert await intents(house, waiting.imp_uid) == ["done", "done"]


@pytest.mark.fault("I2_DU")
@pytest.mark.promise("P16")
async def test_many_deposits_at_once_pay_once_when_their_sum_is_right(
    house: House, pg: StandInPg
) -> None:
    """The books of the deposits are true at every moment: one of them makes the sum exact, no other does."""
    await house.set_merchant(webhook_url="https://shop.example/hook")
    many = often(16, 64)
    waiting = await issue(house, amount=many)
    told = await asyncio.gather(*(deposit(house, waiting, 1, f"n{n}") for n in range(many)))
    assert Counter(told) == {"short": many - 1, "exact": 1}
    assert (await house.payment(waiting.imp_uid)).step is Step.PAID
    assert len(await booked(house)) == many
    assert await webhooks(house) == ["ready", "paid"]

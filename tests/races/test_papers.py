"""Receipts, PINs and orders at the mall, at the sandbox PG: what is told once is told once, and the money agrees.

Each race is run again with its guard taken away; then it must show what the guard forbids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from naru.domain.payment import Payment, Step
from naru.payments.reconcile_receipt import due_receipts, reconcile_receipt
from naru.payments.turns import Turns
from naru.store.audit import audit
from naru.store.cash_receipts import CashReceipts
from naru.store.intents import Intent, Intents
from naru.store.payments import Payments
from tests.races.arena import Arena, Said, crowd, open_arena
from tests.rest.cash import transfer
from tests.rest.conftest import Desk, Shop
from tests.rest.test_kcpquick import add_quick_channel, check_pin, join
from tests.rest.test_naver import as_buyer, buy, channel_of, orders
from tests.support.sandbox_pg import join as join_pg
from tests.support.sandbox_pg import sandbox_pg
from tests.support.scale import often

if TYPE_CHECKING:
    from tests.support.postgres import Databases

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = {"identifier": "010-1234-5678"}
_NUMBERS = count(1)


@dataclass
class Hall:
    """An arena at the sandbox PG, the PG's ledger, and a desk for what buyers and staff do."""

    arena: Arena
    ledger: Path
    desk: Desk

    def theirs(self, statement: str, *values: Any) -> list[Any]:
        """What stands in the PG's own ledger."""
        with closing(sqlite3.connect(self.ledger)) as book:
            return book.execute(statement, values).fetchall()

    async def differences(self) -> list[str]:
        """Where the PG's book, ours and the audit differ."""
        sums = dict(
            self.theirs(
                "SELECT order_no, sum(CASE WHEN kind IN ('charge', 'deposit') THEN amount"
                " ELSE -amount END) FROM book GROUP BY order_no"
            )
        )
        rows = await self.arena.rows(
            "SELECT p.pg_order_no, COALESCE(sum(e.amount) FILTER"
            " (WHERE e.account = 'receivable'), 0)::bigint AS ours"
            " FROM payments p LEFT JOIN entries e USING (imp_uid) GROUP BY p.imp_uid"
        )
        ours = {row["pg_order_no"]: row["ours"] for row in rows}
        found = [
            f"{order}: {sums.get(order, 0)} and {amount}"
            for order, amount in ours.items()
            if sums.get(order, 0) != amount
        ]
        report = await audit(self.arena.house.dsn)
        return found + [f"{each.name}: {each.examples}" for each in report.checks if each.broken]


@pytest.fixture
def rounds() -> int:
    """How often each race is run: at a PG whose ledger is a file, once by day."""
    return often(1, 20)


@asynccontextmanager
async def open_hall(dsn: str, folder: Path) -> AsyncIterator[Hall]:
    async with sandbox_pg(folder, pace=0.01) as url, open_arena(dsn, pg_url=url) as arena:
        house = arena.house
        await join_pg(house)
        shop = Shop(house.merchant, house.channel, arena.imp_key, "", arena.token)
        desk = Desk(house.gateway, house.clock, arena.addresses[0], arena.http, shop, shop)  # type: ignore[arg-type]
        await add_quick_channel(desk)
        yield Hall(arena, folder / "ledger.db", desk)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hall(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hall]:
    dsn = databases.new()
    async with open_hall(dsn, tmp_path_factory.mktemp("sandbox")) as opened:
        yield opened
    databases.drop(dsn)


@pytest_asyncio.fixture(loop_scope="module")
async def broken(database_url: str, tmp_path: Path) -> AsyncIterator[Hall]:
    """A hall of this test's own, whose guards it may take away."""
    async with open_hall(database_url, tmp_path) as opened:
        yield opened


async def unlocked(self: Payments, imp_uid: str, merchant_id: int) -> Payment | None:
    """`Payments.lock` that holds nothing."""
    return await self.get_of_merchant(imp_uid, merchant_id)


async def nobody(self: Intents, imp_uid: str) -> Intent | None:
    """`Intents.of_payment` that sees nobody."""
    return None


# --- receipts ----------------------------------------------------------------------------------


async def _receipts(hall: Hall) -> tuple[Payment, list[Said], int]:
    """Sixty-four ask for the receipt of one payment; how often the PG was asked."""
    payment = await transfer(hall.desk, 11_000)
    said = await crowd(lambda _: hall.arena.ask("POST", f"/receipts/{payment.imp_uid}", PHONE))
    asked = await hall.arena.rows("SELECT 1 FROM cash_receipts WHERE imp_uid = $1", payment.imp_uid)
    return payment, said, len(asked)


def living(hall: Hall, payment: Payment) -> int:
    """The PG's receipts of this money that stand."""
    [(number,)] = hall.theirs(
        "SELECT count(*) FROM cash_receipts WHERE tid = ? AND cancelled_at IS NULL", payment.pg_tid
    )
    return int(number)


@pytest.mark.promise("P8")
async def test_sixty_four_receipts_of_one_payment_are_one_and_are_taken_back_once(
    hall: Hall, rounds: int
) -> None:
    for _ in range(rounds):
        payment, said, asked = await _receipts(hall)
        assert [each.done for each in said].count(True) == asked == living(hall, payment) == 1
        assert {each.status for each in said if not each.done} <= {200, 400}

        where = f"/receipts/{payment.imp_uid}"
        taken = await crowd(lambda _, where=where: hall.arena.ask("DELETE", where))  # type: ignore[misc]
        done = [each.body["response"] for each in taken if each.done]
        assert done
        assert len({each["cancelled_at"] for each in done}) == 1
        assert living(hall, payment) == 0
        assert await hall.differences() == []


async def test_control_without_the_lock_and_the_index_the_pg_is_asked_for_many_receipts(
    broken: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(self: CashReceipts, *which: object) -> None:
        return None

    await broken.arena.rows("DROP INDEX one_receipt")
    monkeypatch.setattr(Payments, "lock", unlocked)
    monkeypatch.setattr(CashReceipts, "living", none)
    _, _, asked = await _receipts(broken)
    print(f"\none receipt: the PG is asked once with the guards, {asked} times without")
    assert asked > 1


@pytest.mark.promise("P1", "P8")
async def test_a_receipt_beside_the_refund_of_its_money_does_not_stand(
    hall: Hall, rounds: int
) -> None:
    arena = hall.arena
    for _ in range(rounds):
        payment = await transfer(hall.desk, 11_000)

        async def either(number: int, payment: Payment = payment) -> Said:
            if number % 2:
                return await arena.ask("POST", f"/receipts/{payment.imp_uid}", PHONE)
            return await arena.cancel(payment)

        said = await crowd(either)
        while waiting := await due_now(hall):
            for number in waiting:
                await reconcile_receipt(hall.desk.gateway, number)

        assert (await arena.house.payment(payment.imp_uid)).step is Step.CANCELLED
        assert [each.done for each in said[::2]].count(True) == 1
        assert living(hall, payment) == 0
        assert await hall.differences() == []


async def due_now(hall: Hall) -> list[str]:
    """Receipts that a worker would look at within a minute."""
    hall.arena.house.clock.advance(minutes=1)
    try:
        return await due_receipts(hall.desk.gateway)
    finally:
        hall.arena.house.clock.advance(minutes=-1)


# --- a PIN -------------------------------------------------------------------------------------


async def _pin(hall: Hall, one_order: bool) -> tuple[list[Said], int]:
    """Sixty-four spend one PIN, for one order or for an order each; the PG's charges.

    That a PIN is good for one order is the PG's own word; that an order is paid once is ours.
    """
    member = await join(hall.desk, money=100_000)
    checked, _ = await check_pin(hall.desk, member)
    key = f"quick-{hall.desk.shop.channel.channel_key}"
    first = next(_NUMBERS)
    before = hall.theirs("SELECT count(*) FROM book WHERE kind = 'charge'")[0][0]

    async def spend(number: int) -> Said:
        order = {"merchant_uid": f"pin-race-{first}-{0 if one_order else number}"}
        body = {"member_id": member, "imp_uid": checked.imp_uid, "channel_key": key, **order}
        return await hall.arena.ask(
            "POST", "/kcpquick/payment/money", {**body, "amount": 1_000, "name": "당근"}
        )

    said = await crowd(spend)
    return said, hall.theirs("SELECT count(*) FROM book WHERE kind = 'charge'")[0][0] - before


@pytest.mark.parametrize("one_order", [True, False])
@pytest.mark.promise("P2")
async def test_one_pin_pays_once(hall: Hall, rounds: int, one_order: bool) -> None:
    for _ in range(rounds):
        said, charges = await _pin(hall, one_order)
        paid = [each for each in said if each.done and each.body["response"]["status"] == "paid"]
        assert len(paid) == charges == 1
        assert {each.status for each in said} == {200}
        assert await hall.differences() == []


# --- goods at the mall -------------------------------------------------------------------------


async def _wanted_back(hall: Hall) -> tuple[Payment, str]:
    """Two things were paid, 6,000 and 4,000 won; the buyer wants the money of this one back."""
    payment = await buy(hall.desk, await channel_of(hall.desk, "naverco"))
    carrot: str = (await orders(hall.desk, payment))[0]["product_order_id"]
    await as_buyer(hall.desk, carrot, act="ask_cancel")
    return payment, carrot


async def _agree_and_cancel(
    hall: Hall, payment: Payment, carrot: str
) -> tuple[Payment, list[Said]]:
    """Thirty-two agree to what the buyer wants, and thirty-two give everything back."""
    agree = f"/payments/{payment.imp_uid}/naver/approve-cancel"

    async def either(number: int) -> Said:
        if number % 2:
            return await hall.arena.ask("POST", agree, {"product_order_id": [carrot]})
        return await hall.arena.cancel(payment)

    said = await crowd(either)
    return await hall.arena.house.payment(payment.imp_uid), said


@pytest.mark.promise("P1", "P14")
async def test_who_agrees_and_who_cancels_give_back_each_won_once(hall: Hall, rounds: int) -> None:
    for _ in range(rounds):
        payment, said = await _agree_and_cancel(hall, *await _wanted_back(hall))
        assert payment.cancelled.minor in (6_000, 10_000)
        assert sum(each.amount.minor for each in payment.cancellations) == payment.cancelled.minor
        assert any(each.done for each in said)
        assert {each.status for each in said} <= {200, 207, 409, 500}
        assert await hall.differences() == []


async def test_control_without_the_row_lock_and_the_index_the_pg_is_asked_again(
    broken: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await _wanted_back(broken)
    await broken.arena.rows("DROP INDEX one_open_intent")
    monkeypatch.setattr(Turns, "take", lambda *_, **__: nullcontext())
    monkeypatch.setattr(Payments, "lock", unlocked)
    monkeypatch.setattr(Intents, "of_payment", nobody)
    payment, _ = await _agree_and_cancel(broken, *wanted)
    [row] = await broken.arena.rows(
        "SELECT count(*) AS asked, sum(amount)::bigint AS won FROM intents"
        " WHERE imp_uid = $1 AND kind = 'cancel'",
        payment.imp_uid,
    )
    print(f"\none order of 10,000 won: {row['asked']} cancels of {row['won']} won were asked for")
    assert row["won"] > payment.amount.minor

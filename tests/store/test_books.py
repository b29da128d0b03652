"""The books follow the rows, whoever moves them. For naru/store/migrations/0007_books.sql."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from naru.domain.money import Money
from naru.domain.outcome import AccountIssued, Approved, Cancelled, CancelOrder, Deposited
from naru.domain.payment import Payment, VirtualAccount
from naru.store import Store
from naru.store.migrate import files
from tests.support.house import make_merchant, make_payment

if TYPE_CHECKING:
    from tests.support.postgres import Databases

NOW = datetime(2026, 11, 22, tzinfo=UTC)
Balances = dict[str, int]


async def pay(store: Store, payment: Payment) -> Payment:
    """Approved, as the verbs do it."""
    async with store.begin() as tx:
        claimed = await tx.payments.claim_for_approval(payment.imp_uid, NOW, NOW, None, {})
        assert claimed is not None
    async with store.begin() as tx:
        paid = await tx.payments.settle_paid(
            claimed, Approved(claimed.pg_order_no, claimed.amount, f"tid-{claimed.imp_uid}", NOW)
        )
        intent = await tx.intents.of_payment(payment.imp_uid)
        assert intent is not None
        assert paid is not None
        assert await tx.intents.end(intent.id, "done", NOW, None)
    return paid


async def reserve(store: Store, payment: Payment, amount: int) -> int:
    """A cancel is opened; answers its intent."""
    order = CancelOrder(
        pg_tid=payment.pg_tid or "",
        cancel_no=f"c-{payment.imp_uid}-{payment.version}",
        amount=Money(amount),
        balance_before=payment.balance,
        tax_free=Money(0),
        vat=None,
        reason="변심",
    )
    async with store.begin() as tx:
        return await tx.intents.open_cancel(payment.imp_uid, order, {}, NOW, NOW)


async def give_back(store: Store, payment: Payment, amount: int, intent: int | None) -> Payment:
    """The PG gave this much back."""
    async with store.begin() as tx:
        if intent is not None:
            assert await tx.intents.end(intent, "done", NOW, None)
        number = f"c-{payment.imp_uid}-{payment.version}"
        changed = await tx.payments.cancel(
            payment, Cancelled(number, Money(amount), "t", NOW), "변심", Money(0), None
        )
        assert changed is not None
    return changed


async def wait_for_deposit(store: Store, payment: Payment) -> Payment:
    """A virtual account waits."""
    account = VirtualAccount("004", "KB국민은행", "1234", "나루", NOW + timedelta(days=1), NOW)
    async with store.begin() as tx:
        claimed = await tx.payments.claim_for_approval(payment.imp_uid, NOW, NOW, "vbank", {})
        assert claimed is not None
        waiting = await tx.payments.settle_account(
            claimed, AccountIssued(payment.pg_order_no, payment.amount, "tid-1", account)
        )
        intent = await tx.intents.of_payment(payment.imp_uid)
        assert intent is not None
        await tx.intents.end(intent.id, "done", NOW, None)
    assert waiting is not None
    return waiting


async def deposit(
    store: Store, payment: Payment, key: str, money: Money, *, pays: bool = False
) -> None:
    """The PG's notice of this much, which pays the payment or does not."""
    async with store.begin() as tx:
        arrived = Deposited(key, payment.pg_order_no, "tid-1", money, None, NOW)
        meaning = "exact" if pays else "short"
        assert await tx.deposits.book(payment.channel_id, arrived, payment.imp_uid, meaning, NOW)
        if pays:
            assert await tx.payments.deposit(payment, NOW)


async def balances(sql: asyncpg.Connection, imp_uid: str | None, currency: str = "KRW") -> Balances:
    """What each account says, empty ones left out; every movement must sum to zero."""
    rows = await sql.fetch(
        "SELECT account, sum(amount)::bigint AS amount FROM entries"
        " WHERE imp_uid IS NOT DISTINCT FROM $1 AND currency = $2 GROUP BY account",
        imp_uid,
        currency,
    )
    assert sum(row["amount"] for row in rows) == 0
    return {row["account"]: row["amount"] for row in rows if row["amount"]}


@pytest.mark.promise("P1", "P7")
async def test_approved_reserved_given_back(store: Store, sql: asyncpg.Connection) -> None:
    payment = await make_payment(store, await make_merchant(store))
    uid = payment.imp_uid
    assert await balances(sql, uid) == {}
    paid = await pay(store, payment)
    assert await balances(sql, uid) == {"receivable": 1004, "sales": -1004}

    intent = await reserve(store, paid, 400)
    assert await balances(sql, uid) == {
        "receivable": 1004, "sales": -604, "refund_pending": -400,
    }  # fmt: skip
    part = await give_back(store, paid, 400, intent)
    assert await balances(sql, uid) == {"receivable": 604, "sales": -604}

    intent = await reserve(store, part, 604)
    await give_back(store, part, 604, intent)
    assert await balances(sql, uid) == {}
    assert await sql.fetchval("SELECT count(*) FROM entries WHERE imp_uid = $1", uid) == 14


async def test_what_a_pg_refuses_is_let_go(store: Store, sql: asyncpg.Connection) -> None:
    paid = await pay(store, await make_payment(store, await make_merchant(store)))
    intent = await reserve(store, paid, 1004)
    async with store.begin() as tx:
        assert await tx.intents.doubt(intent, 0, "unknown", NOW, "why")
    assert (await balances(sql, paid.imp_uid))["refund_pending"] == -1004
    async with store.begin() as tx:
        assert await tx.intents.end(intent, "refused", NOW, "3011")
    assert await balances(sql, paid.imp_uid) == {"receivable": 1004, "sales": -1004}


@pytest.mark.promise("P1")
async def test_the_books_follow_what_the_pg_gave_back_not_what_was_asked(
    store: Store, sql: asyncpg.Connection
) -> None:
    paid = await pay(store, await make_payment(store, await make_merchant(store)))
    await give_back(store, paid, 300, await reserve(store, paid, 400))
    assert await balances(sql, paid.imp_uid) == {"receivable": 704, "sales": -704}


async def test_a_cancel_that_comes_after_it_was_given_up_is_booked(
    store: Store, sql: asyncpg.Connection
) -> None:
    paid = await pay(store, await make_payment(store, await make_merchant(store)))
    intent = await reserve(store, paid, 400)
    async with store.begin() as tx:
        assert await tx.intents.end(intent, "refused", NOW, "NOT_ARRIVED")
    await give_back(store, paid, 400, None)
    assert await balances(sql, paid.imp_uid) == {"receivable": 604, "sales": -604}


@pytest.mark.promise("P16")
async def test_short_deposits_are_in_suspense_until_the_sum_is_exact(
    store: Store, sql: asyncpg.Connection
) -> None:
    waiting = await wait_for_deposit(store, await make_payment(store, await make_merchant(store)))
    uid = waiting.imp_uid
    await deposit(store, waiting, "k1", Money(4))
    assert await balances(sql, uid) == {"deposited": 4, "suspense": -4}
    await deposit(store, waiting, "k2", Money(1000), pays=True)
    assert await balances(sql, uid) == {"receivable": 1004, "sales": -1004}
    await deposit(store, waiting, "k3", Money(7))
    assert await balances(sql, uid) == {
        "receivable": 1004, "sales": -1004, "deposited": 7, "suspense": -7,
    }  # fmt: skip


@pytest.mark.promise("P16")
async def test_money_of_another_currency_or_of_nobody_is_booked_and_pays_nothing(
    store: Store, sql: asyncpg.Connection
) -> None:
    waiting = await wait_for_deposit(store, await make_payment(store, await make_merchant(store)))
    await deposit(store, waiting, "k1", Money(1004, "USD"))
    assert await balances(sql, waiting.imp_uid, "USD") == {"deposited": 1004, "suspense": -1004}
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="lack the deposit"):
        await deposit(store, waiting, "k2", Money(1003), pays=True)
    async with store.begin() as tx:
        stray = Deposited("k3", "nobody", "t", Money(2**63 - 1), None, NOW)
        assert await tx.deposits.book(waiting.channel_id, stray, None, "unknown_order", NOW)
    assert await balances(sql, None) == {"deposited": 2**63 - 1, "suspense": 1 - 2**63}


async def test_what_is_rolled_back_is_not_in_the_books(
    store: Store, sql: asyncpg.Connection
) -> None:
    paid = await pay(store, await make_payment(store, await make_merchant(store)))

    async def stumble() -> None:
        async with store.begin() as tx:
            cancelled = Cancelled("c1", Money(4), "t", NOW)
            await tx.payments.cancel(paid, cancelled, "", Money(0), None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stumble()
    assert await balances(sql, paid.imp_uid) == {"receivable": 1004, "sales": -1004}


@pytest.mark.promise("P1", "P14")
async def test_sixty_four_partial_cancels_at_once_leave_books_that_balance(
    store: Store, sql: asyncpg.Connection
) -> None:
    paid = await pay(store, await make_payment(store, await make_merchant(store)))

    async def rival(number: int) -> bool:
        try:
            async with store.begin() as tx:
                current = await tx.payments.get(paid.imp_uid)
                assert current is not None
                changed = await tx.payments.cancel(
                    current, Cancelled(f"c{number}", Money(100), "t", NOW), "", Money(0), None
                )
                return changed is not None
        except asyncpg.IntegrityConstraintViolationError:
            return False

    won = sum(await asyncio.gather(*map(rival, range(64))))
    assert 0 < won <= 10
    assert (await balances(sql, paid.imp_uid))["receivable"] == 1004 - 100 * won


async def test_a_database_with_payments_in_it_gets_its_books(
    databases: Databases, store: Store, sql: asyncpg.Connection
) -> None:
    """The books that the migration opens are those that the triggers had written.

    The control: before the migration's opening entries there are none, and the books disagree.
    """
    merchant = await make_merchant(store)
    paid, part, waiting, deposited, reserved = [
        await make_payment(store, merchant) for _ in range(5)
    ]
    await pay(store, paid)
    await give_back(store, await pay(store, part), 300, None)
    await deposit(store, await wait_for_deposit(store, waiting), "k1", Money(5))
    await deposit(store, await wait_for_deposit(store, deposited), "k2", Money(1004), pays=True)
    await reserve(store, await pay(store, reserved), 6)
    uids = [each.imp_uid for each in (paid, part, waiting, deposited, reserved)]
    written = [await balances(sql, uid) for uid in uids]
    assert all(written)

    [text] = [text for name, text in files() if name.startswith("0007")]
    opening = text[: text.index("CREATE TRIGGER append_only")]
    async with sql.transaction():
        await sql.execute("ALTER TABLE entries RENAME TO entries_as_written")
        await sql.execute("DROP INDEX entries_of_payment, entries_by_time")
        await sql.execute(opening)
        assert [await balances(sql, uid) for uid in uids] == written
        # What was paid while the opening ran is mended: its movement is missing, and is found.
        await sql.execute("DELETE FROM entries WHERE imp_uid = $1", paid.imp_uid)
        assert await balances(sql, paid.imp_uid) == {}
        mending = opening[
            opening.index(
                "INSERT INTO entries (imp_uid, account, amount, currency, version)\nSELECT p.imp_uid, leg.account, leg.sign * p.missing"
            ) :
        ]
        await sql.execute(mending[: mending.index(";") + 1])
        assert [await balances(sql, uid) for uid in uids] == written

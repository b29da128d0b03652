"""Hand-written SQL against the rules of the database, for naru/store/migrations/*.sql."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime

import asyncpg
import pytest

from naru.domain.errors import AlreadyPaid
from naru.domain.money import Money
from naru.domain.outcome import Approved, Cancelled, Deposited
from naru.domain.payment import Payment, Step
from naru.store import Store
from tests.support.house import make_merchant, make_payment

NOW = datetime(2026, 11, 22, tzinfo=UTC)


async def pay(store: Store, payment: Payment) -> Payment:
    async with store.begin() as tx:
        claimed = await tx.payments.claim_for_approval(payment.imp_uid, NOW, NOW, None, {})
        assert claimed is not None
        paid = await tx.payments.settle_paid(
            claimed, Approved(claimed.pg_order_no, claimed.amount, f"tid-{claimed.imp_uid}", NOW)
        )
        intent = await tx.intents.of_payment(payment.imp_uid)
        assert intent is not None
        assert paid is not None
        assert await tx.intents.end(intent.id, "done", NOW, None)
        return paid


async def give_back(store: Store, payment: Payment, amount: int, number: str) -> Payment:
    async with store.begin() as tx:
        cancelled = Cancelled(number, Money(amount), f"tid-{number}", NOW)
        changed = await tx.payments.cancel(payment, cancelled, "변심", Money(0), None)
        assert changed is not None
        return changed


# What $1 is: an opened payment (o), one that is approving (a), one that is paid with 400 of 1,004
# given back (p), or one that failed (f). `v` in an UPDATE is "the next version".
ATTACKS: list[tuple[str, str]] = [
    ("p", "DELETE FROM payments WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET name = 'x' WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET version = version + 2 WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET version = 1, step = 'opened', event = 'opened' WHERE imp_uid = $1"),
    ("o", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now(), pg_tid = 't' WHERE imp_uid = $1"),
    ("o", "UPDATE payments SET v, step = 'paid', event = 'deposited', paid_at = now(), pg_tid = 't' WHERE imp_uid = $1"),
    ("f", "UPDATE payments SET v, step = 'opened', event = 'opened' WHERE imp_uid = $1"),
    ("f", "UPDATE payments SET v, step = 'approving', event = 'authenticated' WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now() WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', pg_tid = 't' WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now(), pg_tid = 't', amount = 1 WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now(), pg_tid = 't', currency = 'USD' WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now(), pg_tid = 't', merchant_uid = 'x' WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now(), pg_tid = 't', pg_order_no = 'x' WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now(), pg_tid = 't', sandbox = false WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now(), pg_tid = 't', flagged = true WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'paid', event = 'approved', paid_at = now(), pg_tid = 't', cancelled = 1 WHERE imp_uid = $1"),
    ("o", "UPDATE payments SET v, step = 'approving', event = 'authenticated', confirm_url = 'http://evil' WHERE imp_uid = $1"),
    ("o", "UPDATE payments SET v, step = 'failed', event = 'abandoned' WHERE imp_uid = $1"),
    ("a", "UPDATE payments SET v, step = 'waiting_deposit', event = 'account_issued' WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, event = 'partly_cancelled', cancelled = 399 WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, event = 'partly_cancelled', cancelled = 400 WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, event = 'partly_cancelled', cancelled = 1005 WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, event = 'partly_cancelled', cancelled = 1004 WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, event = 'partly_cancelled', cancelled = 500 WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, event = 'partly_cancelled', cancelled = -1 WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, step = 'cancelled', event = 'fully_cancelled' WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, event = 'partly_cancelled', cancelled = 500, pg_tid = 'x' WHERE imp_uid = $1"),
    ("p", "UPDATE payments SET v, event = 'partly_cancelled', cancelled = 500, flagged = true WHERE imp_uid = $1"),
    ("p", "INSERT INTO cancellations VALUES ('c9', $1, 100, 0, NULL, '', 't', NULL, now())"),
    ("p", "INSERT INTO cancellations VALUES ('c9', $1, -100, 0, NULL, '', 't', NULL, now())"),
    ("p", "UPDATE cancellations SET amount = 1 WHERE imp_uid = $1"),
    ("p", "DELETE FROM cancellations WHERE imp_uid = $1"),
    ("p", "INSERT INTO payment_events (imp_uid, version, event, step, cancelled) VALUES ($1, 5, 'x', 'paid', 0)"),
    ("p", "UPDATE payment_events SET event = 'x' WHERE imp_uid = $1"),
    ("p", "DELETE FROM payment_events WHERE imp_uid = $1 AND version = 2"),
    ("p", "UPDATE intents SET state = 'open', closed_at = NULL WHERE imp_uid = $1"),
    ("p", "UPDATE intents SET outcome = 'x' WHERE imp_uid = $1"),
    ("a", "UPDATE intents SET amount = 1 WHERE imp_uid = $1"),
    ("a", "UPDATE intents SET number = 'x' WHERE imp_uid = $1"),
    ("a", "UPDATE intents SET state = 'done' WHERE imp_uid = $1"),
    ("a", "DELETE FROM intents WHERE imp_uid = $1"),
    ("a", "INSERT INTO intents (imp_uid, kind, number, amount, opened_at) VALUES ($1, 'approve', 'n', 1004, now())"),
    ("o", "INSERT INTO intents (imp_uid, kind, number, amount, balance_before, opened_at) VALUES ($1, 'cancel', 'n', 1, 1004, now())"),
    ("p", "INSERT INTO intents (imp_uid, kind, number, amount, balance_before, opened_at) VALUES ($1, 'cancel', 'n', 1, 1004, now())"),
    ("p", "INSERT INTO intents (imp_uid, kind, number, amount, balance_before, opened_at) VALUES ($1, 'cancel', 'n', 605, 604, now())"),
    ("p", "INSERT INTO intents (imp_uid, kind, number, amount, balance_before, opened_at) VALUES ($1, 'cancel', 'n', 0, 604, now())"),
    ("p", "INSERT INTO intents (imp_uid, kind, number, amount, opened_at) VALUES ($1, 'close_account', 'n', 1004, now())"),
    ("p", "INSERT INTO intents (imp_uid, kind, number, amount, balance_before, opened_at, state, closed_at) VALUES ($1, 'cancel', 'n', 1, 604, now(), 'done', now())"),
    ("p", "UPDATE deposits SET meaning = 'exact', pg_tid = $1"),
    ("p", "DELETE FROM deposits WHERE imp_uid = $1 OR true"),
    ("p", "INSERT INTO deposits SELECT channel_id, 'k9', 'o', $1, 't', -5, 'KRW', now(), now(), 'exact' FROM payments WHERE imp_uid = $1"),
    ("p", "INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface, pay_method, step, event, amount, currency, pg_order_no, started_at, paid_at, pg_tid)"
          " SELECT 'imp_999999999999', merchant_id, 'other', channel_id, pg_code, mid, sandbox, surface, pay_method, 'paid', 'approved', 1, 'KRW', 'n9', now(), now(), 't' FROM payments WHERE imp_uid = $1"),
    ("p", "INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface, pay_method, step, event, amount, currency, pg_order_no, started_at, version)"
          " SELECT 'imp_999999999999', merchant_id, 'other', channel_id, pg_code, mid, sandbox, surface, pay_method, 'opened', 'opened', 1, 'KRW', 'n9', now(), 7 FROM payments WHERE imp_uid = $1"),
]  # fmt: skip
TABLES = ("payments", "payment_events", "intents", "cancellations", "deposits", "webhook_attempts")


async def refused(attack: Awaitable[object]) -> bool:
    """By a rule of the database, that is: a spelling mistake in an attack is no refusal."""
    try:
        await attack
    except asyncpg.IntegrityConstraintViolationError:
        return True
    return False


async def test_every_attack_by_hand_is_refused(store: Store, sql: asyncpg.Connection) -> None:
    merchant = await make_merchant(store)
    o, a, p, f = [await make_payment(store, merchant) for _ in range(4)]
    async with store.begin() as tx:
        await tx.payments.claim_for_approval(a.imp_uid, NOW, NOW, None, {})
        await tx.payments.abandon(f.imp_uid, NOW, "U", "그만")
        stray = Deposited("k1", "n-nobody", "t", Money(5), None, NOW)
        assert await tx.deposits.book(p.channel_id, stray, None, "unknown_order", NOW)
    await give_back(store, await pay(store, p), 400, "c1")
    victims = {"o": o.imp_uid, "a": a.imp_uid, "p": p.imp_uid, "f": f.imp_uid}

    async def everything() -> list[list[asyncpg.Record]]:
        return [await sql.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]

    before = await everything()
    for victim, attack in ATTACKS:
        attack = attack.replace(" SET v,", " SET version = version + 1,")
        assert await refused(sql.execute(attack, victims[victim])), attack
    for table in TABLES:
        assert await refused(sql.execute(f"TRUNCATE {table} CASCADE")), table
    assert await everything() == before
    assert len(ATTACKS) + len(TABLES) >= 17


@pytest.mark.promise("P6", "P17", "P20")
@pytest.mark.parametrize(
    "table",
    ["idempotency", "prepared", "user_codes", "api_keys", "channels", "merchants", "data_keys"],
)
async def test_no_table_with_a_rule_for_its_rows_is_emptied_at_once(
    sql: asyncpg.Connection, table: str
) -> None:
    """TRUNCATE passes the rules of rows: a key would have a second effect, a log a gap."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never changed"):
        # Only this table's own guard is asked: whatever refers to it is let go.
        await sql.execute(f"""
            DO $$ DECLARE c record; BEGIN
                FOR c IN SELECT conrelid::regclass AS place, conname FROM pg_constraint
                          WHERE confrelid = '{table}'::regclass AND contype = 'f' LOOP
                    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.place, c.conname);
                END LOOP;
            END $$;
            TRUNCATE {table};
        """)


async def test_the_decision_to_undo_is_not_taken_back(store: Store) -> None:
    payment = await make_payment(store, await make_merchant(store))
    async with store.begin() as tx:
        await tx.payments.claim_for_approval(payment.imp_uid, NOW, NOW, None, {})
        intent = await tx.intents.of_payment(payment.imp_uid)
        assert intent is not None
        await tx.intents.undo(intent.id, NOW, "why")
    for state in ("done", "refused"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            async with store.begin() as tx:
                await tx.intents.end(intent.id, state, NOW, None)
    async with store.begin() as tx:
        approving = await tx.payments.get(payment.imp_uid)
        assert approving is not None
        assert await tx.payments.settle_failed(approving, "undone", NOW, "F500", "why")
        assert await tx.intents.end(intent.id, "undone", NOW, None)
        assert not await tx.intents.end(intent.id, "undone", NOW, None)


async def test_every_change_has_one_event_and_no_number_is_missing(store: Store) -> None:
    paid = await pay(store, await make_payment(store, await make_merchant(store)))
    for number in range(4):
        paid = await give_back(store, paid, 251, f"c{number}")
    async with store.direct() as session:
        events = await session.payments.history(paid.imp_uid)
    assert [event["version"] for event in events] == list(range(1, paid.version + 1))
    assert [event["event"] for event in events][-2:] == ["partly_cancelled", "fully_cancelled"]
    assert events[-1]["cancelled"] == 1004


async def test_a_change_that_is_rolled_back_leaves_no_event(store: Store) -> None:
    payment = await make_payment(store, await make_merchant(store))

    async def stumble() -> None:
        async with store.begin() as tx:
            await tx.payments.abandon(payment.imp_uid, NOW, "U", "그만")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stumble()
    async with store.direct() as session:
        assert len(await session.payments.history(payment.imp_uid)) == 1


async def test_sixty_four_rivals_for_one_order_end_in_one_claim(
    store: Store, sql: asyncpg.Connection
) -> None:
    merchant = await make_merchant(store)
    first = await make_payment(store, merchant)
    await sql.execute(
        "INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox,"
        " surface, pay_method, step, event, amount, currency, pg_order_no, started_at)"
        " SELECT 'imp_' || lpad((800000000000 + n)::text, 12, '0'), merchant_id, merchant_uid,"
        " channel_id, pg_code, mid, sandbox, surface, pay_method, 'opened', 'opened', amount,"
        " currency, 'rival' || n, now() FROM payments, generate_series(1, 63) n WHERE imp_uid = $1",
        first.imp_uid,
    )
    async with store.direct() as session:
        rivals = await session.payments.many_of_merchant(merchant.id, [], [first.merchant_uid])
    assert len(rivals) == 64

    async def claim(payment: Payment) -> bool:
        try:
            async with store.direct() as session:
                return (
                    await session.payments.claim_for_approval(payment.imp_uid, NOW, NOW, None, {})
                ) is not None
        except AlreadyPaid:
            return False

    assert sum(await asyncio.gather(*map(claim, rivals))) == 1
    assert await sql.fetchval("SELECT count(*) FROM intents") == 1


async def test_one_payment_has_one_open_question(store: Store) -> None:
    payment = await make_payment(store, await make_merchant(store))

    async def claim() -> bool:
        async with store.direct() as session:
            claimed = await session.payments.claim_for_approval(payment.imp_uid, NOW, NOW, None, {})
            return claimed is not None

    assert sum(await asyncio.gather(*(claim() for _ in range(32)))) == 1


async def test_a_name_that_is_taken_is_not_given_twice(store: Store) -> None:
    merchant = await make_merchant(store)
    payment = await make_payment(store, merchant)
    async with store.begin() as tx:
        assert await tx.payments.open(payment, None) is None
        found = await tx.payments.get(payment.imp_uid)
    assert found is not None
    assert found.step is Step.OPENED

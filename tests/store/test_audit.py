"""The audit finds what is broken, and nothing else. For naru/store/audit.py.

Breakages are planted with the triggers off, each in a transaction that is rolled back: the control
of each is the clean audit before it.
"""

from __future__ import annotations

import re
from datetime import timedelta

import asyncpg
import pytest

from naru.domain.payment import NEXT
from naru.store import Store
from naru.store.audit import CHECKS, Report, audit, described, look
from naru.store.named import Query
from tests.store.fill import fill
from tests.support.house import make_merchant
from tests.support.scale import often

# By the last digit (tests/store/fill.py): 1 paid, 5 partly given back, 7 paid by deposit, 9 opened.
PAID, PART, BY_DEPOSIT, OPENED = (f"imp_{number:012d}" for number in (11, 15, 17, 19))
ENTRY = "INSERT INTO entries (imp_uid, account, amount, currency, version) VALUES"
INTENT = (
    "INSERT INTO intents (imp_uid, kind, number, amount, balance_before, opened_at, next_try_at)"
)
OPEN = f"{INTENT} VALUES ('{PAID}', 'cancel', 'n1', 4, 1004, now(), now() + interval '5 min')"
RESERVED = f"{ENTRY} ('{PAID}', 'sales', 4, 'KRW', 3), ('{PAID}', 'refund_pending', -4, 'KRW', 3)"
SCHEDULE = (
    "INSERT INTO schedules (merchant_id, merchant_uid, customer_uid, channel_id, number, state, attempt, amount,"
    " currency, tax_free, schedule_at, next_try_at, asked_at, executed_at, imp_uid, sealed) SELECT merchant_id,"
    " 'o', 'c', id, 'schedule1', {}, decode('01' || repeat('00', 40), 'hex') FROM channels"
)
LATE = "'scheduled', 0, 4, 'KRW', 0, now() - interval '1 day', now() - interval '11 min', now(), NULL, NULL"
RUN = f"'executed', 1, 4, 'KRW', 0, now() - interval '1 day', NULL, now(), now(), '{PAID}'"
EARLY = RUN.replace("interval '1 day'", "interval '-1 day'").replace(PAID, OPENED)
DELIVERY = f"UPDATE webhook_deliveries SET {{}} WHERE imp_uid = '{PAID}'"

# Since when, and when it is tried next.
ERRAND = (
    "INSERT INTO errands (merchant_id, imp_uid, kind, number, state, asked_at, next_try_at, sealed) SELECT"
    " merchant_id, imp_uid, 'ship', 'e1', 'asking', {}, {}, decode('01' || repeat('00', 40), 'hex')"
    f" FROM payments WHERE imp_uid = '{PAID}'"
)
ACT = (
    "INSERT INTO order_acts (imp_uid, round, number, subject, act, fingerprint, state, opened_at, next_try_at)"
    f" VALUES ('{PAID}', 'r', 'a1', 'goods', 'place', decode(repeat('00', 32), 'hex'), 'asking', {{}}, {{}})"
)
RECEIPT = (
    "INSERT INTO cash_receipts (merchant_id, merchant_uid, channel_id, imp_uid, number, state, type, amount, tax_free,"
    " vat, asked_at, receipt_tid, apply_num, applied_at) SELECT merchant_id, merchant_uid, channel_id, {}, '{}',"
    f" 'issued', 'person', {{}}, 0, 0, now(), 't', 'a', now() FROM payments WHERE imp_uid = '{PAID}'"
)
DELETED_KEY = (
    "INSERT INTO billing_keys (merchant_id, customer_uid, channel_id, pg_code, mid, sandbox, number, state,"
    " asked_at, inserted_at, updated_at, ended_at, next_try_at, sealed) SELECT merchant_id, 'c', id, pg_code, mid,"
    " true, 'key1', 'deleted', now(), now(), now(), {}, {}, decode('01' || repeat('00', 40), 'hex') FROM channels"
)

# Which check must find it, under which id, and the breakage.
PLANTS: list[tuple[str, str, str]] = [
    ("every_guard_stands", "payments.payment_rules", "ALTER TABLE payments DISABLE TRIGGER payment_rules"),
    ("every_guard_stands", "deposits.books", "DROP TRIGGER books ON deposits"),
    ("every_guard_stands", "one_approval_per_order", "DROP INDEX one_approval_per_order"),
    ("every_guard_stands", "entries.mine", "CREATE TRIGGER mine BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION refuse_change()"),
    ("every_guard_stands", "payments.mine", "CREATE RULE mine AS ON DELETE TO payments DO INSTEAD NOTHING"),
    ("every_guard_stands", "refuse_change", "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
                                            " $$ BEGIN RETURN NEW; END $$"),
    ("every_guard_stands", "intents.lax", "ALTER TABLE intents ADD CONSTRAINT lax CHECK (tries >= 0) NOT VALID"),
    ("books_balance", PAID, f"{ENTRY} ('{PAID}', 'suspense', -1, 'KRW', 3)"),
    ("books_balance", PAID, f"{ENTRY} ('{PAID}', 'sales', -1, 'KRW', 3), ('{PAID}', 'sales', 1, 'USD', 3)"),
    ("books_balance", PAID, f"{ENTRY} ('{PAID}', 'sales', 5, 'KRW', 3), ('{PAID}', 'suspense', -5, 'KRW', 3)"),
    ("books_balance", PAID, f"{ENTRY} ('{PAID}', 'sales', 5, 'KRW', 3), ('{PAID}', 'sales', -5, 'KRW', 3)"),
    ("books_agree", PAID, f"{ENTRY} ('{PAID}', 'receivable', 5, 'KRW', 3), ('{PAID}', 'sales', -5, 'KRW', 3)"),
    ("books_agree", PAID, f"{ENTRY} ('{PAID}', 'receivable', 5, 'KRW', 3), ('{PAID}', 'receivable', -5, 'KRW', 3)"),
    ("books_agree", PAID, f"{ENTRY} ('{PAID}', 'receivable', 5, 'USD', 3), ('{PAID}', 'sales', -5, 'USD', 3)"),
    ("books_agree", PAID, f"UPDATE entries SET currency = 'USD' WHERE imp_uid = '{PAID}'"),
    ("books_agree", "imp_of_nobody", f"{ENTRY} ('imp_of_nobody', 'receivable', 5, 'KRW', 3), ('imp_of_nobody', 'sales', -5, 'KRW', 3)"),
    ("books_agree", PAID, f"UPDATE entries SET amount = amount * 2 WHERE imp_uid = '{PAID}'"),
    ("books_agree", PAID, f"DELETE FROM entries WHERE imp_uid = '{PAID}'"),
    ("books_agree", OPENED, f"{ENTRY} ('{OPENED}', 'receivable', 4, 'KRW', 1), ('{OPENED}', 'sales', -4, 'KRW', 1)"),
    ("cancellations_add_up", PART, f"UPDATE cancellations SET amount = 1 WHERE imp_uid = '{PART}'"),
    ("cancellations_add_up", PART, f"DELETE FROM cancellations WHERE imp_uid = '{PART}'"),
    ("refunds_reserved", PAID, RESERVED),
    ("refunds_reserved", PAID, OPEN),
    ("refunds_reserved", PART, f"{ENTRY} ('{PART}', 'sales', 4, 'KRW', 3), ('{PART}', 'refund_pending', -4, 'KRW', 3),"
                               f" ('{PART}', 'sales', -4, 'KRW', 3), ('{PART}', 'refund_pending', 4, 'KRW', 3)"),
    ("refunds_reserved", PART, f"UPDATE entries SET currency = 'USD' WHERE imp_uid = '{PART}' AND intent_id IS NOT NULL"),
    ("balance_spent_once", PART, f"{INTENT} SELECT imp_uid, kind, 'n2', amount, balance_before, now(), now() FROM intents"
                                 f" WHERE imp_uid = '{PART}' AND kind = 'cancel';"
                                 " UPDATE intents SET state = 'done', closed_at = now() WHERE number = 'n2'"),
    ("one_approval", f"{PAID} {PART}", "DROP INDEX one_approval_per_order; UPDATE payments SET merchant_uid = 'x'"
                                       f" WHERE imp_uid IN ('{PAID}', '{PART}')"),
    ("approving_is_asked", OPENED, f"UPDATE payments SET step = 'approving' WHERE imp_uid = '{OPENED}'"),
    ("approving_is_asked", PAID, f"UPDATE intents SET state = 'open', closed_at = NULL WHERE imp_uid = '{PAID}'"),
    ("events_numbered", PAID, f"DELETE FROM payment_events WHERE imp_uid = '{PAID}' AND version = 2"),
    ("events_numbered", PAID, f"DELETE FROM payment_events WHERE imp_uid = '{PAID}'"),
    ("events_numbered", PAID, f"UPDATE payments SET version = 4 WHERE imp_uid = '{PAID}'"),
    ("events_numbered", PAID, f"UPDATE payment_events SET step = 'failed' WHERE imp_uid = '{PAID}' AND version = 3"),
    ("webhooks_laid", f"{PAID} 3", "DELETE FROM webhook_attempts; DELETE FROM webhook_deliveries"),
    ("webhooks_laid", f"{PAID} 3", f"UPDATE payments SET webhook_urls = '{{http://b}}' WHERE imp_uid = '{PAID}'"),
    ("webhooks_laid", f"{PART} c{PART}", "UPDATE intents SET request = '{\"enable_webhook\": true}'"
                                         f" WHERE imp_uid = '{PART}' AND kind = 'cancel'"),
    ("webhooks_known", "D", DELIVERY.format("version = 77")),
    ("webhooks_known", "D", "DELETE FROM webhook_attempts"),
    ("steps_legal", f"{PAID} 3", f"UPDATE payment_events SET event = 'undone' WHERE imp_uid = '{PAID}' AND version = 3"),
    ("steps_legal", f"{PART} 4", f"UPDATE payment_events SET cancelled = 0 WHERE imp_uid = '{PART}' AND version = 4"),
    ("times_in_order", PART, f"UPDATE payments SET cancelled_at = paid_at - interval '1 s' WHERE imp_uid = '{PART}'"),
    ("times_in_order", PAID, f"UPDATE payments SET paid_at = started_at - interval '25 hours' WHERE imp_uid = '{PAID}'"),
    ("asked_first", f"{PAID} 3", f"DELETE FROM intents WHERE imp_uid = '{PAID}'"),
    ("asked_first", f"{PART} c{PART}", f"DELETE FROM intents WHERE imp_uid = '{PART}' AND kind = 'cancel'"),
    ("one_question", PAID, f"DROP INDEX one_open_intent; {OPEN}; {OPEN.replace('n1', 'n2')}"),
    ("deposits_booked", BY_DEPOSIT, f"UPDATE deposits SET amount = amount + 1 WHERE imp_uid = '{BY_DEPOSIT}'"),
    ("deposits_booked", BY_DEPOSIT, f"{ENTRY} ('{BY_DEPOSIT}', 'deposited', 5, 'KRW', 4), ('{BY_DEPOSIT}', 'suspense', -5, 'KRW', 4)"),
    ("deposits_booked", BY_DEPOSIT, f"{ENTRY} ('{BY_DEPOSIT}', 'deposited', 5, 'KRW', 4), ('{BY_DEPOSIT}', 'suspense', -5, 'KRW', 4),"
                                    f" ('{BY_DEPOSIT}', 'deposited', -5, 'KRW', 4), ('{BY_DEPOSIT}', 'suspense', 5, 'KRW', 4)"),
    ("deposits_booked", BY_DEPOSIT, "INSERT INTO returned_deposits SELECT channel_id, notice_key, now(), 'kim', 'x' FROM deposits"
                                    f" WHERE imp_uid = '{BY_DEPOSIT}'"),
    ("deposits_booked", "no payment", "INSERT INTO deposits SELECT channel_id, 'k9', 'o', NULL, 't', 5, 'KRW', now(), now(),"
                                      f" 'unknown_order' FROM payments WHERE imp_uid = '{PAID}'"),
    ("deposits_paid", BY_DEPOSIT, f"DELETE FROM deposits WHERE imp_uid = '{BY_DEPOSIT}'"),
    ("deposits_paid", "C/k9", "INSERT INTO deposits SELECT channel_id, 'k9', 'o', imp_uid, 't', 5, 'KRW', now(), now(),"
                              f" 'exact' FROM payments WHERE imp_uid = '{PAID}'"),
    ("deposits_told", "C/k9", "INSERT INTO deposits SELECT channel_id, 'k9', 'o', NULL, 't', 5, 'KRW', now(), now(),"
                              f" 'unknown_order' FROM payments WHERE imp_uid = '{PAID}'"),
    ("questions_end", f"{PAID} I", f"{OPEN}; UPDATE intents SET opened_at = now() - interval '61 min' WHERE number = 'n1'"),
    ("questions_end", f"{PAID} I", f"{OPEN}; UPDATE intents SET next_try_at = NULL WHERE number = 'n1'"),
    ("questions_end", f"{PAID} I", f"{OPEN}; UPDATE intents SET next_try_at = now() - interval '11 min' WHERE number = 'n1'"),
    ("answers_found", "e1", ERRAND.format("now() - interval '121 min'", "now()")),
    ("answers_found", "e1", ERRAND.format("now()", "now() - interval '11 min'")),
    ("answers_found", "e1", ERRAND.format("now()", "now() + interval '74 hours'")),
    ("answers_found", "a1", ACT.format("now() - interval '121 min'", "now()")),
    ("answers_found", "a1", ACT.format("now()", "now() - interval '11 min'")),
    ("answers_found", "key1", DELETED_KEY.format("now() - interval '121 min'", "now()")),
    ("answers_found", "key1", DELETED_KEY.format("now()", "NULL")),
    ("doubts_looked_at", f"{PAID} I", f"{OPEN}; UPDATE intents SET next_try_at = now() + interval '26 hours' WHERE number = 'n1'"),
    ("doubts_looked_at", f"{PAID} I", f"{OPEN}; UPDATE intents SET tried_at = now() + interval '9 days', next_try_at = now() + interval '9 days'"
                                      " WHERE number = 'n1'"),
    ("doubts_looked_at", PAID, f"INSERT INTO undone_watches VALUES ('{PAID}', 0, now() + interval '74 hours', NULL, NULL, now() + interval '49 hours')"),
    ("doubts_looked_at", PAID, f"INSERT INTO undone_watches VALUES ('{PAID}', 1, now() + interval '3 hours')"),
    ("doubts_looked_at", PAID, f"INSERT INTO undone_watches VALUES ('{PAID}', 3); UPDATE payments SET step = 'failed', failed_at = now(), fail_reason = 'x' WHERE imp_uid = '{PAID}'"),
    ("doubts_looked_at", PAID, f"INSERT INTO undone_watches VALUES ('{PAID}', 2, now() + interval '24 hours');"
                               " UPDATE payments SET step = 'failed', failed_at = now() - interval '145 hours', fail_reason = 'x'"
                               f" WHERE imp_uid = '{PAID}'"),
    ("webhooks_leave", "D", DELIVERY.format("state = 'waiting', ended_at = NULL, next_at = now() - interval '11 min'")),
    ("webhooks_leave", "D", DELIVERY.format("state = 'parked'")),
    ("receipts_told", "receipt1", RECEIPT.format("imp_uid", "receipt1", "amount + 1")),
    ("receipts_once", "order-11", "DROP INDEX one_receipt;" + RECEIPT.format("imp_uid", "receipt1", "amount") + ";"
                                   + RECEIPT.format("NULL", "receipt2", "amount")),
    ("receipts_once", "order-11", f"UPDATE payments SET cash_receipt_issued = true WHERE imp_uid = '{PAID}';"
                                   + RECEIPT.format("NULL", "receipt2", "amount")),
    ("schedules_run_once", "schedule1", SCHEDULE.format(RUN)),
    ("schedules_run_once", "schedule1", SCHEDULE.format(EARLY)),
    ("schedules_run_once", PAID, f"UPDATE payments SET customer_uid = 'c', customer_uid_usage = 'payment.scheduled' WHERE imp_uid = '{PAID}'"),
    ("schedules_start", "schedule1", SCHEDULE.format(LATE)),
    ("checks_given_back", PAID, f"INSERT INTO card_checks VALUES ('{PAID}', now());"
                                f" UPDATE payments SET started_at = now() - interval '61 min' WHERE imp_uid = '{PAID}'"),
    ("audit_log_whole", "chain 1 row 2", "UPDATE audit_log SET who = 'nobody' WHERE chain = 1 AND place = 2"),
    ("audit_log_whole", "chain 1 row 3", "DELETE FROM audit_log WHERE chain = 1 AND place = 2"),
]  # fmt: skip

PLANTED_ELSEWHERE = {"sealed_at_rest"}  # tests/store/test_seal.py


@pytest.fixture
async def full(store: Store, sql: asyncpg.Connection) -> asyncpg.Connection:
    """A database of a few payments of every kind."""
    await make_merchant(store)
    await fill(sql, 30)
    return sql


def found(report: Report) -> set[tuple[str, str]]:
    """Which check found which id."""
    return {(check.name, each.id) for check in report.checks for each in check.examples}


@pytest.mark.promise("P1", "P2", "P4", "P7", "P8", "P13", "P14", "P16")
async def test_every_breakage_is_found_by_its_check(full: asyncpg.Connection) -> None:
    assert found(await look(full, examples=100)) == set()
    delivery = await full.fetchval("SELECT id FROM webhook_deliveries WHERE imp_uid = $1", PAID)
    channel = await full.fetchval("SELECT id FROM channels")
    for name, where, plant in PLANTS:
        planting = full.transaction()
        await planting.start()
        await full.execute("SET LOCAL session_replication_role = replica")
        await full.execute(plant)
        question = await full.fetchval("SELECT max(id) FROM intents")
        expected = {"D": str(delivery)}.get(where, where.replace("C/", f"{channel}/"))
        expected = re.sub(r" I$", f" {question}", expected)
        report = await look(full, examples=100)
        assert (name, expected) in found(report), (plant, found(report))
        recent = await look(full, recent=timedelta(hours=1), examples=100)
        assert found(recent) == found(report), plant
        await planting.rollback()
    assert found(await look(full, examples=100)) == set()
    assert {name for name, _, _ in PLANTS} | PLANTED_ELSEWHERE == set(CHECKS)


# What a session may do that owns the tables, with every guard of ours in its place.
HIS_OWN = """
CREATE TABLE his (imp_uid text, account text, amount bigint);
CREATE FUNCTION his() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO entries (imp_uid, account, amount, currency, version)
    VALUES (NEW.imp_uid, NEW.account, NEW.amount, 'KRW', 3), (NEW.imp_uid, 'sales', -NEW.amount, 'KRW', 3);
    RETURN NULL;
END $$;
CREATE TRIGGER his AFTER INSERT ON his FOR EACH ROW EXECUTE FUNCTION his();
"""


@pytest.mark.promise("P1")
async def test_balanced_entries_of_somebodys_own_trigger_are_found_when_it_has_gone(
    full: asyncpg.Connection,
) -> None:
    """No guard of ours refuses them, for entries come from triggers; what no row implies is seen."""
    written = (
        f"INSERT INTO his VALUES ('{PAID}', 'receivable', 5), ('{PART}', 'refund_pending', -5)"
    )
    await full.execute(HIS_OWN)
    assert found(await look(full)) == set()
    await full.execute(f"{written}; DROP TABLE his; DROP FUNCTION his()")
    assert found(await look(full)) == {("books_agree", PAID), ("refunds_reserved", PART)}


async def test_what_a_person_was_told_of_is_not_broken(full: asyncpg.Connection) -> None:
    planting = full.transaction()
    await planting.start()
    await full.execute("SET LOCAL session_replication_role = replica")
    await full.execute(f"{OPEN}; {RESERVED}")
    assert found(await look(full)) == set()
    await full.execute("UPDATE intents SET opened_at = now() - interval '2 h' WHERE number = 'n1'")
    await full.execute(DELIVERY.format("state = 'parked'"))
    await full.execute(ERRAND.format("now() - interval '121 min'", "now()"))
    await full.execute(
        f"{ENTRY} (NULL, 'deposited', 5, 'KRW', 1), (NULL, 'suspense', -5, 'KRW', 1);"
        " UPDATE entries SET version = NULL, channel_id = c.id, notice_key = 'k9' FROM channels c"
        " WHERE imp_uid IS NULL;"
        " INSERT INTO deposits SELECT id, 'k9', 'o', NULL, 't', 5, 'KRW', now(), now(), 'unknown_order'"
        " FROM channels"
    )
    silent = {name for name, _ in found(await look(full))}
    assert silent == {"questions_end", "answers_found", "webhooks_leave", "deposits_told"}
    await full.execute(
        "INSERT INTO operator_tasks (kind, subject, imp_uid, sentence, opened_at, next_alert_at)"
        " SELECT 'cancel_unknown', 'n1', $1, 'x', now(), now()"
        " UNION ALL SELECT 'errand_unknown', 'e1', $1, 'x', now(), now()"
        " UNION ALL SELECT 'webhook_parked', id::text, NULL, 'x', now(), now()"
        " FROM webhook_deliveries WHERE imp_uid = $1"
        " UNION ALL SELECT 'deposit_unknown_order', id || '/k9', NULL, 'x', now(), now() FROM channels",
        PAID,
    )
    assert found(await look(full)) == set()
    await planting.rollback()


async def test_recent_looks_at_what_changed_and_no_further(full: asyncpg.Connection) -> None:
    planting = full.transaction()
    await planting.start()
    await full.execute("SET LOCAL session_replication_role = replica")
    await full.execute(
        "UPDATE payment_events SET at = now() - interval '1 day' WHERE imp_uid = $1", PAID
    )
    await full.execute(
        "UPDATE entries SET at = now() - interval '1 day', amount = amount * 2 WHERE imp_uid = $1",
        PAID,
    )
    assert found(await look(full)) == {("books_agree", PAID)}
    recent = await look(full, recent=timedelta(hours=1))
    assert found(recent) == set()
    assert recent.payments == 29
    assert (await look(full, recent=timedelta(hours=25))).payments == 30
    await planting.rollback()


async def test_only_the_first_examples_are_told_and_all_are_counted(
    full: asyncpg.Connection,
) -> None:
    planting = full.transaction()
    await planting.start()
    await full.execute("SET LOCAL session_replication_role = replica")
    await full.execute("DELETE FROM payment_events")
    [check] = [each for each in (await look(full)).checks if each.name == "events_numbered"]
    assert (check.broken, len(check.examples)) == (30, 5)
    await planting.rollback()


def test_the_audit_and_the_house_know_the_same_steps() -> None:
    told = set(re.findall(r"\('(\w+)', '(\w+)', '(\w+)'\)", CHECKS["steps_legal"].sql))
    told.discard(("opened", "opened", "0"))
    assert told == {(str(before), str(after), event) for (before, event), after in NEXT.items()}


def test_every_check_says_which_promise_it_checks() -> None:
    promises = {described(query)[0] for query in CHECKS.values()}
    assert promises >= {"P1", "P2", "P3", "P4", "P7", "P8", "P13", "P14", "P16", "L1", "L2"}
    with pytest.raises(ValueError, match="must begin with its promise"):
        described(Query("audit.x", "-- Nothing is promised.\nSELECT 1"))


async def test_a_large_database_is_audited_in_time(
    store: Store, sql: asyncpg.Connection, database_url: str
) -> None:
    """G25: a million in a minute. The control: one planted breakage among them is found."""
    payments = often(20_000, 1_000_000)
    await make_merchant(store)
    await fill(sql, payments)
    clean = await audit(database_url)
    async with sql.transaction():
        await sql.execute("SET LOCAL session_replication_role = replica")
        await sql.execute("UPDATE entries SET amount = amount + 1 WHERE id = 2 * $1::int", 7_001)
    control = await audit(database_url)
    print(
        f"audit of {payments:,} payments: {clean.seconds:.1f} s; control: {control.broken} broken"
    )
    assert (clean.payments, clean.broken) == (payments, 0)
    assert control.broken > 0
    assert clean.seconds < 60

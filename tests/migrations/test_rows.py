"""A database with something in every table that a migration changes is migrated like an empty one."""

from __future__ import annotations

import hashlib

import asyncpg

from naru.store.migrate import applied, files, migrate
from tests.store.fill import fill

# One open row and one that ended, of everything that was asked: questions about members are the
# rows that 0024 changes, acts at malls those of 0025, receipts those of 0026.
FIRST = "0024_mended.sql"
SHOP = """
INSERT INTO merchants (name) VALUES ('shop');
INSERT INTO channels (merchant_id, channel_key, pg_code, mid, connector, test)
SELECT id, 'ck', 'kcp', 'T1', 'sandbox', true FROM merchants;
"""
ROWS = """
INSERT INTO data_keys (id, sealed) VALUES (1, '\\x01');
INSERT INTO billing_keys (merchant_id, customer_uid, channel_id, pg_code, mid, sandbox, number, state, asked_at,
       next_try_at, inserted_at, updated_at, ended_at, sealed)
SELECT merchant_id, state, id, pg_code, mid, true, 'key-' || state, state, now(),
       CASE state WHEN 'asking' THEN now() END, CASE state WHEN 'deleted' THEN now() END,
       CASE state WHEN 'deleted' THEN now() END, CASE state WHEN 'deleted' THEN now() END,
       CASE state WHEN 'asking' THEN ('\\x0100000001' || repeat('00', 32))::bytea END
  FROM channels, (VALUES ('asking'), ('deleted')) s (state);
INSERT INTO card_checks (imp_uid, next_look_at, ended_at)
SELECT imp_uid, CASE step WHEN 'paid' THEN now() END, CASE step WHEN 'cancelled' THEN now() END
  FROM payments WHERE step IN ('paid', 'cancelled');
INSERT INTO undone_watches (imp_uid, next_look_at)
SELECT imp_uid, now() + interval '1 day' FROM payments WHERE step = 'failed';
INSERT INTO quick_questions (number, merchant_id, channel_id, kind, member_id, state, asked_at, ended_at, inserted_at)
SELECT 'question-' || state, merchant_id, id, 'delete_member', state, state, now(),
       CASE state WHEN 'done' THEN now() END, CASE state WHEN 'done' THEN now() END
  FROM channels, (VALUES ('asking'), ('done')) s (state);
INSERT INTO order_acts (imp_uid, round, number, subject, act, fingerprint, state, opened_at, ended_at)
SELECT imp_uid, 'round', 'act-' || imp_uid || state, state, 'cancel', decode(repeat('00', 32), 'hex'), state, now(),
       CASE state WHEN 'done' THEN now() END
  FROM payments, (VALUES ('planned'), ('asking'), ('done')) s (state) WHERE step = 'paid';
INSERT INTO cash_receipts (merchant_id, channel_id, imp_uid, merchant_uid, number, state, type, amount, tax_free, vat,
       asked_at, receipt_tid, apply_num, applied_at, next_try_at, sealed)
SELECT merchant_id, channel_id, imp_uid, NULL, 'receipt-' || imp_uid, 'issued', 'person', amount, 0, 0, now(), 't', 'n',
       now(), NULL::timestamptz, NULL::bytea FROM payments WHERE step = 'paid'
UNION ALL
SELECT merchant_id, id, NULL, 'elsewhere', 'receipt-elsewhere', 'asking', 'person', 1004, 0, 0, now(), NULL, NULL, NULL,
       now(), ('\\x0100000001' || repeat('00', 32))::bytea FROM channels;
INSERT INTO errands (merchant_id, imp_uid, kind, number, state, asked_at, ended_at, became, next_try_at, sealed)
SELECT merchant_id, imp_uid, 'split_slip', 'errand-' || imp_uid, 'asking', now(), NULL::timestamptz, NULL::jsonb, now(),
       ('\\x0100000001' || repeat('00', 32))::bytea FROM payments WHERE step = 'paid'
UNION ALL
SELECT merchant_id, imp_uid, 'split_slip', 'errand-' || imp_uid, 'done', now(), now(), '{}', NULL, NULL
  FROM payments WHERE step = 'cancelled';
"""
CHANGED = [
    "billing_keys",
    "card_checks",
    "undone_watches",
    "quick_questions",
    "order_acts",
    "cash_receipts",
    "errands",
]


async def before(connection: asyncpg.Connection, first: str) -> list[str]:
    """Every migration up to this one, without it, as a version of the time left it."""
    await applied(connection)
    for name, sql in files():
        if name < first:
            async with connection.transaction():
                await connection.execute(sql)
                await connection.execute(
                    "INSERT INTO schema_migrations (name, digest) VALUES ($1, $2)",
                    name,
                    hashlib.sha256(sql.encode()).hexdigest(),
                )
    return [name for name, _ in files() if name >= first]


async def test_open_questions_of_every_kind_live_through_the_migrations(
    empty_database_url: str,
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    rest = await before(connection, FIRST)
    await connection.execute(SHOP)
    await fill(connection, 10)
    async with connection.transaction():
        # The rows are as the time's own code left them; their triggers would ask for its whole walk.
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(ROWS)
    counts = {each: await connection.fetchval(f"SELECT count(*) FROM {each}") for each in CHANGED}
    assert all(counts.values()), counts

    assert await migrate(empty_database_url) == rest

    for each, count in counts.items():
        assert await connection.fetchval(f"SELECT count(*) FROM {each}") == count, each
    # What was open is looked for again, and only that.
    open_now = await connection.fetch(
        "SELECT rtrim(question, ':') AS question, count(*) AS n FROM open_questions GROUP BY 1 ORDER BY 1"
    )
    payments = await connection.fetchval("SELECT count(*) FROM payments WHERE step = 'paid'")
    assert {row["question"]: row["n"] for row in open_now} == {
        "act: cancel": 2 * payments,
        "billing key": 1,
        "billing key to forget": 1,
        "cash receipt": 1,
        "errand: split slip": payments,
        "member": 1,
    }
    assert await connection.fetchval("SELECT bool_and(merchant_uid <> '') FROM cash_receipts")
    await connection.close()

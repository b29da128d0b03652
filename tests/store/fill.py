"""A database full of payments that are what they should be, made in seconds: triggers off, all written.

The shape of a shop's day: of ten payments seven are paid, one of them partly given back, one is
wholly given back, one failed, one was paid by deposit and one was never finished.
"""

from __future__ import annotations

import asyncpg

TABLES = ["payments", "payment_events", "intents", "cancellations", "deposits", "entries"]

_FILL = """
INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface, pay_method,
       step, event, version, amount, cancelled, currency, pg_order_no, pg_tid, started_at, approving_at, paid_at,
       failed_at, fail_reason, cancelled_at)
SELECT uid, c.merchant_id, 'order-' || n, c.id, c.pg_code, c.mid, true, 'pc', 'card',
       CASE place WHEN 8 THEN 'failed' WHEN 9 THEN 'opened' WHEN 6 THEN 'cancelled' ELSE 'paid' END,
       CASE place WHEN 8 THEN 'abandoned' WHEN 9 THEN 'opened' WHEN 6 THEN 'fully_cancelled'
                 WHEN 5 THEN 'partly_cancelled' WHEN 7 THEN 'deposited' ELSE 'approved' END,
       CASE place WHEN 8 THEN 2 WHEN 9 THEN 1 WHEN 5 THEN 4 WHEN 6 THEN 4 WHEN 7 THEN 4 ELSE 3 END,
       1004, CASE place WHEN 5 THEN 400 WHEN 6 THEN 1004 ELSE 0 END, 'KRW', 'n' || n, 'tid' || n,
       now(), now(), CASE WHEN place < 8 THEN now() END, CASE place WHEN 8 THEN now() END,
       CASE place WHEN 8 THEN 'given up' END, CASE WHEN place IN (5, 6) THEN now() END
  FROM (SELECT n, n % 10 AS place, 'imp_' || lpad(n::text, 12, '0') AS uid FROM generate_series(1, $1::int) n) g,
       (SELECT * FROM channels ORDER BY id LIMIT 1) c
"""
_DETAILS = """
INSERT INTO payment_events (imp_uid, version, event, step, cancelled)
SELECT p.imp_uid, s.version, s.event, s.step, s.cancelled
  FROM payments p JOIN (VALUES
       ('approved', 1, 'opened', 'opened', 0), ('approved', 2, 'authenticated', 'approving', 0),
       ('approved', 3, 'approved', 'paid', 0),
       ('partly_cancelled', 1, 'opened', 'opened', 0), ('partly_cancelled', 2, 'authenticated', 'approving', 0),
       ('partly_cancelled', 3, 'approved', 'paid', 0), ('partly_cancelled', 4, 'partly_cancelled', 'paid', 400),
       ('fully_cancelled', 1, 'opened', 'opened', 0), ('fully_cancelled', 2, 'authenticated', 'approving', 0),
       ('fully_cancelled', 3, 'approved', 'paid', 0), ('fully_cancelled', 4, 'fully_cancelled', 'cancelled', 1004),
       ('deposited', 1, 'opened', 'opened', 0), ('deposited', 2, 'authenticated', 'approving', 0),
       ('deposited', 3, 'account_issued', 'waiting_deposit', 0), ('deposited', 4, 'deposited', 'paid', 0),
       ('abandoned', 1, 'opened', 'opened', 0), ('abandoned', 2, 'abandoned', 'failed', 0),
       ('opened', 1, 'opened', 'opened', 0)) s (kind, version, event, step, cancelled) ON s.kind = p.event
 ORDER BY p.imp_uid, s.version;
INSERT INTO intents (imp_uid, kind, number, amount, balance_before, state, opened_at, closed_at)
SELECT imp_uid, 'approve', pg_order_no, amount, 0, 'done', now(), now() FROM payments WHERE version > 2
UNION ALL
SELECT imp_uid, 'cancel', 'c' || imp_uid, cancelled, amount, 'done', now(), now() FROM payments WHERE cancelled > 0;
INSERT INTO webhook_deliveries (webhook_id, merchant_id, imp_uid, version, status, url, content_type, body, mode,
       state, attempts, ended_at)
SELECT 'msg_' || v.imp_uid || v.version, m.id, v.imp_uid, v.version, 'paid', m.webhook_url, 'application/json', '{}',
       'ladder', 'delivered', 1, now()
  FROM payment_events v JOIN payments p USING (imp_uid) JOIN merchants m ON m.id = p.merchant_id
 WHERE v.event IN ('approved', 'account_issued', 'deposited');
INSERT INTO webhook_attempts (delivery_id, began_at, duration_ms, request_headers, answer_status)
SELECT id, now(), 1, '{}', 200 FROM webhook_deliveries;
INSERT INTO cancellations (cancellation_id, imp_uid, amount, reason, pg_tid, cancelled_at)
SELECT 'c' || imp_uid, imp_uid, cancelled, '', pg_tid, now() FROM payments WHERE cancelled > 0;
INSERT INTO deposits (channel_id, notice_key, order_no, imp_uid, pg_tid, amount, currency, deposited_at, booked_at, meaning)
SELECT channel_id, 'k' || imp_uid, pg_order_no, imp_uid, pg_tid, amount, currency, now(), now(), 'exact'
  FROM payments WHERE event = 'deposited';
INSERT INTO entries (imp_uid, account, amount, currency, version)
SELECT p.imp_uid, leg.account, leg.sign * CASE WHEN leg.given_back THEN p.cancelled ELSE p.amount END,
       p.currency, CASE WHEN leg.given_back OR p.event = 'deposited' THEN 4 ELSE 3 END
  FROM payments p, (VALUES ('receivable', 1, false), ('sales', -1, false), ('receivable', -1, true),
                           ('sales', 1, true)) leg (account, sign, given_back)
 WHERE p.step IN ('paid', 'cancelled') AND (NOT leg.given_back OR p.cancelled > 0);
INSERT INTO entries (imp_uid, account, amount, currency, intent_id)
SELECT i.imp_uid, leg.account, leg.sign * i.amount, 'KRW', i.id
  FROM intents i, (VALUES ('sales', 1), ('refund_pending', -1), ('sales', -1), ('refund_pending', 1)) leg (account, sign)
 WHERE i.kind = 'cancel';
INSERT INTO entries (imp_uid, account, amount, currency, channel_id, notice_key)
SELECT d.imp_uid, leg.account, leg.sign * d.amount, d.currency, d.channel_id, d.notice_key
  FROM deposits d, (VALUES ('deposited', 1), ('suspense', -1)) leg (account, sign);
INSERT INTO entries (imp_uid, account, amount, currency, version)
SELECT d.imp_uid, leg.account, leg.sign * d.amount, d.currency, 4
  FROM deposits d, (VALUES ('deposited', -1), ('suspense', 1)) leg (account, sign);
"""


async def fill(connection: asyncpg.Connection, payments: int) -> None:
    """This many payments of the first merchant's first channel, into a database that has none."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE merchants SET webhook_url = 'https://shop.example/hook', webhook_url_since = '2000-01-01'"
        )
        await connection.execute(_FILL, payments)
        await connection.execute(_DETAILS)
    await connection.execute("VACUUM ANALYZE")

-- payments --
-- What we know of the orders of one page of a PG's book, at these channels.
SELECT imp_uid, pg_order_no, pg_tid, amount, currency, paid_at FROM payments
 WHERE pg_order_no = ANY ($2) AND channel_id = ANY ($1);

-- cancellations --
-- What was given back of these payments.
SELECT imp_uid, cancellation_id, amount FROM cancellations WHERE imp_uid = ANY ($1);

-- deposits --
-- What was booked for these notices, at these channels.
SELECT notice_key, order_no, amount, currency FROM deposits
 WHERE channel_id = ANY ($1) AND notice_key = ANY ($2);

-- taken --
-- Payments by card and the like that were paid in this time, or booked in it whatever time they name
-- (a row that another hand wrote names any), a page behind an id; accounts are compared by their deposits.
SELECT imp_uid AS place, pg_tid AS subject, pg_order_no AS order_no, imp_uid, amount, currency, paid_at AS at
  FROM payments
 WHERE channel_id = ANY ($1) AND paid_at IS NOT NULL AND amount > 0 AND imp_uid > $4
   AND ((paid_at >= $2 AND paid_at < $3 AND vbank_code IS NULL)
        OR imp_uid IN (SELECT v.imp_uid FROM payment_events v
                        WHERE v.at >= $2 AND v.at < $3 AND v.event IN ('approved', 'approved_late')))
 ORDER BY imp_uid LIMIT $5;

-- given_back --
-- Cancellations of this time, or booked in it, a page behind an id.
SELECT c.cancellation_id AS place, c.cancellation_id AS subject, p.pg_order_no AS order_no, p.imp_uid, c.amount,
       p.currency, c.cancelled_at AS at
  FROM cancellations c JOIN payments p USING (imp_uid)
 WHERE p.channel_id = ANY ($1) AND c.cancellation_id > $4
   AND ((c.cancelled_at >= $2 AND c.cancelled_at < $3) OR (c.booked_at >= $2 AND c.booked_at < $3))
 ORDER BY c.cancellation_id LIMIT $5;

-- deposited --
-- Deposits that were booked in this time by what they say or by what the entries say, a page behind a key.
SELECT notice_key AS place, notice_key AS subject, order_no, imp_uid, amount, currency, booked_at AS at
  FROM deposits
 WHERE channel_id = ANY ($1) AND notice_key > $4
   AND ((booked_at >= $2 AND booked_at < $3)
        OR notice_key IN (SELECT e.notice_key FROM entries e
                           WHERE e.at >= $2 AND e.at < $3 AND e.account = 'deposited' AND e.amount > 0))
 ORDER BY notice_key LIMIT $5;

-- add_difference --
-- A difference, once; no row comes back when it is known already.
INSERT INTO book_differences (channel_id, kind, subject, order_no, imp_uid, ours, theirs, currency, at, ending,
                              found_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING kind;

-- differences --
-- The differences that were found last, newest first.
SELECT * FROM book_differences ORDER BY found_at DESC, subject LIMIT $1;

-- differences_of --
-- The differences about one payment, oldest first.
SELECT * FROM book_differences WHERE imp_uid = $1 ORDER BY found_at, subject;

-- known --
-- Is this difference written down?
SELECT 1 FROM book_differences WHERE channel_id = $1 AND kind = $2 AND subject = $3;

-- add_comparison --
-- A comparison went through to the end.
INSERT INTO book_comparisons (channel_id, began_at, ended_at, since, until, movements, differences)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING channel_id;

-- compared --
-- Since when this channel waits for a comparison: the last one, or its own beginning.
SELECT COALESCE((SELECT max(began_at) FROM book_comparisons WHERE channel_id = $1),
                (SELECT created_at FROM channels WHERE id = $1));

-- cancel_asked --
-- The cancel that we asked for under this number, if we did.
SELECT imp_uid, state, request FROM intents WHERE kind = 'cancel' AND number = $1;

-- insert --
-- A new schedule; refused by constraint when the order has one.
INSERT INTO schedules (merchant_id, merchant_uid, customer_uid, channel_id, number, state, amount, currency, tax_free, vat, name,
                       webhook_urls, schedule_at, next_try_at, asked_at, sealed)
VALUES ($1, $2, $3, $4, $5, 'scheduled', $6, $7, $8, $9, $10, $11, $12, $12, $13, $14)
RETURNING *;

-- get --
-- The schedule of this merchant's order.
SELECT * FROM schedules WHERE merchant_id = $1 AND merchant_uid = $2;

-- many --
-- The schedules of these orders, by time.
SELECT * FROM schedules WHERE merchant_id = $1 AND merchant_uid = ANY ($2) ORDER BY schedule_at, id;

-- of_number --
-- One schedule by our own number for it.
SELECT * FROM schedules WHERE number = $1;

-- hold --
-- One schedule, held until the end of this transaction.
SELECT * FROM schedules WHERE merchant_id = $1 AND merchant_uid = $2 FOR NO KEY UPDATE;

-- hold_due --
-- One schedule whose time has come, held; nothing when it is not due, or when others hold it.
SELECT * FROM schedules WHERE number = $1 AND next_try_at <= $2 FOR NO KEY UPDATE SKIP LOCKED;

-- hold_waiting --
-- What is scheduled of a customer, or of some orders of anybody or of one customer, held one after the other by id.
SELECT * FROM schedules
 WHERE merchant_id = $1 AND state = 'scheduled'
   AND ($2::text IS NULL OR customer_uid = $2) AND ($3::text[] IS NULL OR merchant_uid = ANY ($3))
 ORDER BY id FOR NO KEY UPDATE;

-- due --
-- Numbers of schedules whose time has come, oldest first; not those whose customer's channel is crowded ($3).
SELECT s.number FROM schedules s
  LEFT JOIN billing_keys k ON k.merchant_id = s.merchant_id AND k.customer_uid = s.customer_uid AND k.state = 'live'
 WHERE s.next_try_at <= $1 AND NOT COALESCE(k.channel_id, s.channel_id) = ANY ($3)
 ORDER BY s.next_try_at, s.id LIMIT $2;

-- execute --
-- The next attempt is made by this payment.
UPDATE schedules SET state = 'executed', attempt = attempt + 1, imp_uid = $2, executed_at = $3, next_try_at = NULL
 WHERE number = $1 AND state IN ('scheduled', 'executed')
RETURNING *;

-- later --
-- Something is in the way: look again then.
UPDATE schedules SET next_try_at = $2 WHERE number = $1 AND next_try_at <= $3 RETURNING id;

-- revoke --
-- scheduled -> revoked.
UPDATE schedules SET state = 'revoked', revoked_at = $2, next_try_at = NULL
 WHERE number = $1 AND state = 'scheduled'
RETURNING *;

-- move --
-- Due at another time; what failed or was revoked is due again.
UPDATE schedules SET state = 'scheduled', schedule_at = $2, next_try_at = $2, revoked_at = NULL, executed_at = NULL, imp_uid = NULL
 WHERE number = $1
RETURNING *;

-- page --
-- Schedules due within a window, of one customer or of all, a page of them, newest first or oldest first.
SELECT *, count(*) OVER () AS total FROM schedules
 WHERE merchant_id = $1 AND schedule_at >= $2 AND schedule_at < $3
   AND ($4::text IS NULL OR customer_uid = $4) AND ($5::text IS NULL OR state = $5)
 ORDER BY CASE WHEN $6 THEN schedule_at END, CASE WHEN NOT $6 THEN schedule_at END DESC,
          CASE WHEN $6 THEN id END, CASE WHEN NOT $6 THEN id END DESC
 LIMIT $7 OFFSET $8;

-- overview --
-- For operators: what is due and late, what failed lately, what comes next.
SELECT s.merchant_id, s.merchant_uid, s.customer_uid, s.number, s.state, s.attempt, s.amount, s.currency, s.schedule_at,
       s.next_try_at, s.executed_at, s.imp_uid, p.step
  FROM schedules s LEFT JOIN payments p ON p.imp_uid = s.imp_uid
 WHERE ($4::bigint IS NULL OR s.merchant_id = $4) AND
       CASE $1 WHEN 'late' THEN s.next_try_at <= $2 OR (s.state = 'scheduled' AND s.schedule_at <= $2)
               WHEN 'failed' THEN s.state = 'executed' AND p.step = 'failed'
               WHEN 'checking' THEN s.state = 'executed' AND p.step = 'approving'
               ELSE s.state = 'scheduled' END
 ORDER BY s.schedule_at, s.id LIMIT $3;

-- failures --
-- How many charges of a merchant (or of all) failed.
SELECT count(*) FROM schedules s JOIN payments p USING (imp_uid)
 WHERE s.state = 'executed' AND p.step = 'failed' AND ($1::bigint IS NULL OR s.merchant_id = $1);

-- keep_check --
-- A card is about to be charged to see whether it can be; refused by index while its key is checked.
INSERT INTO card_checks (imp_uid, next_look_at, key_number) VALUES ($1, $2, $3) RETURNING imp_uid;

-- last_check --
-- The newest check of a key that had not ended at $2, beside $3: which payment it is.
SELECT p.step, p.fail_code, p.fail_reason FROM card_checks c JOIN payments p USING (imp_uid)
 WHERE c.key_number = $1 AND (c.ended_at IS NULL OR c.ended_at > $2) AND c.imp_uid <> $3
 ORDER BY p.started_at DESC, p.imp_uid LIMIT 1;

-- due_checks --
-- Checks whose money may not have been given back, oldest first.
SELECT imp_uid FROM card_checks WHERE next_look_at <= $1 ORDER BY next_look_at LIMIT $2;

-- put_off_check --
-- Look at it again then.
UPDATE card_checks SET next_look_at = $2 WHERE imp_uid = $1 AND ended_at IS NULL RETURNING imp_uid;

-- end_check --
-- Nothing of it is left with us.
UPDATE card_checks SET next_look_at = NULL, ended_at = $2 WHERE imp_uid = $1 AND ended_at IS NULL RETURNING imp_uid;

-- book --
-- A deposit, once per notice of the PG; no row comes back when it is booked already.
WITH booked AS (
    INSERT INTO deposits (channel_id, notice_key, order_no, imp_uid, pg_tid, amount, currency,
                          deposited_at, booked_at, meaning)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $9, $10, $11)
    ON CONFLICT DO NOTHING
    RETURNING channel_id, notice_key
), kept AS (
    INSERT INTO deposit_secrets (channel_id, notice_key, sealed)
    SELECT channel_id, notice_key, $8 FROM booked WHERE $8::bytea IS NOT NULL
)
SELECT notice_key FROM booked;

-- find --
-- The deposit of this notice, at any of these channels.
SELECT * FROM deposits WHERE channel_id = ANY ($1) AND notice_key = $2 LIMIT 1;

-- total --
-- What arrived in time in the account of this payment, in its own currency, and was not given back.
SELECT COALESCE(sum(amount), 0)::bigint FROM deposits d
 WHERE imp_uid = $1 AND pg_tid = $2 AND currency = $3 AND deposited_at <= $4 AND meaning <> 'other_account'
   AND NOT EXISTS (SELECT 1 FROM returned_deposits r WHERE r.channel_id = d.channel_id AND r.notice_key = d.notice_key);

-- in_account --
-- All that lies in the account of this payment at the PG, in its own currency, whenever it came; with
-- $4 also what was given back.
SELECT COALESCE(sum(amount), 0)::bigint FROM deposits d
 WHERE imp_uid = $1 AND pg_tid = $2 AND currency = $3 AND meaning <> 'other_account'
   AND ($4 OR NOT EXISTS (SELECT 1 FROM returned_deposits r
                           WHERE r.channel_id = d.channel_id AND r.notice_key = d.notice_key));

-- newest --
-- When the last of those deposits arrived, and nothing when there is none.
SELECT max(deposited_at) FROM deposits d
 WHERE imp_uid = $1 AND pg_tid = $2 AND currency = $3 AND deposited_at <= $4 AND meaning <> 'other_account'
   AND NOT EXISTS (SELECT 1 FROM returned_deposits r WHERE r.channel_id = d.channel_id AND r.notice_key = d.notice_key);

-- give_back --
-- A deposit was given back in the PG's console, once; no row comes back when that is written already.
INSERT INTO returned_deposits (channel_id, notice_key, returned_at, returned_by, note)
VALUES ($1, $2, $5, $3, $4)
ON CONFLICT DO NOTHING
RETURNING notice_key;

-- of_payment --
-- The deposits of one payment, oldest first.
SELECT d.*, s.sealed FROM deposits d LEFT JOIN deposit_secrets s USING (channel_id, notice_key)
 WHERE imp_uid = $1 ORDER BY deposited_at, notice_key;

-- early --
-- The notices that came before their account was written here.
SELECT notice_key FROM deposits WHERE imp_uid = $1 AND meaning = 'early' ORDER BY notice_key;

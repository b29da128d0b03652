-- book --
-- A deposit, once per notice of the PG; no row comes back when it is booked already.
INSERT INTO deposits (channel_id, notice_key, order_no, imp_uid, pg_tid, amount, currency, depositor,
                      deposited_at, booked_at, meaning)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING notice_key;

-- booked --
-- Is this notice booked?
SELECT 1 FROM deposits WHERE channel_id = $1 AND notice_key = $2;

-- total --
-- What arrived for one payment, all deposits together.
SELECT COALESCE(sum(amount), 0)::bigint FROM deposits WHERE imp_uid = $1;

-- of_payment --
-- The deposits of one payment, oldest first.
SELECT * FROM deposits WHERE imp_uid = $1 ORDER BY deposited_at, notice_key;

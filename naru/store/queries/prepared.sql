-- add --
-- Announce an amount; no row comes back when the order was announced already.
INSERT INTO prepared (merchant_id, merchant_uid, amount, currency, currency_fixed, updated_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING merchant_uid;

-- change --
-- Announce another amount, unless the order is being paid or is paid: what was authenticated stays (A1xRO).
UPDATE prepared SET amount = $3, currency = $4, currency_fixed = $5, updated_at = $6
 WHERE merchant_id = $1 AND merchant_uid = $2
   AND NOT EXISTS (
       SELECT 1 FROM payments p
        WHERE p.merchant_id = $1 AND p.merchant_uid = $2 AND p.step IN ('approving', 'paid', 'cancelled') AND p.amount > 0)
RETURNING merchant_uid;

-- hold --
-- The same, kept from changing until this transaction ends; readers do not keep each other away.
SELECT * FROM prepared WHERE merchant_id = $1 AND merchant_uid = $2 FOR SHARE;

-- hold_to_change --
-- The same, for who is about to change it: waits for approvals that are just being claimed.
SELECT * FROM prepared WHERE merchant_id = $1 AND merchant_uid = $2 FOR UPDATE;

-- get --
-- What was announced for an order.
SELECT * FROM prepared WHERE merchant_id = $1 AND merchant_uid = $2;

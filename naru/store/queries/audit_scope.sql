-- touched --
-- Payments that changed, or whose money moved, since then.
SELECT imp_uid FROM payment_events WHERE at >= $1
UNION
SELECT imp_uid FROM entries WHERE at >= $1 AND imp_uid IS NOT NULL;

-- size --
-- How many payments there are.
SELECT count(*) FROM payments;

-- claim --
-- First come: this request is ours to answer. No row comes back when its key is there already.
INSERT INTO idempotency (merchant_id, method, path, key, sealed, lease_until, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (merchant_id, method, path, key) DO NOTHING
RETURNING id, attempt;

-- get --
-- What became of the request with this key.
SELECT id, sealed, attempt, lease_until, effect, status, headers, expires_at
  FROM idempotency
 WHERE merchant_id = $1 AND method = $2 AND path = $3 AND key = $4;

-- take_over --
-- The try before went silent and has begun nothing: another one, and only one, may.
UPDATE idempotency SET attempt = attempt + 1, lease_until = $3
 WHERE id = $1 AND attempt = $2 AND lease_until <= $4 AND effect IS NULL AND status IS NULL
RETURNING id, attempt;

-- bind --
-- This try is about to do this. No row comes back when another try has the word.
UPDATE idempotency SET effect = $3
 WHERE id = $1 AND attempt = $2 AND effect IS NULL AND status IS NULL
RETURNING id;

-- release --
-- Nothing was begun: forget the request, so that it may be sent again.
DELETE FROM idempotency
 WHERE id = $1 AND attempt = $2 AND effect IS NULL AND status IS NULL
RETURNING id;

-- end_lease --
-- Nobody works on it any more; what was begun tells the answer.
UPDATE idempotency SET lease_until = $3
 WHERE id = $1 AND attempt = $2 AND status IS NULL AND lease_until > $3;

-- finish --
-- The answer, for good.
UPDATE idempotency SET status = $3, headers = $4, sealed = $5
 WHERE id = $1 AND attempt = $2 AND status IS NULL
RETURNING id;

-- forget --
-- Let go of some of what is older than its time, the oldest first.
DELETE FROM idempotency WHERE id IN (
    SELECT id FROM idempotency WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id;

-- forget_one --
-- The same for one record, when its key comes again before the round does.
DELETE FROM idempotency WHERE id = $1 AND expires_at <= $2;

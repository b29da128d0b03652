-- lay --
-- A webhook to one address, once per change of the payment (its id is made from them); no row comes
-- back for a repetition.
INSERT INTO webhook_deliveries
       (webhook_id, merchant_id, imp_uid, version, status, cancellation_id, url, content_type, body, mode)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (webhook_id) DO NOTHING
RETURNING id;

-- claim --
-- Take a due delivery for one attempt, unless somebody else sends it or an earlier one of the same
-- payment to the same address is still to be told.
UPDATE webhook_deliveries d
   SET leased_until = now() + $2::interval, fence = fence + 1
  FROM merchants m
 WHERE d.id = $1 AND m.id = d.merchant_id
   AND d.state = 'waiting' AND d.next_at <= now()
   AND (d.leased_until IS NULL OR d.leased_until <= now())
   AND NOT EXISTS (SELECT 1 FROM webhook_deliveries e
                    WHERE e.imp_uid = d.imp_uid AND e.url = d.url AND e.version < d.version
                      AND e.state = 'waiting')
RETURNING d.*, m.webhook_secret;

-- renew --
-- Keep the lease of an attempt that takes long.
UPDATE webhook_deliveries SET leased_until = now() + $3::interval WHERE id = $1 AND fence = $2
RETURNING id;

-- release --
-- Give a claimed delivery back unsent, to be tried after a while; not an attempt.
UPDATE webhook_deliveries SET leased_until = NULL, next_at = now() + $3::interval, waits_since = now()
 WHERE id = $1 AND fence = $2 AND state = 'waiting'
RETURNING id;

-- delivered --
-- The merchant answered: a fact, whoever holds the lease by now. Tells which webhook waited for it.
WITH attempt AS (
    INSERT INTO webhook_attempts (delivery_id, began_at, duration_ms, request_headers, answer_status, answer_body)
    VALUES ($1, $2, $3, $4, $5, $6)
)
UPDATE webhook_deliveries d
   SET state = 'delivered', attempts = attempts + 1, leased_until = NULL, ended_at = now()
 WHERE id = $1
RETURNING (SELECT n.id FROM webhook_deliveries n
            WHERE n.imp_uid = d.imp_uid AND n.url = d.url AND n.version > d.version
              AND n.state = 'waiting' AND n.next_at <= now()
            ORDER BY n.version LIMIT 1) AS following;

-- failed --
-- The attempt failed. It is kept in any case; the delivery waits ($9) or is parked (null) only if we
-- still hold it. One that was brought forward ($10) uses no rung. Tells which webhook waits behind it.
WITH attempt AS (
    INSERT INTO webhook_attempts
           (delivery_id, began_at, duration_ms, request_headers, answer_status, answer_body, error)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
)
UPDATE webhook_deliveries d
   SET attempts = attempts + CASE WHEN $10 THEN 0 ELSE 1 END, leased_until = NULL, rung_at = NULL,
       state = CASE WHEN $9::interval IS NULL THEN 'parked' ELSE 'waiting' END,
       ended_at = CASE WHEN $9::interval IS NULL THEN now() END,
       next_at = now() + COALESCE($9::interval, '0'), waits_since = now()
 WHERE id = $1 AND fence = $8 AND state = 'waiting'
RETURNING (SELECT n.id FROM webhook_deliveries n
            WHERE n.imp_uid = d.imp_uid AND n.url = d.url AND n.version > d.version
              AND n.state = 'waiting' AND n.next_at <= now()
            ORDER BY n.version LIMIT 1) AS following;

-- hasten --
-- An address answers again: what waited for a later rung may go now, a hundred at a time. Not in the
-- modes that keep to i'mport's own rhythm. The rung they had stays theirs.
UPDATE webhook_deliveries SET rung_at = COALESCE(rung_at, next_at), next_at = now(), waits_since = now()
 WHERE id IN (SELECT id FROM webhook_deliveries
               WHERE merchant_id = $1 AND url = $2 AND state = 'waiting' AND mode = 'ladder' AND next_at > now()
               ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING id;

-- probe --
-- One delivery per silent address, at most every few minutes ($1), whatever rung it waits for:
-- an address that is well again is found soon, and the whole line after it.
UPDATE webhook_deliveries d SET rung_at = COALESCE(rung_at, next_at), next_at = now(), waits_since = now()
  FROM (SELECT DISTINCT ON (w.merchant_id, w.url) w.id
          FROM webhook_deliveries w
         WHERE w.state = 'waiting' AND w.mode = 'ladder' AND w.attempts > 0 AND w.next_at > now() + $1::interval
           AND NOT EXISTS (SELECT 1 FROM webhook_deliveries b
                            WHERE b.merchant_id = w.merchant_id AND b.url = w.url AND b.state = 'waiting'
                              AND b.next_at <= now() + $1::interval)
           AND NOT EXISTS (SELECT 1 FROM webhook_attempts a
                            WHERE a.delivery_id = w.id AND a.began_at > now() - $1::interval)
         ORDER BY w.merchant_id, w.url, w.next_at) first
 WHERE d.id = first.id
RETURNING d.id;

-- due --
-- Deliveries that should have left a while ago ($1) and that nobody sends, oldest first.
SELECT d.id FROM webhook_deliveries d
 WHERE d.state = 'waiting' AND d.next_at <= now() - $1::interval
   AND (d.leased_until IS NULL OR d.leased_until <= now())
   AND NOT EXISTS (SELECT 1 FROM webhook_deliveries e
                    WHERE e.imp_uid = d.imp_uid AND e.url = d.url AND e.version < d.version
                      AND e.state = 'waiting')
 ORDER BY d.next_at LIMIT $2;

-- put_right --
-- The database's clock went back (a fail-over to a machine that is behind): waits and leases that begin
-- in time to come, or last longer than any does, are over. The wait that was cut short uses no rung.
UPDATE webhook_deliveries
   SET rung_at = COALESCE(rung_at, next_at), next_at = LEAST(next_at, now()), waits_since = now(),
       leased_until = CASE WHEN leased_until < now() + interval '10 minutes' THEN leased_until END
 WHERE state = 'waiting'
   AND (waits_since > now() + interval '1 minute' OR next_at > now() + interval '50 hours'
        OR leased_until > now() + interval '10 minutes')
RETURNING id;

-- resend --
-- Send it once more to the address used originally, with the same body and id.
UPDATE webhook_deliveries SET state = 'waiting', ended_at = NULL, next_at = now(), waits_since = now(), rung_at = NULL
 WHERE id = $1 AND ($2::bigint IS NULL OR merchant_id = $2)
RETURNING id;

-- get --
-- One delivery.
SELECT * FROM webhook_deliveries WHERE id = $1;

-- of_merchant --
-- The deliveries of a merchant (or of all), newest first, of one payment or in one state if it is named.
SELECT d.*, p.merchant_uid FROM webhook_deliveries d JOIN payments p USING (imp_uid)
 WHERE ($1::bigint IS NULL OR d.merchant_id = $1) AND ($2::text IS NULL OR d.imp_uid = $2)
   AND ($3::text IS NULL OR d.state = $3)
 ORDER BY d.id DESC LIMIT $4;

-- attempts_of --
-- Every attempt of one delivery, oldest first.
SELECT * FROM webhook_attempts WHERE delivery_id = $1 ORDER BY id;

-- keep --
-- A notice as it arrived, once.
INSERT INTO notices (channel_id, digest, sealed, received_at, next_try_at)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
RETURNING channel_id;

-- take --
-- A notice whose next try is due; nobody else has it until `$2`.
UPDATE notices SET tries = tries + 1, next_try_at = $2
 WHERE (channel_id, digest) IN (
     SELECT n.channel_id, n.digest FROM notices n
      WHERE n.next_try_at <= $1 ORDER BY n.next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *;

-- later --
-- It could not be booked now, either.
UPDATE notices SET next_try_at = $3 WHERE channel_id = $1 AND digest = $2 RETURNING channel_id;

-- done --
-- It is booked.
DELETE FROM notices WHERE channel_id = $1 AND digest = $2 RETURNING channel_id;

-- forget --
-- A person closed the task about them, so they were seen. `$1` is the task's kind; its subject begins
-- with the channel and half of the digest (naru/store/notices.py).
DELETE FROM notices n
 WHERE NOT EXISTS (SELECT FROM operator_tasks t
                    WHERE t.kind = $1 AND t.closed_at IS NULL
                      AND t.subject = n.channel_id || '/' || left(encode(n.digest, 'hex'), 16))
RETURNING channel_id;

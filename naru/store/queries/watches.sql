-- open --
-- An approval was undone or never found: look from then on. One that was told late ($3, $4) is
-- looked at at once.
INSERT INTO undone_watches (imp_uid, next_look_at, late_pg_tid, late_approved_at, looked_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (imp_uid) DO UPDATE
   SET next_look_at = LEAST(undone_watches.next_look_at, EXCLUDED.next_look_at),
       looked_at = EXCLUDED.looked_at,
       late_pg_tid = COALESCE(EXCLUDED.late_pg_tid, undone_watches.late_pg_tid),
       late_approved_at = COALESCE(EXCLUDED.late_approved_at, undone_watches.late_approved_at)
RETURNING imp_uid;

-- due --
-- Payments whose next look is due, oldest first.
SELECT imp_uid FROM undone_watches WHERE next_look_at <= $1 ORDER BY next_look_at LIMIT $2;

-- lease --
-- Take a due look; nobody else looks before `$2`.
UPDATE undone_watches SET next_look_at = $2, looked_at = $3 WHERE imp_uid = $1 AND next_look_at <= $3
RETURNING *;

-- looked --
-- Nothing is there (any more). Again at `$3`, or never.
UPDATE undone_watches SET looks = looks + 1, next_look_at = $3, looked_at = $4, late_pg_tid = NULL, late_approved_at = NULL
 WHERE imp_uid = $1 AND looks = $2
RETURNING imp_uid;

-- postpone --
-- The PG did not answer: the same look once more at `$3`.
UPDATE undone_watches SET next_look_at = $3, looked_at = $4 WHERE imp_uid = $1 AND looks = $2 AND next_look_at IS NOT NULL
RETURNING imp_uid;

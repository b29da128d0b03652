-- known --
-- Is this notice kept already?
SELECT 1 FROM notices WHERE channel_id = $1 AND digest = $2;

-- task --
-- The open task of this kind ($1) about a channel's kept notices, held open until the commit.
SELECT id FROM operator_tasks WHERE kind = $1 AND subject = $2 AND closed_at IS NULL FOR SHARE;

-- keep --
-- A notice as it arrived, once, under this task.
INSERT INTO notices (channel_id, digest, sealed, received_at, next_try_at, task_id)
VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING
RETURNING channel_id;

-- take --
-- A notice whose next try is due; nobody else has it until `$2`.
UPDATE notices SET tries = tries + 1, next_try_at = $2
 WHERE (channel_id, digest) IN (
     SELECT n.channel_id, n.digest FROM notices n
      WHERE n.next_try_at <= $1 AND n.done_at IS NULL
      ORDER BY n.next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *;

-- later --
-- It could not be booked now, either.
UPDATE notices SET next_try_at = $3 WHERE channel_id = $1 AND digest = $2 RETURNING channel_id;

-- done --
-- It is booked; it goes with its task.
UPDATE notices SET done_at = COALESCE(done_at, $3) WHERE channel_id = $1 AND digest = $2 RETURNING task_id;

-- hold_task --
-- Nobody keeps one more notice under this task, or closes it, before the commit.
SELECT id FROM operator_tasks WHERE id = $1 AND closed_at IS NULL FOR UPDATE;

-- of_task --
-- How many notices are kept under this task, and how many of them are booked.
SELECT count(*) AS kept, count(done_at) AS done FROM notices WHERE task_id = $1;

-- forget --
-- Let go of those whose task is closed: they are booked, or a person has seen them.
DELETE FROM notices n
 WHERE NOT EXISTS (SELECT FROM operator_tasks t WHERE t.id = n.task_id AND t.closed_at IS NULL)
RETURNING channel_id;

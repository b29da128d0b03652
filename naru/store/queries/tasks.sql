-- open --
-- Lay something before a person; no row comes back while the same thing lies there already.
INSERT INTO operator_tasks (kind, subject, sentence, opened_at, next_alert_at, imp_uid)
VALUES ($1, $2, $3, $4, $4, $5)
ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO NOTHING
RETURNING id;

-- list_open --
-- What waits for a person, oldest first.
SELECT * FROM operator_tasks WHERE closed_at IS NULL ORDER BY opened_at, id LIMIT $1;

-- list_all --
-- The newest tasks, closed ones too.
SELECT * FROM operator_tasks ORDER BY id DESC LIMIT $1;

-- of_payment --
-- Every task about one payment, oldest first.
SELECT * FROM operator_tasks WHERE imp_uid = $1 ORDER BY id;

-- get --
-- One task.
SELECT * FROM operator_tasks WHERE id = $1;

-- close --
-- Somebody looked, and says what became of it. No row: closed already, or never opened.
UPDATE operator_tasks SET closed_at = $4, closed_by = $2, note = $3
 WHERE id = $1 AND closed_at IS NULL
RETURNING id;

-- count_open --
-- How many wait for a person.
SELECT count(*) FROM operator_tasks WHERE closed_at IS NULL;

-- take_to_tell --
-- Open tasks that nobody was told of and whose time has come, oldest first. They are ours until `$2`,
-- when another try is due: a teller that dies or fails delays a task and never loses it.
UPDATE operator_tasks SET alert_tries = alert_tries + 1, next_alert_at = $2
 WHERE id IN (SELECT id FROM operator_tasks
               WHERE alerted_at IS NULL AND closed_at IS NULL AND next_alert_at <= $1
               ORDER BY next_alert_at LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING *;

-- tell_again --
-- It was not heard: once more at this time.
UPDATE operator_tasks SET next_alert_at = $2 WHERE id = $1 AND alerted_at IS NULL
RETURNING id;

-- told --
-- It was heard.
UPDATE operator_tasks SET alerted_at = $2 WHERE id = $1 AND alerted_at IS NULL
RETURNING id;

-- end_by_itself --
-- What people were asked about ended without them.
UPDATE operator_tasks SET closed_at = $3, closed_by = 'naru', note = $4
 WHERE kind = ANY($1::text[]) AND subject = $2 AND closed_at IS NULL
RETURNING id;

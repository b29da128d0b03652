-- open --
-- A new certification; no row comes back when its name is taken.
INSERT INTO certifications (
    imp_uid, merchant_id, merchant_uid, channel_id, pg_code, sandbox, number, stage, window_mode,
    window_secret_hash, page_origin, return_url, request_id, language, mobile, min_age, opened_at, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
    ON CONFLICT DO NOTHING
RETURNING *;

-- get --
-- One certification, whoever owns it (for the company's and the clock's doors).
SELECT * FROM certifications WHERE imp_uid = $1;

-- get_of_merchant --
-- One certification of this merchant; a foreign one is not there.
SELECT * FROM certifications WHERE imp_uid = $1 AND merchant_id = $2;

-- get_by_window --
-- One certification, for who holds its window's secret.
SELECT * FROM certifications WHERE imp_uid = $1 AND window_secret_hash = $2;

-- promise --
-- From now on the company may hold a result; it is looked for at `$3` by the worker.
UPDATE certifications SET promised_at = COALESCE(promised_at, $2), next_look_at = COALESCE(next_look_at, $3)
 WHERE imp_uid = $1 AND stage IN ('opened', 'asking', 'waiting')
RETURNING *;

-- wait --
-- The code is on its way to the person.
UPDATE certifications SET stage = 'waiting' WHERE imp_uid = $1 AND stage = 'asking' RETURNING *;

-- try_code --
-- Spend one try of a code; no row comes back when none is left, or it has ended.
UPDATE certifications SET tries = tries + 1, promised_at = COALESCE(promised_at, $4),
       next_look_at = COALESCE(next_look_at, $5)
 WHERE imp_uid = $1 AND merchant_id = $2 AND stage IN ('asking', 'waiting') AND tries < 5 AND opened_at > $3
RETURNING *;

-- certify --
-- The company said who it is.
UPDATE certifications SET stage = 'certified', certified_at = $2, pg_tid = $3, sealed = $4, next_look_at = NULL
 WHERE imp_uid = $1 AND stage IN ('opened', 'asking', 'waiting')
RETURNING *;

-- fail --
-- It will not become one; nobody's data stay.
UPDATE certifications SET stage = 'failed', fail_code = $2, fail_reason = $3, sealed = NULL, next_look_at = NULL
 WHERE imp_uid = $1 AND stage IN ('opened', 'asking', 'waiting')
RETURNING *;

-- delete --
-- The merchant lets go of it: what stays is that it was.
UPDATE certifications
   SET stage = 'deleted', sealed = NULL, merchant_uid = NULL, page_origin = NULL, return_url = NULL
 WHERE imp_uid = $1 AND merchant_id = $2 AND stage = 'certified'
RETURNING imp_uid;

-- due --
-- Those whose result has to be looked for ($1: now), and those that nobody finished ($2: opened before).
SELECT imp_uid FROM certifications
 WHERE stage IN ('opened', 'asking', 'waiting') AND coalesce(next_look_at, opened_at) < $1
   AND (next_look_at IS NOT NULL OR opened_at < $2)
 ORDER BY coalesce(next_look_at, opened_at) LIMIT $3;

-- look_later --
-- The company did not say; it is asked again at `$2`.
UPDATE certifications SET next_look_at = $2
 WHERE imp_uid = $1 AND stage IN ('opened', 'asking', 'waiting')
RETURNING imp_uid;

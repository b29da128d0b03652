-- prepare --
-- Announce an order; no row comes back when it was announced already.
INSERT INTO quick_prepared (merchant_id, merchant_uid, btid, sealed, updated_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING merchant_uid;

-- change_prepared --
-- Announce it anew; no row comes back when it never was.
UPDATE quick_prepared SET btid = $3, sealed = $4, updated_at = $5
 WHERE merchant_id = $1 AND merchant_uid = $2
RETURNING merchant_uid;

-- prepared --
-- What was announced of an order.
SELECT * FROM quick_prepared WHERE merchant_id = $1 AND merchant_uid = $2;

-- ask --
-- A question about a member; no row comes back while the same one waits for its answer.
INSERT INTO quick_questions (number, merchant_id, channel_id, kind, member_id, partner_type, partner_subtype, asked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (channel_id, kind, member_id) WHERE state = 'asking' DO NOTHING
RETURNING *;

-- asking --
-- The same question, when it waits for its answer.
SELECT * FROM quick_questions WHERE channel_id = $1 AND kind = $2 AND member_id = $3 AND state = 'asking';

-- of_number --
-- The question of this number.
SELECT * FROM quick_questions WHERE number = $1;

-- end --
-- asking -> done or refused; no row comes back when somebody ended it before.
UPDATE quick_questions SET state = $2, fail_code = $3, fail_reason = $4, inserted_at = $5, updated_at = $6, ended_at = $7
 WHERE number = $1 AND state = 'asking'
RETURNING *;

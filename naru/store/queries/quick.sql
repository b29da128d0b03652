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
-- A question about a member; the one that waits for its answer already, whose earlier askers no longer hold it.
INSERT INTO quick_questions (number, merchant_id, channel_id, kind, member_id, partner_type, partner_subtype, asked_at, next_try_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (channel_id, kind, member_id) WHERE state = 'asking' DO UPDATE SET fence = quick_questions.fence + 1
RETURNING *;

-- of_number --
-- The question of this number.
SELECT * FROM quick_questions WHERE number = $1;

-- end --
-- asking -> done, or refused by who holds the question ($8); no row comes back when somebody ended it before.
UPDATE quick_questions SET state = $2, fail_code = $3, fail_reason = $4, inserted_at = $5, updated_at = $6, ended_at = $7,
       next_try_at = NULL
 WHERE number = $1 AND state = 'asking' AND ($2 = 'done' OR fence = $8)
RETURNING *;

-- due --
-- Questions that nobody answered, oldest first.
SELECT number FROM quick_questions WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2;

-- lease --
-- Take one for one try: nobody else tries before $2.
UPDATE quick_questions SET next_try_at = $2, fence = fence + 1, tries = tries + 1
 WHERE number = $1 AND next_try_at <= $3
RETURNING *;

-- later --
-- Not known yet: again at $3, unless somebody else tries by now.
UPDATE quick_questions SET next_try_at = $3 WHERE number = $1 AND fence = $2 AND next_try_at IS NOT NULL
RETURNING number;

-- remember --
-- This payment is of this member.
INSERT INTO quick_payments (imp_uid, member_id) VALUES ($1, $2) RETURNING imp_uid;

-- first_paid --
-- Whom a member paid first by these channels.
SELECT p.merchant_id FROM quick_payments q JOIN payments p USING (imp_uid)
 WHERE q.member_id = $2 AND p.channel_id = ANY ($1) AND p.step IN ('paid', 'cancelled')
 ORDER BY p.paid_at, p.imp_uid LIMIT 1;

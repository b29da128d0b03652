-- ask --
-- A PG is about to be told; refused by index while another errand of this payment is open, and for a second shipment.
INSERT INTO errands (merchant_id, imp_uid, kind, number, state, asked_at, next_try_at, sealed)
VALUES ($1, $2, $3, $4, 'asking', $5, $6, $7)
RETURNING *;

-- of_number --
-- The errand of this number.
SELECT * FROM errands WHERE number = $1;

-- shipment --
-- What stands of a payment's shipment: what was told last.
SELECT * FROM errands WHERE merchant_id = $1 AND imp_uid = $2 AND kind <> 'split_slip' AND state = 'done' ORDER BY id DESC LIMIT 1;

-- open --
-- The errand of this payment that is not answered yet.
SELECT * FROM errands WHERE merchant_id = $1 AND imp_uid = $2 AND state = 'asking';

-- done --
-- asking -> done: the PG heard it.
UPDATE errands SET state = 'done', became = $2, ended_at = $3, next_try_at = NULL, sealed = NULL
 WHERE number = $1 AND state = 'asking'
RETURNING *;

-- refuse --
-- asking -> refused, by who holds the question ($4).
UPDATE errands SET state = 'refused', fail_code = $2, fail_reason = $3, ended_at = $5, next_try_at = NULL, sealed = NULL
 WHERE number = $1 AND state = 'asking' AND fence = $4
RETURNING *;

-- due --
-- Questions that nobody answered, oldest first.
SELECT number FROM errands WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2;

-- lease --
-- Take one for one try: nobody else tries before $2.
UPDATE errands SET next_try_at = $2, fence = fence + 1, tries = tries + 1
 WHERE number = $1 AND next_try_at <= $3
RETURNING *;

-- later --
-- Not known yet: again at $3, unless somebody else tries by now.
UPDATE errands SET next_try_at = $3 WHERE number = $1 AND fence = $2 AND next_try_at IS NOT NULL
RETURNING id;

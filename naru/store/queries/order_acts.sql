-- open --
-- About to tell the PG; no row comes back while another act about the same subject is open.
INSERT INTO order_acts (imp_uid, round, number, subject, act, fingerprint, state, opened_at, next_try_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (imp_uid, subject) WHERE state IN ('planned', 'asking') DO NOTHING
RETURNING *;

-- open_of --
-- The one open act about this subject.
SELECT * FROM order_acts WHERE imp_uid = $1 AND subject = $2 AND state IN ('planned', 'asking');

-- of_round --
-- What one request was about, in its order.
SELECT * FROM order_acts WHERE imp_uid = $1 AND round = $2 ORDER BY id;

-- take --
-- Its cancel is reserved in this transaction. No row: somebody else said that it never was asked.
UPDATE order_acts SET state = 'asking' WHERE number = $1 AND state = 'planned' RETURNING id;

-- end --
-- What became of it. No row: somebody else wrote that.
UPDATE order_acts SET state = $3, ended_at = $4, code = $5, message = $6, next_try_at = NULL
 WHERE number = $1 AND state = $2
RETURNING *;

-- due --
-- Acts whose answer is missing, oldest first. Who began them had not come any further since `$2`: acts of
-- one request are carried out one after the other.
SELECT number FROM order_acts a
 WHERE next_try_at <= $1
   AND NOT EXISTS (SELECT 1 FROM order_acts b
                    WHERE b.imp_uid = a.imp_uid AND b.round = a.round AND b.ended_at >= $2)
 ORDER BY next_try_at LIMIT $3;

-- lease --
-- Take one for one try: nobody else tries before $2.
UPDATE order_acts SET next_try_at = $2, tries = tries + 1
 WHERE number = $1 AND next_try_at <= $3
RETURNING *;

-- later --
-- Not known yet: again at $3, unless somebody else tries by now.
UPDATE order_acts SET next_try_at = $3 WHERE number = $1 AND tries = $2 AND next_try_at IS NOT NULL
RETURNING id;

-- of_number --
-- One act by its number.
SELECT * FROM order_acts WHERE number = $1;

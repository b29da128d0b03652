-- ask --
-- A PG is about to be asked for a key; refused by index while another question of this customer is open.
INSERT INTO billing_keys (merchant_id, customer_uid, channel_id, pg_code, mid, sandbox, number, state, asked_at, next_try_at, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'asking', $8, $9, $10)
RETURNING *;

-- live --
-- The key that this customer is charged by.
SELECT * FROM billing_keys WHERE merchant_id = $1 AND customer_uid = $2 AND state = 'live';

-- many_live --
-- The keys of several customers, oldest first.
SELECT * FROM billing_keys WHERE merchant_id = $1 AND customer_uid = ANY ($2) AND state = 'live' ORDER BY id;

-- asking --
-- The open question for this customer's key.
SELECT * FROM billing_keys WHERE merchant_id = $1 AND customer_uid = $2 AND state = 'asking';

-- of_number --
-- The key that was asked for by this number, whatever became of it.
SELECT * FROM billing_keys WHERE number = $1;

-- hold --
-- The same, held until the end of this transaction.
SELECT * FROM billing_keys WHERE number = $1 FOR NO KEY UPDATE;

-- replace --
-- live -> replaced: another key takes its place. The PG is told later ($4).
UPDATE billing_keys SET state = 'replaced', ended_at = $3, next_try_at = $4, tries = 0
 WHERE merchant_id = $1 AND customer_uid = $2 AND state = 'live'
RETURNING *;

-- make_live --
-- asking -> live: the PG made the key.
UPDATE billing_keys SET state = 'live', inserted_at = $2, updated_at = $3, next_try_at = NULL,
       card_code = $4, card_name = $5, card_number = $6, card_type = $7, sealed = $8
 WHERE number = $1 AND state = 'asking'
RETURNING *;

-- add_live --
-- A key that came with a payment.
INSERT INTO billing_keys (merchant_id, customer_uid, channel_id, pg_code, mid, sandbox, number, imp_uid, state, asked_at,
                          inserted_at, updated_at, card_code, card_name, card_number, card_type, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'live', $9, $10, $11, $12, $13, $14, $15, $16)
RETURNING *;

-- ask_kept --
-- A payment whose card is kept was found without its key: the PG is asked for it by the payment's number.
-- No row: it is there, or another question of this customer is open, which has the later word.
INSERT INTO billing_keys (merchant_id, customer_uid, channel_id, pg_code, mid, sandbox, number, imp_uid, state, asked_at,
                          next_try_at, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'asking', $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING id;

-- add_replaced --
-- A key that came with a payment too late: the merchant's server gave or took one meanwhile. The PG is
-- told to forget it.
INSERT INTO billing_keys (merchant_id, customer_uid, channel_id, pg_code, mid, sandbox, number, imp_uid, state, asked_at,
                          inserted_at, updated_at, card_code, card_name, card_number, card_type, sealed, ended_at, next_try_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'replaced', $9, $10, $11, $12, $13, $14, $15, $16, $11, $11)
RETURNING *;

-- changed_since --
-- Was a key of this customer made, replaced or deleted after that?
SELECT EXISTS (SELECT 1 FROM billing_keys WHERE merchant_id = $1 AND customer_uid = $2 AND state <> 'refused'
                  AND (updated_at > $3 OR ended_at > $3 OR (state = 'asking' AND asked_at > $3)));

-- refuse --
-- asking -> refused: there is no such key, and the card's holder is forgotten.
UPDATE billing_keys SET state = 'refused', ended_at = $2, reason = $3, next_try_at = NULL, sealed = NULL
 WHERE number = $1 AND state = 'asking'
RETURNING *;

-- delete --
-- live -> deleted by the merchant. The PG is told after that, at the latest at $5.
UPDATE billing_keys SET state = 'deleted', ended_at = $3, reason = $4, next_try_at = $5, tries = 0
 WHERE merchant_id = $1 AND customer_uid = $2 AND state = 'live'
RETURNING *;

-- forgotten --
-- The PG does not know the key any more: neither do we.
UPDATE billing_keys SET forgotten_at = $2, next_try_at = NULL, sealed = NULL
 WHERE number = $1 AND state IN ('replaced', 'deleted') AND forgotten_at IS NULL
RETURNING id;

-- due --
-- Keys whose end is not known here or not told to the PG, oldest first.
SELECT number FROM billing_keys WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2;

-- lease --
-- Take one for one try: nobody else tries before $2.
UPDATE billing_keys SET next_try_at = $2, fence = fence + 1, tries = tries + 1
 WHERE number = $1 AND next_try_at <= $3
RETURNING *;

-- later --
-- Not known yet: again at $3, unless somebody else tries by now.
UPDATE billing_keys SET next_try_at = $3
 WHERE number = $1 AND fence = $2 AND next_try_at IS NOT NULL
RETURNING id;

-- keep --
-- Who asks first was slow. If nobody took the question up, it is kept until $2.
UPDATE billing_keys SET next_try_at = GREATEST(next_try_at, $2)
 WHERE number = $1 AND state = 'asking' AND fence = 0
RETURNING id;

-- hasten --
-- Somebody waits for this question, which nobody is asking any more: try now. That is no rung of the
-- ladder: who asks ten times in a silence of minutes would else have the next try a day away.
UPDATE billing_keys SET next_try_at = $2, tries = 0
 WHERE number = $1 AND state = 'asking' AND fence > 0 AND next_try_at > $2
RETURNING id;

-- payments_count --
-- How many payments belong to this customer.
SELECT count(*) FROM payments WHERE merchant_id = $1 AND customer_uid = $2;

-- payments_page --
-- Payments of this customer, newest first.
SELECT p.*, s.sealed FROM payments p LEFT JOIN payment_secrets s USING (imp_uid)
 WHERE p.merchant_id = $1 AND p.customer_uid = $2
 ORDER BY p.started_at DESC, p.imp_uid DESC LIMIT $3 OFFSET $4;

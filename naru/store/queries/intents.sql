-- open_cancel --
-- We are about to ask the PG to give money back; refused by index while another question is open.
INSERT INTO intents (imp_uid, kind, number, amount, balance_before, request, opened_at, next_try_at)
VALUES ($1, 'cancel', $2, $3, $4, $5, $6, $7)
RETURNING id;

-- open_close_account --
-- We are about to close a virtual account at the PG.
INSERT INTO intents (imp_uid, kind, number, amount, request, opened_at, next_try_at)
VALUES ($1, 'close_account', $2, $3, '{}', $4, $5)
RETURNING id;

-- end --
-- The question is answered. No row: somebody else ended it.
UPDATE intents SET state = $2, closed_at = $3, outcome = $4
 WHERE id = $1 AND state IN ('open', 'unknown', 'undoing')
RETURNING id;

-- doubt --
-- Nobody knows what the PG did (`unknown`), or a net-cancel is decided (`undoing`); try again then.
UPDATE intents SET state = $2, tries = tries + 1, next_try_at = $3, outcome = $4
 WHERE id = $1 AND state IN ('open', 'unknown', 'undoing')
RETURNING id;

-- of_payment --
-- The one open question about this payment.
SELECT * FROM intents WHERE imp_uid = $1 AND state IN ('open', 'unknown', 'undoing');

-- due --
-- Open questions whose next try is due, oldest first.
SELECT imp_uid FROM intents
 WHERE state IN ('open', 'unknown', 'undoing') AND next_try_at <= $1
 ORDER BY next_try_at LIMIT $2;

-- lease --
-- Take a due question for one try: nobody else tries before `next_try_at`.
UPDATE intents SET next_try_at = $2
 WHERE imp_uid = $1 AND state IN ('open', 'unknown', 'undoing') AND next_try_at <= $3
RETURNING *;

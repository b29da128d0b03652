-- ask --
-- The tax office is about to be told; refused by index while another receipt of the same order lives.
INSERT INTO cash_receipts (merchant_id, channel_id, imp_uid, merchant_uid, number, state, type, amount, tax_free, vat,
                           asked_at, next_try_at, sealed)
VALUES ($1, $2, $3, $4, $5, 'asking', $6, $7, $8, $9, $10, $11, $12)
RETURNING *;

-- of_number --
-- The receipt that was asked for by this number.
SELECT * FROM cash_receipts WHERE number = $1;

-- hold --
-- The same, held until the end of this transaction.
SELECT * FROM cash_receipts WHERE number = $1 FOR NO KEY UPDATE;

-- of_payment --
-- The newest receipt of this payment that was not refused.
SELECT * FROM cash_receipts WHERE merchant_id = $1 AND imp_uid = $2 AND state <> 'refused' ORDER BY id DESC LIMIT 1;

-- of_order --
-- The newest receipt of an order that was paid outside.
SELECT * FROM cash_receipts WHERE merchant_id = $1 AND merchant_uid = $2 AND imp_uid IS NULL AND state <> 'refused'
 ORDER BY id DESC LIMIT 1;

-- living --
-- What the tax office is told of this order now, paid here or elsewhere.
SELECT * FROM cash_receipts
 WHERE merchant_id = $1 AND merchant_uid = $2 AND state IN ('asking', 'issued', 'cancelling');

-- issue --
-- asking -> issued; or -> cancelling ($6) where the money is gone by now, or the answer is not what was asked.
UPDATE cash_receipts SET state = CASE WHEN $6 THEN 'cancelling' ELSE 'issued' END,
       cancels = CASE WHEN $6 THEN 1 ELSE 0 END, cancel_asked_at = CASE WHEN $6 THEN $7::timestamptz END,
       next_try_at = CASE WHEN $6 THEN $7::timestamptz END, tries = 0, sealed = NULL,
       receipt_tid = $2, apply_num = $3, receipt_url = $4, applied_at = $5
 WHERE number = $1 AND state = 'asking'
RETURNING *;

-- refuse --
-- asking -> refused, by who holds the question ($4): there is no receipt.
UPDATE cash_receipts SET state = 'refused', fail_code = $2, fail_reason = $3, next_try_at = NULL, sealed = NULL
 WHERE number = $1 AND state = 'asking' AND fence = $4
RETURNING *;

-- revoke --
-- issued -> cancelling: the tax office is about to be told.
UPDATE cash_receipts SET state = 'cancelling', cancels = cancels + 1, cancel_asked_at = $2, next_try_at = $3, tries = 0
 WHERE number = $1 AND state = 'issued'
RETURNING *;

-- revoked --
-- cancelling -> cancelled.
UPDATE cash_receipts SET state = 'cancelled', cancelled_at = $2, next_try_at = NULL
 WHERE number = $1 AND state = 'cancelling'
RETURNING *;

-- keep_issued --
-- cancelling -> issued again, by who holds the question ($4): the PG will not take it back.
UPDATE cash_receipts SET state = 'issued', fail_code = $2, fail_reason = $3, next_try_at = NULL
 WHERE number = $1 AND state = 'cancelling' AND fence = $4
RETURNING *;

-- due --
-- Questions that nobody answered, oldest first.
SELECT number FROM cash_receipts WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2;

-- lease --
-- Take one for one try: nobody else tries before $2.
UPDATE cash_receipts SET next_try_at = $2, fence = fence + 1, tries = tries + 1
 WHERE number = $1 AND next_try_at <= $3
RETURNING *;

-- later --
-- Not known yet: again at $3, unless somebody else tries by now.
UPDATE cash_receipts SET next_try_at = $3 WHERE number = $1 AND fence = $2 AND next_try_at IS NOT NULL
RETURNING id;

-- issued_of --
-- Of these payments those that have a living receipt of ours.
SELECT imp_uid FROM cash_receipts WHERE imp_uid = ANY ($1) AND state IN ('issued', 'cancelling');
